"""A long journal is verified by two processes: as good as by one, and what is bad is named as exactly."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from trunkline.store import open_database, open_key, verify_halves
from trunkline.store.journal import Journal
from trunkline.store.keys import PublicKey


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    monkeypatch.setattr(verify_halves, "FROM", 100)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    engine = open_database(tmp_path / "trunkline.db")
    made = Journal(engine, open_key(tmp_path / "keys"))
    for group in range(12):
        made.append_many([("note", {"n": n, "group": group}) for n in range(37)])
    yield made
    engine.dispose()


def test_both_halves_are_looked_at_and_meet(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[bool] = []
    real = verify_halves.are_good

    def are_good(connection: Connection, key: PublicKey) -> bool:
        tried.append(real(connection, key))
        return tried[-1]

    monkeypatch.setattr("trunkline.store.journal.are_good", are_good)

    found = journal.verify()

    assert tried == [True]
    assert (found.ok, found.entries, found.checkpoints) == (True, 12 * 37, 12)


@pytest.mark.parametrize("seq", [3, 215, 221, 222, 223, 443])
def test_a_changed_entry_in_either_half_is_named(journal: Journal, tmp_path: Path, seq: int) -> None:
    with sqlite3.connect(tmp_path / "trunkline.db") as raw:
        raw.execute("UPDATE journal_entries SET entry = replace(entry, '\"n\":', '\"m\":') WHERE seq = ?", (seq,))
    raw.close()

    found = journal.verify()

    assert (found.ok, found.first_bad) == (False, seq)


def test_interior_nodes_changed_where_the_halves_meet_are_found(journal: Journal, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "trunkline.db") as raw:
        raw.execute("UPDATE journal_entries SET above = zeroblob(length(above)) WHERE seq = 127")
    raw.close()

    assert not journal.verify().ok


def test_a_checkpoint_taken_away_in_the_second_half_is_found(journal: Journal, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "trunkline.db") as raw:
        raw.execute("DELETE FROM journal_checkpoints WHERE size = ?", (9 * 37,))
    raw.close()

    assert not journal.verify().ok
