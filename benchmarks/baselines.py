"""Training baselines by hour of the week and harmonics, and scoring one slot of a network, beside NumPy.

Simulated KPIs: a daily shape with noise, one value in a hundred missing. The time of ten thousand cells is that of the
series measured times how many of them there would be: series are learned one by one, and growth is printed beside.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # scikit-learn brings it

from benchmarks.measure import Figure, cpu, growth
from trunkline.models import Context, Envelope, Harmonic
from trunkline.models.baseline import Calendar
from trunkline.models.hour_of_week import HOURS, FittedHourOfWeek
from trunkline.models.medians import by_place
from trunkline.models.seasons import design
from trunkline.models.walking import Pace, Walk, walk

Floats = npt.NDArray[np.float64]

WEEKS, KPIS = 8, 20
HOUR = timedelta(hours=1)
ALL = 10_000 * KPIS
FIRST = datetime(2026, 1, 5, tzinfo=UTC)


def figures(*, quick: bool) -> Iterator[Figure]:
    """Medians and deviations, the harmonic walk, both models whole, and one slot of a hundred thousand cells."""
    yield from _medians(cells=25 if quick else 100)
    yield from _harmonic(cells=10 if quick else 25)
    yield from _whole(cells=50 if quick else 100)
    yield from _slot(cells=100_000)


def _medians(*, cells: int) -> Iterator[Figure]:
    for minutes in (15, 60):
        slots = WEEKS * 7 * 24 * 60 // minutes
        place = np.arange(slots) * minutes // 60 % HOURS
        y = _series(cells * KPIS, slots, minutes)

        def numpy(y: Floats = y, minutes: int = minutes) -> tuple[Floats, Floats]:
            """What one writes in NumPy: weeks and quarters of an hour on one axis, the median along it."""
            shaped = np.moveaxis(y.reshape(len(y), WEEKS, HOURS, 60 // minutes), 3, 2).reshape(len(y), -1, HOURS)
            median = np.nanmedian(shaped, axis=1)
            return median, np.nanmedian(np.abs(shaped - median[:, None]), axis=1)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            expected = numpy()
        found = by_place(y, place, HOURS)
        assert np.array_equal(found.median, expected[0], equal_nan=True)
        assert np.array_equal(found.mad, expected[1], equal_nan=True)
        ours, theirs = cpu(by_place, y, place, HOURS, repeat=5), cpu(numpy, repeat=2)
        with _plain():
            twin = cpu(by_place, y, place, HOURS, repeat=2)
        took = {n: cpu(by_place, y[: len(y) * n // 10], place, HOURS, repeat=3).cpu_s for n in (1, 3, 10)}
        yield Figure(
            name=f"hour of week: median and MAD, {cells} cells x {KPIS} KPIs x {slots} slots",
            value=theirs.cpu_s / ours.cpu_s,
            unit="x NumPy",
            bar=8.0,
            peer="numpy.nanmedian, s CPU",
            peer_value=theirs.cpu_s,
            limit=theirs.cpu_s / cpu(lambda y=y: y.max(), repeat=5).cpu_s,
            limit_is="the same, if every value were only read once",
            n=y.size,
            peak_mb=ours.peak_mb,
            note=f"{ours.cpu_s * ALL / len(y):.1f} CPU-s for 10 k cells; NumPy sorting all at once {twin.cpu_s / ours.cpu_s:.1f} x ours; growth exponent {growth(took):.2f}",
        )


def _harmonic(*, cells: int) -> Iterator[Figure]:
    slots = WEEKS * 7 * 24
    hours = (np.arange(slots) % HOURS).astype(np.float64)
    x, rank = design(hours, every=HOUR, daily=8, weekly=14)
    hour = hours.astype(np.int64) % 24
    plainest = Pace(half_life_days=1e9, level_days=1e9, ridge=1e-12, clip=1e9)  # nothing fades, nothing is clipped: least squares
    for what, gaps in (("whole series", 0.0), ("one value in a hundred missing", 0.01)):
        y = _series(cells * KPIS, slots, 60, gaps=gaps)
        some = y[:KPIS]
        with threadpool_limits(1):  # BLAS threads that wait for one another would be counted as its work
            once = cpu(_least_squares, x, some, repeat=2)
        path = walk(x, rank, hour, some, slots_per_day=24, pace=plainest, keep_path=True).path
        assert path is not None
        np.testing.assert_allclose(path[21:, :, :-1], once.result[20:-1], rtol=1e-4, atol=1e-6)  # each day, once all terms are allowed

        def ours(y: Floats = y) -> Walk:
            return walk(x, rank, hour, y, slots_per_day=24, pace=Pace())

        with _plain(), threadpool_limits(1):
            twin = cpu(ours, repeat=2)
        ours()
        fast = cpu(ours, repeat=5)
        for name in ("coefficients", "level", "scale", "days", "scaled"):
            np.testing.assert_allclose(getattr(fast.result, name), getattr(twin.result, name), rtol=1e-6, atol=1e-8)
        took = {n: cpu(ours, y[: len(y) * n // 10], repeat=3).cpu_s for n in (1, 3, 10)}
        each, theirs = fast.cpu_s / len(y), once.cpu_s / len(some)
        yield Figure(
            name=f"harmonic: {cells} cells x {KPIS} KPIs x {slots} slots, {what}",
            value=theirs / each,
            unit="x numpy.linalg.lstsq",
            bar=8.0,
            peer="numpy.linalg.lstsq of each series after each of 56 days, one thread, ms CPU a series",
            peer_value=theirs * 1e3,
            limit=theirs / (cpu(lambda y=y: y.max(), repeat=5).cpu_s / len(y)),
            limit_is="the same, if every value were only read once",
            n=y.size,
            peak_mb=fast.peak_mb,
            note=f"{each * ALL:.0f} CPU-s for 10 k cells; the same 56 fits in NumPy, all series at once, {twin.cpu_s / fast.cpu_s:.1f} x ours; growth exponent {growth(took):.2f}",
        )


def _least_squares(x: Floats, y: Floats) -> Floats:
    """(days, S, P) coefficients as NumPy gives them, fitted anew after each day on all there is by then."""
    out = np.empty((x.shape[0] // 24, len(y), x.shape[1]))
    for s, line in enumerate(y):
        for d in range(len(out)):
            here = np.isfinite(line[: 24 * (d + 1)])
            out[d, s] = np.linalg.lstsq(x[: 24 * (d + 1)][here], line[: 24 * (d + 1)][here])[0]
    return out


def _whole(*, cells: int) -> Iterator[Figure]:
    slots = WEEKS * 7 * 24
    at = pl.Series(np.arange(slots) * 3_600_000_000 + int(FIRST.timestamp() * 1e6)).cast(pl.Datetime("us", "UTC"))
    y = _series(cells * 5, slots, 60)
    rows = pl.DataFrame(
        {"entity": np.repeat([f"cell-{n:05}" for n in range(cells)], slots), "at": pl.concat([at] * cells)} | {f"kpi_{k}": y[k::5].ravel() for k in range(5)}
    ).fill_nan(None)
    context = Context(every=HOUR)
    for model in (Envelope(), Harmonic()):
        model.fit(rows, context=context)
        ours = cpu(model.fit, rows, context=context, repeat=2)
        with _plain():
            twin = cpu(model.fit, rows, context=context, repeat=1)
        yield Figure(
            name=f"{type(model).__name__} whole: fit, tails, intervals, {cells} cells x 5 KPIs x 8 weeks",
            value=twin.cpu_s / ours.cpu_s,
            unit="x NumPy",
            peer="the same model without numba, s CPU",
            peer_value=twin.cpu_s,
            n=y.size,
            peak_mb=ours.peak_mb,
            note=f"{ours.cpu_s / len(y) * 1e3:.2f} ms CPU a series",
        )


def _slot(*, cells: int) -> Iterator[Figure]:
    random = np.random.default_rng(0)
    entities = tuple(f"cell-{n:06}" for n in range(cells))
    hours = 3  # of 168: the state of the others is not touched, and would take 2.7 GB
    state = [random.random((hours, KPIS, cells), np.float32) + np.float32(n) for n in range(2)]
    fitted = FittedHourOfWeek(
        parameters={},
        columns=tuple(f"kpi_{k:02}" for k in range(KPIS)),
        entities=entities,
        calendar=Calendar(every=HOUR, zones=dict.fromkeys(entities, "UTC"), holidays={}),
        words={},
        usual=state[0],
        width=state[1],
    )
    values = random.random((KPIS, cells))
    values[random.random(values.shape) < 0.01] = np.nan
    some = 500
    rows = pl.DataFrame({"entity": entities[:some], "at": [FIRST] * some, **{c: values[k, :some] for k, c in enumerate(fitted.columns)}}).fill_nan(None)
    scores = fitted.score_slot(values, FIRST)
    assert np.array_equal(scores[:some], fitted.score(rows.with_columns(pl.col("at").cast(pl.Datetime("us", "UTC")))))
    took = {}
    for times in (1, 3, 10):
        part = cells * times // 10
        small = FittedHourOfWeek(
            parameters={},
            columns=fitted.columns,
            entities=entities[:part],
            calendar=Calendar(every=HOUR, zones=dict.fromkeys(entities[:part], "UTC"), holidays={}),
            words={},
            usual=state[0][:, :, :part],
            width=state[1][:, :, :part],
        )
        took[times] = cpu(small.score_slot, np.ascontiguousarray(values[:, :part]), FIRST, repeat=9).cpu_s
    ours = cpu(fitted.score_slot, values, FIRST, repeat=15)
    with _plain():
        twin = cpu(fitted.score_slot, values, FIRST, repeat=3)
        assert np.array_equal(twin.result, scores, equal_nan=True)
    read = cpu(lambda: (values.max(), state[0][0].max(), state[1][0].max()), repeat=9)
    yield Figure(
        name=f"score one slot: {cells // 1000} k cells x {KPIS} KPIs",
        value=ours.cpu_s * 1e3,
        unit="ms CPU",
        bar=20.0,
        better="lower",
        peer="NumPy, ms CPU",
        peer_value=twin.cpu_s * 1e3,
        limit=read.cpu_s * 1e3,
        limit_is="ms to read values and state of the slot once",
        n=values.size,
        peak_mb=ours.peak_mb,
        note=f"HourOfWeek, equal to its frame path; growth exponent {growth(took):.2f}",
    )


def _series(count: int, slots: int, minutes: int, *, gaps: float = 0.01) -> Floats:
    random = np.random.default_rng(count)
    hour = np.arange(slots) * minutes / 60
    y = 10.0 + 5.0 * np.sin(hour / 24 * 2 * np.pi) + random.normal(size=(count, slots))
    y[random.random(y.shape) < gaps] = np.nan
    return y


@contextmanager
def _plain() -> Iterator[None]:
    """Without numba."""
    before = os.environ.get("TRUNKLINE_FAST")
    os.environ["TRUNKLINE_FAST"] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ["TRUNKLINE_FAST"]
        else:
            os.environ["TRUNKLINE_FAST"] = before
