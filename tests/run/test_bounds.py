"""What a workflow may do alone, ask first, and never do: random actions are fired at it, and none out of bounds gets through."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import EntryPoint
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest
from tests.conftest import SOAK
from tests.run.conftest import Present
from tests.run.test_queue import AT, finding, put

from trunkline import Decision, Guardrail, Receipt, Row, Workflow
from trunkline.core import registry
from trunkline.core.clock import duration
from trunkline.core.errors import NotAllowed, TrunklineError
from trunkline.core.values import Control
from trunkline.decisions import State
from trunkline.run import agreement, queue
from trunkline.run.break_glass import KIND, break_glass
from trunkline.run.deciding import decide
from trunkline.run.deliver import deliver
from trunkline.run.metrics import metrics
from trunkline.store.opened import Store

SHOTS = 100_000 if SOAK > 1 else 10_000
LEVEL = 0.99
ALLOWED = ("reset_cell", "investigate")
ACTIONS = (*ALLOWED, "delete_site", "reset_cell ", "RESET_CELL", "", "investigate;delete_site", "power_off", "*")
CONFIDENCES = (0.995, 0.99, 0.9899999, 0.5, 1.0, 1.0000001, 0.0, -1.0, float("nan"), float("inf"), float("-inf"), 7.0)
CELLS = 40
RAIL = Guardrail(items_per_shift=6, shift="8h", per_element_day=2, hold_off="1h", escalate=1.0, allowed=ALLOWED)
BEGAN = datetime(2026, 11, 16, tzinfo=UTC)


@dataclass(frozen=True)
class Recording:
    """An actuator that does nothing but remember what reached it."""

    is_outside: ClassVar[bool] = True
    reversible: ClassVar[bool] = True
    came: ClassVar[list[dict[str, Any]]] = []

    def act(self, decision: Decision, *, at: datetime, dry_run: bool = False) -> Receipt:
        expires = {"expires_at": at + timedelta(minutes=30), "to": "noc"}
        return Receipt(
            decision=decision.id,
            action="recording",
            state="dry-run" if dry_run else "proposed",
            at=at,
            undo={"how": "message"},
            detail={} if dry_run else expires,
        )

    def message(self, decision: Decision, *, at: datetime, verb: str = "act") -> dict[str, Any]:
        told = {name: getattr(decision, name) for name in ("id", "action", "target", "confidence", "at")}
        return {**told, "verb": verb, "told_at": at}

    def deliver(self, message: Mapping[str, Any], *, key: str) -> dict[str, Any]:
        self.came.append({**message, "key": key})
        return {"ok": True}


@pytest.fixture(autouse=True)
def actuator(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """Registered for as long as a test runs."""
    point = EntryPoint(name="recording", value=f"{Recording.__module__}:Recording", group="trunkline.actions")
    monkeypatch.setitem(registry.names("actions"), "recording", point)
    Recording.came.clear()
    yield Recording.came
    Recording.came.clear()


def fired(workflow: Workflow, control: Control, seed: int) -> tuple[Workflow, Any]:
    """The workflow with a decide that says anything at all about anything, and how it is drawn."""
    shots = random.Random(seed)

    def anything(row: Row, _score: float) -> Decision:
        confidence = shots.choice(CONFIDENCES) if shots.random() < 0.7 else shots.random() * 1.2
        detail = {"watts": shots.choice([1e9, -1.0, 0.0]), "also": shots.choice(ACTIONS)}
        return Decision(shots.choice(ACTIONS), target=row["element"], confidence=confidence, detail=detail)

    return replace(workflow, decide=anything, guardrail=RAIL, act=Recording(), control=control), shots


def fire(store: Store, present: Present, workflow: Workflow, *, shots: int, control: Control, seed: int) -> Counter[str]:
    """Random actions slot by slot, people who approve, reject and break off at random, deliveries in between."""
    aimed, drawn = fired(workflow, control, seed)
    state, rulings = State(), Counter[str]()
    for slot in range(shots // CELLS):
        at = BEGAN + slot * timedelta(minutes=15)
        present.at = at + timedelta(minutes=20)
        rows = pl.DataFrame({"entity": [f"c{n}" for n in range(CELLS)], "at": [at] * CELLS, "known_at": [at + timedelta(minutes=20)] * CELLS})
        done = decide(aimed, rows, np.full(CELLS, 0.5), level=lambda _at: LEVEL, state=state, mode="live", release="r1")
        rulings += done.counts
        if done.findings:
            queue.record(store, aimed, done.findings, rows={}, counts={})
        if slot % 4 == 3:
            for one in queue.listed(store, limit=5):
                present.at = at + timedelta(minutes=drawn.choice([20, 45]))  # half of them when it is too late
                try:
                    queue.step(store, one.id, drawn.choice(["approve", "approve", "reject"]), by="ann", reason="a test")
                except NotAllowed:
                    rulings["too late"] += 1
            queue.expire(store)
            deliver(store)
    deliver(store, limit=10_000)
    return rulings


def out_of_bounds(came: list[dict[str, Any]]) -> list[str]:
    """What reached the actuator and should not have, judged from the messages alone."""
    wrong = []
    shifts, days = Counter[int](), defaultdict[str, list[datetime]](list)
    for one in sorted(came, key=lambda message: message["at"]):
        at = datetime.fromisoformat(one["at"])
        wrong += [f"{one['action']!r}"] if one["action"] not in ALLOWED else []
        wrong += [f"confidence {one['confidence']}"] if not LEVEL <= one["confidence"] <= 1 else []
        shifts[int((at - datetime(1970, 1, 1, tzinfo=UTC)) / duration(RAIL.shift))] += 1
        days[one["target"]].append(at)
    wrong += [f"{count} in shift {shift}" for shift, count in shifts.items() if count > RAIL.items_per_shift]
    for target, times in days.items():
        wrong += [f"{target} again" for first, third in zip(times, times[RAIL.per_element_day :], strict=False) if third - first < timedelta(days=1)]
    return wrong


@pytest.mark.parametrize("control", ["auto", "approve", "advise"])
def test_of_random_actions_none_out_of_bounds_reaches_the_actuator(
    control: Control, store: Store, workflow: Workflow, present: Present, actuator: list[dict[str, Any]]
) -> None:
    rulings = fire(store, present, workflow, shots=SHOTS, control=control, seed=11)

    assert sum(rulings[one] for one in ("admitted", "not allowed", "below level", "same episode", "over budget", "over daily limit")) == SHOTS // CELLS * CELLS
    assert min(rulings[one] for one in ("admitted", "not allowed", "below level", "over budget")) > 0, "each limit was tried"
    assert out_of_bounds(actuator) == []
    assert len({one["key"] for one in actuator}) == len(actuator), "nothing twice"
    by = {entry.body["decision"]: entry.body["by"] for entry in store.journal.entries("decision.approve")}
    if control == "advise":
        assert actuator == []
    if control == "approve":
        assert rulings["too late"] > 0
        assert {by[one["id"]] for one in actuator} == {"ann"}, "a person said so each time, and in time"
    if control == "auto":
        assert len(actuator) == rulings["admitted"]
    assert agreement.disagreements(store) == []


def test_the_judge_of_bounds_finds_each_kind_of_overstepping() -> None:
    good = {"action": "reset_cell", "confidence": 0.995, "at": BEGAN.isoformat(), "target": "c1"}

    assert out_of_bounds([good]) == []
    assert out_of_bounds([{**good, "action": "delete_site"}]) == ["'delete_site'"]
    assert out_of_bounds([{**good, "confidence": 0.98}]) == ["confidence 0.98"]
    assert out_of_bounds([{**good, "target": f"c{n}"} for n in range(7)])[0].startswith("7 in shift")
    assert out_of_bounds([good] * 3) == ["c1 again"]


# --- breaking the glass ---------------------------------------------------------------------------


@pytest.fixture
def acting(workflow: Workflow) -> Workflow:
    return replace(workflow, act=Recording())


def broken(store: Store) -> list[Any]:
    return [entry.body for entry in store.journal.entries(KIND)]


def test_an_approval_that_comes_too_late_is_refused_and_a_named_person_may_break_the_glass(
    store: Store, acting: Workflow, present: Present, actuator: list[dict[str, Any]]
) -> None:
    put(store, acting, finding())
    present.at = AT + timedelta(hours=5)
    with pytest.raises(NotAllowed, match="expired"):
        queue.step(store, "d1", "approve", by="ann", reason="it is down")
    deliver(store)
    assert actuator == []

    assert break_glass(store, "d1", by="ann", reason="it is down, and the site visit is tomorrow", dry_run=True) == "approved"
    assert broken(store) == []
    assert break_glass(store, "d1", by="ann", reason="it is down, and the site visit is tomorrow") == "approved"
    deliver(store)

    (entry,) = broken(store)
    assert (entry["by"], entry["limit"], entry["from"], entry["to"]) == ("ann", "it had expired at 2026-11-20 13:30 UTC", "open", "approved")
    assert [one["target"] for one in actuator] == ["c1"]
    shown = queue.show(store, "d1")
    assert shown.break_glass == "ann, though it had expired at 2026-11-20 13:30 UTC: it is down, and the site visit is tomorrow"
    assert shown.state == "done"
    assert metrics(store)["break_glass"][2] == {(): 1.0}
    assert agreement.disagreements(store) == []


@pytest.mark.parametrize(("control", "before", "limit"), [("approve", "reject", "it had been rejected"), ("advise", "", "the workflow may only advise")])
def test_it_is_said_which_limit_held_it_back(
    control: Control, before: str, limit: str, store: Store, acting: Workflow, present: Present, actuator: list[dict[str, Any]]
) -> None:
    present.at = AT + timedelta(hours=1)
    put(store, replace(acting, control=control), finding())
    if before:
        queue.step(store, "d1", before, by="bea", reason="not now")

    break_glass(store, "d1", by="ann", reason="the minister calls")
    deliver(store)

    assert broken(store)[0]["limit"] == limit
    assert [one["target"] for one in actuator] == ["c1"]


def test_the_glass_is_not_for_what_nothing_holds_back(store: Store, acting: Workflow, present: Present) -> None:
    present.at = AT + timedelta(hours=1)
    put(store, acting, finding("d1"), finding("d2", mode="shadow"), finding("d3", mode="replay"))

    for decision, state in (("d1", "open"), ("d2", "shadow"), ("d3", "replayed")):
        with pytest.raises(NotAllowed, match=f"is {state}: no limit holds it back"):
            break_glass(store, decision, by="ann", reason="hurry")
    for by, reason in (("", "hurry"), ("ann", "")):
        with pytest.raises(NotAllowed, match="answers for it, with a reason"):
            break_glass(store, "d1", by=by, reason=reason)
    assert broken(store) == []


def test_an_advised_action_that_is_registered_nowhere_is_left_to_the_person(store: Store, acting: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(registry.names("actions"), "recording")

    put(store, replace(acting, control="advise"), finding())

    assert break_glass(store, "d1", by="ann", reason="by hand") == "approved"
    assert queue.show(store, "d1").outside == ()
    with pytest.raises(TrunklineError, match="is not registered"):
        put(store, acting, finding("d2"))
