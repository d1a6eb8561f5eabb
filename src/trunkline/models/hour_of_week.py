"""The envelope of a whole network: median and spread of each hour of the week, and nothing that a slot must remember.

Its state lies hour by hour, so that scoring a slot touches that hour's numbers alone: 16 bytes a value read, for
100,000 cells of 20 KPIs a few milliseconds. Where :class:`~trunkline.models.envelope.Envelope` learns a level, the
scatter by hour and the tails of each series, this one holds still; it is the first line where there are very many
series, and the plainest bar a cleverer model has to beat.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.clock import utc
from trunkline.core.errors import BadInput
from trunkline.core.extras import is_fast
from trunkline.core.values import Reason
from trunkline.models.baseline import Calendar, laid
from trunkline.models.grid import Grid, lay
from trunkline.models.medians import by_place
from trunkline.models.portable import parameters
from trunkline.models.protocol import Context, Floats, Saved
from trunkline.models.reasons import against_usual, moment

Ints = npt.NDArray[np.int64]
Small = npt.NDArray[np.float32]
HOURS = 168
_LEAST = 3  # values an hour needs to have a median of its own
_NARROWEST = 0.05  # of the deviation over all hours: an hour that hardly ever varied is not at fault for varying a little


@dataclass(frozen=True, slots=True)
class HourOfWeek:
    """Median and median absolute deviation of each hour of the local week.

    A value as far from its median as half of all values are has a tail probability of a half, twice as far a
    quarter, and so on (the tail of Laplace's law); a row's score is one minus the chance that any of its columns
    lies as far by itself.

    Parameters
    ----------
    columns
        The features judged; every column of numbers where left out.
    weeks
        Weeks of the past that count.

    Examples
    --------
    >>> from datetime import UTC
    >>> at = pl.datetime_range(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 3, 1, 23, tzinfo=UTC), "1h", time_unit="us", eager=True)
    >>> users = 50.0 + at.dt.hour().to_numpy() + np.random.default_rng(1).normal(0, 1, len(at))
    >>> rows = pl.DataFrame({"entity": "cell-1", "at": at, "users": users})
    >>> fitted = HourOfWeek().fit(rows, context=Context(every=timedelta(hours=1)))
    >>> bool(fitted.score_slot(np.array([[20.0]]), at[-1])[0] > 0.999)
    True
    """

    columns: tuple[str, ...] = ()
    weeks: int = 8

    by_element: ClassVar[bool] = True

    def fit(self, rows: pl.DataFrame, *, labels: npt.NDArray[Any] | None = None, context: Context, seed: int = 0) -> FittedHourOfWeek:
        """Learn from *rows*; labels and seed are not needed.

        Raises
        ------
        BadInput
            There are no rows, or no column of numbers.
        """
        del labels, seed
        columns, grid = laid(rows, self.columns, context)
        calendar = Calendar.of(context, grid.entities)
        order = np.argsort([calendar.zones[e] for e in grid.entities], kind="stable")  # zone by zone, so that a slot is a few slices
        entities = tuple(grid.entities[e] for e in order)
        recent = slice(max(0, len(grid.at_us) - round(timedelta(weeks=self.weeks) / context.every)), None)
        usual, width = (np.empty((HOURS, len(columns), len(entities)), np.float32) for _ in range(2))
        for zone, members in calendar.by_zone(entities).items():
            hours = calendar.hours(grid.at_us[recent], zone).astype(np.int64)
            for c in range(len(columns)):
                middle, spread = typical(grid.values[c, order[members]][:, recent], hours)
                usual[:, c, members], width[:, c, members] = middle.T, spread.T
        return FittedHourOfWeek(
            parameters=parameters(self),
            columns=columns,
            entities=entities,
            calendar=calendar,
            words={c: context.word(c) for c in columns},
            usual=usual,
            width=width,
        )

    @classmethod
    def from_saved(cls, saved: Saved) -> FittedHourOfWeek:
        """What :meth:`FittedHourOfWeek.save` wrote."""
        m, a = saved.manifest, saved.arrays
        entities = tuple(str(e) for e in a["entities"])
        return FittedHourOfWeek(
            parameters=m["parameters"],
            columns=tuple(m["columns"]),
            entities=entities,
            calendar=Calendar(
                every=timedelta(microseconds=m["every"]),
                zones=dict(zip(entities, (str(z) for z in a["zones"]), strict=True)),
                holidays={z: tuple(days) for z, days in m["holidays"].items()},
            ),
            words=m["words"],
            usual=a["usual"],
            width=a["width"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedHourOfWeek:
    """What is usual in each hour of the week: *usual* and *width* (168, C, E), entities zone by zone."""

    parameters: Mapping[str, Any]
    columns: tuple[str, ...]
    entities: tuple[str, ...]
    calendar: Calendar
    words: Mapping[str, str]
    usual: Small
    width: Small
    blocks: Mapping[str, slice] = field(init=False, repr=False)
    """Where each zone's entities lie."""

    def __post_init__(self) -> None:
        members = self.calendar.by_zone(self.entities).items()
        object.__setattr__(self, "blocks", {zone: slice(int(some[0]), int(some[-1]) + 1) for zone, some in members})

    @property
    def lookback(self) -> timedelta:
        """Nothing before the row itself."""
        return timedelta()

    def score(self, rows: pl.DataFrame) -> Floats:
        """How unlikely each row's farthest column is; NaN for an entity never seen or a row without values."""
        grid, usual, width = self._usual(rows)
        out = np.full((len(grid.entities), len(grid.at_us)), np.nan)
        if out.size:
            wide = len(self.columns), out.size
            out = _score(*farthest(grid.values.reshape(wide), usual.reshape(wide), width.reshape(wide))).reshape(out.shape)
        return grid.rows(out)

    def score_slot(self, values: Floats, at: datetime) -> Floats:
        """The scores of all entities in the slot that starts at *at*, equal to those :meth:`score` gives.

        Parameters
        ----------
        values
            (C, E) in the order of ``columns`` and ``entities``, NaN where there is none.
        """
        if values.shape != (len(self.columns), len(self.entities)):
            raise BadInput(
                f"The slot's values have the shape {values.shape}.",
                allowed=f"{len(self.columns)} columns by {len(self.entities)} entities, as the model has them",
            )
        out = np.empty(len(self.entities))
        at_us = np.array([utc(at).timestamp() * 1e6], np.int64)
        for zone, some in self.blocks.items():
            hour = int(self.calendar.hours(at_us, zone)[0])
            out[some] = _score(*farthest(values[:, some], self.usual[hour, :, some], self.width[hour, :, some]))
        return out

    def explain(self, rows: pl.DataFrame, index: int) -> tuple[Reason, ...]:
        """For each column with a value how far it is from usual, the farthest first."""
        if not -rows.height <= index < rows.height:
            raise BadInput(f"There is no row {index}.", allowed=f"0 to {rows.height - 1}")
        row = rows[index % rows.height]
        grid, usual, width = self._usual(row)
        now, middle = grid.values[:, 0, 0], usual[:, 0, 0].astype(np.float64)
        far = np.abs(now - middle) / width[:, 0, 0]
        total = float(np.nansum(far)) or 1.0
        when = moment(row["at"][0], self.calendar.zones.get(str(row["entity"][0]), "UTC"))
        reasons = [
            Reason(
                column=name,
                text=against_usual(self.words.get(name, name), float(now[c]), float(middle[c]), when),
                weight=float(far[c]) / total,
                value=float(now[c]),
                usual=float(middle[c]),
            )
            for c, name in enumerate(self.columns)
            if np.isfinite(far[c])
        ]
        return tuple(sorted(reasons, key=lambda r: -r.weight))

    def save(self) -> Saved:
        """Everything as JSON values and flat arrays."""
        manifest = {
            "model": "hour-of-week",
            "parameters": dict(self.parameters),
            "columns": list(self.columns),
            "every": self.calendar.every // timedelta(microseconds=1),
            "holidays": {z: list(days) for z, days in self.calendar.holidays.items()},
            "words": dict(self.words),
        }
        names = {"entities": np.array(self.entities, dtype=np.str_), "zones": np.array([self.calendar.zones[e] for e in self.entities], dtype=np.str_)}
        return Saved(manifest=manifest, arrays={**names, "usual": self.usual, "width": self.width})

    def _usual(self, rows: pl.DataFrame) -> tuple[Grid, Small, Small]:
        """The rows on their grid, and what is usual there, NaN for entities never seen."""
        grid = lay(rows, self.columns, self.calendar.every)
        usual, width = (np.full(grid.values.shape, np.nan, np.float32) for _ in range(2))
        place = {entity: e for e, entity in enumerate(self.entities)}
        for zone, members in self.calendar.by_zone(grid.entities).items():
            here = np.array([e for e in members if grid.entities[e] in place], np.int64)
            of = np.array([place[grid.entities[e]] for e in here], np.int64)
            hours = self.calendar.hours(grid.at_us, zone).astype(np.int64)
            for c in range(len(self.columns)):
                usual[c, here], width[c, here] = self.usual[hours[:, None], c, of].T, self.width[hours[:, None], c, of].T
        return grid, usual, width


def typical(y: Floats, hours: Ints) -> tuple[Floats, Floats]:
    """(S, 168) medians and widths of the (S, T) values *y*, T slots lying in these *hours* of the week.

    An hour seen fewer than three times has those of its hour of day, that of all hours.
    """
    week = by_place(y, hours, HOURS)
    middle, spread, thin = week.median, week.mad, week.known < _LEAST
    every = by_place(y, np.zeros_like(hours), 1)
    whole, wide = every.median, every.mad
    if thin.any():
        lines = np.flatnonzero(thin.any(axis=1))
        day = by_place(y[lines], hours % 24, 24)
        has_day = (day.known >= _LEAST)[:, np.arange(HOURS) % 24]
        for out, of_day, of_all in ((middle, day.median, whole), (spread, day.mad, wide)):
            out[lines] = np.where(thin[lines], np.where(has_day, of_day[:, np.arange(HOURS) % 24], of_all[lines]), out[lines])
    least = np.where(wide > 0.0, _NARROWEST * wide, 1e-6 * np.abs(whole))
    return middle, np.where(np.isnan(middle), np.nan, np.maximum(spread, np.where(least > 0.0, least, 1.0)))


def farthest(values: Floats, usual: Small, width: Small) -> tuple[Floats, Floats]:
    """For (C, N) values how many widths the farthest column is from usual, -1 where none has a value; and how many have one."""
    far, known = np.empty(values.shape[1]), np.empty(values.shape[1])
    if is_fast():
        from trunkline.models.slot_kernel import farthest as compiled

        compiled(values, usual, width, far, known)
        return far, known
    with np.errstate(invalid="ignore"):
        away = np.abs(values - usual.astype(np.float64)) / width.astype(np.float64)
    there = away >= 0.0
    return np.where(there, away, -1.0).max(axis=0, initial=-1.0), there.sum(axis=0).astype(np.float64)


def _score(far: Floats, known: Floats) -> Floats:
    """(1 - 2 ** -far) ** known: one minus the chance that any of so many columns lies as far by itself."""
    return np.where(known > 0, np.exp(known * np.log1p(-np.exp2(-np.maximum(far, 1e-12)))), np.nan)
