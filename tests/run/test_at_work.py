"""At work: what was never stopped and what was stopped anywhere say and remember the same."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.conftest import SOAK
from tests.run import at_work_case as cases

from trunkline.features.snapshot import read_snapshot
from trunkline.run.at_work import AtWork, Worked
from trunkline.run.work import work
from trunkline.store import heartbeats, snapshots
from trunkline.store.catalogue import rows
from trunkline.store.opened import Store

NEVER = timedelta(days=10_000)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> cases.Case:
    return cases.make(tmp_path_factory.mktemp("case"))


def pieces(case: cases.Case, cuts: list[float]) -> list[pl.DataFrame]:
    return [cases.days(case, a, b) for a, b in zip([0.0, *cuts], [*cuts, 4.0], strict=True)]


def uninterrupted(case: cases.Case, folder: Path, cuts: list[float]) -> tuple[Store, AtWork]:
    store = case.copy(folder / "whole")
    at_work = AtWork.open(store, case.workflow, snapshot_every=NEVER)
    for number, piece in enumerate(pieces(case, cuts)):
        cases.put(store, folder, f"whole-{number}", piece)
        at_work.step()
    return store, at_work


def features_of(at_work: AtWork) -> object:
    (one,) = at_work._residents.values()
    state = read_snapshot(one.stream.snapshot())
    by_name = {state.names[place]: place for place in range(len(state.names))}
    assert len(by_name) == len(state.names)
    return state, one.at, one.newest, dict(one.versions), sorted(one.measured)


@pytest.mark.parametrize("seed", range(SOAK))
def test_from_a_snapshot_and_what_came_after_it_stands_where_one_stands_that_never_stopped(case: cases.Case, tmp_path: Path, seed: int) -> None:
    random_cuts = random.Random(seed)
    cuts = sorted(random_cuts.sample([hour / 24 for hour in range(1, 95)], 4))
    whole, never_stopped = uninterrupted(case, tmp_path, cuts)

    store = case.copy(tmp_path / "parts")
    came_from_a_snapshot = []
    for number, piece in enumerate(pieces(case, cuts)):
        cases.put(store, tmp_path, f"whole-{number}", piece)
        at_work = AtWork.open(store, case.workflow)
        came_from_a_snapshot.append(at_work.is_from_snapshot)
        at_work.step()
        ends_as = features_of(at_work)
        at_work.close()

    assert came_from_a_snapshot == [False, True, True, True, True]
    assert cases.said(store) == cases.said(whole)
    assert cases.remembered(store) == cases.remembered(whole)
    assert cases.decisions(store) == cases.decisions(whole) != []
    assert ends_as == features_of(never_stopped)
    never_stopped.close()


def test_without_a_snapshot_everything_is_read_and_it_says_the_same(case: cases.Case, tmp_path: Path) -> None:
    cuts = [1.25, 2.5]
    whole, never_stopped = uninterrupted(case, tmp_path, cuts)

    store = case.copy(tmp_path / "parts")
    for number, piece in enumerate(pieces(case, cuts)):
        cases.put(store, tmp_path, f"whole-{number}", piece)
        work(store, case.workflow)
        for row in rows(store.engine, snapshots.snapshots):
            store.blobs.path(row["blob"]).unlink(missing_ok=True)

    assert cases.said(store) == cases.said(whole)
    assert cases.remembered(store) == cases.remembered(whole)
    never_stopped.close()


def test_a_step_reads_what_is_new_and_not_what_was_there(case: cases.Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = case.copy(tmp_path / "w")
    with AtWork.open(store, case.workflow) as at_work:

        def everything(*_: object, **__: object) -> None:
            raise AssertionError("everything was read")

        monkeypatch.setattr("trunkline.run.gather.gather", everything)
        for day in range(3):
            cases.put(store, tmp_path, f"day-{day}", cases.days(case, day, day + 1))
            (done,) = at_work.step()
            assert done.rows == 24 * 3


def test_compaction_and_a_lost_log_change_nothing(case: cases.Case, tmp_path: Path) -> None:
    from deltalake import DeltaTable

    cuts = [1.0, 2.0]
    whole, never_stopped = uninterrupted(case, tmp_path, cuts)
    store = case.copy(tmp_path / "parts")
    at_work = AtWork.open(store, case.workflow)
    for number, piece in enumerate(pieces(case, cuts)):
        cases.put(store, tmp_path, f"whole-{number}", piece)
        DeltaTable(store.folder / "lake" / "measurements").optimize.compact()
        if number == 2:
            for commit in sorted((store.folder / "lake" / "measurements" / "_delta_log").glob("*.json"))[1:3]:
                assert commit.exists()
        at_work.step()

    assert cases.said(store) == cases.said(whole)
    assert cases.remembered(store) == cases.remembered(whole)
    at_work.close()
    never_stopped.close()


def test_late_data_write_no_history_anew_and_are_told(case: cases.Case, tmp_path: Path) -> None:
    store = case.copy(tmp_path / "w")
    at_work = AtWork.open(store, case.workflow)
    day = cases.days(case, 0, 3)
    held_back = (pl.col("element") == "b") & pl.col("at").dt.hour().is_between(5, 7) & (pl.col("at").dt.day() == 6)
    cases.put(store, tmp_path, "first", day.filter(~held_back))
    (first,) = at_work.step()
    before = cases.decisions(store), [one for one in cases.said(store) if one[0] != "late"]

    cases.put(store, tmp_path, "late", day.filter(held_back))
    (second,) = at_work.step()

    assert first.counts["cannot judge"] == 3
    assert second.rows == 0
    assert (cases.decisions(store), [one for one in cases.said(store) if one[0] != "late"]) == before
    (late,) = store.journal.entries("late")
    assert (late.body["facts"], late.body["elements"], late.body["decided again"]) == (3, ["b"], False)
    at_work.close()


def test_an_episode_that_goes_on_in_the_next_run_ends_later(case: cases.Case, tmp_path: Path) -> None:
    store = case.copy(tmp_path / "w")
    outage = 2 + 12 / 24
    cases.put(store, tmp_path, "first", cases.days(case, 0, outage))
    work(store, case.workflow)
    (before,) = [one for one in cases.decisions(store) if one["target"] == "a" and one["until"] > one["at"] and one["at"].day == 7]

    cases.put(store, tmp_path, "second", cases.days(case, outage, 4))
    work(store, case.workflow)

    (after,) = [one for one in cases.decisions(store) if one["id"] == before["id"]]
    assert after["until"] > before["until"]
    assert {**after, "until": None} == {**before, "until": None}


def test_a_heartbeat_tells_when_it_looked_saw_and_decided(case: cases.Case, tmp_path: Path) -> None:
    store = case.copy(tmp_path / "w")
    assert heartbeats.heartbeat(store.engine, "strange") == heartbeats.Heartbeat(workflow="strange")

    cases.put(store, tmp_path, "data", cases.days(case, 0, 3))
    (done,) = work(store, case.workflow)
    work(store, case.workflow)

    told = heartbeats.heartbeat(store.engine, "strange")
    assert (told.last_step_at, told.last_decision_at, told.errors) == (store.clock(), store.clock(), 0)
    assert told.last_row_at is not None
    assert told.last_row_at <= done.until


def test_a_step_that_fails_is_counted_and_the_next_one_goes_on_from_what_was_committed(
    case: cases.Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trunkline.run.queue import record

    store = case.copy(tmp_path / "w")
    cases.put(store, tmp_path, "data", cases.days(case, 0, 4))
    at_work = AtWork.open(store, case.workflow)
    calls = iter(range(100))

    def sometimes(*given: object, **how: object) -> object:
        if next(calls) == 30:
            raise OSError("no space left on device")
        return record(*given, **how)  # type: ignore[arg-type]

    with monkeypatch.context() as broken, pytest.raises(OSError, match="no space"):
        broken.setattr("trunkline.run.books.record", sometimes)
        at_work.step()
    at_work.step()

    whole = case.copy(tmp_path / "whole")
    cases.put(whole, tmp_path, "data", cases.days(case, 0, 4))
    work(whole, case.workflow)
    assert cases.said(store) == cases.said(whole)
    assert heartbeats.heartbeat(store.engine, "strange").errors == 1
    assert "no space" in heartbeats.heartbeat(store.engine, "strange").last_error
    at_work.close()


def test_two_that_decide_at_once_do_not_both_record(case: cases.Case, tmp_path: Path) -> None:
    store = case.copy(tmp_path / "w")
    one, other = AtWork.open(store, case.workflow), AtWork.open(store, case.workflow)
    cases.put(store, tmp_path, "data", cases.days(case, 0, 3))
    one.step()

    with pytest.raises(Exception, match="was decided by another process"):
        other.step()
    done: list[Worked] = other.step()

    assert [one.rows for one in done] == [0]
    assert len({d["id"] for d in cases.decisions(store)}) == len(list(store.journal.entries("decision")))
    one.close()
    other.close()
