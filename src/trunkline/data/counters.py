"""Counters to records: each result of a measurement file under its standard name, in its standard unit.

Maps are keyed by object class and counter, because vendors give one name to different counters of different objects.
A counter that no map knows is kept as a record under its own name and listed as unmapped; none is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

import polars as pl

from trunkline.core.frames import RECORDS, check_frame
from trunkline.data.counter_maps import Counter, CounterMap, Finding, check_counter_map, load_map, load_maps
from trunkline.data.counter_names import Spelling, write_name, write_values
from trunkline.data.distinguished_names import cell_name, last_value, object_class

__all__ = [
    "Counter",
    "CounterMap",
    "Finding",
    "Mapped",
    "Spelling",
    "check_counter_map",
    "closest_names",
    "find",
    "load_map",
    "load_maps",
    "map_counters",
    "write_name",
    "write_values",
]

_ROW: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "vendor": pl.String,
    "object_class": pl.String,
    "counter": pl.String,
    "name": pl.String,
    "map_dimension": pl.String,
    "scale": pl.Float64,
    "form": pl.String,
    "key": pl.String,
    "samples": pl.String,
    "weights": pl.List(pl.Float64),
    "per_second": pl.Boolean,
    "wrap": pl.Float64,
    "known": pl.Boolean,
}
_PERIOD = ("source", "element", "object_class", "at", "period_s", "known_at")
_EXTRA = ("form", "key", "weights", "values", "map_dimension", "known", "vendor", "counter")


class Mapped(NamedTuple):
    """Records, and which counters no map knew: ``object_class, counter, values`` (how many), ``files``."""

    records: pl.DataFrame
    unmapped: pl.DataFrame


def map_counters(counters: pl.DataFrame, maps: Mapping[str, CounterMap] | Iterable[CounterMap], *, names: Mapping[str, str] | None = None) -> Mapped:
    """Records of layout RECORDS from a frame of counters (:data:`trunkline.data.pm_xml.COUNTERS`).

    Parameters
    ----------
    counters
        What :func:`trunkline.data.pm_xml.read` gives.
    maps
        Those whose vendor names match the file's vendor are asked first, then those for any vendor; for files that
        name no vendor, every map.
    names
        The inventory's names. Looked up by the full distinguished name, by the cell's
        (:func:`~trunkline.data.distinguished_names.cell_name`: both halves of an NR cell are one), and for cells and
        managed elements by the last value. What is not found is called by its distinguished name.

    A further column ``wrap`` holds the size at which a meter starts again.
    """
    chosen = list(maps.values() if isinstance(maps, Mapping) else maps)
    table = _rows_of(counters, chosen)
    joined = counters.join(table, on=["vendor", "object_class", "counter"], how="left", maintain_order="left")
    joined = _over_samples(joined, counters)
    per_second = pl.when(pl.col("per_second")).then(pl.col("scale") / pl.col("period_s")).otherwise(pl.col("scale"))
    joined = joined.with_columns(pl.col("value") * per_second, per_second.alias("scale"))
    one = joined.filter(pl.col("values").is_null() & (pl.col("form") != "weighted"))
    many = joined.filter(pl.col("values").is_not_null())
    weighted_nothing = joined.filter(pl.col("values").is_null() & (pl.col("form") == "weighted")).with_columns(value=pl.lit(None, dtype=pl.Float64))
    pieces = [one.with_columns(part=pl.lit("")), weighted_nothing.with_columns(part=pl.lit("")), *_many(many)]
    records = pl.concat([p.select(*_columns()) for p in pieces])
    unmapped = (
        joined.filter(~pl.col("known"))
        .group_by("object_class", "counter")
        .agg(pl.len().cast(pl.Int64).alias("values"), pl.col("source").n_unique().cast(pl.Int64).alias("files"))
        .sort("object_class", "counter")
    )
    records = records.with_columns(element=_named(records["element"], names or {}))
    return Mapped(check_frame(records, RECORDS, name="records"), unmapped)


def closest_names(unmapped: pl.DataFrame, maps: Mapping[str, CounterMap]) -> pl.DataFrame:
    """*unmapped* with a column ``closest``: the known counter most like it and where that stands, null where none is."""
    known = {row.counter: f"{row.counter} ({counter_map.name}, {row.object_class})" for counter_map in maps.values() for row in counter_map.counters}
    close = [next(iter(get_close_matches(name, known, n=1, cutoff=0.85)), None) for name in unmapped["counter"]]
    return unmapped.with_columns(closest=pl.Series([known[c] if c else None for c in close], dtype=pl.String))


def _rows_of(counters: pl.DataFrame, maps: list[CounterMap]) -> pl.DataFrame:
    """For each vendor, class and counter of the frame the rows of the maps; one row of its own name where none has it."""
    out: dict[str, list[Any]] = {name: [] for name in _ROW}
    samples = {(row.object_class, row.samples) for m in maps for row in m.counters if row.samples}
    for vendor, kind, counter in counters.select("vendor", "object_class", "counter").unique(maintain_order=True).iter_rows():
        rows = find(maps, vendor, kind, counter)
        known = bool(rows) or any((m.aliases.get(kind, kind), counter) in samples for m in maps)
        for row in rows or (Counter(kind, counter, name=counter),):
            given = (
                vendor,
                kind,
                counter,
                row.name,
                row.dimension,
                row.scale,
                row.form,
                row.key,
                row.samples,
                list(row.weights),
                row.per_second,
                row.wrap,
                known,
            )
            for name, value in zip(_ROW, given, strict=True):
                out[name].append(value)
    return pl.DataFrame(out, schema=dict(_ROW))


def find(maps: list[CounterMap], vendor: str, kind: str, counter: str) -> tuple[Counter, ...]:
    """What *maps* say of a vendor's counter in an object class; empty where none knows it."""
    own = [m for m in maps if m.reads(vendor)]
    general = [m for m in maps if not m.vendor_names]
    for candidates in (own, general):
        if found := next((rows for m in candidates if (rows := m.find(kind, counter))), None):
            return found
    if found := next((rows for m in (*own, *general) if (rows := m.find_anywhere(counter))), None):
        return found
    if not vendor:
        hits = [rows for m in maps if (rows := m.find(kind, counter))]
        return hits[0] if len(hits) == 1 else ()
    return ()


def _over_samples(joined: pl.DataFrame, counters: pl.DataFrame) -> pl.DataFrame:
    """Sums of samples divided by how many there were; no samples give no value."""
    if not joined["samples"].is_in([""]).all():
        wanted = joined.filter(pl.col("samples") != "")["samples"].unique().implode()
        count = counters.filter(pl.col("counter").is_in(wanted)).select(*_PERIOD, pl.col("counter").alias("samples"), pl.col("value").alias("sample_count"))
        count = count.unique([*_PERIOD, "samples"], keep="last", maintain_order=True)
        joined = joined.join(count, on=[*_PERIOD, "samples"], how="left", maintain_order="left")
        mean = pl.when(pl.col("sample_count") > 0).then(pl.col("value") / pl.col("sample_count"))
        joined = joined.with_columns(value=pl.when(pl.col("samples") == "").then("value").otherwise(mean)).drop("sample_count")
    return joined


def _many(many: pl.DataFrame) -> list[pl.DataFrame]:
    """Values of many numbers, each form in its way; what does not have the form its map says stands bin by bin under the vendor's name."""
    size = pl.col("values").list.len()
    is_pairs = (pl.col("form") == "pairs") & (size % 2 == 1) & (pl.col("values").list.get(0, null_on_oob=True) * 2 + 1 == size)
    is_weighted = (pl.col("form") == "weighted") & (pl.col("weights").list.len() == size)
    formed = pl.when(is_pairs | is_weighted | pl.col("form").is_in(["mean", "bins"])).then("form").otherwise(pl.lit("as it is"))
    many = many.with_columns(formed=formed.fill_null("as it is"))
    pieces = []
    for (form,), rows in many.partition_by("formed", as_dict=True, maintain_order=True).items():
        if form == "mean":
            pieces.append(rows.with_columns(value=pl.col("values").list.mean() * pl.col("scale"), part=pl.lit("")))
        elif form == "weighted":
            total = _whole("values")
            weighted = (pl.col("values") * pl.col("weights")).list.sum()
            pieces.append(rows.with_columns(value=pl.when(total > 0).then(weighted / total * pl.col("scale")), part=pl.lit("")))
        elif form == "pairs":
            pieces += _pairs(rows)
        else:
            plain = {"name": pl.col("counter"), "map_dimension": pl.lit(""), "scale": pl.lit(1.0)} if form == "as it is" else {}
            bins = rows.with_columns(**plain).with_columns(bin=pl.int_ranges(pl.col("values").list.len())).explode("values", "bin")
            pieces.append(
                bins.with_columns(value=pl.col("values") * pl.col("scale"), part=pl.format("bin={}", "bin"), values=pl.lit(None, dtype=pl.List(pl.Float64)))
            )
    return pieces


def _pairs(rows: pl.DataFrame) -> list[pl.DataFrame]:
    """How many, then key and number each: the total, and where it is undivided otherwise, the number under each key."""
    numbers = rows.with_columns(
        keys=pl.col("values").list.slice(1).list.gather_every(2),
        amounts=pl.col("values").list.slice(2).list.gather_every(2),
    )
    total = numbers.with_columns(value=_whole("amounts") * pl.col("scale"), part=pl.lit(""))
    parts = numbers.filter((pl.col("map_dimension") == "") & (pl.col("dimension") == "") & (pl.col("keys").list.len() > 0)).explode("keys", "amounts")
    return [total, parts.with_columns(value=pl.col("amounts") * pl.col("scale"), part=pl.format("{}={}", "key", pl.col("keys").cast(pl.Int64)))]


def _whole(column: str) -> pl.Expr:
    """The sum of a list; null where one of its numbers is."""
    return pl.when(pl.col(column).list.drop_nulls().list.len() == pl.col(column).list.len()).then(pl.col(column).list.sum())


def _columns() -> list[pl.Expr]:
    given = [pl.col(name) for name in ("map_dimension", "dimension", "part")]
    dimension = pl.concat_list([pl.when(g != "").then(g) for g in given]).list.drop_nulls().list.join(",")
    return [dimension.alias("dimension") if name == "dimension" else pl.col(name).cast(kind) for name, kind in RECORDS.items()] + [
        pl.col("wrap") * pl.col("scale").alias("wrap")
    ]


def _named(elements: pl.Series, names: Mapping[str, str]) -> pl.Series:
    distinct = elements.unique(maintain_order=True)
    return elements.replace_strict(distinct, pl.Series([_name(element, names) for element in distinct], dtype=pl.String), return_dtype=pl.String)


def _name(element: str, names: Mapping[str, str]) -> str:
    cell = cell_name(element)
    found = names.get(element) or names.get(cell)
    if not found and (cell != element or object_class(element) == "ManagedElement"):
        found = names.get(last_value(element))
    return found or cell
