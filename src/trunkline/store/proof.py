"""Proofs about the journal that a stranger checks offline: this entry is in it; this log began as that one.

A proof is one JSON object with a signed checkpoint at its end. It grows by 32 bytes each time the journal doubles, and
shows nothing of the other entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trunkline.core.errors import BadInput
from trunkline.store.entry import Checkpoint, Entry
from trunkline.store.keys import PublicKey
from trunkline.store.merkle import is_consistent, is_included, leaf_hash

if TYPE_CHECKING:
    from trunkline.store.journal import Journal

FORMAT = 1
ENTRY = "trunkline proof that an entry is in the journal"
SINCE = "trunkline proof that the journal began as it was"
_ALLOWED = "what `trunkline audit prove … --json` printed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """What checking a proof found.

    Parameters
    ----------
    ok
        It proves what it says.
    what
        What it proves, or why it does not, in one sentence.
    key
        Id of the key that signed its checkpoint.
    is_own_key
        Whether that key came with the proof. Then it says no more than that whoever made the proof could sign.
    checkpoint
        The signed checkpoint at its end, to be compared with one kept elsewhere.
    """

    ok: bool
    what: str
    key: str
    is_own_key: bool
    checkpoint: Checkpoint


def prove_entry(journal: Journal, seq: int, size: int | None = None) -> dict[str, Any]:
    """That entry *seq* is in the journal, as it was when it had *size* entries where that is given.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from trunkline.store import Journal, open_database, open_key
    >>> engine = open_database(Path(tempfile.mkdtemp()) / "trunkline.db")
    >>> journal = Journal(engine, open_key(tempfile.mkdtemp()))
    >>> for n in range(5):
    ...     _ = journal.append("note", {"n": n})
    >>> check(prove_entry(journal, 3)).what.partition(":")[0]
    'Entry 3 is in the journal of 5 entries'
    >>> engine.dispose()
    """
    checkpoint = journal.checkpoint()
    size = checkpoint.size if size is None else size
    proof = journal.inclusion_proof(seq, size)
    return {
        "what": ENTRY,
        "format": FORMAT,
        "seq": seq,
        "entry": journal.entry(seq).decode(),
        "size": size,
        "root": journal.root(size).hex(),
        "path": [node.hex() for node in proof.path],
        **_up_to(journal, size, checkpoint),
    }


def prove_since(journal: Journal, since: int) -> dict[str, Any]:
    """That the journal of *since* entries is the beginning of what it is now."""
    return {"what": SINCE, "format": FORMAT, "size": since, "root": journal.root(since).hex(), **_up_to(journal, since, journal.checkpoint())}


def _up_to(journal: Journal, size: int, checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "consistency": [node.hex() for node in journal.consistency_proof(size, checkpoint.size)],
        "checkpoint": checkpoint.plain(),
        "public_key": journal.public_key.pem.decode(),
    }


def check(proof: Mapping[str, Any], *, key: PublicKey | None = None, kept: Iterable[Checkpoint] = ()) -> Proven:
    """Check a proof with nothing but itself.

    Parameters
    ----------
    proof
        What :func:`prove_entry` or :func:`prove_since` gave, also after JSON.
    key
        The public key as known from elsewhere. Without it the one in the proof is taken.
    kept
        Checkpoints kept elsewhere. One of as many entries as the proof names must have the same root.

    Raises
    ------
    BadInput
        It is no proof.
    """
    try:
        kind, size, root = proof["what"], int(proof["size"]), bytes.fromhex(proof["root"])
        consistency = [bytes.fromhex(node) for node in proof["consistency"]]
        checkpoint = Checkpoint.read(proof["checkpoint"])
        own = PublicKey(proof["public_key"].encode())
        seq, entry, path = (int(proof["seq"]), proof["entry"].encode(), [bytes.fromhex(node) for node in proof["path"]]) if kind == ENTRY else (0, b"", [])
        is_known = kind in {ENTRY, SINCE} and proof["format"] == FORMAT
    except (KeyError, TypeError, ValueError, AttributeError) as broken:
        raise BadInput(f"This is no proof: {broken!r}.", allowed=_ALLOWED) from broken
    if not is_known:
        raise BadInput("This is a proof of another kind or format.", allowed=_ALLOWED)
    signer = key or own

    def told(what: str, *, ok: bool = False) -> Proven:
        return Proven(ok=ok, what=what, key=signer.id, is_own_key=key is None, checkpoint=checkpoint)

    if checkpoint.key != signer.id or not signer.verify(checkpoint.message, checkpoint.signature):
        return told(f"Its checkpoint of {checkpoint.size} entries is not signed by key {signer.id}.")
    if not is_consistent(size, checkpoint.size, consistency, root, checkpoint.root):
        return told(f"The log of {size} entries is not shown to be the beginning of the signed one of {checkpoint.size}.")
    for one in kept:
        if (one.size == size and one.root != root) or (one.size == checkpoint.size and one.root != checkpoint.root):
            return told(f"The checkpoint of {one.size} entries that was kept elsewhere is of another log.")
    if kind == SINCE:
        return told(f"The journal of {size} entries is the beginning of that of {checkpoint.size}.", ok=True)
    if not is_included(leaf_hash(entry), seq, size, path, root) or not entry.endswith(b'"seq":%d}' % seq):
        return told(f"The entry is not shown to be number {seq} of the journal of {size} entries.")
    read = Entry.read(entry)
    return told(f"Entry {seq} is in the journal of {checkpoint.size} entries: {read.kind} of {read.at:%Y-%m-%d %H:%M:%S} UTC.", ok=True)
