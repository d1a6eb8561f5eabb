"""Going back under load: model, features, limits and memory change together, and no slot is lost or decided twice."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.run import at_work_case as cases
from tests.run.conftest import Present

from trunkline.run import releases
from trunkline.run.at_work import AtWork, Worked
from trunkline.run.work import work
from trunkline.store import catalogue, heartbeats
from trunkline.store.opened import Store

BACK: dict[str, Any] = {"by": "ann", "reason": "a test", "dry_run": False}


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> cases.Case:
    """Two releases that were live one after the other."""
    return cases.make(tmp_path_factory.mktemp("case"), live=2)


def test_while_one_decides_without_pause_others_go_back_and_forth_and_nothing_fails(case: cases.Case, tmp_path: Path) -> None:
    store = case.copy(tmp_path / "w")
    first, second = (row["id"] for row in sorted(catalogue.rows(store.engine, catalogue.releases), key=lambda row: row["made_at"]))
    found: list[Worked] = []
    failed: list[BaseException] = []
    is_over = threading.Event()

    def decide() -> None:
        try:
            with AtWork.open(store, case.workflow) as at_work:
                while not is_over.is_set():
                    found.extend(at_work.step())
                found.extend(at_work.step())
        except BaseException as broken:  # noqa: BLE001 - whatever it is, the test is to know
            failed.append(broken)

    thread = threading.Thread(target=decide)
    thread.start()
    for number in range(7):
        cases.put(store, tmp_path, f"half-day-{number}", cases.days(case, number / 2, (number + 1) / 2))
        releases.back(store, "strange", to=first if number % 2 == 0 else second, **BACK)
        _until(lambda wanted=first if number % 2 == 0 else second: found and found[-1].release == wanted, thread)
    is_over.set()
    thread.join(60)

    assert failed == []
    told = [entry.body for entry in store.journal.entries("decided")]
    assert sum(sum(body["counts"].values()) for body in told) == 84 * 3
    assert {body["release"] for body in told} == {first, second}
    assert Counter((one["target"], one["at"]) for one in cases.decisions(store)).most_common(1)[0][1] == 1
    assert store.journal.verify().ok


def _until(holds: Any, thread: threading.Thread, *, within: float = 60.0) -> None:
    end = time.monotonic() + within
    while not holds() and thread.is_alive() and time.monotonic() < end:
        time.sleep(0.01)


def test_an_episode_that_is_open_is_not_given_out_again_by_the_release_that_takes_over(case: cases.Case, tmp_path: Path) -> None:
    store = case.copy(tmp_path / "w")
    cases.put(store, tmp_path, "first", cases.days(case, 0, 2 + 14 / 24))
    at_work = AtWork.open(store, case.workflow)
    at_work.step()
    open_before = {one["target"] for one in cases.decisions(store)}
    releases.back(store, "strange", to=None, **BACK)
    cases.put(store, tmp_path, "second", cases.days(case, 2 + 14 / 24, 2 + 18 / 24))

    (done,) = at_work.step()

    assert "a" in open_before
    assert done.counts["same episode"] > 0
    assert not any(one.entity == "a" for one in done.findings)
    at_work.close()


def test_where_the_model_is_gone_the_safe_default_holds_and_the_rest_goes_on(tmp_path: Path) -> None:
    made = cases.make(tmp_path / "made", default="watch by hand")
    store = made.copy(tmp_path / "w")
    row = releases.in_state(store, "strange", "live")
    assert row is not None
    kept = store.blobs.path(row["model"]).read_bytes()
    store.blobs.path(row["model"]).unlink()
    cases.put(store, tmp_path, "first", cases.days(made, 0, 1))

    (done,) = work(store, made.workflow)
    (again,) = work(store, made.workflow)

    assert (done.rows, done.counts["safe default"], done.findings) == (72, 72, ())
    assert "model" in done.why_not
    assert again.rows == 0
    told = next(store.journal.entries("decided")).body
    assert (told["safe_default"], told["counts"]) == ("watch by hand", {"safe default": 3})
    (instead,) = cases.decisions(store)
    assert (instead["action"], instead["target"], instead["state"]) == ("watch by hand", "strange", "open")
    assert "cannot judge" in instead["body"]["reasons"][0]

    store.blobs.path(row["model"]).write_bytes(kept)
    cases.put(store, tmp_path, "second", cases.days(made, 1, 3))
    (done,) = work(store, made.workflow)

    assert done.counts["safe default"] == 0
    assert done.rows == 144
    assert done.why_not == ""
    assert heartbeats.heartbeat(store.engine, "strange").last_decision_at == store.clock()


def test_after_going_back_to_another_definition_its_own_limits_and_features_hold(tmp_path: Path) -> None:
    made = cases.make(tmp_path / "made")
    present = Present(cases.BEGAN + cases.MONTH)
    store = made.copy(tmp_path / "w", present)
    edited = cases.workflow_in(tmp_path / "edited", least=0.0)
    cases.put(store, tmp_path, "first", cases.days(made, 0, 1))
    (old,) = work(store, edited)
    cases.add_release(store, edited, seed=3, to="live", present=present)
    cases.put(store, tmp_path, "second", cases.days(made, 1, 2))
    (new,) = work(store, edited)
    releases.back(store, "strange", to=None, **BACK)
    cases.put(store, tmp_path, "third", cases.days(made, 2, 3))
    (back,) = work(store, edited)

    assert [one.rows for one in (old, new, back)] == [72, 72, 72]
    assert old.release == back.release != new.release
    assert new.counts["none"] == 0 < min(old.counts["none"], back.counts["none"])


def swap_seconds(case: cases.Case, store: Store) -> float:
    """How long from the command to going back until the other release serves, in seconds of the clock."""
    with AtWork.open(store, case.workflow) as at_work:
        at_work.step()
        begun = time.perf_counter()
        wanted = releases.back(store, "strange", to=None, **BACK)
        (done,) = at_work.step()
        assert done.release == wanted
        return time.perf_counter() - begun
