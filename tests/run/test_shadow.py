"""A shadow beside live: it sees every row and answers nothing, and whatever it does, live does not notice."""

from __future__ import annotations

import os
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from tests.run import at_work_case as cases
from tests.run.conftest import Present

from trunkline.run import shadow as module
from trunkline.run.at_work import AtWork, Worked
from trunkline.run.comparison import shadow_report
from trunkline.run.work import work
from trunkline.store.opened import Store


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> cases.Case:
    """A live release, a second in shadow of the same making, and three days to decide."""
    made = cases.make(tmp_path_factory.mktemp("case"), shadow=1)
    store = made.open(made.folder)
    cases.put(store, made.folder.parent, "data", cases.days(made, 0, 3))
    store.close()
    return made


def run(case: cases.Case, folder: Path, *, deadline_s: float = 30.0) -> tuple[Store, dict[str, Worked]]:
    store = case.copy(folder)
    with AtWork.open(store, case.workflow, shadow_deadline_s=deadline_s) as at_work:
        done = [one for one in at_work.step() if one.mode == "live"] + at_work.drain()
    return store, {one.mode: one for one in done}


@pytest.fixture(scope="module")
def well(case: cases.Case, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, dict[str, Worked]]:
    return run(case, tmp_path_factory.mktemp("well") / "w")


def test_it_sees_every_row_and_is_in_nobodys_queue(well: tuple[Store, dict[str, Worked]]) -> None:
    store, done = well

    assert done["shadow"].rows == done["live"].rows == 3 * 72
    assert done["shadow"].counts == done["live"].counts
    assert {one["state"] for one in cases.decisions(store, "shadow")} == {"shadow"}
    assert len(cases.decisions(store, "shadow")) == len(cases.decisions(store)) > 0


def test_the_report_tells_how_far_it_agrees(well: tuple[Store, dict[str, Worked]]) -> None:
    store, done = well

    report = shadow_report(store, "strange")

    assert (report.shadow, report.live) == (done["shadow"].release, done["live"].release)
    assert (report.all.rows, report.all.missed, report.all.agreement) == (3 * 72, 0, 1.0)
    assert report.all.both > 0
    assert report.all.batches == 72
    assert report.by_region.columns == ["region", "rows", "both", "live only", "shadow only", "missed", "agreement"]


@pytest.mark.parametrize(("does", "why"), [("hangs", "it hung"), ("dies", "its process died"), ("eats", "MemoryError")])
def test_whatever_it_does_live_says_the_same(
    case: cases.Case, well: tuple[Store, dict[str, Worked]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, why: str
) -> None:
    monkeypatch.setenv("STRANGE_SHADOW", does)
    monkeypatch.setenv("STRANGE_LIVE", str(os.getpid()))
    monkeypatch.setattr(module, "GIVE_UP_AFTER", 2)

    store, done = run(case, tmp_path / "w", deadline_s=1.0 if does == "hangs" else 60.0)

    assert done["live"].counts == well[1]["live"].counts
    assert cases.decisions(store) == cases.decisions(well[0])
    assert done["shadow"].rows + done["shadow"].missed == 3 * 72
    assert done["shadow"].missed > 0
    assert why in next(store.journal.entries("shadow.failed")).body["why"]
    assert shadow_report(store, "strange").all.missed == done["shadow"].missed


def test_one_that_is_found_by_no_name_judges_in_a_thread_that_may_hang(case: cases.Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = case.copy(tmp_path / "w")
    monkeypatch.setattr(module.Beside, "is_apart", property(lambda _: False))
    released = threading.Event()
    monkeypatch.setattr(module, "judge", lambda *_: released.wait(60))

    with AtWork.open(store, case.workflow, shadow_deadline_s=0.3) as at_work:
        live = [one for one in at_work.step() if one.mode == "live"]
        begun = time.monotonic()
        (shadow,) = at_work.drain()
    released.set()

    assert live[0].rows == shadow.missed == 3 * 72
    assert time.monotonic() - begun < 30
    assert shadow.why_not.startswith("it hangs")


def test_a_model_that_is_gone_is_told_and_stops_nothing(case: cases.Case, tmp_path: Path) -> None:
    from trunkline.run import releases

    store = case.copy(tmp_path / "w")
    row = releases.in_state(store, "strange", "shadow")
    assert row is not None
    store.blobs.path(row["model"]).write_bytes(b"not what was signed")

    done = {one.mode: one for one in work(store, case.workflow)}

    assert "live" in done
    assert done["live"].rows == 3 * 72


def test_an_edited_definition_stands_in_shadow_beside_the_one_that_is_live(tmp_path: Path) -> None:
    made = cases.make(tmp_path / "made")
    present = Present(cases.BEGAN + timedelta(days=20))
    store = made.copy(tmp_path / "w", present)
    edited = cases.workflow_in(tmp_path / "edited", least=0.5)
    assert edited.hash != made.workflow.hash
    cases.add_release(store, edited, seed=5, to="shadow", present=present)
    cases.put(store, tmp_path, "data", cases.days(made, 0, 2))

    done = {one.mode: one for one in work(store, edited)}

    assert done["live"].rows == done["shadow"].rows == 3 * 48
    assert done["shadow"].counts["none"] < done["live"].counts["none"]
