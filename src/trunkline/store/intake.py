"""The intake: everything that arrived, in the order it arrived, safe on the disk before it is acknowledged.

Content goes to the blobs, a numbered row goes to the database. Later steps remember how far they
have read (``after(sequence)``) and can always start again. The same content arriving twice, under
whatever name, is one arrival: the second is counted and its name kept.

What cannot be used goes to quarantine with its line and reason, and stays countable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Engine, ForeignKey, Integer, Row, String, Table, UniqueConstraint, delete, func, insert, select, update

from trunkline.core.canonical import content_hash
from trunkline.core.clock import Clock, now, utc_text
from trunkline.core.errors import BadInput
from trunkline.core.plain_file import printable
from trunkline.store.blobs import Blobs
from trunkline.store.database import joined, metadata, prepare, reading, transaction

FORMAT = 1
_NUMBER = BigInteger().with_variant(Integer, "sqlite")
_EXCERPT = 500
WHOLE_FILE = "(the whole file)"
"""How a record begins that is a whole file."""
"""Characters of a bad record that are kept: enough to recognise it, too few to be a second copy of the data."""

arrivals = Table(
    "intake_arrivals",
    metadata,
    Column("sequence", _NUMBER, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("source", String, nullable=False),
    Column("name", String, nullable=False),
    Column("received_at", String, nullable=False),
    Column("size", _NUMBER, nullable=False),
    Column("duplicates", _NUMBER, nullable=False),
    Column("format", Integer, nullable=False),
    sqlite_autoincrement=True,  # a number is never given twice, even after the newest row was removed
)

aliases = Table(
    "intake_aliases",
    metadata,
    Column("sequence", _NUMBER, ForeignKey(arrivals.c.sequence), nullable=False),
    Column("source", String, nullable=False),
    Column("name", String, nullable=False),
    Column("received_at", String, nullable=False),
    UniqueConstraint("sequence", "source", "name"),
)

erased = Table(
    "intake_erased",  # arrivals whose content was taken away for good, and does not come back with the same file
    metadata,
    Column("sequence", _NUMBER, ForeignKey(arrivals.c.sequence), primary_key=True, autoincrement=False),
    Column("at", String, nullable=False),
)

quarantine = Table(
    "intake_quarantine",
    metadata,
    Column("id", String(64), primary_key=True),  # hash of what follows: reading a file again does not count its faults again
    Column("sequence", _NUMBER, ForeignKey(arrivals.c.sequence)),
    Column("file", String, nullable=False),
    Column("line", _NUMBER),
    Column("reason", String, nullable=False, index=True),
    Column("excerpt", String, nullable=False),
    Column("at", String, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One content that arrived.

    Parameters
    ----------
    sequence
        Its number, from 1, growing in the order of arrival. Numbers are never given twice; there may be gaps.
    id
        Hex SHA-256 of the content, its id in the blobs.
    source
        The feed it first came from.
    name
        The name it first came under; empty for an event.
    received_at
        When it first came, aware UTC.
    size
        Bytes.
    is_new
        False where this content had arrived before.
    """

    sequence: int
    id: str
    source: str
    name: str
    received_at: datetime
    size: int
    is_new: bool = True


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One record that could not be used: which file and line, why, and how it begins."""

    file: str
    line: int | None
    reason: str
    excerpt: str
    at: datetime
    sequence: int | None


class Intake:
    """The intake of one workspace.

    Parameters
    ----------
    engine
        The database.
    blobs
        Where contents go.
    clock
        Tells the time of quarantine rows; times of arrival are given with the arrival.

    >>> import tempfile
    >>> from datetime import UTC
    >>> from trunkline.store import Blobs, open_database
    >>> folder = Path(tempfile.mkdtemp())
    >>> intake = Intake(open_database(folder / "trunkline.db"), Blobs(folder / "blobs"))
    >>> first = intake.accept("alarms", b"LINK DOWN", datetime(2026, 11, 20, 14, tzinfo=UTC))
    >>> again = intake.accept("alarms", b"LINK DOWN", datetime(2026, 11, 20, 15, tzinfo=UTC))
    >>> first.sequence, again.sequence, again.is_new, intake.duplicates()
    (1, 1, False, 1)
    """

    def __init__(self, engine: Engine, blobs: Blobs, clock: Clock = now) -> None:
        self._engine, self.blobs, self._clock = engine, blobs, clock
        prepare(engine, arrivals, aliases, quarantine, erased)

    def accept(self, source: str, payload: bytes | Path, received_at: datetime, *, name: str | None = None) -> Arrival:
        """Take in one event or file; when this returns it is on the disk.

        Parameters
        ----------
        source
            The feed it comes from.
        payload
            The bytes of an event, or the path of a file.
        received_at
            When it came, aware.
        name
            What it is called; a file's path where not given.

        Returns
        -------
        Arrival
            The first arrival of this content, ``is_new`` telling whether that is this one. Content is compared, not names:
            an event source that may send two equal events on purpose must put a number or time into them.
        """
        return self.accept_many([(source, payload, received_at, name)])[0]

    def accept_many(self, items: Iterable[tuple[str, bytes | Path, datetime, str | None]]) -> list[Arrival]:
        """Take in a group of (source, payload, received_at, name) with one commit: all of them are on the disk on return."""
        given = list(items)
        blobs = self.blobs.put_all(payload for _, payload, _, _ in given)
        stored = [
            (blob, source, printable(name if name is not None else str(payload) if isinstance(payload, Path) else ""), utc_text(received_at), size)
            for (source, payload, received_at, name), (blob, size) in zip(given, blobs, strict=True)
        ]
        with transaction(self._engine) as connection:
            known = _known(connection, [row[0] for row in stored])
            new = _enter(connection, [row for row in stored if row[0] not in known])
            taken = [new.pop(row[0]) if row[0] in new else _again(connection, known, row) for row in stored]
            gone = _erased(connection, [arrival.sequence for arrival in taken if not arrival.is_new])
        for arrival in taken:
            if arrival.sequence in gone:
                self.blobs.remove(arrival.id)
        return taken

    def after(self, sequence: int = 0) -> Iterator[Arrival]:
        """Arrivals with a number above *sequence*, in order."""
        query = select(arrivals).where(arrivals.c.sequence > sequence).order_by(arrivals.c.sequence)
        with reading(self._engine) as connection:
            for row in connection.execution_options(yield_per=1000).execute(query):
                yield _arrival(row)

    def erase(self, sequence: int) -> bool:
        """Take away the content of arrival *sequence* for good; its row, with the hash, stays. False where it had been taken away before.

        The same content arriving again is still the same arrival: it is counted, and not kept.
        """
        with transaction(self._engine) as connection:
            blob = connection.execute(select(arrivals.c.id).where(arrivals.c.sequence == sequence)).scalar()
            if blob is None:
                raise BadInput(f"There is no arrival {sequence}.", next_step="trunkline data list")
            is_new = not _erased(connection, [sequence])
            if is_new:
                connection.execute(insert(erased), {"sequence": sequence, "at": utc_text(self._clock())})
                connection.execute(update(quarantine).where(quarantine.c.sequence == sequence, quarantine.c.excerpt != WHOLE_FILE).values(excerpt=""))
        self.blobs.remove(blob)
        return is_new

    def erased(self) -> frozenset[int]:
        """The arrivals whose content was taken away for good."""
        with reading(self._engine) as connection:
            return frozenset(connection.execute(select(erased.c.sequence)).scalars())

    def read(self, arrival: Arrival) -> bytes:
        """The content of an arrival, checked against its hash."""
        return self.blobs.get(arrival.id)

    def duplicates(self) -> int:
        """How often content came that had come before."""
        with reading(self._engine) as connection:
            return int(connection.execute(select(func.coalesce(func.sum(arrivals.c.duplicates), 0))).scalar_one())

    def names(self, sequence: int) -> tuple[str, ...]:
        """Every name under which the content of arrival *sequence* came, the first one first."""
        first = select(arrivals.c.name).where(arrivals.c.sequence == sequence)
        others = select(aliases.c.name).where(aliases.c.sequence == sequence).order_by(aliases.c.received_at, aliases.c.name)
        with reading(self._engine) as connection:
            return tuple(dict.fromkeys([*connection.execute(first).scalars(), *connection.execute(others).scalars()]))

    def quarantine(
        self, what: Arrival | str | Path, *, reason: str, line: int | None = None, excerpt: str | bytes = "", connection: Connection | None = None
    ) -> bool:
        """Put aside one record that cannot be used.

        Parameters
        ----------
        what
            The arrival it was in, or the path of a file that was never accepted.
        reason
            Why, in words that are the same for the same fault, so that they can be counted.
        line
            Line or record number, from 1; None for a whole file.
        excerpt
            How the record begins; at most 500 characters are kept.
        connection
            A transaction to join, for files with many faults.

        Returns
        -------
        bool
            False where exactly this was put aside before.
        """
        sequence, file = (what.sequence, what.name or f"event {what.sequence}") if isinstance(what, Arrival) else (None, printable(what))
        text = (excerpt.decode(errors="backslashreplace") if isinstance(excerpt, bytes) else excerpt)[:_EXCERPT]
        fault = {"sequence": sequence, "file": file, "line": line, "reason": reason, "excerpt": text}
        row = {**fault, "excerpt": text.replace("\x00", "\\x00"), "id": content_hash(fault), "at": utc_text(self._clock())}  # PostgreSQL keeps no NUL in a text
        with joined(self._engine, connection) as writing:
            if writing.execute(select(quarantine.c.id).where(quarantine.c.id == row["id"])).first() is not None:
                return False
            writing.execute(insert(quarantine), row)
        return True

    def refuse(self, what: Arrival | str | Path, *, reason: str, line: int | None = None) -> bool:
        """Put aside a whole file; :meth:`refused` tells of it until it is taken back by :meth:`readmit`."""
        return self.quarantine(what, reason=reason, line=line, excerpt=WHOLE_FILE)

    def refused(self, arrival: Arrival) -> bool:
        """Whether the whole file was put aside, so that nothing of it was kept."""
        return any(one.excerpt == WHOLE_FILE for one in self.quarantined(sequence=arrival.sequence))

    def readmit(self, arrival: Arrival) -> None:
        """Forget that the whole file was put aside: it was read after all."""
        with transaction(self._engine) as connection:
            connection.execute(delete(quarantine).where(quarantine.c.sequence == arrival.sequence, quarantine.c.excerpt == WHOLE_FILE))

    def quarantined(self, *, reason: str | None = None, sequence: int | None = None, limit: int | None = None) -> list[Quarantined]:
        """What was put aside, by file and line; of one *reason* or arrival, at most *limit*, where given."""
        q = quarantine.c
        query = select(q.file, q.line, q.reason, q.excerpt, q.at, q.sequence).order_by(q.sequence, q.file, q.line, q.id).limit(limit)
        if reason is not None:
            query = query.where(q.reason == reason)
        if sequence is not None:
            query = query.where(q.sequence == sequence)
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return [Quarantined(row.file, row.line, row.reason, row.excerpt, datetime.fromisoformat(row.at), row.sequence) for row in rows]

    def quarantine_reasons(self) -> dict[str, int]:
        """How many records were put aside for each reason, the most frequent first."""
        count = func.count().label("faults")
        query = select(quarantine.c.reason, count).group_by(quarantine.c.reason).order_by(count.desc(), quarantine.c.reason)
        with reading(self._engine) as connection:
            return {row.reason: int(row.faults) for row in connection.execute(query)}


def _erased(connection: Connection, sequences: list[int]) -> frozenset[int]:
    return frozenset(connection.execute(select(erased.c.sequence).where(erased.c.sequence.in_(sequences))).scalars()) if sequences else frozenset()


def _known(connection: Connection, blobs: list[str]) -> dict[str, Row[Any]]:
    found: dict[str, Row[Any]] = {}
    for begin in range(0, len(blobs), 500):  # a statement takes so many parameters
        for row in connection.execute(select(arrivals).where(arrivals.c.id.in_(blobs[begin : begin + 500]))):
            found[row.id] = row
    return found


_Stored = tuple[str, str, str, str, int]
"""Blob, source, name, time received, size."""


def _enter(connection: Connection, stored: list[_Stored]) -> dict[str, Arrival]:
    """Number contents that are new, in their order; a content that stands twice has the number of the first."""
    rows: dict[str, dict[str, object]] = {}
    for blob, source, name, received_at, size in stored:
        row = {"id": blob, "source": source, "name": name, "received_at": received_at, "size": size, "duplicates": 0, "format": FORMAT}
        rows.setdefault(blob, row)
    if rows:
        connection.execute(insert(arrivals), list(rows.values()))
    return {blob: _arrival(row) for blob, row in _known(connection, list(rows)).items()}


def _again(connection: Connection, known: dict[str, Row[Any]], row: _Stored) -> Arrival:
    """Count a content that has a number already, and keep the name it came under this time."""
    blob, source, name, received_at, _ = row
    if blob not in known:  # it stood twice in one group
        known |= _known(connection, [blob])
    first = known[blob]
    connection.execute(update(arrivals).where(arrivals.c.id == blob).values(duplicates=arrivals.c.duplicates + 1))
    if (first.source, first.name) != (source, name):
        alias = {"sequence": first.sequence, "source": source, "name": name}
        if connection.execute(select(aliases.c.sequence).filter_by(**alias)).first() is None:
            connection.execute(insert(aliases), {**alias, "received_at": received_at})
    return _arrival(first, is_new=False)


def _arrival(row: Row[tuple[object, ...]], *, is_new: bool = True) -> Arrival:
    return Arrival(row.sequence, row.id, row.source, row.name, datetime.fromisoformat(row.received_at), row.size, is_new)
