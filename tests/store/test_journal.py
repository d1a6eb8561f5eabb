from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from trunkline.core.canonical import canonical
from trunkline.core.errors import BadInput, Tampered
from trunkline.store import Journal, SigningKey, open_database, open_key, reading, transaction, verify_export
from trunkline.store.entry import Checkpoint, group_bytes
from trunkline.store.merkle import EMPTY_ROOT, is_consistent, leaf_hash, root_of


def test_entries_come_back_in_order_with_what_was_written(journal: Journal) -> None:
    journal.append("note", {"text": "begun", "n": 1.5})
    journal.append_many([("decision", {"target": "cell-1"}), ("decision", {"target": "cell-2"}), ("note", [1, None])])

    assert [(e.seq, e.kind, e.body) for e in journal.entries()] == [
        (0, "note", {"n": 1.5, "text": "begun"}),
        (1, "decision", {"target": "cell-1"}),
        (2, "decision", {"target": "cell-2"}),
        (3, "note", [1, None]),
    ]
    assert [e.seq for e in journal.entries(kind="decision")] == [1, 2]
    assert [e.seq for e in journal.entries(since=2, limit=1)] == [2]
    assert next(journal.entries()).at == datetime(2026, 11, 20, 14, tzinfo=UTC)
    assert journal.size == 4


def test_an_entry_is_canonical_json_and_its_leaf_is_the_hash_of_those_bytes(journal: Journal) -> None:
    written = journal.append("note", {"b": 1, "a": "ü"})

    stored = journal.entry(0)

    assert stored == canonical({"at": "2026-11-20T14:00:00.000000Z", "body": {"a": "ü", "b": 1}, "format": 1, "kind": "note", "seq": 0})
    assert written.leaf == leaf_hash(stored)


def test_a_group_has_the_bytes_its_entries_would_have_alone(journal: Journal) -> None:
    at = "2026-11-20T14:00:00.000000Z"
    plain, odd = [("note", {"b": n, "a": ["ü\n"]}) for n in range(150)], [("odd.kind", {"at": datetime(2026, 1, 1, tzinfo=UTC), 1: 1e-9}), ("note", (1, None))]

    written = journal.append_many(plain)

    assert len(written) == 150
    assert (written[-1].seq, written[-1].body, [e.seq for e in written[3:5]]) == (149, {"b": 149, "a": ["ü\n"]}, [3, 4])
    for items in (plain, [*plain, *odd], odd):
        alone = [canonical({"at": at, "body": body, "format": 1, "kind": kind, "seq": seq}) for seq, (kind, body) in enumerate(items, 7)]
        assert group_bytes(7, at, items) == alone


def test_a_checkpoint_follows_every_committed_group(journal: Journal, signer: SigningKey) -> None:
    empty = journal.checkpoint()
    journal.append_many([("note", {"n": n}) for n in range(5)])

    newest = journal.checkpoint()

    assert (empty.size, empty.root) == (0, EMPTY_ROOT)
    assert signer.verify(empty.message, empty.signature)
    assert (newest.size, newest.root, newest.key) == (5, journal.root(), signer.id)
    assert signer.verify(newest.message, newest.signature)
    assert not signer.verify(replace(newest, size=4).message, newest.signature)
    assert Checkpoint.read(newest.plain()) == newest
    with pytest.raises(BadInput, match="no checkpoint"):
        Checkpoint.read({"size": 1})


def test_nothing_appended_leaves_nothing_behind(journal: Journal) -> None:
    assert journal.append_many([]) == []
    assert journal.size == 0
    assert journal.verify().ok


@pytest.mark.parametrize("kind", ["", "View.denied", "a b", "view.", 'x"', "é"])
def test_a_kind_that_is_no_dotted_word_is_refused_and_nothing_written(journal: Journal, kind: str) -> None:
    with pytest.raises(BadInput, match="no kind of journal entry"):
        journal.append(kind, {})

    assert journal.size == 0


def test_a_body_without_canonical_form_is_refused_and_nothing_of_its_group_written(journal: Journal) -> None:
    with pytest.raises(TypeError, match="no canonical form"):
        journal.append_many([("note", {"n": 1}), ("note", {"n": float("nan")})])

    journal.append("note", {"n": 2})
    assert [e.body for e in journal.entries()] == [{"n": 2}]
    assert journal.verify().ok


def test_entries_commit_with_the_callers_rows_or_not_at_all(engine: Engine, journal: Journal) -> None:
    with transaction(engine) as connection:
        connection.execute(text("CREATE TABLE decisions (id INTEGER)"))
    journal.append("note", {"n": 0})

    def fail_after_writing() -> None:
        with transaction(engine) as connection:
            connection.execute(text("INSERT INTO decisions VALUES (1)"))
            journal.append("decision", {"id": 1}, connection)
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        fail_after_writing()
    with transaction(engine) as connection:
        connection.execute(text("INSERT INTO decisions VALUES (2)"))
        journal.append("decision", {"id": 2}, connection)
        journal.append("decision", {"id": 3}, connection)

    with reading(engine) as connection:
        assert connection.execute(text("SELECT id FROM decisions")).scalars().all() == [2]
    assert [e.body for e in journal.entries()] == [{"n": 0}, {"id": 2}, {"id": 3}]
    assert journal.verify().ok


def test_a_process_killed_inside_a_transaction_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    child = """
import os, sys
from pathlib import Path
from trunkline.store import Journal, open_database, open_key, transaction
engine = open_database(Path(sys.argv[1]) / "trunkline.db")
journal = Journal(engine, open_key(sys.argv[2]))
journal.append("note", {"n": 0})
with transaction(engine) as connection:
    journal.append_many([("note", {"n": n}) for n in range(1, 500)], connection)
    os._exit(9)
"""
    data, keys = tmp_path / "data", tmp_path / "keys"

    ended = subprocess.run([sys.executable, "-c", child, str(data), str(keys)], check=False, env=os.environ)

    assert ended.returncode == 9
    engine = open_database(data / "trunkline.db")
    journal = Journal(engine, open_key(keys))
    assert [e.body for e in journal.entries()] == [{"n": 0}]
    journal.append("note", {"n": 1})
    assert journal.verify().entries == 2
    assert journal.verify().ok
    engine.dispose()


def test_two_journals_on_one_database_take_turns(engine: Engine, signer: SigningKey) -> None:
    one, other = Journal(engine, signer), Journal(engine, signer)

    for n in range(5):
        one.append_many([("note", {"n": n})] * (n + 1))
        other.append("note", {"n": n})

    assert one.size == other.size == 20
    assert one.root() == other.root() == root_of(leaf_hash(one.entry(seq)) for seq in range(20))
    assert one.verify().ok


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(groups=st.lists(st.integers(1, 40), min_size=1, max_size=6), data=st.data())
def test_proofs_hold_whatever_the_groups(groups: list[int], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory, signer: SigningKey) -> None:
    engine = open_database(tmp_path_factory.mktemp("proofs") / "trunkline.db")
    journal = Journal(engine, signer)
    for group in groups:
        journal.append_many([("note", {"n": n}) for n in range(group)])
    size = data.draw(st.integers(1, journal.size))
    seq = data.draw(st.integers(0, size - 1))

    proof = journal.inclusion_proof(seq, size)
    path = journal.consistency_proof(size)

    assert journal.root(size) == root_of(leaf_hash(journal.entry(n)) for n in range(size))
    assert proof.holds(journal.entry(seq), journal.root(size))
    assert not proof.holds(journal.entry(seq) + b" ", journal.root(size))
    assert is_consistent(size, journal.size, path, journal.root(size), journal.checkpoint().root)
    engine.dispose()


def test_a_proof_about_entries_that_are_not_there_is_refused(journal: Journal) -> None:
    journal.append("note", {})

    for ask in (lambda: journal.inclusion_proof(1), lambda: journal.consistency_proof(2), lambda: journal.root(2), lambda: journal.entry(1)):
        with pytest.raises(BadInput, match="journal"):
            ask()


def test_a_reopened_journal_goes_on_where_it_ended(engine: Engine, signer: SigningKey) -> None:
    Journal(engine, signer).append_many([("note", {"n": n}) for n in range(37)])

    Journal(engine, signer).append_many([("note", {"n": n}) for n in range(37, 50)])

    journal = Journal(engine, signer)
    assert [e.body["n"] for e in journal.entries()] == list(range(50))
    assert journal.verify().entries == 50


def test_a_journal_whose_end_was_changed_refuses_to_go_on(engine: Engine, signer: SigningKey, journal: Journal) -> None:
    journal.append_many([("note", {"n": n}) for n in range(3)])
    with transaction(engine) as connection:
        connection.execute(text("UPDATE journal_entries SET leaf = zeroblob(32) WHERE seq = 2"))

    with pytest.raises(Tampered, match="does not match its signed checkpoint"):
        Journal(engine, signer).append("note", {"n": 3})


def test_an_entry_slipped_in_at_the_end_is_not_built_upon(engine: Engine, journal: Journal) -> None:
    journal.append("note", {"n": 0})
    with transaction(engine) as connection:
        connection.execute(text("INSERT INTO journal_entries SELECT 1, kind, entry, leaf, above FROM journal_entries"))

    with pytest.raises(Tampered, match="beyond its last checkpoint"):
        journal.append("note", {"n": 1})


def test_an_export_verifies_alone_and_shows_a_changed_byte(journal: Journal, tmp_path: Path) -> None:
    for group in range(4):
        journal.append_many([("note", {"n": n, "group": group}) for n in range(5)])
    folder = journal.export(tmp_path / "export")
    lines = (folder / "entries.jsonl").read_bytes().splitlines(keepends=True)

    assert verify_export(folder).ok
    assert verify_export(folder, witness=journal.checkpoint()).entries == 20
    assert json.loads(lines[7]) == {"at": "2026-11-20T14:00:01.000000Z", "body": {"n": 2, "group": 1}, "format": 1, "kind": "note", "seq": 7}
    (folder / "entries.jsonl").write_bytes(b"".join([*lines[:7], lines[7].replace(b'"n":2', b'"n":3'), *lines[8:]]))
    changed = verify_export(folder)
    assert (changed.ok, changed.first_bad, changed.last_bad, changed.checkpoint) == (False, 7, 7, 10)
    (folder / "entries.jsonl").write_bytes(b"".join([*lines, lines[0]]))
    assert verify_export(folder).first_bad == 20
    (folder / "entries.jsonl").write_bytes(b"".join(lines[:18]))
    assert verify_export(folder).first_bad == 18
