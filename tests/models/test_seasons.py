from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from trunkline.core.errors import BadInput
from trunkline.models.seasons import design, hours_of_week


def instants(first: datetime, hours: int) -> np.ndarray:
    return pl.datetime_range(first, first + timedelta(hours=hours - 1), "1h", time_unit="us", eager=True).to_physical().to_numpy()


def test_an_hour_keeps_its_place_through_the_change_to_summer_time() -> None:
    before = hours_of_week(instants(datetime(2026, 3, 27, 9, tzinfo=UTC), 1), "Europe/Rome")  # Friday 10:00 winter
    after = hours_of_week(instants(datetime(2026, 4, 3, 8, tzinfo=UTC), 1), "Europe/Rome")  # Friday 10:00 summer

    assert before[0] == after[0] == 4 * 24 + 10


def test_the_short_and_the_long_day_have_23_and_25_hours() -> None:
    short = hours_of_week(instants(datetime(2026, 3, 28, 23, tzinfo=UTC), 23), "Europe/Rome")
    long = hours_of_week(instants(datetime(2026, 10, 24, 22, tzinfo=UTC), 25), "Europe/Rome")

    assert len(set(short)) == 23
    assert 6 * 24 + 2 not in short
    assert sorted(set(long)) == [6 * 24 + h for h in range(24)]


def test_a_holiday_takes_the_place_of_a_sunday() -> None:
    christmas = hours_of_week(instants(datetime(2026, 12, 25, 11, tzinfo=UTC), 1), "Europe/Rome", {"2026-12-25"})

    assert christmas[0] == 6 * 24 + 12


def test_a_coarse_grid_has_only_the_terms_it_can_tell() -> None:
    x, _ = design(np.arange(0, 168.0, 6), every=timedelta(hours=6), daily=8, weekly=14)

    assert np.linalg.matrix_rank(x) <= x.shape[1]
    assert x.shape[1] < len(x)


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(BadInput, match="no time zone 'Mars/Base'"):
        hours_of_week(np.array([0]), "Mars/Base")
