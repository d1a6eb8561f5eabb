"""Rows of the past: small cases whose answers are plain."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from trunkline.core.errors import BadInput, TooLittleData, UnknownName
from trunkline.core.frames import ELEMENTS, EVENTS, KPIS, RELATIONS, Facts
from trunkline.features import Features, alarms, history, kpi, state
from trunkline.features.language import Expression

START = datetime(2026, 10, 19, tzinfo=UTC)  # a Monday; Europe's clocks change on the 25th
HOUR = timedelta(hours=1)


def one_cell(values: Sequence[float | None], *, start: datetime = START, zone: str = "Europe/Rome", holidays: AbstractSet[str] = frozenset()) -> Facts:
    rows = [("A", "x", start + i * HOUR, v, "ok", start + i * HOUR + HOUR) for i, v in enumerate(values) if v is not None]
    elements = pl.DataFrame([("A", "cell", zone, None, None, None, None)], schema=dict(ELEMENTS), orient="row")
    return Facts(kpis=pl.DataFrame(rows, schema=dict(KPIS), orient="row"), elements=elements, holidays={zone: frozenset(holidays)})


def column(expression: Expression, facts: Facts) -> dict[datetime, object]:
    found = history(Features(entity="cell", every="1h", columns={"x": kpi("x"), "y": expression}), facts)
    return dict(zip(found["at"], found["y"], strict=True))


def test_a_gap_is_never_a_zero() -> None:
    facts = one_cell([4.0, None, 8.0, None, None, 6.0])

    sums = list(column(kpi("x").over("2h", "sum"), facts).values())
    strict = list(column(kpi("x").over("2h", "sum", least=1), facts).values())
    filled = list(column(kpi("x").fill(0).over("2h", "sum"), facts).values())

    assert sums == [8.0, 8.0, 16.0, 16.0, None, 12.0]  # one of two slots: the mean stands for the other
    assert strict == [None] * 6
    assert filled == [4.0, 4.0, 8.0, 8.0, 0.0, 6.0]


def test_dividing_by_zero_is_unknown() -> None:
    assert list(column(kpi("x") / (kpi("x") - 1), one_cell([1.0, None, 2.0])).values()) == [None, None, 2.0]


def test_a_restatement_changes_the_rows_after_it_and_none_before() -> None:
    facts = one_cell([1.0, 2.0, 3.0, 4.0])
    again = facts.kpis.filter(pl.col("at") == START).with_columns(value=10.0, known_at=pl.lit(START + 3 * HOUR).cast(pl.Datetime("us", "UTC")))
    facts = Facts(kpis=pl.concat([facts.kpis, again]), elements=facts.elements)
    features = Features(entity="cell", every="1h", columns={"total": kpi("x").over("4h", "sum", least=0.1), "x": kpi("x")})

    live_like = history(features, facts)
    now = history(features, facts, known_at=START + 30 * HOUR)

    assert live_like["x"].to_list() == [1.0, 2.0, 3.0, 4.0]
    assert live_like["total"].to_list() == [4.0, 6.0, (10 + 2 + 3) / 3 * 4, 19.0]
    assert now["x"].to_list() == [10.0, 2.0, 3.0, 4.0]


def test_as_known_at_an_instant_there_are_no_rows_of_what_was_not_known() -> None:
    found = history(Features(entity="cell", every="1h", columns={"x": kpi("x")}), one_cell([1.0, 2.0, 3.0]), known_at=START + 2 * HOUR)

    assert found["x"].to_list() == [1.0, 2.0]
    assert set(found["known_at"]) == {START + 2 * HOUR}


def test_the_usual_hour_is_that_of_the_wall_clock_across_a_clock_change() -> None:
    rome_offset = {True: 2, False: 1}  # summer, winter
    values = [float((START + i * HOUR + timedelta(hours=rome_offset[START + i * HOUR < datetime(2026, 10, 25, 1, tzinfo=UTC)])).hour) for i in range(24 * 21)]
    facts = one_cell(values)  # the KPI is the local hour itself

    usual = column(kpi("x").hour_of_week(weeks=1), facts)
    count = column(kpi("x").hour_of_week(weeks=1, stat="count"), facts)

    assert usual[datetime(2026, 10, 28, 8, tzinfo=UTC)] == 9.0  # 09:00 in Rome, winter; the week before that was 07:00 UTC
    assert usual[datetime(2026, 10, 27, 22, tzinfo=UTC)] == 23.0
    assert count[datetime(2026, 11, 1, 1, tzinfo=UTC)] == 2.0  # 02:00 came twice on the 25th
    assert count[datetime(2026, 10, 25, 0, tzinfo=UTC)] == 0.0  # no Sunday before


def test_the_lost_hour_of_spring_has_no_usual_value() -> None:
    facts = one_cell([1.0] * 24 * 15, start=datetime(2026, 3, 23, tzinfo=UTC))

    count = column(kpi("x").hour_of_week(weeks=1, stat="count"), facts)

    assert count[datetime(2026, 4, 5, 0, tzinfo=UTC)] == 0.0  # 02:00 in Rome, which did not exist on 29 March
    assert count[datetime(2026, 4, 5, 1, tzinfo=UTC)] == 1.0


def test_a_holiday_compares_with_holidays_and_else_with_sundays() -> None:
    values = [float((START + i * HOUR).day) for i in range(24 * 21)]
    alone = one_cell(values, zone="UTC", holidays={"2026-11-05"})
    second = one_cell(values, zone="UTC", holidays={"2026-11-05", "2026-10-28"})

    noon = datetime(2026, 11, 5, 12, tzinfo=UTC)  # a Thursday

    assert column(kpi("x").hour_of_week(weeks=2, stat="mean"), alone)[noon] == (1 + 25) / 2  # the Sundays 25 October and 1 November
    assert column(kpi("x").hour_of_week(weeks=2, stat="mean"), second)[noon] == 28.0
    assert column(kpi("x").hour_of_week(weeks=2, stat="mean"), second)[datetime(2026, 11, 4, 12, tzinfo=UTC)] == 21.0  # the 28th is left out


def test_the_busy_hour_is_that_of_the_last_complete_local_day() -> None:
    values = [float(i == 30) * 9 + 1 for i in range(24 * 4)]  # 10 at 06:00 of the second day

    busy = column(kpi("x").busy_hour(), one_cell(values, zone="UTC"))

    assert busy[START + 46 * HOUR] == 1.0  # the second day is not over
    assert busy[START + 47 * HOUR] == 10.0  # its last slot
    assert busy[START + 70 * HOUR] == 10.0
    assert busy[START + 71 * HOUR] == 1.0


def test_alarms_are_counted_as_they_were_known() -> None:
    schema, facts = dict(EVENTS), one_cell([1.0] * 6)
    raised = ("e", "N", "alarm", "major", "", START + HOUR, None, START + HOUR, "f")
    cleared = (*raised[:6], START + 2 * HOUR, START + 5 * HOUR, "f")  # told three hours late
    facts = Facts(
        kpis=facts.kpis,
        elements=facts.elements,
        events=pl.DataFrame([raised, cleared], schema=schema, orient="row"),
        relations=pl.DataFrame([("A", "parent", "N"), ("N", "parent", "A")], schema=dict(RELATIONS), orient="row"),  # a ring must not hang
    )
    columns = {"x": kpi("x"), "alarms": alarms("major", "parents").over("1h"), "worst": alarms("critical", "parents").over("1h"), "alarmed": state("alarm")}

    found = history(Features(entity="cell", every="1h", columns=columns), facts)

    assert found["alarms"].to_list() == [0.0, 1.0, 1.0, 1.0, 0.0, 0.0]
    assert found["worst"].to_list() == [0.0] * 6
    assert found["alarmed"].to_list() == [False, True, True, True, False, False]


def test_pm_missing_and_suspect_come_from_the_status() -> None:
    facts = one_cell([1.0, 2.0, None, 4.0])
    status = facts.kpis.with_columns(status=pl.Series(["ok", "suspect", "missing"]))
    columns = {"x": kpi("x"), "missing": state("pm_missing"), "doubted": state("suspect")}

    found = history(Features(entity="cell", every="1h", columns=columns), Facts(kpis=status, elements=facts.elements))

    assert found["x"].to_list() == [1.0, None, None, None]
    assert found["missing"].to_list() == [False, False, True, True]
    assert found["doubted"].to_list() == [False, True, False, False]


def test_elements_without_any_fact_have_rows_and_unlisted_ones_join() -> None:
    facts = one_cell([1.0])
    more = pl.concat([facts.elements, facts.elements.with_columns(element=pl.lit("B")), facts.elements.with_columns(element=pl.lit("N"), kind=pl.lit("node"))])
    stranger = facts.kpis.with_columns(element=pl.lit("Z"))

    found = history(Features(entity="cell", every="1h", columns={"x": kpi("x")}), Facts(kpis=pl.concat([facts.kpis, stranger]), elements=more))

    assert found.select("entity", "x").rows() == [("A", 1.0), ("B", None), ("Z", 1.0)]


def test_what_cannot_be_computed_is_refused_in_words() -> None:
    features, facts = Features(entity="cell", every="1h", columns={"x": kpi("x")}), one_cell([1.0])
    off_grid = facts.kpis.with_columns(at=pl.col("at") + timedelta(minutes=7))
    slots = pl.DataFrame({"entity": ["B"], "at": [START]})

    with pytest.raises(BadInput, match="1 KPI rows do not start on the grid"):
        history(features, Facts(kpis=off_grid), slots=slots.with_columns(entity=pl.lit("A")))
    with pytest.raises(UnknownName, match="no entity 'B'"):
        history(features, facts, slots=slots)
    with pytest.raises(UnknownName, match="no status 'fine'"):
        history(features, Facts(kpis=facts.kpis.with_columns(status=pl.lit("fine"))))
    with pytest.raises(TooLittleData, match="no KPI rows"):
        history(features, Facts(kpis=facts.kpis.clear()))
    with pytest.raises(UnknownName, match=r"no relation 'neighbors'.*\n(.*\n)*.*Did you mean 'neighbours'"):
        history(Features(entity="cell", every="1h", columns={"x": kpi("x").across("neighbors", "mean")}), facts)
