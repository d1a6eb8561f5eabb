"""Which files of the inbox were taken in, so that a restart need not read a year of them again.

Only a shortcut: what is taken in twice is recognised by its content.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import BigInteger, Column, Engine, String, Table, delete, insert, select

from trunkline.core.plain_file import printable
from trunkline.store.database import metadata, prepare, reading, transaction

files = Table(
    "inbox_files",
    metadata,
    Column("path", String, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("modified_ns", BigInteger, nullable=False),
)

Look = tuple[int, int]
"""How a file looks from outside: bytes, and nanoseconds at which it was modified."""


def known(engine: Engine) -> dict[Path, Look]:
    """Every file that was taken in, with its look then."""
    prepare(engine, files)
    with reading(engine) as connection:
        return {Path(row.path): (row.size, row.modified_ns) for row in connection.execute(select(files))}


def remember(engine: Engine, taken: Iterable[tuple[Path, Look]]) -> None:
    """These were taken in as they look."""
    rows = [{"path": printable(path), "size": size, "modified_ns": modified} for path, (size, modified) in taken]
    with transaction(engine) as connection:
        for row in rows:
            connection.execute(delete(files).where(files.c.path == row["path"]))
        if rows:
            connection.execute(insert(files), rows)


def forget(engine: Engine, gone: Iterable[Path]) -> None:
    """These lie there no more."""
    with transaction(engine) as connection:
        for path in gone:
            connection.execute(delete(files).where(files.c.path == printable(path)))
