"""Facts as known now: what the live stream looks its rows up in."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
from numpy.typing import NDArray

from trunkline.features.alarms import AlarmCount, State
from trunkline.features.calendar import DAY_US, MICROSECOND, Calendar, Ints
from trunkline.features.current_events import CurrentEvents
from trunkline.features.definition import Features, reach
from trunkline.features.inventory import Inventory
from trunkline.features.language import Expression
from trunkline.features.reduce import Floats
from trunkline.features.related import Related
from trunkline.features.ring import Ring
from trunkline.features.rows import Rows

_CALENDAR_AHEAD = 28
"""Days; the calendar is laid out anew when they are used up."""
_REMEMBER = 7
"""Days an event is kept beyond the last row that can reach it, so that an old version that comes again does not revive it."""


class Present:
    """The newest version of everything the definition can reach; what :class:`World` asks for."""

    def __init__(self, features: Features, inventory: Inventory, holidays: Mapping[str, frozenset[str]], *, slot: int) -> None:
        self.every, self.kpis = features.every // MICROSECOND, features.kpis
        self.inventory, self._holidays = inventory, holidays
        self._wait = (features.every + features.delay) // MICROSECOND
        self._reach = features.lookback // MICROSECOND
        back: dict[str, int] = {}
        for column in features.columns.values():
            for name, length in reach(column).items():
                back[name] = max(back.get(name, 0), length // MICROSECOND // self.every)
        statuses = back.get("*", -1) + 1
        self.rings = {name: Ring(max(back[name], back.get("*", 0)) + 1, head=slot, statuses=statuses) for name in self.kpis}
        self.events = CurrentEvents(inventory, every=self.every)
        self._calendar: Calendar | None = None
        self.kept: dict[Hashable, int] = {}
        self.slot = slot

    def turn(self, slot: int) -> None:
        """Make *slot* the present one."""
        for ring in self.rings.values():
            ring.turn(slot)
        self.slot = slot
        self.kept.clear()
        self.events.forget(slot * self.every + self._wait - self._reach - _REMEMBER * DAY_US)

    @property
    def zones(self) -> Ints:
        return self.inventory.zones

    @property
    def entities(self) -> Ints:
        return self.inventory.entities

    @property
    def related(self) -> Related:
        return self.inventory.related

    @property
    def calendar(self) -> Calendar:
        if self._calendar is None or self._calendar.last <= self.slot:
            first = self.slot - (self._reach + DAY_US) // self.every
            last = self.slot + 1 + _CALENDAR_AHEAD * DAY_US // self.every
            self._calendar = Calendar(self.inventory.zone_names, every=self.every, first=first, last=last, holidays=self._holidays)
        return self._calendar

    def value(self, kpi: str, rows: Rows) -> Floats:
        return self.rings[kpi].values(rows)

    def status(self, kpi: str, rows: Rows) -> NDArray[np.uint8]:
        return self.rings[kpi].statuses(rows)

    def active(self, choice: AlarmCount | State, rows: Rows) -> Floats:
        return self.events.active(choice, rows)

    def settled(self, expression: Expression, until: int) -> int | None:  # noqa: ARG002 - the present has only one instant
        return None
