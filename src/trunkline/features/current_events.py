"""Events as known now: the newest version of each, as long as a row can still reach it."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from trunkline.features.alarms import AlarmCount, State
from trunkline.features.calendar import Ints
from trunkline.features.episodes import chosen_by, scope_of, window_of
from trunkline.features.intake import OPEN, EventFacts
from trunkline.features.inventory import Inventory
from trunkline.features.reduce import Floats
from trunkline.features.rows import Rows

Version = tuple[int, int, int, str, str, str]
"""known, end, start, element, kind, severity."""


class CurrentEvents:
    """The newest version of each event, and the count of those active in a window."""

    def __init__(self, inventory: Inventory, *, every: int) -> None:
        self.newest: dict[str, Version] = {}
        self._inventory, self._every = inventory, every
        self._columns: EventFacts | None = None
        self._chosen: dict[Hashable, tuple[Ints, EventFacts]] = {}

    def put(self, facts: EventFacts) -> int:
        """Keep each version that is newer than what is known of its event; how many events changed."""
        changed = 0
        columns = (facts.known, facts.end, facts.start, facts.element, facts.kind, facts.severity)
        for event, version in zip(facts.event.tolist(), zip(*(column.tolist() for column in columns), strict=True), strict=True):
            known = self.newest.get(event)
            if known is None or _age(version) > _age(known):
                self.newest[event] = version
                changed += 1
        if changed:
            self._columns = None
            self._chosen.clear()
        return changed

    def forget(self, before: int) -> None:
        """Drop events that were over, and known to be, before this instant."""
        gone = [event for event, (known, end, start, *_) in self.newest.items() if max(known, end, start) < before]
        for event in gone:
            del self.newest[event]
        if gone:
            self._columns = None
            self._chosen.clear()

    def active(self, choice: AlarmCount | State, rows: Rows) -> Floats:
        """How many of the chosen events were active in the window of each row."""
        element, facts = self._of(choice)
        over, window = facts.over, window_of(choice, self._every)
        table = self._inventory.related.scope(scope_of(choice))
        whose, slot = (np.broadcast_to(given, rows.shape) for given in (rows.element, rows.slot))
        found = np.zeros(rows.shape)
        for one in np.unique(slot):
            until = (one + 1) * self._every
            counts = np.bincount(element[(facts.start < until) & (over > until - window)], minlength=len(self._inventory.names))
            here = slot == one
            others = table[whose[here]]
            found[here] = np.where(others >= 0, counts[others], 0).sum(axis=1)
        return found

    def _of(self, choice: AlarmCount | State) -> tuple[Ints, EventFacts]:
        if choice not in self._chosen:
            facts = self._all()
            element = np.array([self._inventory.index.get(name, -1) for name in facts.element], np.int64)
            which = chosen_by(choice, facts) & (element >= 0)
            self._chosen[choice] = element[which], facts.chosen(which)
        return self._chosen[choice]

    def _all(self) -> EventFacts:
        if self._columns is None:
            known, end, start, element, kind, severity = zip(*self.newest.values(), strict=True) if self.newest else ((),) * 6
            texts = (np.array(column, object) for column in (list(self.newest), element, kind, severity))
            self._columns = EventFacts(*texts, *(np.array(column, np.int64) for column in (start, end, known)))
        return self._columns

    def renumber(self) -> None:
        """Look the elements up again, after the inventory has grown."""
        self._chosen.clear()


def _age(version: Version) -> tuple[int, int, int, str, str, str]:
    """Versions compare as they are sorted in :func:`event_facts`: an open end is older than any other."""
    known, end, *rest = version
    return (known, -1 if end == OPEN else end, *rest)  # type: ignore[return-value] # the rest keeps its types
