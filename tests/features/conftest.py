"""The judge, and facts for it to judge: late, doubled, missing, restated, over changes of the clock and holidays."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from trunkline.core.frames import ELEMENTS, EVENTS, KPIS, RELATIONS, Facts

NAMES = ("volume", "attempts", "drops")


@pytest.fixture(scope="session")
def oracle() -> Callable[..., Any]:
    """The naive evaluator of ``oracle.py``, which lies beside this file and in no package."""
    spec = importlib.util.spec_from_file_location("oracle", Path(__file__).with_name("oracle.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.oracle  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def some_facts() -> Callable[..., Facts]:
    """Makes facts of a small network from a seed."""
    return make_facts


def make_facts(
    seed: int,
    *,
    first: datetime,
    days: int,
    every: timedelta,
    cells: int = 4,
    zones: tuple[str, ...] = ("Europe/Rome",),
    late: float = 0.1,
    missing: float = 0.15,
    restated: float = 0.1,
    events: int = 12,
) -> Facts:
    draw = np.random.default_rng(seed)
    slots = timedelta(days=days) // every
    names = [f"c{i}" for i in range(cells)]
    zone_of = {name: zones[i % len(zones)] for i, name in enumerate(names)}
    kpis: list[tuple[Any, ...]] = []
    for name in [*names, "n0"]:
        for kpi in NAMES if name != "n0" else NAMES[:1]:
            for slot in np.flatnonzero(draw.random(slots) >= missing).tolist():
                at = first + slot * every
                for version in range(1 + (draw.random() < restated) + (draw.random() < restated)):
                    wait = timedelta(minutes=int(draw.integers(0, 12)))
                    if draw.random() < late or version:
                        wait += timedelta(minutes=int(draw.integers(0, 3 * 24 * 60)))
                    status = str(draw.choice(["ok", "ok", "ok", "ok", "ok", "ok", "too_few", "suspect", "missing"]))
                    value = float(draw.integers(0, 33)) / 4 if status == "ok" else None
                    row = (name, kpi, at, value, status, at + every + wait)
                    kpis += [row] * (1 + (draw.random() < 0.05))  # the same file read twice
                    if draw.random() < 0.05:  # two values stamped with the same instant
                        kpis.append((*row[:3], 3.25, "ok", row[5]))
    return Facts(
        kpis=pl.DataFrame(kpis, schema=dict(KPIS), orient="row").sample(fraction=1, shuffle=True, seed=seed),
        events=_events(draw, [*names, "n0", "n1", "s0", "t0", "t1"], first, days, events),
        relations=_relations(names),
        elements=pl.DataFrame(
            [(name, "cell", zone_of[name], "r", "LTE", ["coverage", "capacity", None][i % 3], "v") for i, name in enumerate(names)]
            + [("n0", "node", None, "r", None, None, "v")],
            schema=dict(ELEMENTS),
            orient="row",
        ),
        holidays={zone: frozenset(str((first + timedelta(days=int(d))).date()) for d in draw.integers(0, days, max(days // 5, 1))) for zone in zones},
    )


def _events(draw: np.random.Generator, elements: list[str], first: datetime, days: int, count: int) -> pl.DataFrame:
    rows: list[tuple[Any, ...]] = []
    for number in range(count):
        who, kind = str(draw.choice(elements)), str(draw.choice(["alarm", "alarm", "alarm", "locked", "planned_work"]))
        start = first + timedelta(minutes=int(draw.integers(-2 * 24 * 60, days * 24 * 60)))
        end = start + timedelta(minutes=int(draw.choice([0, 7, 45, 300, 4000])))
        known = start + timedelta(minutes=int(draw.choice([-600, 0, 2, 2, 90])))
        severity = [None, "warning", "minor", "major", "critical", "indeterminate"][int(draw.integers(0, 6))]
        event = (f"e{number}", who, kind)
        rows.append((*event, severity, "", start, None, known, "x"))
        if draw.random() < 0.8:  # cleared; now and then late, or by the same message
            clear = known if draw.random() < 0.1 else max(known, end) + timedelta(minutes=int(draw.choice([1, 1, 200, 3000])))
            rows.append((*event, severity, "", start, end, clear, "x"))
            if draw.random() < 0.2:  # and then raised to another severity after all
                rows.append((*event, "critical", "", start, end + timedelta(hours=2), clear + timedelta(hours=1), "x"))
    return pl.DataFrame(rows, schema=dict(EVENTS), orient="row")


def _relations(names: list[str]) -> pl.DataFrame:
    pairs = [(name, "neighbours", other) for i, name in enumerate(names) for j, other in enumerate(names) if j in (i + 1, i - 1, i)]
    pairs += [(name, "parent", f"n{i % 2}") for i, name in enumerate(names)] + [("n0", "parent", "s0"), ("n1", "parent", "s0")]
    pairs += [("n0", "transport", "t0"), (names[-1], "transport", "t1"), (names[0], "node", "n0"), (names[1], "node", "n1")]
    pairs += [(name, "sector", other) for name in names[:2] for other in names[:2]]
    return pl.DataFrame(pairs, schema=dict(RELATIONS), orient="row")
