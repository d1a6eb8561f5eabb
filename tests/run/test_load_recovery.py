"""A load that is cut off between taking a file in and keeping it: the next load finishes it, once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

import trunkline
from trunkline.run import load as loading
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
