"""A workspace too large to be gathered at once: its measurements in one pass to files of some elements each, those to KPIs.

    lake ─ pieces ─► raw, by partition ─► KPIs, by partition ─► facts of some elements and of whom they look at

What comes out for an element is what :func:`trunkline.run.gather.gather` gives of it. The files lie in a temporary
folder and go with what was spread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from trunkline.core.errors import TooLittleData
from trunkline.core.frames import ELEMENTS, EVENTS, KPIS, RELATIONS, Facts, empty
from trunkline.data import kpis
from trunkline.features.around import around
from trunkline.govern import View
from trunkline.models import Context
from trunkline.run.engine import Engine, Local, blocks
from trunkline.run.fleet import Fleet, Names
from trunkline.run.gather import (
    check_renamed,
    context_of,
    entities,
    inventory_names,
    lacking_of,
    named,
    newest,
    on_grid,
    read,
    renamed,
    taken_of,
    view_for,
)
from trunkline.run.shelf import Scratch
from trunkline.store.opened import Store
from trunkline.workflow import Workflow

RECORDS = 700_000
"""Measurements of one partition: some 150 MB while it is worked on, and two are at a time."""
_ROW_GROUP = 20_000  # KPI rows; of a cell of five KPIs over eight weeks of hours there are 6,720
Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """What :class:`trunkline.run.gather.Gathered` is for what fits into memory."""

    workflow: Workflow
    context: Context
    notes: tuple[str, ...]
    counters: int
    taken: Mapping[str, Any]
    fleet: Fleet


def spread(
    store: Store,
    workflow: Workflow,
    *,
    every: timedelta | None = None,
    rename: Mapping[str, str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    versions: Mapping[str, int] | None = None,
    partition: int | None = None,
    engine: Engine | None = None,
    progress: Progress | None = None,
) -> Spread:
    """The facts *workflow* works on, spread over files of *partition* elements each; else as :func:`trunkline.run.gather.gather`.

    Parameters
    ----------
    since
        Only measurements of periods that begin from then on, as for scoring what is new.

    Raises
    ------
    TooLittleData
        There are no measurements.
    """
    assert workflow.features is not None
    told, engine = progress or (lambda _step, _share: None), engine or Local(ahead=0)
    view = view_for(store, workflow)
    at = {name: store.lake.version(name) for name in view.products} if versions is None else versions
    counted = _counted(view, at["measurements"], since)
    if counted.is_empty():
        raise TooLittleData("There are no measurements to look at.", next_step="trunkline data load FILES")
    events, relations = (read(view, name, at).drop("region") if name in view.products else empty(layout) for name, layout in _BESIDE)
    elements = newest(read(view, "elements", at)) if "elements" in view.products else empty(ELEMENTS)
    features, notes = on_grid(workflow.features, counted, every)
    bearers = named(counted, elements)["element"].unique().drop_nulls().sort().to_list()
    size = partition or max(1, len(bearers) * RECORDS // int(counted["len"].sum()))
    scratch = Scratch()
    folder, parts = scratch.folder, blocks(bearers, of=size)
    place = {name: n for n, part in enumerate(parts) for name in part}
    _split(
        view.pieces("measurements", where=_from(since), version=at["measurements"]),
        folder,
        place,
        inventory_names(elements),
        lambda share: told("read", share * 0.5),
    )
    found = pl.concat(
        engine.map(
            lambda number: _computed(folder, number, features.every, until, rename),
            range(len(parts)),
            progress=lambda done: told("read", 0.5 + 0.5 * done / len(parts)),
        )
    )
    if rename:
        check_renamed({*found["given"].unique()}, rename)
    there = set(found["kpi"].unique())
    lacking, more = lacking_of(features, there)
    names = sorted({*there, *lacking})
    default = store.configuration.settings.zone
    known = dict(zip(elements["element"], elements["zone"], strict=True)) if not elements.is_empty() else {}
    elements = entities(elements, found, entity=features.entity, zone=default)
    zones = {name: known.get(name) or default for name in elements["element"]}
    first, last = found["first"].min(), found["last"].max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        raise TooLittleData("None of the measurements make a KPI.", next_step="trunkline data check FILES")
    plain = set(counted.filter(pl.col("object_class") == "series")["name"])
    context = context_of(features, names, zones=zones, years=list(range(first.year, last.year + 1)), plain=plain)
    if until is not None:
        events = events.filter(pl.col("known_at") <= until)
    bound = features.bind(names)

    def facts(some: Names) -> Facts:
        near = around(bound, relations, some)
        mine = sorted(near.kpis)
        files = sorted({path for one in mine if (path := folder / f"kpis-{place.get(one, -1):05}.parquet").exists()})
        read_from = pl.scan_parquet(files).filter(pl.col("element").is_in(mine)).collect() if files else empty(KPIS)
        here = pl.col("element").is_in(sorted(near.events))
        ways = relations.filter(here & pl.col("other").is_in(sorted(near.events)))
        return Facts(
            kpis=read_from,
            events=events.filter(here),
            relations=pl.concat([ways, relations.unique("relation", keep="first", maintain_order=True)]).unique(maintain_order=True),
            elements=elements.filter(here),
            holidays=context.holidays,
        )

    fitted = workflow if features == workflow.features else workflow.on_grid(features)
    fleet = Fleet(
        workflow=fitted,
        elements=tuple(sorted(elements.filter(pl.col("kind") == features.entity)["element"])),
        facts=facts,
        kpis=tuple(names),
        context=context,
        first=first,
        last=last,
        engine=engine,
        partition=size,
        rests=scratch,
    )
    taken = {**taken_of(store, at, every=every, rename=rename, until=until), "partition": size}
    return Spread(
        workflow=fitted, context=context, notes=(*notes, *more, _said(size, len(parts))), counters=counted["name"].n_unique(), taken=taken, fleet=fleet
    )


_BESIDE = (("events", EVENTS), ("relations", RELATIONS))


def _said(size: int, parts: int) -> str:
    return f"There is much here: it was worked on in {parts} parts of {size} elements. Tails too rare to see in one element's past are learned within its part."


def _from(since: datetime | None) -> pl.Expr | None:
    return None if since is None else pl.col("at") >= since


def _counted(view: View, version: int, since: datetime | None) -> pl.DataFrame:
    """How many records there are of each element, measurement and period."""
    keys = ["element", "name", "object_class", "period_s"]
    if version < 0:
        return pl.DataFrame(schema={"element": pl.String, "name": pl.String, "object_class": pl.String, "period_s": pl.Int32, "len": pl.UInt32})
    found = [piece.group_by(keys).len() for piece in view.pieces("measurements", keys, where=_from(since), version=version)]
    return pl.concat(found).group_by(keys).agg(pl.col("len").sum())


def _split(pieces: Iterable[pl.DataFrame], folder: Path, place: Mapping[str, int], names: Mapping[str, str], progress: Callable[[float], None]) -> None:
    """All records to a folder for each partition."""
    number = pl.DataFrame({"element": list(place), "_part": list(place.values())}, schema_overrides={"_part": pl.Int32})
    for count, piece in enumerate(pieces):
        under = piece.with_columns(element=pl.col("element").replace(names)) if names else piece
        for (part,), some in under.drop("region").join(number, on="element").partition_by("_part", as_dict=True, include_key=False).items():
            to = folder / f"raw-{part:05}"
            to.mkdir(exist_ok=True)
            some.write_parquet(to / f"{count:06}.parquet", compression="lz4", statistics=False)
        progress(1 - 1 / (count + 2))


def _computed(folder: Path, number: int, every: timedelta, until: datetime | None, rename: Mapping[str, str] | None) -> pl.DataFrame:
    """The KPIs of a partition, written; of each element and KPI the first and the last slot."""
    raw = folder / f"raw-{number:05}"
    files = sorted(raw.glob("*.parquet"))
    found = kpis.compute(pl.read_parquet(files), every=every)
    for path in files:
        path.unlink()
    if until is not None:
        found = found.filter(pl.col("known_at") <= until)
    given = found["kpi"]
    if rename:
        found = renamed(found, rename)
    found.sort("element", maintain_order=True).write_parquet(folder / f"kpis-{number:05}.parquet", compression="lz4", row_group_size=_ROW_GROUP)
    return found.with_columns(given=given).group_by("element", "kpi", "given").agg(first=pl.col("at").min(), last=pl.col("at").max())


__all__ = ["RECORDS", "Spread", "spread"]
