"""The contract of a store, kept by both databases, alone and under many processes; and found broken where it is broken."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from tests.conftest import SOAK

from trunkline.store import check, check_store, database
from trunkline.store import postgres as postgres_store
from trunkline.store.check_together import make_in

STEPS = 6 * SOAK


def broken(findings: tuple[check.Finding, ...]) -> list[str]:
    return [f"{one.name}: {one.message}" for one in findings if not one.passed]


def test_sqlite_keeps_the_contract(tmp_path: Path) -> None:
    writers, readers = (4, 8) if SOAK > 1 else (2, 2)

    assert broken(check_store(partial(make_in, tmp_path), writers=writers, readers=readers, steps=STEPS)) == []


def test_postgresql_keeps_the_contract(tmp_path: Path, postgres: str) -> None:
    assert broken(check_store(partial(make_in, tmp_path, f"{postgres}?schema=contract"), writers=4, readers=8, steps=STEPS)) == []


def test_a_store_whose_writers_take_no_turns_is_found_out(tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_store, "take_turn", lambda *_: None)
    monkeypatch.setattr(check, "CHECKS", (check.what_a_writer_read_is_true_when_it_commits, check.a_writer_waits_for_another_one))

    found = broken(check_store(partial(make_in, tmp_path, f"{postgres}?schema=no_turns"), writers=0))

    assert any("what a writer read" in one or "a writer waits" in one for one in found)


def test_a_store_that_does_not_sync_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = database._set_up

    def careless(connection: object, record: object) -> None:
        real(connection, record)
        connection.execute("PRAGMA synchronous=OFF").close()  # type: ignore[attr-defined]

    monkeypatch.setattr(database, "_set_up", careless)
    monkeypatch.setattr(check, "CHECKS", (check.every_commit_is_on_the_disk,))

    assert any(one.startswith("every commit is on the disk") for one in broken(check_store(partial(make_in, tmp_path), writers=0)))
