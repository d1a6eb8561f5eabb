"""Files into the workspace: each recognised by its content, taken in once, and one that is no good does not stop the others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trunkline.core.errors import BadInput, UnknownName
from trunkline.run.load import MEASUREMENTS, Options, listed, load, newest, paths_of
from trunkline.store.opened import Store

UTC_TIMES = Options(assume_zone="UTC")


def kept(store: Store, table: str = MEASUREMENTS) -> pl.DataFrame:
    return store.lake.read(table).collect()


def test_a_series_is_kept_with_every_value_it_has(store: Store, write_csv: Callable[..., Path]) -> None:
    path = write_csv(weeks=1)

    done = load(store, [path])

    found = kept(store)
    assert (done.rows, found.height) == (336, 336)
    assert sorted(found["element"].unique()) == ["a", "b"]
    assert found["name"].unique().to_list() == ["volume"]
    given = pl.read_csv(path)
    assert found["value"].sum() == pytest.approx(given["volume"].sum())
    assert found["region"].unique().to_list() == ["default"]


def test_the_same_file_again_changes_nothing_under_whatever_name(store: Store, write_csv: Callable[..., Path], tmp_path: Path) -> None:
    path = write_csv(weeks=1)
    other = tmp_path / "copy.csv"
    other.write_bytes(path.read_bytes())
    load(store, [path])

    again = load(store, [path, other])

    assert [one.state for one in again.files] == ["seen before", "seen before"]
    assert kept(store).height == 336
    assert "2 file(s) had been taken in before" in again.notes[0]


def test_a_longer_export_adds_what_is_new(store: Store, write_csv: Callable[..., Path]) -> None:
    load(store, [write_csv("early.csv", weeks=1, outage=False)])

    load(store, [write_csv("late.csv", weeks=2, outage=False)])

    assert kept(store).select("element", "name", "at").unique().height == 672


def test_a_dry_run_reads_everything_and_keeps_nothing(store: Store, write_csv: Callable[..., Path]) -> None:
    done = load(store, [write_csv(weeks=1)], dry_run=True)

    assert (done.rows, [one.state for one in done.files]) == (336, ["dry run"])
    assert listed(store).is_empty()
    assert list(store.lake.tables()) == []
    assert store.journal.size == 0


def test_a_file_that_is_no_good_is_put_aside_with_the_reason_and_the_others_are_read(store: Store, write_csv: Callable[..., Path], tmp_path: Path) -> None:
    bad = tmp_path / "picture.csv"
    bad.write_bytes(bytes(range(256)) * 40)

    done = load(store, [bad, write_csv(weeks=1)], options=UTC_TIMES)

    assert {Path(one.path).name: one.state for one in done.files} == {"picture.csv": "refused", "cells.csv": "loaded"}
    assert kept(store).height == 336
    (aside,) = store.intake.quarantined()
    assert aside.reason
    assert any("picture.csv" in note for note in done.notes)


def test_a_measurement_file_that_breaks_off_is_read_as_far_as_it_goes_and_the_break_is_counted(store: Store, tmp_path: Path) -> None:
    bad = tmp_path / "broken.xml"
    bad.write_bytes(b"<measCollecFile><fileHeader></measCollecFile>")

    done = load(store, [bad])

    assert (done.rows, done.files[0].quarantined) == (0, 1)
    assert [aside.file for aside in store.intake.quarantined()] == [str(bad)]


def test_rows_that_cannot_be_used_are_counted_and_named_by_their_line(store: Store, write_csv: Callable[..., Path]) -> None:
    path = write_csv(weeks=1)
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[10] = lines[10].rpartition(",")[0] + ",broken"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    done = load(store, [path])

    (aside,) = store.intake.quarantined()
    assert aside.line == 11
    assert done.files[0].quarantined == 1
    assert any("1 record(s) could not be used" in note for note in done.notes)


def test_a_folder_is_all_files_in_it_but_hidden_ones(tmp_path: Path) -> None:
    folder = tmp_path / "pm"
    (folder / "deep").mkdir(parents=True)
    for name in ("b.csv", "a.csv", ".hidden", "deep/c.csv"):
        (folder / name).touch()

    found = paths_of([folder, folder / "a.csv"])

    assert [path.relative_to(folder).as_posix() for path in found] == ["a.csv", "b.csv", "deep/c.csv"]


def test_a_path_that_is_not_there_shows_the_closest(tmp_path: Path) -> None:
    (tmp_path / "cells.csv").touch()

    with pytest.raises(UnknownName, match="There is no file") as refused:
        paths_of([tmp_path / "cell.csv"])

    assert "cells.csv" in refused.value.allowed
    with pytest.raises(BadInput, match="No file was given"):
        paths_of([tmp_path / "cells.csv"][:0])


def test_what_was_taken_in_is_listed_and_the_newest_rows_come_first(store: Store, write_csv: Callable[..., Path]) -> None:
    load(store, [write_csv(weeks=1)])

    assert listed(store).select("number", "kind").rows() == [(1, "series")]
    assert newest(store, "measurements", 3)["at"].to_list() == sorted(newest(store, "measurements", 3)["at"].to_list(), reverse=True)
    assert newest(store, "measurements", 3).height == 3
    with pytest.raises(UnknownName, match="There is no product 'measurement'") as refused:
        newest(store, "measurement", 3)
    assert refused.value.next_step == "Did you mean 'measurements'?"


def test_times_without_a_zone_are_refused_until_one_is_named(store: Store, write_csv: Callable[..., Path]) -> None:
    path = write_csv(weeks=1)
    path.write_text(path.read_text(encoding="utf-8").replace("Z,", ","), encoding="utf-8")

    refused = load(store, [path], dry_run=True)
    read = load(store, [path], options=Options(zone="Europe/Rome"))

    assert refused.files[0].state == "refused"
    assert "zone" in refused.files[0].notes[0]
    assert read.rows == 336
    assert kept(store)["at"].min() == datetime(2026, 9, 6, 22, tzinfo=UTC)


def test_a_file_that_was_refused_is_read_once_what_was_wanting_is_said(store: Store, write_csv: Callable[..., Path]) -> None:
    load(store, [write_csv("before.csv", weeks=0.5, elements=("x",))])
    path = write_csv(weeks=1)
    path.write_text(path.read_text(encoding="utf-8").replace("Z,", ","), encoding="utf-8")
    load(store, [path])
    load(store, [write_csv("between.csv", weeks=0.5, elements=("y",))])
    assert len(store.intake.quarantined()) == 1

    still = load(store, [path])
    read = load(store, [path], options=Options(zone="Europe/Rome"))
    again = load(store, [path], options=Options(zone="Europe/Rome"))

    assert [one.files[0].state for one in (still, read, again)] == ["refused", "loaded", "seen before"]
    assert read.rows == 336
    assert kept(store).filter(pl.col("element").is_in(["a", "b"])).height == 336
    assert kept(store).height == 336 + 2 * 84
    assert store.intake.quarantined() == []


def test_when_a_file_was_received_can_be_said(store: Store, write_csv: Callable[..., Path]) -> None:
    at = datetime(2026, 10, 1, tzinfo=UTC)

    load(store, [write_csv(weeks=1)], options=Options(received_at=at))

    assert listed(store)["received_at"].to_list() == [at]


def test_progress_is_told(store: Store, write_csv: Callable[..., Path]) -> None:
    told: list[tuple[str, float]] = []

    load(store, [write_csv("a.csv", weeks=0.2), write_csv("b.csv", weeks=0.3)], progress=lambda step, share: told.append((step, share)))

    assert [share for _, share in told if share <= 1][-1] == 1.0


def test_an_empty_file_is_told_and_not_read_as_nothing(store: Store, tmp_path: Path) -> None:
    empty = tmp_path / "empty.csv"
    empty.touch()

    done = load(store, [empty])

    assert done.files[0].state == "refused"
    assert done.notes


@pytest.fixture
def measurements(tmp_path: Path) -> Path:
    """Two simulated files of one quarter of an hour each, as a network writes them."""
    from trunkline.simulator import write_preset

    written: Any = write_preset("tiny", tmp_path / "network", seed=1)
    return Path(written.paths["pm"])


@pytest.mark.slow
def test_simulated_measurement_files_are_read_once_and_their_counters_are_known(store: Store, measurements: Path) -> None:
    files = sorted(path for path in measurements.rglob("*") if path.is_file())[:3]

    done = load(store, files, options=Options(arrival="file time"))
    again = load(store, files, options=Options(arrival="file time"))

    assert {one.kind for one in done.files} == {"pm_xml"}
    assert done.unmapped.is_empty()
    assert {one.state for one in again.files} == {"seen before"}
    assert kept(store)["at"].is_between(datetime(2020, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)).all()
    assert kept(store).height == done.rows
    assert kept(store)["known_at"].min() - kept(store)["at"].min() >= timedelta(minutes=15)  # type: ignore[operator]


def pm_file(folder: Path, node: str, *, hour: int = 10, value: str = "5") -> Path:
    path = folder / f"A20261120.{hour}00_{node}.xml"
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?><measCollecFile><fileHeader vendorName="Ericsson AB" dnPrefix="SubNetwork=1"/>'
        f'<measData><managedElement localDn="{node}" swVersion="1"/><measInfo measInfoId="a">'
        f'<granPeriod duration="PT900S" endTime="2026-11-20T{hour}:15:00Z"/><measType p="1">pmRrcConnEstabAtt</measType><measType p="2">pmOwn</measType>'
        f'<measValue measObjLdn="GNBCUCPFunction=1,NRCellCU=1"><r p="1">{value}</r><r p="2">1,2,3</r></measValue></measInfo></measData></measCollecFile>',
        encoding="utf-8",
    )
    return path


def test_many_measurement_files_are_kept_together_and_counted_one_by_one(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.run.load._AT_ONCE", 3)
    files = [pm_file(tmp_path, f"n{number}", hour=10 + number % 4) for number in range(7)]
    files[3].write_bytes(files[3].read_bytes().replace(b"<measData>", b"<!-- not plain --><measData>"))
    copy = tmp_path / "copy.xml"
    copy.write_bytes(files[0].read_bytes())

    done = load(store, [*files, copy])

    assert [one.rows for one in done.files] == [4] * 7 + [0]
    assert [one.state for one in done.files] == ["loaded"] * 7 + ["seen before"]
    assert kept(store).group_by("source").len()["len"].to_list() == [4] * 7
    assert kept(store).filter(pl.col("name") == "RRC.ConnEstabAtt")["value"].to_list() == [5.0] * 7
    assert kept(store)["region"].unique().to_list() == ["default"]
    assert done.unmapped.select("counter", "values").rows() == [("pmOwn", 7)]


def test_what_is_kept_is_the_same_without_compiled_kernels(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [pm_file(tmp_path, f"n{number}", value="NIL" if number else "3") for number in range(3)]
    fast = load(store, files, dry_run=True)

    monkeypatch.setenv("TRUNKLINE_FAST", "0")
    plain = load(store, files)

    assert [one.rows for one in plain.files] == [one.rows for one in fast.files] == [4, 4, 4]
    assert plain.unmapped.rows() == fast.unmapped.rows()
    assert kept(store).height == 12


def test_a_measurement_file_of_which_nothing_can_be_read_is_refused_and_read_once_it_can_be(store: Store, tmp_path: Path) -> None:
    path = pm_file(tmp_path, "n")
    path.write_text(path.read_text(encoding="utf-8").replace("10:15:00Z", "10:15:00"), encoding="utf-8")

    refused = load(store, [path])
    read = load(store, [path, pm_file(tmp_path, "m")], options=Options(zone="Europe/Rome"))

    assert [one.state for one in refused.files] == ["refused"]
    assert "names no zone" in refused.files[0].notes[0]
    assert [(one.state, one.rows) for one in read.files] == [("loaded", 4), ("loaded", 4)]
    assert kept(store).height == 8
    assert store.intake.quarantined() == []
