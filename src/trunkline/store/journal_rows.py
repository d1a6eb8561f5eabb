"""How entries and checkpoints rest in the database, and how they get there and back in bulk.

A row holds its entry, its leaf hash and the interior nodes which it completed, so appending and proving read about
``log2(size)`` rows. A group goes in past the mapping layer: SQLite gets many rows in one statement, PostgreSQL a COPY.
Measured, of some 8 us an entry: one row at a time through the mapping layer costs 12 us more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Index, Integer, LargeBinary, String, Table, func, select
from sqlalchemy.exc import DatabaseError, IntegrityError

from trunkline.core.errors import Tampered
from trunkline.store.database import metadata
from trunkline.store.merkle import EMPTY_ROOT, Node
from trunkline.store.postgres import schema_of, take_turn
from trunkline.store.verification import CheckpointRow, EntryRow

NUMBER = BigInteger().with_variant(Integer, "sqlite")
"""Of entries; only INTEGER is SQLite's own row number."""

entries = Table(
    "journal_entries",
    metadata,
    Column("seq", NUMBER, primary_key=True, autoincrement=False),
    Column("kind", String, nullable=False),
    Column("entry", LargeBinary, nullable=False),  # the canonical bytes
    Column("leaf", LargeBinary, nullable=False),
    Column("above", LargeBinary),  # interior nodes this entry completed, the lowest first; null for every other entry
    Index("journal_entries_by_kind", "kind", "seq"),
)

checkpoints = Table(
    "journal_checkpoints",
    metadata,
    Column("size", NUMBER, primary_key=True, autoincrement=False),
    Column("since", NUMBER, nullable=False),  # size of the checkpoint before
    Column("root", LargeBinary, nullable=False),
    Column("at", String, nullable=False),
    Column("key", String, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("leaves", LargeBinary, nullable=False),  # leaf hashes of entries since..size-1
)

_c = checkpoints.c
_NEWEST = select(_c.size, _c.root, _c.at, _c.key, _c.signature).order_by(_c.size.desc()).limit(1)
_ROW = select(entries.c.seq, entries.c.kind, entries.c.entry, entries.c.leaf, entries.c.above)
_COLUMNS = "seq, kind, entry, leaf, above"
_AT_ONCE = 64  # rows in one statement; more gain nothing
_AHEAD = 4096  # rows read at once when verifying, some 4 MB
_READ_AT_ONCE, _SEALED_AT_ONCE = 2000, 100
_END = "SELECT size, root FROM journal_checkpoints ORDER BY size DESC LIMIT 1"
_SEAL = {
    name: f"INSERT INTO journal_checkpoints (size, since, root, at, key, signature, leaves) VALUES ({', '.join([sign] * 7)})"  # noqa: S608
    for name, sign in (("sqlite", "?"), ("postgresql", "%s"))
}


def wait_for_turn(connection: Connection) -> None:
    """Be the only writer until this transaction ends, also where it is none of ours: two must not continue the same end."""
    if (schema := schema_of(connection.engine)) is not None:
        take_turn(connection, schema)


def write(connection: Connection, since: int, kinds: Sequence[str], texts: Sequence[bytes], leaves: Sequence[bytes], above: Sequence[bytes | None]) -> None:
    """Add the entries from number *since* on.

    Raises
    ------
    IntegrityError
        One of these numbers is taken.
    """
    with _driver(connection) as cursor:
        if connection.dialect.name == "postgresql":
            with cursor.copy(f"COPY journal_entries ({_COLUMNS}) FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(["int8", "varchar", "bytea", "bytea", "bytea"])
                for row in zip(range(since, since + len(texts)), kinds, texts, leaves, above, strict=True):
                    copy.write_row(row)
            return
        values: list[Any] = [None] * (5 * len(texts))
        values[0::5], values[1::5] = range(since, since + len(texts)), kinds
        # The driver looks for adapters of bytes and of nothing else that we hand it: as bytearray a row costs 1 us less.
        values[2::5], values[3::5], values[4::5] = map(bytearray, texts), map(bytearray, leaves), [up and bytearray(up) for up in above]
        whole = len(values) - len(values) % (5 * _AT_ONCE)
        for start in range(0, whole, 5 * _AT_ONCE):
            cursor.execute(_insert(_AT_ONCE), values[start : start + 5 * _AT_ONCE])
        for start in range(whole, len(values), 5):
            cursor.execute(_insert(1), values[start : start + 5])


@cache
def _insert(rows: int) -> str:
    return f"INSERT INTO journal_entries ({_COLUMNS}) VALUES " + ", ".join(["(?, ?, ?, ?, ?)"] * rows)  # noqa: S608 - of constants


def seal(connection: Connection, size: int, since: int, root: bytes, at: str, key: str, signature: bytes, leaves: bytes) -> None:
    """Add the checkpoint over the entries written."""
    with _driver(connection) as cursor:
        cursor.execute(_SEAL[connection.dialect.name], (size, since, root, at, key, signature, leaves))


def end_of(connection: Connection) -> tuple[int, bytes]:
    """Size and root of the newest checkpoint: nothing but what tells whether the log went on."""
    with _driver(connection) as cursor:
        found = cursor.execute(_END).fetchone()
    return (0, EMPTY_ROOT) if found is None else (found[0], found[1])


@contextmanager
def _driver(connection: Connection) -> Iterator[Any]:
    """A cursor of the driver itself, inside the connection's transaction; what it raises is what the mapping layer would."""
    connection.get_transaction() or connection.begin()
    driver = connection.dialect.loaded_dbapi
    cursor = connection.connection.cursor()
    try:
        yield cursor
    except driver.IntegrityError as taken:
        raise IntegrityError("journal", None, taken) from taken
    except driver.Error as failed:
        raise DatabaseError("journal", None, failed) from failed
    finally:
        cursor.close()


def newest(connection: Connection) -> Any:
    """``size, root, at, key, signature`` of the newest checkpoint, None where there is none."""
    return connection.execute(_NEWEST).one_or_none()


def size_of(connection: Connection) -> int:
    """How many entries the newest checkpoint covers."""
    return int(connection.execute(select(func.coalesce(func.max(checkpoints.c.size), 0))).scalar_one())


def node_in(connection: Connection) -> Node:
    """Stored hashes of complete subtrees: the entry that completed one carries it."""

    def node(level: int, index: int) -> bytes:
        seq = ((index + 1) << level) - 1
        row = connection.execute(select(entries.c.leaf, entries.c.above).where(entries.c.seq == seq)).one_or_none()
        found = b"" if row is None else row.leaf if level == 0 else (row.above or b"")[32 * (level - 1) : 32 * level]
        if len(found) != 32:
            raise Tampered(f"The journal lacks the hashes of entry {seq}.", where="table journal_entries", next_step="trunkline audit verify")
        return bytes(found)

    return node


def sealed(connection: Connection, since: int = -1) -> Iterator[CheckpointRow]:
    """The checkpoints of more than *since* entries, in order."""
    query = select(_c.size, _c.since, _c.root, _c.at, _c.key, _c.signature, _c.leaves).order_by(_c.size).limit(_SEALED_AT_ONCE)
    while rows := connection.execute(query.where(_c.size > since)).all():
        yield from map(CheckpointRow._make, rows)
        since = rows[-1].size


def pages(connection: Connection, kind: str | None = None, since: int = 0, limit: int | None = None) -> Iterator[list[Any]]:
    """The bytes of the entries from number *since* on, in order, some thousand at once; of one *kind*, at most *limit*, where given.

    In pages and not by a cursor on the server, which somebody who stops reading would leave open.
    """
    query = select(entries.c.seq, entries.c.entry).order_by(entries.c.seq)
    if kind is not None:
        query = query.where(entries.c.kind == kind)
    while limit is None or limit > 0:
        wanted = _READ_AT_ONCE if limit is None else min(limit, _READ_AT_ONCE)
        result: Any = connection.execute(query.where(entries.c.seq >= since).limit(wanted))
        rows = result.cursor.fetchall()  # the driver's own tuples: half the time
        result.close()
        yield [row[1] for row in rows]
        if len(rows) < wanted:
            return
        since = rows[-1][0] + 1
        limit = None if limit is None else limit - len(rows)


class Ahead:
    """Reads entries group after group, some thousand at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self._since, self._size, self._next = 0, 0, 0

    def between(self, since: int, size: int) -> Sequence[EntryRow]:
        """Entries with since <= seq < size, in the order of seq."""
        if since < self._since or size > self._size:
            self._since, self._size, self._next = since, max(size, since + _AHEAD), 0
            query = _ROW.where(entries.c.seq >= since, entries.c.seq < self._size).order_by(entries.c.seq)
            result: Any = self._connection.execute(query)
            self._rows = result.cursor.fetchall()  # the driver's own tuples: half the time
            result.close()
        rows, start = self._rows, self._next
        while start and rows[start - 1][0] >= since:
            start -= 1
        while start < len(rows) and rows[start][0] < since:
            start += 1
        stop = min(start + size - since, len(rows))
        while stop > start and rows[stop - 1][0] >= size:
            stop -= 1
        self._next = stop
        return rows[start:stop]


def outside(connection: Connection, size: int) -> int | None:
    """The first number of an entry that is none of ``0 .. size - 1``."""
    found: int | None = connection.execute(select(func.min(entries.c.seq)).where((entries.c.seq < 0) | (entries.c.seq >= size))).scalar_one()
    return found
