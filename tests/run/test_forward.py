"""Walking forward: no score has seen its own row or a later one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from trunkline.core.errors import BadInput, TooLittleData
from trunkline.core.frames import TIME, Facts
from trunkline.features import Features, each_kpi, history
from trunkline.models import Context, Harmonic
from trunkline.run.forward import LEAST_SLOTS, judged_from, walk

HOUR = timedelta(hours=1)


def earliest(rows: pl.DataFrame) -> datetime:
    found = rows["at"].min()
    assert isinstance(found, datetime)
    return found


@pytest.fixture(scope="module")
def rows(facts: Facts) -> pl.DataFrame:
    return history(Features(entity="element", every="1h", columns={"kpis": each_kpi()}).bind(["volume"]), facts)


@dataclass
class Spy:
    """A model that notes what it was shown."""

    refit: str = "7d"
    shown: list[tuple[datetime, datetime, datetime]] = field(default_factory=list)
    lookback: timedelta = timedelta(hours=3)

    def fit(self, rows: pl.DataFrame, **_: Any) -> Spy:
        self.shown.append((earliest(rows), rows["at"].max(), rows["known_at"].max()))  # type: ignore[arg-type]
        return self

    def score(self, rows: pl.DataFrame) -> Any:
        return np.full(rows.height, float(len(self.shown)))


def test_each_fit_sees_only_what_was_emitted_before_it_begins_to_score(rows: pl.DataFrame, context: Context) -> None:
    spy, start = Spy(), earliest(rows) + timedelta(weeks=2)

    scored = walk(spy, rows, context=context, start=start, emitted_after=timedelta(minutes=10), window=timedelta(weeks=3))

    assert len(spy.shown) == len(scored.stretches) > 2
    for stretch, (first, last, known) in zip(scored.stretches, spy.shown, strict=True):
        assert last + HOUR + timedelta(minutes=10) <= stretch.begin
        assert known <= stretch.begin
        assert first >= stretch.begin - timedelta(weeks=3)


def test_stretches_follow_one_another_and_score_every_row_from_the_start_once(rows: pl.DataFrame, context: Context) -> None:
    start = earliest(rows) + timedelta(weeks=2)

    scored = walk(Spy(), rows, context=context, start=start)

    judged = (rows["at"] >= start).to_numpy()
    assert np.isnan(scored.scores[~judged]).all()
    assert np.isfinite(scored.scores[judged]).all()
    assert [a.end for a in scored.stretches[:-1]] == [b.begin for b in scored.stretches[1:]]
    assert scored.frame.height == judged.sum()
    assert earliest(scored.frame) == start


def test_what_comes_later_changes_no_score(rows: pl.DataFrame, context: Context) -> None:
    start = earliest(rows) + timedelta(weeks=2)
    cut = start + timedelta(days=10, hours=5)

    whole = walk(Harmonic(), rows, context=context, start=start, seed=4)
    part = walk(Harmonic(), rows.filter(pl.col("at") < cut), context=context, start=start, seed=4)
    other = walk(Harmonic(), rows.with_columns(volume=pl.when(pl.col("at") >= cut).then(0.0).otherwise("volume")), context=context, start=start, seed=4)

    early = (rows["at"] < cut).to_numpy()
    np.testing.assert_array_equal(part.scores, whole.scores[early])
    np.testing.assert_array_equal(other.scores[early], whole.scores[early])


def test_the_same_seed_gives_the_same_scores(rows: pl.DataFrame, context: Context) -> None:
    start = earliest(rows) + timedelta(weeks=4)

    once, twice = (walk(Harmonic(), rows, context=context, start=start, seed=4).scores for _ in range(2))

    np.testing.assert_array_equal(once, twice)


def test_a_finding_is_explained_by_the_fit_that_scored_it(rows: pl.DataFrame, context: Context, outage: tuple[datetime, datetime]) -> None:
    scored = walk(Harmonic(), rows, context=context, start=earliest(rows) + timedelta(weeks=2))

    reasons = scored.explain("a", outage[0] + 2 * HOUR)

    assert reasons[0].column == "volume"
    assert "below its usual" in reasons[0].text


def grid(slots: int, *, every: timedelta = HOUR) -> pl.DataFrame:
    start = datetime(2026, 9, 7, tzinfo=UTC)
    return pl.DataFrame(
        {
            "entity": "a",
            "at": pl.Series([start + n * every for n in range(slots)], dtype=TIME),
            "known_at": pl.Series([start] * slots, dtype=TIME),
            "volume": 1.0,
        }
    )


@pytest.mark.parametrize(
    ("slots", "every", "after"),
    [
        (24 * 7 * 6, HOUR, timedelta(days=10.5)),  # a quarter of six weeks
        (24 * 7 * 40, HOUR, timedelta(weeks=6)),  # at most six weeks
        (24 * 5, HOUR, timedelta(days=2)),  # at least two days
        (4 * 24 * 3, timedelta(minutes=15), timedelta(days=1.5)),  # at most half of a short past
        (200, timedelta(days=1), timedelta(days=48)),
        (100, timedelta(days=1), timedelta(days=LEAST_SLOTS)),  # and never fewer than 48 slots
    ],
)  # fmt: skip
def test_judging_begins_when_enough_has_been_seen(slots: int, every: timedelta, after: timedelta) -> None:
    frame = grid(slots, every=every)

    assert judged_from(frame, every=every) - earliest(frame) == after


@pytest.mark.parametrize("slots", [1, 2, 47, 95])
def test_too_little_says_what_was_read_and_claims_nothing(slots: int) -> None:
    with pytest.raises(TooLittleData) as refused:
        judged_from(grid(slots), every=HOUR)

    assert refused.value.what == f"1 KPI of 1 element(s) read, {slots} period{'s' * (slots > 1)}, too little to judge."
    assert "96 periods" in refused.value.allowed
    assert "Nothing is claimed" in refused.value.next_step


def test_nothing_at_all_is_too_little() -> None:
    with pytest.raises(TooLittleData, match="No row was read"):
        judged_from(grid(1).clear(), every=HOUR)


@pytest.mark.parametrize("hours", [-5, 0, 47, 24 * 7, 24 * 9])
def test_a_beginning_that_was_asked_for_and_cannot_be_says_from_when_it_can(hours: int) -> None:
    frame = grid(24 * 7)
    asked = earliest(frame) + hours * HOUR

    with pytest.raises(BadInput, match="Judging cannot begin at") as refused:
        judged_from(frame, every=HOUR, asked=asked)

    assert refused.value.where == "--from"
    assert f"{earliest(frame) + 48 * HOUR:%Y-%m-%d %H:%M}" in refused.value.allowed
    assert judged_from(frame, every=HOUR, asked=earliest(frame) + 48 * HOUR) == earliest(frame) + 48 * HOUR


def test_progress_is_told_up_to_the_end(rows: pl.DataFrame, context: Context) -> None:
    shares: list[float] = []
    told: Callable[[float], None] = shares.append

    walk(Spy(), rows, context=context, start=earliest(rows) + timedelta(weeks=2), progress=told)

    assert shares == sorted(shares)
    assert shares[-1] == 1.0
