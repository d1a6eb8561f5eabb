"""Boosted trees: 300 trees of 31 leaves over 40 features, one row as the live service asks, 16, and many.

The peers score the very model: LightGBM's ``Booster.predict`` with one thread, its ``SingleRowFast`` called in C, and
``pred_contrib`` for exact reasons; answers are compared before anything is timed. scikit-learn's own boosted trees of
the same size are a second peer. Calls of ours and of the peer take turns, so that a busy machine is unfair to both
alike: the guard against growing slower is a ratio of such turns, not a time.
"""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from benchmarks.measure import Figure, each, growth, peak_mb
from trunkline.models.flat_trees import FlatTrees
from trunkline.models.lightgbm_text import flatten
from trunkline.models.protocol import Floats

FEATURES, LEAVES, TREES = 40, 31, 300
SAME = 1e-9
RECORDED_CPU, RECORDED_P99 = 0.18, 0.255
"""One row of ours over one ``Booster.predict``, the middle of eight runs on a busy machine (0.167–0.193 and 0.228–0.282); the guard allows 20 % more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """What single calls of two things took that took turns, some calls of one, then as many of the other."""

    cpu: Floats
    """(turns, 2) CPU seconds a call of each turn, ours and theirs."""
    single: Floats
    """(calls, 2) CPU seconds of each call."""

    @property
    def ratio(self) -> float:
        """CPU of ours over CPU of theirs: of the turns, the median."""
        return float(np.median(self.cpu[:, 0] / self.cpu[:, 1]))

    @property
    def p99_ratio(self) -> float:
        """The 99th percentile of ours over theirs: of ten stretches, the median."""
        return float(np.median([np.divide(*np.quantile(part, 0.99, axis=0)) for part in np.array_split(self.single, 10)]))

    @property
    def us(self) -> tuple[float, float]:
        """CPU microseconds a call of both, the median turn."""
        return float(np.median(self.cpu[:, 0]) * 1e6), float(np.median(self.cpu[:, 1]) * 1e6)

    @property
    def p99_us(self) -> tuple[float, float]:
        """The 99th percentile of both, CPU microseconds."""
        return float(np.quantile(self.single[:, 0], 0.99) * 1e6), float(np.quantile(self.single[:, 1], 0.99) * 1e6)


def figures(*, quick: bool) -> Iterator[Figure]:
    """Scores, reasons, growth, and the guard."""
    booster, x = model(TREES)
    flat = flatten(booster.model_to_string())
    same(flat, booster, x)
    calls = 3_000 if quick else 20_000
    flat.warm()
    yield from one_row(flat, booster, x, calls)
    yield from with_categories(calls // 4)
    yield from many_rows(flat, booster, x, rows=5_000 if quick else 20_000)
    yield from reasons(flat, booster, x, rows=100 if quick else 1_000)
    yield from forest(rows=10_000 if quick else 100_000)
    yield from grown(quick=quick)


@cache
def model(trees: int, *, categories: int = 0) -> tuple[Any, Floats]:
    """A booster of so many trees, and rows with gaps; the last columns are categories."""
    import lightgbm

    rng = np.random.default_rng(7)
    x = rng.normal(size=(20_000, FEATURES))
    for j in range(FEATURES - categories, FEATURES):
        x[:, j] = rng.integers(0, 30, len(x))
    y = x[:, :10].sum(axis=1) + x[:, 0] * x[:, 1] + np.isin(np.floor(x[:, -1]) % 5, (1, 3)) + rng.normal(size=len(x)) > 0.5
    x[rng.random(x.shape) < 0.05] = np.nan
    told = {"objective": "binary", "num_leaves": LEAVES, "verbosity": -1, "num_threads": 1, "feature_fraction": 0.5, "deterministic": True, "seed": 1}
    data = lightgbm.Dataset(x, label=y.astype(float), categorical_feature=list(range(FEATURES - categories, FEATURES)))
    return lightgbm.train(told, data, trees), x


def same(flat: FlatTrees, booster: Any, x: Floats) -> None:
    """Refuse to time what does not give the library's answer."""
    worst = float(np.abs(flat.total(x) - booster.predict(x, raw_score=True, num_threads=1)).max())
    assert worst <= SAME, f"our sums differ from Booster.predict by {worst:g}"


def one_row(flat: FlatTrees, booster: Any, x: Floats, calls: int) -> Iterator[Figure]:
    """One row a call."""
    rows = [x[i : i + 1] for i in range(500)]
    fast, answer = single_row_fast(booster)
    for row in rows[:50]:
        fast(row)
        assert abs(answer.value - flat.total(row)[0]) <= SAME
    nothing = empty_call(flat)
    turns = take_turns(lambda i: flat.total(rows[i % 500]), lambda i: booster.predict(rows[i % 500], num_threads=1), calls)
    in_c = take_turns(lambda i: flat.total(rows[i % 500]), lambda i: fast(rows[i % 500]), calls)
    on_clock, on_clock_peer = (each(call, calls) for call in (lambda i: flat.total(rows[i % 500]), lambda i: booster.predict(rows[i % 500], num_threads=1)))
    size = f"{TREES} trees x {LEAVES} leaves x {FEATURES} features"
    for name, unit, (ours, theirs) in (
        (f"trees: one row, {size}, median", "us CPU", turns.us),
        ("trees: one row, p99", "us CPU", turns.p99_us),
        ("trees: one row, median on the clock", "us", (on_clock["p50"] * 1e6, on_clock_peer["p50"] * 1e6)),
        ("trees: one row, p99 on the clock, neighbours included", "us", (on_clock["p99"] * 1e6, on_clock_peer["p99"] * 1e6)),
    ):
        yield Figure(
            name=name,
            value=ours,
            unit=unit,
            better="lower",
            peer="Booster.predict(num_threads=1)",
            peer_value=theirs,
            n=calls,
            limit=nothing,
            limit_is="us CPU: a compiled call with the same arrays that reads nothing",
        )
    yield Figure(
        name="trees: one row, CPU",
        value=turns.ratio,
        unit="x Booster.predict",
        bar=0.5,
        better="lower",
        peer="Booster.predict(num_threads=1), us",
        peer_value=turns.us[1],
        n=calls,
    )
    yield Figure(
        name="trees: one row against C, CPU",
        value=in_c.ratio,
        unit="x SingleRowFast",
        bar=1.0,
        better="lower",
        peer="LightGBM's SingleRowFast through ctypes, us",
        peer_value=in_c.us[1],
        n=calls,
    )
    learner = second_peer(x)
    other = take_turns(lambda i: flat.total(rows[i % 500]), lambda i: learner.predict_proba(rows[i % 500]), max(calls // 30, 100), turn=10)
    yield Figure(
        name="trees: one row against scikit-learn's trees",
        value=other.ratio,
        unit="x HistGradientBoosting",
        bar=0.5,
        better="lower",
        peer="HistGradientBoostingClassifier of the same size, its own trees, us",
        peer_value=other.us[1],
        n=max(calls // 30, 100),
    )
    for name, value, recorded in (("CPU", turns.ratio, RECORDED_CPU), ("p99", turns.p99_ratio, RECORDED_P99)):
        yield Figure(
            name=f"trees: guard, {name}",
            value=value,
            unit="x Booster.predict",
            bar=1.2 * recorded,
            better="lower",
            peer="Booster.predict(num_threads=1)",
            n=calls,
            note=f"fails at 20 % above the recorded {recorded:g}: the median of turns",
        )


def with_categories(calls: int) -> Iterator[Figure]:
    """One row where two of the columns are categories: each set of categories asked for is looked up once a row."""
    booster, x = model(TREES, categories=2)
    flat = flatten(booster.model_to_string())
    same(flat, booster, x)
    rows = [x[i : i + 1] for i in range(500)]
    turns = take_turns(lambda i: flat.total(rows[i % 500]), lambda i: booster.predict(rows[i % 500], num_threads=1), calls)
    yield Figure(
        name=f"trees: one row, {len(flat.set_start) - 1} sets of categories, CPU",
        value=turns.ratio,
        unit="x Booster.predict",
        bar=0.5,
        better="lower",
        peer="Booster.predict(num_threads=1), us",
        peer_value=turns.us[1],
        n=calls,
        note=f"{turns.us[0]:.1f} us",
    )


def many_rows(flat: FlatTrees, booster: Any, x: Floats, *, rows: int) -> Iterator[Figure]:
    """Sixteen rows a call, and all at once."""
    sixteen = [x[i : i + 16] for i in range(0, 1_600, 16)]
    turns = take_turns(lambda i: flat.total(sixteen[i % 100]), lambda i: booster.predict(sixteen[i % 100], num_threads=1), 1_000, turn=25)
    ours, theirs = turns.us
    yield Figure(
        name="trees: 16 rows a call, CPU",
        value=turns.ratio,
        unit="x Booster.predict",
        bar=0.5,
        better="lower",
        peer="Booster.predict, us",
        peer_value=theirs,
        n=1_000,
        note=f"{ours:.0f} us",
    )
    some = x[:rows]
    turns = take_turns(lambda _: flat.total(some), lambda _: booster.predict(some, num_threads=1), 5, turn=1, warm_up=1)
    mine, peers = (turns.cpu.min(axis=0) / rows).tolist()
    limit = reading(flat, some)
    yield Figure(
        name="trees: rows at once",
        value=mine / peers,
        unit="x Booster.predict",
        bar=0.5,
        better="lower",
        peer="Booster.predict(num_threads=1), us a row",
        peer_value=peers * 1e6,
        limit=limit,
        limit_is="us a row: the nodes a row touches, read from memory one after the other",
        n=rows,
        peak_mb=peak_mb(),
        note=f"{mine * 1e6:.2f} us a row",
    )


def reasons(flat: FlatTrees, booster: Any, x: Floats, *, rows: int) -> Iterator[Figure]:
    """Path reasons on every decision; exact ones beside them."""
    theirs = booster.predict(x[:rows], pred_contrib=True, num_threads=1)
    exact = [flat.contributions(row) for row in x[:rows]]
    worst = max(max(float(np.abs(phi - own[:-1]).max()), abs(base - float(own[-1]))) for (base, phi), own in zip(exact, theirs, strict=True))
    sums = max(abs(base + float(phi.sum()) - float(total)) for (base, phi), total in zip(exact, flat.total(x[:rows]), strict=True))
    assert worst <= 1e-7, f"our Shapley values differ from pred_contrib by {worst:g}"
    assert sums <= SAME, f"exact reasons miss the score by {sums:g}"
    path = [flat.shares(row) for row in x[:rows]]
    single = [x[i : i + 1] for i in range(500)]
    turns = take_turns(lambda i: flat.explained(single[i % 500][0]), lambda i: flat.total(single[i % 500]), 3_000)
    yield Figure(
        name="trees: score with path reasons, added to the score",
        value=turns.ratio - 1.0,
        unit="x the score alone",
        bar=1.0,
        better="lower",
        peer="the score alone, us",
        peer_value=turns.us[1],
        n=3_000,
        note=f"{turns.us[0]:.1f} us for both in one walk",
    )
    turns = take_turns(
        lambda i: flat.contributions(single[i % 500][0]), lambda i: booster.predict(single[i % 500], pred_contrib=True, num_threads=1), 200, turn=10, warm_up=3
    )
    yield Figure(
        name="trees: exact reasons of one row, off the hot path",
        value=turns.ratio,
        unit="x pred_contrib",
        bar=1.5,
        better="lower",
        peer="Booster.predict(pred_contrib=True), us",
        peer_value=turns.us[1],
        n=200,
        note=f"{turns.us[0]:.0f} us; sums miss the score by {sums:.1g}, values pred_contrib's by {worst:.1g}",
    )
    tops = [
        ([set(np.argsort(-np.abs(a))[:k].tolist()) for k in (1, 3)], [set(np.argsort(-np.abs(phi))[:k].tolist()) for k in (1, 3)])
        for a, (_, phi) in zip(path, exact, strict=True)
    ]
    yield Figure(name="trees: first path reason is the first exact one", value=float(np.mean([a[0] == b[0] for a, b in tops])), unit="share of rows", n=rows)
    yield Figure(name="trees: of three path reasons among the three exact", value=float(np.mean([len(a[1] & b[1]) / 3 for a, b in tops])), unit="share", n=rows)
    yield Figure(
        name="trees: three reasons taken away move the score more than three others",
        value=telling(flat, x[:rows], path),
        unit="share of rows",
        bar=0.9,
        n=rows,
        note="taken away: put to the column's median; three others: drawn anew for each row",
    )


def telling(flat: FlatTrees, x: Floats, path: list[Floats]) -> float:
    """How often putting the three weightiest columns to their median moves the score more than putting three random others."""
    rng, usual = np.random.default_rng(3), np.nanmedian(x, axis=0)
    without, random = x.copy(), x.copy()
    for i, shares in enumerate(path):
        order = np.argsort(-np.abs(shares))
        without[i, order[:3]] = usual[order[:3]]
        others = rng.choice(order[3:], 3, replace=False)
        random[i, others] = usual[others]
    score = flat.total(x)
    return float(np.mean(np.abs(flat.total(without) - score) > np.abs(flat.total(random) - score)))


def forest(*, rows: int) -> Iterator[Figure]:
    """An isolation forest of 200 trees over 20 columns, as the model of that name scores."""
    from sklearn.ensemble import IsolationForest

    from trunkline.models.forest import _flatten

    x = np.random.default_rng(11).normal(size=(rows, 20)).astype(np.float32)
    grower = IsolationForest(n_estimators=200, random_state=0, n_jobs=1).fit(x[:5_000])
    flat, per_tree = _flatten(grower)
    exact = x.astype(np.float64)

    def ours(_: int) -> Floats:
        return np.asarray(2.0 ** (-flat.total(exact) / per_tree))

    worst = float(np.abs(ours(0) + grower.score_samples(x)).max())
    assert worst <= SAME, f"our strangeness differs from scikit-learn's by {worst:g}"
    turns = take_turns(ours, lambda _: grower.score_samples(x), 3, turn=1, warm_up=0)
    mine, peers = turns.cpu.min(axis=0).tolist()
    yield Figure(
        name=f"trees: isolation forest, 200 trees, {rows:,} rows x 20",
        value=mine / peers,
        unit="x scikit-learn",
        bar=1.0,
        better="lower",
        peer="IsolationForest.score_samples, s CPU",
        peer_value=peers,
        n=rows,
        peak_mb=peak_mb(),
        note=f"{mine:.3f} s CPU",
    )


def grown(*, quick: bool) -> Iterator[Figure]:
    """One row through 1, 3 and 10 times as many trees."""
    sizes = (30, 100, 300) if quick else (100, 300, 1_000)
    took = {}
    for size in sizes:
        booster, x = model(size)
        flat = flatten(booster.model_to_string())
        same(flat, booster, x[:500])
        rows = [x[i : i + 1] for i in range(500)]
        took[size] = alone(lambda i, f=flat, r=rows: f.total(r[i % 500]), 2_000)  # type: ignore[misc]
    yield Figure(
        name=f"trees: growth, one row through {', '.join(map(str, sizes))} trees",
        value=growth(took),
        unit="exponent",
        bar=1.2,
        better="lower",
        n=2_000,
        note=", ".join(f"{size}: {seconds * 1e6:.1f} us" for size, seconds in took.items()),
    )


def take_turns(ours: Callable[[int], object], theirs: Callable[[int], object], calls: int, *, turn: int = 50, warm_up: int = 50) -> Turns:
    """So many calls of each, *turn* of one and then of the other, after some that do not count."""
    for i in range(warm_up):
        ours(i)
        theirs(i)
    turns = max(calls // turn, 1)
    used, single, clock = np.empty((turns, 2)), np.empty((turns * turn, 2)), time.thread_time_ns
    gc.collect()
    gc.disable()
    try:
        for number in range(turns):
            for side, call in enumerate((ours, theirs)):
                before = clock()
                for i in range(number * turn, (number + 1) * turn):
                    begun = clock()
                    call(i)
                    single[i, side] = clock() - begun
                used[number, side] = (clock() - before) / turn
    finally:
        gc.enable()
    return Turns(cpu=used / 1e9, single=single / 1e9)


def alone(call: Callable[[int], object], calls: int) -> float:
    """CPU seconds of one call, the median turn."""
    return take_turns(call, lambda _: None, calls).us[0] / 1e6


def empty_call(flat: FlatTrees) -> float:
    """Microseconds of a compiled call that is handed the same arrays and does nothing: no rows."""
    nothing = np.zeros((0, FEATURES))
    return alone(lambda _: flat.total(nothing), 2_000) * 1e6


def reading(flat: FlatTrees, x: Floats) -> float:
    """Microseconds a row to read the nodes it touches (16 bytes each) and its features, at the speed memory is read in order."""
    leaves = np.concatenate([node for _, node in flat._blocks(x[:200])], axis=1)  # noqa: SLF001 - counts what is touched
    depth = np.zeros(len(flat.left))
    for node in range(len(flat.left)):  # children come after their parent
        if flat.left[node] != node:
            depth[[flat.left[node], flat.right[node]]] = depth[node] + 1
    touched = float((depth[leaves] + 1).sum() / leaves.shape[1]) * 16 + FEATURES * 8
    much = np.ones(4_000_000)
    begun = time.process_time()
    for _ in range(5):
        much.sum()
    return touched / (5 * much.nbytes / (time.process_time() - begun)) * 1e6


def single_row_fast(booster: Any) -> tuple[Callable[[Floats], object], Any]:
    """LightGBM's fastest door for one row, in C, and where its answer lies."""
    from lightgbm import basic

    library: Any = basic._LIB  # type: ignore[attr-defined]  # noqa: SLF001 - the C library has no other door

    config, length, answer = ctypes.c_void_p(), ctypes.c_int64(), ctypes.c_double()
    raw, double = 1, 1
    begun = library.LGBM_BoosterPredictForMatSingleRowFastInit(
        booster._handle,  # noqa: SLF001
        ctypes.c_int(raw),
        ctypes.c_int(0),
        ctypes.c_int(-1),
        ctypes.c_int(double),
        ctypes.c_int32(FEATURES),
        b"num_threads=1",
        ctypes.byref(config),
    )
    assert begun == 0
    call, to_length, to_answer = library.LGBM_BoosterPredictForMatSingleRowFast, ctypes.byref(length), ctypes.byref(answer)

    def score(row: Floats) -> object:
        return call(config, ctypes.c_void_p(row.ctypes.data), to_length, to_answer)

    return score, answer


@cache
def _second(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    _, x = model(TREES)
    y = (np.nan_to_num(x[:, :10]).sum(axis=1) > 0).astype(int)
    return HistGradientBoostingClassifier(max_iter=TREES, max_leaf_nodes=LEAVES, early_stopping=False, random_state=seed).fit(x[:2_000], y[:2_000])


def second_peer(x: Floats) -> Any:
    """scikit-learn's trees of the same size, one thread."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    threadpool_limits(1)
    learner = _second(0)
    learner.predict_proba(x[:1])
    return learner
