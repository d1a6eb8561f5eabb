from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.core.errors import BadInput
from trunkline.store import dataset_hash

ROWS = st.lists(
    st.tuples(st.one_of(st.none(), st.text(max_size=3)), st.one_of(st.none(), st.floats(allow_nan=True, width=16)), st.one_of(st.none(), st.booleans())),
    max_size=8,
)
SCHEMA = {"text": pl.String, "number": pl.Float64, "flag": pl.Boolean}


@settings(deadline=None, max_examples=100)
@given(rows=ROWS, data=st.data())
def test_the_order_of_rows_and_columns_does_not_matter(rows: list[tuple[str | None, float | None, bool | None]], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(rows))

    one = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    other = pl.DataFrame(shuffled, schema=SCHEMA, orient="row").select(data.draw(st.permutations(list(SCHEMA))))

    assert dataset_hash(one) == dataset_hash(other)


@settings(deadline=None, max_examples=100)
@given(rows=ROWS, more=ROWS)
def test_other_rows_have_another_hash(
    rows: list[tuple[str | None, float | None, bool | None]], more: list[tuple[str | None, float | None, bool | None]]
) -> None:
    one, other = (pl.DataFrame(given, schema=SCHEMA, orient="row") for given in (rows, more))

    same = one.with_columns(pl.col("number") + 0.0).sort(pl.all()).equals(other.with_columns(pl.col("number") + 0.0).sort(pl.all()))

    assert (dataset_hash(one) == dataset_hash(other)) == same


def test_the_hash_is_the_same_on_every_machine() -> None:
    frame = pl.DataFrame(
        {"cell": ["a", "b", None], "n": [1, None, 3], "value": [0.5, float("nan"), -0.0], "ok": [True, None, False], "day": [date(2026, 1, 1)] * 3},
        schema_overrides={"n": pl.Int32},
    ).with_columns(at=pl.lit(datetime(2026, 11, 20, 14, tzinfo=UTC)).cast(pl.Datetime("us", "UTC")))

    assert dataset_hash(frame) == "98abccb890a606e8d78714a99a81920961ee9b953431126baf81c7892bb04b77"


def test_names_types_and_nulls_are_part_of_it() -> None:
    frame = pl.DataFrame({"a": [1, 2]})

    others = [
        frame.rename({"a": "b"}),
        frame.cast(pl.Int32),
        pl.DataFrame({"a": [1, 2, None]}),
        pl.DataFrame({"a": [1, 2, 2]}),
        pl.DataFrame({"a": ["1", "2"]}),
    ]

    assert len({dataset_hash(f) for f in [frame, *others, pl.DataFrame(), pl.DataFrame({"a": [1, 0]}), pl.DataFrame({"a": [1, None]})]}) == 9


def test_a_column_that_has_no_order_is_refused() -> None:
    with pytest.raises(BadInput, match="words: List"):
        dataset_hash(pl.DataFrame({"words": [["a"]]}))
