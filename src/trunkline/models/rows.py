"""What models ask of a frame of rows: its numeric columns, its values, and where each entity starts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from trunkline.core.errors import BadInput, UnknownName
from trunkline.core.frames import TIME
from trunkline.models.protocol import Floats

KEYS = ("entity", "at", "known_at")
"""The columns of a row that are not features."""

FEW = 8
"""Rows up to which a frame is read row by row: asking a frame of 40 columns for each of them takes milliseconds, whatever its height."""


@dataclass(frozen=True, slots=True)
class Segment:
    """The rows ``start:stop`` of one entity."""

    entity: str
    start: int
    stop: int


def feature_columns(rows: pl.DataFrame, wanted: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The columns a model works on: the *wanted* ones, else every number or truth value beside the keys, by name.

    Raises
    ------
    BadInput
        A wanted column is not there, is named twice or holds no numbers; or there is none at all.
    """
    numeric = [c for c, kind in rows.schema.items() if c not in KEYS and (kind.is_numeric() or kind == pl.Boolean)]
    if not wanted:
        if not numeric:
            raise BadInput(
                "The rows have no feature column.", where=f"columns {', '.join(rows.columns)}", allowed="at least one column of numbers or truth values"
            )
        return tuple(sorted(numeric))
    twice = sorted({c for c in wanted if wanted.count(c) > 1})
    if twice:
        raise BadInput(f"The column '{twice[0]}' is named twice.", where="columns of the model", allowed="each column once")
    for column in wanted:
        if column not in numeric:
            raise UnknownName("feature column", column, sorted(numeric), where="columns of the model")
    return tuple(wanted)


def values(rows: pl.DataFrame, columns: Iterable[str]) -> Floats:
    """The *columns* of *rows* as one float64 matrix, NaN where a value is null.

    Raises
    ------
    BadInput
        A column is missing (named), or a value is infinite (its row is named).
    """
    wanted, place = list(columns), {column: i for i, column in enumerate(rows.columns)}
    missing = [c for c in wanted if c not in place]
    if missing:
        raise BadInput(
            f"The rows lack the feature column{'s' if len(missing) > 1 else ''} {', '.join(repr(c) for c in missing)}.",
            where=f"columns {', '.join(rows.columns)}",
            allowed=f"the columns the model was fitted on: {', '.join(wanted)}",
        )
    if rows.height <= FEW:
        places = [place[column] for column in wanted]
        matrix = np.array([[row[i] for i in places] for row in rows.rows()], dtype=np.float64).reshape(rows.height, len(wanted))
    else:
        matrix = np.empty((rows.height, len(wanted)))
        for j, column in enumerate(wanted):
            own = rows.get_column(column)
            matrix[:, j] = (own if own.dtype == pl.Float64 else own.cast(pl.Float64)).to_numpy()  # null becomes NaN
    if np.isinf(matrix).any():
        infinite = np.argwhere(np.isinf(matrix))
        row, j = int(infinite[0, 0]), int(infinite[0, 1])
        key = f"entity '{rows['entity'][row]}', at {rows['at'][row]}" if "entity" in rows.columns and "at" in rows.columns else f"row {row}"
        raise BadInput(
            f"The value of '{wanted[j]}' is infinite.",
            where=f"{key} ({len(infinite)} such values)",
            allowed="finite numbers, or null where there is no value",
            next_step="Find the division by zero that made it; a ratio without attempts is null.",
        )
    return matrix


def segments(rows: pl.DataFrame) -> list[Segment]:
    """Where each entity's rows lie; entities may come in any order, each in one piece with ``at`` rising.

    Raises
    ------
    BadInput
        Keys are missing, an entity's rows are scattered, or its times do not rise (a slot twice).

    Examples
    --------
    >>> from datetime import datetime, timezone
    >>> at = [datetime(2026, 1, 1, h, tzinfo=timezone.utc) for h in (0, 1, 0)]
    >>> segments(pl.DataFrame({"entity": ["b", "b", "a"], "at": at}).cast({"at": TIME}))
    [Segment(entity='b', start=0, stop=2), Segment(entity='a', start=2, stop=3)]
    """
    missing = [c for c in ("entity", "at") if c not in rows.columns]
    if missing:
        raise BadInput(f"The rows lack {' and '.join(repr(c) for c in missing)}.", allowed="entity (text) and at (UTC time) before the feature columns")
    if rows.height <= 1:
        return [Segment(str(entity), 0, 1) for entity in rows["entity"]]
    found = rows.select(entity=pl.col("entity").cast(pl.String), run=pl.col("entity").rle_id()).with_row_index("i")
    pieces = found.group_by("run", maintain_order=True).agg(pl.col("entity").first(), start=pl.col("i").first(), stop=pl.col("i").last() + 1)
    scattered = pieces.filter(pl.col("entity").is_duplicated())
    if scattered.height:
        raise BadInput(
            f"The rows of entity '{scattered['entity'][0]}' are scattered.", allowed="rows sorted by entity and at", next_step='rows.sort("entity", "at")'
        )
    at = rows["at"].to_physical().to_numpy()
    same = found["run"].to_numpy()
    falling = np.flatnonzero((same[1:] == same[:-1]) & (at[1:] <= at[:-1]))
    if falling.size:
        row = int(falling[0]) + 1
        raise BadInput(
            f"The times of entity '{rows['entity'][row]}' do not rise at {rows['at'][row]}.",
            allowed="each slot once, in order of time",
            next_step='rows.unique(["entity", "at"], keep="last").sort("entity", "at")',
        )
    return [Segment(str(e), int(a), int(b)) for e, a, b in zip(pieces["entity"], pieces["start"], pieces["stop"], strict=True)]


def times(rows: pl.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """``at`` as whole microseconds since 1970 UTC."""
    return rows["at"].cast(TIME).to_physical().to_numpy()
