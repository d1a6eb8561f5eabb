"""What the workspace knows by name: releases, verdicts, decisions, receipts and outcomes.

The catalogue is the present; the journal is how it came to be. Both are written in one transaction,
so neither can say what the other does not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import polars as pl
from sqlalchemy import Column, Connection, Dialect, Engine, Float, Integer, String, Table, Text, TypeDecorator, insert, select, update

from trunkline.core.canonical import canonical
from trunkline.core.clock import utc_text
from trunkline.core.errors import BadInput, WorkspaceError
from trunkline.core.frames import TIME
from trunkline.store.database import columns_of, metadata, prepare, reading, transaction

FORMAT = 2
"""Of the catalogue, and with it of the workspace; how an older one is brought here is in :mod:`trunkline.store.migrations`."""


class Instant(TypeDecorator[datetime]):
    """An aware instant as ISO 8601 text in UTC: it sorts, it is readable, and every database keeps it."""

    impl = String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - the library's signature
        return None if value is None else utc_text(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else datetime.fromisoformat(value).astimezone(UTC)


class Canonical(TypeDecorator[Any]):
    """A plain value as canonical JSON text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else canonical(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        return None if value is None else msgspec.json.decode(value)


meta = Table("meta", metadata, Column("key", String, primary_key=True), Column("value", String, nullable=False))

releases = Table(
    "releases",
    metadata,
    Column("id", String, primary_key=True),
    Column("workflow", String, nullable=False, index=True),
    Column("state", String, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("model", String, nullable=False),  # blob of the signed model file
    Column("verdict", String),  # joint verdict of its gates, None before they ran
    Column("waiver", String),
    Column("body", Canonical, nullable=False),  # the Release, field by field
    Column("card", Canonical, nullable=False),  # what training recorded by itself: metrics, gates, held-out span
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", String, primary_key=True),
    Column("workflow", String, nullable=False),
    Column("release", String, nullable=False),
    Column("mode", String, nullable=False),
    Column("state", String, nullable=False, index=True),  # open, approved, rejected, undone, expired, advised, done, shadow
    Column("action", String, nullable=False),
    Column("target", String, nullable=False, index=True),
    Column("confidence", Float, nullable=False),
    Column("propensity", Float, nullable=False),
    Column("at", Instant, nullable=False, index=True),
    Column("until", Instant, nullable=False),
    Column("known_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("route", String, nullable=False),  # the team it was proposed to
    Column("body", Canonical, nullable=False),  # reasons, detail, the row it was taken on, receipt
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=True),
    Column("decision", String, nullable=False, index=True),
    Column("verdict", String, nullable=False),
    Column("at", Instant, nullable=False),
    Column("by", String, nullable=False),
    Column("note", String, nullable=False),
)

states = Table(
    "decide_states",
    metadata,
    Column("release", String, primary_key=True),
    Column("mode", String, primary_key=True),
    Column("body", Canonical, nullable=False),
)

TABLES = (meta, releases, decisions, outcomes, states)


def open_catalogue(engine: Engine) -> None:
    """Make the tables where they are not there yet, and refuse a workspace of a newer format; an older one is left to the migrations."""
    found = format_of(engine)
    if found is not None and not 1 <= found <= FORMAT:
        raise WorkspaceError(
            f"This workspace is of format {found}, which a newer release of Trunkline wrote.",
            allowed=f"formats 1 to {FORMAT}",
            next_step="Upgrade with: pip install --upgrade trunkline. Or restore a backup that this release wrote.",
        )
    prepare(engine, *TABLES)
    if found is None:
        with transaction(engine) as connection:
            add(connection, meta, key="format", value=str(FORMAT))


def format_of(engine: Engine) -> int | None:
    """The format of the workspace in this database; None where there is none."""
    with reading(engine) as connection:
        if "meta" not in columns_of(connection):
            return None
        found = connection.execute(select(meta.c.value).where(meta.c.key == "format")).scalar()
    return None if found is None else int(found) if found.isdigit() else 0


def told(engine: Engine, key: str) -> str | None:
    """What is kept under *key* of the few things a workspace knows of itself."""
    with reading(engine) as connection:
        found: str | None = connection.execute(select(meta.c.value).where(meta.c.key == key)).scalar()
    return found


def loaded_through(engine: Engine) -> int:
    """The number of the last arrival whose content is kept in the lake."""
    with reading(engine) as connection:
        return int(connection.execute(select(meta.c.value).where(meta.c.key == "loaded")).scalar() or 0)


def set_loaded_through(engine: Engine, sequence: int) -> None:
    """Remember that everything up to arrival *sequence* is kept; it never goes back."""
    with transaction(engine) as connection:
        known = connection.execute(select(meta.c.value).where(meta.c.key == "loaded")).scalar()
        if known is None:
            connection.execute(insert(meta).values(key="loaded", value=str(sequence)))
        elif int(known) < sequence:
            connection.execute(update(meta).where(meta.c.key == "loaded").values(value=str(sequence)))


def set_loaded_back(connection: Connection, sequence: int) -> None:
    """Have everything after arrival *sequence* read again: the end of a table was torn, and what it held is in the intake."""
    known = connection.execute(select(meta.c.value).where(meta.c.key == "loaded")).scalar()
    if known is not None and int(known) > sequence:
        connection.execute(update(meta).where(meta.c.key == "loaded").values(value=str(sequence)))


def add(connection: Connection, table: Table, **values: Any) -> bool:
    """Add a row unless its key is there; says whether it was new.

    Raises
    ------
    BadInput
        A number is not finite: a database keeps NaN as nothing, or as itself, or not at all.
    """
    _check_finite(table, values)
    keys = [column for column in table.primary_key.columns if column.name in values]
    if keys and connection.execute(select(keys[0]).where(*(c == values[c.name] for c in keys))).first():
        return False
    connection.execute(insert(table).values(**values))
    return True


def change(connection: Connection, table: Table, key: str, **values: Any) -> None:
    """Change the row whose ``id`` is *key*."""
    _check_finite(table, values)
    connection.execute(update(table).where(table.c.id == key).values(**values))


def _check_finite(table: Table, values: Mapping[str, Any]) -> None:
    wrong = [name for name, value in values.items() if isinstance(value, float) and not math.isfinite(value)]
    if wrong:
        raise BadInput(f"A value of {table.name} is no finite number: {', '.join(wrong)}.", where=f"table {table.name}", allowed="finite numbers, or None")


def rows(engine: Engine, table: Table, *where: Any, order_by: Any = None, limit: int | None = None) -> list[Mapping[str, Any]]:
    """Rows of *table* as mappings."""
    query = select(table).where(*where).limit(limit)
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(query.order_by(order_by) if order_by is not None else query).mappings()]


def frame(found: list[Mapping[str, Any]], columns: list[str]) -> pl.DataFrame:
    """Rows as a frame; instants become UTC times, an empty list keeps its columns."""
    data = {name: [row[name] for row in found] for name in columns}
    return pl.DataFrame(data, schema_overrides={name: TIME for name in columns if name in {"at", "until", "known_at", "expires_at", "made_at", "changed_at"}})


__all__ = ["FORMAT", "TABLES", "add", "change", "decisions", "format_of", "frame", "meta", "open_catalogue", "outcomes", "releases", "rows", "states"]
