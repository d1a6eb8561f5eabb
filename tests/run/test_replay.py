"""The front door: what it would have said, knowing only what came before, beside what dummies would have said."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import polars as pl
import pytest

from trunkline import Guardrail, Row, Workflow
from trunkline.core.errors import TooLittleData
from trunkline.core.frames import TIME, Facts
from trunkline.models import Context
from trunkline.run import shipped
from trunkline.run.replay import Replay, Speaker, hide, plainly, replay, tally

HOUR = timedelta(hours=1)
WEEK = timedelta(weeks=1)


@pytest.fixture(scope="module")
def start(facts: Facts) -> datetime:
    return facts.kpis["at"].min() + 2 * WEEK  # type: ignore[operator, return-value]


@pytest.fixture(scope="module")
def whole(workflow: Workflow, facts: Facts, context: Context, start: datetime) -> Replay:
    return replay(workflow, facts, context=context, start=start, self_test=False, seed=3)


def told(found: Replay, *, before: datetime | None = None) -> list[tuple[Any, ...]]:
    return [
        (f.decision.id, f.entity, f.at, f.decision.confidence, [r.text for r in f.decision.reasons]) for f in found.findings if before is None or f.at < before
    ]


def test_it_would_have_told_of_the_outage_in_the_words_of_the_trade(whole: Replay, outage: tuple[datetime, datetime]) -> None:
    during = [f for f in whole.findings if f.entity == "a" and outage[0] <= f.at < outage[1]]

    assert during
    assert during[0].at - outage[0] <= 2 * HOUR
    assert "volume" in during[0].decision.reasons[0].text
    assert "below its usual" in during[0].decision.reasons[0].text


def test_nothing_is_said_before_judging_begins(whole: Replay, start: datetime) -> None:
    assert whole.judged_from == start
    assert all(f.at >= start for one in whole.speakers for f in one.findings)


def test_of_a_past_cut_short_it_says_the_same_up_to_the_cut(
    workflow: Workflow, facts: Facts, context: Context, start: datetime, whole: Replay, outage: tuple[datetime, datetime]
) -> None:
    cut = outage[0] + 3 * HOUR
    known = replace(facts, kpis=facts.kpis.filter(pl.col("at") < cut))

    part = replay(workflow, known, context=context, start=start, self_test=False, seed=3)

    assert part.findings
    assert told(part) == told(whole, before=cut)
    for short, long in zip(part.speakers, whole.speakers, strict=True):
        assert [(f.entity, f.at) for f in short.findings] == [(f.entity, f.at) for f in long.findings if f.at < cut], short.name


def test_what_happens_later_changes_nothing_that_was_said(
    workflow: Workflow, facts: Facts, context: Context, start: datetime, whole: Replay, outage: tuple[datetime, datetime]
) -> None:
    cut = outage[1] + timedelta(days=1)
    other = replace(facts, kpis=facts.kpis.with_columns(value=pl.when(pl.col("at") >= cut).then(7.0).otherwise("value")))

    changed = replay(workflow, other, context=context, start=start, self_test=False, seed=3)

    assert told(changed, before=cut) == told(whole, before=cut)


def test_the_same_seed_says_the_same_and_chance_listens_to_the_seed(workflow: Workflow, facts: Facts, context: Context, start: datetime, whole: Replay) -> None:
    again = replay(workflow, facts, context=context, start=start, self_test=False, seed=3)
    other = replay(workflow, facts, context=context, start=start, self_test=False, seed=4)

    assert told(again) == told(whole)
    assert again.frame().equals(whole.frame())
    assert [f.at for f in other.speakers[2].findings] != [f.at for f in whole.speakers[2].findings]


def test_hidden_faults_never_touch_the_real_result(workflow: Workflow, facts: Facts, context: Context, start: datetime, whole: Replay) -> None:
    before = facts.kpis.clone()

    tested = replay(workflow, facts, context=context, start=start, self_test=True, seed=3)

    assert facts.kpis.equals(before)
    assert tested.self_test
    assert told(tested) == told(whole)
    assert tested.rows.equals(whole.rows)
    assert tested.speakers[0].scored.frame.equals(whole.speakers[0].scored.frame)


def test_everybody_is_told_apart_and_judged_by_the_same_limits(whole: Replay) -> None:
    assert [one.name for one in whole.speakers] == ["strange", "last week", "chance"]
    for one in whole.speakers:
        assert sum(one.decided.counts.values()) == whole.rows.filter(pl.col("at") >= whole.judged_from).height


def test_limits_hold_in_every_shift_for_the_workflow_and_its_dummies(workflow: Workflow, facts: Facts, context: Context, start: datetime) -> None:
    tight = replace(workflow, guardrail=Guardrail(items_per_shift=1, hold_off="1h"))

    found = replay(tight, facts, context=context, start=start, self_test=False)

    for one in found.speakers:
        shifts = [int(f.at.timestamp() // (8 * 3600)) for f in one.findings]
        assert len(shifts) == len(set(shifts)), one.name


@pytest.mark.parametrize("hours", [1, 47, 95])
def test_too_little_data_claims_nothing(hours: int, workflow: Workflow, facts_of: Callable[..., Facts], context: Context) -> None:
    with pytest.raises(TooLittleData, match=rf"1 KPI of 2 element\(s\) read, {hours} periods?, too little to judge"):
        replay(workflow, facts_of(hours / 168, outage=False), context=context)


def test_a_short_past_is_judged_without_a_self_test(workflow: Workflow, facts_of: Callable[..., Facts], context: Context) -> None:
    found = replay(workflow, facts_of(1, outage=False), context=context)

    assert found.self_test == ()
    assert found.shifts == pytest.approx((7 - 2) * 3)


def test_a_replay_prints_as_its_summary(whole: Replay) -> None:
    assert repr(whole) == f"<Replay of strange: 2 element(s), 84 shifts judged, {len(whole.findings)} findings>"
    assert whole.columns == ["volume"]
    assert whole.frame().columns == ["entity", "at", "until", "confidence", "why"]


def test_a_dummy_that_spoke_of_the_same_is_named_beside_the_finding(whole: Replay) -> None:
    for finding in whole.findings:
        for name in whole.said_too(finding):
            other = next(one for one in whole.speakers if one.name == name)
            assert any(f.entity == finding.entity and abs(f.at - finding.at) < timedelta(days=1) + (finding.until - finding.at) for f in other.findings)


# --- hidden faults --------------------------------------------------------------------------------


def test_a_copy_differs_only_where_the_truth_says_so(facts: Facts, start: datetime) -> None:
    hidden, truth = hide(facts, begin=start, every=HOUR, seed=3)

    both = facts.kpis.join(hidden.kpis, on=["element", "kpi", "at"], how="full", suffix="_hidden", coalesce=True)
    changed = both.filter(pl.col("value").ne_missing(pl.col("value_hidden")))
    inside = changed.join_where(truth, pl.col("element") == pl.col("entity"), pl.col("at") >= pl.col("start"), pl.col("at") < pl.col("end"))
    assert not truth.is_empty()
    assert not changed.is_empty()
    assert changed["at"].min() >= start  # type: ignore[operator]
    assert inside.select("element", "at").unique().height == changed.select("element", "at").unique().height
    assert hidden.kpis.schema == facts.kpis.schema


def test_hidden_faults_are_the_same_for_one_seed_and_others_for_another(facts: Facts, start: datetime) -> None:
    first, again, other = (hide(facts, begin=start, every=HOUR, seed=seed)[1] for seed in (3, 3, 4))

    assert first.equals(again)
    assert not first.equals(other)


def test_a_restated_slot_is_one_slot(facts: Facts, start: datetime) -> None:
    again = facts.kpis.filter(pl.col("at") > start).with_columns(known_at=pl.col("known_at") + timedelta(days=1), value=pl.col("value") * 2)
    restated = replace(facts, kpis=pl.concat([facts.kpis, again]))

    hidden, truth = hide(restated, begin=start, every=HOUR, seed=3)

    assert hidden.kpis.select("element", "kpi", "at").is_unique().all()
    assert truth.equals(hide(facts, begin=start, every=HOUR, seed=3)[1])


def test_a_kpi_that_never_changes_is_left_alone(facts: Facts, start: datetime) -> None:
    still = replace(facts, kpis=facts.kpis.with_columns(value=pl.lit(5.0)))

    hidden, truth = hide(still, begin=start, every=HOUR, seed=3)

    assert truth.is_empty()
    assert hidden.kpis["value"].unique().to_list() == [5.0]


# --- against truth --------------------------------------------------------------------------------


def faults(*told: tuple[str, datetime, datetime]) -> pl.DataFrame:
    return pl.DataFrame([(*one, "fault") for one in told], schema={"entity": pl.String, "start": TIME, "end": TIME, "kind": pl.String}, orient="row")


def test_known_faults_are_counted_with_how_sure_that_is(
    workflow: Workflow, facts: Facts, context: Context, start: datetime, outage: tuple[datetime, datetime]
) -> None:
    known = faults(("a", *outage), ("b", *outage))

    found = replay(workflow, facts, context=context, start=start, truth=known, self_test=False, seed=3)

    own = found.against_truth[0]
    assert (own.speaker, own.found.hits, own.found.n) == ("strange", 1, 2)
    assert own.by_kind["fault"] == own.found
    low, high = own.found.interval
    assert low < 0.5 < high


def test_faults_from_before_judging_are_not_counted(workflow: Workflow, facts: Facts, context: Context, start: datetime) -> None:
    long_ago = faults(("a", start - 9 * HOUR, start - HOUR))

    found = replay(workflow, facts, context=context, start=start, truth=long_ago, self_test=False, seed=3)

    assert found.against_truth[0].found.n == 0
    assert str(found.against_truth[0].found) == "none to find"


def test_what_is_said_soon_after_a_fault_is_neither_hit_nor_false(whole: Replay) -> None:
    finding = whole.findings[0]
    alone = replace_findings(whole.speakers[0], finding)
    count = partial(tally, alone, begin=whole.judged_from, until=whole.judged_from + WEEK, elements=2)

    just_over = count(faults((finding.entity, finding.at - 5 * HOUR, finding.at - HOUR)))
    long_over = count(faults((finding.entity, finding.at - 50 * HOUR, finding.at - 20 * HOUR)))
    during = count(faults((finding.entity, finding.at, finding.at + HOUR)))

    assert (just_over.found.hits, just_over.false_per_week) == (0, 0.0)
    assert (long_over.found.hits, long_over.false_per_week) == (0, 0.5)  # one in one week, of two elements
    assert (during.found.hits, during.false_per_week) == (1, 0.0)
    assert math.isfinite(during.false_per_week)


def replace_findings(speaker: Speaker, *findings: Any) -> Speaker:
    return replace(speaker, decided=replace(speaker.decided, findings=list(findings)))


def test_a_dummy_is_heard_where_only_some_actions_are_allowed() -> None:
    workflow = shipped.find("sleeping-cell")
    row = Row({"entity": ["c1"], "at": [None], "known_at": [None]}, 0, entity="cell")

    plain = plainly(workflow)
    assert plain.decide is not None
    said = plain.decide(row, 0.99)

    assert said is not None
    assert said.action in workflow.guardrail.allowed
