"""The state while a measurement file goes by, tag by tag; :mod:`trunkline.data.pm_xml` is the way in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from trunkline.core.frames import TIME
from trunkline.data import pm_values, subcounters
from trunkline.data.distinguished_names import full_name, object_class
from trunkline.data.xml_stream import LONGEST_TAG

if TYPE_CHECKING:
    from xml.parsers.expat import XMLParserType

ROOTS = ("measCollecFile", "measDataFile")
_LONGEST_TEXT = 1024 * 1024
_LONGEST_NAME = 4096
_DEEPEST = 64
_MOST_QUARANTINED = 10_000
_FLUSH = 400_000  # results held as text before they become numbers

_TEXTS = frozenset({"r", "measType", "measTypes", "measResults", "suspect"})
_HEADER = {"fileHeader", "fileSender", "fileFooter"}


class Cut(Exception):
    """Reading cannot go on from here."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.line = line


class WrongRoot(Exception):
    """The first tag is not one of a measurement file."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A part of a file that could not be used.

    ``line`` is where it begins, ``values`` how many results it holds, as far as they could be counted.
    """

    line: int
    reason: str
    excerpt: str = ""
    values: int = 0


@dataclass(slots=True)
class _Info:
    """One measInfo: a period, and which counters its values have."""

    line: int
    id: str
    element: str
    duration: str | None = None
    end: str | None = None
    positions: list[str] = field(default_factory=list)
    types: list[int] = field(default_factory=list)
    ambiguous: set[int] = field(default_factory=set)
    by_position: dict[int, int] = field(default_factory=dict)
    values: int = 0


@dataclass(slots=True)
class _Value:
    """One measValue while it is open."""

    line: int
    name: str | None
    positions: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    listed: list[str] | None = None
    suspect: str | None = None

    @property
    def count(self) -> int:
        return len(self.texts) + len(self.listed or ())


class Reader:
    """Collects a measurement file's results as columns; attach it to an expat parser and call :meth:`finish`."""

    def __init__(self, *, zone: ZoneInfo | None) -> None:
        self.zone = zone
        self.root = ""
        self.header: dict[str, str] = {}
        self.software: set[str] = set()
        self.line_offset = 0
        self._notes: dict[str, None] = {}
        self._quarantine: list[Quarantined] = []
        self._not_listed = [0, 0]
        self._locals: dict[str, str] = {}
        self._stack: list[str] = []
        self._text: list[str] | None = None
        self._text_length = 0
        self._text_of = ""
        self._position: str | None = None
        self._element: str | None = None
        self._info: _Info | None = None
        self._value: _Value | None = None
        self._infos: list[_Info] = []
        self._type_ids: dict[str, int] = {}
        self._object_info: list[int] = []
        self._object_name: list[str] = []
        self._object_line: list[int] = []
        self._object_suspect: list[bool] = []
        # Since the last flush: results per object, and their columns.
        self._first_object = 0
        self._counts: list[int] = []
        self._types: list[int] = []
        self._texts: list[str] = []
        self._chunks: list[pl.DataFrame] = []
        self._events = self._events_before = 0
        self._silent = 0
        self._doubtful = False

    # What the parser calls

    def attach(self, parser: XMLParserType, *, separator: str) -> None:
        """Take the events of *parser*, whose names carry namespaces before *separator*."""
        self._parser, self._separator = parser, separator
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.CommentHandler = self._other
        parser.ProcessingInstructionHandler = self._other
        parser.SkippedEntityHandler = self._skipped

    def _other(self, *_: str) -> None:
        self._events += 1

    def _skipped(self, name: str, _is_parameter: bool) -> None:
        self._characters(f"&{name};")

    def check_tag_length(self, fed: int) -> None:
        """Stop where one tag or comment goes on for longer than any real one: expat would scan it again and again."""
        self._silent = self._silent + fed if self._events == self._events_before else 0
        self._events_before = self._events
        if self._silent > LONGEST_TAG:
            raise Cut(f"one tag or comment is longer than {LONGEST_TAG:,} bytes", self._parser.CurrentLineNumber)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._events += 1
        local = self._locals.get(tag)
        if local is None:
            local = self._locals[tag] = tag.rpartition(self._separator)[2]
        stack = self._stack
        if not stack and not self.root:
            if local not in ROOTS:
                raise WrongRoot(local[:80])
            self.root = local
        stack.append(local)
        if len(stack) > _DEEPEST:
            raise Cut(f"tags are nested more than {_DEEPEST} deep", self._parser.CurrentLineNumber)
        if self._text is not None:
            self._text.append("\ufffd")  # a tag inside a value: the text on both sides is no number any more
            if local in _TEXTS:
                self._collected()
        if local in _TEXTS:
            self._position = attributes.get("p")
            self._text, self._text_length, self._text_of = [], 0, local
        elif (opened := self.opens.get(local)) is not None:
            opened(self, attributes)

    def _characters(self, data: str) -> None:
        self._events += 1
        if self._text is not None:
            self._text_length += len(data)
            self._text.append(data if self._text_length <= _LONGEST_TEXT else "\ufffd")

    def _end(self, tag: str) -> None:
        self._events += 1
        local = self._locals[tag]
        self._stack.pop()
        if local == self._text_of:
            self._collected()
        elif local == "measValue":
            self._close_value()
        elif local == "measInfo":
            self._info = None

    # Tags that open something

    def _open_value(self, attributes: dict[str, str]) -> None:
        if self._value is not None:
            self._refuse(self._value.line, "a measValue inside a measValue", self._value.name or "", self._value.count)
        self._value = _Value(self._parser.CurrentLineNumber, attributes.get("measObjLdn"))

    def _open_info(self, attributes: dict[str, str]) -> None:
        if self._element is None:
            self._note("a measData names no managed element: the sender of the file stands in for it")
        element = self._element if self._element is not None else self.header.get("sender", "")
        self._info = _Info(self._parser.CurrentLineNumber, attributes.get("measInfoId", ""), element)
        self._infos.append(self._info)

    def _open_period(self, attributes: dict[str, str]) -> None:
        if self._info is not None:
            self._info.duration, self._info.end = attributes.get("duration"), attributes.get("endTime")

    def _open_element(self, attributes: dict[str, str]) -> None:
        self._element = attributes.get("localDn", "")
        if software := attributes.get("swVersion"):
            self.software.add(software)
        else:
            self._note("a managed element names no software version")

    def _open_header(self, attributes: dict[str, str]) -> None:
        self.header.update({name: attributes[name] for name in ("fileFormatVersion", "vendorName", "dnPrefix") if name in attributes})
        self.header.setdefault("seen", "1")

    def _open_sender(self, attributes: dict[str, str]) -> None:
        self.header["sender"] = attributes.get("localDn") or attributes.get("senderName", "")

    def _open_data(self, attributes: dict[str, str]) -> None:
        if len(self._stack) > 1 and self._stack[-2] in _HEADER:
            self.header.update({name: attributes[name] for name in ("beginTime", "endTime") if name in attributes})
        else:
            self._element = None

    opens: ClassVar[Mapping[str, Callable[..., None]]] = {
        "measValue": _open_value,
        "measInfo": _open_info,
        "granPeriod": _open_period,
        "managedElement": _open_element,
        "measEntity": _open_element,
        "fileHeader": _open_header,
        "fileSender": _open_sender,
        "measCollec": _open_data,
        "measData": _open_data,
    }

    # Tags that hold text

    def _collected(self) -> None:
        text = "".join(self._text or ()).strip()
        kind, self._text, self._text_of = self._text_of, None, ""
        value, info = self._value, self._info
        if kind == "r":
            if value is None:
                self._refuse(self._parser.CurrentLineNumber, "a result outside of a measValue", text, 1)
            else:
                value.positions.append(self._position or "")
                value.texts.append(text)
        elif kind == "measResults" and value is not None:
            value.listed = [*(value.listed or ()), *text.split()]
        elif kind == "suspect" and value is not None:
            value.suspect = text
        elif kind == "measType" and info is not None:
            self._add_type(info, self._position, text)
        elif kind == "measTypes" and info is not None:
            for place, name in enumerate(text.split(), start=len(info.positions) + 1):
                self._add_type(info, str(place), name)

    def _add_type(self, info: _Info, position: str | None, name: str) -> None:
        place = pm_values.place(position)
        line = self._parser.CurrentLineNumber
        if place is None or not name or len(name) > _LONGEST_NAME:
            self._refuse(line, f"measType p='{position}' has no position or no name", name)
            return
        number = self._type_ids.setdefault(name, len(self._type_ids))
        if place in info.by_position:
            if info.by_position[place] != number:
                info.ambiguous.add(place)
                self._refuse(line, f"two measTypes share p='{position}': its results cannot be told apart", name)
            return
        info.by_position[place] = number
        info.positions.append(position or "")
        info.types.append(number)

    def _close_value(self) -> None:
        value, info, self._value = self._value, self._info, None
        if value is None:
            return
        if info is None:
            self._refuse(value.line, "a measValue outside of a measInfo", value.name or "", value.count)
            return
        if value.name is None or len(value.name) > _LONGEST_NAME:
            self._refuse(value.line, "a measValue without measObjLdn" if value.name is None else "its measObjLdn is too long", value.name or "", value.count)
            return
        if value.listed is not None and len(value.listed) != len(info.types):
            self._refuse(value.line, f"{len(value.listed)} results for {len(info.types)} types", f"measObjLdn={value.name}", value.count)
            return
        if value.listed is not None:
            value.positions += info.positions
            value.texts += value.listed
        types, texts = info.types, value.texts
        if value.positions != info.positions or info.ambiguous:
            types, texts = self._matched(value, info)
        self._object_info.append(len(self._infos) - 1)
        self._object_name.append(value.name)
        self._object_line.append(value.line)
        self._object_suspect.append(self._is_suspect(value))
        self._counts.append(len(types))
        self._types += types
        self._texts += texts
        info.values += len(types)
        if len(self._texts) >= _FLUSH:
            self._flush()

    def _matched(self, value: _Value, info: _Info) -> tuple[list[int], list[str]]:
        """Types and texts of the results whose position names exactly one type and that stand once."""
        found: dict[int, str] = {}
        twice: set[int] = set()
        for position, text in zip(value.positions, value.texts, strict=True):
            place = pm_values.place(position)
            if place is None or place not in info.by_position:
                self._refuse(value.line, f"result p='{position}' has no measType", f"measObjLdn={value.name}: {text}", 1)
            elif place in info.ambiguous:
                self._refuse(value.line, f"result p='{position}' belongs to two measTypes", f"measObjLdn={value.name}: {text}", 1)
            elif place in found and found[place] == text:
                self._note("a result stands twice with the same number; it counts once")
            elif place in found:
                twice.add(place)
                self._refuse(value.line, f"result p='{position}' stands twice with different numbers", f"measObjLdn={value.name}: {text}", 1)
            else:
                found[place] = text
        for place in sorted(twice):
            self._refuse(value.line, f"result p='{place}' stands twice with different numbers", f"measObjLdn={value.name}: {found.pop(place)}", 1)
        return [info.by_position[place] for place in found], list(found.values())

    def _is_suspect(self, value: _Value) -> bool:
        if value.suspect is None or value.suspect.lower() in {"false", "0"}:
            return False
        if value.suspect.lower() not in {"true", "1"}:
            self._note(f"a suspect flag says '{value.suspect[:40]}': it counts as true")
        return True

    # Ends

    def break_off(self, line: int, what: str) -> None:
        """The file cannot be read beyond *line*: what is open is lost, what is complete stays."""
        if not self._stack and self.root:
            self._refuse(line, f"text after the end of the document was left out ({what})")
            return
        if self._value is not None:
            self._refuse(self._value.line, "the file breaks off within this measValue", self._value.name or "", self._value.count)
            self._value = None
        self._refuse(line, f"the file breaks off here: {what}; everything before is kept")
        self._note(f"the file breaks off at line {line + self.line_offset}: {what}")

    def doubt_all(self) -> None:
        """Mark every value suspect."""
        self._doubtful = True

    def instant(self, text: str | None) -> datetime | None:
        """*text* as UTC, or None where it cannot be read."""
        found = pm_values.instant(text, self.zone)
        return found if isinstance(found, datetime) else None

    def closing_notes(self) -> tuple[str, ...]:
        """The notes, with what is known only at the end."""
        if "seen" not in self.header:
            self._note("the file has no header: vendor and prefix are unknown")
        return tuple(self._notes)

    def finish(
        self, *, source: str, released: datetime | None, delay: timedelta, schema: Mapping[str, pl.DataType | type[pl.DataType]]
    ) -> tuple[pl.DataFrame, tuple[Quarantined, ...], tuple[str, ...]]:
        """The rows, what is in quarantine by line, and the notes."""
        self._flush()
        self.closing_notes()
        periods = [self._period(info) for info in self._infos]
        rows = (
            pl.concat(self._chunks)
            if self._chunks
            else pl.DataFrame(schema={"object": pl.UInt32, "type": pl.UInt32, "value": pl.Float64, "values": pl.List(pl.Float64)})
        )
        prefix = self.header.get("dnPrefix", "")
        names = [full_name(prefix, self._infos[info].element, name) for info, name in zip(self._object_info, self._object_name, strict=True)]
        classes = {name: object_class(name) for name in set(self._object_name)}
        objects = pl.DataFrame(
            {
                "info": pl.Series(self._object_info, dtype=pl.UInt32),
                "object_class": pl.Series(
                    [classes[name] or ("" if name.strip() else object_class(full)) for name, full in zip(self._object_name, names, strict=True)],
                    dtype=pl.String,
                ),
                "element": pl.Series(names, dtype=pl.String),
                "suspect": pl.Series(self._object_suspect, dtype=pl.Boolean),
            }
        )
        infos = pl.DataFrame(
            {
                "at": pl.Series([p[0] - timedelta(seconds=p[1]) if p else None for p in periods], dtype=TIME),
                "period_s": pl.Series([p[1] if p else None for p in periods], dtype=pl.Int32),
                "known_at": pl.Series([(released or p[0] + delay) if p else None for p in periods], dtype=TIME),
                "meas_info_id": pl.Series([info.id for info in self._infos], dtype=pl.String),
            }
        )
        split = [subcounters.split(name) for name in self._type_ids]
        types = pl.DataFrame({"counter": pl.Series([s[0] for s in split], dtype=pl.String), "dimension": pl.Series([s[1] for s in split], dtype=pl.String)})
        of_object = objects[rows["object"]]
        frame = pl.concat([rows.select("value", "values"), of_object.drop("info"), infos[of_object["info"]], types[rows["type"]]], how="horizontal")
        frame = frame.with_columns(
            pl.lit(self.header.get("vendorName", "")).alias("vendor"), pl.lit(source).alias("source"), (pl.col("suspect") | self._doubtful)
        ).filter(pl.col("at").is_not_null())
        quarantine = sorted((Quarantined(q.line + self.line_offset, q.reason, q.excerpt, q.values) for q in self._quarantine), key=lambda q: q.line)
        if self._not_listed[0]:
            quarantine.append(Quarantined(0, f"{self._not_listed[0]:,} further parts, not listed one by one", values=self._not_listed[1]))
        return frame.select([pl.col(name).cast(kind) for name, kind in schema.items()]), tuple(quarantine), tuple(self._notes)

    def _period(self, info: _Info) -> tuple[datetime, int] | None:
        """End and length of a measInfo's period; None, and its values in quarantine, where they make no sense."""
        end, seconds = pm_values.instant(info.end, self.zone), pm_values.seconds(info.duration)
        wrong = next((w for w in (end, seconds) if isinstance(w, str)), None)
        if wrong is None:
            assert isinstance(end, datetime)
            assert isinstance(seconds, int)
            return end, seconds
        if info.values:
            self._refuse(info.line, wrong, f"measInfoId={info.id}", info.values)
        return None

    def _flush(self) -> None:
        """Turn the texts held into numbers."""
        if not self._texts:
            self._first_object, self._counts = len(self._object_name), []
            return
        objects = np.repeat(np.arange(self._first_object, len(self._object_name), dtype=np.uint32), self._counts)
        value, values, bad = pm_values.numbers(self._texts)
        for index in bad:
            of = int(objects[index])
            self._refuse(self._object_line[of], f"'{self._texts[index][:60]}' is no number", f"measObjLdn={self._object_name[of]}", 1)
            self._infos[self._object_info[of]].values -= 1
        frame = pl.DataFrame({"object": objects, "type": pl.Series(self._types, dtype=pl.UInt32), "value": value, "values": values})
        if bad:
            keep = np.ones(len(self._texts), dtype=bool)
            keep[bad] = False
            frame = frame.filter(pl.Series(keep))
        self._chunks.append(frame)
        self._first_object, self._counts, self._types, self._texts = len(self._object_name), [], [], []

    def _note(self, text: str) -> None:
        self._notes.setdefault(text)

    def _refuse(self, line: int, reason: str, excerpt: str = "", values: int = 0) -> None:
        if len(self._quarantine) >= _MOST_QUARANTINED:
            self._not_listed[0] += 1
            self._not_listed[1] += values
            return
        self._quarantine.append(Quarantined(line, reason, excerpt[:160], values))
