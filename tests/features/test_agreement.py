"""History, the live stream and the judge give the same rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trunkline.core.frames import Facts
from trunkline.features import Features, alarms, attribute, history, holiday, hour, kpi, live, state, weekday, when
from trunkline.features.language import Expression
from trunkline.features.parity import check

WINDOWS = ("sum", "mean", "max", "min", "count", "std", "median")
NEVER_SLOW = settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], derandomize=True)


def expressions() -> st.SearchStrategy[Expression]:
    """Random features on a grid of an hour; comparisons only of values that are exact."""
    names = st.sampled_from(["volume", "attempts", "drops"]).map(kpi)
    exact = st.one_of(names, names.map(lambda x: x.lag("3h")), names.map(lambda x: x.fill(0)), names.map(lambda x: x.over("4h", "max")))
    compared = st.tuples(exact, exact).map(lambda pair: pair[0] <= pair[1])
    leaves = st.one_of(
        exact,
        compared,
        st.sampled_from([hour(), weekday(), holiday(), state("locked", "pm_missing"), state("suspect", "planned_work"), attribute("role", "capacity")]),
        compared.map(lambda x: when(x, kpi("volume"), kpi("drops"))),
        st.just(when(attribute("role", "capacity"), kpi("drops"), kpi("attempts"))),
        st.builds(
            lambda severity, scope, window: alarms(severity, scope).over(window),
            st.sampled_from(["major", "indeterminate", "critical"]),
            st.sampled_from(["self", "self, parents", "parents, transport", "neighbours, node"]),
            st.sampled_from(["1h", "6h"]),
        ),
    )
    return st.recursive(leaves, _larger, max_leaves=3)


def _larger(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    share = st.sampled_from([0.1, 0.5, 0.75, 1.0])
    return st.one_of(
        st.builds(
            lambda x, window, stat, least: x.over(window, stat, least=least), inner, st.sampled_from(["1h", "3h", "6h"]), st.sampled_from(WINDOWS), share
        ),
        st.builds(lambda x, by: x.lag(by), inner, st.sampled_from(["1h", "1d"])),
        st.builds(lambda x, weeks, stat: x.hour_of_week(weeks=weeks, stat=stat), inner, st.integers(1, 2), st.sampled_from(["median", "mad", "mean", "count"])),
        st.builds(
            lambda x, relation, stat, least: x.across(relation, stat, least=least),
            inner,
            st.sampled_from(["neighbours", "sector", "node"]),
            st.sampled_from(["mean", "sum", "max", "min", "median", "count"]),
            share,
        ),
        st.builds(lambda a, b, sign: {"+": a + b, "-": a - b, "*": a * b, "/": a / b}[sign], inner, inner, st.sampled_from("+-*/")),
        inner.map(lambda x: x.is_missing()),
        inner.map(lambda x: x.fill(0)),
        st.builds(lambda name, scope: kpi(name).busy_hour(scope), st.sampled_from(["volume", "drops"]), st.sampled_from(["cell", "network"])),
    )


def same(ours: Any, judged: Any) -> bool:
    """Both null, or equal but for rounding."""
    if ours is None or judged is None:
        return ours is None and judged is None
    return math.isclose(float(ours), float(judged), rel_tol=1e-9, abs_tol=1e-9)


def disagreements(frame: pl.DataFrame, features: Features, value: Callable[..., Any]) -> list[Any]:
    found = []
    for row in frame.iter_rows(named=True):
        for name, column in features.columns.items():
            judged = value(column, row["entity"], row["at"], row["known_at"])
            if not same(row[name], judged):
                found.append((row["entity"], row["at"], row["known_at"], name, column.words(), row[name], judged))
    return found


def stream(features: Features, facts: Facts, seed: int, *, until: datetime) -> pl.DataFrame:
    """Rows emitted while the facts arrive: each before its known_at or at it, out of order, with restarts in between."""
    draw = np.random.default_rng(seed)
    begin = facts.kpis["at"].min()
    assert isinstance(begin, datetime)
    running = live(features, elements=facts.elements, relations=facts.relations, holidays=facts.holidays, start=begin)
    kpis, events = (
        frame.with_columns(arrives=pl.col("known_at") - pl.Series(draw.choice([0, 0, 0, 5, 3000], len(frame))).cast(pl.Int64) * pl.duration(minutes=1))
        for frame in (facts.kpis, facts.events)
    )
    rows, now, before = [], begin, datetime(2000, 1, 1, tzinfo=UTC)
    while before < until:
        now += timedelta(minutes=int(draw.integers(1, 900)))
        new_kpis, new_events = (frame.filter((pl.col("arrives") > before) & (pl.col("arrives") <= now)) for frame in (kpis, events))
        for half in (0, 1):
            running.update(kpis=new_kpis[half::2].sample(fraction=1, shuffle=True, seed=seed), events=new_events[1 - half :: 2])
        rows.append(running.advance(now))
        if draw.random() < 0.15:
            fresh = live(features, elements=facts.elements, relations=facts.relations, holidays=facts.holidays)
            fresh.restore(running.snapshot())
            running = fresh
        before = now
    assert running.overtaken == 0
    return pl.concat(rows)


@NEVER_SLOW
@given(
    columns=st.lists(expressions(), min_size=1, max_size=4),
    seed=st.integers(0, 10_000),
    first=st.sampled_from([datetime(2026, 10, 14, tzinfo=UTC), datetime(2026, 3, 18, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)]),
    zones=st.sampled_from([("Europe/Rome",), ("UTC", "America/New_York"), ("Australia/Lord_Howe", "Asia/Kolkata")]),
)
def test_history_live_and_judge_agree_on_random_features_and_facts(
    oracle: Callable[..., Any], some_facts: Callable[..., Facts], columns: list[Expression], seed: int, first: datetime, zones: tuple[str, ...]
) -> None:
    facts = some_facts(seed, first=first, days=15, every=timedelta(hours=1), cells=3, zones=zones)
    features = Features(entity="cell", every="1h", columns={"reads": kpi("volume")} | {f"x{i}": column for i, column in enumerate(columns)})

    past = history(features, facts)
    present = stream(features, facts, seed, until=first + timedelta(days=16))
    report = check(features, facts, present, tolerance=0)
    judged = past.sample(25, seed=seed)

    assert report.agrees, report.examples
    assert report.pairs >= past.height
    assert disagreements(judged, features, oracle(features, facts)) == []


@NEVER_SLOW
@given(columns=st.lists(expressions(), min_size=1, max_size=4), seed=st.integers(0, 10_000))
def test_history_as_known_at_any_instant_agrees_with_the_judge(
    oracle: Callable[..., Any], some_facts: Callable[..., Facts], columns: list[Expression], seed: int
) -> None:
    draw = np.random.default_rng(seed)
    first = datetime(2026, 10, 14, tzinfo=UTC)
    facts = some_facts(seed, first=first, days=14, every=timedelta(hours=1), cells=3)
    features = Features(entity="cell", every="1h", columns={f"x{i}": column for i, column in enumerate([*columns, kpi("drops"), state("locked")])})
    at = [first + timedelta(hours=int(h)) for h in draw.integers(-5, 14 * 24 + 5, 25)]
    known = [a + timedelta(minutes=int(m)) for a, m in zip(at, draw.integers(-3000, 6000, 25), strict=True)]
    slots = pl.DataFrame({"entity": draw.choice(["c0", "c1", "c2"], 25).tolist(), "at": at, "known_at": known})
    once = first + timedelta(days=9, minutes=7)

    each = history(features, facts, slots=slots)
    all_at_once = history(features, facts, known_at=once).sample(25, seed=seed)

    value = oracle(features, facts)
    assert set(all_at_once["known_at"]) == {once}
    assert disagreements(each, features, value) == []
    assert disagreements(all_at_once, features, value) == []


@pytest.mark.slow
def test_ten_thousand_rows_over_a_clock_change_match_the_judge_everywhere(oracle: Callable[..., Any], some_facts: Callable[..., Facts]) -> None:
    facts = some_facts(
        2026, first=datetime(2026, 10, 8, tzinfo=UTC), days=21, every=timedelta(minutes=15), cells=6, late=0.03, missing=0.05, restated=0.03, events=80
    )
    features = Features(
        entity="cell",
        every="15m",
        columns={
            "traffic": kpi("volume"),
            "usual": kpi("volume").hour_of_week(weeks=2, stat="median"),
            "spread": kpi("volume").hour_of_week(weeks=2, stat="mad"),
            "attempts": kpi("attempts").over("1h", "sum"),
            "before": kpi("attempts").over("1h", "mean").lag("1d"),
            "ratio": kpi("drops") / kpi("attempts"),
            "neighbours": kpi("volume").across("neighbours", "mean"),
            "around": kpi("volume").over("1h", "mean").across("neighbours", "median"),
            "busy": kpi("volume").busy_hour(),
            "network": kpi("volume").busy_hour("network"),
            "alarms": alarms("major", "self, parents, transport").over("1h", "count"),
            "excused": state("locked", "planned_work", "pm_missing"),
            "hour": hour(),
        },
    )
    past = history(features, facts)
    weekend = past.filter(pl.col("at").is_between(datetime(2026, 10, 24, 20, tzinfo=UTC), datetime(2026, 10, 26, tzinfo=UTC)))
    judged = pl.concat([weekend, past.join(weekend, on=["entity", "at"], how="anti").sample(10_000 - weekend.height, seed=1)])

    present = stream(features, facts, 3, until=datetime(2026, 10, 29, 6, tzinfo=UTC))

    assert judged.height == 10_000
    assert disagreements(judged, features, oracle(features, facts)) == []
    assert check(features, facts, present, tolerance=0).agrees
