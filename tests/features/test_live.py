"""The stream: once, in order, within bounds, and the same after a restart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import polars as pl
import pytest

from trunkline.core.errors import BadInput, Tampered, WorkspaceError
from trunkline.core.frames import ELEMENTS, EVENTS, KPIS, Facts, empty
from trunkline.features import Features, alarms, each_kpi, kpi, live, state
from trunkline.features.parity import check

START = datetime(2026, 10, 19, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURLY = Features(entity="cell", every="1h", columns={"x": kpi("x"), "before": kpi("x").lag("1h"), "day": kpi("x").over("1d", "count")})


def fact(hour: int, value: float, *, known: timedelta, element: str = "A") -> pl.DataFrame:
    return pl.DataFrame([(element, "x", START + hour * HOUR, value, "ok", START + known)], schema=dict(KPIS), orient="row")


def test_rows_go_out_once_when_their_time_has_come() -> None:
    stream = live(HOURLY, elements=empty(ELEMENTS), start=START)
    stream.update(kpis=fact(0, 1.0, known=HOUR))

    early = stream.advance(START + timedelta(minutes=69))
    due = stream.advance(START + timedelta(minutes=70))
    again = stream.advance(START + timedelta(minutes=70))
    back = stream.advance(START)

    assert (early.height, due.height, again.height, back.height) == (0, 1, 0, 0)
    assert due.row(0) == ("A", START, START + timedelta(minutes=70), 1.0, None, 1.0)
    assert early.schema == due.schema
    assert stream.next_emission == START + timedelta(minutes=130)


def test_a_late_fact_changes_later_rows_only() -> None:
    stream = live(HOURLY, elements=empty(ELEMENTS), start=START)
    stream.update(kpis=fact(1, 5.0, known=2 * HOUR))
    first = stream.advance(START + timedelta(hours=2, minutes=10))
    stream.update(kpis=fact(0, 3.0, known=3 * HOUR))

    second = stream.advance(START + timedelta(hours=3, minutes=10))

    assert first["x"].to_list() == [None, 5.0]
    assert second.select("x", "before", "day").row(0) == (None, 5.0, 2.0)
    assert stream.overtaken == 0


def test_a_fact_that_says_it_was_known_earlier_is_counted_as_overtaken() -> None:
    stream = live(HOURLY, elements=empty(ELEMENTS), start=START)
    stream.update(kpis=fact(0, 1.0, known=HOUR))
    stream.advance(START + 2 * HOUR)
    stream.update(kpis=fact(0, 2.0, known=HOUR))  # comes now, stamped before the row went out
    stream.advance(START + 3 * HOUR)

    assert stream.overtaken == 1


def test_facts_from_the_future_wait() -> None:
    stream = live(HOURLY, elements=empty(ELEMENTS), start=START)
    stream.update(kpis=fact(0, 1.0, known=5 * HOUR))
    stream.update(kpis=fact(2, 7.0, known=HOUR))  # known before its slot begins

    rows = stream.advance(START + 6 * HOUR)

    assert rows["x"].to_list() == [None, None, 7.0, None, None]
    assert rows["day"].to_list() == [0.0, 0.0, 1.0, 1.0, 2.0]


def test_the_state_does_not_grow_with_time() -> None:
    features = Features(entity="cell", every="1h", columns={"day": kpi("x").over("1d", "mean"), "alarms": alarms("minor").over("1h")})
    stream = live(features, elements=empty(ELEMENTS), start=START)
    sizes = []
    for hour in range(24 * 40):
        event = (f"e{hour}", "A", "alarm", "major", "", START + hour * HOUR, START + hour * HOUR + HOUR, START + hour * HOUR + HOUR, "s")
        stream.update(kpis=fact(hour, 1.0, known=(hour + 1) * HOUR), events=pl.DataFrame([event], schema=dict(EVENTS), orient="row"))
        stream.advance(START + (hour + 2) * HOUR)
        sizes.append(len(stream.snapshot()))

    assert max(sizes[24 * 10 :]) < 1.1 * sizes[24 * 10]
    stream.update(kpis=fact(0, 1.0, known=24 * 40 * HOUR))
    stream.advance(START + 24 * 41 * HOUR)
    assert stream.unreachable == 1


def test_a_restored_stream_goes_on_with_another_inventory(some_facts: Callable[..., Facts]) -> None:
    facts = some_facts(1, first=START, days=6, every=HOUR, cells=3)
    features = Features(
        entity="cell",
        every="1h",
        columns={"v": kpi("volume").over("1d", "mean"), "n": kpi("volume").across("neighbours", "max"), "a": alarms("minor").over("6h")},
    )
    one = live(features, elements=facts.elements, relations=facts.relations, start=START)
    one.update(kpis=facts.kpis, events=facts.events)
    one.advance(START + timedelta(days=3))
    newcomer = facts.elements[:1].with_columns(element=pl.lit("a-new-cell"))
    two = live(features, elements=pl.concat([newcomer, facts.elements]), relations=facts.relations)

    two.restore(one.snapshot())
    rest, theirs = (stream.advance(START + timedelta(days=6)) for stream in (one, two))

    assert theirs.filter(pl.col("entity") != "a-new-cell").equals(rest)
    assert theirs.height == rest.height // 3 * 4
    assert check(features, facts, rest, tolerance=0).agrees


def test_a_snapshot_is_refused_when_it_is_not_what_was_written() -> None:
    stream = live(HOURLY, elements=empty(ELEMENTS), start=START)
    snapshot = stream.snapshot()
    other = live(Features(entity="cell", every="1h", columns={"x": kpi("x")}), elements=empty(ELEMENTS))
    envelope = msgspec.msgpack.decode(snapshot)

    with pytest.raises(BadInput, match="belongs to another feature definition"):
        other.restore(snapshot)
    with pytest.raises(Tampered, match="does not match its hash"):
        stream.restore(msgspec.msgpack.encode({**envelope, "state": envelope["state"][:-1] + b"x"}))
    with pytest.raises(Tampered, match="no snapshot"):
        stream.restore(snapshot[:10])
    with pytest.raises(WorkspaceError, match="format 99"):
        stream.restore(msgspec.msgpack.encode({**envelope, "format": 99}))


def test_a_stream_wants_bound_features() -> None:
    with pytest.raises(BadInput, match="Bind the features first"):
        live(Features(entity="cell", every="1h", columns={"all": each_kpi()}), elements=empty(ELEMENTS))


def test_parity_finds_a_changed_value_and_a_repeated_row() -> None:
    stream = live(HOURLY, elements=empty(ELEMENTS), start=START)
    kpis = pl.concat([fact(hour, float(hour), known=(hour + 1) * HOUR) for hour in range(5)])
    stream.update(kpis=kpis)
    rows = stream.advance(START + 8 * HOUR)

    fine = check(HOURLY, Facts(kpis=kpis), rows)
    wrong = check(HOURLY, Facts(kpis=kpis), pl.concat([rows.with_columns(x=pl.col("x") + (pl.col("x") == 3.0)), rows[:1]]))

    assert (fine.pairs, fine.values, fine.mismatches, fine.agrees) == (7, 21, 0, True)
    assert (wrong.mismatches, wrong.repeated, wrong.agrees) == (1, 1, False)
    assert (wrong.examples[0].column, wrong.examples[0].live, wrong.examples[0].history) == ("x", 4.0, 3.0)


def test_a_state_read_from_the_status_reaches_as_far_back_as_it_is_asked() -> None:
    features = Features(entity="cell", every="1h", columns={"x": kpi("x"), "doubted": state("suspect").over("2d", "sum")})
    stream = live(features, elements=empty(ELEMENTS), start=START)
    kpis = pl.concat([fact(hour, 1.0, known=(hour + 1) * HOUR) for hour in range(48)]).with_columns(
        status=pl.when(pl.col("at") == START).then(pl.lit("suspect")).otherwise(pl.lit("ok"))
    )
    stream.update(kpis=kpis)

    rows = stream.advance(START + 60 * HOUR)

    assert rows["doubted"][46] == 1.0
    assert check(features, Facts(kpis=kpis), rows, tolerance=0).agrees
