"""The embedded database: one SQLite file, opened so that what was committed survives a power cut.

WAL with ``synchronous=FULL``: a commit returns after the log is on the disk, and readers never wait
for the writer. The price is one fsync a commit, which is why the journal and the intake write in groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, Table, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError, IntegrityError

from trunkline.core.errors import WorkspaceError

metadata = MetaData()
"""The tables of the whole store; each module adds its own when it is imported."""

BUSY_MS = 10_000
"""How long a writer waits for another one, in milliseconds, before the database says it is busy."""

_BEGIN = "trunkline_begin"


def open_database(where: str | Path) -> Engine:
    """Open, or make, the database at *where*.

    Parameters
    ----------
    where
        Path of an SQLite file, its folder being made if needed, or a SQLAlchemy URL (``postgresql+…://``).

    Returns
    -------
    Engine
        With ``foreign_keys`` on, WAL, ``synchronous=FULL`` and a busy timeout of 10 s where it is SQLite.

    Raises
    ------
    WorkspaceError
        The file is there but is no database, or cannot be opened.

    >>> import tempfile
    >>> engine = open_database(Path(tempfile.mkdtemp()) / "trunkline.db")
    >>> with reading(engine) as connection:
    ...     connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
    'wal'
    >>> engine.dispose()
    """
    if isinstance(where, str) and "://" in where:
        url: str | URL = where
    else:
        Path(where).parent.mkdir(parents=True, exist_ok=True)
        url = URL.create("sqlite", database=str(where))
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up)
        event.listen(engine, "begin", _begin)
    try:
        with engine.connect():
            pass
    except DatabaseError as broken:
        engine.dispose()
        raise WorkspaceError(
            f"The database cannot be opened: {broken.orig}.",
            where=str(where),
            allowed="an SQLite file that Trunkline wrote, or a path where there is none yet",
            next_step="Make room if the disk is full; if the file is damaged, restore it from a backup; or name another folder.",
        ) from broken
    return engine


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Write: everything inside is committed together at the end, or nothing of it.

    It takes the write lock at once (``BEGIN IMMEDIATE``), so what was read inside is still true at the commit.
    """
    with _told(engine), engine.connect() as connection, connection.execution_options(**{_BEGIN: "IMMEDIATE"}).begin():
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Read one unchanging state of the database, without waiting for a writer."""
    with _told(engine), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def _told(engine: Engine) -> Iterator[None]:
    """Say in our words that the database is busy, full, read-only or damaged; what contradicts its keys stays a fault of ours."""
    try:
        yield
    except IntegrityError:
        raise
    except DatabaseError as failed:
        raise WorkspaceError(
            f"The database cannot be used: {failed.orig}.",
            where=str(engine.url.database),
            allowed="a database that no other process holds for long, on a disk with space left, which this user may write",
            next_step="Repeat it when there is room and nobody else writes; if the file is damaged, restore it from a backup.",
        ) from failed


@contextmanager
def joined(engine: Engine, connection: Connection | None) -> Iterator[Connection]:
    """The caller's transaction where there is one, else one of its own."""
    if connection is not None:
        yield connection
    else:
        with transaction(engine) as own:
            yield own


def prepare(engine: Engine, *tables: Table) -> None:
    """Make those of *tables* that are not there yet."""
    with _told(engine):
        metadata.create_all(engine, tables=list(tables))


def _set_up(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin transactions on its own: _begin does
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_MS}"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get(_BEGIN, 'DEFERRED')}")
