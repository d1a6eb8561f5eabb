"""A release at work says what history says: the same scores, the same findings, as the facts arrive."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from trunkline import Workflow
from trunkline.core.frames import Facts
from trunkline.decisions import State
from trunkline.features import Features, history
from trunkline.models import Context, Fitted
from trunkline.run import queue
from trunkline.run.deciding import decide
from trunkline.run.follow import Batch, Step, follow
from trunkline.store.opened import Store

HOUR = timedelta(hours=1)
LEVEL = 0.99


@pytest.fixture(scope="module")
def bound(workflow: Workflow) -> Features:
    assert workflow.features is not None
    return workflow.features.bind(["volume"])


@pytest.fixture(scope="module")
def begin(outage: tuple[datetime, datetime]) -> datetime:
    return outage[0] - timedelta(days=1)


@pytest.fixture(scope="module")
def fitted(workflow: Workflow, facts: Facts, bound: Features, context: Context, begin: datetime) -> Fitted:
    rows = history(bound, facts)
    fit: Fitted = workflow.model.fit(rows.filter(pl.col("known_at") <= begin), context=context, seed=3)
    return fit


def batches(facts: Facts, *, after: datetime, until: datetime, every: timedelta = HOUR) -> list[Batch]:
    """Facts as they become known, tick by tick."""
    found, at = [], after
    while at < until:
        found.append(Batch(at + every, facts.kpis.filter((pl.col("known_at") > at) & (pl.col("known_at") <= at + every))))
        at += every
    return found


def at_work(
    workflow: Workflow, facts: Facts, bound: Features, fitted: Fitted, *, begin: datetime, until: datetime, every: timedelta = HOUR, **how: Any
) -> list[Step]:
    before = replace(facts, kpis=facts.kpis.filter(pl.col("known_at") <= begin))
    found = batches(facts, after=begin, until=until, every=every)
    return list(follow(workflow, features=bound, fitted=fitted, level=LEVEL, release="r1", before=before, batches=found, start=begin, mode="live", **how))


@pytest.fixture(scope="module")
def steps(workflow: Workflow, facts: Facts, bound: Features, fitted: Fitted, begin: datetime, outage: tuple[datetime, datetime]) -> list[Step]:
    return at_work(workflow, facts, bound, fitted, begin=begin, until=outage[1] + timedelta(days=1))


def test_live_scores_are_those_of_history(steps: list[Step], facts: Facts, bound: Features, fitted: Fitted) -> None:
    rows = history(bound, facts)
    past = rows.with_columns(score=pl.Series(fitted.score(rows)))
    live = pl.concat([step.rows.with_columns(score=pl.Series(step.scores)) for step in steps])

    both = live.join(past, on=["entity", "at"], suffix="_past")

    assert both.height == live.height >= 2 * 57
    for name in ("known_at", "volume"):
        assert both[name].equals(both[f"{name}_past"], check_names=False), name
    np.testing.assert_allclose(both["score"], both["score_past"], rtol=0, atol=1e-12)


def test_live_decisions_are_those_of_a_replay_with_the_same_fit(steps: list[Step], workflow: Workflow, facts: Facts, bound: Features, fitted: Fitted) -> None:
    first, last = steps[0].rows["at"].min(), steps[-1].rows["at"].max()
    rows = history(bound, facts)
    judged = rows["at"].is_between(first, last)

    past = decide(workflow, rows.filter(judged), fitted.score(rows)[judged.to_numpy()], level=lambda _at: LEVEL, state=State(), mode="live", release="r1")

    said = [finding for step in steps for finding in step.findings]
    assert said
    assert [(f.decision.id, f.entity, f.at, f.until) for f in said] == [(f.decision.id, f.entity, f.at, f.until) for f in past.findings]
    assert sum((step.counts for step in steps), start=type(past.counts)()) == past.counts


def test_it_tells_of_the_outage_while_it_lasts(steps: list[Step], outage: tuple[datetime, datetime]) -> None:
    told = [(step.known_at, f) for step in steps for f in step.findings if f.entity == "a" and outage[0] <= f.at < outage[1]]

    known_at, finding = told[0]
    assert known_at < outage[1]
    assert known_at - finding.at <= 2 * HOUR + timedelta(minutes=10)
    assert "below its usual" in finding.decision.reasons[0].text


def test_files_that_come_in_bundles_lead_to_the_same_decisions(
    steps: list[Step], workflow: Workflow, facts: Facts, bound: Features, fitted: Fitted, begin: datetime, outage: tuple[datetime, datetime]
) -> None:
    bundled = at_work(workflow, facts, bound, fitted, begin=begin, until=outage[1] + timedelta(days=1), every=6 * HOUR)

    assert len(bundled) < len(steps)
    assert [f.decision.id for step in bundled for f in step.findings] == [f.decision.id for step in steps for f in step.findings]


def test_what_is_decided_is_recorded_with_the_row_it_was_taken_on_and_lasts_as_long_as_it_goes_on(
    workflow: Workflow, facts: Facts, bound: Features, fitted: Fitted, begin: datetime, outage: tuple[datetime, datetime], store: Store
) -> None:
    done = at_work(workflow, facts, bound, fitted, begin=begin, until=outage[1] + timedelta(hours=3), store=store)

    said = {f.decision.id: f for step in done for f in step.findings}
    rest = queue.listed(store, state=None)
    assert {one.id: one.until for one in rest} == {id_: f.until for id_, f in said.items()}
    (strongest, *_) = [one for one in rest if one.target == "a" and outage[0] <= one.at < outage[1]]
    assert strongest.row["volume"] < 10
    assert strongest.until > strongest.at
    assert strongest.release == "r1"
    assert store.journal.verify().ok
    assert sum(body["counts"].get("admitted", 0) for body in (e.body for e in store.journal.entries("decided"))) == len(said)


def test_without_a_store_it_leaves_no_trace_and_without_facts_it_says_nothing(
    workflow: Workflow, facts: Facts, bound: Features, fitted: Fitted, begin: datetime
) -> None:
    assert list(follow(workflow, features=bound, fitted=fitted, level=LEVEL, release="r1", before=facts, batches=[], start=begin, mode="live")) == []
