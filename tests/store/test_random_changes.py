"""A thousand changes by somebody who can write the database but has no key: the exact entry is named each time.

The ordinary run draws 150 of them by seed, `make soak` all.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text
from tests.conftest import SOAK

from trunkline.store import Checkpoint, Journal, SigningKey, Verification, open_database, verify_export
from trunkline.store.journal_rows import Ahead, outside, sealed
from trunkline.store.merkle import Frontier, leaf_hash
from trunkline.store.verification import verify_log

CHANGES = min(1000, 150 * SOAK)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory, signer: SigningKey) -> Iterator[tuple[Engine, list[Checkpoint]]]:
    engine = open_database(tmp_path_factory.mktemp("grown") / "trunkline.db")
    journal, chance, kept = Journal(engine, signer), random.Random(9162), []
    while journal.size < 150:
        journal.append_many([(chance.choice(["decision", "view.read"]), {"n": chance.randrange(10**6), "why": "ü"}) for _ in range(chance.randint(1, 25))])
        kept.append(journal.checkpoint())
    yield engine, kept
    engine.dispose()


class Forger:
    """Changes the rows of one connection, and can make every hash that needs no key fit again."""

    def __init__(self, connection: Connection, chance: random.Random) -> None:
        self.run, self.chance = connection.execute, chance
        self.sizes: list[int] = list(self.run(text("SELECT size FROM journal_checkpoints ORDER BY size")).scalars())
        self.size = self.sizes[-1]

    def entry(self, seq: int) -> tuple[str, bytes]:
        kind, entry = self.run(text("SELECT kind, entry FROM journal_entries WHERE seq = :seq"), {"seq": seq}).one()
        return kind, bytes(entry)

    def put(self, seq: int, kind: str, entry: bytes) -> None:
        self.run(text("DELETE FROM journal_entries WHERE seq = :seq"), {"seq": seq})
        row = {"seq": seq, "kind": kind, "entry": entry, "leaf": leaf_hash(entry)}
        self.run(text("INSERT INTO journal_entries (seq, kind, entry, leaf) VALUES (:seq, :kind, :entry, :leaf)"), row)

    def cut(self, seq: int) -> None:
        self.run(text("DELETE FROM journal_entries WHERE seq >= :seq"), {"seq": seq})

    def move(self, since: int, by: int) -> None:
        self.run(text("UPDATE journal_entries SET seq = seq + 1000000 WHERE seq >= :since"), {"since": since})  # where no number is taken
        self.run(text("UPDATE journal_entries SET seq = seq - 1000000 + :by WHERE seq >= 1000000"), {"by": by})

    def rehash(self) -> None:
        log = Frontier()
        found = self.run(text("SELECT seq, entry FROM journal_entries ORDER BY seq")).all()
        rows = [{"seq": seq, "leaf": (leaf := leaf_hash(bytes(entry))), "above": b"".join(log.add(leaf)) or None} for seq, entry in found]
        self.run(text("UPDATE journal_entries SET leaf = :leaf, above = :above WHERE seq = :seq"), rows)


def a_byte(f: Forger) -> int:
    seq = f.chance.randrange(f.size)
    kind, entry = f.entry(seq)
    at = f.chance.randrange(len(entry))
    f.put(seq, kind, entry[:at] + bytes([entry[at] ^ 1 << f.chance.randrange(8)]) + entry[at + 1 :])
    return seq


def the_order(f: Forger) -> int:
    one, other = sorted(f.chance.sample(range(f.size), 2))
    (kind, entry), (kind_of_other, entry_of_other) = f.entry(one), f.entry(other)
    if f.chance.random() < 0.5:  # with the numbers changed, too
        entry, entry_of_other = entry.replace(b'"seq":%d}' % one, b'"seq":%d}' % other), entry_of_other.replace(b'"seq":%d}' % other, b'"seq":%d}' % one)
    f.put(one, kind_of_other, entry_of_other)
    f.put(other, kind, entry)
    return one


def an_insertion(f: Forger) -> int:
    seq = f.chance.randrange(f.size + 1)
    kind, entry = f.entry(f.chance.randrange(f.size))
    f.move(seq, 1)
    f.put(seq, kind, entry[: entry.rindex(b":") + 1] + b"%d}" % seq)
    return seq


def a_deletion(f: Forger) -> int:
    seq = f.chance.randrange(f.size)
    f.run(text("DELETE FROM journal_entries WHERE seq = :seq"), {"seq": seq})
    if f.chance.random() < 0.5:
        f.move(seq + 1, -1)
    return seq


def a_tail(f: Forger) -> int:
    seq = f.chance.randrange(f.size)
    f.cut(seq)
    return seq


def a_tail_with_its_checkpoints(f: Forger) -> int:
    size: int = f.chance.choice([0, *f.sizes[:-1]])
    f.cut(size)
    f.run(text("DELETE FROM journal_checkpoints WHERE size > :size"), {"size": size})
    return size


KINDS: list[Callable[[Forger], int]] = [a_byte, the_order, an_insertion, a_deletion, a_tail, a_tail_with_its_checkpoints]


def verified(connection: Connection, signer: SigningKey, witness: list[Checkpoint] | None) -> Verification:
    return verify_log(sealed(connection), Ahead(connection).between, signer.public, outside=partial(outside, connection), witness=witness)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_exact_entry_is_named(kind: Callable[[Forger], int], grown: tuple[Engine, list[Checkpoint]], signer: SigningKey) -> None:
    engine, kept = grown
    for number in range(-(-CHANGES // len(KINDS))):
        chance = random.Random(f"{kind.__name__} {number}")
        with engine.connect() as connection, connection.begin() as change:
            forger = Forger(connection, chance)
            first = kind(forger)
            if kind is not a_tail_with_its_checkpoints and chance.random() < 0.5:
                forger.rehash()

            alone, seen = verified(connection, signer, None), verified(connection, signer, kept)
            change.rollback()

        assert (seen.ok, seen.first_bad) == (False, first), (number, seen.why)
        if kind is a_tail_with_its_checkpoints:
            assert alone.ok, number  # what nobody can tell without a witness
            assert alone.witnessed is None
            assert seen.last_bad == kept[-1].size - 1
        else:
            assert (alone.ok, alone.first_bad, alone.last_bad) == (False, first, first), (number, alone.why)
    with engine.connect() as connection:
        assert verified(connection, signer, kept).ok  # nothing stayed


def test_a_change_in_an_export_is_named_too(grown: tuple[Engine, list[Checkpoint]], signer: SigningKey, tmp_path: Path) -> None:
    engine, _ = grown
    folder = Journal(engine, signer).export(tmp_path / "export")
    lines = (folder / "entries.jsonl").read_bytes().splitlines(keepends=True)
    for number in range(30 * min(SOAK, 10)):
        chance = random.Random(number)
        seq = chance.randrange(len(lines))
        line, at = lines[seq], chance.randrange(len(lines[seq]) - 1)
        changed = chance.choice([[], [lines[seq - 1], line], [line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :]]])
        (folder / "entries.jsonl").write_bytes(b"".join([*lines[:seq], *changed, *lines[seq + 1 :]]))

        found = verify_export(folder)

        assert (found.ok, found.first_bad) == (False, seq), (number, found.why)
