"""Is the journal still what was signed, and if not, which entry is the first that is not?

The signed root of each checkpoint covers everything before it. Beside it stand the leaf hashes of its
group: they are believed only if they lead to the signed root, and then tell exactly which entry was
changed, moved, removed or slipped in, whatever else was rewritten with it. Where they were rewritten
too, the signature still fails and the answer is the narrowest range that can be told.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from operator import mod
from pathlib import Path
from typing import Any, NamedTuple

from trunkline.core.errors import BadFile, BadInput, Tampered
from trunkline.store.entry import Checkpoint, checkpoint_message, entry_ends
from trunkline.store.keys import PublicKey
from trunkline.store.merkle import Frontier, leaf_hashes


class EntryRow(NamedTuple):
    """An entry as it rests. Any: what somebody else wrote into the file may be of any type."""

    seq: Any
    kind: Any
    entry: Any
    leaf: Any
    above: Any


class CheckpointRow(NamedTuple):
    """A checkpoint as it rests, with the leaf hashes of its group."""

    size: Any
    since: Any
    root: Any
    at: Any
    key: Any
    signature: Any
    leaves: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What verifying a journal found.

    Parameters
    ----------
    ok
        Every entry, hash, root and signature is as it was signed.
    entries, checkpoints
        How many were found good: all of them, or those before the first bad one.
    first_bad, last_bad
        The first entry that is not as signed. The two differ where only a range between checkpoints can be told.
        None where ``ok``.
    checkpoint
        Size of the checkpoint that covers it, or that was itself changed.
    why
        What was found, in one sentence; empty where ``ok``.
    witnessed
        Entries under the newest checkpoint kept elsewhere that was compared. None where none was: then the journal is
        internally consistent only, and might have been cut back or, by somebody with the key, written anew.
    """

    ok: bool
    entries: int
    checkpoints: int
    first_bad: int | None = None
    last_bad: int | None = None
    checkpoint: int | None = None
    why: str = ""
    witnessed: int | None = None

    def require(self) -> Verification:
        """Itself where ok, else Tampered with the findings."""
        if self.ok:
            return self
        where = f"entry {self.first_bad}" if self.first_bad == self.last_bad else f"entries {self.first_bad} to {self.last_bad}"
        raise Tampered(
            f"The journal is not as it was signed: {self.why}", where=where, next_step="Keep the file as evidence and compare with an export or backup."
        )


class _Bad(Exception):
    def __init__(self, first: int, last: int, why: str) -> None:
        self.first, self.last, self.why = first, last, why
        super().__init__(why)


Between = Callable[[int, int], Sequence[EntryRow]]
"""Entries with since <= seq < size, in the order of seq."""


def verify_log(
    checkpoints: Iterable[CheckpointRow],
    between: Between,
    key: PublicKey,
    *,
    outside: Callable[[int], int | None] = lambda _: None,
    witness: Checkpoint | Iterable[Checkpoint] | None = None,
    is_hashed: bool = False,
) -> Verification:
    """Verify a log group by group, in the order it was written.

    Parameters
    ----------
    checkpoints
        In the order of size.
    between
        Reads the entries of one group.
    key
        Whose signatures count.
    outside
        Tells the first number of an entry outside ``0 .. size - 1``, None where there is none.
    witness
        Checkpoints kept elsewhere: all of them are compared.
    is_hashed
        Every group was found good already: only what is outside of them is looked at.
    """
    log, good, kept = Frontier(), 0, _Kept(witness, key)

    def bad(found: _Bad, checkpoint: int | None = None) -> Verification:
        return Verification(
            ok=False,
            entries=min(log.size, found.first),
            checkpoints=good,
            first_bad=found.first,
            last_bad=found.last,
            checkpoint=checkpoint,
            why=found.why,
            witnessed=kept.size,
        )

    for row in checkpoints:
        try:
            check_place(row, log.size)
            log = Frontier(row.size) if is_hashed else check_group(row, between(row.since, row.size), log, key)
            good += 1
            kept.compare(row)
        except _Bad as found:
            return bad(found, _whole(row.size))
    beyond = outside(log.size)
    if beyond is not None:
        return bad(_Bad(beyond, beyond, f"entry {beyond} is covered by no checkpoint"))
    try:
        kept.check_end(log.size)
    except _Bad as found:
        return bad(found, found.last + 1)
    return Verification(ok=True, entries=log.size, checkpoints=good, witnessed=kept.size)


class _Kept:
    """Checkpoints kept elsewhere, compared one after the other as the log is read."""

    def __init__(self, witness: Checkpoint | Iterable[Checkpoint] | None, key: PublicKey) -> None:
        given = [] if witness is None else [witness] if isinstance(witness, Checkpoint) else witness
        self._waiting = sorted(given, key=lambda one: one.size, reverse=True)
        self._key = key
        self.size: int | None = None if witness is None else 0

    def compare(self, row: CheckpointRow) -> None:
        """Those of as many entries as *row*, which is good, or of fewer."""
        while self._waiting and self._waiting[-1].size <= row.size:
            one = self._waiting.pop()
            if one.size and ((one.size, one.root) != (row.size, row.root) or one.signature != row.signature):
                self._check_signature(one)
                if (one.size, one.root) != (row.size, row.root):
                    since = self.size or 0
                    raise _Bad(since, one.size - 1, f"the journal is another one than that whose checkpoint of {one.size} entries was kept elsewhere")
            self.size = one.size

    def check_end(self, size: int) -> None:
        """None may be of more entries than there are."""
        for one in self._waiting:
            self._check_signature(one)
        if self._waiting:
            newest = self._waiting[0].size
            raise _Bad(size, newest - 1, f"the journal was cut short: a checkpoint kept elsewhere has {newest} entries, this one {size}")

    def _check_signature(self, one: Checkpoint) -> None:
        if one.key != self._key.id or not self._key.verify(one.message, one.signature):
            raise BadInput(
                "The witness is no checkpoint of this journal: its signature is of another key.",
                where=f"the checkpoint of {one.size} entries",
                allowed=f"a checkpoint signed by key {self._key.id}",
            )


def verify_export(folder: str | Path, *, key: PublicKey | None = None, witness: Checkpoint | Iterable[Checkpoint] | None = None) -> Verification:
    """Verify what ``Journal.export`` wrote, with nothing but that folder.

    Parameters
    ----------
    folder
        Holds ``entries.jsonl``, ``checkpoints.jsonl`` and ``public-key.pem``.
    key
        The public key as known from elsewhere. Without it the key in the folder is taken, which proves no more than that
        the folder was not changed by somebody who could not sign.
    witness
        A checkpoint kept elsewhere.

    Raises
    ------
    BadFile
        A file is missing, or a line of ``checkpoints.jsonl`` is none.
    """
    folder = Path(folder)
    for name in ("entries.jsonl", "checkpoints.jsonl", "public-key.pem"):
        if not (folder / name).is_file():
            raise BadFile(f"The export has no {name}.", path=folder, allowed="a folder written by: trunkline audit export")
    key = key or PublicKey((folder / "public-key.pem").read_bytes())
    with (folder / "entries.jsonl").open("rb") as lines:
        numbered = enumerate(line.removesuffix(b"\n") for line in lines)

        def between(since: int, size: int) -> list[EntryRow]:
            return [EntryRow(seq, None, line, None, None) for seq, line in islice(numbered, size - since)]

        def outside(_size: int) -> int | None:
            return next((seq for seq, _ in numbered), None)

        return verify_log(_exported_checkpoints(folder / "checkpoints.jsonl"), between, key, outside=outside, witness=witness)


def _exported_checkpoints(path: Path) -> Iterator[CheckpointRow]:
    since = 0
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            given = json.loads(line)
            root, signature = bytes.fromhex(given["root"]), bytes.fromhex(given["signature"])
            row = CheckpointRow(int(given["size"]), since, root, given["at"], given["key"], signature, bytes.fromhex(given["leaves"]))
        except (KeyError, TypeError, ValueError) as broken:
            raise BadFile(f"This line is no checkpoint: {broken!r}.", path=path, line=number) from broken
        since = row.size
        yield row


def check_place(row: CheckpointRow, covered: int) -> None:
    """That a checkpoint goes on where the one before ended."""
    size, since = _whole(row.size), _whole(row.since)
    if size is None or since is None or size <= covered:
        raise _Bad(covered, covered, f"a checkpoint states no size beyond the {covered} entries before it")
    if since != covered:
        # One that was removed, or one whose place was edited: either way the entries after `covered` are vouched for by none.
        last = max(covered, min(since, size) - 1)
        raise _Bad(covered, last, f"the checkpoint over the entries from {covered} on is missing or was changed")


def check_group(row: CheckpointRow, rows: Sequence[EntryRow], before: Frontier, key: PublicKey) -> Frontier:
    """The log continued by this group, if the group is as signed."""
    is_signed = _is_signed(row, key)
    try:
        seqs, kinds, texts, kept, ups = zip(*rows, strict=True) if rows else ((), (), (), (), ())
        log = before.copy()
        leaves = leaf_hashes(texts)
        above = log.extend(leaves)
        is_good = (
            is_signed
            and log.size == row.size
            and log.root() == row.root
            and row.leaves == b"".join(leaves)
            and seqs == tuple(range(row.since, row.size))
            and (_is_bare(kinds, kept) or (kept == tuple(leaves) and ups == tuple(above)))
            and _end_right(seqs, kinds, texts)
        )
    except TypeError:  # text or a number where bytes belong
        is_good = False
    if is_good:
        return log
    raise _locate(row, [EntryRow._make(entry) for entry in rows], before, is_signed=is_signed)


def _is_bare(kinds: Sequence[Any], kept: Sequence[Any]) -> bool:
    """Whether nothing but the bytes was kept, as in an export."""
    return kinds[0] is None and kept[0] is None


def _end_right(seqs: Sequence[int], kinds: Sequence[Any], texts: Sequence[bytes]) -> bool:
    """Whether the bytes say the number and kind under which they rest."""
    if kinds[0] is None:
        return all(map(bytes.endswith, texts, map(b'"seq":%d}'.__mod__, seqs)))
    ends = {kind: entry_ends(kind) for kind in set(kinds)}
    return all(map(bytes.endswith, texts, map(mod, map(ends.__getitem__, kinds), seqs)))


def _is_in_place(entry: EntryRow, leaf: bytes, above: list[bytes]) -> bool:
    """Whether the row says the same about itself as its bytes do."""
    if _is_bare([entry.kind], [entry.leaf]):
        return True
    return (
        isinstance(entry.kind, str) and entry.leaf == leaf and entry.above == (b"".join(above) or None) and _end_right([entry.seq], [entry.kind], [entry.entry])
    )


def _is_signed(row: CheckpointRow, key: PublicKey) -> bool:
    try:
        return row.key == key.id and key.verify(checkpoint_message(row.size, row.root, row.at, row.key), row.signature)
    except (TypeError, ValueError, AttributeError):
        return False


def _locate(row: CheckpointRow, rows: Sequence[EntryRow], before: Frontier, *, is_signed: bool) -> _Bad:
    """The first bad entry of a group that does not match its checkpoint."""
    since, size = row.since, row.size
    at = {entry.seq: entry for entry in rows}
    kept = row.leaves if isinstance(row.leaves, bytes) else b""
    leaves = [kept[n : n + 32] for n in range(0, len(kept), 32)]
    is_believed = is_signed and len(leaves) == size - since and _leads_to(before, leaves, row.root)
    log = before.copy()
    for offset, seq in enumerate(range(since, size)):
        entry = at.get(seq)
        if entry is None and not is_signed and len(leaves) != size - since:
            break  # it is the checkpoint's size that was changed
        if entry is None:
            return _Bad(seq, seq, f"entry {seq} is missing")
        leaf = sha256(b"\x00" + entry.entry).digest() if isinstance(entry.entry, bytes) else b""
        if not leaf:
            return _Bad(seq, seq, f"the text of entry {seq} was changed")
        signed = leaves[offset] if offset < len(leaves) else None
        if is_believed and leaf != signed:
            return _Bad(seq, seq, _what_happened(seq, leaf, entry, leaves, since))
        above = log.add(leaf)
        if not entry.entry.endswith(b'"seq":%d}' % seq):
            return _Bad(seq, seq, f"the entry in place {seq} is another one, moved or slipped in")
        if entry.leaf is not None and entry.leaf != leaf:
            return _Bad(seq, seq, f"entry {seq} does not match its leaf hash")
        if not is_believed and is_signed and signed is not None and signed != leaf:
            return _Bad(seq, seq, f"entry {seq} does not match the leaf hash kept with its checkpoint")
        if not _is_in_place(entry, leaf, above):
            # Its own text and leaf are as kept: what differs is its kind, or a node over it and entries before it.
            return _Bad(_first_under(entry, above, seq, since, is_believed=is_believed), seq, f"entry {seq} does not match its kind or its interior nodes")
    if not is_signed:
        return _Bad(since, size - 1, f"the checkpoint of {size} entries bears no signature of this journal's key")
    if _leads_to(before, [sha256(b"\x00" + at[seq].entry).digest() for seq in range(since, size)], row.root):
        return _Bad(since, size - 1, f"the leaf hashes kept with the checkpoint of {size} entries were changed")
    return _Bad(since, size - 1, f"the entries {since} to {size - 1} and their hashes were rewritten: they do not lead to the root signed for {size} entries")


def _leads_to(before: Frontier, leaves: Iterable[bytes], root: bytes) -> bool:
    log = before.copy()
    for leaf in leaves:
        log.add(leaf)
    return log.root() == root


def _what_happened(seq: int, leaf: bytes, entry: EntryRow, leaves: list[bytes], since: int) -> str:
    if leaf in leaves:
        return f"entry {since + leaves.index(leaf)} stands in the place of entry {seq}"
    if entry.leaf == leaf:
        return f"the text of entry {seq} was changed, and its leaf hash with it"
    return f"the text of entry {seq} was changed"


def _first_under(entry: EntryRow, above: list[bytes], seq: int, since: int, *, is_believed: bool) -> int:
    """Where the fault may begin: the whole subtree under a wrong node, unless the leaves are vouched for."""
    stored = entry.above if isinstance(entry.above, bytes) else b""
    if is_believed:
        return seq
    for level, node in enumerate(above, start=1):
        if stored[32 * (level - 1) : 32 * level] != node:
            return max(since, seq + 1 - (1 << level))
    return seq


def _whole(number: Any) -> int | None:
    return number if isinstance(number, int) else None
