"""The present values of one KPI over the slots a row can still reach."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trunkline.features.calendar import Ints
from trunkline.features.intake import KpiFacts, oldest_first
from trunkline.features.reduce import Floats
from trunkline.features.rows import ABSENT, Rows

NOT_KNOWN = np.iinfo(np.int64).min


class Ring:
    """One KPI: a matrix (elements that bear it, length) in which slot *s* stands in column ``s % length``.

    17 bytes per element and slot. Row 0 stays empty, for elements that never brought the KPI.

    Parameters
    ----------
    length
        One more than the number of slots the farthest-looking feature looks back.
    head
        The newest slot.
    """

    def __init__(self, length: int, *, head: int) -> None:
        self.length, self.head = length, head
        self.bearers: Ints = np.zeros(0, np.int64)
        """The elements that have rows: the one of row 1, of row 2 …"""
        self._row: Ints = np.zeros(0, np.int64)
        self.value: Floats = np.full((1, length), np.nan)
        self.known: Ints = np.full((1, length), NOT_KNOWN)
        self.status: NDArray[np.uint8] = np.full((1, length), ABSENT, np.uint8)

    @classmethod
    def restored(cls, length: int, head: int, bearers: Ints, value: Floats, known: Ints, status: NDArray[np.uint8]) -> Ring:
        """A ring with these contents, one row more than bearers."""
        ring = cls(length, head=head)
        ring._make_room(bearers)
        row = ring._row[bearers]
        for mine, theirs in ((ring.value, value), (ring.known, known), (ring.status, status)):
            mine[row] = theirs[1:]
        return ring

    def turn(self, slot: int) -> None:
        """Make *slot* the newest; the columns it and those before it take over are emptied."""
        if slot > self.head:
            fresh = np.arange(max(self.head + 1, slot - self.length + 1), slot + 1) % self.length
            self.value[:, fresh], self.known[:, fresh], self.status[:, fresh] = np.nan, NOT_KNOWN, ABSENT
            self.head = slot

    def reaches(self, slots: Ints) -> NDArray[np.bool_]:
        """Whether each slot still has its place."""
        return np.asarray((slots > self.head - self.length) & (slots <= self.head))

    def put(self, facts: KpiFacts) -> int:
        """Keep each fact, all of slots within reach, that is the newest version of its cell; how many cells changed."""
        self._make_room(facts.element)
        cells = self._row[facts.element] * self.length + facts.slot % self.length
        order = oldest_first(facts, cells)
        newest = order[np.append(cells[order][1:] != cells[order][:-1], True)[: len(order)]]
        facts, cells = facts.chosen(newest), cells[newest]
        value, known, status = self.value.reshape(-1), self.known.reshape(-1), self.status.reshape(-1)
        wins = _is_newer((facts.known, facts.value, facts.status), (known[cells], value[cells], status[cells]))
        facts, cells = facts.chosen(wins), cells[wins]
        value[cells], known[cells], status[cells] = facts.value, facts.known, facts.status
        return len(cells)

    def values(self, rows: Rows) -> Floats:
        """The value of each row; NaN where there is none."""
        return np.where(self.reaches(rows.slot), self.value.reshape(-1).take(self._cells(rows)), np.nan)

    def statuses(self, rows: Rows) -> NDArray[np.uint8]:
        """The status of each row."""
        return np.where(self.reaches(rows.slot), self.status.reshape(-1).take(self._cells(rows)), np.uint8(ABSENT))

    def _cells(self, rows: Rows) -> Ints:
        row = np.where(rows.element < len(self._row), self._row.take(rows.element, mode="clip"), 0) if len(self._row) else np.zeros_like(rows.element)
        return np.asarray(row * self.length + rows.slot % self.length)

    def _make_room(self, elements: Ints) -> None:
        if len(elements) and (most := int(elements.max()) + 1) > len(self._row):
            self._row = np.append(self._row, np.zeros(most - len(self._row), np.int64))
        new = np.unique(elements[self._row[elements] == 0])
        self._row[new] = len(self.bearers) + 1 + np.arange(len(new))
        self.bearers = np.append(self.bearers, new)
        if len(self.bearers) + 1 > len(self.value):
            more = len(self.bearers) + 1 + len(self.bearers) // 4 - len(self.value)  # a quarter ahead, so that newcomers one by one stay cheap
            self.value = np.concatenate([self.value, np.full((more, self.length), np.nan)])
            self.known = np.concatenate([self.known, np.full((more, self.length), NOT_KNOWN)])
            self.status = np.concatenate([self.status, np.full((more, self.length), ABSENT, np.uint8)])


def _is_newer(new: tuple[Ints, Floats, NDArray[np.uint8]], old: tuple[Ints, Floats, NDArray[np.uint8]]) -> NDArray[np.bool_]:
    """The order of :func:`oldest_first`: known at, then value (none below any), then status."""
    new_value, old_value = (np.where(np.isnan(value), -np.inf, value) for value in (new[1], old[1]))
    tied = new[0] == old[0]
    return np.asarray((new[0] > old[0]) | (tied & ((new_value > old_value) | ((new_value == old_value) & (new[2] > old[2])))))
