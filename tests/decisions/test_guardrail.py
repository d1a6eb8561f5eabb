"""What may go out: hysteresis, hold-off, budgets; and the level, a promise kept on the past it was made from."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.core.clock import duration
from trunkline.core.errors import WorkflowError
from trunkline.core.values import Decision
from trunkline.decisions import Guardrail, State
from trunkline.decisions.guardrail import Ruling

START = datetime(2026, 11, 20, 8, tzinfo=UTC)  # a shift of eight hours begins here
HOUR = timedelta(hours=1)


def say(target: str = "c1", confidence: float = 0.995, action: str = "look") -> Decision:
    return Decision(action, target=target, confidence=confidence)


def rule(rail: Guardrail, state: State, *candidates: Decision, after: timedelta = timedelta(0), level: float = 0.99) -> list[Ruling]:
    """Rulings on *candidates*, in the order they are given."""
    ruled = {id(one.decision): one.ruling for one in rail.admit(candidates, state, level=level, at=START + after)}
    return [ruled[id(one)] for one in candidates]


def test_a_candidate_at_the_level_goes_out_and_one_below_it_does_not() -> None:
    assert rule(Guardrail(), State(), say(confidence=0.99), say("c2", 0.98999)) == ["admitted", "below level"]


@pytest.mark.parametrize("confidence", [float("nan"), float("-inf"), -1.0, 0.0])
def test_a_confidence_that_is_none_never_goes_out(confidence: float) -> None:
    assert rule(Guardrail(), State(), say(confidence=confidence)) == ["below level"]


def test_while_it_lasts_it_is_one_episode_even_a_little_below_the_level() -> None:
    rail, state = Guardrail(release_at=0.8), State()
    keep = 0.5 + 0.8 * (0.99 - 0.5)

    assert rule(rail, state, say()) == ["admitted"]
    assert rule(rail, state, say(), after=HOUR) == ["same episode"]
    assert rule(rail, state, say(confidence=keep), after=2 * HOUR) == ["same episode"]
    assert rule(rail, state, say(confidence=keep - 0.001), after=3 * HOUR) == ["below level"]


def test_what_comes_back_within_the_hold_off_is_the_same_episode_and_after_it_a_new_one() -> None:
    rail, state = Guardrail(hold_off="12h"), State()

    assert rule(rail, state, say()) == ["admitted"]
    assert rule(rail, state, say(), after=11 * HOUR) == ["same episode"]
    assert rule(rail, state, say(), after=22 * HOUR) == ["same episode"], "the hold-off begins anew with each time it is seen"
    assert rule(rail, state, say(), after=34 * HOUR) == ["admitted"]


def test_an_episode_that_becomes_far_rarer_goes_out_again_so_that_a_small_finding_hides_no_outage() -> None:
    rail, state = Guardrail(escalate=100, per_element_day=3), State()

    assert rule(rail, state, say(confidence=0.99)) == ["admitted"]
    assert rule(rail, state, say(confidence=0.9995), after=HOUR) == ["same episode"], "twenty times rarer"
    assert rule(rail, state, say(confidence=0.99995), after=2 * HOUR) == ["admitted"], "two hundred times"
    assert rule(rail, state, say(confidence=0.99996), after=3 * HOUR) == ["same episode"], "what it is measured by is the last one given out"


def test_what_cannot_be_rarer_goes_out_once() -> None:
    rail, state = Guardrail(), State()

    assert [rule(rail, state, say(confidence=1.0), after=n * HOUR)[0] for n in range(4)] == ["admitted"] + ["same episode"] * 3


def test_an_escalation_is_held_to_the_same_limits() -> None:
    rail, state = Guardrail(items_per_shift=1), State()

    assert rule(rail, state, say(confidence=0.99)) == ["admitted"]
    assert rule(rail, state, say(confidence=0.999999), after=HOUR) == ["over budget"]
    assert rule(rail, state, say(confidence=0.999999), after=8 * HOUR) == ["admitted"]


def test_two_candidates_about_one_element_in_one_slot_are_one_item() -> None:
    assert sorted(rule(Guardrail(), State(), say(confidence=0.995), say(confidence=0.999, action="reset"))) == ["admitted", "same episode"]


def test_a_shift_gives_out_as_many_items_as_can_be_worked_the_most_confident_first() -> None:
    rail, state = Guardrail(items_per_shift=2, shift="8h"), State()

    assert rule(rail, state, say("a", 0.991), say("b", 0.999), say("c", 0.995)) == ["over budget", "admitted", "admitted"]
    assert rule(rail, state, say("d"), after=7 * HOUR) == ["over budget"]
    assert rule(rail, state, say("d"), after=8 * HOUR) == ["admitted"]


def test_equally_confident_candidates_are_taken_in_the_order_of_their_names() -> None:
    assert rule(Guardrail(items_per_shift=1), State(), say("b"), say("a")) == ["over budget", "admitted"]


def test_a_candidate_without_a_confidence_does_not_push_another_out() -> None:
    assert rule(Guardrail(items_per_shift=1), State(), say("a", float("nan")), say("b", 0.991), say("c", 0.999)) == ["below level", "over budget", "admitted"]


def test_what_was_over_budget_goes_out_in_the_next_shift_if_it_still_holds() -> None:
    rail, state = Guardrail(items_per_shift=1), State()

    assert rule(rail, state, say("a", 0.999), say("b")) == ["admitted", "over budget"]
    assert rule(rail, state, say("a", 0.999), say("b"), after=8 * HOUR) == ["same episode", "admitted"]


def test_one_element_is_told_of_only_so_often_in_any_24_hours() -> None:
    rail, state = Guardrail(per_element_day=2, hold_off="1h"), State()
    before_midnight = timedelta(hours=14)  # 22:00

    assert rule(rail, state, say(), after=before_midnight) == ["admitted"]
    assert rule(rail, state, say(), after=before_midnight + HOUR) == ["admitted"]
    assert rule(rail, state, say(), after=before_midnight + 3 * HOUR) == ["over daily limit"], "a new date is no new day"
    assert rule(rail, state, say(), after=before_midnight + 24 * HOUR) == ["admitted"]


def test_an_action_that_is_not_allowed_never_goes_out_and_costs_nothing() -> None:
    rail, state = Guardrail(allowed=("look",), items_per_shift=1), State()

    assert rule(rail, state, say(action="reset", confidence=1.0), say("c2")) == ["not allowed", "admitted"]
    assert list(state.episodes) == ["c2"]


def test_states_do_not_know_of_each_other() -> None:
    rail, live, shadow = Guardrail(), State(), State()

    assert rule(rail, live, say()) == ["admitted"]
    assert rule(rail, shadow, say()) == ["admitted"]


@pytest.mark.parametrize(
    "limits",
    [
        {"items_per_shift": 0},
        {"per_element_week": 0.0},
        {"per_element_day": 0},
        {"release_at": 1.5},
        {"release_at": -0.1},
        {"escalate": 0.5},
        {"escalate": float("nan")},
        {"shift": "0h"},
    ],
    ids=str,
)
def test_limits_that_let_nothing_through_or_make_no_sense_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(WorkflowError) as refused:
        Guardrail(**limits)  # type: ignore[arg-type]

    assert refused.value.where == "guardrail"
    assert refused.value.allowed


@pytest.mark.parametrize("text", ["soon", "8"])
def test_a_length_of_time_that_is_none_is_refused_when_the_limits_are_written(text: str) -> None:
    with pytest.raises(Exception, match="is not a length of time"):
        Guardrail(hold_off=text)


def test_of_ten_thousand_candidates_at_random_none_goes_out_of_bounds() -> None:
    random = np.random.default_rng(11)
    rail = Guardrail(items_per_shift=3, shift="8h", hold_off="2h", per_element_day=2, allowed=("look",), escalate=1e12)
    state, level, at = State(), 0.6, START
    per_shift: Counter[int] = Counter()
    admitted: dict[str, list[datetime]] = {}
    ruled = 0

    while ruled < 10_000:
        at += timedelta(minutes=15) * int(random.integers(1, 4))
        batch = [
            say(f"c{random.integers(12)}", float(random.choice([np.nan, *random.random(5)])), str(random.choice(["look", "reset"])))
            for _ in range(random.integers(1, 9))
        ]
        for one in rail.admit(batch, state, level=level, at=at):
            ruled += 1
            if one.ruling == "admitted":
                assert one.decision.action == "look"
                assert one.decision.confidence >= level
                per_shift[int(at.timestamp() // (8 * 3600))] += 1
                admitted.setdefault(one.decision.target, []).append(at)

    assert max(per_shift.values()) == 3
    assert sum(per_shift.values()) > 100
    for times in admitted.values():
        gaps = np.diff(np.array([t.timestamp() for t in times]))
        assert gaps.min() >= duration("2h").total_seconds()
        assert all(later - first >= timedelta(days=1) for first, later in zip(times, times[2:], strict=False))


# --- the level ------------------------------------------------------------------------------------


@st.composite
def pasts(draw: st.DrawFn) -> pl.DataFrame:
    """Hourly scores of a few elements, in clusters as real trouble comes, some unknown, with ties."""
    entities, slots = draw(st.integers(1, 4)), draw(st.integers(2, 200))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = random.random((entities, slots)).round(draw(st.integers(1, 6)))
    for _ in range(draw(st.integers(0, 4))):
        who, begin = random.integers(entities), random.integers(slots)
        scores[who, begin : begin + random.integers(1, 8)] = 1 - random.random() * 0.01
    scores[random.random(scores.shape) < 0.05] = np.nan
    return pl.DataFrame(
        {
            "entity": np.repeat([f"c{n}" for n in range(entities)], slots),
            "at": [START + n * HOUR for n in range(slots)] * entities,
            "confidence": scores.ravel(),
        }
    )


rails = st.builds(
    Guardrail,
    items_per_shift=st.integers(1, 5),
    per_element_week=st.sampled_from([0.25, 1.0, 5.0]),
    hold_off=st.sampled_from(["0h", "1h", "12h"]),
    per_element_day=st.integers(1, 4),
    release_at=st.sampled_from([0.0, 0.8, 1.0]),
    escalate=st.sampled_from([2.0, 100.0]),
)


def played(rail: Guardrail, past: pl.DataFrame, level: float) -> int:
    """How many items the past would have given at *level*."""
    state, count = State(), 0
    for (at,), batch in past.sort("at").partition_by("at", as_dict=True, maintain_order=True).items():
        assert isinstance(at, datetime)
        candidates = [say(row["entity"], row["confidence"]) for row in batch.iter_rows(named=True)]
        count += sum(one.ruling == "admitted" for one in rail.admit(candidates, state, level=level, at=at))
    return count


def allowed(rail: Guardrail, past: pl.DataFrame) -> float:
    """Items the limits allow for the span of the past that could be judged."""
    seen = past.filter(pl.col("confidence").is_not_nan())
    first, last = seen["at"].min(), seen["at"].max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    span = last - first + HOUR
    return min(rail.per_element_week * seen["entity"].n_unique() * (span / timedelta(weeks=1)), rail.items_per_shift * (span / timedelta(hours=8)))


@given(pasts(), rails)
@settings(max_examples=60, deadline=None)
def test_the_level_keeps_within_the_limits_on_the_past_it_was_learned_from(past: pl.DataFrame, rail: Guardrail) -> None:
    if past["confidence"].is_nan().all():
        return
    unlimited = replace(rail, items_per_shift=10**9, per_element_day=10**9)  # so that it is the level alone that keeps the promise

    level = rail.level(past, every=HOUR)

    assert played(unlimited, past, level) <= allowed(rail, past)


@given(pasts(), rails, st.integers(1, 10), st.floats(1.0, 4.0))
@settings(max_examples=60, deadline=None)
def test_more_budget_never_raises_the_level(past: pl.DataFrame, rail: Guardrail, more: int, times: float) -> None:
    generous = replace(rail, items_per_shift=rail.items_per_shift + more, per_element_week=rail.per_element_week * times)

    assert generous.level(past, every=HOUR) <= rail.level(past, every=HOUR)


@given(pasts(), rails)
@settings(max_examples=30, deadline=None)
def test_the_order_of_rows_does_not_move_the_level(past: pl.DataFrame, rail: Guardrail) -> None:
    assert rail.level(past.sample(fraction=1.0, shuffle=True, seed=3), every=HOUR) == rail.level(past, every=HOUR)


def test_a_quiet_past_is_admitted_down_to_the_floor_and_no_further() -> None:
    past = pl.DataFrame({"entity": ["a"] * 400, "at": [START + n * HOUR for n in range(400)], "confidence": [0.1] * 399 + [0.7]})

    assert Guardrail().level(past, every=HOUR, floor=0.5) == 0.7
    assert Guardrail().level(past, every=HOUR, floor=0.8) == 0.8


def test_without_a_past_only_certainty_goes_out() -> None:
    nothing = pl.DataFrame(schema={"entity": pl.String, "at": pl.Datetime("us", "UTC"), "confidence": pl.Float64})

    assert Guardrail().level(nothing, every=HOUR) == 1.0


def test_a_past_that_ties_at_the_top_lets_nothing_as_low_as_the_tie_through() -> None:
    past = pl.DataFrame({"entity": ["a"] * 48, "at": [START + n * HOUR for n in range(48)], "confidence": [0.99, 0.1] * 24})

    level = Guardrail(hold_off="1h", per_element_week=1.0).level(past, every=HOUR)

    assert level > 0.99
    assert level == np.nextafter(0.99, 2.0)


def test_an_hour_between_two_elements_is_not_taken_for_one_episode() -> None:
    past = pl.DataFrame({"entity": ["a", "b"], "at": [START, START], "confidence": [0.9, 0.9]})
    two_weeks = pl.DataFrame({"entity": ["a", "b"], "at": [START + timedelta(weeks=2)] * 2, "confidence": [0.1, 0.1]})

    assert Guardrail(per_element_week=0.3).level(pl.concat([past, two_weeks]), every=HOUR) > 0.9
    assert Guardrail(per_element_week=1.0).level(pl.concat([past, two_weeks]), every=HOUR) == 0.9
