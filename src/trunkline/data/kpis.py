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
from trunkline.data.parts import SERIES, parts, rules
from trunkline.data.versions import as_known, changes, without_early_gaps

__all__ = ["Formula", "Kpi", "KpiSet", "Part", "compute", "load_set", "load_sets", "rollup", "words"]

Known = Literal["versions", "latest"]
_TERM = ("element", "technology", "kpi", "slot")
_USE = ("use", "technology", "kpi", "name", "is_over", "is_period", "scale", "uses")
_NOTHING = 1e-12  # a denominator at or below it is none


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
    has no row.
    """
    terms = _terms(records, _grid(every), sets if sets is not None else load_sets())
    terms = pl.concat([terms, _over_elements(_both_technologies(terms))]) if _both_technologies(terms).height else terms
    return _values(_alone(terms), known)


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
    terms = _terms(records, _grid(every), sets if sets is not None else load_sets())
    above = relations.filter(pl.col("relation") == to).select("element", pl.col("other").alias("above")).unique()
    return _values(_over_elements(terms.join(above, on="element")), known)


def _grid(every: str | timedelta) -> timedelta:
    grid = duration(every)
    if grid <= timedelta(0) or grid % timedelta(seconds=1):
        raise BadInput(f"A grid of {every} cannot be.", allowed="whole seconds, at least one, such as '15m'")
    return grid


def _terms(records: pl.DataFrame, every: timedelta, sets: Mapping[str, KpiSet]) -> pl.DataFrame:
    """Numerator and denominator of each KPI, element and slot, all versions."""
    check_frame(records, RECORDS, name="records")
    kinds = records["object_class"].unique()
    of_kind = pl.Series([SERIES if kind == SERIES else technology(kind or "") for kind in kinds], dtype=pl.String)
    tagged = records.with_columns(technology=pl.col("object_class").replace_strict(kinds, of_kind, return_dtype=pl.String))
    formulas = list(_formulas(sets.values()))
    needed = dict.fromkeys((name for _, _, formula in formulas for name in formula.names), "")
    counted = tagged.filter(pl.col("technology") != SERIES).join(rules(needed), on="name")
    series = _series(tagged.filter(pl.col("technology") == SERIES))
    rows = pl.concat([counted, series], how="diagonal")
    measured = parts(rows, every=every)
    uses = _uses(formulas, series)
    asked = measured.join(_chosen(rows, uses), on=["element", "technology", "name"], maintain_order="left")
    asked = asked.with_columns(
        value=pl.when(pl.col("is_period") & pl.col("value").is_not_null()).then(pl.lit(every.total_seconds())).otherwise("value") * pl.col("scale")
    )
    return _added(asked)


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
        every_part = [(part, is_over) for is_over, side in ((False, formula.parts), (True, formula.over)) for part in side]
        for part, is_over in every_part:
            name = formula.names[0] if part.name == PERIOD else part.name
            rows.append(
                (
                    len(rows),
                    tech,
                    kpi.name,
                    place,
                    name,
                    is_over,
                    part.name == PERIOD,
                    part.scale,
                    len(every_part),
                    kpi.scale,
                    kpi.least,
                    bool(formula.over),
                    formula.elements,
                )
            )
    for name, aggregate in series.group_by("name", maintain_order=True).agg(pl.col("over_time").first()).sort("name").iter_rows():
        rows.append((len(rows), SERIES, name, 0, name, False, False, 1.0, 1, 1.0, 0.0, False, aggregate))
    return pl.DataFrame(
        rows,
        orient="row",
        schema={
            "use": pl.Int64, "technology": pl.String, "kpi": pl.String, "place": pl.Int64, "name": pl.String, "is_over": pl.Boolean, "is_period": pl.Boolean,
            "scale": pl.Float64, "uses": pl.Int64, "kpi_scale": pl.Float64, "least": pl.Float64, "is_ratio": pl.Boolean, "elements": pl.String,
        },
    )  # fmt: skip


def _chosen(rows: pl.DataFrame, uses: pl.DataFrame) -> pl.DataFrame:
    """For each element and KPI the parts of the first formula all of whose measurements the element has, else of the first."""
    has = rows.select("element", "technology", "name").unique()
    mine = has.join(uses, on=["technology", "name"])
    formula = mine.group_by("element", "technology", "kpi", "place").agg((pl.len() == pl.col("uses").first()).alias("whole"))
    first = formula.sort(["element", "technology", "kpi", "whole", "place"], descending=[False, False, False, True, False]).unique(
        ["element", "technology", "kpi"], keep="first", maintain_order=True
    )
    return mine.join(first.select("element", "technology", "kpi", "place"), on=["element", "technology", "kpi", "place"])


def _added(asked: pl.DataFrame) -> pl.DataFrame:
    """Parts to terms, one row per version."""
    group = list(_TERM)
    at_once = pl.col("known_at").n_unique().over(group) == 1
    together = asked.filter(at_once).with_columns(as_of=pl.col("known_at"))
    apart = asked.filter(~at_once)
    if apart.height:
        together = pl.concat([together, as_known(apart, key=(*_TERM, "use"), group=_TERM).select(together.columns)])
    terms = together.sort([*group, "as_of", "use"]).group_by([*group, "as_of"], maintain_order=True).agg(
        pl.col("value").filter(~pl.col("is_over")).sum().alias("numerator"),
        pl.col("value").filter("is_over").sum().alias("denominator"),
        ((pl.col("status") != "missing").sum() < pl.col("uses").first()).alias("gap"),
        (pl.col("status") == "suspect").any().alias("doubt"),
        pl.col("kpi_scale", "least", "is_ratio", "elements").first(),
    )  # fmt: skip
    return _settled(_with_status(terms))


def _with_status(terms: pl.DataFrame) -> pl.DataFrame:
    status = pl.when("gap").then(pl.lit("missing")).when("doubt").then(pl.lit("suspect")).otherwise(pl.lit("ok"))
    return (
        terms.with_columns(status=status)
        .with_columns(pl.when(pl.col("status") == "ok").then(pl.col("numerator", "denominator")))
        .drop("gap", "doubt")
        .rename({"as_of": "known_at"})
    )


def _settled(terms: pl.DataFrame) -> pl.DataFrame:
    return without_early_gaps(changes(terms, _TERM, ("numerator", "denominator", "status")), _TERM)


def _over_elements(terms: pl.DataFrame) -> pl.DataFrame:
    """Terms added over the elements below each ``above``, which becomes the element."""
    group = ["above", "kpi", "slot"]
    expected = terms.group_by("above", "kpi").agg(pl.struct("element", "technology").n_unique().alias("expected"))
    known = as_known(terms, key=("above", *_TERM), group=group).join(expected, on=["above", "kpi"])
    how, top = pl.col("elements").first(), pl.col("numerator")
    added = known.sort([*group, "as_of", "element", "technology"]).group_by([*group, "as_of"], maintain_order=True).agg(
        pl.when((how == "max") & ~pl.col("is_ratio").first()).then(top.max()).when((how == "mean") & ~pl.col("is_ratio").first()).then(top.mean()).otherwise(top.sum()).alias("numerator"),
        pl.col("denominator").sum(),
        ((pl.col("status") != "missing").sum() < pl.col("expected").first()).alias("gap"),
        (pl.col("status") == "suspect").any().alias("doubt"),
        pl.col("kpi_scale", "least", "is_ratio", "elements").first(),
    )  # fmt: skip
    added = added.rename({"above": "element"}).with_columns(technology=pl.lit("")).select(*_TERM, "as_of", pl.exclude(*_TERM, "as_of"))
    return _settled(_with_status(added))


def _both_technologies(terms: pl.DataFrame) -> pl.DataFrame:
    """Terms of elements that have one KPI from two technologies: a node that carries both."""
    return terms.filter(pl.col("technology").n_unique().over("element", "kpi") > 1).with_columns(above=pl.col("element"))


def _alone(terms: pl.DataFrame) -> pl.DataFrame:
    """Without the halves of what :func:`_both_technologies` put together."""
    return terms.filter((pl.col("technology") == "") | (pl.col("technology").n_unique().over("element", "kpi") == 1))


def _values(terms: pl.DataFrame, known: Known) -> pl.DataFrame:
    enough = ~pl.col("is_ratio") | ((pl.col("denominator") >= pl.col("least")) & (pl.col("denominator") > _NOTHING))
    status = pl.when(pl.col("status") != "ok").then("status").when(enough).then(pl.lit("ok")).otherwise(pl.lit("too_few"))
    quotient = pl.when("is_ratio").then(pl.col("numerator") / pl.col("denominator")).otherwise("numerator") * pl.col("kpi_scale")
    kpis = terms.with_columns(status=status).with_columns(value=pl.when(pl.col("status") == "ok").then(quotient), at=pl.col("slot"))
    key = ("element", "kpi", "at")
    kpis = changes(without_early_gaps(kpis.select(*KPIS), key), key, ("value", "status"))
    if known == "latest":
        kpis = kpis.unique(key, keep="last", maintain_order=True)
    return check_frame(kpis, KPIS, name="KPIs")
