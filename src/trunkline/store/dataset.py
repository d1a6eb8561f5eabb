"""A name for a set of rows, so that "trained on exactly these" can be checked later."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256

import polars as pl

from trunkline.core.errors import BadInput

FORMAT = 1
_HASHED = {pl.String, pl.Boolean, pl.Float32, pl.Float64, pl.Date, pl.Datetime, pl.Duration} | {
    pl.Int8,
    pl.Int16,
    pl.Int32,
    pl.Int64,
    pl.UInt8,
    pl.UInt16,
    pl.UInt32,
    pl.UInt64,
}


def dataset_hash(frame: pl.DataFrame) -> str:
    """Hex SHA-256 of the rows of *frame*, whatever their order and that of the columns.

    Equal sets have equal hashes on every machine and with every version of Polars: rows are sorted, then
    each column is written as its name, its type, which values are null, and the values as little-endian
    bytes. All NaN are one value, and so are 0.0 and -0.0. A row that is there twice counts twice.

    Raises
    ------
    BadInput
        A column is neither text, number, boolean, date, time nor duration.

    >>> rows = pl.DataFrame({"cell": ["a", "b"], "traffic": [1.5, None]})
    >>> dataset_hash(rows) == dataset_hash(rows.reverse().select("traffic", "cell"))
    True
    >>> dataset_hash(rows) == dataset_hash(rows.fill_null(0.0))
    False
    """
    columns = sorted(frame.columns)
    wrong = [f"{name}: {kind}" for name, kind in frame.schema.items() if kind.base_type() not in _HASHED]
    if wrong:
        raise BadInput(f"These columns cannot be hashed: {'; '.join(wrong)}.", allowed="text, numbers, booleans, dates, times and durations")
    floats = [_one_form(name) for name, kind in frame.schema.items() if kind.is_float()]
    rows = frame.select(columns).with_columns(floats)
    rows = rows.sort(columns, nulls_last=True) if columns else rows
    found = sha256(json.dumps({"format": FORMAT, "rows": rows.height}).encode())
    for name in columns:
        column = rows[name]
        found.update(json.dumps([name, *_type_words(column.dtype)]).encode())
        found.update(column.is_null().to_numpy().tobytes())
        found.update(_values(column))
    return found.hexdigest()


def joined_hash(hashes: Sequence[str]) -> str:
    """One name for a set of rows told in parts, by the :func:`dataset_hash` of each part in their order; that of a single part stays.

    >>> joined_hash(["ab"]), joined_hash(["ab", "cd"])[:8]
    ('ab', '1583e37e')
    """
    return hashes[0] if len(hashes) == 1 else sha256(json.dumps({"format": FORMAT, "parts": list(hashes)}).encode()).hexdigest()


def _type_words(kind: pl.DataType) -> list[str]:
    """The type in words of our own: those of Polars may change with its version."""
    return [kind.base_type().__name__, *(str(getattr(kind, part)) for part in ("time_unit", "time_zone") if getattr(kind, part, None))]


def _one_form(name: str) -> pl.Expr:
    """Equal numbers in equal bits: there are two zeros and many NaN."""
    number = pl.col(name)
    return pl.when(number.is_nan()).then(float("nan")).when(number == 0).then(0.0).otherwise(number).alias(name)


def _values(column: pl.Series) -> bytes:
    if column.dtype == pl.String:
        text = column.fill_null("")
        lengths = text.str.len_bytes().cast(pl.UInt32).to_numpy().astype("<u4").tobytes()
        return lengths + "".join(text.to_list()).encode()
    numbers = column.to_physical() if column.dtype.is_temporal() else column
    plain = numbers.cast(pl.UInt8) if column.dtype == pl.Boolean else numbers
    found = plain.fill_null(0).to_numpy()
    return found.astype(found.dtype.newbyteorder("<")).tobytes()
