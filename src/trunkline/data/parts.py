"""Records to parts: one measurement of one element in one slot of the grid, with every version of it.

* Finer periods are summed (or averaged, by measurement) into the slot; a slot is whole only if they cover all of it.
  A period longer than the slot, or lying across its edge, is not split.
* A total is used where the source gives one; else its sub-counters of one kind are put together, never of two.
* A value the source doubts makes the part "suspect"; one that is missing, or null, makes it "missing".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import polars as pl

from trunkline.data.measurements import measurements
from trunkline.data.subcounters import family
from trunkline.data.versions import as_known, changes, newest, without_early_gaps

SERIES = "series"
SLOT = ("element", "technology", "name", "slot")
_KEY = ("element", "technology", "name", "object_class", "dimension", "at", "period_s")
# Where a total is divided in several ways and not given itself, the first of these that is there makes it up.
_FAMILIES = ("kind", "part", "cause", "mode", "context", "plmn", "5qi", "qci", "snssai")


def parts(records: pl.DataFrame, *, every: timedelta) -> pl.DataFrame:
    """Columns ``element, technology, name, slot, known_at, value, status`` ("ok", "suspect", "missing").

    *records* has a column ``technology`` and ``over_time``, ``over_dimensions`` beside those of RECORDS.
    """
    rows = _in_slots(_increases(records), every)
    rows = newest(rows, (*_KEY, "slot"), at_once=("source", "value"))
    rows = changes(rows, (*_KEY, "slot"), ("value", "suspect"))
    seconds = int(every.total_seconds())
    # What became known before the slot was over is known when it is: a slot that is still running has no KPI.
    rows = rows.with_columns(known_at=pl.max_horizontal("known_at", pl.col("slot") + every)).unique(
        [*_KEY, "slot", "known_at"], keep="last", maintain_order=True
    )
    out = [_settle(_valued(piece, seconds)) for piece in _as_of(rows)]
    return pl.concat(out) if out else _settle(_valued(rows.with_columns(as_of=pl.col("known_at")), seconds))


def _in_slots(rows: pl.DataFrame, every: timedelta) -> pl.DataFrame:
    """*rows* with the slot they lie in; without those that do not fit into one."""
    grid = every // timedelta(microseconds=1)
    at = pl.col("at").dt.timestamp("us")
    slot = at - at % grid
    fits = (
        (pl.col("period_s") > 0)
        & (at + pl.col("period_s").cast(pl.Int64) * 1_000_000 <= slot + grid)
        & ((at - slot) % (pl.col("period_s").cast(pl.Int64) * 1_000_000) == 0)
    )
    return rows.filter(fits).with_columns(slot=slot.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))


def _as_of(rows: pl.DataFrame) -> list[pl.DataFrame]:
    """*rows* by the instants their slots were known at, in three lots that cost ever more.

    All of a slot known at once; one version of each period, undivided: known with the last; anything else: one
    state per instant.
    """
    slot = list(SLOT)
    at_once = pl.col("known_at").n_unique().over(slot) == 1
    plain = (pl.col("dimension") == "").all().over(slot) & (pl.col("object_class").n_unique().over(slot) == 1) & (pl.col("period_s").n_unique().over(slot) == 1)
    single = plain & (pl.col("at").n_unique().over(slot) == pl.len().over(slot))
    lots = rows.with_columns(lot=pl.when(at_once).then(0).when(single).then(1).otherwise(2))
    first = lots.filter(pl.col("lot") == 0).with_columns(as_of=pl.col("known_at"))
    second = lots.filter(pl.col("lot") == 1).with_columns(as_of=pl.col("known_at").max().over(slot))
    third = lots.filter(pl.col("lot") == 2)
    return [lot.drop("lot") for lot in (first, second, as_known(third, key=(*_KEY, "slot"), group=SLOT)) if lot.height]


def _valued(rows: pl.DataFrame, seconds: int) -> pl.DataFrame:
    """One row per slot and instant."""
    undivided = _undivided(rows)
    slot = [*SLOT, "as_of"]
    choice = [*slot, "object_class", "period_s"]
    ordered = undivided.sort([*choice, "at"])
    mean, top, last = pl.col("value").mean(), pl.col("value").max(), pl.col("value").last()
    over_time = pl.col("over_time").first()
    candidates = ordered.group_by(choice, maintain_order=True).agg(
        (pl.col("at").n_unique() * pl.col("period_s").first()).alias("covered"),
        pl.col("suspect").any(),
        pl.col("value").null_count().alias("nulls"),
        pl.when(over_time == "mean")
        .then(mean)
        .when(over_time == "max")
        .then(top)
        .when(over_time == "last")
        .then(last)
        .otherwise(pl.col("value").sum())
        .alias("value"),
        pl.col("known_at").min().alias("first_known"),
    )
    whole = pl.col("covered") == seconds
    candidates = candidates.with_columns(whole=whole).sort(
        [*slot, "whole", "covered", "period_s", "object_class"], descending=[*[False] * len(slot), True, True, True, False]
    )
    chosen = candidates.unique(slot, keep="first", maintain_order=True)
    status = (
        pl.when(~pl.col("whole"))
        .then(pl.lit("missing"))
        .when("suspect")
        .then(pl.lit("suspect"))
        .when(pl.col("nulls") > 0)
        .then(pl.lit("missing"))
        .otherwise(pl.lit("ok"))
    )
    chosen = chosen.with_columns(status=status)
    # A slot that stays incomplete is known to be so from the first sign of it on.
    known = pl.when(pl.col("status") == "missing").then(pl.min_horizontal("as_of", "first_known")).otherwise("as_of")
    return chosen.select(*SLOT, known.alias("known_at"), pl.when(pl.col("status") == "ok").then("value").alias("value"), "status")


def _undivided(rows: pl.DataFrame) -> pl.DataFrame:
    """*rows* with each period's total, made of sub-counters of one kind where the source gives none."""
    period = [*SLOT, "as_of", "object_class", "period_s", "at"]
    divided = (pl.col("dimension") != "").any().over(period)
    whole = rows.filter(~divided)
    rest = rows.filter(divided)
    if rest.is_empty():
        return whole
    kinds = rest["dimension"].unique()
    ranks = pl.Series([_rank(dimension) for dimension in kinds], dtype=pl.String)
    rest = rest.with_columns(kind=pl.col("dimension").replace_strict(kinds, ranks, return_dtype=pl.String))
    rest = rest.filter(pl.col("kind") == pl.col("kind").min().over(period)).sort([*period, "dimension"])
    how, value = pl.col("over_dimensions").first(), pl.col("value")
    # A part without a value leaves the whole without one: sums here may not skip nulls.
    summed = pl.when(value.null_count() == 0).then(pl.when(how == "mean").then(value.mean()).when(how == "max").then(value.max()).otherwise(value.sum()))
    total = rest.group_by(period, maintain_order=True).agg(
        summed.alias("value"), pl.col("suspect").any(), pl.col("known_at").min(), pl.col("over_time").first(), pl.col("over_dimensions").first()
    )
    return pl.concat([whole.select(total.columns), total])


def _rank(dimension: str) -> str:
    """Which kinds of sub-counters go first, as text that sorts so: totals, then the families above, then the rest by name."""
    if not dimension:
        return ""
    kind = family(dimension)
    return f"{_FAMILIES.index(kind):02d}" if kind in _FAMILIES else f"99{kind}"


def _settle(rows: pl.DataFrame) -> pl.DataFrame:
    return without_early_gaps(changes(rows, SLOT, ("value", "status")), SLOT)


def _increases(records: pl.DataFrame) -> pl.DataFrame:
    """*records* with meters that keep counting turned into what they counted within each period.

    A meter that fell has started again: at its wrap if the step over it is small, else it was set back, and what it
    counted in that period is unknown.
    """
    columns = [*_KEY, "value", "suspect", "known_at", "source", "over_time", "over_dimensions"]
    rest = records.filter(pl.col("over_time") != "increase").select(columns)
    meters = records.filter(pl.col("over_time") == "increase")
    if meters.is_empty():
        return rest
    if "wrap" not in meters.columns:
        meters = meters.with_columns(wrap=pl.lit(None, dtype=pl.Float64))
    now = newest(meters, _KEY, at_once=("source", "value")).with_columns(role=pl.lit("now"))
    before = now.with_columns(role=pl.lit("before"), at=pl.col("at") + pl.duration(seconds=pl.col("period_s")))
    both = as_known(pl.concat([now, before]), key=(*_KEY, "role"), group=_KEY)
    pairs = both.filter(pl.col("role") == "now").join(
        both.filter(pl.col("role") == "before").select(*_KEY, "as_of", pl.col("value").alias("was"), pl.col("suspect").alias("was_suspect")),
        on=[*_KEY, "as_of"],
    )
    step = pl.col("value") - pl.col("was")
    over = step + pl.col("wrap")
    increase = pl.when(step >= 0).then(step).when((over >= 0) & (over <= pl.col("wrap") / 4)).then(over)
    return pl.concat([rest, pairs.with_columns(value=increase, suspect=pl.col("suspect") | pl.col("was_suspect"), known_at=pl.col("as_of")).select(columns)])


def rules(names: Mapping[str, str]) -> pl.DataFrame:
    """How measurements add up, as a frame to join: ``name, over_time, over_dimensions``; *names* only."""
    known = [m for m in measurements().values() if m.name in names]
    return pl.DataFrame(
        {"name": [m.name for m in known], "over_time": [m.over_time for m in known], "over_dimensions": [m.over_dimensions or m.over_elements for m in known]},
        schema={"name": pl.String, "over_time": pl.String, "over_dimensions": pl.String},
    )
