"""An append of frames whose texts are categories: each becomes a Parquet file as it is, all of them one entry in the table's log.

Measurement files say the same few thousand names a million times. A writer that is handed texts finds out by itself that they
repeat, which takes longer than reading the files they came from; of categories Polars writes the codes. The file says
that its columns are texts, so no reader meets a category.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from time import time
from typing import TYPE_CHECKING
from uuid import uuid4

import polars as pl

from trunkline.core.frames import TIME

if TYPE_CHECKING:
    from deltalake import CommitProperties, DeltaTable

_WORDS = ((pl.String, "string"), (TIME, "timestamp"), (pl.Int32, "integer"), (pl.Int64, "long"), (pl.Float64, "double"), (pl.Boolean, "boolean"))


def spelled(frame: pl.DataFrame) -> pl.DataFrame:
    """*frame* with texts in the place of categories.

    >>> spelled(pl.DataFrame({"cell": pl.Series(["a", "a"], dtype=pl.Enum(["a", "b"]))})).schema
    Schema([('cell', String)])
    """
    return frame.cast({name: pl.String for name, kind in frame.schema.items() if isinstance(kind, pl.Enum)})


def meant(frame: pl.DataFrame) -> dict[str, pl.DataType]:
    """The types of *frame* once its categories are texts."""
    return {name: pl.String() if isinstance(kind, pl.Enum) else kind for name, kind in frame.schema.items()}


def fits(frames: Sequence[pl.DataFrame], opened: DeltaTable | None) -> bool:
    """Whether *frames* can go to the table as they are: the very columns it has, of kinds that are written here."""
    columns = set(frames[0].columns)
    known = columns if opened is None else {field.name for field in opened.schema().fields}
    return known == columns and all(any(kind == told for told, _ in _WORDS) for frame in frames for kind in meant(frame).values())


def commit(folder: Path, opened: DeltaTable | None, frames: Sequence[pl.DataFrame], properties: CommitProperties, configuration: dict[str, str | None]) -> None:
    """Write the files and add them to the log of *opened*, a table made here where there is none. Nothing is synced yet."""
    from deltalake import DeltaTable, Field, Schema
    from deltalake.schema import PrimitiveType
    from deltalake.transaction import AddAction, RemoveAction

    columns = meant(frames[0])
    schema = Schema([Field(column, PrimitiveType(next(word for known, word in _WORDS if kind == known))) for column, kind in columns.items()])
    if opened is None:
        opened = DeltaTable.create(folder, schema=schema, configuration=configuration)
    names = [f"part-{number:05}-{uuid4()}-c000.parquet" for number in range(len(frames))]
    try:
        added: list[AddAction | RemoveAction] = []
        for name, frame in zip(names, frames, strict=True):
            frame.write_parquet(
                folder / name,
                compression="zstd",
                compression_level=1,
                statistics=False,  # the log has those that a reader can use
                row_group_size=max(1, frame.height),
                metadata={"ARROW:schema": _as_texts(tuple(columns.items()))},
            )
            added.append(AddAction(name, (folder / name).stat().st_size, {}, int(time() * 1000), True, _statistics(frame)))
        opened.create_write_transaction(added, mode="append", schema=schema, commit_properties=properties)
    except BaseException:
        for name in names:
            (folder / name).unlink(missing_ok=True)
        raise


@cache
def _as_texts(columns: tuple[tuple[str, pl.DataType], ...]) -> str:
    """How Polars tells a reader of a Parquet file which types these columns are."""
    file = io.BytesIO()
    pl.DataFrame(schema=dict(columns)).write_parquet(file)
    file.seek(0)
    return pl.read_parquet_metadata(file)["ARROW:schema"]


def _statistics(frame: pl.DataFrame) -> str:
    """What Delta's log says of the file: how many rows, and of times from when to when, by which readers leave files out."""
    times = [name for name, kind in frame.schema.items() if kind == TIME]
    found = frame.select(
        *(pl.col(name).min().alias(f"{name} least") for name in times),
        *(pl.col(name).max().alias(f"{name} most") for name in times),
        *(pl.col(name).null_count().alias(f"{name} gaps") for name in times),
    ).row(0, named=True)
    least = {name: _told(at) for name in times if (at := found[f"{name} least"]) is not None}
    most = {name: _told(at + timedelta(microseconds=999)) for name in times if (at := found[f"{name} most"]) is not None}
    gaps = {name: found[f"{name} gaps"] for name in times}
    return json.dumps({"numRecords": frame.height, "minValues": least, "maxValues": most, "nullCount": gaps})


def _told(at: datetime) -> str:
    """As Delta writes it, in whole milliseconds."""
    return at.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
