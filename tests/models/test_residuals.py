from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from trunkline.models.protocol import Context
from trunkline.models.residuals import Usual

HOUR = timedelta(hours=1)
MONDAY = datetime(2026, 2, 2, tzinfo=UTC)


def week_after_week(weeks: int, *, first: datetime = MONDAY, entity: str = "cell-1") -> pl.DataFrame:
    """Traffic that is 10 plus the local hour of the day in UTC, twice that on Sundays."""
    at = [first + n * HOUR for n in range(weeks * 168)]
    traffic = [(10.0 + t.hour) * (2.0 if t.weekday() == 6 else 1.0) for t in at]
    return pl.DataFrame({"entity": entity, "at": pl.Series(at, dtype=pl.Datetime("us", "UTC")), "traffic": traffic})


def test_a_perfect_week_leaves_nothing() -> None:
    rows = week_after_week(4)

    usual = Usual.fit(rows, ("traffic",), Context(every=HOUR))

    assert np.abs(usual.residuals(rows)).max() == 0.0
    assert usual.usual(rows)[:24, 0] == pytest.approx([10.0 + h for h in range(24)])


def test_hours_are_local_through_the_change_to_summer_time() -> None:
    zone = Context(every=HOUR, zones={"cell-1": "Europe/Rome"})
    first, last = datetime(2026, 3, 1, 23, tzinfo=UTC), datetime(2026, 4, 12, 21, tzinfo=UTC)
    at = pl.datetime_range(first, last, "1h", eager=True).dt.convert_time_zone("Europe/Rome")
    rows = pl.DataFrame(
        {"entity": "cell-1", "at": at.dt.convert_time_zone("UTC").cast(pl.Datetime("us", "UTC")), "traffic": 10.0 + at.dt.hour().cast(pl.Float64)}
    )
    before = rows.filter(pl.col("at") < datetime(2026, 3, 28, tzinfo=UTC))

    usual = Usual.fit(before, ("traffic",), zone)

    assert np.abs(usual.residuals(rows)).max() == 0.0


def test_a_holiday_is_held_against_sundays() -> None:
    holiday = Context(every=HOUR, zones={"cell-1": "Europe/Rome"}, holidays={"Europe/Rome": frozenset({"2026-02-25"})})
    rows = week_after_week(4)

    usual = Usual.fit(rows.filter(pl.col("at") < datetime(2026, 2, 23, tzinfo=UTC)), ("traffic",), holiday)
    noon = rows.with_row_index("i").filter(pl.col("at") == datetime(2026, 2, 25, 12, tzinfo=UTC))["i"][0]

    assert usual.usual(rows)[noon, 0] == pytest.approx(2 * 22.0)


def test_a_series_that_grew_as_a_whole_is_followed_after_half_a_week() -> None:
    rows = week_after_week(4)
    usual = Usual.fit(rows, ("traffic",), Context(every=HOUR))
    later = week_after_week(2, first=MONDAY + timedelta(weeks=4)).with_columns(pl.col("traffic") * 1.5)
    context = pl.concat([rows.tail(168), later])

    left = usual.usual(context)[:, 0] / context["traffic"].to_numpy()

    assert left[168] == pytest.approx(1 / 1.5, rel=0.01)
    assert left[-168:] == pytest.approx(1.0, rel=0.02)


def test_later_rows_do_not_change_earlier_residuals() -> None:
    rows = week_after_week(5)
    usual = Usual.fit(rows.head(3 * 168), ("traffic",), Context(every=HOUR))

    whole, part = usual.residuals(rows), usual.residuals(rows.head(700))

    assert (whole[:700] == part).all()


def test_gaps_stay_gaps_and_strangers_are_unknown() -> None:
    rows = week_after_week(3).with_columns(pl.when(pl.int_range(pl.len()) == 100).then(None).otherwise("traffic").alias("traffic"))
    usual = Usual.fit(rows, ("traffic",), Context(every=HOUR))

    assert np.isnan(usual.residuals(rows)[:, 0]).nonzero()[0].tolist() == [100]
    assert np.isnan(usual.residuals(rows.with_columns(entity=pl.lit("stranger")))).all()


def test_a_series_without_any_value_stays_unknown() -> None:
    rows = week_after_week(3).with_columns(traffic=pl.lit(None, dtype=pl.Float64))

    assert np.isnan(Usual.fit(rows, ("traffic",), Context(every=HOUR)).residuals(rows)).all()
