"""The rows being computed, and what an evaluator must be able to look up for them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trunkline.features.alarms import AlarmCount, State
from trunkline.features.calendar import Calendar, Ints
from trunkline.features.inventory import Inventory
from trunkline.features.language import Expression
from trunkline.features.reduce import Floats
from trunkline.features.related import Related

STATUSES = ("", "missing", "ok", "too_few", "suspect")
"""What is known of a KPI's slot; "" where no row came."""
ABSENT, MISSING, OK, TOO_FEW, SUSPECT = range(5)


class Rows:
    """A block of (element, slot, known at), as arrays whose shapes broadcast together.

    What is computed for the block, and the blocks derived from it (its windows, its neighbours), are
    kept beside it, so that ten columns over the same window look it up once.

    Parameters
    ----------
    real
        Where a derived row stands for a real one: an element has three neighbours where another has
        six. Elsewhere it repeats its own row, and what it finds must not be used.
    after_emission
        Whether each row is known no earlier than the row of its slot would be emitted.
    """

    __slots__ = ("_derived", "after_emission", "element", "known", "real", "shape", "slot", "values")

    def __init__(self, element: Ints, slot: Ints, known: Ints, *, real: NDArray[np.bool_] | None = None, after_emission: bool = False) -> None:
        self.element, self.slot, self.known, self.real, self.after_emission = element, slot, known, real, after_emission
        self.shape = np.broadcast_shapes(element.shape, slot.shape, known.shape)
        self.values: dict[Hashable, Floats] = {}
        self._derived: dict[Hashable, Rows] = {}

    def derive(self, key: Hashable, make: Callable[[], Rows]) -> Rows:
        """The derived block *key*, made once."""
        if key not in self._derived:
            self._derived[key] = make()
        return self._derived[key]

    def at_slots(self, slots: Ints) -> Rows:
        """The same elements as known at the same instants, at *slots*: one more axis in front, -1 where there is none."""
        slots, real = self._fill(slots, self.slot)
        return Rows(self.element, slots, self.known, real=real, after_emission=self.after_emission)

    def of_elements(self, elements: Ints) -> Rows:
        """The same slots as known at the same instants, of *elements*: one more axis in front, -1 where there is none."""
        elements, real = self._fill(elements, self.element)
        return Rows(elements, self.slot, self.known, real=real, after_emission=self.after_emission)

    def chosen(self, mask: NDArray[np.bool_]) -> Rows:
        """Only those where *mask* (of the block's shape) is true, flat."""
        element, slot, known = (np.broadcast_to(given, self.shape)[mask] for given in (self.element, self.slot, self.known))
        return Rows(element, slot, known, after_emission=self.after_emission)

    def _fill(self, given: Ints, own: Ints) -> tuple[Ints, NDArray[np.bool_] | None]:
        given = given.reshape(len(given), *[1] * (len(self.shape) - given.ndim + 1), *given.shape[1:])
        real = given >= 0
        return (given, None) if real.all() else (np.where(real, given, own), real)


class World(Protocol):
    """Facts as an evaluator keeps them; everything here is looked up, nothing is computed ahead."""

    @property
    def every(self) -> int:
        """The grid in microseconds."""

    @property
    def inventory(self) -> Inventory:
        """The elements there are, by number."""

    @property
    def kpis(self) -> tuple[str, ...]:
        """The KPIs the definition reads."""

    @property
    def zones(self) -> Ints:
        """The zone of each element, as an index into the calendar."""

    @property
    def entities(self) -> Ints:
        """The elements that have rows."""

    @property
    def calendar(self) -> Calendar:
        """Local time of all slots a row can reach."""

    @property
    def related(self) -> Related:
        """Who stands how to whom."""

    @property
    def kept(self) -> dict[Hashable, int]:
        """What holds for many blocks and is worth keeping between them."""

    def value(self, kpi: str, rows: Rows) -> Floats:
        """The KPI's value; NaN where there is none."""

    def status(self, kpi: str, rows: Rows) -> NDArray[np.uint8]:
        """The index of its status in :data:`STATUSES`."""

    def active(self, choice: AlarmCount | State, rows: Rows) -> Floats:
        """How many of the chosen events were active in the window of each row."""

    def settled(self, expression: Expression, until: int) -> int | None:
        """An instant from which on all that *expression* reads up to the slot *until* stays as it is, where one is known."""
