"""From rows to one value for each local day and for each week, which is what a planner looks at.

A week here is any seven days in a row, so that it always holds each weekday once: its value is the median of its
days, which one odd day does not move.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.models.protocol import Floats
from trunkline.models.rows import segments, values

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Side = Literal["above", "below"]
Daily = Literal["busiest", "usual"]

LEAST_DAYS = 3
"""A week with values on fewer days has none."""
COVERED = 0.5
"""Share of a day's slots that must have a value before its busiest says something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """One value (E, D) for each entity and local day from *first* on (days since 1970), NaN where there is none."""

    entities: tuple[str, ...]
    first: int
    values: Floats

    @property
    def last(self) -> int:
        """The latest day on which anybody has a value."""
        known = np.flatnonzero(np.isfinite(self.values).any(axis=0))
        return self.first + int(known[-1]) if known.size else self.first - 1

    def weeks(self) -> Floats:
        """(E, W) values of the weeks that end with :attr:`last`, the earliest first."""
        days = self.values[:, : self.last - self.first + 1]
        count = -(-days.shape[1] // 7)
        padded = np.concatenate([np.full((len(days), count * 7 - days.shape[1]), np.nan), days], axis=1)
        return middle(padded.reshape(len(days), count, 7))

    def trailing(self) -> Floats:
        """(E, D) values of the week that ends with each day."""
        padded = np.concatenate([np.full((len(self.values), 6), np.nan), self.values], axis=1)
        return middle(np.lib.stride_tricks.sliding_window_view(padded, 7, axis=1))


def days_of(rows: pl.DataFrame, column: str, *, every: timedelta, zones: Mapping[str, str], daily: Daily, side: Side) -> Days:
    """The day values of *column*.

    Parameters
    ----------
    daily
        "busiest": rows are slots and the day counts by its worst one, the largest where the limit is *side* "above",
        the smallest where it is "below". "usual": each row carries the day's value already, as a busy-hour feature
        does, and the day counts by their median.

    Raises
    ------
    BadInput
        The column is missing, a value is infinite, or a slot comes twice.
    """
    number = values(rows, (column,))[:, 0]
    parts = segments(rows)
    if not parts:
        return Days(entities=(), first=0, values=np.empty((0, 0)))
    frame = pl.DataFrame({"entity": rows["entity"].cast(pl.String), "day": local_days(rows, zones), "value": pl.Series(number, nan_to_null=True)}).drop_nulls(
        "value"
    )
    of_day = {"usual": pl.col("value").median(), "busiest": pl.col("value").max() if side == "above" else pl.col("value").min()}[daily]
    least = max(1.0, COVERED * (timedelta(days=1) / every)) if daily == "busiest" else 1.0
    found = frame.group_by("entity", "day").agg(of_day, n=pl.len()).filter(pl.col("n") >= least)
    names = tuple(part.entity for part in parts)
    if found.is_empty():
        return Days(entities=names, first=0, values=np.full((len(names), 0), np.nan))
    day = found["day"].to_numpy()
    first = int(day.min())
    grid = np.full((len(names), int(day.max()) - first + 1), np.nan)
    place = {name: e for e, name in enumerate(names)}
    grid[[place[e] for e in found["entity"].to_list()], day - first] = found["value"].to_numpy()
    return Days(entities=names, first=first, values=grid)


def local_days(rows: pl.DataFrame, zones: Mapping[str, str]) -> Ints:
    """The local day of each row, in days since 1970; an entity without a zone lives in UTC."""
    days = np.zeros(rows.height, dtype=np.int64)
    zone_of = (
        rows["entity"].cast(pl.String).replace_strict(dict(zones), default="UTC", return_dtype=pl.String)
        if zones
        else pl.Series(["UTC"]).new_from_index(0, rows.height)
    )
    for zone in zone_of.unique().to_list():
        here = (zone_of == zone).to_numpy()
        days[here] = rows["at"].filter(pl.Series(here)).dt.convert_time_zone(zone).dt.date().to_physical().to_numpy()
    return days


def middle(days: Floats) -> Floats:
    """The median over the last axis; NaN where fewer than three values are known.

    >>> middle(np.array([[1.0, np.nan, 5.0, 2.0], [1.0, np.nan, np.nan, 2.0]])).tolist()
    [2.0, nan]
    """
    ordered = np.sort(days, axis=-1)  # NaN last
    count = np.isfinite(days).sum(axis=-1)
    low, high = (np.take_along_axis(ordered, np.maximum(at, 0)[..., None], axis=-1)[..., 0] for at in ((count - 1) // 2, count // 2))
    return np.where(count >= LEAST_DAYS, (low + high) / 2.0, np.nan)


def beyond(weekly: Floats, limit: float, side: Side) -> Bools:
    """Where a value is strictly beyond the limit; an unknown one is not."""
    return np.asarray(weekly > limit if side == "above" else weekly < limit)


def share_of(days: Days, limit: float, unit: str) -> bool:
    """Whether the values are shares of one while the limit is meant in per cent: no value is above 1, the limit is.

    >>> share_of(Days(entities=("a",), first=0, values=np.array([[0.4, 0.7]])), 80.0, "%")
    True
    """
    known = days.values[np.isfinite(days.values)]
    return unit == "%" and limit > 1.0 and known.size > 0 and float(known.max()) <= 1.0


def in_a_row(is_beyond: Bools, needed: int, *, known: Bools | None = None) -> Bools:
    """Where *needed* weeks in a row, the last axis, are beyond; unknown weeks are stepped over.

    >>> in_a_row(np.array([True, False, True, True, True]), 2).tolist()
    [False, False, False, True, True]
    """
    if known is None:
        run = is_beyond.copy()
        for back in range(1, needed):
            run[..., back:] &= is_beyond[..., :-back]
            run[..., :back] = False
        return run
    out, run_length = np.zeros_like(is_beyond), np.zeros(is_beyond.shape[:-1], dtype=np.int64)
    for week in range(is_beyond.shape[-1]):
        run_length = np.where(known[..., week], (run_length + 1) * is_beyond[..., week], run_length)
        out[..., week] = (run_length >= needed) & known[..., week]
    return out


def came_true(days: Days, limit: float, side: Side, *, weeks: int, needed: int) -> Floats:
    """(E, D): was the limit crossed within so many weeks after each day?

    1.0 and 0.0; NaN where the entity's data end before, even if it crossed by then: counting only what came early
    would make the last months look as if everything crosses. NaN too where half of the weeks are unknown and the
    others did not cross.
    """
    weekly = days.trailing()
    entities, count = weekly.shape
    out = np.full(weekly.shape, np.nan)
    known_days = np.isfinite(days.values)
    last = np.where(known_days.any(axis=1), count - 1 - known_days[:, ::-1].argmax(axis=1), -1) if count else np.full(entities, -1)
    begin = count - 7 * weeks
    if begin <= 0:
        return out
    ahead = np.stack([weekly[:, 7 * k : 7 * k + begin] for k in range(1, weeks + 1)], axis=-1)  # (E, begin, weeks)
    known = np.isfinite(ahead)
    crossed = in_a_row(beyond(ahead, limit, side), needed, known=known).any(axis=-1)
    told = np.where(crossed, 1.0, np.where(known.mean(axis=-1) > 0.5, 0.0, np.nan))
    out[:, :begin] = np.where(np.arange(begin)[None, :] + 7 * weeks <= last[:, None], told, np.nan)
    return out
