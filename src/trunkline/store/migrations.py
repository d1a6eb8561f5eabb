"""From the format an older release wrote to the one this release writes, step by step, forward only.

``catalogue.FORMAT`` counts what a program must know to *write* in a workspace. Tables and columns that are merely added
need no step: :func:`~trunkline.store.database.prepare` makes them. A step is one function that changes what is there, in
one transaction with the journal entry that tells of it; before the first one, a copy of an SQLite database is kept.

To add one: raise ``catalogue.FORMAT``, add the step from the number before, and a workspace written by the last release
to ``tests/fixtures`` (``write_workspace.py`` there).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

from sqlalchemy import Connection, Engine, select, update

from trunkline.core.errors import WorkspaceError
from trunkline.store.blobs import sync_folder
from trunkline.store.catalogue import FORMAT, format_of, meta
from trunkline.store.database import transaction
from trunkline.store.journal import Journal


def _nothing_moves(connection: Connection) -> None:
    """Format 2: a release of format 1 knows neither the owner's lock nor commands, erasures and the outbox, and must not write any more."""


STEPS: Mapping[int, Callable[[Connection], None]] = {1: _nothing_moves}
"""From each older format, the step to the next one."""


def keep_copy(engine: Engine, folder: Path) -> Path | None:
    """Before a migration, a copy of an SQLite database beside it, whole or absent; None where nothing is to be migrated.

    On PostgreSQL the migration is one transaction as well, but no copy is made here: back it up before you upgrade.
    """
    found = format_of(engine)
    if engine.dialect.name != "sqlite" or found is None or found not in STEPS:
        return None
    kept = folder / f"{Path(str(engine.url.database)).name}.format-{found}"
    if kept.exists():
        return kept
    beside = kept.with_name(f".{kept.name}.{os.getpid()}")
    source, copy = sqlite3.connect(str(engine.url.database)), sqlite3.connect(beside)
    try:
        source.backup(copy)
    except sqlite3.Error as failed:
        raise WorkspaceError(
            f"No copy could be kept of the workspace as it is, so it was not migrated: {failed}.",
            where=str(folder),
            allowed="a disk with room for the database a second time",
            next_step="Make room, or open it with the release of Trunkline that wrote it.",
        ) from failed
    finally:
        copy.close()
        source.close()
    descriptor = os.open(beside, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    beside.replace(kept)
    sync_folder(folder)
    return kept


def migrate(engine: Engine, journal: Journal) -> tuple[int, int] | None:
    """Bring the workspace to this release's format, all steps in one transaction; (from, to), None where it was there already."""
    if format_of(engine) == FORMAT:
        return None
    with transaction(engine) as connection:
        found = int(connection.execute(select(meta.c.value).where(meta.c.key == "format")).scalar_one())
        for number in range(found, FORMAT):
            STEPS[number](connection)
        connection.execute(update(meta).where(meta.c.key == "format").values(value=str(FORMAT)))
        if found != FORMAT:  # another process may have been quicker
            journal.append("workspace.migrated", {"from": found, "to": FORMAT}, connection)
    return found, FORMAT
