"""Frames of facts as arrays on the grid, in the one order both evaluators agree on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trunkline.core.errors import BadInput, UnknownName
from trunkline.core.frames import EVENTS, KPIS, check_frame
from trunkline.features.alarms import SEVERITIES
from trunkline.features.calendar import Ints
from trunkline.features.reduce import Floats
from trunkline.features.rows import OK, STATUSES

OPEN = np.iinfo(np.int64).max
"""The end of an event that has none yet."""


@dataclass(frozen=True, slots=True)
class KpiFacts:
    """Rows of one KPI as columns: element and slot by number, times in microseconds, NaN for no value."""

    element: Ints
    slot: Ints
    known: Ints
    value: Floats
    status: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.element)

    def chosen(self, which: Ints | NDArray[np.bool_]) -> KpiFacts:
        """Only those, in this order."""
        return KpiFacts(*(getattr(self, field.name)[which] for field in fields(self)))

    @classmethod
    def joined(cls, several: Sequence[KpiFacts]) -> KpiFacts:
        """All of them, one after the other."""
        return cls(*(np.concatenate([getattr(one, field.name) for one in several]) for field in fields(cls)))


@dataclass(frozen=True, slots=True)
class EventFacts:
    """Versions of events as columns; times in microseconds, no severity is ""."""

    event: NDArray[np.object_]
    element: NDArray[np.object_]
    kind: NDArray[np.object_]
    severity: NDArray[np.object_]
    start: Ints
    end: Ints
    known: Ints

    def __len__(self) -> int:
        return len(self.event)

    def chosen(self, which: Ints | NDArray[np.bool_]) -> EventFacts:
        """Only those, in this order."""
        return EventFacts(*(getattr(self, field.name)[which] for field in fields(self)))

    @classmethod
    def joined(cls, several: Sequence[EventFacts]) -> EventFacts:
        """All of them, one after the other."""
        return cls(*(np.concatenate([getattr(one, field.name) for one in several]) for field in fields(cls)))

    @property
    def over(self) -> Ints:
        """When each is over: its end, or a microsecond after its start for an event without length."""
        return np.maximum(self.end, self.start + 1)

    @property
    def rank(self) -> Ints:
        """How severe each is, as an index into :data:`SEVERITIES`."""
        return np.array([SEVERITIES.index(word) if word in SEVERITIES else 0 for word in self.severity], np.int64)


def kpi_facts(frame: pl.DataFrame, *, kpis: Iterable[str], elements: pl.Enum, every: int) -> dict[str, KpiFacts]:
    """The facts about *kpis*, by KPI, in the frame's order.

    Raises
    ------
    BadInput
        A slot is not on the grid.
    UnknownName
        A status is none of the known ones.
    """
    wanted = sorted(kpis)
    chosen = check_frame(frame, KPIS, name="KPIs").filter(pl.col("kpi").is_in(wanted))
    columns = chosen.select(
        element=pl.col("element").cast(elements).to_physical().cast(pl.Int64),
        kpi=pl.col("kpi").cast(pl.Enum(wanted)).to_physical().cast(pl.UInt16),
        at=pl.col("at").cast(pl.Int64),
        known=pl.col("known_at").cast(pl.Int64),
        value=pl.col("value").fill_null(float("nan")),
        status=pl.col("status").cast(pl.Enum(STATUSES[1:]), strict=False).to_physical().cast(pl.UInt8) + 1,
    )
    if nameless := sum(columns[name].null_count() for name in ("element", "at", "known")):
        raise BadInput(f"{nameless} KPI rows lack element, at or known_at.", where="the frame of KPIs", next_step="Drop them, or send them to quarantine.")
    if columns["status"].null_count():
        unknown = chosen.filter(columns["status"].is_null())["status"]
        raise UnknownName("status", str(unknown[0]), STATUSES[1:], where="the frame of KPIs, column 'status'")
    at, status = columns["at"].to_numpy(), columns["status"].to_numpy()
    if len(at) and (off := at % every != 0).any():
        row = chosen.row(int(off.argmax()), named=True)
        raise BadInput(
            f"{int(off.sum())} KPI rows do not start on the grid, the first at {row['at'].isoformat()}.",
            where=f"element '{row['element']}', KPI '{row['kpi']}'",
            allowed=f"starts every {every // 1_000_000} s from midnight UTC",
        )
    value = columns["value"].to_numpy()
    value = np.where((status == OK) & np.isfinite(value), value, np.nan)
    facts = KpiFacts(columns["element"].to_numpy(), at // every, columns["known"].to_numpy(), value, status)
    code = columns["kpi"].to_numpy()
    order = np.argsort(code, kind="stable")
    cuts = np.searchsorted(code[order], np.arange(len(wanted) + 1))
    return {name: facts.chosen(order[cuts[i] : cuts[i + 1]]) for i, name in enumerate(wanted)}


def oldest_first(facts: KpiFacts, cells: Ints) -> Ints:
    """An order by cell and then by version; of one ``known_at`` the larger value is the newer version, any value newer than none."""
    return np.lexsort((facts.status, np.where(np.isnan(facts.value), -np.inf, facts.value), facts.known, cells))


def event_facts(frame: pl.DataFrame) -> EventFacts:
    """The versions of all events, by event and from the oldest to the newest; of one ``known_at`` the one with an end is the newer."""
    checked = check_frame(frame, EVENTS, name="events").drop_nulls("event_id")
    if checked["start"].null_count() or checked["known_at"].null_count():
        broken = checked.filter(pl.col("start").is_null() | pl.col("known_at").is_null())["event_id"][0]
        raise BadInput(f"Event '{broken}' has no start or no known_at.", where="the frame of events", allowed="both in every version")
    ordered = checked.sort("event_id", "known_at", "end", "start", "element", "kind", "severity", nulls_last=False)
    event, element, kind, severity = (np.array(ordered[name].fill_null("").to_list(), object) for name in ("event_id", "element", "kind", "severity"))
    start, end, known = (ordered[name].cast(pl.Int64) for name in ("start", "end", "known_at"))
    return EventFacts(event, element, kind, severity, start.to_numpy(), end.fill_null(OPEN).to_numpy(), known.to_numpy())
