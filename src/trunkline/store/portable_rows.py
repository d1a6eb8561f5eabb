"""Rows of a database as lines of JSON that any other database of ours can take in again.

Values go as the database keeps them, not as the code reads them: a line is a list of texts, numbers, true and false,
null, and bytes as ``{"bytes": "…base64…"}``.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from sqlalchemy import Connection, MetaData, Table, column, insert, select, table, text

from trunkline.core.errors import WorkspaceError
from trunkline.store.database import metadata
from trunkline.store.postgres import schema_of

_AT_ONCE = 1000


def tables(connection: Connection) -> list[Table]:
    """Every table that is in the database, as found there."""
    schema = schema_of(connection.engine)
    found = MetaData()
    found.reflect(connection, schema=schema)
    return sorted(found.tables.values(), key=lambda one: one.name)


def lines(connection: Connection, one: Table) -> Iterator[bytes]:
    """The rows of *one*, in the order of its key, a line each."""
    order = list(one.primary_key.columns) or list(one.columns)
    for row in connection.execution_options(yield_per=_AT_ONCE).execute(select(*one.columns).order_by(*order)):
        yield json.dumps([_out(value) for value in row], ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def check_known(names: Iterable[str], columns: dict[str, list[str]]) -> None:
    """Refuse rows of a table or column that this release does not know: it could not keep what they mean."""
    for name in names:
        known = metadata.tables.get(name)
        foreign = [c for c in columns[name] if known is not None and c not in known.columns]
        if known is None or foreign:
            raise WorkspaceError(
                f"The backup holds {f'columns {foreign}' if foreign else 'rows'} of '{name}', which this release of Trunkline does not know.",
                allowed="a backup by this release or an older one",
                next_step="Restore it with the release that made it (backup.json says which).",
            )


def insert_lines(connection: Connection, name: str, columns: list[str], given: Iterable[bytes]) -> int:
    """Put *lines* into the table *name*; how many there were."""
    plain = table(name, *(column(one) for one in columns))
    count = 0
    rest = iter(given)
    while some := list(islice(rest, _AT_ONCE)):
        connection.execute(insert(plain), [dict(zip(columns, map(_in, json.loads(line)), strict=True)) for line in some])
        count += len(some)
    return count


def continue_numbers(connection: Connection) -> None:
    """Have PostgreSQL number new rows after those that were put in with their numbers."""
    if schema_of(connection.engine) is None:
        return
    for known in metadata.sorted_tables:
        numbered = known.autoincrement_column
        if numbered is not None:
            sequence = connection.execute(text("SELECT pg_get_serial_sequence(:table, :column)"), {"table": known.name, "column": numbered.name}).scalar()
            newest = connection.execute(select(numbered).order_by(numbered.desc()).limit(1)).scalar() if sequence else None
            if newest is not None:
                connection.execute(text("SELECT setval(:sequence, :newest)"), {"sequence": sequence, "newest": newest})


def _out(value: Any) -> Any:
    return {"bytes": b64encode(value).decode()} if isinstance(value, bytes | memoryview) else value


def _in(value: Any) -> Any:
    return b64decode(value["bytes"]) if isinstance(value, dict) else value
