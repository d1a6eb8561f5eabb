"""Measurement files on their way into the lake: many read together, named by the counter maps, counted file by file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from trunkline.data import pm_xml
from trunkline.data.counter_codes import CounterCodes
from trunkline.data.counter_maps import CounterMap
from trunkline.data.counters import map_counters
from trunkline.data.pm_files import Together
from trunkline.data.pm_scan import MOST

_MOST_AT_ONCE = 500_000  # results named row by row, which takes a kilobyte for each
_MOST_HELD = 4_000_000  # numbers of files that were read and not named yet


class Measured:
    """Collects the records of measurement files; :meth:`take` gives those since the last time.

    ``rows_of`` says of each path how many records it became, once they were taken; ``found`` how many results the last
    file had; ``unmapped`` which counters no map knew.
    """

    def __init__(self, maps: Mapping[str, CounterMap], delay: timedelta, zone: str | None) -> None:
        self._maps, self._delay, self._zone = maps, delay, zone
        self._together = Together(delay=delay, zone=zone, max_bytes=MOST)
        self._codes: CounterCodes | None = None
        self._paths: dict[str, str] = {}
        self._named: list[pl.DataFrame] = []
        self._others: list[pl.DataFrame] = []
        self.rows_of: dict[str, int] = {}
        self.unmapped: list[pl.DataFrame] = []
        self.rows = self.found = 0

    def add(self, path: Path, source: str, received_at: datetime | None, *, is_kept: bool) -> pm_xml.PmFile:
        """Read the file at *path*; its records carry *source*. Of one that is not to be kept, only what it says is given back."""
        if not is_kept:
            file = pm_xml.read(path, source=source, received_at=received_at, delay=self._delay, zone=self._zone, max_bytes=MOST)
            self.found = file.counters.height
            self.rows_of[str(path)] = map_counters(file.counters, self._maps).records.height
            return file
        file = self._together.add(path, source=source, received_at=received_at)
        self.found = self._together.found
        self._paths[source] = str(path)
        self.rows_of[str(path)] = 0
        if self._together.held >= _MOST_HELD:
            self.gather()
        return file

    def gather(self) -> None:
        """Name the counters of the files read since the last time; those that need all the room are put off to :meth:`take`."""
        for part in self._together.parts():
            if isinstance(part, pl.DataFrame):
                others = part
            else:
                records = self._coder().records(part)
                self._named.append(records.records)
                self.unmapped.append(records.unmapped)
                self._count(records.rows)
                self.rows += records.records.height
                others = records.others
            if not others.is_empty():
                self._others.append(others)
                self.rows += others.height

    def take(self) -> list[pl.DataFrame]:
        """The records since the last time, in frames whose texts may be categories."""
        self.gather()
        if self._others:
            for part in _portions(pl.concat(self._others)):
                mapped = map_counters(part, self._maps)
                self._named.append(mapped.records)
                self.unmapped.append(mapped.unmapped)
                self._count(dict(mapped.records.group_by("source").len().iter_rows()))
        records, self._named, self._others, self._paths, self.rows = self._named, [], [], {}, 0
        return records

    def _count(self, rows: Mapping[str, int]) -> None:
        for source, count in rows.items():
            self.rows_of[self._paths[source]] += count

    def _coder(self) -> CounterCodes:
        if self._codes is None:
            self._codes = CounterCodes(list(self._maps.values()))
        return self._codes


def _portions(results: pl.DataFrame) -> list[pl.DataFrame]:
    """*results* in portions, all of an element in one: a sum and how often it was sampled belong together."""
    count = 1 + results.height // _MOST_AT_ONCE
    return [results] if count == 1 else results.with_columns(portion=pl.col("element").hash() % count).partition_by("portion", include_key=False)
