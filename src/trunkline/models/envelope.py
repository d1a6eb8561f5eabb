"""The plain baseline an operator's engineer would draw: the median of each hour of the week, moved with the level.

Robust, easy to check by eye, and the bar every cleverer model has to beat.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.clock import duration
from trunkline.models.baseline import Calendar, FittedBaseline, laid, one_sided
from trunkline.models.conformal import margins
from trunkline.models.harmonic import settled, slots_of
from trunkline.models.medians import by_place
from trunkline.models.portable import parameters
from trunkline.models.protocol import Context, Floats, Saved
from trunkline.models.strangeness import Strangeness
from trunkline.models.transforms import Transforms
from trunkline.models.walking import DAYS, Walk, rescale

Ints = npt.NDArray[np.int64]
DAY = timedelta(days=1)
_HOURS = 168
_LEAST = 3  # values an hour of the week needs to have a median of its own
_FADE = 0.5 ** (1.0 / 28.0)  # of the scale, by day
_CLIP = 4.0


@dataclass(frozen=True, slots=True)
class Envelope:
    """Median by hour of the week over the last weeks, plus the level of the last days.

    Parameters
    ----------
    columns
        The features judged; every column of numbers where left out.
    weeks
        Weeks the medians are taken over. More are steadier and slower to follow growth.
    level
        Half-life of the level on top of the medians.
    windows, direction, transform, interval
        As for :class:`~trunkline.models.harmonic.Harmonic`.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> at = pl.datetime_range(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 3, 1, 23, tzinfo=UTC), "1h", time_unit="us", eager=True)
    >>> users = 50.0 + at.dt.hour().to_numpy() + np.random.default_rng(1).normal(0, 1, len(at))
    >>> rows = pl.DataFrame({"entity": "cell-1", "at": at, "users": users})
    >>> fitted = Envelope().fit(rows, context=Context(every=timedelta(hours=1)))
    >>> fitted.baseline_used
    {('cell-1', 'users'): 'week'}
    """

    columns: tuple[str, ...] = ()
    weeks: int = 8
    level: str = "7d"
    transform: Literal["auto", "none"] = "auto"
    windows: tuple[str, ...] = ("3h", "6h")
    direction: Literal["both", "low", "high"] = "both"
    interval: float | None = 0.9

    by_element: ClassVar[bool] = True

    def fit(self, rows: pl.DataFrame, *, labels: npt.NDArray[Any] | None = None, context: Context, seed: int = 0) -> FittedBaseline:
        """Learn from *rows*; labels and seed are not needed.

        Raises
        ------
        BadInput
            There are no rows, or no column of numbers.
        """
        del labels, seed
        columns, grid = laid(rows, self.columns, context)
        count, entities, slots = grid.values.shape
        flat = grid.values.reshape(count * entities, slots)
        transforms = Transforms.fit(flat, np.repeat(np.arange(count), entities), log=self.transform == "auto")
        y = transforms.forward(flat)
        calendar = Calendar.of(context, grid.entities)
        per_day = max(1, round(DAY / context.every))
        table, level, days = np.zeros((len(y), _HOURS)), np.zeros(len(y)), np.zeros(len(y))
        scale, wide = np.ones((len(y), 24)), np.full((len(y), 7, 2), np.nan)
        scaled, use = np.full_like(y, np.nan), np.zeros(y.shape, dtype=np.bool_)
        for zone, members in calendar.by_zone(grid.entities).items():
            hours = calendar.hours(grid.at_us, zone).astype(np.int64)
            of = (np.arange(count)[:, None] * entities + members).ravel()
            recent = slice(max(0, slots - self.weeks * 7 * per_day), slots)
            table[of] = _medians(y[of, recent], hours[recent])
            past = _walk(y[of], hours, per_day, self.weeks, duration(self.level) / DAY)
            level[of], scale[of], days[of], scaled[of] = past.level, past.scale, past.days, past.scaled
            use[of] = settled(past.age, past.days)
            if self.interval is not None:
                wide[of] = _week_margins(past, y[of], hours % 24, per_day, self.interval)
        shape = (count, entities, slots)
        return FittedBaseline(
            model="envelope",
            parameters=parameters(self),
            columns=columns,
            entities=grid.entities,
            calendar=calendar,
            words={c: context.word(c) for c in columns},
            harmonics=None,
            direction=self.direction,
            transforms=transforms,
            coefficients=table,
            level=level,
            scale=np.where(np.isfinite(scale), scale, np.nan),
            days=days,
            last_us=int(grid.at_us[-1]),
            margins=wide,
            margin_level=self.interval or 0.0,
            strangeness=Strangeness.fit(
                one_sided(scaled.reshape(shape), self.direction), slots_of(self.windows, context.every), use.reshape(shape), week=7 * per_day
            ),
        )

    @classmethod
    def from_saved(cls, saved: Saved) -> FittedBaseline:
        """The fitted baseline *saved* holds."""
        return FittedBaseline.from_saved(saved)


def _medians(y: Floats, hours: Ints) -> Floats:
    """(S, 168) medians; an hour seen fewer than three times has that of its hour of day, that of all hours."""
    week = by_place(y, hours, _HOURS, spread=False)
    thin = week.known < _LEAST
    out = week.median
    if thin.any():
        lines = np.flatnonzero(thin.any(axis=1))
        day = by_place(y[lines], hours % 24, 24, spread=False)
        hour = np.arange(_HOURS) % 24
        coarser = np.where((day.known >= _LEAST)[:, hour], day.median[:, hour], _median(y[lines])[:, None])
        out[lines] = np.where(thin[lines], coarser, out[lines])
    return np.nan_to_num(out)


def _median(y: Floats) -> Floats:
    """Median by line, NaN left out, NaN for a line of none."""
    ordered = np.sort(y, axis=1)  # NaN last
    count = np.isfinite(ordered).sum(axis=1)
    if ordered.shape[1] == 0:
        return np.full(len(y), np.nan)
    line = np.arange(len(y))
    low, high = np.maximum((count - 1) // 2, 0), np.minimum(count // 2, ordered.shape[1] - 1)
    return np.where(count > 0, 0.5 * (ordered[line, low] + ordered[line, high]), np.nan)


def _walk(y: Floats, hours: Ints, per_day: int, weeks: int, level_days: float) -> Walk:
    """Errors of each slot against the medians of the weeks before it, level and scale learned day by day."""
    series, slots = y.shape
    week = 7 * per_day
    usual = np.full_like(y, np.nan)
    for start in range(0, slots, week):  # a week at a time: the slots a whole number of weeks back
        stop = min(start + week, slots)
        if start == 0:
            before = y[:, :0]
            usual[:, :stop] = np.nan
            continue
        before = y[:, max(0, start - weeks * week) : start]
        back = before.shape[1] // week
        usual[:, start:stop] = by_place(before[:, -back * week :], np.arange(back * week) % week, week, spread=False).median[:, : stop - start]
    rise = 1.0 - 0.5 ** (1.0 / level_days)
    at = Walk(
        coefficients=np.zeros((series, 0)),
        level=np.zeros(series),
        scale=np.full((series, 24), np.inf),
        days=np.zeros(series),
        errors=np.full_like(y, np.nan),
        scaled=np.full_like(y, np.nan),
        age=np.zeros_like(y),
        path=np.zeros((-(-slots // per_day), series, 1)),
    )
    size, weight = np.zeros((series, 24)), np.zeros((series, 24))
    for d, start in enumerate(range(0, slots, per_day)):
        day = slice(start, min(start + per_day, slots))
        hour = hours[day] % 24
        error = y[:, day] - usual[:, day] - at.level[:, None]
        if at.path is not None:
            at.path[d, :, 0] = at.level
        scale = at.scale[:, hour]
        at.errors[:, day], at.age[:, day] = error, at.days[:, None]
        at.scaled[:, day] = np.where(np.isfinite(scale), error / scale, np.nan)
        at.days = at.days + np.isfinite(y[:, day]).any(axis=1)
        seen, plain = np.isfinite(error), np.nan_to_num(error)
        bound = np.where(np.isfinite(scale), 0.5 * _CLIP * scale, 0.0)
        trusted = at.days >= DAYS[1]
        at.level = at.level + np.where(trusted, rise * np.clip(plain, -bound, bound).sum(axis=1) / np.maximum(seen.sum(axis=1), 1), 0.0)
        capped = np.where(seen, np.minimum(np.abs(plain), np.where(trusted[:, None], _CLIP * scale, np.inf)), np.nan)
        size, weight, at.scale = rescale(size, weight, at, capped, hour, _FADE)
    return at


def _week_margins(past: Walk, y: Floats, hour: Ints, per_day: int, level: float) -> Floats:
    """The margins of a forecast a week ahead for all leads: medians move too slowly for a day's lead to matter."""
    if past.path is None:
        return np.full((len(y), 7, 2), 3.3)
    usual = y - past.errors - np.repeat(past.path[:, :, 0].T, per_day, axis=1)[:, : y.shape[1]]
    flat = Walk(
        coefficients=past.coefficients,
        level=past.level,
        scale=past.scale,
        days=past.days,
        errors=past.errors,
        scaled=past.scaled,
        age=past.age,
        path=past.path,
    )
    return margins(flat, np.zeros((y.shape[1], 0)), hour, y - usual, slots_per_day=per_day, level=level)
