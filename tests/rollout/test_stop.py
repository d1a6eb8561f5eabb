"""Stop rules on simulated cells: rarely a false stop, however often one looks; what matters is found; what cannot be told is said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import SOAK

from trunkline.rollout.split import in_share
from trunkline.rollout.stop import EARLY, Worse, compare, length, look_at

START = datetime(2026, 9, 7, tzinfo=UTC)
DAY = timedelta(days=1)
STEP_H = 6
RULE = Worse("drop_rate", by=0.2, least_attempts=100, attempts="attempts")


def cells(n: int, days: int, *, seed: int, noise: float = 0.02) -> pl.DataFrame:
    """Drop rates of simulated cells: each with a level, a shape of the day and a slow drift of its own, and counts by chance."""
    random = np.random.default_rng(seed)
    slots = days * 24 // STEP_H
    shape = 1 + 0.6 * np.sin(np.arange(slots) * STEP_H / 24 * 2 * np.pi)
    drift = np.cumsum(random.normal(0, noise, (n, slots)), axis=1) * 0.5
    attempts = random.poisson(900 * np.exp(random.normal(0, 0.5, n))[:, None] * shape) + 1
    rate = np.clip(0.01 * np.exp(random.normal(0, 0.4, n))[:, None] * np.exp(drift), 0, 0.5)
    value = random.binomial(attempts, rate) / attempts
    at = [START + timedelta(hours=STEP_H * slot) for slot in range(slots)]
    names = np.repeat([f"cell-{number}" for number in range(n)], slots)
    return pl.DataFrame({"entity": names, "at": at * n, "value": value.ravel(), "attempts": attempts.ravel().astype(float)})


def stopped(seed: int, *, n: int, share: float, planned: int, effect: float = 0.0, rule: Worse = RULE) -> bool:
    """Whether one rollout is stopped at any of its looks."""
    values, since = cells(n, 14 + planned, seed=seed), START + 14 * DAY

    def is_canary(entity: str) -> bool:
        return in_share(entity, share, str(seed))

    if effect:
        mine = [name for name in values["entity"].unique() if is_canary(name)]
        worse = pl.col("entity").is_in(mine) & (pl.col("at") >= since)
        values = values.with_columns(value=pl.when(worse).then(pl.col("value") * (1 + effect)).otherwise("value"))
    looks = (*EARLY, *(DAY * day for day in range(1, planned + 1)))
    return any(compare(rule, values, is_canary=is_canary, since=since, now=since + look, planned=planned).result == "worse" for look in looks)


def test_a_canary_that_does_no_harm_is_rarely_stopped_however_often_one_looks() -> None:
    draws = 100 if SOAK == 1 else max(500, 25 * SOAK)

    false = sum(stopped(seed, n=30, share=0.3, planned=3 if SOAK == 1 else 7) for seed in range(draws))

    assert false <= 0.05 * draws + 2 * (0.05 * 0.95 * draws) ** 0.5  # at most one in twenty, but for chance


def test_rows_as_witnesses_would_have_stopped_most_of_them() -> None:
    """What the rule protects from: the same cells, every row taken for a witness of its own."""
    false = 0
    for seed in range(20):
        values = cells(30, 21, seed=seed).filter(pl.col("at") >= START + 14 * DAY)
        mine = pl.Series([in_share(name, 0.3, str(seed)) for name in values["entity"]])
        one, other = (np.log(part["value"].to_numpy() + 0.001) for part in (values.filter(mine), values.filter(~mine)))
        error = (one.var(ddof=1) / len(one) + other.var(ddof=1) / len(other)) ** 0.5
        false += bool(abs(one.mean() - other.mean()) > 1.96 * error)

    assert false > 10


def test_an_effect_that_matters_is_found_four_times_in_five() -> None:
    draws = 20 if SOAK == 1 else 5 * SOAK
    told = length(RULE, cells(100, 56, seed=7), share=0.3)

    assert told.days is not None
    found = sum(stopped(seed, n=100, share=0.3, planned=told.days, effect=0.25) for seed in range(draws))
    assert found >= 0.7 * draws


def test_what_is_plainly_broken_is_found_on_the_first_day() -> None:
    values, since = cells(60, 16, seed=3), START + 14 * DAY
    broken = values.with_columns(value=pl.when(pl.col("entity").str.ends_with("7") & (pl.col("at") >= since)).then(0.2).otherwise("value"))

    found = compare(RULE, broken, is_canary=lambda name: name.endswith("7"), since=since, now=since + EARLY[1], planned=7)

    assert found.result == "worse"
    assert "worse in 6 canary cells than in 54 others" in found.says


def test_what_gets_better_is_not_stopped_and_the_direction_can_be_turned() -> None:
    values, since = cells(60, 21, seed=3), START + 14 * DAY
    fewer = values.with_columns(value=pl.when(pl.col("entity").str.ends_with("7") & (pl.col("at") >= since)).then(pl.col("value") / 3).otherwise("value"))

    def result(rule: Worse) -> str:
        return compare(rule, fewer, is_canary=lambda name: name.endswith("7"), since=since, now=since + 7 * DAY, planned=7).result

    assert result(RULE) == "not worse"
    assert result(Worse("throughput", by=0.2, least_attempts=100, higher_is="better")) == "worse"


def test_until_there_is_enough_it_says_what_is_missing() -> None:
    values, since = cells(60, 21, seed=3), START + 14 * DAY

    def says(rule: Worse = RULE, after: timedelta = 2 * DAY, few: int = 10) -> str:
        cells = {f"cell-{number}" for number in range(few)}
        found = compare(rule, values, is_canary=cells.__contains__, since=since, now=since + after, planned=7)
        assert found.result == "cannot tell"
        return found.says

    assert "the first look is 60 minutes" in says(after=timedelta(minutes=5))
    assert "2 canary cells with a past and a present; needs 1 more cells" in says(few=2)
    assert "needs about" in says(Worse("drop_rate", by=0.2, least_attempts=10**9, attempts="attempts"))
    assert "needs 5 more day(s) to see 20.0%" in says()


def test_before_it_starts_a_step_says_how_many_cells_and_days_it_takes() -> None:
    past = cells(400, 56, seed=5)

    short = length(RULE, past, share=0.2)
    few = length(RULE, past, share=0.005)
    never = length(Worse("drop_rate", by=0.01, attempts="attempts"), past, share=0.02)
    young = length(RULE, past.filter(pl.col("at") < START + DAY), share=0.2)

    assert short.days is not None
    assert short.cells == 80
    assert f"with 80 of 400 cells: 20.0% in drop_rate would then be seen four times in five" in short.says  # noqa: F541
    assert few.is_never
    assert "it takes 600 cells" in few.says
    assert never.is_never
    assert never.days is None
    assert "Never at this share: 8 cells show" in never.says
    assert young.says == "Cannot tell yet: the past holds less than 2 whole days; needs 2 days."


def test_more_cells_never_make_a_step_longer() -> None:
    past = cells(400, 56, seed=5)
    days = [told.days for told in (length(RULE, past, share=share) for share in (0.05, 0.1, 0.3)) if told.days is not None]

    assert days == sorted(days, reverse=True)
    assert days


@given(st.integers(1, 60), st.floats(0.001, 0.2))
def test_all_looks_together_spend_no_more_than_the_error(planned: int, error: float) -> None:
    looks = [look_at(after, planned=planned, error=error) for after in (*EARLY, *(day * DAY for day in range(1, 400)))]

    assert all(look is not None for look in looks)
    assert sum(look.level for look in looks if look is not None) <= error * (1 + 1e-9)


@given(st.timedeltas(timedelta(hours=1), timedelta(days=40)), st.timedeltas(timedelta(), timedelta(minutes=30)))
def test_asked_again_before_the_next_is_due_it_is_the_same_look(elapsed: timedelta, later: timedelta) -> None:
    first = look_at(elapsed, planned=7, error=0.05)
    assert first is not None

    again = look_at(elapsed + later, planned=7, error=0.05)

    assert again is not None
    assert again == first or again.after > elapsed


@cache
def past() -> pl.DataFrame:
    return cells(20, 20, seed=1)


@pytest.mark.parametrize("column", ["value", "attempts"])
def test_values_that_are_missing_are_no_values(column: str) -> None:
    since = START + 14 * DAY
    holes = past().with_columns(pl.when(pl.int_range(pl.len()) % 3 == 0).then(None).otherwise(column).alias(column))

    found = compare(RULE, holes, is_canary=lambda name: name.endswith("1"), since=since, now=since + 2 * DAY, planned=7)

    assert found.result == "cannot tell"


def test_cells_without_a_single_drop_can_be_compared() -> None:
    since = START + 14 * DAY
    none = past().with_columns(value=pl.lit(0.0))

    found = compare(RULE, none, is_canary=lambda name: name in {"cell-1", "cell-2", "cell-3"}, since=since, now=since + 3 * DAY, planned=3)

    assert found.result == "not worse"
