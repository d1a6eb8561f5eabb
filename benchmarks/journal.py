"""Durable entries, verification and export of the journal, on SQLite and PostgreSQL.

Entries are simulated decisions of some 560 bytes, with the fields that the queue journals. Rates are entries per CPU second,
unless their unit says that waiting counts. The peer is SQLite alone: the same rows in the same groups and as durable, without
canonical form, hash or signature. The limit is the same bytes appended to a file with ``fdatasync`` after each group.
"""

from __future__ import annotations

import gc
import os
import random
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from benchmarks.measure import Figure, cpu, growth, peak_mb
from trunkline.core.canonical import canonical
from trunkline.store import Journal, SigningKey, open_database, open_key, verify_export
from trunkline.store.entry import group_bytes
from trunkline.store.merkle import leaf_hash, root_of

SERVER = os.environ.get("TRUNKLINE_TEST_POSTGRES", "postgresql+psycopg://root@127.0.0.1:5432")
AT = "2026-11-20T14:00:00.000000Z"
PEER = "sqlite3: the same rows without canonical form, hash or signature"
LIMIT = "append + fdatasync of the same bytes to a file"
BARS = {("sqlite", 256): 100_000.0, ("postgresql", 256): 20_000.0}


def bodies(count: int, seed: int = 8) -> list[tuple[str, object]]:
    """Simulated decisions as the queue journals them."""
    chance = random.Random(seed)
    return [
        (
            "decision",
            {
                "id": chance.randbytes(16).hex(),
                "workflow": "kpi-anomaly",
                "release": chance.randbytes(32).hex(),
                "mode": "live",
                "action": "propose",
                "target": f"site-{n % 1000:04d}-cell-{n % 3}",
                "confidence": chance.random(),
                "at": "2026-11-20T14:00:00.000000Z",
                "known_at": "2026-11-20T14:05:00.000000Z",
                "because": "load is 3.2 times its usual for this hour of the week",
                "reasons": [f"prb_utilisation {chance.random() * 100:.1f} is 3.2 times its usual", f"rrc_success {chance.random():.3f} is below its usual"],
            },
        )
        for n in range(count)
    ]


@dataclass(frozen=True, slots=True)
class Rate:
    """Entries per CPU second and per second of the clock, the best of several runs."""

    per_cpu_s: float
    per_s: float


def groups_of(items: Sequence[tuple[str, object]], size: int) -> list[Sequence[tuple[str, object]]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def rate(count: int, run: Callable[[], object], before: Callable[[], object] = lambda: None, *, repeat: int = 3) -> Rate:
    """How many of *count* entries *run* gets through; *before* each run is not counted."""
    cpus, walls = [], []
    for _ in range(repeat):
        before()
        gc.collect()
        gc.disable()
        wall, used = time.perf_counter(), time.process_time()
        run()
        cpus.append(time.process_time() - used)
        walls.append(time.perf_counter() - wall)
        gc.enable()
    return Rate(count / min(cpus), count / min(walls))


@contextmanager
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="trunkline-journal-"))
    try:
        yield made
    finally:
        shutil.rmtree(made)


@contextmanager
def postgres() -> Iterator[str | None]:
    """A database of our own on the server; None where no server answers."""
    server = create_engine(f"{SERVER}/postgres", isolation_level="AUTOCOMMIT")
    name = f"trunkline_bench_{os.getpid()}"
    try:
        with server.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
    except (OperationalError, ModuleNotFoundError):
        yield None
        return
    try:
        yield f"{SERVER}/{name}"
    finally:
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        server.dispose()


def appended(where: str, key: SigningKey, groups: list[Sequence[tuple[str, object]]], *, repeat: int) -> Rate:
    """Groups appended to a journal that is open and empty at first."""
    engine = open_database(where)
    journal = Journal(engine, key)
    journal.append_many(groups[0])  # the statements are prepared once

    def append() -> None:
        for group in groups:
            journal.append_many(group)

    try:
        return rate(sum(map(len, groups)), append, repeat=repeat)
    finally:
        engine.dispose()


def plain_rows(path: Path, texts: list[bytes], size: int, *, repeat: int) -> Rate:
    """The peer: rows of number, kind and bytes in groups of *size*, as durable, without a hash."""
    database = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        database.execute(f"PRAGMA {pragma}").close()
    database.execute("CREATE TABLE plain (seq INTEGER PRIMARY KEY, kind VARCHAR NOT NULL, entry BLOB NOT NULL)")
    database.execute("CREATE INDEX plain_by_kind ON plain (kind, seq)")

    def insert() -> None:
        since = database.execute("SELECT coalesce(max(seq) + 1, 0) FROM plain").fetchone()[0]
        for start in range(0, len(texts), size):
            database.execute("BEGIN IMMEDIATE")
            rows = [(since + start + n, "decision", entry) for n, entry in enumerate(texts[start : start + size])]
            database.executemany("INSERT INTO plain VALUES (?, ?, ?)", rows)
            database.execute("COMMIT")

    try:
        return rate(len(texts), insert, repeat=repeat)
    finally:
        database.close()


def file_appended(path: Path, texts: list[bytes], size: int, *, repeat: int) -> Rate:
    """The limit: the bytes of each group in one write, and ``fdatasync``."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def append() -> None:
        for start in range(0, len(texts), size):
            os.write(descriptor, b"\n".join(texts[start : start + size]))
            os.fdatasync(descriptor)

    try:
        return rate(len(texts), append, repeat=repeat)
    finally:
        os.close(descriptor)


def check_equal(key: SigningKey) -> None:
    """The bytes, leaves and root of a journal are what RFC 6962 and Python's own encoder make of the same bodies."""
    items = bodies(1000)
    alone = [canonical({"at": AT, "body": body, "format": 1, "kind": kind, "seq": seq}) for seq, (kind, body) in enumerate(items)]
    assert group_bytes(0, AT, items) == alone
    with folder() as made:
        engine = open_database(made / "trunkline.db")
        journal = Journal(engine, key)
        for group in groups_of(items, 256):
            journal.append_many(group)
        texts = [journal.entry(seq) for seq in range(1000)]
        assert [leaf_hash(entry) for entry in texts] == [entry.leaf for entry in journal.entries()]
        assert journal.root() == root_of(map(leaf_hash, texts))
        assert verify_export(journal.export(made / "export")).entries == journal.verify().entries == 1000
        engine.dispose()


def figures(*, quick: bool) -> Iterator[Figure]:
    """Append in groups of 1, 16 and 256 on both databases, verify, export, and growth."""
    repeat = 3 if quick else 5
    with folder() as made, postgres() as server:
        key = open_key(made / "keys")
        check_equal(key)
        for size, count in ((1, 500), (16, 4_000), (256, 25_600)) if quick else ((1, 3_000), (16, 32_000), (256, 102_400)):
            items = bodies(count)
            texts = group_bytes(0, AT, items)
            peer = plain_rows(made / f"plain-{size}.db", texts, size, repeat=repeat)
            limit = file_appended(made / f"file-{size}", texts, size, repeat=repeat)
            for name, where in (("sqlite", str(made / f"journal-{size}.db")), ("postgresql", server)):
                if where is None:
                    continue
                place = where if name == "sqlite" else f"{where}?schema=bench_{size}"
                found = appended(place, key, groups_of(items, size), repeat=repeat)
                bar, kind = BARS.get((name, size)), f"journal: append in groups of {size}, {name}"
                if name == "sqlite":  # the server's CPU is not this process's: there only the clock tells
                    yield Figure(
                        name=kind,
                        value=found.per_cpu_s,
                        unit="entries/CPU-s",
                        bar=bar,
                        peer=PEER,
                        peer_value=peer.per_cpu_s,
                        limit=limit.per_cpu_s,
                        limit_is=LIMIT,
                        n=count,
                        note=f"{found.per_cpu_s / peer.per_cpu_s:.0%} of the peer",
                    )
                yield Figure(
                    name=f"{kind}, by the clock",
                    value=found.per_s,
                    unit="durable entries/s",
                    bar=bar,
                    peer=PEER,
                    peer_value=peer.per_s,
                    limit=limit.per_s,
                    limit_is=LIMIT,
                    n=count,
                )
        yield from _read(made, key, quick=quick)


def _read(made: Path, key: SigningKey, *, quick: bool) -> Iterator[Figure]:
    base = 10_240 if quick else 102_400
    verified, exported, wrote = {}, {}, {}
    for times in (1, 3, 10):
        count = base * times
        items = bodies(base)
        engine = open_database(made / f"read-{times}.db")
        journal = Journal(engine, key)

        def append(journal: Journal = journal, items: list[tuple[str, object]] = items, times: int = times) -> None:
            for _ in range(times):
                for group in groups_of(items, 256):
                    journal.append_many(group)

        wrote[count] = cpu(append, repeat=1).cpu_s
        taken = cpu(journal.verify, repeat=3)
        assert taken.result.ok
        verified[count] = taken.cpu_s
        out = made / f"export-{times}"
        exported[count] = (taken := cpu(journal.export, out, repeat=3)).cpu_s
        wall = taken.wall_s
        if times == 10:
            lines = (out / "entries.jsonl").read_bytes().splitlines()
            hashed = cpu(lambda lines=lines: [sha256(line).digest() for line in lines], repeat=3).cpu_s
            yield Figure(
                name=f"journal: verify {count:,} entries",
                value=count / verified[count],
                unit="entries/CPU-s",
                bar=400_000.0,
                limit=count / hashed,
                limit_is="sha256 of each entry, in memory",
                n=count,
                peak_mb=peak_mb(),
                note=f"{verified[count] / hashed:.1f} x bare sha256, grows with size ^ {growth(verified):.2f}",
            )
            del lines
            copied = cpu(shutil.copyfile, made / f"read-{times}.db", made / "copy.db", repeat=3)
            yield Figure(
                name=f"journal: export of 1 M entries, from {count:,}",
                value=wall * 1e6 / count,
                unit="s by the clock",
                bar=10.0,
                better="lower",
                limit=copied.wall_s * 1e6 / count,
                limit_is="copying the database file",
                n=count,
                note=f"grows with size ^ {growth(exported):.2f}",
            )
            yield Figure(
                name=f"journal: growth of appending, 1 to {count:,} entries",
                value=growth(wrote),
                unit="exponent",
                bar=1.1,
                better="lower",
                n=count,
                note="1 is linear",
            )
        engine.dispose()
        with suppress(OSError):
            shutil.rmtree(out)
