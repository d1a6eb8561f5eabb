"""Measurement files by the byte scan: many files into one set of columns, numbers for names, turned into a frame once.

The results of plain files are read by :mod:`trunkline.data.pm_kernel`; the heads of measInfos, which repeat from file to
file and period to period, are read once by the full parser and known by their bytes from then on. A file that is not
plain in every byte is not read here at all: :meth:`Scan.add` says so, and the full parser reads it.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trunkline.core.frames import TIME
from trunkline.data import subcounters
from trunkline.data.distinguished_names import full_name, object_class
from trunkline.data.pm_outer import MARK, Head, Outside, Period, period, read_head, read_outside, without_period
from trunkline.data.xml_stream import GZIP, LARGE, STRONGEST

_INFO, _OBJECT, _HARD = 3, 5, 3  # columns that the scan fills of a measInfo, an object, an open number
MOST = 256 * 1024 * 1024
"""A file with more bytes than this, unpacked, is the full parser's, which reads it in pieces."""

Ints = NDArray[np.int64]

_PROLOG = re.compile(
    rb"""(?:<\?xml\s+version\s*=\s*["']1\.0["'](?:\s+encoding\s*=\s*["'][Uu][Tt][Ff]-8["'])?(?:\s+standalone\s*=\s*["'](?:yes|no)["'])?\s*\?>)?"""
    rb"""\s*(?:<\?(?!xml[\s?])[A-Za-z][^?<>]*\?>\s*)*(?=<meas)"""
)
_MOST_MEMBERS = 100  # each leaves a copy of the rest
_ROOM_AHEAD = 16 * 1024 * 1024
_STRONGEST_PACKING = 1032  # times, of deflate
_MOST_KNOWN = 200_000  # names kept from one batch to the next
_AS_THE_PERIOD_SAYS = np.iinfo(np.int64).min
_NO_CHARACTERS = ("\ufffe", "\uffff")


def unpacked(raw: bytes) -> bytes | None:
    """The bytes of a file, taken out of its gzip members where it is packed; None where they are not whole, or not all there is."""
    if not raw.startswith(GZIP):
        return raw if len(raw) <= MOST else None
    pieces: list[bytes] = []
    held, packed = 0, len(raw)
    while raw.startswith(GZIP) and held <= MOST and len(pieces) < _MOST_MEMBERS:
        inflate = zlib.decompressobj(wbits=31)
        try:
            if len(raw) <= MOST // _STRONGEST_PACKING:
                # Room for all of it at once, as its last bytes tell, takes less than half the time of room piece by piece.
                data = inflate.decompress(raw, 1)
                data += inflate.flush(min(max(int.from_bytes(raw[-4:], "little"), 1), MOST))
            else:
                data = inflate.decompress(raw, MOST - held + 1)
        except zlib.error:
            return None
        if not inflate.eof:
            return None
        pieces.append(data)
        held += len(data)
        raw = inflate.unused_data
    if raw or held > MOST or (held > LARGE and held > STRONGEST * packed):
        return None
    return b"".join(pieces) if len(pieces) > 1 else pieces[0]


@dataclass(slots=True)
class Results:
    """The results of some files in columns: texts once, and numbers that point at them.

    A row is a result: ``object_of`` and ``counter_of`` say of what, ``first`` where its numbers begin in ``numbers``
    (NaN: the file says there is none). An object has its ``name``, ``suspect`` and ``info``; an info its times, id and file.
    """

    names: list[tuple[str, str]]  # full name and class
    counters: list[tuple[str, str]]  # without its suffix, and the suffix in words
    ids: list[str]
    vendors: list[str]
    sources: list[str]
    numbers: NDArray[np.float64]
    first: Ints  # one entry more than rows
    object_of: Ints
    counter_of: Ints
    name_of: Ints  # of an object
    suspect: NDArray[np.bool_]
    info_of: Ints
    id_of: Ints  # of an info
    at: Ints
    period_s: Ints
    known_at: Ints
    file_of: Ints

    def __len__(self) -> int:
        return len(self.object_of)

    def chosen(self, rows: Ints) -> Results:
        """Only these rows."""
        size = np.diff(self.first)[rows]
        ends = np.cumsum(size)
        of_number = np.repeat(self.first[rows] - (ends - size), size) + np.arange(int(size.sum()))
        first = np.concatenate([np.zeros(1, np.int64), ends])
        return replace(self, numbers=self.numbers[of_number], first=first, object_of=self.object_of[rows], counter_of=self.counter_of[rows])

    def frame(self, schema: Mapping[str, pl.DataType | type[pl.DataType]]) -> pl.DataFrame:
        """As the full parser gives them."""
        info = pl.DataFrame(
            {
                "vendor": pl.Series(self.vendors, dtype=pl.String).gather(self.file_of),
                "at": pl.Series(self.at).cast(TIME),
                "period_s": pl.Series(self.period_s, dtype=pl.Int32),
                "known_at": pl.Series(self.known_at).cast(TIME),
                "source": pl.Series(self.sources, dtype=pl.String).gather(self.file_of),
                "meas_info_id": pl.Series(self.ids, dtype=pl.String).gather(self.id_of),
            }
        )
        names = pl.DataFrame(self.names, schema={"element": pl.String, "object_class": pl.String}, orient="row")
        counters = pl.DataFrame(self.counters, schema={"counter": pl.String, "dimension": pl.String}, orient="row")
        of_object = pl.concat([names[self.name_of], info[self.info_of]], how="horizontal").with_columns(suspect=pl.Series(self.suspect))
        value, values = self.values()
        rows = pl.concat([of_object[self.object_of], counters[self.counter_of]], how="horizontal")
        return rows.with_columns(value=value, values=values).select(list(schema))

    def values(self) -> tuple[pl.Series, pl.Series]:
        """One number for each row, and the many; null where there is none."""
        size = np.diff(self.first)
        numbers = pl.Series(self.numbers).fill_nan(None)
        value = numbers.gather(pl.Series(np.where(size == 1, self.first[:-1], -1)).replace(-1, None)) if len(self) else pl.Series([], dtype=pl.Float64)
        many = np.flatnonzero(size > 1)
        if not many.size:
            return value, pl.Series([None], dtype=pl.List(pl.Float64)).new_from_index(0, len(self))
        # By length, because lists of one length are a reshaped column.
        by_length = many[np.argsort(size[many], kind="stable")]
        lengths, starts = np.unique(size[by_length], return_index=True)
        pieces = []
        for length, rows in zip(lengths.tolist(), np.split(by_length, starts[1:]), strict=True):
            flat = (self.first[rows][:, None] + np.arange(length)).ravel()
            pieces.append(numbers.gather(flat).reshape((len(rows), length)).arr.to_list())
        place = np.full(len(self), -1, dtype=np.int64)
        place[by_length] = np.arange(by_length.size)
        found = pl.Series(place)
        return value, pl.concat(pieces).gather(found.set(found < 0, None))


@dataclass(slots=True)
class _Buffers:
    """Room for what the scan finds in one file, used again for the next."""

    size: int = 0
    infos: Ints = field(default_factory=lambda: np.empty((0, 0), np.int64))
    objects: Ints = field(default_factory=lambda: np.empty((0, 0), np.int64))
    first_results: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    places: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    first_numbers: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    numbers: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    hard: Ints = field(default_factory=lambda: np.empty((0, 0), np.int64))
    counters: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    def for_file(self, size: int) -> None:
        """Every measInfo takes 20 bytes at least, a measValue 30, a result and a number 2."""
        if size <= self.size:
            return
        self.size = size = max(size, min(2 * size, _ROOM_AHEAD))
        self.infos = np.empty((size // 20 + 2, _INFO), np.int64)
        self.objects = np.empty((size // 30 + 2, _OBJECT), np.int64)
        self.first_results = np.empty(size // 30 + 3, np.int64)
        self.places = np.empty(size // 2 + 2, np.int32)
        self.first_numbers = np.empty(size // 2 + 3, np.int64)
        self.numbers = np.empty(size // 2 + 2, np.float64)
        self.hard = np.empty((size // 16 + 2, _HARD), np.int64)
        self.counters = np.empty(size // 2 + 2, np.int64)


class Scan:
    """Collects the results of plain files; :meth:`take` gives what came together since the last time."""

    def __init__(self, *, zone: ZoneInfo | None, delay: timedelta) -> None:
        from trunkline.data import pm_kernel

        self._kernel = pm_kernel
        self.zone, self.delay = zone, delay
        self._buffers = _Buffers()
        self.found = self.found_numbers = 0
        """How many results the last file had, and how many numbers they are."""
        self._forget()

    def _forget(self) -> None:
        self._heads: dict[bytes, int] = {}  # -1: not plain
        self._shapes: dict[bytes, Head | None] = {}
        self._numbers: dict[tuple[tuple[int, ...], tuple[str, ...]], int] = {}
        self._periods: dict[bytes, tuple[Head | None, Period | None]] = {}
        self._head_counters: list[int] = []
        self._head_info: list[tuple[int, int, int, int]] = []  # which id, from when, how long, known when
        self._timeless: set[int] = set()  # heads without a period
        self._first_types = np.zeros(1025, np.int64)
        self._at_place = np.zeros(65536, np.int64)
        self._counter_of = np.zeros(65536, np.int64)
        self._counters: dict[str, int] = {}
        self._split: list[tuple[str, str]] = []
        self._ids: dict[str, int] = {}
        self._names: list[tuple[str, str]] = []
        self._contexts: dict[tuple[str, str], int] = {}
        self._table = np.full((1 << 12, 2), -1, np.int64)
        self._kept = np.empty(1 << 18, np.uint8)
        self._begins = np.zeros(1 << 12, np.int64)
        self._clear()

    def _clear(self) -> None:
        self._n_infos = 0
        self._vendors: list[str] = []
        self._sources: list[str] = []
        self._pieces: list[tuple[NDArray[np.float64], Ints, Ints, Ints, Ints]] = []
        self._object_names: list[Ints] = []
        self._infos: list[Ints] = []  # of a file, the heads of its infos
        self._arrived: list[int] = []

    def add(self, data: bytes, *, source: str, released: datetime | None) -> Outside | None:
        """Take in the bytes of a file; its outside, or None where it is not plain and nothing was taken."""
        start = _PROLOG.match(data)
        if start is None or not _is_text(data):
            return None
        room = self._buffers
        room.for_file(len(data))
        n_infos, n_objects, n_results, n_numbers, n_hard = self._kernel.scan(
            np.frombuffer(data, np.uint8),
            start.end(),
            room.infos,
            room.objects,
            room.first_results,
            room.places,
            room.first_numbers,
            room.numbers,
            room.hard,
        )
        if n_infos < 0:
            return None
        places = room.infos[:n_infos].tolist()
        outside = read_outside(_outside(data, places), self.zone)
        if outside is None or len(outside.elements) != n_infos:
            return None
        heads = [self._head(data[begin:values]) for begin, values, _ in places]
        if -1 in heads or not self._settle(data, n_hard):
            return None
        objects = room.objects[:n_objects]
        info_of = objects[:, 4]
        first = room.first_results[: n_objects + 1]
        if not self._kernel.match(
            n_objects,
            objects,
            first,
            room.places,
            np.array([self._head_counters[head] for head in heads], np.int64),
            self._first_types,
            self._at_place,
            self._counter_of,
            room.counters,
        ):
            return None
        if not self._timeless.isdisjoint(heads):
            results_of_info = np.bincount(info_of, weights=np.diff(first), minlength=n_infos).tolist()
            if any(results and head in self._timeless for results, head in zip(results_of_info, heads, strict=True)):
                return None  # its values are for the quarantine
        self.found, self.found_numbers = n_results, n_numbers
        self._vendors.append(outside.header.get("vendorName", ""))
        self._sources.append(source)
        self._arrived.append(_microseconds(released) if released else _AS_THE_PERIOD_SAYS)
        self._infos.append(np.array(heads, np.int64))
        self._object_names.append(self._named(data, outside, objects))
        self._pieces.append(
            (
                room.numbers[:n_numbers].copy(),
                room.first_numbers[: n_results + 1].copy(),
                room.counters[:n_results].copy(),
                np.diff(first),
                np.stack((objects[:, 2], info_of + self._n_infos)),
            )
        )
        self._n_infos += n_infos
        return outside

    def take(self) -> Results:
        """The results of the files since the last time."""
        pieces = self._pieces
        heads = np.concatenate([np.empty(0, np.int64), *self._infos])
        info = np.array(self._head_info, np.int64).reshape(-1, 4)[heads]
        file_of = np.repeat(np.arange(len(self._infos)), [len(of_file) for of_file in self._infos]) if self._infos else heads
        arrived = np.array(self._arrived, np.int64)[file_of]
        ends = np.cumsum([0, *(len(numbers) for numbers, *_ in pieces)])
        of_objects = np.concatenate([np.empty((2, 0), np.int64), *(p[4] for p in pieces)], axis=1)
        counts = np.concatenate([np.empty(0, np.int64), *(p[3] for p in pieces)])
        all_names = np.concatenate([np.empty(0, np.int64), *self._object_names])
        used = np.bincount(all_names, minlength=len(self._names)) > 0
        number_of = np.cumsum(used) - 1
        results = Results(
            names=[self._names[number] for number in np.flatnonzero(used).tolist()],
            counters=self._split_counters(),
            ids=list(self._ids),
            vendors=self._vendors,
            sources=self._sources,
            numbers=np.concatenate([np.empty(0), *(p[0] for p in pieces)]),
            first=np.concatenate([*(p[1][:-1] + end for p, end in zip(pieces, ends, strict=False)), ends[-1:]]),
            object_of=np.repeat(np.arange(len(counts)), counts),
            counter_of=np.concatenate([np.empty(0, np.int64), *(p[2] for p in pieces)]),
            name_of=number_of[all_names] if all_names.size else all_names,
            suspect=of_objects[0].astype(bool),
            info_of=of_objects[1],
            id_of=info[:, 0],
            at=info[:, 1],
            period_s=info[:, 2],
            known_at=np.where(arrived == _AS_THE_PERIOD_SAYS, info[:, 3], arrived),
            file_of=file_of,
        )
        if len(self._names) + len(self._counters) + 100 * len(self._heads) > _MOST_KNOWN:
            self._forget()
        else:
            self._clear()
        return results

    def _head(self, head: bytes) -> int:
        """The number of a head, read if it is new."""
        known = self._heads.get(head)
        if known is None:
            shape, own_period = without_period(head)
            read = _remembered(self._shapes, shape, self.zone)
            said, when = self._period(own_period, read)
            known = self._heads[head] = -1 if read is None or said is None else len(self._head_info)
            if read is not None and said is not None:
                times = (0, 0, 0) if when is None else (_microseconds(when.at), when.seconds, _microseconds(when.end + self.delay))
                self._head_counters.append(self._enter(read))
                self._head_info.append((self._ids.setdefault(read.id, len(self._ids)), *times))
                if when is None:
                    self._timeless.add(known)
        return known

    def _period(self, own: bytes, head: Head | None) -> tuple[Head | None, Period | None]:
        if not own:
            return head, None if head is None else period(head, self.zone)
        found = self._periods.get(own)
        if found is None:
            said = read_head(own, self.zone)
            found = self._periods[own] = (said, None if said is None else period(said, self.zone))
        return found

    def _enter(self, head: Head) -> int:
        """The number of the counters of a head."""
        key = (head.places, head.counters)
        if key in self._numbers:
            return self._numbers[key]
        number = self._numbers[key] = len(self._numbers)
        begin = int(self._first_types[number])
        end = begin + len(head.places)
        if number + 1 >= len(self._first_types):
            self._first_types = np.concatenate([self._first_types, np.zeros_like(self._first_types)])
        while end > len(self._at_place):
            self._at_place = np.concatenate([self._at_place, np.zeros_like(self._at_place)])
            self._counter_of = np.concatenate([self._counter_of, np.zeros_like(self._counter_of)])
        self._first_types[number + 1] = end
        self._at_place[begin:end] = head.places
        counters = self._counters
        self._counter_of[begin:end] = [counters.setdefault(name, len(counters)) for name in head.counters]
        return number

    def _settle(self, data: bytes, count: int) -> bool:
        """Read the numbers that the scan left open; False where one is too large to be one."""
        for place, begin, end in self._buffers.hard[:count].tolist():
            number = float(data[begin:end])
            if number in {np.inf, -np.inf}:
                return False
            self._buffers.numbers[place] = number
        return True

    def _split_counters(self) -> list[tuple[str, str]]:
        self._split += [subcounters.split(name) for name in islice(self._counters, len(self._split), None)]
        return self._split.copy()

    def _named(self, data: bytes, outside: Outside, objects: Ints) -> Ints:
        """The number of each object's name; new ones are entered."""
        prefix = outside.header.get("dnPrefix", "")
        of_element = {element: self._contexts.setdefault((prefix, element), len(self._contexts)) for element in set(outside.elements)}
        contexts = np.array([of_element[element] for element in outside.elements], np.int64)
        raw, codes = np.frombuffer(data, np.uint8), np.empty(len(objects), np.int64)
        self._kernel.look_up(raw, len(objects), objects, contexts, self._table, self._kept, self._begins, codes)
        if codes.size and codes.min() < 0:
            self._make_room(objects)
            for row in np.flatnonzero(codes < 0).tolist():
                begin, end, _, _, info = objects[row].tolist()
                again = codes[row : row + 1]  # it may have come twice in this file
                self._kernel.look_up(raw, 1, objects[row : row + 1], contexts, self._table, self._kept, self._begins, again)
                if again[0] < 0:
                    again[0] = len(self._names)
                    self._kernel.enter(raw, begin, end, contexts[info], len(self._names), self._table, self._kept, self._begins)
                    self._name(prefix, outside.elements[info], data[begin:end].decode())
        return codes

    def _make_room(self, objects: Ints) -> None:
        """Room for as many names as there are objects, the table half empty."""
        names, longest = len(self._names) + len(objects), int((objects[:, 1] - objects[:, 0]).sum()) + 8 * len(objects)
        while names + 1 >= len(self._begins):
            self._begins = np.concatenate([self._begins, np.zeros_like(self._begins)])
        while self._begins[len(self._names)] + longest > len(self._kept):
            self._kept = np.concatenate([self._kept, np.empty_like(self._kept)])
        if 2 * names > len(self._table):
            size = 1 << (4 * names).bit_length()
            entered = self._table[self._table[:, 1] >= 0]
            self._table = np.full((size, 2), -1, np.int64)
            self._kernel.enter_again(entered, self._table)

    def _name(self, prefix: str, element: str, name: str) -> None:
        full = full_name(prefix, element, name)
        self._names.append((full, object_class(name) or ("" if name.strip() else object_class(full))))


def _remembered(known: dict[bytes, Head | None], head: bytes, zone: ZoneInfo | None) -> Head | None:
    if head not in known:
        known[head] = read_head(head, zone)
    return known[head]


def _outside(data: bytes, infos: list[list[int]]) -> bytes:
    """*data* with a mark in the place of each row of measInfos with nothing but white space between them."""
    pieces: list[bytes] = []
    at = first = 0
    for number, (begin, _, end) in enumerate(infos):
        between = data[at:begin]
        if number and between and not between.isspace():
            pieces.append(MARK % (first, number))
            first = number
        if number == first:
            pieces.append(between)
        at = end
    if infos:
        pieces.append(MARK % (first, len(infos)))
    return b"".join([*pieces, data[at:]])


def _is_text(data: bytes) -> bool:
    """Whether *data* is UTF-8 of characters that XML allows, as far as the parser does not look itself."""
    if data.isascii():
        return True
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return False
    return not any(wrong in text for wrong in _NO_CHARACTERS)


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_MICROSECOND = timedelta(microseconds=1)


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND
