"""Measurement files read together: plain ones by the byte scan, any other by the full parser, all in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from trunkline.core import clock, extras
from trunkline.core.errors import BadFile
from trunkline.core.plain_file import open_plain
from trunkline.data.pm_scan import MOST, Results, Scan, unpacked
from trunkline.data.pm_xml import COUNTERS, PmFile, described, read

_NO_ROWS = pl.DataFrame(schema=dict(COUNTERS))


class Together:
    """Reads files one after the other and gives their results all at once: a frame of each is what costs most.

    Parameters
    ----------
    delay, zone, max_bytes
        As for :func:`trunkline.data.pm_xml.read`.

    ``found`` is how many results the last file had, ``held`` how many numbers wait to be taken. Without numba, or with ``TRUNKLINE_FAST=0``, every file goes to the full parser; the results are the same.

    >>> together = Together()
    >>> together.add(b"<measCollecFile><fileHeader vendorName='Acme'/></measCollecFile>", source="a.xml").vendor
    'Acme'
    >>> together.take().height
    0
    """

    def __init__(self, *, delay: str | timedelta = "10m", zone: str | None = None, max_bytes: int = 1 << 30) -> None:
        self._delay, self._zone, self._max_bytes = clock.duration(delay), zone, max_bytes
        self._scan = _scan(self._delay, zone) if extras.is_fast() else None
        self._parts: list[Results | pl.DataFrame] = []
        self._waiting = 0
        self.by_scan = self.by_parser = self.found = self.held = 0

    def add(self, where: str | Path | bytes, *, source: str = "", received_at: datetime | None = None) -> PmFile:
        """Read a file; what it says, without its rows.

        Raises
        ------
        BadFile
            As :func:`trunkline.data.pm_xml.read`; nothing of the file is kept then.
        """
        path = where if isinstance(where, bytes) else Path(where)
        source = source or (path.name if isinstance(path, Path) else "bytes")
        found = self._plain(path, source, received_at)
        if found is not None:
            self.by_scan += 1
            return found
        file = read(path, source=source, received_at=received_at, delay=self._delay, zone=self._zone, max_bytes=self._max_bytes)
        self._end_of_scan()
        self._parts.append(file.counters)
        self.found = file.counters.height
        self.held += int(file.counters["values"].list.len().fill_null(1).sum())
        self.by_parser += 1
        return replace(file, counters=_NO_ROWS)

    def parts(self) -> list[Results | pl.DataFrame]:
        """What came together since the last time, in the order of the files; columns of numbers from the scan, else frames."""
        self._end_of_scan()
        parts, self._parts, self.held = self._parts, [], 0
        return parts

    def take(self) -> pl.DataFrame:
        """What came together since the last time as one frame of layout COUNTERS."""
        frames = [part if isinstance(part, pl.DataFrame) else part.frame(COUNTERS) for part in self.parts()]
        return pl.concat(frames, rechunk=True) if frames else _NO_ROWS.clone()

    def _plain(self, where: Path | bytes, source: str, received_at: datetime | None) -> PmFile | None:
        if self._scan is None:
            return None
        raw = where if isinstance(where, bytes) else _bytes(where)
        data = None if raw is None or len(raw) > MOST else unpacked(raw)
        if data is None or len(data) > self._max_bytes:
            return None
        outside = self._scan.add(data, source=source, released=clock.utc(received_at) if received_at else None)
        if outside is None:
            return None
        self._waiting += 1
        self.found = self._scan.found
        self.held += self._scan.found_numbers
        return described(outside, _NO_ROWS, source=source, notes=outside.notes)

    def _end_of_scan(self) -> None:
        if self._scan is not None and self._waiting:
            self._parts.append(self._scan.take())
            self._waiting = 0


def _scan(delay: timedelta, zone: str | None) -> Scan:
    return Scan(zone=clock.zone(zone) if zone else None, delay=delay)


def _bytes(path: Path) -> bytes | None:
    try:
        with open_plain(path) as file:
            return file.read(MOST + 1)
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class PmBatch:
    """Some measurement files read together: one frame, the files without theirs, and the files refused."""

    counters: pl.DataFrame
    files: tuple[PmFile, ...] = ()
    refused: tuple[BadFile, ...] = ()


def read_many(
    paths: Iterable[str | Path],
    *,
    batch: int = 64,
    received_at: Callable[[Path], datetime | None] | None = None,
    delay: str | timedelta = "10m",
    zone: str | None = None,
    max_bytes: int = 1 << 30,
    progress: Callable[[int], None] | None = None,
) -> Iterator[PmBatch]:
    """Read files in the order given, *batch* at a time: one frame per batch, so memory stays bounded.

    A file that is refused does not stop the others; it stands in ``refused``. *progress* is called with the number of
    files done after each file; *received_at* says of a path when it arrived.
    """
    together = Together(delay=delay, zone=zone, max_bytes=max_bytes)
    files: list[PmFile] = []
    refused: list[BadFile] = []
    for done, path in enumerate(map(Path, paths), start=1):
        try:
            files.append(together.add(path, received_at=received_at(path) if received_at else None))
        except BadFile as bad:
            refused.append(bad)
        if progress:
            progress(done)
        if len(files) + len(refused) >= batch:
            yield PmBatch(together.take(), tuple(files), tuple(refused))
            files, refused = [], []
    if files or refused:
        yield PmBatch(together.take(), tuple(files), tuple(refused))
