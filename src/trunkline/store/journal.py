"""The journal: what was decided, done and refused, in an order and a wording that nobody can change unseen.

A Merkle log (RFC 6962) in the workspace's database. Every committed group of entries ends with a
checkpoint, the size and root of the log signed by a key that does not lie beside the data. A row holds
its entry, its leaf hash and the interior nodes which it completed, so appending and proving read about
``log2(size)`` rows. A checkpoint also keeps the leaf hashes of its group: the signature vouches for
them, and verification can name the very entry that was changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from sqlalchemy import BigInteger, Column, Connection, Engine, Index, Integer, LargeBinary, String, Table, func, insert, select
from sqlalchemy.exc import IntegrityError

from trunkline.core.clock import Clock, now, utc_text
from trunkline.core.errors import BadInput, Tampered
from trunkline.store.database import joined, metadata, prepare, reading
from trunkline.store.entry import FORMAT, Checkpoint, Entry, InclusionProof, check_kind, checkpoint_message, entry_bytes
from trunkline.store.keys import SigningKey
from trunkline.store.merkle import EMPTY_ROOT, Frontier, Node, consistency_path, inclusion_path, leaf_hash, peaks_of
from trunkline.store.verification import CheckpointRow, EntryRow, Verification, verify_export, verify_log

__all__ = ["Checkpoint", "Entry", "InclusionProof", "Journal", "Verification", "verify_export"]

_NUMBER = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER is SQLite's own row number

entries = Table(
    "journal_entries",
    metadata,
    Column("seq", _NUMBER, primary_key=True, autoincrement=False),
    Column("kind", String, nullable=False),
    Column("entry", LargeBinary, nullable=False),  # the canonical bytes
    Column("leaf", LargeBinary, nullable=False),
    Column("above", LargeBinary),  # interior nodes this entry completed, the lowest first; null for every other entry
    Index("journal_entries_by_kind", "kind", "seq"),
)

checkpoints = Table(
    "journal_checkpoints",
    metadata,
    Column("size", _NUMBER, primary_key=True, autoincrement=False),
    Column("since", _NUMBER, nullable=False),  # size of the checkpoint before
    Column("root", LargeBinary, nullable=False),
    Column("at", String, nullable=False),
    Column("key", String, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("leaves", LargeBinary, nullable=False),  # leaf hashes of entries since..size-1
)


class Journal:
    """The journal of one workspace, open for appending, reading and verifying.

    Parameters
    ----------
    engine
        The database, from :func:`~trunkline.store.database.open_database`.
    signer
        The key that signs checkpoints, from :func:`~trunkline.store.keys.open_key`.
    clock
        Tells the time of entries and checkpoints.

    >>> import tempfile
    >>> from trunkline.store import open_database, open_key
    >>> engine = open_database(Path(tempfile.mkdtemp()) / "trunkline.db")
    >>> journal = Journal(engine, open_key(tempfile.mkdtemp()))
    >>> journal.append("note", {"text": "begun"}).seq, journal.size
    (0, 1)
    >>> journal.verify().ok
    True
    >>> engine.dispose()
    """

    def __init__(self, engine: Engine, signer: SigningKey, clock: Clock = now) -> None:
        self._engine, self._signer, self._clock = engine, signer, clock
        # The log's end as last seen. A rolled-back or foreign append makes the root differ from the database's, and it is read anew.
        self._end: tuple[Frontier, bytes] = (Frontier(), EMPTY_ROOT)
        prepare(engine, entries, checkpoints)

    def append(self, kind: str, body: object, connection: Connection | None = None) -> Entry:
        """Write one entry and its checkpoint; with *connection*, inside that transaction.

        Parameters
        ----------
        kind
            Dotted lower-case words.
        body
            Anything that has a canonical form: mappings, sequences, dataclasses, times, finite numbers.
        connection
            A connection from :func:`~trunkline.store.database.transaction`. The entry is then committed, or rolled back, with
            everything else of that transaction. None makes a transaction of its own: the entry is on the disk on return.

        Raises
        ------
        Tampered
            The end of the log does not match its signed checkpoint; nothing is written.
        """
        return self.append_many([(kind, body)], connection)[0]

    def append_many(self, items: Iterable[tuple[str, object]], connection: Connection | None = None) -> list[Entry]:
        """Write a group of (kind, body) with one checkpoint and one commit: some 50 times cheaper than one by one."""
        with joined(self._engine, connection) as writing:
            return self._append(list(items), writing)

    def checkpoint(self) -> Checkpoint:
        """The newest checkpoint, which covers every entry. Keep it elsewhere, and a journal cut short later is found out."""
        with reading(self._engine) as connection:
            row = connection.execute(select(checkpoints).order_by(checkpoints.c.size.desc()).limit(1)).one_or_none()
        if row is not None:
            return Checkpoint.read({"size": row.size, "root": row.root.hex(), "at": row.at, "key": row.key, "signature": row.signature.hex()})
        at = self._clock()
        message = checkpoint_message(0, EMPTY_ROOT, utc_text(at), self._signer.id)
        return Checkpoint(0, EMPTY_ROOT, at, self._signer.id, self._signer.sign(message))

    @property
    def size(self) -> int:
        """How many entries there are."""
        with reading(self._engine) as connection:
            return _size(connection)

    def root(self, size: int | None = None) -> bytes:
        """The root over all entries, or over the first *size* of them."""
        with reading(self._engine) as connection:
            size = _size_within(connection, size)
            return Frontier(size, (_node(connection)(level, index) for level, index in peaks_of(size))).root()

    def entries(self, kind: str | None = None, since: int = 0, limit: int | None = None) -> Iterator[Entry]:
        """Entries from number *since* on, in order; of one *kind*, at most *limit*, where given."""
        query = select(entries.c.entry).where(entries.c.seq >= since).order_by(entries.c.seq).limit(limit)
        if kind is not None:
            query = query.where(entries.c.kind == kind)
        with reading(self._engine) as connection:
            for (entry,) in connection.execution_options(yield_per=1000).execute(query):
                yield Entry.read(entry)

    def entry(self, seq: int) -> bytes:
        """The bytes of entry *seq*, as hashed."""
        with reading(self._engine) as connection:
            found = connection.execute(select(entries.c.entry).where(entries.c.seq == seq)).scalar_one_or_none()
        if found is None:
            raise BadInput(f"The journal has no entry {seq}.", allowed=f"0 to {self.size - 1}")
        return bytes(found)

    def inclusion_proof(self, seq: int, size: int | None = None) -> InclusionProof:
        """That entry *seq* is in the log (of *size* entries): check it with ``InclusionProof.holds`` against a signed root."""
        with reading(self._engine) as connection:
            size = _size_within(connection, size)
            if not 0 <= seq < size:
                raise BadInput(f"There is no entry {seq} in a journal of {size} entries.", allowed=f"0 to {size - 1}")
            return InclusionProof(seq, size, tuple(inclusion_path(seq, size, _node(connection))))

    def consistency_proof(self, old: int, new: int | None = None) -> tuple[bytes, ...]:
        """That the log of *old* entries is the beginning of the one of *new*: check it with ``merkle.is_consistent``."""
        with reading(self._engine) as connection:
            new = _size_within(connection, new)
            if not 0 <= old <= new:
                raise BadInput(f"A journal of {old} entries is not the beginning of one of {new}.", allowed=f"0 to {new}")
            return tuple(consistency_path(old, new, _node(connection)))

    def verify(self, witness: Checkpoint | None = None) -> Verification:
        """Recompute every hash from the entries' bytes and check every signature.

        Parameters
        ----------
        witness
            A checkpoint kept elsewhere. Without one, a journal cut back to an earlier checkpoint looks like one that never went on.

        Returns
        -------
        Verification
            Where something does not match, ``first_bad`` and ``last_bad`` name the entry, or the narrowest range that can be told.
        """
        with reading(self._engine) as connection:
            return verify_log(
                _checkpoint_rows(connection),
                partial(_rows_between, connection),
                self._signer.public,
                outside=partial(_outside, connection),
                witness=witness,
            )

    def export(self, folder: str | Path) -> Path:
        """Write ``entries.jsonl``, ``checkpoints.jsonl`` and ``public-key.pem`` into *folder*, for an auditor.

        The lines of ``entries.jsonl`` are the very bytes that were hashed; :func:`verify_export` checks the folder alone.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with reading(self._engine) as connection:
            with (folder / "entries.jsonl").open("wb") as file:
                for (entry,) in connection.execution_options(yield_per=10_000).execute(select(entries.c.entry).order_by(entries.c.seq)):
                    file.write((entry if isinstance(entry, bytes) else str(entry).encode()) + b"\n")  # one made text by hand fails the check, not the export
            with (folder / "checkpoints.jsonl").open("wb") as file:
                for row in _checkpoint_rows(connection):
                    message = json.loads(checkpoint_message(row.size, row.root, row.at, row.key))
                    file.write(json.dumps({**message, "signature": row.signature.hex(), "leaves": row.leaves.hex()}).encode() + b"\n")
        (folder / "public-key.pem").write_bytes(self._signer.public_pem)
        return folder

    def _append(self, items: list[tuple[str, object]], connection: Connection) -> list[Entry]:
        if not items:
            return []
        log = self._current(connection)
        since, at = log.size, self._clock()
        at_text = utc_text(at)
        rows, leaves, written = [], [], []
        for seq, (kind, body) in enumerate(items, since):
            entry = entry_bytes(seq, at_text, check_kind(kind), body)
            leaf = leaf_hash(entry)
            rows.append({"seq": seq, "kind": kind, "entry": entry, "leaf": leaf, "above": b"".join(log.add(leaf)) or None})
            leaves.append(leaf)
            written.append(Entry(seq, at, kind, body, FORMAT, leaf))
        root = log.root()
        signature = self._signer.sign(checkpoint_message(log.size, root, at_text, self._signer.id))
        sealed = {"size": log.size, "since": since, "root": root, "at": at_text, "key": self._signer.id, "signature": signature}
        try:
            connection.execute(insert(entries), rows)
            connection.execute(insert(checkpoints), {**sealed, "leaves": b"".join(leaves)})
        except IntegrityError as taken:
            raise Tampered(
                f"The journal holds an entry beyond its last checkpoint, at {since} or later.", where=str(self._engine.url), next_step="trunkline audit verify"
            ) from taken
        self._end = (log, root)
        return written

    def _current(self, connection: Connection) -> Frontier:
        """The end of the log as the database has it, ready to be continued."""
        row = connection.execute(select(checkpoints).order_by(checkpoints.c.size.desc()).limit(1)).one_or_none()
        if row is None:
            return Frontier()
        known, root = self._end
        if (known.size, root) == (row.size, row.root):
            return known.copy()
        node = _node(connection)
        log = Frontier(row.size, [node(level, index) for level, index in peaks_of(row.size)])
        signed = checkpoint_message(row.size, row.root, row.at, row.key)
        if log.root() != row.root or not self._signer.verify(signed, row.signature):
            raise Tampered(
                f"The end of the journal does not match its signed checkpoint of {row.size} entries.",
                where=str(self._engine.url),
                allowed=f"a checkpoint signed by key {self._signer.id}",
                next_step="trunkline audit verify",
            )
        return log


def _size(connection: Connection) -> int:
    return int(connection.execute(select(func.coalesce(func.max(checkpoints.c.size), 0))).scalar_one())


def _size_within(connection: Connection, size: int | None) -> int:
    whole = _size(connection)
    if size is None:
        return whole
    if not 0 <= size <= whole:
        raise BadInput(f"The journal has {whole} entries, not {size}.", allowed=f"0 to {whole}")
    return size


def _node(connection: Connection) -> Node:
    """Stored hashes of complete subtrees: the entry that completed one carries it."""

    def node(level: int, index: int) -> bytes:
        seq = ((index + 1) << level) - 1
        row = connection.execute(select(entries.c.leaf, entries.c.above).where(entries.c.seq == seq)).one_or_none()
        found = b"" if row is None else row.leaf if level == 0 else (row.above or b"")[32 * (level - 1) : 32 * level]
        if len(found) != 32:
            raise Tampered(f"The journal lacks the hashes of entry {seq}.", where="table journal_entries", next_step="trunkline audit verify")
        return bytes(found)

    return node


def _checkpoint_rows(connection: Connection) -> Iterator[CheckpointRow]:
    c = checkpoints.c
    query = select(c.size, c.since, c.root, c.at, c.key, c.signature, c.leaves).order_by(c.size)
    for row in connection.execution_options(yield_per=100).execute(query):
        yield CheckpointRow._make(row)


def _rows_between(connection: Connection, since: int, size: int) -> list[EntryRow]:
    c = entries.c
    query = select(c.seq, c.kind, c.entry, c.leaf, c.above).where(c.seq >= since, c.seq < size).order_by(c.seq)
    return [EntryRow._make(row) for row in connection.execute(query).all()]


def _outside(connection: Connection, size: int) -> int | None:
    found: int | None = connection.execute(select(func.min(entries.c.seq)).where((entries.c.seq < 0) | (entries.c.seq >= size))).scalar_one()
    return found
