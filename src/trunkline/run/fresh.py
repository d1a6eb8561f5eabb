"""What became known since the last look: only new rows of the lake are read, and only the slots they touch are reckoned again.

A KPI is made of several measurements, so a new one is reckoned with all that lie in the same slots. Which formula a KPI
goes by depends on which measurements an element has at all: of each one row is kept as a witness.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl

from trunkline.core.frames import EVENTS, KPIS, empty
from trunkline.data import kpis
from trunkline.features import Features
from trunkline.govern import View
from trunkline.run import gather
from trunkline.store.opened import Store

_WHO = ("element", "object_class", "name")
_ABOUT = ("elements", "relations")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """KPIs and events that are new, and where the lake stands now."""

    kpis: pl.DataFrame
    events: pl.DataFrame
    versions: Mapping[str, int]
    witnesses: pl.DataFrame
    late: pl.DataFrame = field(default_factory=lambda: empty(KPIS))
    """Of the KPIs, those that say something else about slots whose rows had gone out."""


def versions_of(store: Store) -> dict[str, int]:
    """The version of each table a workflow can read."""
    return {product.name: store.lake.version(product.table) for product in gather.PRODUCTS}


def inventory_changed(store: Store, versions: Mapping[str, int]) -> bool:
    """Whether elements or relations were written since *versions*."""
    return any(store.lake.version(name) != versions[name] for name in _ABOUT)


def read(
    store: Store,
    view: View,
    features: Features,
    *,
    versions: Mapping[str, int],
    witnesses: pl.DataFrame,
    gone_out: datetime,
    rename: Mapping[str, str] | None = None,
) -> Fresh | None:
    """What the lake gained since *versions*; None where that cannot be told and everything has to be read.

    That is so after rows were taken away, or where an element known before brings a measurement it never had. Rows due by
    *gone_out* have gone out.
    """
    now = {**versions_of(store), **{name: versions[name] for name in _ABOUT}}
    if all(now[name] == versions[name] for name in ("measurements", "events")):
        return Fresh(kpis=empty(KPIS), events=empty(EVENTS), versions=now, witnesses=witnesses)
    new = view.since("measurements", versions["measurements"], now["measurements"])
    events = view.since("events", versions["events"], now["events"]) if "events" in view.products else empty(EVENTS)
    if new is None or events is None:
        return None
    events = events.select(list(EVENTS))
    if new.is_empty():
        return Fresh(kpis=empty(KPIS), events=events, versions=now, witnesses=witnesses)
    unseen = new.select(_WHO).unique().join(witnesses.select(_WHO), on=list(_WHO), how="anti")
    if unseen["element"].is_in(witnesses["element"].unique().implode()).any():
        return None
    witnesses = pl.concat([witnesses, gather.witnesses_of(new.join(unseen, on=list(_WHO), how="semi"))], how="diagonal_relaxed")
    around = _Around(view, features, *_reach(new, features.every), new, witnesses, rename or {})
    kpis = around.kpis(now["measurements"])
    late, out = empty(KPIS), kpis.filter(pl.col("at") + features.every + features.delay <= gone_out)
    if not out.is_empty():
        said = ["element", "kpi", "at", "value", "status"]
        before = _newest(around.kpis(versions["measurements"]))
        late = _newest(out).join(before.select(said), on=said, how="anti", nulls_equal=True)
    return Fresh(kpis=kpis, events=events, versions=now, witnesses=witnesses, late=late)


@dataclass(frozen=True, slots=True)
class _Around:
    """The slots and elements that new records touch."""

    view: View
    features: Features
    first: datetime
    last: datetime
    new: pl.DataFrame
    witnesses: pl.DataFrame
    rename: Mapping[str, str]

    def kpis(self, version: int) -> pl.DataFrame:
        """Their KPIs, as the lake had them at *version*."""
        longest = max(self.features.every, timedelta(seconds=int(self.new["period_s"].max() or 0)))  # type: ignore[arg-type]
        begin, end = self.first - longest, self.last + longest
        mine = pl.col("element").is_in(self.new["element"].unique().implode())
        records = self.view.read("measurements", where=(pl.col("at") >= begin) & (pl.col("at") <= end), version=version) if version >= 0 else self.new.clear()
        witnesses = self.witnesses.filter(mine & ((pl.col("at") < begin) | (pl.col("at") > end)))
        together = pl.concat([records.filter(mine).drop("region", strict=False), witnesses], how="diagonal_relaxed")
        elements = self.view.read("elements") if "elements" in self.view.products else pl.DataFrame()
        found = kpis.compute(gather.named(together, elements), every=self.features.every)
        back = {given: wanted for wanted, given in self.rename.items()}
        return found.filter((pl.col("at") >= self.first) & (pl.col("at") <= self.last)).with_columns(kpi=pl.col("kpi").replace(back))


def _newest(kpis: pl.DataFrame) -> pl.DataFrame:
    return kpis.sort("known_at", maintain_order=True).unique(["element", "kpi", "at"], keep="last")


def _reach(new: pl.DataFrame, every: timedelta) -> tuple[datetime, datetime]:
    """The first and last slot a new record can change: its own, and of a meter that keeps counting the one after it."""
    ends = new.select(pl.col("at").min().dt.truncate(every).alias("first"), (pl.col("at") + pl.duration(seconds="period_s")).max().alias("last")).row(0)
    return ends[0], ends[1]
