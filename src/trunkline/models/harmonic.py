"""The default judge and forecaster of a KPI: a robust ridge on the Fourier terms of the local day and week.

One linear model per series on a design all series share. On two real cells it forecasts seven days better than
a four-week mean (MASE .77 against .84, 40 origins); as an anomaly score it ties with the plain envelope there.
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
from trunkline.models.portable import parameters
from trunkline.models.protocol import Context, Floats, Saved
from trunkline.models.seasons import design
from trunkline.models.strangeness import Strangeness
from trunkline.models.transforms import Transforms
from trunkline.models.walking import DAYS, Pace, walk

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Harmonic:
    """Fourier terms of day and week, robust ridge, faded by age.

    Parameters
    ----------
    columns
        The features judged; every column of numbers where left out.
    daily, weekly
        Harmonics of 24 and of 168 hours. More follow sharper peaks and need more past.
    half_life
        Age at which a day counts half for the shape of the week.
    level
        The same for the level, which follows growth and retunes.
    ridge
        Penalty of a seasonal term, as a share of the weight of the whole past.
    clip
        Scales beyond which an error is learned as no larger, so that one outage does not lower the baseline.
    transform
        "auto" chooses for each column: volumes and utilisations as logarithms, success ratios by what they lack.
    windows
        Beside the slot itself, the lengths of past over which errors are added up: longer ones see weaker, slower losses.
    direction
        Judge what is too low, too high, or both.
    interval
        Share of values a forecast's interval is to hold; None leaves intervals out, which halves the time of a fit.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> at = pl.datetime_range(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 3, 1, 23, tzinfo=UTC), "1h", time_unit="us", eager=True)
    >>> hour = at.dt.hour().to_numpy()
    >>> traffic = (10.0 + 5.0 * np.sin(hour / 24 * 2 * np.pi)) * np.random.default_rng(1).lognormal(0, 0.1, len(at))
    >>> traffic[-1] = 2.0
    >>> rows = pl.DataFrame({"entity": "cell-1", "at": at, "dl_volume": traffic})
    >>> fitted = Harmonic().fit(rows[:-24], context=Context(every=timedelta(hours=1), words={"dl_volume": "downlink volume"}))
    >>> bool(fitted.score(rows)[-1] > 0.99)
    True
    >>> fitted.explain(rows, len(rows) - 1)[0].text
    'downlink volume 77 % below its usual Sunday 23:00 (2 against 8.64)'
    """

    columns: tuple[str, ...] = ()
    daily: int = 8
    weekly: int = 14
    half_life: str = "28d"
    level: str = "7d"
    ridge: float = 1e-3
    clip: float = 4.0
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
        pace = Pace(half_life_days=duration(self.half_life) / DAY, level_days=duration(self.level) / DAY, ridge=self.ridge, clip=self.clip)
        terms = design(np.zeros(1), every=context.every, daily=self.daily, weekly=self.weekly)[0].shape[1]
        coefficients, level, days = np.zeros((len(y), terms)), np.zeros(len(y)), np.zeros(len(y))
        scale, wide = np.ones((len(y), 24)), np.full((len(y), 7, 2), np.nan)
        scaled, use = np.full_like(y, np.nan), np.zeros(y.shape, dtype=np.bool_)
        for zone, members in calendar.by_zone(grid.entities).items():
            hours = calendar.hours(grid.at_us, zone)
            x, rank = design(hours, every=context.every, daily=self.daily, weekly=self.weekly)
            of = (np.arange(count)[:, None] * entities + members).ravel()
            past = walk(x, rank, hours.astype(np.int64) % 24, y[of], slots_per_day=per_day, pace=pace, keep_path=self.interval is not None)
            coefficients[of], level[of], scale[of], days[of] = past.coefficients, past.level, past.scale, past.days
            scaled[of] = past.scaled
            use[of] = settled(past.age, past.days)
            if self.interval is not None:
                wide[of] = margins(past, x, hours.astype(np.int64) % 24, y[of], slots_per_day=per_day, level=self.interval)
        shape = (count, entities, slots)
        judged = one_sided(scaled.reshape(shape), self.direction)
        return FittedBaseline(
            model="harmonic",
            parameters=parameters(self),
            columns=columns,
            entities=grid.entities,
            calendar=calendar,
            words={c: context.word(c) for c in columns},
            harmonics=(self.daily, self.weekly),
            direction=self.direction,
            transforms=transforms,
            coefficients=coefficients,
            level=level,
            scale=np.where(np.isfinite(scale), scale, np.nan),
            days=days,
            last_us=int(grid.at_us[-1]),
            margins=wide,
            margin_level=self.interval or 0.0,
            strangeness=Strangeness.fit(judged, slots_of(self.windows, context.every), use.reshape(shape), week=7 * per_day),
        )

    @classmethod
    def from_saved(cls, saved: Saved) -> FittedBaseline:
        """The fitted baseline *saved* holds."""
        return FittedBaseline.from_saved(saved)


def slots_of(windows: tuple[str, ...], every: timedelta) -> tuple[int, ...]:
    """The windows in slots, one slot first, each once.

    >>> slots_of(("3h", "6h"), timedelta(minutes=15)), slots_of(("3h", "6h"), timedelta(days=1))
    ((1, 12, 24), (1,))
    """
    return tuple(sorted({1, *(max(1, round(duration(w) / every)) for w in windows)}))


def settled(age: Floats, days: Floats) -> npt.NDArray[np.bool_]:
    """The slots whose errors are like those to come: a week after the baseline reached the kind it ends with.

    A past too short for that gives what it has.
    """
    begin = np.where(days >= DAYS[1] + 9, DAYS[1] + 7, np.where(days >= DAYS[1], DAYS[1] - 5, np.where(days >= 7, 4, 1)))
    return np.asarray(age >= begin[:, None])
