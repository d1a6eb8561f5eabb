"""Events with all their versions, counted as known at any instant."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray

from trunkline.features.alarms import FROM_STATUS, SEVERITIES, AlarmCount, State
from trunkline.features.calendar import MICROSECOND, Ints
from trunkline.features.intake import OPEN, EventFacts
from trunkline.features.inventory import Inventory
from trunkline.features.reduce import Floats
from trunkline.features.rows import Rows

_AT_ONCE = 1 << 20


def chosen_by(choice: AlarmCount | State, facts: EventFacts) -> NDArray[np.bool_]:
    """Which events *choice* is about."""
    if isinstance(choice, AlarmCount):
        return np.asarray((facts.kind == "alarm") & (facts.rank >= SEVERITIES.index(choice.severity)), bool)
    return np.isin(facts.kind.astype(str), [word for word in choice.kinds if word not in FROM_STATUS])


def scope_of(choice: AlarmCount | State) -> tuple[str, ...]:
    """Whose events count for an element."""
    return choice.scope if isinstance(choice, AlarmCount) else ("self", "parents")


def window_of(choice: AlarmCount | State, every: int) -> int:
    """The length of the window that ends with the row's slot, in microseconds."""
    return choice.window // MICROSECOND if isinstance(choice, AlarmCount) else every


class Episodes:
    """All versions of all events, with a dense count per (element, slot) where the rows allow one.

    For rows known a fixed time after their slot, as a whole history is, the slots in which a version
    counts are one run: it must have started, not have ended, be known and not yet be replaced. The
    same holds for rows all known at one instant. Runs are summed once for all rows. Rows known at
    instants of any other kind are looked at one by one.

    Parameters
    ----------
    first, last
        The slots that can be asked for, inclusive.
    """

    def __init__(self, facts: EventFacts, inventory: Inventory, *, first: int, last: int, every: int) -> None:
        self._facts, self._related, self._elements = facts, inventory.related, len(inventory.names)
        self._element = np.array([inventory.index.get(name, -1) for name in facts.element], np.int64)
        self._first, self._width, self._every = first, last - first + 1, every
        following = np.append(facts.event[1:] == facts.event[:-1], False) if len(facts) else np.zeros(0, bool)
        self._replaced = np.where(following, np.append(facts.known[1:], OPEN)[: len(facts)], OPEN)
        self._dense: dict[Hashable, NDArray[np.int32]] = {}

    def active(self, choice: AlarmCount | State, rows: Rows) -> Floats:
        """How many of the chosen events were active in the window of each row, as known at its instant."""
        offset = np.asarray(rows.known - rows.slot * self._every)
        if (offset == offset.flat[0]).all():
            return self._from_dense(choice, rows, ("after the slot", int(offset.flat[0])))
        if (rows.known == rows.known.flat[0]).all():
            return self._from_dense(choice, rows, ("at", int(rows.known.flat[0])))
        return self._one_by_one(choice, rows)

    def _from_dense(self, choice: AlarmCount | State, rows: Rows, when: tuple[str, int]) -> Floats:
        key = (choice, when)
        if key not in self._dense:
            self._dense[key] = self._count(choice, *when)
        counts = self._dense[key]
        whose = np.moveaxis(self._related.scope(scope_of(choice))[rows.element], -1, 0)
        whose = whose.reshape(len(whose), *[1] * (len(rows.shape) - whose.ndim + 1), *whose.shape[1:])
        found = np.zeros(rows.shape)
        for one in whose:
            found += counts[one, rows.slot - self._first]
        return found

    def _count(self, choice: AlarmCount | State, mode: str, instant: int) -> NDArray[np.int32]:
        """(elements + nobody, slots): active events of each element itself."""
        facts, every = self._facts, self._every
        begin = facts.start // every  # the window ends with the slot, after the start
        stop = _slots_until(facts.over, window_of(choice, every) - every, every)
        counts = chosen_by(choice, facts) & (self._element >= 0)
        if mode == "at":
            counts &= (facts.known <= instant) & (instant < self._replaced)
        else:
            begin = np.maximum(begin, -((instant - facts.known) // every))
            stop = np.minimum(stop, _slots_until(self._replaced, -instant, every))
        begin, stop = np.clip(begin - self._first, 0, self._width), np.clip(stop - self._first, 0, self._width)
        counts &= begin < stop
        change = np.zeros((self._elements + 1, self._width + 1), np.int32)
        np.add.at(change, (self._element[counts], begin[counts]), 1)
        np.add.at(change, (self._element[counts], stop[counts]), -1)
        return np.cumsum(change, axis=1, dtype=np.int32)[:, :-1]

    def _one_by_one(self, choice: AlarmCount | State, rows: Rows) -> Floats:
        element, slot, known = (np.broadcast_to(given, rows.shape).ravel() for given in (rows.element, rows.slot, rows.known))
        facts = self._facts
        mine = np.flatnonzero(chosen_by(choice, facts) & (self._element >= 0))
        table = self._related.scope(scope_of(choice))
        found = np.zeros(element.size)
        window, over = window_of(choice, self._every), facts.over
        step = max(_AT_ONCE // max(len(mine), 1), 1)
        for cut in range(0, element.size, step):
            some = slice(cut, cut + step)
            concerns = np.zeros((len(element[some]), self._elements + 1), bool)
            np.put_along_axis(concerns, table[element[some]], values=True, axis=1)
            ends = ((slot[some] + 1) * self._every)[:, None]
            counts = concerns[:, self._element[mine]] & (facts.start[mine] < ends) & (over[mine] > ends - window)
            counts &= (facts.known[mine] <= known[some, None]) & (known[some, None] < self._replaced[mine])
            found[some] = counts.sum(axis=1)
        return found.reshape(rows.shape)


def _slots_until(instant: Ints, plus: int, every: int) -> Ints:
    """The first slot that starts at or after *instant* + *plus*; beyond all where *instant* is open."""
    far = np.iinfo(np.int64).max // 4
    return np.where(instant == OPEN, far, -((-np.where(instant == OPEN, 0, instant) - plus) // every))
