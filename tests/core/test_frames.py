from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from trunkline.core.errors import BadInput
from trunkline.core.frames import ELEMENTS, EVENTS, KPIS, RECORDS, RELATIONS, Facts, check_frame, empty

LAYOUTS = {"records": RECORDS, "kpis": KPIS, "events": EVENTS, "relations": RELATIONS, "elements": ELEMENTS}


@pytest.mark.parametrize("name", LAYOUTS)
def test_an_empty_frame_of_a_layout_passes_its_own_check(name: str) -> None:
    frame = empty(LAYOUTS[name])

    assert check_frame(frame, LAYOUTS[name], name=name).schema == pl.Schema(LAYOUTS[name])


@pytest.mark.parametrize("layout", [RECORDS, KPIS, EVENTS], ids=["records", "kpis", "events"])
def test_what_happens_in_time_also_says_when_it_could_be_known(layout: dict[str, pl.DataType]) -> None:
    assert layout["known_at"] == pl.Datetime("us", "UTC")


def test_columns_come_in_the_order_of_the_layout_and_further_ones_follow() -> None:
    frame = pl.DataFrame({"extra": ["x"], **{name: pl.Series([None], dtype=kind) for name, kind in reversed(list(KPIS.items()))}})

    assert check_frame(frame, KPIS, name="kpis").columns == [*KPIS, "extra"]


def test_every_missing_or_wrong_column_is_named_at_once() -> None:
    frame = empty(KPIS).drop("status").with_columns(value=pl.lit(1), at=pl.lit(datetime(2026, 1, 1)))

    with pytest.raises(BadInput) as refused:
        check_frame(frame, KPIS, name="kpis")

    assert "status: missing" in refused.value.what
    assert "value: Int32, not" in refused.value.what
    assert "at: Datetime(time_unit='us', time_zone=None)" in refused.value.what
    assert refused.value.allowed == ", ".join(KPIS)


def test_facts_need_nothing_but_kpis() -> None:
    one = Facts(kpis=empty(KPIS).clear())

    assert (one.events.height, one.relations.height, one.elements.height, dict(one.holidays)) == (0, 0, 0, {})
    assert one.events.schema == pl.Schema(EVENTS)


def test_a_time_in_another_zone_is_not_taken_for_utc() -> None:
    frame = empty(KPIS).with_columns(at=pl.Series([], dtype=pl.Datetime("us", "Europe/Rome")))

    with pytest.raises(BadInput, match="Europe/Rome"):
        check_frame(frame, KPIS, name="kpis")
    assert check_frame(pl.DataFrame({**{k: [None] for k in KPIS}, "at": [datetime(2026, 1, 1, tzinfo=UTC)]}, schema=dict(KPIS)), KPIS, name="kpis").height == 1
