"""KPI values with all their versions, looked up as known at any instant."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trunkline.features.calendar import Ints
from trunkline.features.intake import KpiFacts, oldest_first
from trunkline.features.reduce import Floats
from trunkline.features.rows import ABSENT, Rows

ALWAYS = np.iinfo(np.int64).min


class Versions:
    """One KPI of all elements over a range of slots.

    The newest version of every cell stands in a dense (elements, slots) matrix. Beside it stands
    since when the cell has been what it is; only cells asked for as known before that instant are
    looked up among the older versions, which are kept for cells that have several.

    Parameters
    ----------
    elements
        How many there are.
    first, last
        The slots kept, inclusive.
    wait
        From the start of a slot to the emission of its row, in microseconds: grid plus delay.
    """

    def __init__(self, facts: KpiFacts, *, elements: int, first: int, last: int, every: int, wait: int) -> None:
        facts = facts.chosen((facts.slot >= first) & (facts.slot <= last))
        self._first, self._width = first, max(last - first + 1, 0)
        bearers = np.unique(facts.element)
        self._row = np.full(elements, len(bearers), np.int64)  # one row of gaps for all others
        self._row[bearers] = np.arange(len(bearers))
        cells = self._row[facts.element] * self._width + facts.slot - first
        self._outside = (len(bearers) + 1) * self._width  # the last cell stands for slots out of range
        several = np.bincount(cells, minlength=self._outside + 1)[cells] > 1
        self._older, self._cell_of = _by_version(facts.chosen(several), cells[several])
        self._value = np.full(self._outside + 1, np.nan)
        self._status = np.full(self._outside + 1, ABSENT, np.uint8)
        self._since = np.full(self._outside + 1, ALWAYS)
        for each, where in ((facts.chosen(~several), cells[~several]), (self._older, self._cell_of)):
            self._value[where], self._status[where], self._since[where] = each.value, each.status, each.known  # the newest is written last
        emission = np.arange(first, first + self._width) * every + wait
        since = self._since[: self._outside].reshape(len(bearers) + 1, self._width)
        self._is_late = np.append((since > emission).ravel(), False)
        self._any_late = bool(self._is_late.any())
        self._settled = np.maximum.accumulate(since.max(axis=0, initial=ALWAYS))
        self._times = np.unique(self._older.known)
        self._keys = self._cell_of * (len(self._times) + 1) + np.searchsorted(self._times, self._older.known, "right")

    def value(self, rows: Rows) -> Floats:
        """The value of each row as known at its instant; NaN where there is none."""
        cells = self._cells(rows)
        found: Floats = self._value.take(cells)
        early = self._early(cells, rows)
        if early is not None:
            version = self._version(cells[early], np.broadcast_to(rows.known, cells.shape)[early])
            found[early] = np.append(self._older.value, np.nan)[version]
        return found

    def status(self, rows: Rows) -> NDArray[np.uint8]:
        """The status of each row as known at its instant."""
        cells = self._cells(rows)
        found: NDArray[np.uint8] = self._status.take(cells)
        early = self._early(cells, rows)
        if early is not None:
            version = self._version(cells[early], np.broadcast_to(rows.known, cells.shape)[early])
            found[early] = np.append(self._older.status, np.uint8(ABSENT))[version]
        return found

    def settled(self, until: int) -> int:
        """Since when everything up to the slot *until* has been what it is."""
        width = min(until - self._first + 1, self._width)
        return int(self._settled[width - 1]) if width > 0 else ALWAYS

    def _cells(self, rows: Rows) -> Ints:
        place = rows.slot - self._first
        cells = np.broadcast_to(self._row[rows.element] * self._width + place, rows.shape)
        if place.size and (place.min() < 0 or place.max() >= self._width):
            cells = np.where((place >= 0) & (place < self._width), cells, self._outside)
        return cells

    def _early(self, cells: Ints, rows: Rows) -> NDArray[np.bool_] | None:
        """Where a cell is asked for as known before it became what it is; None where nowhere."""
        if rows.after_emission:
            if not self._any_late:
                return None
            early: NDArray[np.bool_] = self._is_late.take(cells)
            if early.any():
                early[early] = self._since[cells[early]] > np.broadcast_to(rows.known, cells.shape)[early]
        else:
            early = self._since.take(cells) > rows.known
        return early if early.any() else None

    def _version(self, cells: Ints, known: Ints) -> Ints:
        """The place of the newest version known by then among the older ones; -1 where none was."""
        found = np.searchsorted(self._keys, cells * (len(self._times) + 1) + np.searchsorted(self._times, known, "right"), "right") - 1
        return np.where((found >= 0) & (np.append(self._cell_of, -1)[found] == cells), found, -1)


def _by_version(facts: KpiFacts, cells: Ints) -> tuple[KpiFacts, Ints]:
    order = oldest_first(facts, cells)
    return facts.chosen(order), cells[order]
