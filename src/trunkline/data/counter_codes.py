"""Counters to records without spelling names out: the maps are asked once for each vendor, class and counter of many files.

What :func:`trunkline.data.counters.map_counters` does row by row is done here for the plain counters, by far the most: those
that no map knows, and those that become one record each. The others go through ``map_counters`` itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trunkline.core.frames import TIME
from trunkline.data.counter_maps import Counter, CounterMap
from trunkline.data.counters import find
from trunkline.data.distinguished_names import cell_name
from trunkline.data.pm_scan import Results
from trunkline.data.pm_xml import COUNTERS

_MOST_PLACES = 20_000_000  # of group and counter; with more of them than of results, asking row by row is no slower
_MOST_REMEMBERED = 200_000
_MOST_IN_16_BITS = 65_535  # Polars keeps the last code for itself
_NO_ROWS = pl.DataFrame(schema=dict(COUNTERS))


@dataclass(frozen=True, slots=True)
class NamedRecords:
    """Records of layout RECORDS with ``wrap``, texts as categories; how many of each file; counters that no map knew; results for ``map_counters``."""

    records: pl.DataFrame
    rows: dict[str, int]
    unmapped: pl.DataFrame
    others: pl.DataFrame


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a counter of a class is; ``row`` is None where it is not plain."""

    row: Counter | None
    is_known: bool


class CounterCodes:
    """Asks counter maps and remembers what they said; of no use once a map has changed."""

    def __init__(self, maps: Sequence[CounterMap]) -> None:
        self._maps = list(maps)
        self._known: dict[tuple[str, str, str], _Meaning] = {}
        self._maps_of: dict[str, list[CounterMap]] = {}
        self._cells: dict[str, str] = {}
        self._samples = {(row.object_class, row.samples) for m in self._maps for row in m.counters if row.samples}
        self._counted = {name for _, name in self._samples}

    def meaning(self, vendor: str, object_class: str, counter: str) -> _Meaning:
        """What *counter* is, in a class of a vendor."""
        key = (vendor, object_class, counter)
        found = self._known.get(key)
        if found is None:
            if len(self._known) > _MOST_REMEMBERED:
                self._known.clear()
            found = self._known[key] = self._ask(*key)
        return found

    def _ask(self, vendor: str, object_class: str, counter: str) -> _Meaning:
        if vendor and vendor not in self._maps_of:
            self._maps_of[vendor] = [m for m in self._maps if not m.vendor_names or m.reads(vendor)]
        rows = find(self._maps_of.get(vendor, self._maps), vendor, object_class, counter)
        is_known = bool(rows) or any((m.aliases.get(object_class, object_class), counter) in self._samples for m in self._maps)
        one = rows[0] if len(rows) == 1 else None if rows else Counter(object_class, counter, name=counter)
        is_plain = one is not None and one.form in {"number", "bins"} and not one.samples and counter not in self._counted
        return _Meaning(one if is_plain else None, is_known)

    def _cell(self, element: str) -> str:
        found = self._cells.get(element)
        if found is None:
            if len(self._cells) > _MOST_REMEMBERED:
                self._cells.clear()
            found = self._cells[element] = cell_name(element)
        return found

    def records(self, results: Results) -> NamedRecords:
        """The records of *results*, as far as their counters are plain; the results of others stand in ``others``."""
        from trunkline.data import record_kernel

        classes, class_of = _numbered([kind for _, kind in results.names])
        elements, element_of = _numbered([self._cell(full) for full, _ in results.names])
        vendors, vendor_of = _numbered(results.vendors)
        sources, source_of = _numbered(results.sources)
        counters = max(1, len(results.counters))
        vendor_of_info = vendor_of[results.file_of]
        group_of = vendor_of_info[results.info_of] * len(classes) + class_of[results.name_of]
        places = len(vendors) * len(classes) * counters
        if places > max(_MOST_PLACES, len(results)):
            return NamedRecords(_frame(_Columns(0, np.uint16), [], [], [], [], []), dict.fromkeys(results.sources, 0), _unmapped([]), results.frame(COUNTERS))
        counts, sizes, longest = np.zeros((3, places), np.int64)
        record_kernel.meet(results.first, results.object_of, results.counter_of, group_of, counters, counts, sizes, longest)
        met = np.flatnonzero(counts)
        keys = [(vendors[p // counters // len(classes)], classes[p // counters % len(classes)], *results.counters[p % counters]) for p in met.tolist()]
        meanings = [self.meaning(vendor, kind, counter) for vendor, kind, counter, _ in keys]
        told = _Told(meanings, [(counter, suffix) for *_, counter, suffix in keys], longest[met].tolist())
        meaning_of = np.zeros(places, np.int32)
        meaning_of[met] = np.arange(len(met))
        is_plain = told.marks[: len(met), record_kernel.IS_PLAIN] == 1
        height = int(sizes[met][is_plain].sum())
        widest = max(map(len, (elements, classes, told.names, told.dimensions, sources)))
        columns = _Columns(height, np.uint16 if widest < _MOST_IN_16_BITS else np.uint32)
        of_file = np.zeros(len(sources), np.int64)
        others = np.empty(int(counts[met][~is_plain].sum()), np.int64)
        record_kernel.unfold(
            results.first,
            results.object_of,
            results.counter_of,
            group_of,
            counters,
            results.numbers,
            np.stack((element_of[results.name_of], class_of[results.name_of], results.suspect.astype(np.int64), results.info_of), axis=1),
            np.stack((results.at, results.period_s, results.known_at, source_of[results.file_of]), axis=1),
            meaning_of,
            told.marks,
            told.scales,
            told.wraps,
            told.words,
            told.bins,
            columns.elements,
            columns.classes,
            columns.names,
            columns.dimensions,
            columns.ats,
            columns.periods,
            columns.values,
            columns.suspects,
            columns.known_ats,
            columns.sources,
            columns.wraps,
            of_file,
            others,
        )
        frame = _frame(columns, elements, classes, told.names, told.dimensions, sources)
        unknown = [(kind, counter, int(count)) for (_, kind, counter, _), m, count in zip(keys, meanings, counts[met].tolist(), strict=True) if not m.is_known]
        return NamedRecords(
            frame, dict(zip(sources, of_file.tolist(), strict=True)), _unmapped(unknown), results.chosen(others).frame(COUNTERS) if others.size else _NO_ROWS
        )


class _Told:
    """What the counters that occur mean, as arrays for the kernel, and the texts that their numbers point at."""

    def __init__(self, meanings: Sequence[_Meaning], spelled: Sequence[tuple[str, str]], longest: Sequence[int]) -> None:
        size = max(1, len(meanings))
        self.marks = np.zeros((size, 3), np.uint8)
        self.scales, self.wraps = np.ones(size), np.full(size, np.nan)
        self.words = np.zeros((size, 5), np.int32)
        self._names: dict[str, int] = {}
        self._dimensions: dict[str, int] = {}
        self._bins: list[int] = []
        begun: dict[str, tuple[int, int]] = {}
        for number, (meaning, (counter, suffix), most) in enumerate(zip(meanings, spelled, longest, strict=True)):
            row = meaning.row
            if row is None:
                continue
            both = ",".join(word for word in (row.dimension, suffix) if word)
            is_bins = row.form == "bins"
            self.marks[number] = (1, is_bins, row.per_second)
            self.scales[number] = row.scale
            self.wraps[number] = np.nan if row.wrap is None else row.wrap
            words = (self._name(row.name), self._dimension(both), self._name(counter), self._dimension(suffix))
            bins = self._numbered_bins(both if is_bins else suffix, most, begun) if most > 1 else 0
            self.words[number] = (*words, bins)
        self.bins = np.array(self._bins or [0], np.int32)

    @property
    def names(self) -> list[str]:
        return list(self._names)

    @property
    def dimensions(self) -> list[str]:
        return list(self._dimensions)

    def _name(self, text: str) -> int:
        return self._names.setdefault(text, len(self._names))

    def _dimension(self, text: str) -> int:
        return self._dimensions.setdefault(text, len(self._dimensions))

    def _numbered_bins(self, word: str, most: int, begun: dict[str, tuple[int, int]]) -> int:
        """Where the dimensions of *most* bins of *word* begin."""
        begin, length = begun.get(word, (0, 0))
        if length < most:
            begin = len(self._bins)
            before = f"{word}," if word else ""
            self._bins += [self._dimension(f"{before}bin={nth}") for nth in range(most)]
            begun[word] = (begin, most)
        return begin


class _Columns:
    """Room for the columns of so many records."""

    def __init__(self, height: int, kind: type[np.uint16 | np.uint32]) -> None:
        self.elements, self.classes, self.names, self.dimensions, self.sources = (np.empty(height, kind) for _ in range(5))
        self.ats, self.known_ats = np.empty(height, np.int64), np.empty(height, np.int64)
        self.periods = np.empty(height, np.int32)
        self.values, self.wraps = np.empty(height), np.empty(height)
        self.suspects = np.empty(height, np.bool_)


def _frame(columns: _Columns, elements: list[str], classes: list[str], names: list[str], dimensions: list[str], sources: list[str]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "element": _category(columns.elements, elements),
            "object_class": _category(columns.classes, classes),
            "name": _category(columns.names, names),
            "dimension": _category(columns.dimensions, dimensions),
            "at": pl.Series(columns.ats).cast(TIME),
            "period_s": pl.Series(columns.periods),
            "value": _number(columns.values),
            "suspect": pl.Series(columns.suspects),
            "known_at": pl.Series(columns.known_ats).cast(TIME),
            "source": _category(columns.sources, sources),
            "wrap": _number(columns.wraps),
        }
    )


def _number(numbers: NDArray[np.float64]) -> pl.Series:
    has_gaps = bool(np.isnan(numbers.sum()))  # infinities may say so too, where there are none
    return pl.Series(numbers).fill_nan(None) if has_gaps else pl.Series(numbers)


def _category(codes: NDArray[Any], texts: list[str]) -> pl.Series:
    return pl.Series(codes).cat.to(pl.Enum(texts))


def _unmapped(found: list[tuple[Any, ...]]) -> pl.DataFrame:
    frame = pl.DataFrame(found, schema={"object_class": pl.String, "counter": pl.String, "values": pl.Int64}, orient="row")
    return frame.group_by("object_class", "counter").agg(pl.col("values").sum()).sort("object_class", "counter")


def _numbered(texts: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """The distinct texts, and which of them each is."""
    found: dict[str, int] = {}
    codes = [found.setdefault(text, len(found)) for text in texts]
    return list(found), np.array(codes, np.int64)
