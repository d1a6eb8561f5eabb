"""Everything a workflow looks at, through its view: KPIs on its grid, events, relations, elements, holidays."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from difflib import SequenceMatcher
from typing import Any

import polars as pl

from trunkline.core.calendar import holidays_of
from trunkline.core.clock import duration_text, utc_text
from trunkline.core.errors import BadInput, TooLittleData, UnknownName
from trunkline.core.frames import ELEMENTS, EVENTS, RELATIONS, Facts, empty
from trunkline.data import kpis
from trunkline.data.distinguished_names import cell_name
from trunkline.features import Features, ParityReport, live
from trunkline.features.parity import check as compare
from trunkline.govern import Product, View
from trunkline.models import Context
from trunkline.store.opened import Store
from trunkline.workflow import Workflow

_ALL = ("network-assurance", "capacity-planning", "energy-saving", "field-operations", "security", "research")
LONG = 60
"""Words for a column that are longer than this are no words for people: its own name says it better."""
PRODUCTS = tuple(
    Product(name, table=name, owner="network-data", purposes=_ALL, region="region") for name in ("measurements", "events", "relations", "elements")
)
"""What a workspace offers from the start. None of it is about people; products that are come with purposes of their own."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """Facts on the grid, the context models need, and the workflow fitted to the data at hand."""

    workflow: Workflow
    facts: Facts
    context: Context
    notes: tuple[str, ...]
    counters: int
    """How many different counters or columns were read."""
    witnesses: pl.DataFrame = field(default_factory=pl.DataFrame)
    """Where asked for: one record of each measurement of each element."""
    taken: Mapping[str, Any] = field(default_factory=dict)
    """From what it was gathered, as plain values: the version of each table, and what was asked for. Enough to gather the same again."""


def view_for(store: Store, workflow: Workflow) -> View:
    """The door *workflow* has to the data: the products it names, for its purpose, in its regions."""
    offered = {product.name: product for product in PRODUCTS}
    for name in workflow.data:
        if name not in offered:
            raise UnknownName("product", name, offered, where=f"data of workflow '{workflow.name}'")
    return View(
        store.lake,
        workflow=workflow.name,
        purpose=workflow.purpose,
        products=[offered[name] for name in workflow.data],
        journal=store.journal,
        regions=workflow.regions or None,
    )


def gather(
    store: Store,
    workflow: Workflow,
    *,
    every: timedelta | None = None,
    rename: Mapping[str, str] | None = None,
    until: datetime | None = None,
    computed: pl.DataFrame | None = None,
    witnesses: bool = False,
    versions: Mapping[str, int] | None = None,
) -> Gathered:
    """The facts *workflow* works on.

    Parameters
    ----------
    every
        The grid; by default the workflow's own, or the data's where those are coarser.
    rename
        KPI name the workflow knows → name in the data: ``{"dl_volume": "Data_Volume"}``.
    until
        Only what was known by then.
    computed
        KPIs of an earlier gathering on the same grid, so that two workflows share one computation.
    witnesses
        Give one record of each measurement of each element, too; not together with *computed*.
    versions
        Read each product as its table was at this version; by default as it is now. -1 is before its first row.

    Raises
    ------
    TooLittleData
        There are no measurements.
    """
    assert workflow.features is not None
    view = view_for(store, workflow)
    at = {name: store.lake.version(name) for name in view.products} if versions is None else versions
    records = read(view, "measurements", at, None if computed is None else ["element", "name", "object_class", "period_s"])
    if records.is_empty():
        raise TooLittleData("There are no measurements to look at.", next_step="trunkline data load FILES")
    optional = {name: read(view, name, at).drop("region") for name in ("events", "relations") if name in view.products}
    elements = newest(read(view, "elements", at)) if "elements" in view.products else empty(ELEMENTS)
    features, notes = on_grid(workflow.features, records.group_by("element", "period_s").len(), every)
    if computed is None:
        computed = kpis.compute(named(records, elements), every=features.every)
    if until is not None:
        computed = computed.filter(pl.col("known_at") <= until)
    if rename:
        check_renamed(set(computed["kpi"].unique()), rename)
        computed = renamed(computed, rename)
    lacking, told = lacking_of(features, set(computed["kpi"].unique()))
    computed = _with_lacking(computed, lacking)
    notes += told
    names = sorted(computed["kpi"].unique())
    zones = dict(zip(elements["element"], elements["zone"], strict=True)) if not elements.is_empty() else {}
    default = store.configuration.settings.zone
    elements = entities(elements, computed, entity=features.entity, zone=default)
    zones = {name: zones.get(name) or default for name in elements["element"]}
    years = computed.select(pl.col("at").dt.year().unique()).to_series().to_list()
    plain = set(records.filter(pl.col("object_class") == "series")["name"])
    context = context_of(features, names, zones=zones, years=years, plain=plain)
    facts = Facts(
        kpis=computed,
        events=optional.get("events", empty(EVENTS)).filter(pl.lit(True) if until is None else pl.col("known_at") <= until),
        relations=optional.get("relations", empty(RELATIONS)),
        elements=elements,
        holidays=context.holidays,
    )
    fitted = workflow if features == workflow.features else workflow.on_grid(features)
    seen = witnesses_of(records) if witnesses else pl.DataFrame()
    taken = taken_of(store, at, every=every, rename=rename, until=until)
    return Gathered(fitted, facts, context, tuple(notes), records["name"].n_unique(), seen, taken)


def taken_of(store: Store, versions: Mapping[str, int], *, every: timedelta | None, rename: Mapping[str, str] | None, until: datetime | None) -> dict[str, Any]:
    """From what something was gathered, as plain values."""
    return {
        "versions": dict(versions),
        "every": None if every is None else duration_text(every),
        "rename": dict(rename or {}),
        "until": None if until is None else utc_text(until),
        "zone": store.configuration.settings.zone,
    }


def context_of(features: Features, names: Sequence[str], *, zones: Mapping[str, str], years: Sequence[int], plain: Collection[str]) -> Context:
    """What models are told beside the rows. Words for a KPI are ours, but for those in *plain*: a reader's own column is in her units."""
    holidays = holidays_of(set(zones.values()), years)
    said = kpis.words()
    words = {name: said[name] if name in said and name not in plain else name.replace("_", " ") for name in names}
    told = {column: text if len(text) <= LONG else column.replace("_", " ") for column, text in features.bind(names).words(words).items()}
    return Context(every=features.every, zones=zones, holidays=holidays, words=told)


def read(view: View, product: str, versions: Mapping[str, int], columns: list[str] | None = None) -> pl.DataFrame:
    """*product* as its table was at this version: what comes while it is gathered is not half in it."""
    version = versions[product]
    return view.read(product, columns, version=version) if version >= 0 else view.read(product, columns, where=pl.lit(value=False))


def witnesses_of(records: pl.DataFrame) -> pl.DataFrame:
    """One record of each measurement of each element: which ones it has settles which formula a KPI goes by."""
    return records.drop("region", strict=False).unique(["element", "object_class", "name"], keep="first", maintain_order=True)


def lacking_of(features: Features, there: Collection[str]) -> tuple[list[str], list[str]]:
    """KPIs the workflow names and the data lack, and the note that says so: they count as KPIs that never came, judged by nothing.

    Raises
    ------
    BadInput
        The data have none of them; shows how to say which of theirs is meant.
    """
    lacking = [name for name in features.kpis if name not in there]
    if not lacking:
        return [], []
    if len(lacking) == len(features.kpis):
        raise BadInput(
            f"The workflow looks at {', '.join(lacking)}, and the data have none of them.",
            where=f"the data have {', '.join(sorted(there)[:12])}{' …' if len(there) > 12 else ''}",
            next_step=f"Say which of yours is meant: --kpi {_most_alike(lacking, sorted(there))}",
        )
    return lacking, [f"The data have no KPI {', '.join(lacking)}; what depends on it was not judged."]


def _with_lacking(computed: pl.DataFrame, lacking: list[str]) -> pl.DataFrame:
    """*computed* with a missing slot of each KPI that never came."""
    if not lacking:
        return computed
    never = computed.head(1).select(pl.all().exclude("kpi", "value", "status")).join(pl.DataFrame({"kpi": lacking}), how="cross")
    never = never.with_columns(value=pl.lit(None, dtype=pl.Float64), status=pl.lit("missing")).select(computed.columns)
    return pl.concat([computed, never])


def _most_alike(wanted: list[str], there: list[str]) -> str:
    """WANTED=GIVEN for the pair most alike, to be typed; YOURS where none is alike."""

    def alike(pair: tuple[str, str]) -> float:
        return SequenceMatcher(None, pair[0].lower(), pair[1].lower()).ratio()

    best = max(((a, b) for a in wanted for b in there), key=alike, default=(wanted[0], ""))
    given = best[1] if alike(best) > 0.5 else "YOURS"
    return f"'{best[0]}={given}'" if " " in given else f"{best[0]}={given}"


def on_grid(features: Features, periods: pl.DataFrame, every: timedelta | None) -> tuple[Features, list[str]]:
    """The features on a grid the data can fill; *periods*: how many records (``len``) each ``element`` has of each ``period_s``."""
    finest = timedelta(seconds=_middle(periods))
    chosen = every or max(features.every, finest)
    if chosen < finest:
        raise BadInput(
            f"The data come every {duration_text(finest)}; they cannot be split into {duration_text(chosen)}.",
            allowed=f"--every {duration_text(finest)} or longer",
        )
    notes = []
    if chosen != features.every:
        notes.append(
            f"Slots of {duration_text(chosen)} instead of the workflow's own {duration_text(features.every)}, because the data come every {duration_text(finest)}."
        )
        features = Features(entity=features.entity, every=chosen, columns=features.columns, delay=features.delay)
    coarse = periods.filter(pl.col("period_s") > chosen.total_seconds())
    if not coarse.is_empty():
        names = sorted(coarse["element"].unique())
        longest = duration_text(timedelta(seconds=int(coarse["period_s"].max() or 0)))  # type: ignore[arg-type]
        shown = f"{', '.join(names[:4])}{' …' if len(names) > 4 else ''}"
        notes.append(
            f"{len(names)} element(s) come less often than every {duration_text(chosen)} and are not judged: {shown}. --every {longest} takes them in."
        )
    return features, notes


def _middle(periods: pl.DataFrame) -> int:
    """The median period of all records."""
    counted = periods.drop_nulls().group_by("period_s").agg(pl.col("len").sum()).sort("period_s")
    upto = counted["len"].cum_sum()
    if upto.is_empty():
        return 0
    low, high = (int(counted["period_s"][int(upto.search_sorted(place, side="right"))]) for place in ((upto[-1] - 1) // 2, upto[-1] // 2))
    return (low + high) // 2


def named(records: pl.DataFrame, elements: pl.DataFrame) -> pl.DataFrame:
    """Records under the names of the inventory, where it tells which distinguished names are whose."""
    if "dn" not in elements.columns or elements.is_empty():
        return records
    names = inventory_names(elements)
    return records.with_columns(element=pl.col("element").replace(names))


def inventory_names(elements: pl.DataFrame) -> dict[str, str]:
    """The inventory's name of each distinguished name it lists, and of the cell whose half that is."""
    if "dn" not in elements.columns:
        return {}
    pairs = elements.select("element", dn=pl.col("dn").str.split("|")).explode("dn").drop_nulls("dn").unique("dn")
    listed = dict(zip(pairs["dn"], pairs["element"], strict=True))
    return {**{cell_name(dn): element for dn, element in listed.items()}, **listed}


def check_renamed(known: Collection[str], rename: Mapping[str, str]) -> None:
    """Whether the data have the KPIs that others are to be called by."""
    for wanted, given in rename.items():
        if given not in known:
            raise UnknownName("KPI", given, sorted(known), where=f"--kpi {wanted}={given}")


def renamed(computed: pl.DataFrame, rename: Mapping[str, str]) -> pl.DataFrame:
    """KPIs under the names the workflow knows."""
    back = {given: wanted for wanted, given in rename.items()}
    return computed.with_columns(kpi=pl.col("kpi").replace(back))


def newest(elements: pl.DataFrame) -> pl.DataFrame:
    """Each element as it was written last."""
    return elements.unique("element", keep="last", maintain_order=True)


def entities(elements: pl.DataFrame, computed: pl.DataFrame, *, entity: str, zone: str) -> pl.DataFrame:
    """The inventory, and with it the elements that bring KPIs and stand in none.

    Those count as whatever the workflow looks at; a workflow about any "element" looks at all that bring KPIs.
    """
    known = set(elements["element"])
    measured = computed["element"].unique().sort()
    others = [name for name in measured if name not in known]
    added = pl.DataFrame({"element": others}, schema={"element": pl.String}).with_columns(zone=pl.lit(zone), kind=pl.lit(entity))
    together = pl.concat([elements, added], how="diagonal_relaxed").with_columns(pl.col("zone").fill_null(zone))
    if entity == "element":
        together = together.with_columns(kind=pl.when(pl.col("element").is_in(measured.implode())).then(pl.lit(entity)).otherwise("kind"))
    return together


def bound(found: Gathered) -> Features:
    """The workflow's features with one column for each KPI there is."""
    assert found.workflow.features is not None
    return found.workflow.features.bind(sorted(found.facts.kpis["kpi"].unique()))


def parity(found: Gathered, *, days: float) -> ParityReport:
    """Play the newest *days* through the live evaluator, in the order they became known, and compare with history."""
    features, facts = bound(found), found.facts
    last = facts.kpis["at"].max()
    assert isinstance(last, datetime)
    start = last - timedelta(days=days)
    at_work = live(features, elements=facts.elements, relations=facts.relations, holidays=facts.holidays)
    early = pl.col("known_at") <= start
    at_work.update(kpis=facts.kpis.filter(early), events=facts.events.filter(early))
    at_work.advance(start)
    rows = []
    for (known,), batch in facts.kpis.filter(~early).sort("known_at").partition_by("known_at", as_dict=True, maintain_order=True).items():
        at_work.update(kpis=batch, events=facts.events.filter((pl.col("known_at") > start) & (pl.col("known_at") <= known)))
        rows.append(at_work.advance(known))
        start = known
    return compare(features, facts, pl.concat(rows))
