"""What of a measurement file is not results: its outside, and the head of each measInfo; both read by the full parser.

The byte scan (:mod:`trunkline.data.pm_kernel`) finds where the results stand. All else goes through expat and
:class:`~trunkline.data.pm_reader.Reader`, so that names, periods, notes and refusals have one meaning. Where a part is
not as plain as the scan supposes, the answer is None and the whole file is the full parser's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar
from xml.parsers import expat
from zoneinfo import ZoneInfo

from trunkline.data import pm_values
from trunkline.data.pm_reader import Cut, Reader, WrongRoot

MARK = b'<measInfo from="%d" to="%d"/>'
"""Stands for measInfos in a row: those with these numbers, the last not among them."""
_LONGEST = 1 << 20
_DEEPEST_OUTSIDE, _DEEPEST_HEAD = 20, 20


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a measInfo: its id, its period as it says (None where it says none), its counters by place."""

    id: str
    duration: str | None
    end: str | None
    places: tuple[int, ...]
    counters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Period:
    """When a period begins and ends, and its length in seconds."""

    at: datetime
    end: datetime
    seconds: int


def read_head(head: bytes, zone: ZoneInfo | None) -> Head | None:
    """The head of a measInfo, from its tag to its first measValue."""
    return _HeadReader(zone).read(head) if len(head) <= _LONGEST else None


def period(head: Head, zone: ZoneInfo | None) -> Period | None:
    """The period of a measInfo; None where it makes no sense."""
    end, seconds = pm_values.instant(head.end, zone), pm_values.seconds(head.duration)
    return Period(end - timedelta(seconds=seconds), end, seconds) if isinstance(end, datetime) and isinstance(seconds, int) else None


def without_period(head: bytes) -> tuple[bytes, bytes]:
    """*head* with an empty granPeriod, and the granPeriod as a head of its own: one part is the same for all periods, the other for all heads.

    Both are well formed only where *head* is: an empty tag stands where the tag stood.

    >>> without_period(b'<measInfo><granPeriod duration="PT900S"/><measType/>')
    (b'<measInfo><granPeriod/><measType/>', b'<measInfo><granPeriod duration="PT900S"/>')
    """
    begin = head.find(b"<granPeriod")
    end = head.find(b">", begin) + 1
    if begin < 0 or end == 0 or head[end - 2 : end] != b"/>" or head.find(b"granPeriod", end) >= 0:
        return head, b""
    return head[:begin] + b"<granPeriod/>" + head[end:], b"<measInfo>" + head[begin:end]


def read_outside(outside: bytes, zone: ZoneInfo | None) -> Outside | None:
    """A file whose measInfos, in order, are replaced by marks."""
    if len(outside) > _LONGEST:
        return None
    reader = Outside(zone=zone)
    return reader if reader.read(outside) else None


class _NotPlain(Exception):
    """Something that the scan does not suppose."""


class _HeadReader(Reader):
    def __init__(self, zone: ZoneInfo | None) -> None:
        super().__init__(zone=zone)
        self.root = "measCollecFile"
        self._stack = [""] * (64 - _DEEPEST_HEAD)  # deeper ones are the full parser's to judge
        self._element = ""

    def read(self, head: bytes) -> Head | None:
        parser = expat.ParserCreate(encoding="utf-8", namespace_separator=" ")
        parser.buffer_text = True
        parser.specified_attributes = True
        self.attach(parser, separator=" ")
        try:
            parser.Parse(head, False)
            parser.Parse(b"</measInfo>", True)
        except (expat.ExpatError, Cut, ValueError):
            return None
        if len(self._infos) != 1 or self._quarantine or self._notes or self.header or self.software or self._element != "" or self._value is not None:
            return None
        (info,) = self._infos
        names = list(self._type_ids)
        return Head(info.id, info.duration, info.end, tuple(info.by_position), tuple(names[number] for number in info.types))


class Outside(Reader):
    """Reads the outside of a file; ``elements`` holds for each measInfo the managed element it belongs to."""

    def __init__(self, *, zone: ZoneInfo | None) -> None:
        super().__init__(zone=zone)
        self.elements: list[str] = []

    def read(self, outside: bytes) -> bool:
        """Whether it is as plain as supposed."""
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.specified_attributes = True
        self.attach(parser, separator=" ")
        try:
            parser.Parse(outside, True)
        except (expat.ExpatError, Cut, WrongRoot, _NotPlain, LookupError, ValueError):
            return False
        return not self._quarantine and not self._object_name

    @property
    def notes(self) -> tuple[str, ...]:
        """As the full parser tells them."""
        return self.closing_notes()

    def _open_replaced(self, attributes: dict[str, str]) -> None:
        first, last = len(self.elements), int(attributes.get("to", "0"))
        is_ours = attributes == {"from": str(first), "to": str(last)} and last > first
        if not is_ours or self._text is not None or self._value is not None or self._info is not None or len(self._stack) > _DEEPEST_OUTSIDE:
            raise _NotPlain
        self._open_info({})
        self.elements += [self._infos[-1].element] * (last - first)

    opens: ClassVar[Mapping[str, Callable[..., None]]] = {**Reader.opens, "measInfo": _open_replaced}
