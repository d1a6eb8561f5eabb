"""A workspace's tables in PostgreSQL, each workspace in a schema of its own.

``postgresql://user@host/database?schema=north``: the schema is "trunkline" where none is named. The password comes from
``PGPASSWORD`` or ``.pgpass``, as for every client of PostgreSQL.

Writers of one workspace take turns by an advisory lock, named after the schema and held to the end of the transaction.
So what a writer has read is still true when it commits, as with ``BEGIN IMMEDIATE`` of SQLite, and no transaction is ever
refused for what another one did at the same time. SERIALIZABLE would give the same by letting writers fail and repeat;
a journal, which all of them extend at its one end, would make every pair of them fail.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from trunkline.core.errors import BadInput, WorkspaceError
from trunkline.core.extras import need

SCHEMA = "trunkline"
"""Where tables lie unless the URL names another schema."""

CONNECT_S = 10
"""How long a connection may take to come about, in seconds."""

_SCHEMA_OF = "trunkline_schema"


def connect(where: str, *, wait_ms: int) -> Engine:
    """An engine for the database at the URL *where*; nothing is asked of the server yet.

    Parameters
    ----------
    where
        ``postgresql://…`` or ``postgresql+psycopg://…``, with ``schema`` among its options.
    wait_ms
        How long a writer waits for its turn.

    Raises
    ------
    MissingExtra
        psycopg is not installed.
    BadInput
        It is no such URL, or the schema no plain name.
    """
    url = _url(where)
    need("psycopg", extra="postgres")
    schema = str(url.query.get("schema", SCHEMA))
    if not schema.isidentifier() or not schema.isascii() or len(schema) > 63 or schema.startswith("pg_") or schema != schema.lower():
        raise BadInput(f"'{schema}' is no name for the schema of a workspace.", allowed="lower-case letters, digits and '_', a letter first, 63 at most")
    engine = create_engine(
        url.difference_update_query(["schema"]),
        pool_pre_ping=True,  # a connection that the server dropped meanwhile is made anew before it is used
        connect_args={"connect_timeout": CONNECT_S, "application_name": "trunkline", "client_encoding": "utf8"},
        execution_options={_SCHEMA_OF: schema},
        hide_parameters=True,
    )
    event.listen(engine, "connect", lambda connection, _record: _set_up(connection, schema, wait_ms))
    return engine


def _url(where: str) -> URL:
    try:
        url = make_url(where)
    except (ArgumentError, ValueError):
        url = None  # what is wrong with it is not repeated: it may hold a password
    if url is None or url.drivername not in {"postgresql", "postgresql+psycopg"} or not url.database:
        raise BadInput("This is no address of a PostgreSQL database.", allowed="postgresql://USER@HOST:PORT/DATABASE?schema=NAME")
    return url.set(drivername="postgresql+psycopg")


def schema_of(engine: Engine) -> str | None:
    """The schema in which *engine* keeps its tables; None where it is not PostgreSQL."""
    named: str | None = engine.get_execution_options().get(_SCHEMA_OF)
    return named


def take_turn(connection: Connection, schema: str) -> None:
    """Wait until no other writer of this workspace is at work; at the end of the transaction the next one is."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": turn_key(schema)})


def turn_key(schema: str) -> int:
    """The number of the lock that writers of *schema* take turns by."""
    return int.from_bytes(sha256(f"trunkline writers of {schema}".encode()).digest()[:8], "big", signed=True)


def make_schema(connection: Connection, schema: str) -> None:
    """Make the schema where it is not there yet."""
    there = connection.execute(text("SELECT 1 FROM pg_namespace WHERE nspname = :name"), {"name": schema}).first()
    if there is None:
        connection.execute(text(f'CREATE SCHEMA "{schema}"'))


def check_durable(connection: Connection) -> None:
    """Refuse a server that forgets what it acknowledged.

    Raises
    ------
    WorkspaceError
        ``fsync`` or ``full_page_writes`` is off.
    """
    off = [name for name in ("fsync", "full_page_writes") if connection.execute(text("SELECT current_setting(:name)"), {"name": name}).scalar() != "on"]
    if off:
        raise WorkspaceError(
            f"This server loses what it acknowledged when the power fails: {' and '.join(off)} is off.",
            where=connection.engine.url.render_as_string(hide_password=True),
            allowed="fsync = on and full_page_writes = on",
            next_step="Turn it on in postgresql.conf, or use another server.",
        )


def _set_up(connection: Any, schema: str, wait_ms: int) -> None:
    before, connection.autocommit = connection.autocommit, True
    with connection.cursor() as cursor:
        cursor.execute(f"SET search_path TO \"{schema}\"; SET TIME ZONE 'UTC'; SET lock_timeout = {int(wait_ms)}")
        cursor.execute("SELECT current_setting('synchronous_commit')")
        if cursor.fetchone()[0] not in {"on", "remote_apply"}:
            cursor.execute("SET synchronous_commit = on")
    connection.autocommit = before
