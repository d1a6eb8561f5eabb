from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from trunkline.core.errors import BadInput
from trunkline.models.grid import lay
from trunkline.models.rows import segments

FIRST = datetime(2026, 3, 28, 23, tzinfo=UTC)


def frame(*at: datetime, entity: str = "a") -> pl.DataFrame:
    return pl.DataFrame({"entity": [entity] * len(at), "at": at, "x": [float(i) for i in range(len(at))]}).cast({"at": pl.Datetime("us", "UTC")})


def test_a_gap_stays_a_gap() -> None:
    grid = lay(frame(FIRST, FIRST + timedelta(hours=3)), ("x",), timedelta(hours=1))

    assert grid.values.shape == (1, 1, 4)
    assert grid.rows(grid.values)[0].tolist() == [0.0, 1.0]


def test_local_days_of_23_hours_are_days() -> None:
    grid = lay(frame(FIRST, FIRST + timedelta(hours=23), FIRST + timedelta(hours=47)), ("x",), timedelta(days=1))

    assert grid.slot_of.tolist() == [0, 1, 2]


def test_two_rows_in_one_slot_are_refused() -> None:
    with pytest.raises(BadInput, match="one slot of 1h"):
        lay(frame(FIRST, FIRST + timedelta(minutes=10)), ("x",), timedelta(hours=1))


def test_scattered_entities_are_refused() -> None:
    scattered = pl.concat([frame(FIRST), frame(FIRST, entity="b"), frame(FIRST + timedelta(hours=1))])

    with pytest.raises(BadInput, match="entity 'a' are scattered"):
        segments(scattered)
