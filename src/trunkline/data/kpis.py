"""Records to KPIs on a workflow's grid: sums over sums, ratios never averaged, gaps left open, every version kept.

Steps: records → parts (a measurement in a slot, :mod:`trunkline.data.parts`) → terms (numerator and denominator) →
values. Rolling up from cells to sites adds terms, so a site's success ratio weighs its cells by their attempts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Literal

import polars as pl

from trunkline.core.clock import duration
from trunkline.core.errors import BadInput
from trunkline.core.frames import KPIS, RECORDS, check_frame
from trunkline.data.distinguished_names import technology
from trunkline.data.kpi_definitions import PERIOD, Formula, Kpi, KpiSet, Part, load_set, load_sets, words
from trunkline.data.parts import MISSING, OK, SERIES, SUSPECT, Codes, parts, rules
from trunkline.data.versions import as_known, changes

__all__ = ["Formula", "Kpi", "KpiSet", "Part", "compute", "load_set", "load_sets", "rollup", "words"]

Known = Literal["versions", "latest"]
_TERM = ("element", "technology", "kpi", "slot")
_TERMS = {
    "element": pl.String, "technology": pl.String, "kpi": pl.String, "slot": pl.Int64, "known_at": pl.Int64, "numerator": pl.Float64, "denominator": pl.Float64,
    "status": pl.UInt8, "kpi_scale": pl.Float64, "least": pl.Float64, "is_ratio": pl.Boolean, "elements": pl.String,
}  # fmt: skip
_NOTHING = 1e-12  # a denominator at or below it is none
_AT_A_TIME = 1_000_000  # records; more are computed by elements, so that memory stays bounded
_STATUS = ("ok", "suspect", "missing", "too_few")
_TOO_FEW = 3


def compute(records: pl.DataFrame, *, every: str | timedelta, sets: Mapping[str, KpiSet] | None = None, known: Known = "versions") -> pl.DataFrame:
    """The KPIs of every element in *records*, on slots of *every*, layout KPIS, sorted by element, KPI, slot, version.

    Parameters
    ----------
    records
        Layout RECORDS. LTE objects get the LTE sets, others the NR sets. Records of object class "series" are KPIs
        already: their slots hold the mean, or what their column ``aggregate`` says ("mean", "sum", "max").
    every
        Length of a slot; slots begin at multiples of it since 1970.
    sets
        :func:`load_sets` where it is not given.
    known
        "versions" keeps each version with its ``known_at``: late or restated parts make a new one. "latest" keeps the
        newest only.

    Status: "ok"; "too_few" where the denominator is below the KPI's least or nothing; "suspect" where the source doubts
    a part; "missing" where a part of the slot is not there. All but "ok" have no value. A slot of which no part is there
    has no row, and while its parts are coming in it has none either: "missing" stands first only where no later version
    makes it whole. But for that, what was known at an instant is what the records known by then give.
    """
    grid = _grid(every)
    chosen = sets if sets is not None else load_sets()
    terms = [_with_both_technologies(_terms(some, grid, chosen)) for some in _by_elements(records)]
    return _values(pl.concat(terms), known)


def rollup(
    records: pl.DataFrame,
    relations: pl.DataFrame,
    *,
    to: str,
    every: str | timedelta,
    sets: Mapping[str, KpiSet] | None = None,
    known: Known = "versions",
) -> pl.DataFrame:
    """The KPIs of what stands above the elements: *to* is the relation that leads there, such as "site" or "node".

    Numerators and denominators are added over the elements; users and volumes are added, delays averaged. Where one of
    the elements that ever had the KPI misses it in a slot, the slot is missing: part of a site is not the site.
    """
    grid = _grid(every)
    chosen = sets if sets is not None else load_sets()
    above = relations.filter(pl.col("relation") == to).select("element", pl.col("other").alias("above")).unique()
    terms = pl.concat([_terms(some, grid, chosen).join(above, on="element") for some in _by_elements(records)])
    return _values(_over_elements(terms), known)


def _grid(every: str | timedelta) -> timedelta:
    grid = duration(every)
    if grid <= timedelta(0) or grid % timedelta(seconds=1):
        raise BadInput(f"A grid of {every} cannot be.", allowed="whole seconds, at least one, such as '15m'")
    return grid


def _by_elements(records: pl.DataFrame) -> list[pl.DataFrame]:
    """*records* in lots of whole elements, in their order."""
    check_frame(records, RECORDS, name="records")
    if records.height <= _AT_A_TIME:
        return [records]
    counts = records.group_by("element").len().sort("element").with_columns(lot=pl.col("len").cum_sum() // _AT_A_TIME)
    lots = records.join(counts.select("element", "lot"), on="element", maintain_order="left").partition_by("lot", as_dict=True, include_key=False)
    return [lots[key] for key in sorted(lots)]


def _terms(records: pl.DataFrame, every: timedelta, sets: Mapping[str, KpiSet]) -> pl.DataFrame:
    """Numerator and denominator of each KPI, element and slot, all versions, sorted by element, KPI, technology, slot."""
    kinds = records["object_class"].unique()
    of_kind = pl.Series([SERIES if kind == SERIES else technology(kind or "") for kind in kinds], dtype=pl.String)
    tagged = records.with_columns(technology=pl.col("object_class").replace_strict(kinds, of_kind, return_dtype=pl.String))
    formulas = list(_formulas(sets.values()))
    needed = {name for _, _, formula in formulas for name in formula.names}
    counted = tagged.filter(pl.col("technology") != SERIES).join(rules(needed), on="name")
    series = _series(tagged.filter(pl.col("technology") == SERIES))
    rows = pl.concat([counted, series], how="diagonal")
    measured, codes = parts(rows, every=every)
    if measured.is_empty():
        return pl.DataFrame(schema=_TERMS)
    uses = _uses(formulas, series)
    kpis = uses.select("kpi", "technology").unique().sort("kpi", "technology").with_row_index("number")
    return _named(_added(measured, _chosen(rows, uses, codes, kpis), codes, kpis.height, every), codes, kpis)


def _formulas(sets: Iterable[KpiSet]) -> Iterable[tuple[str, Kpi, Formula]]:
    return ((kpi_set.technology, kpi, formula) for kpi_set in sets for kpi in kpi_set.kpis.values() for formula in kpi.formulas)


def _series(series: pl.DataFrame) -> pl.DataFrame:
    aggregate = pl.col("aggregate").fill_null("mean") if "aggregate" in series.columns else pl.lit("mean")
    return series.with_columns(over_time=aggregate, over_dimensions=aggregate)


def _uses(formulas: Iterable[tuple[str, Kpi, Formula]], series: pl.DataFrame) -> pl.DataFrame:
    """One row per part of each formula."""
    rows: list[tuple[object, ...]] = []
    places: dict[tuple[str, str], int] = {}
    for tech, kpi, formula in formulas:
        place = places[tech, kpi.name] = places.get((tech, kpi.name), -1) + 1
        of_kpi = (len(formula.parts) + len(formula.over), kpi.scale, kpi.least, bool(formula.over), formula.elements)
        for is_over, side in ((False, formula.parts), (True, formula.over)):
            for part in side:
                name = formula.names[0] if part.name == PERIOD else part.name
                rows.append((len(rows), tech, kpi.name, place, name, is_over, part.name == PERIOD, part.scale, *of_kpi))
    for name, aggregate in series.group_by("name").agg(pl.col("over_time").first()).sort("name").iter_rows():
        rows.append((len(rows), SERIES, name, 0, name, False, False, 1.0, 1, 1.0, 0.0, False, aggregate))
    return pl.DataFrame(
        rows,
        orient="row",
        schema={
            "use": pl.Int32, "technology": pl.String, "kpi": pl.String, "place": pl.Int32, "name": pl.String, "is_over": pl.Boolean, "is_period": pl.Boolean,
            "scale": pl.Float64, "uses": pl.UInt32, "kpi_scale": pl.Float64, "least": pl.Float64, "is_ratio": pl.Boolean, "elements": pl.String,
        },
    )  # fmt: skip


def _chosen(rows: pl.DataFrame, uses: pl.DataFrame, codes: Codes, kpis: pl.DataFrame) -> pl.DataFrame:
    """For each element and KPI, as numbers, the parts of the first formula all of whose measurements it has, else of the first."""
    numbered = codes.names.with_row_index("of_name").with_columns(pl.col("of_name").cast(pl.Int64))
    has = rows.select("element", "technology", "name").unique().join(numbered, on=["technology", "name"])
    of_element = pl.col("element").replace_strict(
        codes.elements, pl.int_range(len(codes.elements), dtype=pl.Int64, eager=True), default=None, return_dtype=pl.Int64
    )
    has = has.with_columns(of_element=of_element).filter(pl.col("of_element").is_not_null())
    mine = has.join(uses, on=["technology", "name"]).join(kpis.with_columns(of_kpi=pl.col("number").cast(pl.Int64)), on=["kpi", "technology"])
    formula = mine.group_by("of_element", "of_kpi", "place").agg((pl.len() == pl.col("uses").first()).alias("whole"))
    first = formula.sort(["of_element", "of_kpi", "whole", "place"], descending=[False, False, True, False]).unique(
        ["of_element", "of_kpi"], keep="first", maintain_order=True
    )
    return mine.join(first.drop("whole"), on=["of_element", "of_kpi", "place"])


def _added(measured: pl.DataFrame, uses: pl.DataFrame, codes: Codes, kpis: int, every: timedelta) -> pl.DataFrame:
    """Parts to terms, one row per version; ``group`` numbers element, KPI and slot."""
    part = pl.col("group")
    numbered = measured.with_columns(of_element=codes.element(part), of_name=codes.name(part), of_slot=codes.slot(part))
    few = uses.select("of_element", "of_name", "of_kpi", "use", "is_over", "is_period", "scale", "uses")
    asked = numbered.join(few, on=["of_element", "of_name"]).with_columns(
        group=(pl.col("of_element") * kpis + pl.col("of_kpi")) * codes.slots + pl.col("of_slot"),
        value=pl.when(pl.col("is_period") & (pl.col("status") == OK)).then(pl.lit(every.total_seconds())).otherwise("value") * pl.col("scale"),
    )
    asked = asked.drop("of_element", "of_name", "of_kpi", "of_slot", "is_period", "scale")
    terms = as_known(asked, key=("group", "use"), group=("group",)).sort("group", "as_of", "use").group_by("group", "as_of", maintain_order=True).agg(
        pl.col("value").filter(~pl.col("is_over")).sum().alias("numerator"),
        pl.col("value").filter("is_over").sum().alias("denominator"),
        ((pl.col("status") != MISSING).sum() < pl.col("uses").first()).alias("gap"),
        (pl.col("status") == SUSPECT).any().alias("doubt"),
    )  # fmt: skip
    of_kpi = pl.col("group") // codes.slots % kpis
    meant = uses.select("of_element", "of_kpi", "kpi_scale", "least", "is_ratio", "elements").unique(["of_element", "of_kpi"])
    terms = terms.with_columns(of_element=pl.col("group") // codes.slots // kpis, of_kpi=of_kpi).join(meant, on=["of_element", "of_kpi"], maintain_order="left")
    return changes(_with_status(terms), ("group",), ("numerator", "denominator", "status"))


def _with_status(terms: pl.DataFrame) -> pl.DataFrame:
    status = pl.when("gap").then(MISSING).when("doubt").then(SUSPECT).otherwise(OK).cast(pl.UInt8)
    terms = terms.with_columns(status=status).with_columns(pl.when(pl.col("status") == OK).then(pl.col("numerator", "denominator")))
    return terms.drop("gap", "doubt").rename({"as_of": "known_at"})


def _named(terms: pl.DataFrame, codes: Codes, kpis: pl.DataFrame) -> pl.DataFrame:
    """Text for numbers again."""
    named = terms.with_columns(
        element=codes.elements.gather(terms["of_element"]),
        kpi=kpis["kpi"].gather(terms["of_kpi"]),
        technology=kpis["technology"].gather(terms["of_kpi"]),
        slot=codes.instant(pl.col("group") % codes.slots),
    )
    return named.select(*_TERMS)


def _over_elements(terms: pl.DataFrame) -> pl.DataFrame:
    """Terms added over the elements below each ``above``, which becomes the element."""
    group = ["above", "kpi", "slot"]
    expected = terms.group_by("above", "kpi").agg(pl.struct("element", "technology").n_unique().alias("expected"))
    all_known = as_known(terms, key=("above", *_TERM), group=group).join(expected, on=["above", "kpi"])
    how, value, adds = pl.col("elements").first(), pl.col("numerator"), pl.col("is_ratio").first()
    together = pl.when(adds | (how == "sum")).then(value.sum()).when(how == "max").then(value.max()).otherwise(value.mean())
    added = all_known.sort(*group, "as_of", "element", "technology").group_by(*group, "as_of", maintain_order=True).agg(
        together.alias("numerator"),
        pl.col("denominator").sum(),
        ((pl.col("status") != MISSING).sum() < pl.col("expected").first()).alias("gap"),
        (pl.col("status") == SUSPECT).any().alias("doubt"),
        pl.col("kpi_scale", "least", "is_ratio", "elements").first(),
    )  # fmt: skip
    named = _with_status(added).rename({"above": "element"}).with_columns(technology=pl.lit(""))
    return changes(named.select(*_TERMS), _TERM, ("numerator", "denominator", "status"))


def _with_both_technologies(terms: pl.DataFrame) -> pl.DataFrame:
    """*terms* with one row where an element has a KPI from two technologies: a node that carries both."""
    several = pl.col("technology").n_unique().over("element", "kpi") > 1
    if terms.select("element", "kpi", "technology").unique().select("element", "kpi").is_unique().all():
        return terms
    together = _over_elements(terms.filter(several).with_columns(above=pl.col("element")))
    return pl.concat([terms.filter(~several), together.select(terms.columns)]).sort("element", "kpi", "slot", "known_at")


def _values(terms: pl.DataFrame, known: Known) -> pl.DataFrame:
    """Quotients of *terms*, which are sorted by element, KPI, slot and version."""
    enough = ~pl.col("is_ratio") | ((pl.col("denominator") >= pl.col("least")) & (pl.col("denominator") > _NOTHING))
    quotient = pl.when("is_ratio").then(pl.col("numerator") / pl.col("denominator")).otherwise("numerator") * pl.col("kpi_scale")
    code = pl.when(pl.col("status") != OK).then("status").when(enough).then(OK).otherwise(_TOO_FEW).cast(pl.UInt8)
    key = ("element", "kpi", "slot")
    rows = terms.with_columns(status=code).with_columns(value=pl.when(pl.col("status") == OK).then(quotient))
    rows = changes(rows, key, ("value", "status"))
    first = rows.filter(pl.col("status") != MISSING).group_by(key).agg(pl.col("known_at").min().alias("first"))
    early = (pl.col("status") == MISSING) & (pl.col("known_at") < pl.col("first"))
    if rows["status"].eq(MISSING).any():
        rows = rows.join(first, on=key, how="left", maintain_order="left").filter(~early.fill_null(value=False))
    if known == "latest":
        rows = rows.unique(key, keep="last", maintain_order=True)
    kpis = rows.select(
        "element",
        "kpi",
        pl.from_epoch("slot", time_unit="us").dt.replace_time_zone("UTC").alias("at"),
        "value",
        pl.col("status").replace_strict(range(len(_STATUS)), _STATUS, return_dtype=pl.String),
        pl.from_epoch("known_at", time_unit="us").dt.replace_time_zone("UTC").alias("known_at"),
    )
    return check_frame(kpis, KPIS, name="KPIs")
