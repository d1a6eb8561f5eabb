"""The queue: who may do what when, every step in the journal, all or nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from trunkline import Workflow
from trunkline.core import config
from trunkline.core.errors import BadInput, NotAllowed, UnknownName
from trunkline.core.values import Decision, Reason
from trunkline.run import queue
from trunkline.run.deciding import Finding, Mode
from trunkline.store import catalogue
from trunkline.store.opened import Store, open_store

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
REASON = Reason(column="volume", text="volume 98 % below its usual Friday 12:00", weight=1.0)


def finding(name: str = "d1", *, confidence: float = 0.99, mode: Mode = "live", target: str = "c1", **detail: Any) -> Finding:
    decision = Decision(
        "investigate",
        target=target,
        confidence=confidence,
        reasons=(REASON,),
        detail=detail,
        id=f"{name}{'0' * (16 - len(name))}",
        workflow="strange",
        release="r1",
        at=AT,
        known_at=AT + timedelta(hours=1),
        mode=mode,
    )
    return Finding(decision, AT)


def put(store: Store, workflow: Workflow, *findings: Finding, rows: dict[str, Any] | None = None) -> None:
    queue.record(store, workflow, findings, rows=rows or {}, counts={})


def journal(store: Store, kind: str | None = None) -> list[Any]:
    return [entry.body for entry in store.journal.entries(kind)]


def kinds(store: Store) -> list[str]:
    return [entry.kind for entry in store.journal.entries()]


# --- recording ------------------------------------------------------------------------------------


def test_a_live_decision_is_proposed_and_rests_with_the_row_it_was_taken_on(store: Store, workflow: Workflow) -> None:
    row = {"entity": "c1", "at": AT, "volume": 2.0, "gone": float("nan"), "unknown": None}

    put(store, workflow, finding(), rows={finding().decision.id: row})

    (one,) = queue.listed(store)
    assert (one.state, one.target, one.route, one.reasons) == ("open", "c1", "noc", (REASON.text,))
    assert one.expires_at == AT + timedelta(hours=9)  # known at 13:00, eight hours
    assert one.row == {"entity": "c1", "at": "2026-11-20T12:00:00.000000Z", "volume": 2.0, "gone": None, "unknown": None}
    assert kinds(store) == ["decision", "receipt"]
    assert journal(store, "decision")[0]["reasons"] == [REASON.text]
    assert journal(store, "receipt")[0]["state"] == "proposed"


@pytest.mark.parametrize(
    ("mode", "control", "state"),
    [("live", "approve", "open"), ("live", "advise", "advised"), ("shadow", "approve", "shadow"), ("replay", "approve", "replayed")],
)
def test_only_what_is_live_and_has_to_be_asked_for_is_in_the_queue(mode: Mode, control: Any, state: str, store: Store, workflow: Workflow) -> None:
    put(store, replace(workflow, control=control), finding(mode=mode))

    assert [one.state for one in queue.listed(store, state=None)] == [state]
    assert [one.state for one in queue.listed(store)] == ([state] if state == "open" else [])
    assert journal(store, "receipt")[0]["state"] == ("proposed" if state == "open" else "dry-run")


def test_the_same_finding_twice_is_recorded_once_and_only_lasts_longer(store: Store, workflow: Workflow) -> None:
    first = finding()
    put(store, workflow, first)
    queue.step(store, "d1", "approve", by="ann", reason="looked")

    put(store, workflow, replace_until(first, AT + timedelta(hours=3)))

    (one,) = queue.listed(store, state=None)
    assert (one.state, one.until) == ("approved", AT + timedelta(hours=3))
    assert kinds(store) == ["decision", "receipt", "decision.approve"]


def replace_until(one: Finding, until: datetime) -> Finding:
    return Finding(one.decision, until)


def test_what_was_not_said_is_counted_in_the_journal(store: Store, workflow: Workflow) -> None:
    queue.record(store, workflow, [], rows={}, counts={"none": 190, "below level": 2})

    assert journal(store, "decided") == [{"workflow": "strange", "counts": {"none": 190, "below level": 2}}]


def test_an_error_in_the_middle_leaves_neither_a_row_nor_an_entry(store: Store, workflow: Workflow) -> None:
    class Broken:
        reversible = True

        def act(self, decision: Decision, *, at: datetime, dry_run: bool) -> Any:
            if decision.target == "c2":
                raise ConnectionError("the ticket system is gone")
            return workflow.act.act(decision, at=at, dry_run=dry_run)

    with pytest.raises(ConnectionError):
        put(store, replace(workflow, act=Broken()), finding("d1"), finding("d2", target="c2"))

    assert queue.listed(store, state=None) == []
    assert kinds(store) == []
    assert store.journal.verify().ok


def test_a_journal_that_cannot_be_written_takes_the_decision_back(store: Store, workflow: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, workflow, finding())

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(type(store.journal), "append", full)
        with pytest.raises(OSError, match="no space left"):
            queue.step(store, "d1", "approve", by="ann", reason="looked")
        with pytest.raises(OSError, match="no space left"):
            queue.outcome(store, "d1", "wrong", by="ann")

    assert queue.show(store, "d1").state == "open"
    assert catalogue.rows(store.engine, catalogue.outcomes) == []
    assert queue.step(store, "d1", "approve", by="ann", reason="again") == "approved"


# --- steps ----------------------------------------------------------------------------------------

STATES = ("open", "approved", "rejected", "done", "expired", "advised", "shadow", "replayed")
LEADS_TO = {("approve", "open"): "approved", ("reject", "open"): "rejected", **{("undo", state): "open" for state in ("approved", "rejected", "done")}}


def in_state(store: Store, workflow: Workflow, state: str) -> None:
    put(store, workflow, finding())
    with store.engine.begin() as connection:
        catalogue.change(connection, catalogue.decisions, finding().decision.id, state=state)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("verb", ["approve", "reject", "undo"])
def test_every_step_follows_only_from_where_it_may(verb: str, state: str, store: Store, workflow: Workflow) -> None:
    in_state(store, workflow, state)
    before = kinds(store)

    if (verb, state) in LEADS_TO:
        assert queue.step(store, "d1", verb, by="ann", reason="why") == LEADS_TO[verb, state]
        assert queue.show(store, "d1").state == LEADS_TO[verb, state]
        assert journal(store, f"decision.{verb}") == [
            {"decision": finding().decision.id, "by": "ann", "reason": "why", "from": state, "to": LEADS_TO[verb, state]}
        ]
        return
    with pytest.raises(NotAllowed, match=f"is {state}") as refused:
        queue.step(store, "d1", verb, by="ann", reason="why")
    assert refused.value.allowed.startswith(f"{verb} follows ")
    assert queue.show(store, "d1").state == state
    assert kinds(store) == before


@pytest.mark.parametrize("verb", ["approve", "reject", "undo"])
def test_a_dry_run_says_what_would_be_and_changes_nothing(verb: str, store: Store, workflow: Workflow) -> None:
    state = "approved" if verb == "undo" else "open"
    in_state(store, workflow, state)
    before = kinds(store)

    assert queue.step(store, "d1", verb, by="ann", reason="why", dry_run=True) == LEADS_TO[verb, state]

    assert queue.show(store, "d1").state == state
    assert kinds(store) == before


def test_a_dry_run_is_refused_where_the_step_would_be(store: Store, workflow: Workflow) -> None:
    in_state(store, workflow, "rejected")

    with pytest.raises(NotAllowed, match="is rejected"):
        queue.step(store, "d1", "approve", by="ann", reason="why", dry_run=True)


@pytest.mark.parametrize(("by", "reason", "what"), [("", "why", "Somebody has to answer"), ("ann", "", "needs a reason")])
def test_a_step_needs_somebody_who_answers_and_a_reason(by: str, reason: str, what: str, store: Store, workflow: Workflow) -> None:
    put(store, workflow, finding())

    with pytest.raises(NotAllowed, match=what) as refused:
        queue.step(store, "d1", "approve", by=by, reason=reason)

    assert refused.value.next_step.startswith("--")
    assert queue.show(store, "d1").state == "open"


def test_of_two_people_at_once_the_second_is_told_what_the_first_did(store: Store, workflow: Workflow) -> None:
    put(store, workflow, finding())
    queue.step(store, "d1", "approve", by="ann", reason="looked")

    with pytest.raises(NotAllowed, match="is approved"):
        queue.step(store, "d1", "reject", by="bob", reason="not worth it")

    assert queue.step(store, "d1", "undo", by="bob", reason="not worth it") == "open"
    assert queue.step(store, "d1", "reject", by="bob", reason="not worth it") == "rejected"
    assert [body["by"] for kind in ("approve", "undo", "reject") for body in journal(store, f"decision.{kind}")] == ["ann", "bob", "bob"]


# --- time -----------------------------------------------------------------------------------------


def test_what_nobody_took_in_time_expires_and_cannot_be_approved_any_more(store: Store, workflow: Workflow, present: Any) -> None:
    put(store, workflow, finding())
    present.at = AT + timedelta(hours=9) - timedelta(microseconds=1)
    assert queue.expire(store) == 0
    present.at = AT + timedelta(hours=9)

    with pytest.raises(NotAllowed, match="expired at 2026-11-20 21:00 UTC"):
        queue.step(store, "d1", "approve", by="ann", reason="late")
    assert queue.expire(store) == 1

    assert queue.show(store, "d1").state == "expired"
    assert journal(store, "decision.expire") == [{"decision": finding().decision.id}]
    with pytest.raises(NotAllowed, match="is expired"):
        queue.step(store, "d1", "approve", by="ann", reason="late")


def test_only_what_is_open_expires_and_only_once(store: Store, workflow: Workflow, present: Any) -> None:
    put(store, workflow, finding("d1"), finding("d2", target="c2"))
    queue.step(store, "d1", "approve", by="ann", reason="looked")
    present.at = AT + timedelta(days=9)

    assert (queue.expire(store), queue.expire(store)) == (1, 0)
    assert {one.id[:2]: one.state for one in queue.listed(store, state=None)} == {"d1": "approved", "d2": "expired"}


def test_an_expired_decision_still_gets_its_outcome(store: Store, workflow: Workflow, present: Any) -> None:
    put(store, workflow, finding())
    present.at = AT + timedelta(days=1)
    queue.expire(store)

    assert queue.outcome(store, "d1", "confirmed", by="ann", note="it was down").verdict == "confirmed"


# --- outcomes -------------------------------------------------------------------------------------


def test_a_wrong_outcome_keeps_the_snapshot_it_can_be_learned_from(store: Store, workflow: Workflow) -> None:
    put(store, workflow, finding(ticket="INC-1"), rows={finding().decision.id: {"volume": 2.0}})

    said = queue.outcome(store, "d1", "wrong", by="ann", note="planned work")

    (entry,) = journal(store, "outcome")
    assert (said.verdict, said.by, said.note) == ("wrong", "ann", "planned work")
    assert entry["snapshot"]["row"] == {"volume": 2.0}
    assert entry["snapshot"]["reasons"] == [REASON.text]
    assert entry["snapshot"]["detail"] == {"ticket": "INC-1"}
    assert entry["by"] == "ann"


@pytest.mark.parametrize("verdict", ["confirmed", "unknown"])
def test_other_outcomes_are_kept_without_a_snapshot(verdict: str, store: Store, workflow: Workflow) -> None:
    put(store, workflow, finding())

    queue.outcome(store, "d1", verdict, by="ann")

    assert "snapshot" not in journal(store, "outcome")[0]
    assert queue.show(store, "d1").outcome == verdict


def test_the_last_word_is_shown_and_every_word_is_kept(store: Store, workflow: Workflow) -> None:
    put(store, workflow, finding())
    for verdict in ("unknown", "wrong", "confirmed"):
        queue.outcome(store, "d1", verdict, by="ann")

    assert queue.show(store, "d1").outcome == "confirmed"
    assert [body["verdict"] for body in journal(store, "outcome")] == ["unknown", "wrong", "confirmed"]


@pytest.mark.parametrize("state", ["shadow", "replayed"])
def test_what_nobody_acted_on_has_no_outcome(state: str, store: Store, workflow: Workflow) -> None:
    in_state(store, workflow, state)

    with pytest.raises(NotAllowed, match="nobody acted on it"):
        queue.outcome(store, "d1", "wrong", by="ann")


def test_an_outcome_in_a_dry_run_changes_nothing_and_a_word_that_is_none_is_refused(store: Store, workflow: Workflow) -> None:
    put(store, workflow, finding())
    before = kinds(store)

    assert queue.outcome(store, "d1", "wrong", by="ann", dry_run=True).verdict == "wrong"
    with pytest.raises(BadInput, match="'maybe' is no verdict") as refused:
        queue.outcome(store, "d1", "maybe", by="ann")

    assert refused.value.allowed == "confirmed, wrong, unknown"
    assert queue.show(store, "d1").outcome == ""
    assert kinds(store) == before


def test_outcomes_become_labels(store: Store, workflow: Workflow) -> None:
    put(store, workflow, finding("d1"), finding("d2", target="c2"), finding("d3", target="c3"))
    queue.outcome(store, "d1", "confirmed", by="ann")
    queue.outcome(store, "d2", "wrong", by="ann")
    queue.outcome(store, "d3", "unknown", by="ann")

    assert sorted(queue.labels(store).select("entity", "label", "weight").rows()) == [("c1", 1, 1.0), ("c2", 0, 1.0)]
    assert queue.labels(store, "another").is_empty()


# --- finding one ----------------------------------------------------------------------------------


def test_the_first_letters_of_an_id_are_enough_when_they_are_ones_own(store: Store, workflow: Workflow) -> None:
    put(store, workflow, finding("ab1"), finding("ab2", target="c2"), finding("b", target="c3"))

    assert queue.show(store, "b").target == "c3"
    assert queue.show(store, "ab2").target == "c2"
    with pytest.raises(BadInput, match="'ab' begins 2 or more ids") as refused:
        queue.show(store, "ab")
    assert "ab10" in refused.value.next_step


@pytest.mark.parametrize("given", ["zz", "%", "_", "ab1%", "'; drop table decisions; --"])
def test_an_id_that_is_none_shows_those_there_are_and_signs_mean_themselves(given: str, store: Store, workflow: Workflow) -> None:
    put(store, workflow, finding("ab1"))

    with pytest.raises(UnknownName, match="There is no decision") as refused:
        queue.show(store, given)

    assert finding("ab1").decision.id in refused.value.allowed


def test_decisions_are_listed_the_most_confident_first(store: Store, workflow: Workflow) -> None:
    put(store, workflow, *(finding(f"d{n}", confidence=c, target=f"c{n}") for n, c in enumerate((0.991, 0.999, 0.995))))

    assert [one.confidence for one in queue.listed(store, limit=2)] == [0.999, 0.995]
    assert queue.listed(store, workflow="another") == []
    assert str(queue.listed(store)[0]).startswith("d1")


# --- the whole life, at random --------------------------------------------------------------------


class Life(RuleBasedStateMachine):
    """A decision in the hands of people, clocks and dry runs; beside it the plainest model of what may happen."""

    workflow: Workflow
    made: Callable[[Path, Any], Store]

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = [AT + timedelta(hours=1)]
        self.store = self.made(Path(self.folder.name), lambda: self.clock[0])
        put(self.store, self.workflow, finding())
        self.state, self.verdict, self.entries = "open", "", 2

    @rule(verb=st.sampled_from(["approve", "reject", "undo"]), dry_run=st.booleans(), by=st.sampled_from(["ann", "bob"]))
    def step(self, verb: str, dry_run: bool, by: str) -> None:
        is_over = self.clock[0] >= AT + timedelta(hours=9) and self.state == "open" and verb != "undo"
        to = LEADS_TO.get((verb, self.state))
        if is_over or to is None:
            with pytest.raises(NotAllowed):
                queue.step(self.store, "d1", verb, by=by, reason="why", dry_run=dry_run)
        else:
            assert queue.step(self.store, "d1", verb, by=by, reason="why", dry_run=dry_run) == to
            if not dry_run:
                self.state, self.entries = to, self.entries + 1

    @rule(verdict=st.sampled_from(["confirmed", "wrong", "unknown"]), dry_run=st.booleans())
    def outcome(self, verdict: str, dry_run: bool) -> None:
        queue.outcome(self.store, "d1", verdict, by="ann", dry_run=dry_run)
        if not dry_run:
            self.verdict, self.entries = verdict, self.entries + 1

    @rule(hours=st.integers(1, 6))
    def wait(self, hours: int) -> None:
        self.clock[0] += timedelta(hours=hours)

    @rule()
    def sweep(self) -> None:
        is_over = self.state == "open" and self.clock[0] >= AT + timedelta(hours=9)
        assert queue.expire(self.store) == int(is_over)
        if is_over:
            self.state, self.entries = "expired", self.entries + 1

    @rule()
    def say_it_again(self) -> None:
        put(self.store, self.workflow, finding())

    @invariant()
    def the_catalogue_and_the_journal_say_the_same(self) -> None:
        if hasattr(self, "store"):
            one = queue.show(self.store, "d1")
            assert (one.state, one.outcome, self.store.journal.size) == (self.state, self.verdict, self.entries)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            assert self.store.journal.verify().ok
            self.store.close()
            self.folder.cleanup()


def test_whatever_people_do_in_whatever_order_the_state_is_one_that_may_follow(workflow: Workflow) -> None:
    def made(folder: Path, clock: Any) -> Store:
        return open_store(folder / "w", config.read(folder / "w", flags={"keys": str(folder / "keys")}, environment={}), clock=clock, create=True)

    Life.workflow, Life.made = workflow, staticmethod(made)

    run_state_machine_as_test(Life, settings=settings(max_examples=15, stateful_step_count=20, deadline=None))
