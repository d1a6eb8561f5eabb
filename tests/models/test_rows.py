from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.core.errors import BadInput
from trunkline.models.rows import FEW, Segment, segments, values

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


@st.composite
def frames(draw: Any) -> pl.DataFrame:
    height = draw(st.integers(1, 3 * FEW))
    columns = {
        "real": (st.floats(allow_nan=False, allow_infinity=False), pl.Float64),
        "single": (st.floats(width=32, allow_nan=False, allow_infinity=False), pl.Float32),
        "whole": (st.integers(-(2**40), 2**40), pl.Int64),
        "truth": (st.booleans(), pl.Boolean),
    }
    at = [AT + timedelta(hours=i) for i in range(height)]
    made = {name: pl.Series(draw(st.lists(st.none() | kind, min_size=height, max_size=height)), dtype=dtype) for name, (kind, dtype) in columns.items()}
    return pl.DataFrame({"entity": ["c1"] * height, "at": at, **made})


@given(frames())
@settings(deadline=None)
def test_few_rows_are_read_as_many_are(rows: pl.DataFrame) -> None:
    columns = ("truth", "real", "whole", "single")
    together = values(pl.concat([rows] * (FEW + 1)), columns)

    one_by_one = np.concatenate([values(rows[i : i + 1], columns) for i in range(rows.height)])

    assert np.array_equal(together[: rows.height], one_by_one, equal_nan=True)
    assert one_by_one.flags.c_contiguous


@pytest.mark.parametrize("height", [1, FEW + 1])
def test_an_infinite_value_and_a_missing_column_are_named(height: int) -> None:
    rows = pl.DataFrame({"entity": ["c1"] * height, "at": [AT + timedelta(hours=i) for i in range(height)], "ratio": [float("inf")] * height})

    with pytest.raises(BadInput, match="The value of 'ratio' is infinite"):
        values(rows, ("ratio",))
    with pytest.raises(BadInput, match="lack the feature column 'volume'"):
        values(rows, ("volume",))


def test_one_row_is_one_piece() -> None:
    assert segments(pl.DataFrame({"entity": ["c1"], "at": [AT]})) == [Segment("c1", 0, 1)]
    assert segments(pl.DataFrame({"entity": ["c1"], "at": [AT]}).head(0)) == []
