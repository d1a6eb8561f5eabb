"""A spoilt copy: what is lost, doubled and late is drawn by the seed and the periods alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.core.errors import BadInput
from trunkline.core.frames import RECORDS
from trunkline.simulator.chaos import PERIOD, Chaos, fates, order, spoil

HOUR = timedelta(hours=1)
MONDAY = datetime(2026, 9, 7, tzinfo=UTC)


def records(hours: int = 500, elements: tuple[str, ...] = ("a", "b")) -> pl.DataFrame:
    """Two measurements of each element and hour."""
    rows = [
        (element, "series", name, "", MONDAY + n * HOUR, 3600, float(n), False, MONDAY + (n + 1) * HOUR, "made")
        for element in elements
        for n in range(hours)
        for name in ("volume", "users")
    ]
    return pl.DataFrame(rows, schema=dict(RECORDS), orient="row")


@given(seed=st.integers(0, 1000), loss=st.floats(0, 1), again=st.floats(0, 1), late=st.integers(0, 20), share=st.floats(0, 1))
def test_what_arrives_is_what_was_sent_but_for_what_was_lost(seed: int, loss: float, again: float, late: int, share: float) -> None:
    how = Chaos(loss=loss, duplicates=again, late=timedelta(minutes=late), late_share=share, seed=seed)
    sent = records(40)

    fate = fates(sent.select(PERIOD), how)
    came = spoil(sent, fate)

    kept = sent.join(fate.filter(~pl.col("lost")), on=PERIOD, how="semi")
    values = ["element", "name", "at", "value"]
    assert came.select(values).unique().sort(values).equals(kept.select(values).sort(values))
    assert came["known_at"].is_sorted(), "in the order in which it came"
    assert came.height == kept.height + 2 * fate["again_s"].is_not_null().sum(), "both measurements of a period share its fate"
    delay = came.select(pl.col("known_at") - pl.col("at") - HOUR).to_series()
    assert came.is_empty() or (delay.min() >= timedelta(0) and delay.max() <= how.late + timedelta(seconds=1))  # type: ignore[operator]
    assert fate.filter(pl.col("lost"))["again_s"].is_null().all()


def test_the_same_seed_does_the_same_in_whatever_order_the_records_are_given() -> None:
    sent = records()
    mixed = sent.sample(fraction=1, shuffle=True, seed=3)

    one, two, other = (fates(found.select(PERIOD), Chaos(seed=seed)) for found, seed in ((sent, 5), (mixed, 5), (sent, 6)))

    assert one.equals(two)
    assert not one.equals(other)


def test_the_shares_are_those_that_were_asked_for() -> None:
    fate = fates(records(5000).select(PERIOD), Chaos(loss=0.1, duplicates=0.05, late_share=0.2))

    assert fate["lost"].mean() == pytest.approx(0.1, abs=0.01)
    assert fate["again_s"].is_not_null().mean() == pytest.approx(0.9 * 0.05, abs=0.01)
    assert (fate["late_s"] > 0).mean() == pytest.approx(0.9 * 0.2, abs=0.01)
    assert fate["late_s"].max() == pytest.approx(6 * 3600, rel=0.02)


def test_files_are_handed_over_in_no_order_or_as_they_came() -> None:
    mixed = order(50, Chaos())

    assert sorted(mixed) == list(range(50)) != mixed
    assert order(50, Chaos()) == mixed
    assert order(50, Chaos(reorder=False)) == list(range(50))


@pytest.mark.parametrize("wrong", [{"loss": 1.1}, {"duplicates": -0.1}, {"late_share": 2}, {"late": timedelta(hours=-1)}])
def test_a_share_that_is_none_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(BadInput, match=next(iter(wrong))):
        Chaos(**wrong)  # type: ignore[arg-type]
