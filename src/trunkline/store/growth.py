"""What a Delta table has gained since a version, read from its log: only the files that were added are opened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

import polars as pl


def added_since(folder: Path, version: int, until: int, columns: Mapping[str, pl.DataType | type[pl.DataType]]) -> pl.DataFrame | None:
    """The rows which the versions after *version*, up to *until*, added to the table in *folder*.

    Putting small files together (compaction) adds no rows and is passed over. None where the log cannot tell any more:
    rows were taken away or put in the place of others, or the log or a file that was compacted is gone. Then read the
    whole table.
    """
    files: list[Path] = []
    for number in range(version + 1, until + 1):
        try:
            commit = (folder / "_delta_log" / f"{number:020}.json").read_bytes()
        except FileNotFoundError:
            return None
        for action in map(json.loads, commit.splitlines()):
            if action.get("remove", {}).get("dataChange", False):
                return None
            if action.get("add", {}).get("dataChange", False):
                files.append(folder / unquote(action["add"]["path"]))
    if not all(path.is_file() for path in files):
        return None
    if not files:
        return pl.DataFrame(schema=dict(columns))
    return pl.concat([pl.read_parquet(path) for path in files], how="diagonal_relaxed").select(list(columns)).cast(dict(columns))  # type: ignore[arg-type]
