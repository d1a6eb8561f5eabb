"""Somebody writes into the database file with another program; verification must say where.

Each tampering gets a copy of one journal of random groups, a random victim, and says which entries
must be named: exactly one wherever the signature still vouches for the leaf hashes, else the range
between two checkpoints.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trunkline.core.errors import BadInput, Tampered
from trunkline.store import Checkpoint, Journal, SigningKey, Verification, open_database, open_key
from trunkline.store.merkle import Frontier, leaf_hash, root_of

AT = datetime(2026, 11, 20, 14, tzinfo=UTC)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, signer: SigningKey) -> Path:
    path = tmp_path_factory.mktemp("original") / "trunkline.db"
    engine = open_database(path)
    journal, chance = Journal(engine, signer, lambda: AT), random.Random(6962)
    while journal.size < 300:
        journal.append_many([("decision" if chance.random() < 0.7 else "view.read", {"n": chance.randrange(10**6)}) for _ in range(chance.randint(1, 40))])
    engine.dispose()
    return path


class Victim:
    """A copy of the journal, open to somebody who can write the file but has no key."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path, self.chance = path, random.Random(seed)
        self.db = sqlite3.connect(path, isolation_level=None)
        self.sizes = [size for (size,) in self.db.execute("SELECT size FROM journal_checkpoints ORDER BY size")]
        self.size = self.sizes[-1]
        self.seq = self.chance.randrange(self.size - 1)

    def entry(self, seq: int) -> bytes:
        return bytes(self.db.execute("SELECT entry FROM journal_entries WHERE seq = ?", (seq,)).fetchone()[0])

    def set(self, seq: int, **columns: object) -> None:
        self.db.execute(f"UPDATE journal_entries SET {', '.join(f'{c} = ?' for c in columns)} WHERE seq = ?", (*columns.values(), seq))

    def group(self, seq: int) -> tuple[int, int]:
        """First and last entry under the checkpoint that covers *seq*."""
        at = bisect_right(self.sizes, seq)
        return (self.sizes[at - 1] if at else 0), self.sizes[at] - 1

    def edited(self, seq: int) -> bytes:
        """The entry's text with another number in its body, and everything else as it was."""
        text = self.entry(seq)
        return text.replace(b'"n":', b'"n":7', 1)

    def renumber(self, since: int, by: int) -> None:
        order = "DESC" if by > 0 else "ASC"
        for (seq,) in self.db.execute(f"SELECT seq FROM journal_entries WHERE seq >= ? ORDER BY seq {order}", (since,)).fetchall():
            self.db.execute("UPDATE journal_entries SET seq = ? WHERE seq = ?", (seq + by, seq))

    def rehash(self) -> None:
        """Make every leaf hash and interior node fit the texts again, as a careful forger would."""
        log = Frontier()
        for seq in range(self.size):
            leaf = leaf_hash(self.entry(seq))
            self.set(seq, leaf=leaf, above=b"".join(log.add(leaf)) or None)

    def rehash_checkpoints(self) -> None:
        leaves = [leaf_hash(self.entry(seq)) for seq in range(self.size)]
        for since, size in zip([0, *self.sizes], self.sizes, strict=False):
            self.db.execute("UPDATE journal_checkpoints SET leaves = ? WHERE size = ?", (b"".join(leaves[since:size]), size))


Tampering = Callable[[Victim], tuple[int, int]]


def a_byte_of_the_text(v: Victim) -> tuple[int, int]:
    text = bytearray(v.entry(v.seq))
    text[v.chance.randrange(len(text))] ^= 1 << v.chance.randrange(8)
    v.set(v.seq, entry=bytes(text))
    return v.seq, v.seq


def the_leaf_hash(v: Victim) -> tuple[int, int]:
    v.set(v.seq, leaf=v.chance.randbytes(32))
    return v.seq, v.seq


def the_text_and_the_leaf_hash(v: Victim) -> tuple[int, int]:
    text = v.edited(v.seq)
    v.set(v.seq, entry=text, leaf=leaf_hash(text))
    return v.seq, v.seq


def the_text_and_every_hash_over_it(v: Victim) -> tuple[int, int]:
    v.set(v.seq, entry=v.edited(v.seq))
    v.rehash()
    return v.seq, v.seq


def everything_that_needs_no_key(v: Victim) -> tuple[int, int]:
    v.set(v.seq, entry=v.edited(v.seq))
    v.rehash()
    v.rehash_checkpoints()
    return v.group(v.seq)


def everything_and_the_root_too(v: Victim) -> tuple[int, int]:
    everything_that_needs_no_key(v)
    for size in v.sizes:
        v.db.execute("UPDATE journal_checkpoints SET root = ? WHERE size = ?", (root_of(leaf_hash(v.entry(n)) for n in range(size)), size))
    return v.group(v.seq)


def everything_but_one_interior_node(v: Victim) -> tuple[int, int]:
    seq = v.seq | 1  # an odd entry completes the node over itself and the one before
    seq = seq if seq < v.size and v.group(seq)[0] < seq else 1
    above = v.db.execute("SELECT above FROM journal_entries WHERE seq = ?", (seq,)).fetchone()[0]
    v.set(seq, entry=v.edited(seq))
    v.rehash()
    v.rehash_checkpoints()
    v.set(seq, above=above)
    return seq - 1, seq


def two_entries_in_the_other_order(v: Victim) -> tuple[int, int]:
    other = v.chance.choice([n for n in range(v.size) if n != v.seq])
    one, two = v.entry(v.seq), v.entry(other)
    v.set(v.seq, entry=two, leaf=leaf_hash(two))
    v.set(other, entry=one, leaf=leaf_hash(one))
    return min(v.seq, other), min(v.seq, other)


def two_entries_in_the_other_order_with_their_numbers(v: Victim) -> tuple[int, int]:
    other = v.chance.choice([n for n in range(v.size) if n != v.seq and v.entry(n).split(b'"seq":')[0] != v.entry(v.seq).split(b'"seq":')[0]])
    one, two = (text.split(b'"seq":')[0] for text in (v.entry(v.seq), v.entry(other)))
    for seq, text in ((v.seq, two), (other, one)):
        v.set(seq, entry=text + b'"seq":%d}' % seq, kind=text.split(b'"kind":"')[1].split(b'"')[0].decode())
    v.rehash()
    return min(v.seq, other), min(v.seq, other)


def one_entry_less(v: Victim) -> tuple[int, int]:
    v.db.execute("DELETE FROM journal_entries WHERE seq = ?", (v.seq,))
    return v.seq, v.seq


def one_entry_less_and_the_gap_closed(v: Victim) -> tuple[int, int]:
    v.db.execute("DELETE FROM journal_entries WHERE seq = ?", (v.seq,))
    v.renumber(v.seq, -1)
    return v.seq, v.seq


def a_tail_less(v: Victim) -> tuple[int, int]:
    v.db.execute("DELETE FROM journal_entries WHERE seq >= ?", (v.seq,))
    return v.seq, v.seq


def a_tail_less_with_its_checkpoints_but_the_last(v: Victim) -> tuple[int, int]:
    v.db.execute("DELETE FROM journal_entries WHERE seq >= ?", (v.seq,))
    first, _ = v.group(v.seq)
    v.db.execute("DELETE FROM journal_checkpoints WHERE size > ? AND size < ?", (v.seq, v.size))
    return (v.seq, v.seq) if v.group(v.seq)[1] == v.size - 1 else (first, v.sizes[-2] - 1)


def one_entry_more(v: Victim) -> tuple[int, int]:
    v.renumber(v.seq, 1)
    text = v.edited(v.seq + 1)
    v.db.execute("INSERT INTO journal_entries (seq, kind, entry, leaf) VALUES (?, 'decision', ?, ?)", (v.seq, text, leaf_hash(text)))
    return v.seq, v.seq


def one_entry_more_at_the_end(v: Victim) -> tuple[int, int]:
    text = v.entry(v.size - 1).replace(b'"seq":%d}' % (v.size - 1), b'"seq":%d}' % v.size)
    v.db.execute("INSERT INTO journal_entries (seq, kind, entry, leaf) VALUES (?, 'decision', ?, ?)", (v.size, text, leaf_hash(text)))
    return v.size, v.size


def the_kind_in_its_column(v: Victim) -> tuple[int, int]:
    v.set(v.seq, kind="note")
    return v.seq, v.seq


def an_interior_node(v: Victim) -> tuple[int, int]:
    seq = v.chance.choice([seq for (seq,) in v.db.execute("SELECT seq FROM journal_entries WHERE above IS NOT NULL")])
    v.set(seq, above=v.chance.randbytes(32 * (seq + 1 & -(seq + 1)).bit_length() - 32))
    return seq, seq


def text_where_bytes_belong(v: Victim) -> tuple[int, int]:
    v.set(v.seq, entry="gone")
    return v.seq, v.seq


def a_field_of_a_checkpoint(v: Victim) -> tuple[int, int]:
    column, value = v.chance.choice(
        [
            ("root", v.chance.randbytes(32)),
            ("at", "2026-11-20T15:00:00.000000Z"),
            ("key", "0" * 16),
            ("signature", v.chance.randbytes(64)),
            ("signature", "no bytes"),
        ]
    )
    v.db.execute(f"UPDATE journal_checkpoints SET {column} = ? WHERE size = ?", (value, v.group(v.seq)[1] + 1))
    return v.group(v.seq)


def the_size_of_the_last_checkpoint(v: Victim) -> tuple[int, int]:
    first, last = v.group(v.size - 1)
    v.db.execute("UPDATE journal_checkpoints SET size = size + 5 WHERE size = ?", (last + 1,))
    return first, last + 5


def where_a_checkpoint_begins(v: Victim) -> tuple[int, int]:
    first, last = v.group(v.seq)
    v.db.execute("UPDATE journal_checkpoints SET since = since + 1 WHERE size = ?", (last + 1,))
    return first, first


def a_leaf_hash_kept_with_a_checkpoint(v: Victim) -> tuple[int, int]:
    first, last = v.group(v.seq)
    kept = bytearray(v.db.execute("SELECT leaves FROM journal_checkpoints WHERE size = ?", (last + 1,)).fetchone()[0])
    kept[32 * (v.seq - first) + v.chance.randrange(32)] ^= 1
    v.db.execute("UPDATE journal_checkpoints SET leaves = ? WHERE size = ?", (bytes(kept), last + 1))
    return v.seq, v.seq


def one_checkpoint_less(v: Victim) -> tuple[int, int]:
    v.seq = v.chance.randrange(v.sizes[-2])  # the last one is another case
    first, last = v.group(v.seq)
    v.db.execute("DELETE FROM journal_checkpoints WHERE size = ?", (last + 1,))
    return first, last


def the_last_checkpoint_gone(v: Victim) -> tuple[int, int]:
    v.db.execute("DELETE FROM journal_checkpoints WHERE size = ?", (v.size,))
    return v.sizes[-2], v.sizes[-2]


TAMPERINGS: list[Tampering] = [
    a_byte_of_the_text,
    the_leaf_hash,
    the_text_and_the_leaf_hash,
    the_text_and_every_hash_over_it,
    everything_that_needs_no_key,
    everything_and_the_root_too,
    everything_but_one_interior_node,
    two_entries_in_the_other_order,
    two_entries_in_the_other_order_with_their_numbers,
    one_entry_less,
    one_entry_less_and_the_gap_closed,
    a_tail_less,
    a_tail_less_with_its_checkpoints_but_the_last,
    one_entry_more,
    one_entry_more_at_the_end,
    the_kind_in_its_column,
    an_interior_node,
    text_where_bytes_belong,
    a_field_of_a_checkpoint,
    the_size_of_the_last_checkpoint,
    where_a_checkpoint_begins,
    a_leaf_hash_kept_with_a_checkpoint,
    one_checkpoint_less,
    the_last_checkpoint_gone,
]


def verified(path: Path, signer: SigningKey, witness: Checkpoint | None = None) -> Verification:
    engine = open_database(path)
    try:
        return Journal(engine, signer).verify(witness)
    finally:
        engine.dispose()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda tamper: tamper.__name__)
def test_tampering_with_is_located(tamper: Tampering, seed: int, original: Path, tmp_path: Path, signer: SigningKey) -> None:
    victim = Victim(Path(shutil.copy(original, tmp_path / "trunkline.db")), seed)

    first, last = tamper(victim)
    victim.db.close()

    found = verified(victim.path, signer)
    assert not found.ok
    assert (found.first_bad, found.last_bad) == (first, last), found.why
    assert found.why
    with pytest.raises(Tampered, match="not as it was signed"):
        found.require()


def test_an_untouched_journal_verifies_whole(original: Path, signer: SigningKey) -> None:
    found = verified(original, signer)

    assert found.ok
    assert found.entries >= 300
    assert found.checkpoints >= 10
    assert (found.first_bad, found.last_bad, found.checkpoint, found.why) == (None, None, None, "")
    assert found.require() is found


def test_a_journal_signed_by_another_key_is_not_believed(original: Path, tmp_path: Path) -> None:
    other = open_key(tmp_path / "other")

    found = verified(original, other)

    assert (found.ok, found.first_bad) == (False, 0)
    assert "no signature of this journal's key" in found.why


def test_a_journal_cut_back_to_an_earlier_checkpoint_is_found_out_by_a_witness(original: Path, tmp_path: Path, signer: SigningKey) -> None:
    engine = open_database(original)
    witness = Journal(engine, signer).checkpoint()
    engine.dispose()
    victim = Victim(Path(shutil.copy(original, tmp_path / "trunkline.db")), 0)
    cut = victim.sizes[-3]
    victim.db.execute("DELETE FROM journal_entries WHERE seq >= ?", (cut,))
    victim.db.execute("DELETE FROM journal_checkpoints WHERE size > ?", (cut,))
    victim.db.close()

    alone, found = verified(victim.path, signer), verified(victim.path, signer, witness)

    assert alone.ok  # this is why a checkpoint is worth keeping elsewhere
    assert (found.ok, found.first_bad, found.last_bad) == (False, cut, witness.size - 1)
    assert "cut short" in found.why


def test_a_journal_of_another_past_is_found_out_by_a_witness(original: Path, tmp_path: Path, signer: SigningKey) -> None:
    engine = open_database(tmp_path / "trunkline.db")
    journal = Journal(engine, signer, lambda: AT)
    journal.append_many([("note", {"n": n}) for n in range(400)])
    kept = verified(original, signer)
    engine_of_original = open_database(original)
    witness = Journal(engine_of_original, signer).checkpoint()
    engine_of_original.dispose()

    found = journal.verify(witness)

    assert kept.ok
    assert not found.ok
    assert "another one" in found.why
    with pytest.raises(BadInput, match="signature is of another key"):
        journal.verify(replace(witness, size=witness.size + 1))
    engine.dispose()
