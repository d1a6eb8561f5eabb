"""The journal as it grows, each entry taken in once and only under a good signature.

What rests on the journal (which release may answer) must not believe a row that somebody wrote into the table without the
key, nor miss one that somebody took out. So nothing is looked up by kind: every entry is hashed in its order, and the root
over all of them has to be the one the newest checkpoint signs.

An entry is hashed once in the life of a process; and once for all, where the books are long: they are then kept, signed with
the same key, so that a command that has to be quick (a rollback) reads only what came since.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from threading import Lock
from typing import Any, Generic, Protocol, Self, TypeVar

import msgspec
from sqlalchemy import Column, Connection, Engine, LargeBinary, String, Table, delete, func, insert, select

from trunkline.core.canonical import canonical, sha256
from trunkline.core.errors import Tampered, WorkspaceError
from trunkline.store.database import WRITES, joined, metadata, reading, transaction
from trunkline.store.entry import Entry, checkpoint_message
from trunkline.store.journal_rows import checkpoints, entries
from trunkline.store.keys import SigningKey
from trunkline.store.merkle import Frontier, leaf_hashes

FORMAT = 1
"""Of kept books; raised when what is taken in, or how, changes: they are then made anew from the journal."""
LONG = 5_000
"""After so many new entries the books are kept."""
_PART = 4096
_KIND = b',"kind":"'


kept_books = Table(
    "kept_books",
    metadata,
    Column("name", String, primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)


class _Kept(msgspec.Struct, frozen=True):
    """What rests of books: how far they got, the roots of the log's complete subtrees, and themselves."""

    format: int
    size: int
    peaks: list[bytes]
    root: bytes
    books: bytes


class Books(Protocol):
    """What is made of the entries."""

    def take(self, entry: Entry) -> None:
        """Take one entry in."""
        ...

    def copy(self) -> Self:
        """The same, to go on from on its own."""
        ...


B = TypeVar("B", bound=Books)


def _kind(entry: bytes) -> bytes:
    """The kind of an entry, told near its end, behind the body.

    >>> _kind(b'{"at":"2026","body":{"kind":"note"},"format":1,"kind":"release.deploy","seq":7}')
    b'release.deploy'
    """
    begin = entry.rfind(_KIND) + len(_KIND)
    return entry[begin : entry.find(b'"', begin)]


class Followed(Generic[B]):
    """Books kept from the journal.

    Parameters
    ----------
    engine, signer
        The database, and the key whose signature counts.
    kinds
        The kinds of entry that are of interest; all are hashed, these are read.
    empty
        Makes the books of an empty journal; a dataclass of plain values, times and dataclasses.
    name
        Under which they are kept.
    """

    def __init__(self, engine: Engine, signer: SigningKey, kinds: Collection[str], empty: Callable[[], B], *, name: str) -> None:
        self._engine, self._signer, self._name = engine, signer, name
        self._kinds = frozenset(kinds)
        self._log, self._root, self._books = Frontier(), b"", empty()
        self._lock, self._kept = Lock(), 0
        self._begin()

    def books(self, connection: Connection | None = None) -> B:
        """The books as of now; with *connection*, as of that transaction, and then nothing of it is remembered.

        Raises
        ------
        Tampered
            An entry is missing, was changed, stands elsewhere, or is signed by nobody.
        """
        with self._lock, reading(self._engine) if connection is None else joined(self._engine, connection) as reads:
            log, root, found = self._proven(reads)
            is_committed = WRITES not in reads.get_execution_options()
            books = self._books if is_committed else self._books.copy()
            for entry in found:
                books.take(entry)
            if is_committed:
                self._log, self._root = log, root
        if is_committed and self._log.size >= self._kept + LONG:
            self._keep(books)
        return books

    def _keep(self, books: B) -> None:
        content = msgspec.msgpack.encode(_Kept(FORMAT, self._log.size, self._log.peaks, self._root, msgspec.json.encode(books)))
        self._kept = self._log.size
        try:
            with transaction(self._engine) as connection:
                connection.execute(delete(kept_books).where(kept_books.c.name == self._name))
                connection.execute(insert(kept_books).values(name=self._name, content=content, signature=self._signer.sign(self._message(content))))
        except WorkspaceError:  # a disk that is full, a database that is busy: the next process reads more
            return

    def _begin(self) -> None:
        """Go on from the books that were kept, where they bear our signature."""
        with reading(self._engine) as connection:
            row: Any = connection.execute(select(kept_books.c.content, kept_books.c.signature).where(kept_books.c.name == self._name)).one_or_none()
        if row is None or not self._signer.verify(self._message(bytes(row.content)), bytes(row.signature)):
            return
        try:
            kept = msgspec.msgpack.decode(bytes(row.content), type=_Kept)
            if kept.format == FORMAT:
                self._books = msgspec.json.decode(kept.books, type=type(self._books))
                self._log, self._root, self._kept = Frontier(kept.size, kept.peaks), kept.root, kept.size
        except msgspec.DecodeError:
            return

    def _message(self, content: bytes) -> bytes:
        return canonical({"books": sha256(content), "key": self._signer.id, "name": self._name, "what": "trunkline kept books"})

    def _proven(self, connection: Connection) -> tuple[Frontier, bytes, list[Entry]]:
        newest = connection.execute(select(checkpoints).order_by(checkpoints.c.size.desc()).limit(1)).one_or_none()
        size = 0 if newest is None else int(newest.size)
        last = connection.execute(select(func.max(entries.c.seq))).scalar()
        if (-1 if last is None else int(last)) != size - 1 or size < self._log.size:
            raise self._broken(f"it holds entries up to {last}, its newest checkpoint covers {size}, and {self._log.size} were read before")
        if newest is None or (size == self._log.size and newest.root == self._root):
            return self._log, self._root, []
        kinds = {kind.encode() for kind in self._kinds}
        signed = checkpoint_message(size, newest.root, newest.at, newest.key)
        if newest.key != self._signer.id or not self._signer.verify(signed, newest.signature):
            raise self._broken(f"its newest checkpoint, of {size} entries, is not signed by key {self._signer.id}")
        log, found = self._log.copy(), []
        query = select(entries.c.seq, entries.c.entry).where(entries.c.seq >= log.size, entries.c.seq < size).order_by(entries.c.seq)
        for part in connection.execute(query, execution_options={"yield_per": _PART}).partitions():
            if (part[0][0], part[-1][0]) != (log.size, log.size + len(part) - 1):
                raise self._broken(f"an entry from {log.size} to {log.size + len(part)} is missing")
            texts = [text if isinstance(text, bytes) else str(text).encode() for _, text in part]  # made text by hand, it fails its hash
            log.extend(leaf_hashes(texts))
            found += [text for text in texts if _kind(text) in kinds]
        if log.size != size or log.root() != newest.root:
            raise self._broken(f"its entries from {self._log.size} to {size - 1} are not those that were signed")
        return log, bytes(newest.root), [entry for entry in map(Entry.read, found) if entry.kind in self._kinds]

    def _broken(self, why: str) -> Tampered:
        return Tampered(f"The journal cannot be relied on: {why}.", where=str(self._engine.url.database), next_step="trunkline audit verify names the entry.")
