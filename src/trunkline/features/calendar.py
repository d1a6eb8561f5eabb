"""Slots and local wall time: which slots of earlier weeks are comparable, which make up a local day.

Slots are counted from 1970-01-01 00:00 UTC in steps of the grid, local days from 1970-01-01. A
calendar covers a range of slots for several zones at once, as arrays of shape (zones, …).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trunkline.core.clock import zone

Ints = NDArray[np.int64]

MICROSECOND = timedelta(microseconds=1)
DAY_US = timedelta(days=1) // MICROSECOND
HOUR_US = timedelta(hours=1) // MICROSECOND
SUNDAY = 6
_EPOCH = date(1970, 1, 1).toordinal()


class Calendar:
    """Local time of the slots *first* to *last* (inclusive) at each of *zones*.

    Parameters
    ----------
    every
        The grid in microseconds.
    holidays
        ISO dates of the public holidays, by zone.
    """

    def __init__(self, zones: Sequence[str], *, every: int, first: int, last: int, holidays: Mapping[str, frozenset[str]]) -> None:
        self.zones, self.every, self.first, self.last = tuple(zones), every, first, last
        starts = pl.Series(np.arange(first, last + 1, dtype=np.int64) * every).cast(pl.Datetime("us", "UTC"))
        local = np.stack([_wall_clock(starts, name) for name in self.zones])
        self._day = local // DAY_US
        self._time = local % DAY_US
        self._day0 = int(self._day.min())
        days = int(self._day.max()) - self._day0 + 1
        self._holiday = np.zeros((len(self.zones), days), bool)
        for index, name in enumerate(self.zones):
            found = np.array([date.fromisoformat(text).toordinal() - _EPOCH - self._day0 for text in holidays.get(name, ())], np.int64)
            self._holiday[index, found[(found >= 0) & (found < days)]] = True
        self._slots = self._slots_by_wall_time(days)
        self._starts, self._counts = self._extent(days)
        self._comparable: dict[int, tuple[Ints, Ints]] = {}

    def hour(self, zones: Ints, slots: Ints) -> Ints:
        """Local hour at the start of the slot."""
        return np.asarray(self._time[zones, slots - self.first] // HOUR_US)

    def weekday(self, zones: Ints, slots: Ints) -> Ints:
        """Local weekday at the start of the slot, Monday being 0."""
        return _weekday(self._day[zones, slots - self.first])

    def is_holiday(self, zones: Ints, slots: Ints) -> NDArray[np.bool_]:
        """Whether the slot starts on a public holiday."""
        return np.asarray(self._holiday[zones, self._day[zones, slots - self.first] - self._day0])

    def comparable(self, zones: Ints, slots: Ints, weeks: int) -> tuple[Ints, Ints]:
        """Slots of the same class and wall time in the last *weeks* weeks, and the Sundays a holiday falls back to.

        Each of shape (candidates, …) before the shape of *slots*; -1 where there is no such slot.
        """
        if weeks not in self._comparable:
            self._comparable[weeks] = self._comparable_days(weeks)
        day = self._day[zones, slots - self.first] - self._day0
        bucket = self._time[zones, slots - self.first] // self.every
        first, second = (self._slots_of(zones, np.moveaxis(table[zones, day], -1, 0), bucket) for table in self._comparable[weeks])
        return first, second

    def last_complete_day(self, zones: Ints, slots: Ints) -> Ints:
        """The latest local day that is over when the slot ends; hand it to :meth:`slots_of_day`."""
        return np.asarray(self._day[zones, slots + 1 - self.first] - 1)

    def slots_of_day(self, zones: Ints, days: Ints) -> Ints:
        """The slots that start on each local day, in order, of shape (most slots a day has, …); -1 fills up."""
        day = np.asarray(days - self._day0)
        inside = day >= 0
        count = np.where(inside, self._counts[zones, day], 0)
        place = np.arange(max(int(count.max(initial=0)), 1)).reshape(-1, *[1] * count.ndim)
        return np.where(place < count, self._starts[zones, day] + place, -1)

    def _slots_of(self, zones: Ints, days: Ints, bucket: Ints) -> Ints:
        found = np.where((days >= 0)[..., None], self._slots[zones, days, bucket], -1)  # (candidates, …, 2)
        first, second = found[..., 0], found[..., 1]
        return np.concatenate([first, second]) if (second >= 0).any() else first

    def _slots_by_wall_time(self, days: int) -> Ints:
        """(zones, days, slots per day, 2): the slot, and the second one where the clock shows a time twice."""
        table = np.full((len(self.zones), days, -(-DAY_US // self.every), 2), -1, np.int64)
        slots = np.arange(self.first, self.last + 1)
        for index in range(len(self.zones)):
            day, bucket = self._day[index] - self._day0, self._time[index] // self.every
            table[index, day[::-1], bucket[::-1], 0] = slots[::-1]  # the earlier of two is written last and stays
            again = table[index, day, bucket, 0] != slots
            table[index, day[again], bucket[again], 1] = slots[again]
        return table

    def _extent(self, days: int) -> tuple[Ints, Ints]:
        starts = np.full((len(self.zones), days), -1, np.int64)
        counts = np.zeros((len(self.zones), days), np.int64)
        for index in range(len(self.zones)):
            day, place, count = np.unique(self._day[index] - self._day0, return_index=True, return_counts=True)
            starts[index, day], counts[index, day] = place + self.first, count
        return starts, counts

    def _comparable_days(self, weeks: int) -> tuple[Ints, Ints]:
        """For every day the earlier days to compare with, and for a holiday the Sundays; (zones, days, candidates)."""
        zones, days = self._holiday.shape
        own = np.arange(days)[:, None] - 7 * np.arange(1, weeks + 1)
        usual = np.broadcast_to(own, (zones, *own.shape)).copy()
        usual[:, :, :][(usual < 0) | self._holiday[np.arange(zones)[:, None, None], np.maximum(usual, 0)]] = -1
        most = max(weeks, max((int(self._holiday[z].sum()) for z in range(zones)), default=0))
        first = np.full((zones, days, most), -1, np.int64)
        first[:, :, :weeks] = usual
        sundays = np.full((zones, days, weeks), -1, np.int64)
        for index in range(zones):
            free = np.flatnonzero(self._holiday[index])
            for day in free.tolist():
                earlier = free[(free < day) & (free >= day - 7 * weeks)]
                first[index, day] = -1
                first[index, day, : len(earlier)] = earlier
                week = np.arange(max(day - 7 * weeks, 0), day)
                found = week[(_weekday(week + self._day0) == SUNDAY) & ~self._holiday[index, week]]
                sundays[index, day, : len(found)] = found
        return first, sundays


def _weekday(days: Ints) -> Ints:
    return np.asarray((days + 3) % 7)  # 1970-01-01 was a Thursday


def _wall_clock(starts: pl.Series, name: str) -> Ints:
    zone(name)  # an unknown name is refused in our words
    return starts.dt.convert_time_zone(name).dt.replace_time_zone(None).cast(pl.Int64).to_numpy()
