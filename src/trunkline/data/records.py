"""Measurements in our own layout: a Parquet file with the columns of RECORDS, as another Trunkline or a data team writes it.

The layout is taken at its word, the values are not: types are brought to the layout's where nothing is lost, and a row
that could never have been measured goes to the quarantine.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import polars as pl

from trunkline.core import clock
from trunkline.core.errors import BadFile
from trunkline.core.frames import RECORDS, TIME
from trunkline.data import table
from trunkline.data.column_map import LONGEST_PERIOD, Aggregate
from trunkline.data.plain_text import PARQUET, read_bytes
from trunkline.data.table import Quarantined, excerpt
from trunkline.data.times import EARLIEST

BESIDE: Mapping[str, pl.DataType | type[pl.DataType]] = {"aggregate": pl.String, "wrap": pl.Float64, "region": pl.String}
"""Further columns that are kept where they are there."""
_AGGREGATES = get_args(Aggregate)
_AHEAD = timedelta(days=1)  # clocks differ; more is no clock
_MOST_LISTED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordsFile:
    """RECORDS of one file with the columns of :data:`BESIDE` it has, and what was set aside or changed."""

    records: pl.DataFrame
    quarantine: tuple[Quarantined, ...] = ()
    notes: tuple[str, ...] = ()


def is_records(path: str | Path) -> bool:
    """Whether *path* is a Parquet file with every column of RECORDS."""
    path = Path(path)
    try:
        raw, compressed = read_bytes(path, most=4096)
        return raw.startswith(PARQUET) and set(RECORDS) <= set(pl.read_parquet_schema(io.BytesIO(read_bytes(path)[0]) if compressed else path))
    except BaseException as broken:  # a damaged footer makes Polars panic, which is no Exception
        if isinstance(broken, KeyboardInterrupt | SystemExit):
            raise
        return False


def read(path: str | Path, *, source: str = "", now: datetime | None = None) -> RecordsFile:
    """The records in the Parquet file *path*.

    Parameters
    ----------
    source
        The id that each row carries; the file's name where it is not given.
    now
        The present; a row more than a day after it is set aside. None asks the clock.

    Raises
    ------
    BadFile
        It cannot be read, lacks a column, has one of a type that cannot be the layout's, or more than half of its rows
        cannot be used.
    """
    path = Path(path)
    found = table.read_parquet(path)
    lacking = [name for name in RECORDS if name not in found.columns]
    if lacking:
        raise BadFile(f"The file has no column {', '.join(lacking)}.", path=path, allowed=", ".join(RECORDS))
    layout = {**RECORDS, **{name: kind for name, kind in BESIDE.items() if name in found.columns}}
    left = [name for name in found.columns if name not in layout]
    wrong = {name: found.schema[name] for name, kind in layout.items() if not _fits(found.schema[name], kind)}
    if wrong:
        raise BadFile(
            f"The columns are of other types than measurements have: {'; '.join(f'{n}: {k}' for n, k in wrong.items())}.",
            path=path,
            allowed="; ".join(f"{name}: {layout[name]}" for name in wrong),
            next_step="Times need a zone; write the others as these types.",
        )
    rows = found.select(_as_layout(name, found.schema[name], kind) for name, kind in layout.items())
    rows = rows.with_columns(source=pl.lit(source or path.name), dimension=pl.col("dimension").fill_null(""), suspect=pl.col("suspect").fill_null(value=False))
    rows = rows.with_row_index("row", offset=1).with_columns(why=_faults(found, rows, (now or clock.now()) + _AHEAD))
    bad = rows.filter(pl.col("why").is_not_null())
    if bad.height * 2 > rows.height:
        reason, count = bad["why"].value_counts(sort=True).row(0)
        raise BadFile(
            f"{bad.height:,} of {rows.height:,} rows cannot be used; {count:,} of them for one reason: {reason}.",
            path=path,
            line=bad.filter(pl.col("why") == reason)["row"][0],
            allowed="at most half of the rows bad",
            next_step="Write the file again.",
        )
    notes = (f"Columns that measurements do not have are left out: {', '.join(left[:6])}{' …' if len(left) > 6 else ''}.",) if left else ()
    return RecordsFile(records=rows.filter(pl.col("why").is_null()).drop("row", "why"), quarantine=_told(bad), notes=notes)


def _fits(given: pl.DataType, wanted: pl.DataType | type[pl.DataType]) -> bool:
    if given == pl.Null:
        return True
    if wanted == TIME:
        return isinstance(given, pl.Datetime) and given.time_zone is not None
    if wanted == pl.String:
        return given in (pl.String, pl.Categorical, pl.Enum)
    if wanted == pl.Boolean:
        return given == pl.Boolean
    return given.is_numeric()


def _as_layout(name: str, given: pl.DataType, wanted: pl.DataType | type[pl.DataType]) -> pl.Expr:
    """The column as its type; what does not fit into that becomes null, and so a fault, except for the value."""
    column = pl.col(name)
    if wanted == TIME and given != pl.Null:
        return column.dt.convert_time_zone("UTC").cast(TIME, strict=False)
    return column.cast(wanted, strict=False)


def _faults(found: pl.DataFrame, rows: pl.DataFrame, latest: datetime) -> pl.Series:
    """Why each row cannot be used; null where it can. Instants are compared as numbers: Polars cannot print every one it can hold."""
    at, known, value = pl.col("at").to_physical(), pl.col("known_at").to_physical(), pl.col("value")
    first, last = (int(t.astimezone(UTC).timestamp()) * 1_000_000 for t in (EARLIEST, latest))
    end = at + pl.col("period_s").cast(pl.Int64) * 1_000_000
    nameless = [pl.when(pl.col(name).fill_null("") == "").then(pl.lit(f"no {name} is named")) for name in ("element", "object_class", "name")]
    faults = [
        *nameless,
        pl.when(at.is_null()).then(pl.lit("it has no time")),
        pl.when(~at.is_between(first, last)).then(pl.lit("its time makes no sense")),
        pl.when(~pl.col("period_s").is_between(1, int(LONGEST_PERIOD.total_seconds())).fill_null(value=False)).then(pl.lit("its period is no length of time")),
        pl.when(known.is_null()).then(pl.lit("it does not say when it was known")),
        pl.when(known < at).then(pl.lit("it was known before its period began")),
        pl.when((known > last) & (known > end)).then(pl.lit("it will be known in the future")),
        pl.when(~value.is_finite().fill_null(value=True) | (value.is_null() & pl.lit(found["value"]).is_not_null())).then(pl.lit("its value is no number")),
    ]
    if "aggregate" in rows.columns:
        faults.append(pl.when(~pl.col("aggregate").is_in(_AGGREGATES).fill_null(value=True)).then(pl.lit("its aggregate is none that there is")))
    if "wrap" in rows.columns:
        faults.append(pl.when(~((pl.col("wrap") > 0) & pl.col("wrap").is_finite()).fill_null(value=True)).then(pl.lit("its wrap is no positive number")))
    return rows.select(why=pl.coalesce(*faults)).to_series()


def _told(bad: pl.DataFrame) -> tuple[Quarantined, ...]:
    shown = bad.head(_MOST_LISTED)
    text = pl.concat_str([pl.col(c).fill_null("?") for c in ("element", "name")], separator=" | ")
    listed = [Quarantined(row, why, excerpt(what)) for row, why, what in shown.select("row", "why", text).iter_rows()]
    if bad.height > _MOST_LISTED:
        listed.append(Quarantined(shown["row"][-1], f"{bad.height - _MOST_LISTED:,} further rows, not listed one by one", ""))
    return tuple(listed)
