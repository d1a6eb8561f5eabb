"""Facts that came before a row may know them, kept by the slot whose row is the first that may."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Generic, TypeVar

import numpy as np

from trunkline.features.calendar import Ints
from trunkline.features.intake import EventFacts, KpiFacts

F = TypeVar("F", KpiFacts, EventFacts)


class Waiting(Generic[F]):
    """Facts by the first slot whose row may read them."""

    def __init__(self) -> None:
        self._of: dict[int, list[F]] = {}
        self._slots: list[int] = []

    def add(self, facts: F, slots: Ints) -> None:
        """Let each of *facts* wait for the row of its one of *slots*."""
        order = np.argsort(slots, kind="stable")
        found, starts = np.unique(slots[order], return_index=True)
        for slot, some in zip(found.tolist(), np.split(order, starts[1:]) if len(found) else [], strict=True):
            if slot not in self._of:
                heappush(self._slots, slot)
            self._of.setdefault(slot, []).append(facts.chosen(some))

    def until(self, slot: int) -> list[tuple[int, F]]:
        """Take out all that the row of *slot* may read: (the slot they waited for, facts), the earliest first."""
        taken: list[tuple[int, F]] = []
        while self._slots and self._slots[0] <= slot:
            due = heappop(self._slots)
            some = self._of.pop(due)
            taken.append((due, some[0] if len(some) == 1 else type(some[0]).joined(some)))
        return taken

    def all(self) -> list[tuple[int, F]]:
        """Everything that waits, without taking it out."""
        return [(slot, some) for slot in sorted(self._of) for some in self._of[slot]]
