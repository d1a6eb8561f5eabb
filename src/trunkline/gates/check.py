"""The contract of a gate, as checks anyone can run on theirs: ``check_gate(MyGate(bar=3))``.

The evidence is made up here, seeded: 150 cells, two weeks of hours, faults of six hours.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from trunkline.core.canonical import content_hash
from trunkline.core.errors import BadInput
from trunkline.gates.protocol import Array, Evidence, Gate, Part, Verdict

CELLS, HOURS, FAULT = 150, 14 * 24, 6


def sample_evidence(scores: str = "perfect", *, seed: int = 0) -> Evidence:
    """Made-up evidence whose candidate is ``"perfect"`` or scores at ``"random"``.

    >>> sample_evidence().rows.height
    50400
    """
    rng = np.random.default_rng(seed)
    rows, labels = _network(rng, cells=CELLS, hours=HOURS, first=datetime(2026, 3, 2, tzinfo=UTC))
    earlier, known = _network(rng, cells=CELLS, hours=HOURS, first=datetime(2026, 2, 16, tzinfo=UTC))
    chance, fault = rng.random(rows.height), labels > 0
    perfect = np.where(fault, 1.0 - 1e-3 * chance, 1e-3 * chance)
    given = perfect if scores == "perfect" else chance
    return Evidence(
        rows,
        scores=given,
        labels=labels,
        split="time",
        every=timedelta(hours=1),
        entities=CELLS,
        baselines={"dummy": rng.random(rows.height)},
        train=Part(earlier, labels=known),
        time_one=lambda index: given[index],
        reload=given.copy,
        decided=given >= 0.98,
        seed=seed,
        timer=_ticking(1_000_000),
    )


def check_gate(gate: Gate, evidence: Evidence | None = None) -> None:
    """Raise an AssertionError that names the first promise *gate* breaks.

    Parameters
    ----------
    gate
        The gate, with bars that a perfect candidate reaches.
    evidence
        Evidence of a perfect candidate, where the gate needs more than the made-up one holds (a region, a price).

    >>> from trunkline.gates import Parity
    >>> check_gate(Parity())
    """
    good = evidence if evidence is not None else sample_evidence()
    before, hash_before = _fingerprint(good), content_hash(gate)
    first = _sound(gate.check(good), "a perfect candidate")
    _claim(first.result == "pass", f"a perfect candidate must pass, but: {first.why}")
    _claim(gate.check(good) == first, "the same evidence must give the same verdict")
    _claim(_fingerprint(good) == before, "a gate must not change its evidence")
    _claim(content_hash(gate) == hash_before and hash(gate) == hash(dataclasses.replace(gate)), "a gate's hash must not change")  # type: ignore[type-var]
    for case, worse in _cases(gate, good).items():
        verdict = _sound(gate.check(worse), case)
        _claim(verdict.result != "pass", f"{case} must never pass, but: {verdict.why}")
        if case.startswith("no "):
            _claim(verdict.result == "cannot tell", f"with {case} the verdict must be 'cannot tell', not '{verdict.result}'")
    _sound(gate.check(dataclasses.replace(good, scores=_holed(good.scores))), "scores with NaN among them")
    _refuses_random(gate, good)


def _cases(gate: Gate, good: Evidence) -> Mapping[str, Evidence]:
    """Evidence that must not pass, by what it is."""
    n = good.rows.height
    unlabelled = dataclasses.replace(good, labels=None, injected=None)
    if gate.judges == "scores":
        chance = np.random.default_rng(11).random(n)
        return {
            "no labels": unlabelled,
            "no rows": _empty(good),
            "no score but NaN": dataclasses.replace(good, scores=np.full(n, np.nan), decided=np.zeros(n, dtype=bool)),
            "a random candidate": dataclasses.replace(good, scores=chance, decided=chance >= 0.98),
        }
    if gate.judges == "speed":
        return {
            "no way to score one row": dataclasses.replace(good, time_one=None),
            "a candidate that takes an hour": dataclasses.replace(good, timer=_ticking(3_600_000_000_000)),
        }
    if gate.judges == "copy":
        return {
            "no reloaded candidate": dataclasses.replace(good, reload=None),
            "a copy that scores otherwise": dataclasses.replace(good, reload=lambda: good.scores[::-1].copy()),
            "a copy that cannot judge": dataclasses.replace(good, reload=lambda: np.full(n, np.nan)),
        }
    twins = dataclasses.replace(good, train=Part(good.rows, labels=good.labels, groups=good.groups))
    return {"no rows": _empty(good), "a training part that is the held-out part": twins, "no training part": dataclasses.replace(good, train=None)}


def _sound(verdict: Verdict, case: str) -> Verdict:
    """Promises every verdict keeps."""
    _claim(bool(verdict.why.strip()) and bool(verdict.gate), f"with {case} the verdict must say which gate and why")
    _claim(verdict.result in {"pass", "fail", "cannot tell"}, f"with {case} the result is '{verdict.result}'")
    _claim(verdict.result == "pass" or bool(verdict.next_step), f"with {case} the verdict must say what to do next")
    _claim(any(c.isdigit() for c in verdict.why), f"with {case} the reason must name the figures: {verdict.why}")
    if verdict.bar is not None:
        _claim(any(text in verdict.why for text in _ways(verdict.bar)), f"with {case} the reason must name the bar {verdict.bar:g}: {verdict.why}")
    if verdict.result != "cannot tell":
        _claim(verdict.value is not None and math.isfinite(verdict.value), f"with {case} a '{verdict.result}' must rest on a figure")
    if verdict.interval is not None and verdict.value is not None:
        low, high = verdict.interval
        _claim(low <= verdict.value <= high, f"with {case} the figure {verdict.value} must lie within {verdict.interval}")
    return verdict


def _ways(bar: float) -> tuple[str, ...]:
    return (f"{bar:g}", f"{bar:.1%}", f"{bar:.3f}".removeprefix("0"))


def _refuses_random(gate: Gate, good: Evidence) -> None:
    try:
        gate.check(dataclasses.replace(good, split="random"))
    except BadInput:
        return
    _claim(False, "a random split must be refused")


def _claim(holds: bool, text: str) -> None:
    if not holds:
        raise AssertionError(text)


def _network(rng: np.random.Generator, *, cells: int, hours: int, first: datetime) -> tuple[pl.DataFrame, Array]:
    """Rows of a made-up network, and the number of the fault each belongs to."""
    faulty = np.zeros((cells, hours), dtype=np.int64)
    number = 1
    for cell in range(cells):
        for begin in range(int(rng.integers(0, 60)), hours - FAULT, 150):
            number += 1
            faulty[cell, begin : begin + FAULT] = number
    busy = 1 + 0.5 * np.sin(2 * np.pi * (np.arange(hours) % 24) / 24)
    traffic = rng.gamma(4.0, busy[None, :] * rng.uniform(1, 3, (cells, 1))) * np.where(faulty > 0, 0.5, 1.0)
    drops = rng.beta(2, 100, (cells, hours)) + np.where(faulty > 0, 0.01, 0.0)
    at = [first + timedelta(hours=hour) for hour in range(hours)]
    rows = pl.DataFrame(
        {
            "entity": np.repeat([f"cell-{c:03d}" for c in range(cells)], hours),
            "at": pl.Series(at * cells, dtype=pl.Datetime("us", "UTC")),
            "traffic": traffic.ravel(),
            "drops": drops.ravel(),
        }
    )
    rows = rows.select("entity", "at", (pl.col("at") + timedelta(minutes=70)).alias("known_at"), "traffic", "drops")
    return rows, faulty.ravel()


def _ticking(step: int) -> Callable[[], int]:
    """A timer that advances by *step* nanoseconds each time it is read."""
    now = 0

    def read() -> int:
        nonlocal now
        now += step
        return now

    return read


def _holed(scores: Array) -> Array:
    holed = scores.astype(np.float64).copy()
    holed[::7] = np.nan
    return holed


def _empty(good: Evidence) -> Evidence:
    nothing = np.zeros(0)
    return dataclasses.replace(
        good,
        rows=good.rows.clear(),
        scores=nothing,
        labels=None if good.labels is None else good.labels[:0],
        groups=None if good.groups is None else good.groups[:0],
        decided=None if good.decided is None else good.decided[:0],
        baselines=dict.fromkeys(good.baselines, nothing),
        champion=None,
        injected=None,
        reload=lambda: nothing,
    )


def _fingerprint(evidence: Evidence) -> tuple[object, ...]:
    arrays = [evidence.scores, evidence.labels, evidence.groups, evidence.decided, *evidence.baselines.values()]
    return (
        int(evidence.rows.hash_rows().sum() or 0),
        evidence.rows.columns,
        *(None if a is None else hash(a.astype(str).tobytes() if a.dtype == object else a.tobytes()) for a in arrays),
    )
