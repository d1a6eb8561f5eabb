"""What every model is shown beside: chance, last week, the range seen so far, and no opinion at all.

A metric that cannot tell a model from one of these is not worth reporting.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Literal
from zlib import crc32

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.errors import TooLittleData
from trunkline.core.values import Reason
from trunkline.models.calibration import Tail
from trunkline.models.grid import Grid, lay
from trunkline.models.portable import parameters
from trunkline.models.protocol import Context, Floats, Saved
from trunkline.models.reasons import number
from trunkline.models.rows import feature_columns, segments, times, values

Kind = Literal["random-alarm", "last-week", "range-novelty", "constant"]

_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class RandomAlarm:
    """Chance: a score drawn anew for each entity and slot, from the seed alone."""

    seed: int = 0
    columns: tuple[str, ...] = ()

    by_element: ClassVar[bool] = True

    def fit(self, rows: pl.DataFrame, *, labels: npt.NDArray[Any] | None = None, context: Context, seed: int = 0) -> FittedDummy:
        """Nothing is learned."""
        del labels, seed
        return FittedDummy(model="random-alarm", parameters=parameters(self), columns=feature_columns(rows, self.columns), every=context.every, seed=self.seed)

    @classmethod
    def from_saved(cls, saved: Saved) -> FittedDummy:
        """The fitted dummy *saved* holds."""
        return FittedDummy.from_saved(saved)


@dataclass(frozen=True, slots=True)
class Constant:
    """No opinion: the same score for every row."""

    value: float = 0.5
    columns: tuple[str, ...] = ()

    by_element: ClassVar[bool] = True

    def fit(self, rows: pl.DataFrame, *, labels: npt.NDArray[Any] | None = None, context: Context, seed: int = 0) -> FittedDummy:
        """Nothing is learned."""
        del labels, seed
        return FittedDummy(model="constant", parameters=parameters(self), columns=feature_columns(rows, self.columns), every=context.every, value=self.value)

    @classmethod
    def from_saved(cls, saved: Saved) -> FittedDummy:
        """The fitted dummy *saved* holds."""
        return FittedDummy.from_saved(saved)


@dataclass(frozen=True, slots=True)
class LastWeek:
    """How far each value is from the same slot a week before, against how far it usually is."""

    columns: tuple[str, ...] = ()

    by_element: ClassVar[bool] = True

    def fit(self, rows: pl.DataFrame, *, labels: npt.NDArray[Any] | None = None, context: Context, seed: int = 0) -> FittedDummy:
        """Learn how far apart two weeks usually are."""
        del labels, seed
        return _fit_calibrated("last-week", parameters(self), feature_columns(rows, self.columns), rows, context)

    @classmethod
    def from_saved(cls, saved: Saved) -> FittedDummy:
        """The fitted dummy *saved* holds."""
        return FittedDummy.from_saved(saved)


@dataclass(frozen=True, slots=True)
class RangeNovelty:
    """How far each value is outside everything seen before, in ranges; zero inside."""

    columns: tuple[str, ...] = ()

    by_element: ClassVar[bool] = True

    def fit(self, rows: pl.DataFrame, *, labels: npt.NDArray[Any] | None = None, context: Context, seed: int = 0) -> FittedDummy:
        """Learn the least and the largest value of each series."""
        del labels, seed
        return _fit_calibrated("range-novelty", parameters(self), feature_columns(rows, self.columns), rows, context)

    @classmethod
    def from_saved(cls, saved: Saved) -> FittedDummy:
        """The fitted dummy *saved* holds."""
        return FittedDummy.from_saved(saved)


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedDummy:
    """A dummy that has seen its past. ``low`` and ``high`` (C, E) are the range of each series, ``tails`` by series and by row."""

    model: Kind
    parameters: dict[str, Any]
    columns: tuple[str, ...]
    every: timedelta
    seed: int = 0
    value: float = 0.5
    entities: tuple[str, ...] = ()
    low: Floats | None = None
    high: Floats | None = None
    series_tail: Tail | None = None
    row_tail: Tail | None = None

    @property
    def lookback(self) -> timedelta:
        """A week for the one that looks a week back, else nothing."""
        return _WEEK if self.model == "last-week" else timedelta(0)

    def score(self, rows: pl.DataFrame) -> Floats:
        """One score per row; NaN where all values are missing, or the entity was never seen by one that learns."""
        matrix = values(rows, self.columns)
        parts = segments(rows)
        blank = np.isnan(matrix).all(axis=1)
        if self.model == "constant":
            return np.where(blank, np.nan, self.value)
        if self.model == "random-alarm":
            of = np.zeros(len(matrix), dtype=np.uint64)
            for part in parts:
                of[part.start : part.stop] = crc32(part.entity.encode())
            return np.where(blank, np.nan, _chance(times(rows), of, self.seed))
        surprise, grid, entity, row_tail = self._surprise(rows)
        score = 1.0 - row_tail.p(np.fmax.reduce(surprise, axis=0), np.maximum(entity, 0))
        score[entity < 0] = np.nan
        return np.asarray(grid.rows(score), dtype=np.float64)

    def explain(self, rows: pl.DataFrame, index: int) -> tuple[Reason, ...]:
        """What the dummy went by."""
        value = rows[self.columns[0]][index]
        told = {
            "random-alarm": "drawn by chance",
            "constant": "the same for every row",
            "last-week": f"{self.columns[0]} {number(float(value)) if value is not None else 'unknown'} compared with a week before",
            "range-novelty": f"{self.columns[0]} {number(float(value)) if value is not None else 'unknown'} compared with the range seen so far",
        }[self.model]
        return (Reason(column=self.columns[0], text=told, weight=1.0, value=None if value is None else float(value)),)

    def save(self) -> Saved:
        """Everything as JSON values and flat arrays."""
        manifest = {
            "model": self.model,
            "parameters": self.parameters,
            "columns": list(self.columns),
            "every": self.every // timedelta(microseconds=1),
            "seed": self.seed,
            "value": self.value,
        }
        arrays: dict[str, npt.NDArray[Any]] = {"entities": np.array(self.entities, dtype=np.str_)}
        if self.series_tail is not None and self.row_tail is not None and self.low is not None and self.high is not None:
            arrays |= {"low": self.low, "high": self.high} | self.series_tail.arrays("series") | self.row_tail.arrays("row")
        return Saved(manifest=manifest, arrays=arrays)

    @classmethod
    def from_saved(cls, saved: Saved) -> FittedDummy:
        """What :meth:`save` wrote."""
        m, a = saved.manifest, saved.arrays
        learned = "low" in a
        return cls(
            model=m["model"],
            parameters=m["parameters"],
            columns=tuple(m["columns"]),
            every=timedelta(microseconds=m["every"]),
            seed=m["seed"],
            value=m["value"],
            entities=tuple(str(e) for e in a["entities"]),
            low=a["low"] if learned else None,
            high=a["high"] if learned else None,
            series_tail=Tail.from_arrays("series", a) if learned else None,
            row_tail=Tail.from_arrays("row", a) if learned else None,
        )

    def _surprise(self, rows: pl.DataFrame) -> tuple[Floats, Grid, npt.NDArray[np.int64], Tail]:
        if self.series_tail is None or self.row_tail is None or self.low is None or self.high is None:
            raise TooLittleData(f"The dummy '{self.model}' has not learned its past.", next_step="Make it with fit().")
        grid = lay(rows, self.columns, self.every)
        place = {e: i for i, e in enumerate(self.entities)}
        entity = np.array([place.get(e, -1) for e in grid.entities], dtype=np.int64)
        known = np.maximum(entity, 0)
        low, high = self.low[:, known, None], self.high[:, known, None]
        statistic = _apart(grid.values, self.every) / _width(low, high) if self.model == "last-week" else _outside(grid.values, low, high)
        columns, entities, slots = statistic.shape
        of = (np.arange(columns)[:, None] * len(self.entities) + known).ravel()
        p = self.series_tail.p(statistic.reshape(columns * entities, slots), of)
        return np.asarray(-np.log10(p).reshape(statistic.shape), dtype=np.float64), grid, entity, self.row_tail


def _fit_calibrated(model: Kind, given: dict[str, Any], columns: tuple[str, ...], rows: pl.DataFrame, context: Context) -> FittedDummy:
    grid = lay(rows, columns, context.every)
    past = grid.values
    flat = past.reshape(-1, past.shape[-1])
    low, high = np.fmin.reduce(past, axis=-1, initial=np.inf), np.fmax.reduce(past, axis=-1, initial=-np.inf)
    if model == "last-week":
        statistic = _apart(past, context.every) / _width(low, high)[..., None]
    else:  # each slot against everything before it
        before_low = np.fmin.accumulate(past, axis=-1) if past.shape[-1] else past
        before_high = np.fmax.accumulate(past, axis=-1) if past.shape[-1] else past
        late = np.full_like(past, np.nan)
        late[..., 1:] = _outside(past[..., 1:], before_low[..., :-1], before_high[..., :-1])
        skip = min(past.shape[-1] // 2, 14 * round(timedelta(days=1) / context.every))  # the first days are all new
        late[..., :skip] = np.nan
        statistic = late
    tail = Tail.fit(statistic.reshape(flat.shape))
    surprise = -np.log10(tail.p(statistic.reshape(flat.shape))).reshape(statistic.shape)
    return FittedDummy(
        model=model,
        parameters=given,
        columns=columns,
        every=context.every,
        entities=grid.entities,
        low=low,
        high=high,
        series_tail=tail,
        row_tail=Tail.fit(np.fmax.reduce(surprise, axis=0)),
    )


def _apart(series: Floats, every: timedelta) -> Floats:
    """|x − x a week before|, NaN where either is missing."""
    back = round(_WEEK / every)
    out = np.full_like(series, np.nan)
    if series.shape[-1] > back:
        out[..., back:] = np.abs(series[..., back:] - series[..., :-back])
    return out


def _outside(series: Floats, low: Floats, high: Floats) -> Floats:
    return np.asarray(np.maximum(np.maximum(series - high, low - series), 0.0) / _width(low, high), dtype=np.float64)


def _width(low: Floats, high: Floats) -> Floats:
    """Ranges, one where there is none."""
    return np.subtract(high, low, out=np.ones_like(high), where=high > low)


def _chance(at_us: npt.NDArray[np.int64], entity: npt.NDArray[np.uint64], seed: int) -> Floats:
    """Uniform numbers from (seed, entity, time) by the finaliser of splitmix64 (Steele, Lea & Flood 2014)."""
    x = at_us.astype(np.uint64) + (entity << np.uint64(32)) + np.uint64((seed * 0x9E3779B97F4A7C15) % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return (x >> np.uint64(11)).astype(np.float64) / float(2**53)
