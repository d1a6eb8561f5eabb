"""A load that is cut off between taking a file in and keeping it: the next load finishes it, once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

import trunkline
from trunkline.run import load as loading
from trunkline.run import measured as reading
from trunkline.store import catalogue
from trunkline.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with trunkline.create(tmp_path / "w") as made:
        yield made


def series(path: Path, cell: str) -> Path:
    path.write_text("time,cell,volume\n" + "".join(f"2026-11-20T{h:02d}:00:00Z,{cell},{100 + h}\n" for h in range(24)))
    return path


def kept(workspace: Workspace) -> pl.DataFrame:
    return workspace.store.lake.read("measurements").collect()


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_was_taken_in_and_not_kept_is_kept_by_the_next_load(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    real = loading._Loading.flush

    def cut_off(self: loading._Loading) -> None:
        if self.waiting and when == "after":
            monkeypatch.setattr(catalogue, "set_loaded_through", lambda *_: None)
            real(self)
            monkeypatch.undo()
        if self.waiting or when == "after":
            raise KeyboardInterrupt

    workspace.data.load([series(tmp_path / "one.csv", "c1")])
    with pytest.raises(KeyboardInterrupt), monkeypatch.context() as patched:
        patched.setattr(loading._Loading, "catch_up", lambda _: None)
        patched.setattr(loading._Loading, "flush", cut_off)
        workspace.data.load([series(tmp_path / "two.csv", "c2")])

    again = workspace.data.load([tmp_path / "two.csv", series(tmp_path / "three.csv", "c3")])

    assert kept(workspace).group_by("element").len().sort("element").rows() == [("c1", 24), ("c2", 24), ("c3", 24)]
    assert [f.state for f in again.files][-2:] == ["seen before", "loaded"]


def measured(path: Path, minute: int) -> Path:
    """A measurement file of one cell and a quarter of an hour, with 60 results."""
    types = "".join(f'<measType p="{p}">pmMadeUp{p}</measType>' for p in range(1, 61))
    results = "".join(f'<r p="{p}">{p}</r>' for p in range(1, 61))
    period = f'<granPeriod duration="PT900S" endTime="2026-11-20T10:{minute:02}:00Z"/>'
    info = f'<measInfo measInfoId="a">{period}{types}<measValue measObjLdn="NRCellDU=1">{results}</measValue></measInfo>'
    head = '<fileHeader vendorName="Acme" dnPrefix="SubNetwork=S"/>'
    path.write_text(f'<measCollecFile>{head}<measData><managedElement localDn="ManagedElement=n"/>{info}</measData></measCollecFile>')
    return path


def in_small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_ENOUGH_CODED", 100)
    monkeypatch.setattr(loading, "_ENOUGH", 100)
    monkeypatch.setattr(reading, "_MOST_HELD", 100)


def test_much_is_appended_part_by_part_and_nothing_twice(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_small_parts(monkeypatch)
    files = [measured(tmp_path / f"{minute}.xml", minute) for minute in (0, 15, 30, 45, 50)]

    loaded = workspace.data.load(files)

    assert [one.rows for one in loaded.files] == [60] * 5
    assert kept(workspace).select("name", "at").unique().height == kept(workspace).height == 300
    assert workspace.store.lake.version("measurements") >= 2  # the table's making, then an append for every two files


def test_what_was_not_kept_is_caught_up_with_part_by_part(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_small_parts(monkeypatch)
    files = [measured(tmp_path / f"{minute}.xml", minute) for minute in (0, 15, 30, 45, 50)]
    real, parts = loading._Loading.flush, 0

    def cut_off(self: loading._Loading) -> None:
        nonlocal parts
        parts += self.measured.rows > 0
        if parts in {1, 3}:
            raise KeyboardInterrupt
        real(self)

    for rows in (0, 120):
        with pytest.raises(KeyboardInterrupt), monkeypatch.context() as patched:
            patched.setattr(loading._Loading, "flush", cut_off)
            workspace.data.load(files)
        assert kept(workspace).height == rows

    again = workspace.data.load(files)

    assert [one.state for one in again.files][-5:] == ["seen before"] * 5
    assert kept(workspace).select("name", "at").unique().height == kept(workspace).height == 300
