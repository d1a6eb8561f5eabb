"""Live features kept up with the lake: opened from the newest snapshot that fits, else warmed up from everything.

State = snapshot + what the lake gained after it. The rows of a slot go out once; a fact that comes later changes only
rows still to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

import msgspec
import polars as pl

from trunkline.core.calendar import holidays_of
from trunkline.core.errors import TrunklineError
from trunkline.core.frames import ELEMENTS, RELATIONS, empty
from trunkline.features import Features, Live, live
from trunkline.run import fresh, gather
from trunkline.run.lane import tail
from trunkline.run.shadow_message import frame, frame_bytes
from trunkline.store import snapshots
from trunkline.store.opened import Store
from trunkline.workflow import Workflow


class _Saved(msgspec.Struct, frozen=True, kw_only=True):
    """What :class:`Resident` must remember."""

    live: bytes
    context: bytes
    witnesses: bytes
    lookback: timedelta
    every: timedelta
    names: list[str]
    measured: list[str]
    first_year: int
    newest: datetime | None
    rename: dict[str, str]


@dataclass(slots=True, kw_only=True)
class Late:
    """Facts about slots whose rows had gone out when they came."""

    facts: int = 0
    first: datetime | None = None
    last: datetime | None = None
    elements: tuple[str, ...] = ()

    @classmethod
    def of(cls, kpis: pl.DataFrame) -> Self:
        """These facts."""
        if kpis.is_empty():
            return cls()
        return cls(facts=kpis.height, first=kpis["at"].min(), last=kpis["at"].max(), elements=tuple(kpis["element"].unique().sort()))  # type: ignore[arg-type]


@dataclass(slots=True, kw_only=True)
class Resident:
    """The live features of one workflow, and the newest rows they gave.

    Attributes
    ----------
    at
        Rows due by then have gone out.
    newest
        When the newest KPI it knows became known.
    """

    store: Store
    workflow: Workflow
    features: Features
    names: tuple[str, ...]
    """The KPIs there were when the features were bound."""
    stream: Live
    context: pl.DataFrame
    at: datetime
    lookback: timedelta
    versions: Mapping[str, int]
    witnesses: pl.DataFrame
    measured: set[str]
    first_year: int
    newest: datetime | None
    rename: Mapping[str, str]
    is_from_snapshot: bool
    view: Any
    years: range
    elements: pl.DataFrame
    """The inventory, and the elements that stand in none."""

    def rows(self, to: datetime) -> pl.DataFrame | None:
        """The rows due by *to*, and before them the newest ones that went out; None where nothing is due."""
        new = self.stream.advance(to)
        self.at = max(self.at, to)
        if new.is_empty():
            return None
        together = pl.concat([self.context, new], how="vertical_relaxed").sort("entity", "at")
        self.context = tail(together, self.lookback)
        return together

    def take_in(self) -> Late:
        """Take in what the lake gained; says what of it came too late for rows that had gone out."""
        if fresh.inventory_changed(self.store, self.versions):
            self.versions = {**self.versions, **{name: self.store.lake.version(name) for name in ("elements", "relations")}}
            self._rebuild()
        found = fresh.read(self.store, self.view, self.features, versions=self.versions, witnesses=self.witnesses, gone_out=self.at, rename=self.rename)
        unbound = not self.workflow.features.is_bound if self.workflow.features else False
        if found is None or (unbound and not set(found.kpis["kpi"].unique()) <= set(self.names)):
            self._start_again()
            return Late()
        if not found.kpis.is_empty():
            self._join(found.kpis)
        self.stream.update(kpis=found.kpis, events=found.events)
        self.versions, self.witnesses = found.versions, found.witnesses
        return Late.of(found.late)

    def save(self, *, releases: Mapping[str, str]) -> None:
        """Keep the state as a snapshot, with the releases it served."""
        saved = _Saved(
            live=self.stream.snapshot(),
            context=frame_bytes(self.context),
            witnesses=frame_bytes(self.witnesses),
            lookback=self.lookback,
            every=self.features.every,
            names=list(self.names),
            measured=sorted(self.measured),
            first_year=self.first_year,
            newest=self.newest,
            rename=dict(self.rename),
        )
        content = msgspec.msgpack.encode(saved)
        one = snapshots.Snapshot(at=self.at, content=content, body={"versions": dict(self.versions), "releases": dict(releases)})
        snapshots.keep(self.store.engine, self.store.blobs, self.workflow.name, one, workflow_hash=self.workflow.hash, made_at=self.store.clock())

    def _join(self, kpis: pl.DataFrame) -> None:
        """Elements seen for the first time, and a new year's holidays."""
        newest = kpis["known_at"].max()
        assert isinstance(newest, datetime)
        self.newest = newest if self.newest is None else max(newest, self.newest)
        new = set(kpis["element"].unique()) - self.measured
        if new or self.newest.year + 1 not in self.years:
            self.measured |= new
            self._rebuild()

    def _rebuild(self) -> None:
        """The same state over the inventory as it is now."""
        state = self.stream.snapshot()
        self.stream, self.years, self.elements = _stream(self.store, self.view, self.features, self.measured, self.first_year, self.newest, start=None)
        self.stream.restore(state)

    def _start_again(self) -> None:
        again = warmed_up(self.store, self.workflow, at=self.at, lookback=self.lookback, rename=self.rename)
        for name in ("features", "names", "stream", "context", "versions", "witnesses", "measured", "first_year", "newest", "years", "elements"):
            setattr(self, name, getattr(again, name))


def opened(store: Store, workflow: Workflow, *, at: datetime, lookback: timedelta, rename: Mapping[str, str] | None = None) -> Resident:
    """The features as they stand at *at*: from a snapshot and what came after it where one fits, else from everything."""
    kept = snapshots.newest(store.engine, store.blobs, workflow.name, workflow_hash=workflow.hash, until=at)
    found = None
    with suppress(TrunklineError):  # a snapshot only saves time: one of another format or definition is passed over
        found = None if kept is None else _restored(store, workflow, kept, lookback=lookback, rename=rename or {})
    if found is None:
        return warmed_up(store, workflow, at=at, lookback=lookback, rename=rename)
    return found


def warmed_up(store: Store, workflow: Workflow, *, at: datetime, lookback: timedelta, rename: Mapping[str, str] | None = None) -> Resident:
    """The features as they stand at *at*, from everything that is known."""
    versions = fresh.versions_of(store)  # first: what comes while everything is read is read once more, which changes nothing
    found = gather.gather(store, workflow, rename=rename, witnesses=True)
    features, kpis = gather.bound(found), found.facts.kpis
    view = gather.view_for(store, workflow)
    measured = set(kpis["element"].unique())
    first_year, newest = int(kpis["at"].min().year), kpis["known_at"].max()  # type: ignore[union-attr]
    assert isinstance(newest, datetime)
    start = at - 2 * features.every - features.delay - lookback
    stream, years, elements = _stream(store, view, features, measured, first_year, newest, start=start)
    stream.update(kpis=kpis, events=found.facts.events)
    context = tail(stream.advance(at), lookback)
    return Resident(
        store=store, workflow=found.workflow, features=features, names=tuple(sorted(kpis["kpi"].unique())), stream=stream, context=context, at=at,
        lookback=lookback, versions=versions, witnesses=found.witnesses, measured=measured, first_year=first_year, newest=newest, rename=dict(rename or {}),
        is_from_snapshot=False, view=view, years=years, elements=elements,
    )  # fmt: skip


def _restored(store: Store, workflow: Workflow, kept: snapshots.Snapshot, *, lookback: timedelta, rename: Mapping[str, str]) -> Resident | None:
    """From *kept*; None where it reaches back too little or was taken under other names."""
    try:
        saved = msgspec.msgpack.decode(kept.content, type=_Saved)
    except msgspec.DecodeError:
        return None
    if saved.lookback < lookback or saved.rename != dict(rename):
        return None
    assert workflow.features is not None
    if saved.every != workflow.features.every:
        given = workflow.features
        workflow = workflow.on_grid(Features(entity=given.entity, every=saved.every, columns=given.columns, delay=given.delay))
    assert workflow.features is not None
    features, measured = workflow.features.bind(saved.names), set(saved.measured)
    view = gather.view_for(store, workflow)
    versions = {**kept.body["versions"], **{name: store.lake.version(name) for name in ("elements", "relations")}}
    stream, years, elements = _stream(store, view, features, measured, saved.first_year, saved.newest, start=None)
    stream.restore(saved.live)
    return Resident(
        store=store, workflow=workflow, features=features, names=tuple(saved.names), stream=stream, context=frame(saved.context), at=kept.at,
        lookback=saved.lookback, versions=versions, witnesses=frame(saved.witnesses), measured=measured, first_year=saved.first_year, newest=saved.newest,
        rename=dict(rename), is_from_snapshot=True, view=view, years=years, elements=elements,
    )  # fmt: skip


def _stream(
    store: Store, view: Any, features: Features, measured: set[str], first_year: int, newest: datetime | None, *, start: datetime | None
) -> tuple[Live, range, pl.DataFrame]:
    """An empty stream over the inventory as it is now, the years whose holidays it knows, and that inventory."""
    elements = gather.newest(view.read("elements")) if "elements" in view.products else empty(ELEMENTS)
    relations = view.read("relations").drop("region", strict=False) if "relations" in view.products else empty(RELATIONS)
    listed = gather.entities(
        elements, pl.DataFrame({"element": sorted(measured)}, schema={"element": pl.String}), entity=features.entity, zone=store.configuration.settings.zone
    )
    years = range(first_year, (newest.year if newest else first_year) + 2)
    zones = set(listed["zone"].drop_nulls())
    stream = live(features, elements=listed, relations=relations, holidays=holidays_of(zones, list(years)), start=start)
    return stream, years, listed
