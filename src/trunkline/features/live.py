"""Rows of the present: facts come in any order, each slot's rows go out once, when their time has come."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np
import polars as pl

from trunkline.core.clock import utc
from trunkline.core.errors import BadInput
from trunkline.core.frames import KPIS, RELATIONS, check_frame, empty
from trunkline.features.calendar import MICROSECOND, Ints
from trunkline.features.definition import Features
from trunkline.features.evaluate import evaluate
from trunkline.features.history import rows_frame
from trunkline.features.intake import EventFacts, KpiFacts, event_facts, kpi_facts
from trunkline.features.inventory import Inventory
from trunkline.features.present import Present
from trunkline.features.reduce import Floats
from trunkline.features.rows import Rows
from trunkline.features.snapshot import SavedEvents, SavedKpi, SavedRing, SavedState, read_snapshot, write_snapshot
from trunkline.features.waiting import Waiting

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def live(
    features: Features,
    *,
    elements: pl.DataFrame,
    relations: pl.DataFrame | None = None,
    holidays: Mapping[str, frozenset[str]] | None = None,
    start: datetime | None = None,
) -> Live:
    """The stream of rows of *features*; hand facts to ``update``, take rows from ``advance``.

    Parameters
    ----------
    features
        The definition, bound to KPI names (``features.bind(names)``) where it says ``each_kpi()``.
    elements, relations, holidays
        As in :class:`trunkline.core.frames.Facts`. Elements that bring KPIs and are not listed join
        as entities in UTC.
    start
        The first row emitted is that of the slot which contains this instant; facts about earlier
        slots only fill the state. Without it, that of the earliest slot known at the first ``advance``.

    >>> from datetime import timedelta
    >>> from trunkline.core.frames import ELEMENTS
    >>> from trunkline.features import Features, kpi
    >>> hourly = Features(entity="cell", every="1h", columns={"calls": kpi("calls")})
    >>> stream = live(hourly, elements=empty(ELEMENTS))
    >>> at = datetime(2026, 11, 20, 8, tzinfo=UTC)
    >>> known = at + timedelta(minutes=65)
    >>> stream.update(kpis=pl.DataFrame({"element": "A", "kpi": "calls", "at": [at], "value": 4.0, "status": "ok", "known_at": known}, schema=dict(KPIS)))
    >>> stream.advance(at + timedelta(minutes=69)).height, stream.advance(at + timedelta(minutes=70))["calls"].to_list()
    (0, [4.0])
    """
    return Live(features, elements=elements, relations=relations, holidays=holidays, start=start)


class Live:
    """What is known now, and which slot's rows go out next; made by :func:`live`.

    The state is one value (with its status, and when it became known) per element, KPI and slot
    within the KPI's longest look-back, and the newest version of each event a row can reach: it does
    not grow with time. Facts that a row may not know yet wait.

    Attributes
    ----------
    overtaken
        How many facts changed the state although rows already emitted should have known them by
        their ``known_at``: it was stamped too early, and history will differ there.
    unreachable
        How many facts were dropped because no row can look back as far.
    """

    def __init__(
        self,
        features: Features,
        *,
        elements: pl.DataFrame,
        relations: pl.DataFrame | None = None,
        holidays: Mapping[str, frozenset[str]] | None = None,
        start: datetime | None = None,
    ) -> None:
        if not features.is_bound:
            raise BadInput("A stream cannot know which KPIs each_kpi() will find.", next_step="Bind the features first: features.bind(names)")
        self.features = features
        self._every, self._wait = features.every // MICROSECOND, (features.every + features.delay) // MICROSECOND
        self._inventory = Inventory(features.entity, elements, empty(RELATIONS) if relations is None else relations)
        self._holidays = dict(holidays or {})
        self._next = None if start is None else _microseconds(start) // self._every
        self._world: Present | None = None
        self._kpis: dict[str, Waiting[KpiFacts]] = {name: Waiting() for name in features.kpis}
        self._events: Waiting[EventFacts] = Waiting()
        self._earliest: int | None = None
        self.overtaken = 0
        self.unreachable = 0

    @property
    def next_emission(self) -> datetime | None:
        """When the next rows are due; None before the first slot is known."""
        return None if self._next is None else _EPOCH + (self._next * self._every + self._wait) * MICROSECOND

    def update(self, *, kpis: pl.DataFrame | None = None, events: pl.DataFrame | None = None) -> None:
        """Take in facts, in any order; late ones change the rows still to come and none that went out."""
        if kpis is not None and len(kpis):
            mine = check_frame(kpis, KPIS, name="KPIs").filter(pl.col("kpi").is_in(list(self.features.kpis)))
            self._take_in(mine["element"].unique().drop_nulls().to_list())
            for name, facts in kpi_facts(mine, kpis=self.features.kpis, elements=pl.Enum(self._inventory.names), every=self._every).items():
                if len(facts):
                    self._kpis[name].add(facts, np.maximum(facts.slot, self._first_to_know(facts.known)))
                    earliest = int(facts.slot.min())
                    self._earliest = earliest if self._earliest is None else min(earliest, self._earliest)
        if events is not None and len(events):
            versions = event_facts(events)
            self._events.add(versions, self._first_to_know(versions.known))

    def advance(self, to: datetime) -> pl.DataFrame:
        """The rows of each slot whose emission time has come by *to* and which have not gone out before.

        Returns
        -------
        polars.DataFrame
            As from :func:`trunkline.features.history`, sorted by entity and at; empty where nothing is due.
        """
        last = (_microseconds(to) - self._wait) // self._every
        if self._next is None:
            self._next = self._earliest
        if self._next is None or self._next > last:
            return self._frame([])
        blocks = [self._emit(slot) for slot in range(self._next, last + 1)]
        self._next = last + 1
        return self._frame(blocks)

    def snapshot(self) -> bytes:
        """The whole state as bytes; give them to :meth:`restore` of a new stream of the same definition."""
        world = self._world
        state = SavedState(
            features=self.features.hash,
            names=self._inventory.names,
            next=self._next,
            earliest=self._earliest,
            overtaken=self.overtaken,
            unreachable=self.unreachable,
            slot=None if world is None else world.slot,
            rings={} if world is None else {name: SavedRing.of(ring) for name, ring in world.rings.items()},
            events={} if world is None else world.events.newest,
            waiting={name: [(slot, SavedKpi.of(facts)) for slot, facts in one.all()] for name, one in self._kpis.items()},
            waiting_events=[(slot, SavedEvents.of(facts)) for slot, facts in self._events.all()],
        )
        return write_snapshot(state)

    def restore(self, snapshot: bytes) -> None:
        """Go on exactly where :meth:`snapshot` was taken; what this stream knew before is replaced.

        Raises
        ------
        WorkspaceError
            The snapshot is of another format.
        Tampered
            Its bytes are not those that were written.
        BadInput
            It belongs to another definition.
        """
        state = read_snapshot(snapshot)
        if state.features != self.features.hash:
            raise BadInput(
                "The snapshot belongs to another feature definition.",
                where=f"the snapshot is of {state.features[:12]}, this definition is {self.features.hash[:12]}",
                next_step="Restore it into the definition it was taken from, or fill a new stream from the stored facts.",
            )
        self._take_in([state.names[place] for place in state.bearers()])
        number = np.array([self._inventory.index.get(name, -1) for name in state.names], np.int64)
        self._next, self._earliest, self.overtaken, self.unreachable = state.next, state.earliest, state.overtaken, state.unreachable
        self._kpis, self._events = {name: Waiting() for name in self.features.kpis}, Waiting()
        for name, saved in state.waiting.items():
            for slot, kpis in saved:
                self._kpis[name].add(facts := kpis.facts(number), np.full(len(facts), slot))
        for slot, events in state.waiting_events:
            self._events.add(versions := events.facts(), np.full(len(versions), slot))
        self._world = None
        if state.slot is not None:
            self._world = Present(self.features, self._inventory, self._holidays, slot=state.slot)
            self._world.rings = {name: ring.ring(number, statuses=self._world.rings[name].statuses_kept) for name, ring in state.rings.items()}
            self._world.events.newest = dict(state.events)

    def _first_to_know(self, known: Ints) -> Ints:
        """The slot whose row is the first to be emitted at or after each instant."""
        return -((self._wait - known) // self._every)

    def _take_in(self, bearers: list[str]) -> None:
        before = len(self._inventory.names)
        self._inventory.add(bearers)
        if self._world is not None and len(self._inventory.names) > before:
            self._world.events.renumber()

    def _emit(self, slot: int) -> tuple[Rows, list[Floats]]:
        is_first = self._world is None
        world = self._world = self._world or Present(self.features, self._inventory, self._holidays, slot=slot)
        world.turn(slot)
        for name, ring in world.rings.items():
            for due, facts in self._kpis[name].until(slot):
                within = ring.reaches(facts.slot)
                self.unreachable += int((~within).sum())
                changed = ring.put(facts.chosen(within))
                self.overtaken += changed if due < slot and not is_first else 0
        for due, versions in self._events.until(slot):
            changed = world.events.put(versions)
            self.overtaken += changed if due < slot and not is_first else 0
        element = self._inventory.entities
        rows = Rows(element, np.full(len(element), slot), np.full(len(element), slot * self._every + self._wait))
        return rows, [evaluate(column, world, rows) for column in self.features.columns.values()]

    def _frame(self, blocks: list[tuple[Rows, list[Floats]]]) -> pl.DataFrame:
        nobody = np.zeros(0, np.int64)
        element, slot, known = (np.concatenate([nobody, *(getattr(rows, name) for rows, _ in blocks)]) for name in ("element", "slot", "known"))
        values = {name: np.concatenate([np.zeros(0), *(found[place] for _, found in blocks)]) for place, name in enumerate(self.features.columns)}
        return rows_frame(self.features, self._inventory.names, element, slot, known, values).sort("entity", "at")


def _microseconds(at: datetime) -> int:
    return (utc(at) - _EPOCH) // MICROSECOND
