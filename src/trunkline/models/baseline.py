"""A fitted baseline: what is usual for each series and hour, how far errors scatter, and how strange one is.

:class:`~trunkline.models.harmonic.Harmonic` and :class:`~trunkline.models.envelope.Envelope` learn different
usual values; everything after that is the same and lives here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.errors import BadInput, TooLittleData, UnknownName
from trunkline.core.frames import TIME
from trunkline.core.values import Reason
from trunkline.models.grid import Grid, lay
from trunkline.models.protocol import Context, Floats, Saved
from trunkline.models.reasons import against_usual, moment, over_usual
from trunkline.models.rows import feature_columns
from trunkline.models.seasons import design, hours_of_week
from trunkline.models.strangeness import Strangeness
from trunkline.models.transforms import KINDS, Transforms

Ints = npt.NDArray[np.int64]
Baseline = Literal["week", "day", "level"]

BASELINES: tuple[Baseline, ...] = ("level", "day", "week")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Where the slots of a grid lie in each entity's local week."""

    every: timedelta
    zones: Mapping[str, str]
    holidays: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, context: Context, entities: tuple[str, ...]) -> Calendar:
        zones = {e: context.zone_of(e) for e in entities}
        return cls(every=context.every, zones=zones, holidays={z: tuple(sorted(context.holidays.get(z, ()))) for z in sorted(set(zones.values()))})

    def by_zone(self, entities: tuple[str, ...]) -> dict[str, Ints]:
        """The entities of each zone, by their place in *entities*."""
        out: dict[str, list[int]] = {}
        for e, name in enumerate(entities):
            out.setdefault(self.zones.get(name, "UTC"), []).append(e)
        return {z: np.array(found, dtype=np.int64) for z, found in out.items()}

    def hours(self, at_us: Ints, zone: str) -> Floats:
        """Hours of the local week of each instant."""
        return hours_of_week(at_us, zone, self.holidays.get(zone, ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedBaseline:
    """Usual values of (column, entity) series and the strangeness of what departs from them.

    Arrays have one line per series, columns first: series ``c * E + e``. ``coefficients`` (S, P) belong to the
    Fourier terms of ``harmonics``, or, without, to the 168 local hours of a week. ``margins`` (S, 7, 2) are the
    factors of the scale by which a forecast of 1 to 7 days is widened below and above at ``margin_level``.
    """

    model: str
    parameters: Mapping[str, Any]
    columns: tuple[str, ...]
    entities: tuple[str, ...]
    calendar: Calendar
    words: Mapping[str, str]
    harmonics: tuple[int, int] | None
    direction: Literal["both", "low", "high"]
    transforms: Transforms
    coefficients: Floats
    level: Floats
    scale: Floats
    days: Floats
    last_us: int
    margins: Floats
    margin_level: float
    strangeness: Strangeness

    @property
    def every(self) -> timedelta:
        """Length of one slot."""
        return self.calendar.every

    @property
    def lookback(self) -> timedelta:
        """The longest window less the row itself."""
        return (max(self.strangeness.windows) - 1) * self.every

    @property
    def baseline_used(self) -> dict[tuple[str, str], Baseline | None]:
        """What each (entity, column) is compared with: its week, its day, its level; None where it had no values."""
        rank = _rank(self.days)
        return {(e, c): BASELINES[r] if r >= 0 else None for (c, e), r in zip(((c, e) for c in self.columns for e in self.entities), rank, strict=True)}

    @property
    def transforms_used(self) -> dict[str, str]:
        """The scale each column is judged on: as it is, as a logarithm, or as the logarithm of what it lacks."""
        return {c: KINDS[int(self.transforms.kind[i * len(self.entities)])] for i, c in enumerate(self.columns)}

    def score(self, rows: pl.DataFrame) -> Floats:
        """1 − tail probability of each row's strangeness among its entity's own past; NaN for an entity never seen or a row without values."""
        grid, known = self._grid(rows)
        scaled, _, _ = self._scaled(grid)
        by_column = self.strangeness.columns(self._one_sided(scaled), np.maximum(known, 0))
        scores = self.strangeness.rows(by_column, np.maximum(known, 0))
        return grid.rows(scores)

    def explain(self, rows: pl.DataFrame, index: int) -> tuple[Reason, ...]:
        """For each column with a value how far it is from usual, the strangest first."""
        if not -rows.height <= index < rows.height:
            raise BadInput(f"There is no row {index}.", allowed=f"0 to {rows.height - 1}")
        entity, at = rows["entity"][index], rows["at"][index]
        near = rows.filter((pl.col("entity") == entity) & (pl.col("at") <= at) & (pl.col("at") >= at - self.lookback))
        grid, known = self._grid(near)
        scaled, usual, _ = self._scaled(grid)
        surprise = self.strangeness.columns(self._one_sided(scaled), np.maximum(known, 0))[:, 0, -1]
        total = float(np.nansum(surprise)) or 1.0
        reasons = [
            self._reason(c, at, str(entity), grid, usual, scaled, float(surprise[c]) / total) for c in range(len(self.columns)) if np.isfinite(surprise[c])
        ]
        return tuple(sorted(reasons, key=lambda r: -r.weight))

    def band(self, rows: pl.DataFrame, column: str, *, level: float = 0.99) -> pl.DataFrame:
        """For a plot: entity, at, value, usual, low and high of *column*, within which *level* of the past's errors lay."""
        c = self._column(column)
        grid, known = self._grid(rows)
        _, usual, scale = self._scaled(grid)
        of = c * len(self.entities) + np.maximum(known, 0)
        tail = self.strangeness.window_tails[0]
        far = np.array([_quantile(tail.levels[s], level) for s in of])[:, None]
        parts = {"usual": usual[c], "low": usual[c] - far * scale[c], "high": usual[c] + far * scale[c]}
        back = {name: grid.rows(self.transforms.back(part, of)) for name, part in parts.items()}
        return rows.select("entity", "at", value=pl.col(column).cast(pl.Float64)).with_columns(**{n: pl.Series(v).fill_nan(None) for n, v in back.items()})

    def forecast(self, entity: str, column: str, horizon: timedelta, *, level: float | None = None, start: datetime | None = None) -> pl.DataFrame:
        """The slots after the last one fitted (or from *start* on): at, value, low, high; null limits where the model was fitted without.

        The interval is conformal: its margins are those that, adapted day by day over the past, held the share
        of values asked for (Gibbs & Candès 2021, *Adaptive conformal inference under distribution shift*).
        Days beyond the seventh have the seventh's margin.

        Raises
        ------
        UnknownName
            The entity or column was not fitted.
        BadInput
            *level* is another than the model was fitted for (``interval``).
        """
        c = self._column(column)
        if entity not in self.entities:
            raise UnknownName("entity", entity, self.entities, where=f"model '{self.model}'")
        if level is not None and level != self.margin_level:
            raise BadInput(
                f"The margins of this model are for a level of {self.margin_level:g}, not {level:g}.",
                allowed=f"{self.margin_level:g}",
                next_step="Fit with the level you need.",
            )
        s = c * len(self.entities) + self.entities.index(entity)
        if self.days[s] < 1:
            raise TooLittleData(f"'{column}' of '{entity}' had no values to forecast from.", where=f"model '{self.model}'")
        step = self.every // timedelta(microseconds=1)
        first = self.last_us + step if start is None else int(start.timestamp() * 1e6)
        at_us = first + step * np.arange(horizon // self.every, dtype=np.int64)
        hours = self.calendar.hours(at_us, self.calendar.zones[entity])
        usual = self._terms(hours) @ self.coefficients[s] + self.level[s]
        scale = self.scale[s][hours.astype(np.int64) % 24]
        ahead = np.clip((at_us - self.last_us - 1) // (86_400_000_000), 0, 6)
        low, high = usual - self.margins[s, ahead, 0] * scale, usual + self.margins[s, ahead, 1] * scale
        back = {n: self.transforms.back(v[None], [s])[0] for n, v in (("value", usual), ("low", low), ("high", high))}
        return pl.DataFrame({"at": pl.Series(at_us).cast(TIME), **back}).fill_nan(None)

    def save(self) -> Saved:
        """Everything as JSON values and flat arrays."""
        manifest = {
            "model": self.model,
            "parameters": dict(self.parameters),
            "columns": list(self.columns),
            "every": self.every // timedelta(microseconds=1),
            "holidays": {z: list(days) for z, days in self.calendar.holidays.items()},
            "words": dict(self.words),
            "harmonics": list(self.harmonics) if self.harmonics else None,
            "direction": self.direction,
            "last": self.last_us,
            "margin_level": self.margin_level,
        }
        arrays: dict[str, npt.NDArray[Any]] = {
            "entities": np.array(self.entities, dtype=np.str_),
            "zones": np.array([self.calendar.zones[e] for e in self.entities], dtype=np.str_),
            **{name: getattr(self, name) for name in ("coefficients", "level", "scale", "days", "margins")},
        }
        return Saved(manifest=manifest, arrays=arrays | self.transforms.arrays() | self.strangeness.arrays())

    @classmethod
    def from_saved(cls, saved: Saved) -> FittedBaseline:
        """The baseline that :meth:`save` wrote."""
        m, a = saved.manifest, saved.arrays
        entities = tuple(str(e) for e in a["entities"])
        zones = dict(zip(entities, (str(z) for z in a["zones"]), strict=True))
        return cls(
            model=m["model"],
            parameters=m["parameters"],
            columns=tuple(m["columns"]),
            entities=entities,
            calendar=Calendar(every=timedelta(microseconds=m["every"]), zones=zones, holidays={z: tuple(days) for z, days in m["holidays"].items()}),
            words=m["words"],
            harmonics=(m["harmonics"][0], m["harmonics"][1]) if m["harmonics"] else None,
            direction=m["direction"],
            transforms=Transforms.from_arrays(a),
            **{name: a[name] for name in ("coefficients", "level", "scale", "days", "margins")},
            last_us=m["last"],
            margin_level=m["margin_level"],
            strangeness=Strangeness.from_arrays(a),
        )

    def _grid(self, rows: pl.DataFrame) -> tuple[Grid, Ints]:
        place = {entity: e for e, entity in enumerate(self.entities)}
        grid = lay(rows, self.columns, self.every)
        return grid, np.array([place.get(e, -1) for e in grid.entities], dtype=np.int64)

    def _scaled(self, grid: Grid) -> tuple[Floats, Floats, Floats]:
        """Errors in scales, usual values and scales, (C, E', T) each, on the transformed scale."""
        usual, scale = np.full_like(grid.values, np.nan), np.full_like(grid.values, np.nan)
        place = {entity: e for e, entity in enumerate(self.entities)}
        for zone, entities in self.calendar.by_zone(grid.entities).items():
            here = np.array([e for e in entities if grid.entities[e] in place], dtype=np.int64)
            if not here.size:
                continue
            hours = self.calendar.hours(grid.at_us, zone)
            terms, hour = self._terms(hours), hours.astype(np.int64) % 24
            known = np.array([place[grid.entities[e]] for e in here], dtype=np.int64)
            for c in range(len(self.columns)):
                of = c * len(self.entities) + known
                usual[c, here] = self.coefficients[of] @ terms.T + self.level[of][:, None]
                scale[c, here] = self.scale[of][:, hour]
        of = (np.arange(len(self.columns))[:, None] * len(self.entities) + np.array([max(place.get(e, 0), 0) for e in grid.entities], dtype=np.int64)).ravel()
        forward = self.transforms.forward(grid.values.reshape(len(of), grid.values.shape[-1]), of).reshape(grid.values.shape)
        with np.errstate(invalid="ignore"):
            scaled = (forward - usual) / scale
        return np.where(np.isfinite(scaled), scaled, np.nan), usual, scale

    def _one_sided(self, scaled: Floats) -> Floats:
        return one_sided(scaled, self.direction)

    def _terms(self, hours: Floats) -> Floats:
        if self.harmonics is None:
            return np.asarray(hours.astype(np.int64)[:, None] == np.arange(168), dtype=np.float64)
        return design(hours, every=self.every, daily=self.harmonics[0], weekly=self.harmonics[1])[0]

    def _column(self, column: str) -> int:
        if column not in self.columns:
            raise UnknownName("feature column", column, self.columns, where=f"model '{self.model}'")
        return self.columns.index(column)

    def _reason(self, c: int, at: datetime, entity: str, grid: Grid, usual: Floats, scaled: Floats, weight: float) -> Reason:
        s = c * len(self.entities) + self.entities.index(entity)
        expected = self.transforms.back(usual[c], [s])[0]
        word = self.words.get(self.columns[c], self.columns[c].replace("_", " "))
        value = grid.values[c, 0]
        tails = zip(self.strangeness.windows, self.strangeness.window_tails, strict=True)
        by_window = {w: float(tail.p(_sum(self._one_sided(scaled)[c, 0], w), [s])[0, 0]) for w, tail in tails}
        longest = min(by_window, key=lambda w: (by_window[w], w))
        have = np.isfinite(value[-longest:]) & np.isfinite(expected[-longest:])
        if longest > 1 and by_window[1] > 0.05 and have.sum() > 1:
            now, then = float(value[-longest:][have].mean()), float(expected[-longest:][have].mean())
            return Reason(column=self.columns[c], text=over_usual(word, now, then, longest * self.every), weight=weight, value=now, usual=then)
        now, then = float(value[-1]), float(expected[-1])
        return Reason(
            column=self.columns[c], text=against_usual(word, now, then, moment(at, self.calendar.zones[entity])), weight=weight, value=now, usual=then
        )


def one_sided(scaled: Floats, direction: Literal["both", "low", "high"]) -> Floats:
    """Errors with those of the side nobody asked for set to zero."""
    if direction == "both":
        return scaled
    return np.minimum(scaled, 0.0) if direction == "low" else np.maximum(scaled, 0.0)


def laid(rows: pl.DataFrame, wanted: tuple[str, ...], context: Context) -> tuple[tuple[str, ...], Grid]:
    """The columns of numbers a baseline is fitted on, and *rows* on their grid.

    Raises
    ------
    BadInput
        There are no rows, or no column of numbers.
    """
    columns = numeric(rows, wanted)
    if rows.height == 0:
        raise BadInput("There are no rows to fit on.", allowed="at least one; weeks of them for a baseline by hour of the week")
    return columns, lay(rows, columns, context.every)


def numeric(rows: pl.DataFrame, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The columns a baseline works on: the *wanted* ones, else all numbers, but no truth values."""
    if wanted:
        return feature_columns(rows, wanted)
    numbers = [c for c in feature_columns(rows) if rows.schema[c] != pl.Boolean]
    if not numbers:
        raise BadInput(
            "The rows have no column of numbers.", where=f"columns {', '.join(rows.columns)}", allowed="at least one; a baseline has no use for truth values"
        )
    return tuple(numbers)


def _rank(days: Floats) -> list[int]:
    return [-1 if d < 1 else 0 if d < 2 else 1 if d < 14 else 2 for d in days]


def _quantile(levels: Floats, level: float) -> float:
    known = levels[np.isfinite(levels)]
    return float(np.quantile(known, level)) if known.size else np.nan


def _sum(scaled: Floats, window: int) -> Floats:
    """The statistic of the last slot alone."""
    near = scaled[-window:]
    return np.array([abs(near[-1]) if window == 1 else abs(np.nansum(near))])
