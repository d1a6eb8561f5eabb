"""The journal: what was decided, done and refused, in an order and a wording that nobody can change unseen.

A Merkle log (RFC 6962) in the workspace's database. Every committed group of entries ends with a
checkpoint, the size and root of the log signed by a key that does not lie beside the data. A row holds
its entry, its leaf hash and the interior nodes which it completed, so appending and proving read about
``log2(size)`` rows. A checkpoint also keeps the leaf hashes of its group: the signature vouches for
them, and verification can name the very entry that was changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import IntegrityError

from trunkline.core.clock import Clock, now, utc_text
from trunkline.core.errors import BadInput, Tampered
from trunkline.store import witness as witnesses
from trunkline.store.database import joined, prepare, reading
from trunkline.store.entry import Appended, Checkpoint, Entry, InclusionProof, checkpoint_message, group_bytes
from trunkline.store.journal_rows import Ahead, checkpoints, end_of, entries, newest, node_in, outside, pages, seal, sealed, size_of, wait_for_turn, write
from trunkline.store.keys import PublicKey, SigningKey
from trunkline.store.merkle import EMPTY_ROOT, Frontier, consistency_path, inclusion_path, leaf_hashes, peaks_of
from trunkline.store.verification import Verification, verify_export, verify_log
from trunkline.store.verify_halves import are_good

__all__ = ["Checkpoint", "Entry", "InclusionProof", "Journal", "Verification", "verify_export"]


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
    witness
        Where checkpoints are kept outside: a file on other storage or a URL, see :mod:`trunkline.store.witness`.

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

    def __init__(self, engine: Engine, signer: SigningKey, clock: Clock = now, witness: str = "") -> None:
        self._engine, self._signer, self._clock, self._witness = engine, signer, clock, witness
        # The log's end as last seen. A rolled-back or foreign append makes the root differ from the database's, and it is read anew.
        self._end: tuple[Frontier, bytes] = (Frontier(), EMPTY_ROOT)
        prepare(engine, entries, checkpoints, witnesses.told)

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

    def append_many(self, items: Iterable[tuple[str, object]], connection: Connection | None = None) -> Sequence[Entry]:
        """Write a group of (kind, body) with one checkpoint and one commit: some 50 times cheaper than one by one."""
        with joined(self._engine, connection) as writing:
            return self._append(list(items), writing)

    def checkpoint(self) -> Checkpoint:
        """The newest checkpoint, which covers every entry. Keep it elsewhere, and a journal cut short later is found out."""
        with reading(self._engine) as connection:
            row = newest(connection)
        if row is not None:
            return Checkpoint.of(row)
        at = self._clock()
        message = checkpoint_message(0, EMPTY_ROOT, utc_text(at), self._signer.id)
        return Checkpoint(0, EMPTY_ROOT, at, self._signer.id, self._signer.sign(message))

    @property
    def size(self) -> int:
        """How many entries there are."""
        with reading(self._engine) as connection:
            return size_of(connection)

    @property
    def public_key(self) -> PublicKey:
        """The public half of the key that signs it."""
        return self._signer.public

    def root(self, size: int | None = None) -> bytes:
        """The root over all entries, or over the first *size* of them."""
        with reading(self._engine) as connection:
            size = _size_within(connection, size)
            return Frontier(size, (node_in(connection)(level, index) for level, index in peaks_of(size))).root()

    def entries(self, kind: str | None = None, since: int = 0, limit: int | None = None) -> Iterator[Entry]:
        """Entries from number *since* on, in order; of one *kind*, at most *limit*, where given."""
        with reading(self._engine) as connection:
            for page in pages(connection, kind, since, limit):
                yield from map(Entry.read, page)

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
            return InclusionProof(seq, size, tuple(inclusion_path(seq, size, node_in(connection))))

    def consistency_proof(self, old: int, new: int | None = None) -> tuple[bytes, ...]:
        """That the log of *old* entries is the beginning of the one of *new*: check it with ``merkle.is_consistent``."""
        with reading(self._engine) as connection:
            new = _size_within(connection, new)
            if not 0 <= old <= new:
                raise BadInput(f"A journal of {old} entries is not the beginning of one of {new}.", allowed=f"0 to {new}")
            return tuple(consistency_path(old, new, node_in(connection)))

    def verify(self, witness: Checkpoint | Iterable[Checkpoint] | None = None) -> Verification:
        """Recompute every hash from the entries' bytes, check every signature, and compare with what is kept outside.

        Parameters
        ----------
        witness
            Checkpoints kept elsewhere; by default those in the configured witness, where it is a file. Without any, a journal cut
            back to an earlier checkpoint looks like one that never went on, and ``witnessed`` is None.

        Returns
        -------
        Verification
            Where something does not match, ``first_bad`` and ``last_bad`` name the entry, or the narrowest range that can be told.

        Raises
        ------
        BadFile
            The configured witness was given checkpoints and cannot be read.
        """
        given = 0  # entries that the configured witness must know of
        if witness is None and self._witness and not witnesses.is_url(self._witness):
            given = self.witness().size
            if given or Path(self._witness).exists():
                witness = witnesses.read(self._witness)
        with reading(self._engine) as connection:
            found = verify_log(
                sealed(connection),
                Ahead(connection).between,
                self._signer.public,
                outside=partial(outside, connection),
                witness=witness,
                is_hashed=are_good(connection, self._signer.public),
            )
        if found.ok and (found.witnessed or 0) < given <= found.entries:
            why = f"the witness was given a checkpoint of {given} entries and knows of {found.witnessed or 0}: it was shortened or emptied"
            return replace(found, ok=False, first_bad=found.witnessed or 0, last_bad=given - 1, why=why)
        return found

    def witness(self) -> witnesses.Witness:
        """What the configured witness has been told, and what waits for it."""
        return witnesses.state(self._engine, self._witness)

    def send_witness(self, *, again: bool = False) -> witnesses.Witness:
        """Give the configured witness the checkpoints that it was not given yet; with *again*, all of them.

        The service calls it each second. Nothing is appended here and nothing waits for it.

        Raises
        ------
        WorkspaceError
            The witness cannot be reached or written, or lost what it was given. What waits goes on waiting.
        """
        return witnesses.send(self._engine, self._witness, self._clock, again=again)

    def export(self, folder: str | Path) -> Path:
        """Write ``entries.jsonl``, ``checkpoints.jsonl`` and ``public-key.pem`` into *folder*, for an auditor.

        The lines of ``entries.jsonl`` are the very bytes that were hashed; :func:`verify_export` checks the folder alone.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with reading(self._engine) as connection:
            with (folder / "entries.jsonl").open("wb") as file:
                for page in pages(connection):
                    # One made text by hand fails the check, not the export.
                    file.write(b"\n".join([*(one if isinstance(one, bytes) else str(one).encode() for one in page), b""]))
            with (folder / "checkpoints.jsonl").open("wb") as file:
                for row in sealed(connection):
                    message = json.loads(checkpoint_message(row.size, row.root, row.at, row.key))
                    file.write(json.dumps({**message, "signature": row.signature.hex(), "leaves": row.leaves.hex()}).encode() + b"\n")
        (folder / "public-key.pem").write_bytes(self._signer.public_pem)
        return folder

    def _append(self, items: list[tuple[str, object]], connection: Connection) -> Sequence[Entry]:
        if not items:
            return []
        wait_for_turn(connection)
        log = self._current(connection)
        since, at = log.size, self._clock()
        at_text = utc_text(at)
        written = group_bytes(since, at_text, items)
        leaves = leaf_hashes(written)
        above = log.extend(leaves)
        root = log.root()
        signature = self._signer.sign(checkpoint_message(log.size, root, at_text, self._signer.id))
        try:
            write(connection, since, [kind for kind, _ in items], written, leaves, above)
            seal(connection, log.size, since, root, at_text, self._signer.id, signature, b"".join(leaves))
        except IntegrityError as taken:
            raise Tampered(
                f"The journal holds an entry beyond its last checkpoint, at {since} or later.", where=str(self._engine.url), next_step="trunkline audit verify"
            ) from taken
        self._end = (log, root)
        return Appended(since, at, items, leaves)

    def _current(self, connection: Connection) -> Frontier:
        """The end of the log as the database has it, ready to be continued."""
        known, root = self._end
        if (known.size, root) == end_of(connection):
            return known.copy()
        row = newest(connection)
        if row is None:
            return Frontier()
        node = node_in(connection)
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


def _size_within(connection: Connection, size: int | None) -> int:
    whole = size_of(connection)
    if size is None:
        return whole
    if not 0 <= size <= whole:
        raise BadInput(f"The journal has {whole} entries, not {size}.", allowed=f"0 to {whole}")
    return size
