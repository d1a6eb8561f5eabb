"""Two processes append at once, and one is killed in the middle: one unbroken log with everything that was acknowledged.

On SQLite and, where a server answers, on PostgreSQL.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from tests.conftest import REQUIRE_ALL, SOAK

from trunkline.core.errors import Tampered
from trunkline.store import Journal, open_database, open_key, transaction
from trunkline.store.merkle import leaf_hash, root_of

SERVER = "postgresql+psycopg://root@127.0.0.1:5432"

APPENDER = """
import random, sys
from trunkline.store import Journal, open_database, open_key
where, keys, name, groups = sys.argv[1:]
journal, chance = Journal(open_database(where), open_key(keys)), random.Random(name)
print("ready", flush=True)
sys.stdin.readline()
n = 0
for _ in range(int(groups)):
    size = chance.choice([1, 3, 80])
    last = journal.append_many([("note", {"by": name, "n": n + i}) for i in range(size)])[-1]
    n += size
    print(last.seq, n, flush=True)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield str(tmp_path / "trunkline.db")
        return
    server = create_engine(f"{SERVER}/postgres", isolation_level="AUTOCOMMIT")
    name = f"trunkline_journal_{os.getpid()}_{random.SystemRandom().randrange(10**6)}"
    try:
        with server.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
    except OperationalError as absent:
        if REQUIRE_ALL:
            raise
        pytest.skip(f"no PostgreSQL answers at {SERVER}: {absent.orig}")
    yield f"{SERVER}/{name}"
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


def start(where: str, keys: Path, name: str, groups: int) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", APPENDER, where, str(keys), name, str(groups)]
    begun = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert begun.stdout is not None
    assert begun.stdout.readline() == "ready\n"
    return begun


def test_a_journal_is_appended_read_proven_and_exported_alike(where: str, tmp_path: Path) -> None:
    engine = open_database(where)
    journal = Journal(engine, open_key(tmp_path / "keys"))
    journal.append("note", {"n": 0})
    with pytest.raises(RuntimeError), transaction(engine) as connection:
        journal.append_many([("note", {"n": n}) for n in range(200)], connection)
        raise RuntimeError("power cut")
    with transaction(engine) as connection:
        journal.append_many([("decision", {"n": n, "text": "ü" * n}) for n in range(1, 200)], connection)
        journal.append("note", {"n": 200}, connection)

    assert [e.body["n"] for e in journal.entries()] == list(range(201))
    assert [e.seq for e in journal.entries(kind="decision", since=150, limit=2)] == [150, 151]
    assert (journal.verify().entries, journal.verify().checkpoints, journal.verify().ok) == (201, 3, True)
    assert journal.root() == root_of(leaf_hash(journal.entry(seq)) for seq in range(201))
    assert journal.inclusion_proof(7, 100).holds(journal.entry(7), journal.root(100))
    assert len((journal.export(tmp_path / "export") / "entries.jsonl").read_bytes().splitlines()) == 201
    with transaction(engine) as connection:
        connection.execute(text("UPDATE journal_entries SET kind = 'note' WHERE seq = 77"))
    assert journal.verify().first_bad == 77
    with transaction(engine) as connection:
        connection.execute(text("INSERT INTO journal_entries SELECT 201, kind, entry, leaf, above FROM journal_entries WHERE seq = 200"))
    with pytest.raises(Tampered, match="beyond its last checkpoint"):
        journal.append("note", {})
    engine.dispose()


def test_two_processes_that_append_at_once_make_one_unbroken_log(where: str, tmp_path: Path) -> None:
    engine = open_database(where)
    journal = Journal(engine, open_key(tmp_path / "keys"))
    both = [start(where, tmp_path / "keys", name, 15) for name in ("one", "other")]

    for one in both:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    said = [one.communicate()[0].splitlines() for one in both]

    assert [one.returncode for one in both] == [0, 0]
    found = journal.verify()
    assert found.ok, found.why
    assert found.checkpoints == 30
    wrote = [int(lines[-1].split()[1]) for lines in said]
    assert found.entries == sum(wrote)
    for name, count in zip(("one", "other"), wrote, strict=True):
        assert [e.body["n"] for e in journal.entries() if e.body["by"] == name] == list(range(count))
    engine.dispose()


def test_what_was_acknowledged_before_a_kill_is_there_and_verifies(where: str, tmp_path: Path) -> None:
    engine = open_database(where)
    journal, chance = Journal(engine, open_key(tmp_path / "keys")), random.Random(9)
    for kill in range(2 * SOAK):
        child = start(where, tmp_path / "keys", f"child {kill}", 10**6)
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
        time.sleep(chance.uniform(0.0, 0.15))
        child.kill()
        said = [line for line in child.communicate()[0].splitlines(keepends=True) if line.endswith("\n")]

        found = journal.verify()
        acknowledged = int(said[-1].split()[0]) + 1 if said else 0
        assert found.ok, found.why
        assert acknowledged <= found.entries <= max(acknowledged, journal.size)
        mine = [e.body["n"] for e in journal.entries() if e.body["by"] == f"child {kill}"]
        assert mine == list(range(len(mine)))
        assert len(mine) >= (int(said[-1].split()[1]) if said else 0)
    engine.dispose()
