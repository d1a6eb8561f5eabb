"""The database: one SQLite file, or a schema in PostgreSQL, used so that what was committed survives a power cut.

SQLite: WAL with ``synchronous=FULL``. A commit returns after the log is on the disk, and readers never wait
for the writer. The price is one fsync a commit, which is why the journal and the intake write in groups.
PostgreSQL (:mod:`trunkline.store.postgres`): ``synchronous_commit=on``, writers by turns, readers REPEATABLE READ.
Both promise the same, and :func:`trunkline.store.check.check_store` asks them for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Column, Connection, Engine, MetaData, String, Table, Text, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError
from sqlalchemy.schema import CreateColumn

from trunkline.core.errors import WorkspaceError
from trunkline.store import postgres
from trunkline.store.database_faults import meaning, told, without_password

metadata = MetaData()
"""The tables of the whole store; each module adds its own when it is imported."""

BUSY_MS = 10_000
"""How long a writer waits for another one, in milliseconds, before the database says it is busy."""

WRITES = "trunkline_begin"
"""The execution option of a connection in a writing transaction."""


def open_database(where: str | Path) -> Engine:
    """Open, or make, the database at *where*.

    Parameters
    ----------
    where
        Path of an SQLite file, its folder being made if needed, or a URL: ``sqlite:///…``, ``postgresql://…``.

    Returns
    -------
    Engine
        With ``foreign_keys`` on, WAL, ``synchronous=FULL`` and a busy timeout of 10 s where it is SQLite.

    Raises
    ------
    WorkspaceError
        The file is there but is no database, or cannot be opened; the server does not answer, lets this user not in, has no
        such database, or would lose in a power cut what it acknowledged.
    MissingExtra
        PostgreSQL is asked for and its library is not installed.

    >>> import tempfile
    >>> engine = open_database(Path(tempfile.mkdtemp()) / "trunkline.db")
    >>> with reading(engine) as connection:
    ...     connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
    'wal'
    >>> engine.dispose()
    """
    engine = _engine(where)
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                postgres.check_durable(connection)
    except DatabaseError as broken:
        engine.dispose()
        if engine.dialect.name != "sqlite":
            raise meaning(broken, engine) from without_password(broken, engine)
        raise WorkspaceError(
            f"The database cannot be opened: {broken.orig}.",
            where=str(where),
            allowed="an SQLite file that Trunkline wrote, or a path where there is none yet",
            next_step="Make room if the disk is full; if the file is damaged, restore it from a backup; or name another folder.",
        ) from broken
    except BaseException:
        engine.dispose()
        raise
    return engine


def _engine(where: str | Path) -> Engine:
    if isinstance(where, str) and where.startswith("postgresql"):
        return postgres.connect(where, wait_ms=BUSY_MS)
    if isinstance(where, str) and "://" in where:
        url: str | URL = where
    else:
        Path(where).parent.mkdir(parents=True, exist_ok=True)
        url = URL.create("sqlite", database=str(where))
    # A service has a thread for each workflow, and a connection to a file is but an open file: as many as are needed.
    engine = create_engine(url, **({"max_overflow": -1} if isinstance(url, URL) else {}))
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up)
        event.listen(engine, "begin", _begin)
    return engine


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Write: everything inside is committed together at the end, or nothing of it.

    It takes the write lock at once (``BEGIN IMMEDIATE``; on PostgreSQL the turn of this workspace's writers), so what was
    read inside is still true at the commit.
    """
    around = _around.get()
    if around is not None and around.engine is engine:
        with told(engine), around.connection.begin_nested():
            yield around.connection
        return
    with told(engine), engine.connect() as connection, connection.execution_options(**{WRITES: "IMMEDIATE"}).begin():
        if (schema := postgres.schema_of(engine)) is not None:
            postgres.take_turn(connection, schema)
        yield connection


@dataclass(slots=True)
class _Around:
    """A transaction that others join."""

    engine: Engine
    connection: Connection
    after: list[Callable[[], object]] = field(default_factory=list)


_around: ContextVar[_Around | None] = ContextVar("trunkline_transaction", default=None)


@contextmanager
def together(engine: Engine) -> Iterator[Connection]:
    """One transaction around steps that begin transactions of their own: all are committed together at the end, or none.

    What is begun inside on the same engine, in the same thread, is a savepoint of this one; what is read inside sees it.
    What must not happen unless it is committed (a file, the lake) is handed to :func:`afterwards`.
    """
    with transaction(engine) as connection:
        around = _Around(engine, connection)
        token = _around.set(around)
        try:
            yield connection
        finally:
            _around.reset(token)
    for action in around.after:
        action()


def afterwards(engine: Engine, action: Callable[[], object]) -> None:
    """Do *action* when what is being written is committed: at once, or at the end of :func:`together`."""
    around = _around.get()
    if around is not None and around.engine is engine:
        around.after.append(action)
    else:
        action()


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Read one unchanging state of the database, without waiting for a writer."""
    around = _around.get()
    if around is not None and around.engine is engine:
        yield around.connection
        return
    with told(engine), engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            yield connection


@contextmanager
def joined(engine: Engine, connection: Connection | None) -> Iterator[Connection]:
    """The caller's transaction where there is one, else one of its own."""
    if connection is not None:
        yield connection
    else:
        with transaction(engine) as own:
            yield own


def prepare(engine: Engine, *tables: Table) -> None:
    """Make those of *tables*, and of their columns, that are not there yet.

    A column that an older release did not have is added where it may be empty; anything else that changes is a step of
    :mod:`trunkline.store.migrations`.
    """
    if _lacking(_present(engine), tables):
        with transaction(engine) as connection:
            _make(connection, tables)
        _known.pop(engine, None)


_known: WeakKeyDictionary[Engine, dict[str, set[str]]] = WeakKeyDictionary()
"""The columns of each table as an engine last saw them: a dozen modules ask for theirs when a workspace is opened."""


def _present(engine: Engine) -> dict[str, set[str]]:
    if engine not in _known:
        with reading(engine) as connection:
            _known[engine] = columns_of(connection)
    return _known[engine]


def columns_of(connection: Connection) -> dict[str, set[str]]:
    """Every table that is there, with the names of its columns."""
    schema = postgres.schema_of(connection.engine)
    if schema is None:
        query, given = "SELECT m.name, p.name FROM sqlite_master m JOIN pragma_table_info(m.name) p WHERE m.type = 'table'", {}
    else:
        query, given = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = :schema", {"schema": schema}
    found: dict[str, set[str]] = {}
    for table, column in connection.execute(text(query), given):
        if not table.startswith("sqlite_"):
            found.setdefault(table, set()).add(column)
    return found


def _lacking(present: dict[str, set[str]], tables: tuple[Table, ...]) -> list[Table]:
    return [table for table in tables if not {column.name for column in table.columns} <= present.get(table.name, set())]


def _make(connection: Connection, tables: tuple[Table, ...]) -> None:
    schema = postgres.schema_of(connection.engine)
    if schema is not None:
        postgres.make_schema(connection, schema)
    present = columns_of(connection)
    made = _by_code_point(tables) if schema is not None else list(tables)
    metadata_of = made[0].metadata if made else metadata
    metadata_of.create_all(connection, tables=[table for table in made if table.name not in present], checkfirst=False)
    for table in made:
        for column in table.columns if table.name in present else ():
            if column.name not in present[table.name]:
                _add_column(connection, table, column)


def _by_code_point(tables: tuple[Table, ...]) -> list[Table]:
    """*tables* with texts that sort by their bytes, as in SQLite and whatever the language of the server is: times and ids are texts."""
    copies = MetaData()
    for table in metadata.tables.values():
        for column in table.to_metadata(copies).columns:
            if isinstance(getattr(column.type, "impl_instance", column.type), String | Text):
                column.type = Text(collation="C")
    return [copies.tables[table.name] for table in tables]


def _add_column(connection: Connection, table: Table, column: Column[Any]) -> None:
    if not column.nullable and column.server_default is None:
        raise WorkspaceError(
            f"The table '{table.name}' lacks the column '{column.name}', which may not be empty.",
            where=str(connection.engine.url.database),
            next_step="This is a fault of Trunkline: a step in store/migrations.py is missing. Open it with the release that wrote it.",
        )
    connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {CreateColumn(column).compile(dialect=connection.dialect)}"))
    for index in table.indexes:
        if column.name in index.columns:
            index.create(connection)


def _set_up(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin transactions on its own: _begin does
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_MS}"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get(WRITES, 'DEFERRED')}")
