"""Rows of the past, each as it would have been known at its own instant.

Values come from dense matrices of the newest versions; only look-ups that a late or restated fact
can reach go to the older versions. On one core of the development machine 215,000 rows of 21 columns
over 1.7 million KPI rows (40 cells, 8 weeks of 15 minutes) took 1.6 CPU-seconds, 20,000 rows of 30
columns over 500,000 KPI rows 0.3. Memory: 17 bytes per element, slot and KPI read, within the span
the rows can reach.
"""

from __future__ import annotations

from collections.abc import Hashable
from datetime import UTC, datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trunkline.core.clock import utc
from trunkline.core.errors import BadInput, TooLittleData, UnknownName
from trunkline.core.frames import TIME, Facts
from trunkline.features.alarms import AlarmCount, State
from trunkline.features.calendar import DAY_US, MICROSECOND, Calendar, Ints
from trunkline.features.definition import Features, reach
from trunkline.features.episodes import Episodes
from trunkline.features.evaluate import breadth, evaluate
from trunkline.features.intake import event_facts, kpi_facts
from trunkline.features.inventory import Inventory
from trunkline.features.language import Expression, parts
from trunkline.features.reduce import Floats
from trunkline.features.rows import Rows
from trunkline.features.versions import ALWAYS, Versions

AT_ONCE = 1 << 18
"""Look-ups per block; two megabytes of working memory stay in the cache, fresh pages would cost more than the arithmetic."""
MOST_ROWS = 200_000_000


def history(features: Features, facts: Facts, *, slots: pl.DataFrame | None = None, known_at: datetime | None = None) -> pl.DataFrame:
    """The rows of every entity and slot in the facts' span, point-in-time correct.

    Parameters
    ----------
    features
        The definition; ``each_kpi()`` is bound to the KPIs found in the facts.
    slots
        Rows to compute instead of all: columns ``entity``, ``at`` and, if wanted, ``known_at``.
    known_at
        Compute every row as known at this instant, instead of as known at its own emission. Slots
        and elements of which nothing was known by then have no rows.

    Returns
    -------
    polars.DataFrame
        ``entity``, ``at``, ``known_at`` and one column per feature (Float64 or Boolean, null where
        unknown), sorted by entity, at and known_at.

    Raises
    ------
    UnknownName
        A KPI, relation or entity is not in the facts.
    BadInput
        A slot is not on the grid, or both *slots* and *known_at* say when the rows are known.

    >>> from datetime import timedelta
    >>> from trunkline.core.frames import KPIS, Facts
    >>> from trunkline.features import Features, kpi
    >>> at = [datetime(2026, 11, 20, 8 + hour, tzinfo=UTC) for hour in range(3)]
    >>> known = [at[0] + timedelta(hours=1), at[1] + timedelta(hours=9), at[2] + timedelta(hours=1)]  # the second comes late
    >>> kpis = pl.DataFrame({"element": "A", "kpi": "calls", "at": at, "value": [4.0, 6.0, 5.0], "status": "ok", "known_at": known}, schema=dict(KPIS))
    >>> hourly = Features(entity="cell", every="1h", columns={"calls": kpi("calls"), "before": kpi("calls").lag("1h")})
    >>> history(hourly, Facts(kpis=kpis)).select("calls", "before").rows()
    [(4.0, None), (None, 4.0), (5.0, None)]
    """
    if known_at is not None and slots is not None and "known_at" in slots.columns:
        raise BadInput("The frame of slots and known_at= both say when the rows are known.", allowed="one of the two")
    if known_at is not None:
        facts = _known_by(facts, utc(known_at))
    if facts.kpis.is_empty() and slots is None:
        raise TooLittleData("There are no KPI rows, so there are no slots to compute rows for.", where="the frame of KPIs")
    bound = features.bind(facts.kpis["kpi"].unique().drop_nulls())
    inventory = Inventory(bound.entity, facts.elements, facts.relations, bearers=facts.kpis["element"].unique().drop_nulls())
    element, slot, known = _wanted(bound, inventory, facts, slots, known_at)
    world = _Past(bound, facts, inventory, slot)
    values = _columns(bound, world, element, slot, known)
    return rows_frame(bound, inventory.names, element, slot, known, values)


def rows_frame(features: Features, names: list[str], element: Ints, slot: Ints, known: Ints, values: dict[str, Floats]) -> pl.DataFrame:
    """The ROWS frame of arrays that are in its order already."""
    columns = {
        "entity": pl.Series(names, dtype=pl.String).gather(element),
        "at": pl.Series(slot * (features.every // MICROSECOND)).cast(TIME),
        "known_at": pl.Series(known).cast(TIME),
    }
    for name, column in features.columns.items():
        numbers = pl.Series(name, values[name], nan_to_null=True)
        columns[name] = numbers.cast(pl.Boolean) if column.is_boolean else numbers
    return pl.DataFrame(columns)


class _Past:
    """The facts with all their versions: what :class:`World` asks for."""

    def __init__(self, features: Features, facts: Facts, inventory: Inventory, slot: Ints) -> None:
        self.every, self.kpis = features.every // MICROSECOND, features.kpis
        wait = (features.every + features.delay) // MICROSECOND
        first = int(slot.min(initial=0 if not len(slot) else slot[0])) - features.lookback // MICROSECOND // self.every - DAY_US // self.every
        last = int(slot.max(initial=0 if not len(slot) else slot[0]))
        self.inventory = inventory
        self.zones, self.entities, self.related = inventory.zones, inventory.entities, inventory.related
        self.calendar = Calendar(inventory.zone_names, every=self.every, first=first, last=last + 1, holidays=facts.holidays)
        self.kept: dict[Hashable, int] = {}
        self._versions: dict[str, Versions] = {}
        found = kpi_facts(facts.kpis, kpis=self.kpis, elements=pl.Enum(inventory.names), every=self.every)
        for name in self.kpis:
            one = found.pop(name)
            low, high = max(first, int(one.slot.min(initial=last))), min(last, int(one.slot.max(initial=first)))
            self._versions[name] = Versions(one, elements=len(inventory.names), first=low, last=max(high, low - 1), every=self.every, wait=wait)
        reads_events = any(isinstance(part, AlarmCount | State) for column in features.columns.values() for part in parts(column))
        events = event_facts(facts.events if reads_events else facts.events.clear())
        self._episodes = Episodes(events, inventory, first=first, last=last, every=self.every)

    def value(self, kpi: str, rows: Rows) -> Floats:
        return self._versions[kpi].value(rows)

    def status(self, kpi: str, rows: Rows) -> NDArray[np.uint8]:
        return self._versions[kpi].status(rows)

    def active(self, choice: AlarmCount | State, rows: Rows) -> Floats:
        return self._episodes.active(choice, rows)

    def settled(self, expression: Expression, until: int) -> int | None:
        if any(isinstance(part, AlarmCount | State) for part in parts(expression)):
            return None
        return max((self._versions[name].settled(until) for name in reach(expression) if name in self._versions), default=ALWAYS)


def _columns(features: Features, world: _Past, element: Ints, slot: Ints, known: Ints) -> dict[str, Floats]:
    values = {name: np.empty(len(element)) for name in features.columns}
    wait = (features.every + features.delay) // MICROSECOND
    widest = max((breadth(column, world) for column in features.columns.values()), default=1)
    step = int(np.clip(AT_ONCE // widest, 64, 1 << 15))
    for cut in range(0, len(element), step):
        some = slice(cut, cut + step)
        after = bool((known[some] >= slot[some] * world.every + wait).all())
        rows = Rows(element[some], slot[some], known[some], after_emission=after)
        for name, column in features.columns.items():
            values[name][some] = evaluate(column, world, rows)
    return values


def _wanted(features: Features, inventory: Inventory, facts: Facts, slots: pl.DataFrame | None, known_at: datetime | None) -> tuple[Ints, Ints, Ints]:
    """Element, slot and known-at of each row, in the order of the result."""
    every, wait = features.every // MICROSECOND, (features.every + features.delay) // MICROSECOND
    if slots is None:
        starts = facts.kpis["at"].cast(pl.Int64)
        first, last = int(starts.min()) // every, int(starts.max()) // every  # type: ignore[arg-type] # not empty, checked before
        if (last - first + 1) * len(inventory.entities) > MOST_ROWS:
            raise BadInput(
                f"The facts span {last - first + 1:,} slots of {len(inventory.entities):,} entities: too many rows at once.",
                where=f"{facts.kpis['at'].min()!s} to {facts.kpis['at'].max()!s}",
                next_step="Look for a stray date, or hand in the slots wanted.",
            )
        span = np.arange(first, last + 1)
        element, slot = np.repeat(inventory.entities, len(span)), np.tile(span, len(inventory.entities))
        known = slot * every + wait
    else:
        names = slots["entity"].cast(pl.String)
        each = names.unique(maintain_order=True)
        element = names.replace_strict(each, [_number(inventory, name) for name in each.to_list()], return_dtype=pl.Int64).to_numpy()
        at = slots["at"].cast(TIME).cast(pl.Int64).to_numpy()
        if len(at) and (off := at % every != 0).any():
            raise BadInput("A slot is not on the grid.", where=f"the frame of slots, at {slots['at'][int(off.argmax())]}")
        slot = at // every
        known = slots["known_at"].cast(TIME).cast(pl.Int64).to_numpy() if "known_at" in slots.columns else slot * every + wait
    if known_at is not None:
        known = np.full(len(slot), (utc(known_at) - datetime(1970, 1, 1, tzinfo=UTC)) // MICROSECOND)
    if slots is not None:
        order = np.lexsort((known, slot, element))
        element, slot, known = element[order], slot[order], known[order]
    return element, slot, known


def _number(inventory: Inventory, name: str) -> int:
    if name not in inventory.index:
        raise UnknownName("entity", str(name), inventory.names, where="the frame of slots")
    return inventory.index[name]


def _known_by(facts: Facts, instant: datetime) -> Facts:
    kpis, events = (frame.filter(pl.col("known_at") <= instant) for frame in (facts.kpis, facts.events))
    return Facts(kpis=kpis, events=events, relations=facts.relations, elements=facts.elements, holidays=facts.holidays)
