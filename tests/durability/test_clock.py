"""The clock jumps back and forth: no decision is taken twice, nothing that was over begins again, and nobody waits for a year."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.durability.outside import Outside
from tests.run import at_work_case as cases
from tests.run.conftest import MONDAY, Present

from trunkline import Workflow, actions, workspace
from trunkline.core.errors import NotAllowed
from trunkline.core.values import Decision
from trunkline.run import hand_over, queue
from trunkline.run.at_work import AtWork
from trunkline.run.deciding import Finding
from trunkline.run.deliver import LONGEST_PAUSE, deliver
from trunkline.store import catalogue, commands, outbox, owner
from trunkline.store.opened import Store
from trunkline.workspace import Workspace

HOUR, DAY, YEAR = timedelta(hours=1), timedelta(days=1), timedelta(days=365)
NOW = datetime.fromisoformat("2026-11-20T14:00:00+00:00")
ID = "d1".ljust(16, "0")


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> cases.Case:
    made = cases.make(tmp_path_factory.mktemp("clock"), elements=("a", "b"))
    store = made.open(made.folder)
    cases.put(store, made.folder.parent, "data", cases.days(made, 2.2, 3.2))
    store.close()
    return made


@pytest.fixture(scope="module")
def straight(case: cases.Case, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """What a clock that only goes on gives."""
    store = case.copy(tmp_path_factory.mktemp("straight") / "w")
    with AtWork.open(store, case.workflow) as at_work:
        at_work.step()
    return store


@pytest.fixture
def present() -> Present:
    return Present(NOW)


@pytest.fixture
def opened(tmp_path: Path, present: Present) -> Workspace:
    return workspace.create(tmp_path / "w", clock=present, flags={"keys": str(tmp_path / "keys"), "operator": "ann"})


def decided(store: Store) -> list[tuple[str, str]]:
    """Every decision with its receipt as the journal has it."""
    return [one for one in cases.said(store) if one[0] != "decided"]


def propose(opened: Workspace, workflow: Workflow, at: datetime) -> None:
    one = Decision("investigate", target="c1", confidence=0.99, id=ID, workflow=workflow.name, release="r1", at=at, known_at=at)
    queue.record(opened.store, workflow, [Finding(one, at)], rows={}, counts={})


@pytest.fixture
def workflow(tmp_path: Path) -> Workflow:
    return cases.workflow_in(tmp_path / "workflow")


@pytest.mark.parametrize("jump", [-HOUR, -DAY, YEAR], ids=["an hour back", "a day back", "a year on"])
def test_a_clock_that_jumps_between_steps_doubles_no_decision(case: cases.Case, straight: Store, tmp_path: Path, jump: timedelta) -> None:
    begin = MONDAY + timedelta(weeks=cases.TRAINED)
    clock = Present(begin + timedelta(days=2, hours=14))
    store = case.copy(tmp_path / "w", clock)
    with AtWork.open(store, case.workflow) as at_work:
        for moment in (clock.at, clock.at + jump, clock.at + 4 * HOUR, clock.at + 4 * HOUR + jump, begin + 40 * DAY):
            clock.at = moment
            at_work.step()

    assert decided(store) == decided(straight) != []
    assert cases.decisions(store) == cases.decisions(straight)
    assert store.journal.verify().ok


@pytest.mark.parametrize("seed", range(2))
def test_a_clock_that_jumps_at_every_look_doubles_no_decision(case: cases.Case, straight: Store, tmp_path: Path, seed: int) -> None:
    chance, store = random.Random(seed), case.copy(tmp_path / "w")
    jumping = replace(store, clock=lambda: cases.BEGAN + timedelta(days=30) + chance.choice((-HOUR, timedelta(), DAY, YEAR)))
    for _ in range(2):
        with AtWork.open(jumping, case.workflow) as at_work:
            at_work.step()

    assert decided(store) == decided(straight)
    assert cases.remembered(store) == cases.remembered(straight)


@pytest.mark.parametrize("jump", [-DAY, YEAR])
def test_the_journal_keeps_its_order_and_the_times_that_were_told(opened: Workspace, present: Present, jump: timedelta) -> None:
    times = [NOW, NOW + jump, NOW + HOUR]
    for number, present.at in enumerate(times):
        opened.store.journal.append("note", {"number": number})

    entries = list(opened.store.journal.entries("note"))
    assert [entry.body["number"] for entry in entries] == [0, 1, 2]
    assert [entry.at for entry in entries] == times
    assert opened.audit.verify().ok


def test_what_expired_stays_expired_when_the_clock_goes_back(opened: Workspace, present: Present, workflow: Workflow) -> None:
    propose(opened, workflow, NOW)
    present.at = NOW + YEAR
    assert queue.expire(opened.store) == 1
    present.at = NOW + HOUR

    assert queue.expire(opened.store) == 0
    with pytest.raises(NotAllowed, match="is expired"):
        opened.decisions.approve(ID, reason="seen")
    assert [entry.body["decision"] for entry in opened.store.journal.entries("decision.expire")] == [ID]


def test_a_clock_that_went_back_expires_nothing_early_and_everything_in_its_time(opened: Workspace, present: Present, workflow: Workflow) -> None:
    propose(opened, workflow, NOW)
    present.at = NOW - DAY
    assert queue.expire(opened.store) == 0
    present.at = NOW + 8 * HOUR

    assert queue.expire(opened.store) == 1


@pytest.mark.parametrize("jump", [-HOUR, YEAR], ids=["asked in the future", "asked long ago"])
def test_a_command_is_not_carried_out_by_another_clock_than_it_was_asked_by(opened: Workspace, present: Present, workflow: Workflow, jump: timedelta) -> None:
    propose(opened, workflow, NOW)
    asked = commands.ask(opened.store, "decision.approve", {"decision": ID, "by": "ann", "reason": "seen", "dry_run": False}, by="ann", reason="seen", id="c1")
    present.at = NOW + jump
    with owner.take(opened.store, "a test") as mine, mine.acting():  # type: ignore[union-attr]
        hand_over.carry_out_waiting(opened.store)

    with pytest.raises(NotAllowed, match="15 minutes, so it was not done") as refused:
        commands.get(opened.store, asked.id).result()  # type: ignore[union-attr]
    assert "Ask for it again" in str(refused.value)
    assert opened.decisions.show(ID).state == "open"


def test_a_command_whose_answer_a_wrong_clock_forgot_is_not_carried_out_again(opened: Workspace, present: Present, workflow: Workflow) -> None:
    propose(opened, workflow, NOW)
    with hand_over.under("c1"):
        opened.decisions.approve(ID, reason="seen")
    present.at = NOW + YEAR
    commands.tidy(opened.store)
    present.at = NOW

    with hand_over.under("c1"), pytest.raises(NotAllowed):
        opened.decisions.approve(ID, reason="seen")
    assert len(list(opened.store.journal.entries("decision.approve"))) == 1


def test_who_owns_the_workspace_does_not_depend_on_a_clock(opened: Workspace, present: Present) -> None:
    with owner.take(opened.store, "the first"):  # type: ignore[union-attr]
        for present.at in (NOW - DAY, NOW + YEAR):
            assert owner.take(opened.store, "the second") is None
    assert owner.owner_of(opened.store) is None


@pytest.fixture
def outside() -> Any:
    made = Outside()
    yield made
    made.close()


def test_what_a_clock_put_off_for_a_year_goes_out_when_it_is_right_again(
    opened: Workspace, present: Present, workflow: Workflow, outside: Outside, tmp_path: Path
) -> None:
    told = replace(workflow, act=actions.Notify(to=outside.url), control="approve")
    propose(opened, told, NOW)
    present.at = NOW + YEAR
    opened.decisions.approve(ID, reason="seen")
    present.at = NOW
    assert len(outside.held) == 0

    deliver(opened.store)
    deliver(opened.store)

    assert list(outside.came.values()) == [1]
    assert opened.decisions.show(ID).state == "done"


def test_a_pause_after_a_failure_is_kept_to(opened: Workspace, present: Present, workflow: Workflow) -> None:
    unheard: Callable[[], str] = lambda: "http://127.0.0.1:9/new"  # noqa: E731
    propose(opened, replace(workflow, act=actions.Notify(to=unheard(), timeout="1s"), control="auto"), NOW)
    deliver(opened.store)
    (waits,) = outbox.in_state(opened.store.engine, "waiting")

    assert NOW < waits.next_at <= NOW + LONGEST_PAUSE
    assert outbox.due(opened.store.engine, NOW) == []
    assert catalogue.rows(opened.store.engine, catalogue.decisions)[0]["state"] == "approved"
