"""The present values of one KPI over the slots a row can still reach."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trunkline.features.calendar import Ints
from trunkline.features.intake import KpiFacts, oldest_first
from trunkline.features.reduce import Floats
from trunkline.features.rows import ABSENT, Rows

NOT_KNOWN = np.iinfo(np.int64).min
Codes = NDArray[np.unsignedinteger[Any]]


class Ring:
    """One KPI: a matrix (elements that bear it, length) in which slot *s* stands in column ``s % length``.

    Nine bytes per element and slot, five where all values are such as four bytes hold to the last bit (counts are):
    of the instants at which something became known there are few in a slot, so a byte tells which it was, more only
    where there are more. A status is kept as long as a row can ask for it. Row 0 stays empty, for elements that never
    brought the KPI.

    Parameters
    ----------
    length
        One more than the number of slots the farthest-looking feature looks back.
    head
        The newest slot.
    statuses
        The same for features that ask for the status; of slots before it none is kept.
    """

    def __init__(self, length: int, *, head: int, statuses: int | None = None) -> None:
        self.length, self.head = length, head
        self.statuses_kept = min(length, length if statuses is None else statuses)
        self.bearers: Ints = np.zeros(0, np.int64)
        """The elements that have rows: the one of row 1, of row 2 …"""
        self._row: Ints = np.zeros(0, np.int64)
        self.value: NDArray[np.floating[Any]] = np.full((1, length), np.nan, np.float32)
        self.code: Codes = np.zeros((1, length), np.uint8)
        """Which of the column's :attr:`times` each value became known at, from 1; 0 where there is none."""
        self.times: list[Ints] = [np.zeros(0, np.int64) for _ in range(length)]
        self.status: NDArray[np.uint8] = np.full((1, self.statuses_kept), ABSENT, np.uint8)

    @property
    def bytes_per_slot(self) -> float:
        """What an element costs in each slot."""
        return self.value.itemsize + self.code.itemsize + self.statuses_kept / self.length

    def turn(self, slot: int) -> None:
        """Make *slot* the newest; the columns it and those before it take over are emptied."""
        if slot > self.head:
            new = np.arange(max(self.head + 1, slot - self.length + 1), slot + 1)
            self.value[:, new % self.length], self.code[:, new % self.length] = np.nan, 0
            for column in (new % self.length).tolist():
                self.times[column] = np.zeros(0, np.int64)
            if self.statuses_kept:
                self.status[:, new[-self.statuses_kept :] % self.statuses_kept] = ABSENT
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
        facts = facts.chosen(newest)
        self._widen(facts.value)
        columns = facts.slot % self.length
        by_column = np.argsort(columns, kind="stable")
        cuts = np.flatnonzero(np.diff(columns[by_column])) + 1
        return sum(self._put(facts.chosen(some)) for some in np.split(by_column, cuts)) if len(facts) else 0

    def known(self, rows: Ints, column: int) -> Ints:
        """Since when each value of a column is known; :data:`NOT_KNOWN` where there is none."""
        return np.asarray(np.append(NOT_KNOWN, self.times[column])[self.code[rows, column]])

    def values(self, rows: Rows) -> Floats:
        """The value of each row; NaN where there is none."""
        return np.where(self.reaches(rows.slot), self.value.reshape(-1).take(self._cells(rows, self.length)).astype(np.float64, copy=False), np.nan)

    def statuses(self, rows: Rows) -> NDArray[np.uint8]:
        """The status of each row; absent for slots of which none is kept."""
        if not self.statuses_kept:
            return np.full(rows.shape, ABSENT, np.uint8)
        kept = self.reaches(rows.slot) & (rows.slot > self.head - self.statuses_kept)
        return np.where(kept, self.status.reshape(-1).take(self._cells(rows, self.statuses_kept)), np.uint8(ABSENT))

    def take_over(self, bearers: Ints, value: NDArray[np.floating[Any]], code: Codes, times: list[Ints], status: NDArray[np.uint8]) -> None:
        """Become what these say, each with one row more than bearers; *status* of the slots that are kept."""
        self._make_room(bearers)
        row = self._row[bearers]
        self._widen(value)
        self.code = self.code.astype(np.promote_types(self.code.dtype, code.dtype), copy=False)
        self.value[row], self.code[row], self.status[row], self.times = value[1:], code[1:], status[1:], times

    def _put(self, facts: KpiFacts) -> int:
        """The same for facts of one slot, one of a cell."""
        slot = int(facts.slot[0])
        column, row = slot % self.length, self._row[facts.element]
        keeps_status = slot > self.head - self.statuses_kept
        old_status = self.status[row, slot % self.statuses_kept] if keeps_status else facts.status
        old = (self.known(row, column), self.value[row, column].astype(np.float64, copy=False), old_status)
        wins = _is_newer((facts.known, facts.value, facts.status), old)
        facts, row = facts.chosen(wins), row[wins]
        self.value[row, column] = facts.value
        self.code[row, column] = 0
        self._note(row, column, facts.known)
        if keeps_status:
            self.status[row, slot % self.statuses_kept] = facts.status
        return len(row)

    def _note(self, row: Ints, column: int, known: Ints) -> None:
        """Write down since when the values of some rows of a column are known."""
        times = self.times[column]
        new = np.setdiff1d(known, times)
        if len(times) + len(new) > np.iinfo(self.code.dtype).max:  # forget instants that nothing is known since any more
            used, code = np.unique(self.code[:, column], return_inverse=True)
            is_first_none = int(used[0] == 0)
            times = times[used[is_first_none:].astype(np.int64) - 1]
            self.code[:, column] = code + 1 - is_first_none
            new = np.setdiff1d(known, times)
        times = np.append(times, new)
        if len(times) > np.iinfo(self.code.dtype).max:
            self.code = self.code.astype(np.uint16 if len(times) <= np.iinfo(np.uint16).max else np.uint32)
        order = np.argsort(times)
        self.code[row, column] = order[np.searchsorted(times, known, sorter=order)] + 1
        self.times[column] = times

    def _widen(self, values: NDArray[np.floating[Any]]) -> None:
        """Make room for all bits of *values*."""
        if self.value.dtype == np.float32 and values.dtype != np.float32:
            with np.errstate(over="ignore"):
                is_exact = (values.astype(np.float32) == values) | np.isnan(values)
            if not is_exact.all():
                self.value = self.value.astype(np.float64)

    def _cells(self, rows: Rows, length: int) -> Ints:
        row = np.where(rows.element < len(self._row), self._row.take(rows.element, mode="clip"), 0) if len(self._row) else np.zeros_like(rows.element)
        return np.asarray(row * length + rows.slot % length)

    def _make_room(self, elements: Ints) -> None:
        if len(elements) and (most := int(elements.max()) + 1) > len(self._row):
            self._row = np.append(self._row, np.zeros(most - len(self._row), np.int64))
        new = np.unique(elements[self._row[elements] == 0])
        self._row[new] = len(self.bearers) + 1 + np.arange(len(new))
        self.bearers = np.append(self.bearers, new)
        if len(self.bearers) + 1 > len(self.value):
            more = len(self.bearers) + 1 + len(self.bearers) // 4 - len(self.value)  # a quarter ahead, so that newcomers one by one stay cheap
            self.value = np.concatenate([self.value, np.full((more, self.length), np.nan, self.value.dtype)])
            self.code = np.concatenate([self.code, np.zeros((more, self.length), self.code.dtype)])
            self.status = np.concatenate([self.status, np.full((more, self.statuses_kept), ABSENT, np.uint8)])


def _is_newer(new: tuple[Ints, Floats, NDArray[np.uint8]], old: tuple[Ints, Floats, NDArray[np.uint8]]) -> NDArray[np.bool_]:
    """The order of :func:`oldest_first`: known at, then value (none below any), then status."""
    new_value, old_value = (np.where(np.isnan(value), -np.inf, value) for value in (new[1], old[1]))
    tied = new[0] == old[0]
    return np.asarray((new[0] > old[0]) | (tied & ((new_value > old_value) | ((new_value == old_value) & (new[2] > old[2])))))
