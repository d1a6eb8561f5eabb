from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trunkline.core.errors import BadInput, UnknownName
from trunkline.core.frames import ELEMENTS, KPIS, TIME, empty
from trunkline.store import STANDARD, Lake, Layout

T0 = datetime(2026, 11, 20, tzinfo=UTC)


def hour(n: float) -> datetime:
    return T0 + timedelta(hours=n)


def kpis(*rows: tuple[str, float, float | None, float]) -> pl.DataFrame:
    """Rows of (element, at in hours, value, known at in hours)."""
    data = [{"element": e, "kpi": "dl_volume", "at": hour(at), "value": value, "status": "ok", "known_at": hour(known)} for e, at, value, known in rows]
    return pl.DataFrame(data, schema=dict(KPIS))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_rows_come_back_as_they_were_appended(lake: Lake) -> None:
    one, two = kpis(("a", 0, 1.5, 1), ("b", 0, None, 1)), kpis(("a", 1, float("inf"), 2))

    lake.append("kpis", one)
    lake.append("kpis", two)

    assert lake.read("kpis").sort("at", "element").collect().equals(pl.concat([one, two]))
    assert lake.tables() == ("kpis",)
    assert lake.version("kpis") == 1


def test_reading_is_lazy_and_takes_columns_and_a_condition_on_others(lake: Lake) -> None:
    lake.append("kpis", kpis(("a", 0, 1.0, 1), ("b", 0, 2.0, 1)))

    found = lake.read("kpis", ["value"], where=pl.col("element") == "b")

    assert isinstance(found, pl.LazyFrame)
    assert found.collect().rows() == [(2.0,)]


def test_a_declared_table_without_rows_reads_empty(lake: Lake) -> None:
    assert lake.read("kpis").collect().equals(empty(KPIS))
    assert lake.read("kpis", as_known_at=T0).collect().height == 0
    assert lake.version("kpis") == -1
    assert lake.transaction("kpis", "pm") is None
    assert lake.tables() == ()


def test_the_same_transaction_is_written_once_whoever_repeats_it(lake: Lake) -> None:
    frame = kpis(("a", 0, 1.0, 1))

    done = [lake.append("kpis", frame, transaction=("pm", n)) for n in (1, 2, 2, 1)]
    reopened = Lake(lake.folder)
    done += [reopened.append("kpis", frame, transaction=("pm", 2)), reopened.append("kpis", frame, transaction=("alarms", 1))]

    assert done == [True, True, False, False, False, True]
    assert reopened.read("kpis").collect().height == 3
    assert reopened.transaction("kpis", "pm") == 2
    assert lake.transaction("kpis", "alarms") == 1


def test_transactions_are_remembered_across_a_checkpoint_of_the_log(lake: Lake) -> None:
    for n in range(60):
        lake.append("kpis", kpis(("a", n, float(n), n + 1)), transaction=("pm", n))

    reopened = Lake(lake.folder)

    assert list((lake.folder / "kpis" / "_delta_log").glob("*.checkpoint.parquet"))
    assert not reopened.append("kpis", kpis(("a", 59, 59.0, 60)), transaction=("pm", 59))
    assert sorted(reopened.read("kpis").collect()["value"]) == [float(n) for n in range(60)]


def test_an_older_version_stays_as_it_was(lake: Lake) -> None:
    for n in range(3):
        lake.append("kpis", kpis(("a", n, float(n), n + 1)))

    assert [lake.read("kpis", version=v).collect().height for v in (0, 1, 2)] == [1, 2, 3]
    with pytest.raises(BadInput, match="no version 3") as refused:
        lake.read("kpis", version=3)
    assert "0 to 2" in str(refused.value)


def test_a_restatement_is_the_answer_only_from_when_it_was_known(lake: Lake) -> None:
    lake.append("kpis", kpis(("a", 0, 1.0, 1), ("b", 0, 5.0, 1)))
    lake.append("kpis", kpis(("a", 0, 2.0, 30)))

    def value(at: float) -> list[tuple[str, float]]:
        return lake.read("kpis", ["element", "value"], as_known_at=hour(at)).collect().rows()

    assert value(0.5) == []
    assert value(1) == value(29.9) == [("a", 1.0), ("b", 5.0)]
    assert value(30) == [("a", 2.0), ("b", 5.0)]
    assert lake.read("kpis").collect().height == 3


def test_a_condition_does_not_bring_back_a_version_that_was_restated(lake: Lake) -> None:
    lake.append("kpis", kpis(("a", 0, 9.0, 1), ("a", 0, 2.0, 5)))

    large = lake.read("kpis", where=pl.col("value") > 5, as_known_at=hour(6)).collect()
    of_key = lake.read("kpis", where=pl.col("element") == "a", as_known_at=hour(6)).collect()

    assert large.height == 0
    assert of_key["value"].to_list() == [2.0]


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(
        st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=6), min_size=1, max_size=3
    ),
    at=st.integers(0, 9),
)
def test_as_known_at_agrees_with_asking_every_row(batches: list[list[tuple[str, int, int, int]]], at: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    lake = Lake(tmp_path_factory.mktemp("lake"))
    expected: dict[tuple[str, int], tuple[int, float]] = {}
    for batch in batches:
        lake.append("kpis", kpis(*[(e, slot, float(value), known) for e, slot, value, known in batch]))
        for e, slot, value, known in batch:
            if known <= at:
                expected[e, slot] = max(expected.get((e, slot), (-1, 0.0)), (known, float(value)))

    found = lake.read("kpis", as_known_at=hour(at)).collect()

    got = {(row["element"], (row["at"] - T0) // timedelta(hours=1)): row["value"] for row in found.iter_rows(named=True)}
    assert got == {key: value for key, (_, value) in expected.items()}
    assert found.height == len(expected)
    assert found.equals(found.sort("element", "kpi", "at"))


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        (kpis(("a", 0, 1.0, 1)).drop("status"), "status: missing"),
        (kpis(("a", 0, 1.0, 1)).cast({"value": pl.Float32}), "value: Float32, not Float64"),
        (kpis(("a", 0, 1.0, 1)).with_columns(extra=pl.lit(1)), "too many: extra"),
        (kpis(("a", 0, 1.0, 1)).with_columns(pl.col("at").dt.replace_time_zone(None)), "at: Datetime"),
    ],
)
def test_a_frame_of_another_layout_is_refused_and_nothing_written(lake: Lake, frame: pl.DataFrame, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        lake.append("kpis", frame)

    assert lake.tables() == ()


def test_an_undeclared_table_is_refused_and_the_closest_named(lake: Lake) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'kpis'"):
        lake.append("kpi", kpis(("a", 0, 1.0, 1)))
    with pytest.raises(UnknownName, match="There is no table"):
        lake.read("nothing")


def test_a_table_is_declared_in_one_way(lake: Lake) -> None:
    layout = Layout({"n": pl.Int64}, key=("n",))
    lake.declare("numbers", layout)

    lake.declare("numbers", Layout({"n": pl.Int64}, key=("n",)))

    with pytest.raises(BadInput, match="in another way"):
        lake.declare("numbers", Layout({"n": pl.Float64}))
    with pytest.raises(BadInput, match="no name of a table"):
        lake.declare("../numbers", layout)
    lake.append("numbers", pl.DataFrame({"n": [1]}))
    with pytest.raises(BadInput, match="does not say when"):
        lake.read("numbers", as_known_at=T0)


def test_a_layout_says_at_once_what_cannot_be_kept() -> None:
    with pytest.raises(BadInput, match=r"n: UInt64; at: Datetime"):
        Layout({"n": pl.UInt64, "at": pl.Datetime("ms"), "ok": pl.List(pl.String)})
    with pytest.raises(BadInput, match="names columns that it does not have: m"):
        Layout({"n": pl.Int64}, key=("m",))


def test_a_table_found_in_the_folder_needs_no_declaration(lake: Lake) -> None:
    lake.declare("numbers", Layout({"n": pl.Int64, "at": TIME, "words": pl.List(pl.String)}))
    frame = pl.DataFrame({"n": [1], "at": [T0], "words": [["a", "b"]]}, schema_overrides={"at": TIME})
    lake.append("numbers", frame)

    stranger = Lake(lake.folder, {})
    stranger.append("numbers", frame)

    assert stranger.layout("numbers").columns == {"n": pl.Int64, "at": TIME, "words": pl.List(pl.String)}
    assert stranger.read("numbers").collect().equals(pl.concat([frame, frame]))


def test_an_inventory_is_replaced_whole_and_may_have_further_columns(lake: Lake) -> None:
    row = {"element": "a", "kind": "cell", "zone": "Europe/Rome", "region": "north", "technology": "NR-SA", "role": "coverage", "vendor": "x"}
    lake.replace("elements", pl.DataFrame([row], schema=dict(ELEMENTS)))

    lake.replace("elements", pl.DataFrame([{**row, "element": "b", "floor": 3.0}], schema={**ELEMENTS, "floor": pl.Float64}))

    assert lake.read("elements", ["element", "floor"]).collect().rows() == [("b", 3.0)]
    assert lake.read("elements", ["element"], version=0).collect().rows() == [("a",)]


def test_floats_have_no_dictionary_and_ids_of_people_no_statistics(lake: Lake) -> None:
    lake.declare("calls", Layout({"subscriber": pl.String, "seconds": pl.Float64, "day": pl.Date}, partition_by=("day",), people=("subscriber",)))
    frame = pl.DataFrame({"subscriber": ["s1", "s2"], "seconds": [1.0, 2.0], "day": [T0.date(), T0.date()]})

    lake.append("calls", frame)

    written = (lake.folder / "calls" / "_delta_log" / f"{0:020}.json").read_text()
    added = next(json.loads(line)["add"] for line in written.splitlines() if '"add"' in line)
    assert "s1" not in written
    assert set(json.loads(added["stats"])["minValues"]) == {"seconds"}
    assert added["partitionValues"] == {"day": "2026-11-20"}
    parquet = (lake.folder / "calls" / added["path"]).read_bytes()
    assert b"s1" not in parquet[parquet.rindex(b"subscriber") :]
    assert lake.read("calls", ["subscriber", "seconds", "day"]).sort("subscriber").collect().equals(frame)


def test_every_standard_table_takes_its_own_layout(lake: Lake) -> None:
    for name, layout in STANDARD.items():
        row = dict.fromkeys(layout.columns)
        frame = pl.DataFrame([row], schema=dict(layout.columns))

        lake.append(name, frame)

        assert lake.read(name).collect().equals(frame)
    assert lake.tables() == tuple(sorted(STANDARD))
