"""Performance measurement files of 3GPP: TS 32.435 (measCollecFile) and TS 28.532 (measDataFile), plain or gzip.

Types by reference (``measType p=``) or as a list (``measTypes``), results by ``r p=`` or as a list (``measResults``), any
number of managed elements, values of one or of many numbers, suspect flags. Broken files give what is whole in
them: each complete measValue is kept, and what is not goes to the quarantine with its line and the reason. Every
result of a file is either a row of ``counters`` or counted in ``quarantine``.

Left out on purpose: validation against the schema (files that break it are read all the same).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal
from xml.parsers import expat

import polars as pl

from trunkline.core import clock
from trunkline.core.errors import BadFile
from trunkline.core.frames import TIME
from trunkline.data.pm_reader import Cut, Quarantined, Reader, WrongRoot
from trunkline.data.xml_stream import Bytes, Repaired

COUNTERS: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "vendor": pl.String,  # as the header names it; "" where it does not
    "object_class": pl.String,  # class of the measured object: NRCellDU, EUtranCellFDD, …; "" where its name has none
    "element": pl.String,  # full distinguished name: prefix, managed element, object, no step twice
    "counter": pl.String,  # the vendor's name without the sub-counter's suffix
    "dimension": pl.String,  # "" or the suffix in words: "snssai=01.0003e8", "plmn=226F04", "cause=…"
    "at": TIME,  # start of the period: its end less its length
    "period_s": pl.Int32,
    "value": pl.Float64,  # null: the file says there is none, or the value is of many numbers
    "values": pl.List(pl.Float64),  # the many numbers; null where there is one
    "suspect": pl.Boolean,
    "known_at": TIME,
    "source": pl.String,
    "meas_info_id": pl.String,
}
"""One row per result of a measurement file."""

Format = Literal["TS 32.435", "TS 28.532"]


@dataclass(frozen=True, slots=True)
class PmFile:
    """What one measurement file says.

    Parameters
    ----------
    counters
        A frame of layout :data:`COUNTERS`.
    quarantine
        What could not be used, with line and reason.
    notes
        What was missing or put right, in sentences.
    begin, end
        Of the whole collection, as header and footer say; None where they do not.
    """

    counters: pl.DataFrame
    quarantine: tuple[Quarantined, ...] = ()
    notes: tuple[str, ...] = ()
    source: str = ""
    format: Format = "TS 32.435"
    version: str = ""
    vendor: str = ""
    dn_prefix: str = ""
    sender: str = ""
    software: tuple[str, ...] = ()
    begin: datetime | None = None
    end: datetime | None = None

    @property
    def lost(self) -> int:
        """How many results are in the quarantine instead of the counters, as far as they could be counted."""
        return sum(q.values for q in self.quarantine)


def read(
    where: str | Path | bytes,
    *,
    source: str = "",
    received_at: datetime | None = None,
    delay: str | timedelta = "10m",
    zone: str | None = None,
    max_bytes: int = 1 << 30,
) -> PmFile:
    """Read one measurement file.

    Parameters
    ----------
    where
        A path, or the bytes themselves.
    source
        The id that each row carries; the file's name where it is not given.
    received_at
        When the file arrived. Without it, rows count as known *delay* after their period's end.
    zone
        IANA zone of times that name no offset. Without it such times are refused, never guessed.
    max_bytes
        The most a file may hold once unpacked.

    Raises
    ------
    BadFile
        No measurement file, larger than *max_bytes*, with entity declarations, or not to be opened. A file that only
        breaks off or holds unreadable parts is no error: see ``quarantine``.

    >>> read(b"<measCollecFile><fileHeader vendorName='Acme'/></measCollecFile>", source="a.xml").vendor
    'Acme'
    """
    path = where if isinstance(where, bytes) else Path(where)
    source = source or (path.name if isinstance(path, Path) else "bytes")
    stream = Bytes(path, name=str(path) if isinstance(path, Path) else source, most=max_bytes)
    reader = Reader(zone=clock.zone(zone) if zone else None)
    try:
        _feed(reader, stream, name=stream.name, namespaces=True)
        notes: list[str] = []
    except (expat.ExpatError, Cut):
        # Only a file that does not parse as it is gets repaired, so a sound file is never altered.
        reader, notes = _second_try(stream, reader)
    notes += stream.notes
    if stream.checksum_failed:
        notes.append("the checksum of the gzip data is wrong: every value is marked suspect")
        reader.doubt_all()
    released = clock.utc(received_at) if received_at else None
    frame, quarantine, more = reader.finish(source=source, released=released, delay=clock.duration(delay), schema=COUNTERS)
    return described(reader, frame, source=source, quarantine=quarantine, notes=(*notes, *more))


def described(reader: Reader, counters: pl.DataFrame, *, source: str, quarantine: tuple[Quarantined, ...] = (), notes: tuple[str, ...] = ()) -> PmFile:
    """What *reader* found besides the results, with these *counters*."""
    return PmFile(
        counters=counters,
        quarantine=quarantine,
        notes=notes,
        source=source,
        format="TS 32.435" if reader.root == "measCollecFile" else "TS 28.532",
        version=reader.header.get("fileFormatVersion", ""),
        vendor=reader.header.get("vendorName", ""),
        dn_prefix=reader.header.get("dnPrefix", ""),
        sender=reader.header.get("sender", ""),
        software=tuple(sorted(reader.software)),
        begin=reader.instant(reader.header.get("beginTime")),
        end=reader.instant(reader.header.get("endTime")),
    )


def _second_try(stream: Bytes, before: Reader) -> tuple[Reader, list[str]]:
    """Read *stream* again with repairs; where it still breaks off, keep what came before."""
    repaired = Repaired(stream)
    reader = Reader(zone=before.zone)
    try:
        _feed(reader, repaired, name=stream.name, namespaces=False)
    except (expat.ExpatError, Cut) as broken:
        line = broken.lineno if isinstance(broken, expat.ExpatError) else broken.line
        line += repaired.line_offset
        what = stream.cut or (expat.ErrorString(broken.code) if isinstance(broken, expat.ExpatError) else str(broken))
        if not reader.root:
            raise BadFile(
                f"This is no measurement file: {what}.", path=stream.name, line=line, allowed="XML of TS 32.435 (measCollecFile) or TS 28.532 (measDataFile)"
            ) from None
        reader.break_off(line - repaired.line_offset, what)
    reader.line_offset = repaired.line_offset
    return reader, repaired.notes


def _feed(reader: Reader, chunks: Iterable[bytes], *, name: str, namespaces: bool) -> None:
    """Run *chunks* through expat into *reader*."""
    parser = expat.ParserCreate(namespace_separator=" ") if namespaces else expat.ParserCreate(encoding="utf-8")
    parser.buffer_text = True
    parser.specified_attributes = True
    reader.attach(parser, separator=" " if namespaces else ":")

    def refuse_entity(entity: str, *_: object) -> None:
        raise BadFile(
            f"The file declares the entity '{entity}'.",
            path=name,
            line=parser.CurrentLineNumber,
            allowed="measurement files without entity declarations",
            next_step="Ask the sender for files without a DOCTYPE.",
        )

    parser.EntityDeclHandler = refuse_entity
    try:
        for chunk in chunks:
            parser.Parse(chunk, False)
            reader.check_tag_length(len(chunk))
        parser.Parse(b"", True)
    except (LookupError, ValueError) as unknown:
        if reader.root:
            raise
        # The declaration names an encoding that Python cannot hand to expat; the repair decodes by itself.
        raise Cut(str(unknown), 1) from unknown
    except WrongRoot as wrong:
        raise BadFile(
            f"This is no measurement file: it starts with <{wrong}>.",
            path=name,
            line=parser.CurrentLineNumber,
            allowed="<measCollecFile> of TS 32.435 or <measDataFile> of TS 28.532",
        ) from None
