"""What is deployed decides on what is new: once, in order, and as if it had never been stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trunkline import Workflow, gates
from trunkline.core.errors import NotAllowed
from trunkline.decisions import State
from trunkline.run import gather, queue, releases
from trunkline.run.load import load
from trunkline.run.train import train
from trunkline.run.work import Worked, work
from trunkline.store.opened import Store

SHADOW = timedelta(days=7)
HOW: dict[str, Any] = {"release": None, "by": "ann", "reason": "looked at it", "waiver": "", "dry_run": False}
Run = Callable[[float], list[Worked]]


@pytest.fixture(scope="module")
def fair(workflow: Workflow) -> Workflow:
    return replace(workflow, gates=(gates.Parity(),))


@pytest.fixture
def deployed(store: Store, fair: Workflow, write_csv: Callable[..., Path], present: Any) -> Store:
    """Trained on four weeks, in shadow."""
    load(store, [write_csv("history.csv", weeks=4)])
    found = gather.gather(store, fair)
    releases.keep(store, train(found.workflow, found.facts, context=found.context, signer=store.signer, at=store.clock(), seed=3))
    releases.forward(store, fair, **HOW)
    present.at += SHADOW
    return store


@pytest.fixture
def until(deployed: Store, fair: Workflow, write_csv: Callable[..., Path]) -> Run:
    """Load what is known after so many weeks, and let the workflow decide on it."""

    def run(weeks: float) -> list[Worked]:
        load(deployed, [write_csv(f"until-{weeks}.csv", weeks=weeks)])
        return work(deployed, fair)

    return run


def recorded(store: Store) -> list[tuple[str, str, datetime, float]]:
    return sorted((one.id, one.target, one.at, one.confidence) for one in queue.listed(store, state=None))


def test_a_shadow_decides_and_is_in_nobodys_queue(until: Run, deployed: Store, outage: tuple[datetime, datetime]) -> None:
    (done,) = until(4.5)

    assert done.mode == "shadow"
    assert any(f.entity == "a" and outage[0] <= f.at < outage[1] for f in done.findings)
    assert queue.listed(deployed) == []
    assert {one.state for one in queue.listed(deployed, state=None)} == {"shadow"}
    assert done.rows == sum(done.counts.values()) == 2 * 84


def test_what_is_live_fills_the_queue(until: Run, deployed: Store, fair: Workflow) -> None:
    releases.forward(deployed, fair, **HOW)

    (done,) = until(4.5)

    assert done.mode == "live"
    assert {one.id for one in queue.listed(deployed)} == {f.decision.id for f in done.findings}


def test_what_was_decided_is_not_decided_again(until: Run, deployed: Store) -> None:
    until(4.5)
    before = recorded(deployed)

    (again,) = until(4.5)

    assert (again.rows, again.findings) == (0, ())
    assert recorded(deployed) == before


@pytest.mark.parametrize("cut", [4 + (48 + 12) / 168, 4 + 30 / 168])
def test_stopped_and_started_it_says_what_it_would_have_said(
    cut: float, until: Run, deployed: Store, fair: Workflow, outage: tuple[datetime, datetime]
) -> None:
    (first,) = until(cut)
    (second,) = until(4.5)

    (row,) = [releases.in_state(deployed, "strange", "shadow")]
    assert row is not None
    parts = recorded(deployed)
    assert first.until == second.since
    assert first.rows + second.rows == 2 * 84
    whole = _whole(deployed, fair)
    assert [(f.entity, f.at) for f in (*first.findings, *second.findings)] == [(f.entity, f.at) for f in whole]
    assert len(parts) == len(whole)


def _whole(store: Store, fair: Workflow) -> list[Any]:
    """What the release in shadow says of all that is new when it is asked once, without a trace."""
    from trunkline.run.follow import Batch, follow

    row = releases.in_state(store, "strange", "shadow")
    assert row is not None
    found = gather.gather(store, fair)
    assert found.workflow.features is not None
    since = datetime.fromisoformat(row["body"]["training"]["last"]) + found.context.every + found.workflow.features.delay
    kpis = found.facts.kpis
    ticks = [since + timedelta(hours=n) for n in range(1, 97)]
    known = kpis["known_at"]
    batches = [Batch(at, kpis.filter((known > at - timedelta(hours=1)) & (known <= at))) for at in ticks]
    steps = follow(
        found.workflow,
        features=gather.bound(found),
        fitted=releases.fitted(store, row),
        level=row["body"]["policy"]["level"],
        release=row["id"],
        before=replace(found.facts, kpis=kpis.filter(kpis["known_at"] <= since)),
        batches=batches,
        start=since,
        mode="shadow",
    )
    return [finding for step in steps for finding in step.findings]


def test_a_run_that_was_cut_off_leaves_nothing_of_the_batch_it_was_at(until: Run, deployed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from trunkline.store import positions

    def cut_off(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(positions, "remember", cut_off)
        until(4.5)

    assert recorded(deployed) == []
    assert list(deployed.journal.entries("decision")) == list(deployed.journal.entries("decided")) == []

    until(4.5)

    assert len(list(deployed.journal.entries("decision"))) == len(recorded(deployed)) > 0


def test_an_edited_workflow_does_not_decide_with_a_model_made_for_another(until: Run, deployed: Store, fair: Workflow) -> None:
    until(4.1)

    with pytest.raises(NotAllowed, match="is shadow for another definition of 'strange'"):
        work(deployed, replace(fair, safe_default="ask"))


def test_nothing_deployed_is_told_with_what_to_do(store: Store, fair: Workflow) -> None:
    with pytest.raises(NotAllowed, match="Nothing of 'strange' is live or in shadow") as refused:
        work(store, fair)

    assert "trunkline workflow train strange" in refused.value.next_step


def test_what_deciding_remembers_rests_as_plain_values(until: Run, deployed: Store) -> None:
    from trunkline.store import catalogue

    until(4.5)

    (row,) = catalogue.rows(deployed.engine, catalogue.states)
    again = State.from_plain(row["body"]["state"])
    assert again.plain() == row["body"]["state"]
    assert again.episodes
    assert all(episode.last.tzinfo is not None and episode.said for episode in again.episodes.values())
