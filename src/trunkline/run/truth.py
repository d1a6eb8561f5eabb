"""The faults a reader knows of, as a CSV of hers says."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from trunkline.core.clock import zone as zone_of
from trunkline.core.errors import BadFile
from trunkline.core.frames import TIME


def read_truth(path: str | Path, *, zone: str | None = None) -> pl.DataFrame:
    """Known faults: columns ``element``, ``start``, ``end`` and, where there is one, ``kind``.

    The truth beside a simulated network is read too: only its faults, each for every cell it ``affected``.

    Times without an offset are read in *zone*, UTC where none is given.

    Raises
    ------
    BadFile
        A column is missing, a time cannot be read, or a fault ends before it starts; the line is named.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline()
        found = pl.read_csv(path, infer_schema=False, separator=max(",;\t", key=header.count))
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as unreadable:
        raise BadFile(f"The known faults cannot be read: {unreadable}.", path=path, allowed="a CSV with a header: element,start,end") from unreadable
    missing = [name for name in ("element", "start", "end") if name not in found.columns]
    if missing:
        raise BadFile(f"The known faults have no column {', '.join(missing)}.", path=path, line=1, allowed="element,start,end and, if you like, kind")
    if {"is_fault", "affected"} <= set(found.columns):
        found = found.filter(pl.col("is_fault") == "true").with_columns(element=pl.col("affected").str.split(" ")).explode("element")
    local = zone_of(zone).key if zone else "UTC"
    read = found.select(
        pl.col("element").alias("entity"),
        *(_time(name, local).alias(name) for name in ("start", "end")),
        (pl.col("kind") if "kind" in found.columns else pl.lit("fault")).alias("kind"),
    )
    for number, row in enumerate(read.iter_rows(named=True), start=2):
        if row["start"] is None or row["end"] is None or row["end"] <= row["start"]:
            raise BadFile(
                "A known fault needs a start and a later end.", path=path, line=number, allowed="times such as 2026-11-20T14:00+01:00 or 2026-11-20 14:00"
            )
    return read


def _time(name: str, zone: str) -> pl.Expr:
    text = pl.col(name).str.strip_chars().str.replace(" ", "T")
    with_zone = text.str.contains(r"(Z|[+-]\d\d:?\d\d)$")
    aware = text.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
    shapes = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M")
    naive = pl.coalesce(
        *(text.str.to_datetime(shape, time_unit="us", strict=False) for shape in shapes), text.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
    )
    short = text.str.replace(r"^(.*T\d\d:\d\d)(Z|[+-]\d\d:?\d\d)$", "${1}:00${2}").str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
    local = naive.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")
    return pl.when(with_zone).then(pl.coalesce(aware, short)).otherwise(local).cast(TIME)
