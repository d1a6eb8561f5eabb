"""Frames whose texts are categories: what every reader finds is texts, once, and what the log says of the files is true."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, QueryBuilder
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from trunkline.core.errors import WorkspaceError
from trunkline.core.frames import TIME
from trunkline.store.categories import spelled
from trunkline.store.lake import Lake, Layout

START = datetime(2026, 11, 20, 10, 15, 0, 123456, tzinfo=UTC)
KINDS: dict[str, pl.DataType | type[pl.DataType]] = {
    "word": pl.String,
    "at": TIME,
    "count": pl.Int32,
    "large": pl.Int64,
    "value": pl.Float64,
    "is_so": pl.Boolean,
}


def lake(folder: Path) -> Lake:
    return Lake(folder, {"plain": Layout(KINDS), "parted": Layout(KINDS, partition_by=("word",))})


def coded(frame: pl.DataFrame) -> pl.DataFrame:
    """*frame* with categories in the place of its texts."""
    return frame.with_columns(frame["word"].cast(pl.Enum(frame["word"].drop_nulls().unique(maintain_order=True))))


def some(rows: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "word": ["x", "y"] * rows,
            "at": [START + timedelta(minutes=n) for n in range(2 * rows)],
            "count": [1] * 2 * rows,
            "large": [2] * 2 * rows,
            "value": [0.5, None] * rows,
            "is_so": [True] * 2 * rows,
        },
        schema=KINDS,
    )


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    row = st.tuples(
        st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=5)),
        st.integers(0, 3).map(lambda quarters: START + timedelta(minutes=15 * quarters)),
        st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1)),
        st.integers(-(2**63), 2**63 - 1),
        st.one_of(st.none(), st.floats(allow_nan=False)),
        st.booleans(),
    )
    return pl.DataFrame(draw(st.lists(row, min_size=1, max_size=30)), schema=KINDS, orient="row")


@given(given_frames=st.lists(frames(), min_size=1, max_size=3))
@settings(max_examples=15, deadline=None)
def test_what_is_kept_is_what_was_given(given_frames: list[pl.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> None:
    kept = lake(tmp_path_factory.mktemp("lake"))

    kept.append_parts("plain", [coded(frame) for frame in given_frames])

    assert_frame_equal(kept.read("plain").collect(), pl.concat(given_frames), check_row_order=False)
    assert_frame_equal(spelled(coded(given_frames[0])), given_frames[0])


@pytest.mark.parametrize("table", ["plain", "parted"])
def test_the_lake_keeps_categories_once_beside_texts(tmp_path: Path, table: str) -> None:
    kept = lake(tmp_path)

    first = kept.append_parts(table, [coded(some(3)), some(2)], transaction=("load", 1))
    again = kept.append_parts(table, [coded(some(3)), some(2)], transaction=("load", 1))
    kept.append(table, some(1), transaction=("load", 2))

    assert (first, again) == (True, False)
    assert_frame_equal(kept.read(table).collect(), pl.concat([some(3), some(2), some(1)]), check_row_order=False)
    assert kept.transaction(table, "load") == 2
    assert kept.damage() == []
    assert kept.read(table).filter(pl.col("word") == "x").collect().height == 6


def test_a_second_engine_reads_texts_and_compaction_keeps_them(tmp_path: Path) -> None:
    kept = lake(tmp_path)
    kept.append_parts("plain", [coded(some(3)), coded(some(4))])
    kept.append("plain", some(1))

    query = "select word, count(*) as n, sum(value) as total, min(at) as first from t where is_so group by word order by word"
    found = pl.DataFrame(QueryBuilder().register("t", DeltaTable(tmp_path / "plain")).execute(query).read_all())
    compacted = kept.compact("plain")

    assert found.select("word", "n", "total").rows() == [("x", 8, 4.0), ("y", 8, None)]
    assert found["first"].dt.convert_time_zone("UTC").to_list() == [START, START + timedelta(minutes=1)]
    assert (compacted.before, compacted.after) == (3, 1)
    assert_frame_equal(kept.read("plain").collect(), pl.concat([some(3), some(4), some(1)]), check_row_order=False)


def test_the_files_themselves_say_that_their_columns_are_texts(tmp_path: Path) -> None:
    kept = lake(tmp_path)
    kept.append_parts("plain", [coded(some(3))])
    (file,) = (tmp_path / "plain").glob("*.parquet")

    assert pl.read_parquet_schema(file) == pl.Schema(KINDS)


def test_the_log_is_told_rows_and_a_range_that_holds_every_time(tmp_path: Path) -> None:
    kept = lake(tmp_path)
    kept.append_parts("plain", [coded(some(2)), coded(some(1))])

    told = pl.DataFrame(DeltaTable(tmp_path / "plain").get_add_actions(flatten=True)).sort("num_records")

    assert told["num_records"].to_list() == [2, 4]
    assert all(least <= START for least in told["min.at"].dt.convert_time_zone("UTC"))
    assert all(most >= START + timedelta(minutes=1) for most in told["max.at"].dt.convert_time_zone("UTC"))
    late = kept.read("plain", where=pl.col("at") > START + timedelta(minutes=2)).collect()
    assert late["at"].to_list() == [START + timedelta(minutes=3)]


def test_an_append_that_fails_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = lake(tmp_path)
    kept.append_parts("plain", [coded(some(1))])

    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", full)
    with pytest.raises(WorkspaceError, match="No space left"):
        kept.append_parts("plain", [coded(some(2)), coded(some(3))])

    assert len(list((tmp_path / "plain").glob("*.parquet"))) == 1
    assert kept.read("plain").collect().height == 2
