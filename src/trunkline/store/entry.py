"""What the journal is made of: entries, and signed checkpoints over them, as bytes.

An entry's bytes are canonical JSON of ``at, body, format, kind, seq`` in this order, so the sequence
number and the kind stand at a fixed place at the end and can be compared without parsing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, overload

import msgspec

from trunkline.core.canonical import COMPILED, canonical, is_written_alike
from trunkline.core.errors import BadInput
from trunkline.store.merkle import is_included, leaf_hash

FORMAT = 1
"""The layout of an entry and of a checkpoint; it is in the signed bytes."""

_KIND = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)*")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal.

    Parameters
    ----------
    seq
        Its number, from 0, without gaps.
    at
        When it was written, aware UTC.
    kind
        What it records, in dotted lower-case words: ``"decision"``, ``"view.denied"``.
    body
        The content, as plain JSON types.
    format
        The layout it was written in.
    leaf
        Its leaf hash, SHA-256(0x00 || bytes).
    """

    seq: int
    at: datetime
    kind: str
    body: Any
    format: int
    leaf: bytes

    @classmethod
    def read(cls, entry: bytes) -> Entry:
        """An entry from its bytes."""
        found = json.loads(entry)
        return cls(found["seq"], datetime.fromisoformat(found["at"]), found["kind"], found["body"], found["format"], leaf_hash(entry))


class Appended(Sequence[Entry]):
    """The entries of one group as they were appended, each made when it is looked at."""

    __slots__ = ("_at", "_items", "_leaves", "_since")

    def __init__(self, since: int, at: datetime, items: Sequence[tuple[str, object]], leaves: Sequence[bytes]) -> None:
        self._since, self._at, self._items, self._leaves = since, at, items, leaves

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, which: int) -> Entry: ...
    @overload
    def __getitem__(self, which: slice) -> list[Entry]: ...
    def __getitem__(self, which: int | slice) -> Entry | list[Entry]:
        if isinstance(which, slice):
            return [self[n] for n in range(*which.indices(len(self)))]
        n = range(len(self))[which]
        kind, body = self._items[n]
        return Entry(self._since + n, self._at, kind, body, FORMAT, self._leaves[n])


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed statement: the journal had *size* entries and this *root* at *at*.

    Parameters
    ----------
    size
        Entries covered, from number 0.
    root
        The RFC 6962 root over them.
    at
        When it was signed, aware UTC.
    key
        Id of the signing key.
    signature
        Ed25519 over :attr:`message`.
    """

    size: int
    root: bytes
    at: datetime
    key: str
    signature: bytes

    @property
    def message(self) -> bytes:
        """The bytes that are signed."""
        return checkpoint_message(self.size, self.root, canonical(self.at)[1:-1].decode(), self.key)

    @classmethod
    def of(cls, row: Any) -> Checkpoint:
        """A checkpoint from its row."""
        return cls.read({"size": row.size, "root": bytes(row.root).hex(), "at": row.at, "key": row.key, "signature": bytes(row.signature).hex()})

    def plain(self) -> dict[str, Any]:
        """The checkpoint as JSON types, hashes and signature in hex: to publish, and to :meth:`read` again."""
        return {**json.loads(self.message), "signature": self.signature.hex()}

    @classmethod
    def read(cls, given: dict[str, Any]) -> Checkpoint:
        """A checkpoint from what :meth:`plain` made."""
        try:
            at, root, signature = datetime.fromisoformat(given["at"]), bytes.fromhex(given["root"]), bytes.fromhex(given["signature"])
            return cls(int(given["size"]), root, at, str(given["key"]), signature)
        except (KeyError, TypeError, ValueError) as broken:
            raise BadInput(f"This is no checkpoint: {broken!r}.", allowed="size, root, at, key and signature as the journal exports them") from broken


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """That an entry is in the journal: its number, the size of the log, and the audit path, lowest node first."""

    seq: int
    size: int
    path: tuple[bytes, ...]

    def holds(self, entry: bytes, root: bytes) -> bool:
        """Whether it proves *entry* (its bytes) to be in the log with this *root*."""
        return is_included(leaf_hash(entry), self.seq, self.size, self.path, root)


@lru_cache(maxsize=1024)
def check_kind(kind: str) -> str:
    """*kind* if it is dotted lower-case words."""
    if not _KIND.fullmatch(kind):
        raise BadInput(f"'{kind}' is no kind of journal entry.", allowed="lower-case words joined by dots, such as 'view.denied'")
    return kind


def group_bytes(since: int, at: str, items: Sequence[tuple[str, object]]) -> list[bytes]:
    """The bytes of a group of (kind, body) from number *since* on, the kinds checked.

    >>> group_bytes(0, "2026-11-20T14:00:00.000000Z", [("note", {"text": "begun"})])[0].decode()
    '{"at":"2026-11-20T14:00:00.000000Z","body":{"text":"begun"},"format":1,"kind":"note","seq":0}'
    """
    for kind in {kind for kind, _ in items}:
        check_kind(kind)
    if all(map(is_written_alike, [body for _, body in items])):
        return COMPILED.encode_lines([_Line(at, body, FORMAT, kind, seq) for seq, (kind, body) in enumerate(items, since)]).split(b"\n")[:-1]
    return [b'{"at":"%b","body":%b%b' % (at.encode(), canonical(body), entry_ends(kind) % seq) for seq, (kind, body) in enumerate(items, since)]


class _Line(msgspec.Struct, gc=False):
    """An entry's fields in the order of its bytes."""

    at: str
    body: object
    format: int
    kind: str
    seq: int


def entry_ends(kind: str) -> bytes:
    """How the bytes of every entry of this *kind* end, ``%d`` standing for its number; a TypeError where it is no text."""
    if not isinstance(kind, str):
        raise TypeError(f"{kind!r} is no text")
    return f',"format":{FORMAT},"kind":"{kind.replace("%", "%%")}","seq":%d}}'.encode()


def checkpoint_message(size: int, root: bytes, at: str, key: str) -> bytes:
    """The bytes that a checkpoint's signature covers."""
    return canonical({"at": at, "format": FORMAT, "key": key, "root": root.hex(), "size": size, "what": "trunkline journal checkpoint"})
