"""Positions, heartbeats, snapshots, tallies and the outbox: each with its transaction, none by itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from trunkline.core.errors import NotAllowed
from trunkline.store import heartbeats, outbox, positions, snapshots, tallies
from trunkline.store.blobs import Blobs
from trunkline.store.catalogue import open_catalogue
from trunkline.store.database import open_database, prepare, transaction
from trunkline.store.tallies import Tally

AT = datetime(2026, 11, 20, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_database(tmp_path / "trunkline.db")
    open_catalogue(made)
    prepare(made, positions.positions, heartbeats.heartbeats, snapshots.snapshots, outbox.outbox, tallies.tallies)
    yield made
    made.dispose()


def test_a_position_moves_on_from_where_it_stands_and_from_nowhere_else(engine: Engine) -> None:
    with transaction(engine) as connection:
        positions.begin(connection, "w", "serving", at=AT, release="r1")
        positions.advance(connection, "w", "serving", since=AT, through=AT + HOUR, release="r1", body={"canary": "r2"})

    found = positions.position(engine, "w", "serving")
    assert found == positions.Position(through=AT + HOUR, release="r1", body={"canary": "r2"})
    with pytest.raises(NotAllowed, match="was decided by another process up to 2026-11-20 09:00"), transaction(engine) as connection:
        positions.advance(connection, "w", "serving", since=AT, through=AT + HOUR, release="r1", body={})
    assert positions.position(engine, "w", "shadow") is None


def test_what_is_remembered_goes_with_its_transaction(engine: Engine) -> None:
    with pytest.raises(RuntimeError), transaction(engine) as connection:
        positions.remember(connection, "r1", "live", {"state": 1})
        raise RuntimeError
    assert positions.remembered(engine, "r1", "live") is None

    with transaction(engine) as connection:
        positions.remember(connection, "r1", "live", {"state": 1})
        positions.remember(connection, "r1", "live", {"state": 2})
    assert positions.remembered(engine, "r1", "live") == {"state": 2}


def test_a_heartbeat_keeps_what_is_not_said_and_counts_errors(engine: Engine) -> None:
    heartbeats.beat(engine, "w", error="first")
    heartbeats.beat(engine, "w", step_at=AT)
    heartbeats.beat(engine, "w", row_at=AT + HOUR, error="second")
    heartbeats.beat(engine, "w")

    assert heartbeats.heartbeat(engine, "w") == heartbeats.Heartbeat(workflow="w", last_step_at=AT, last_row_at=AT + HOUR, errors=2, last_error="second")


def test_the_newest_snapshot_that_fits_is_found_and_old_ones_go(engine: Engine, tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    for n in range(6):
        one = snapshots.Snapshot(at=AT + n * HOUR, content=b"state %d" % n, body={"n": n})
        snapshots.keep(engine, blobs, "w", one, workflow_hash="h", made_at=AT)

    def newest(**how: datetime) -> int | None:
        found = snapshots.newest(engine, blobs, "w", workflow_hash="h", **how)
        return None if found is None else int(found.body["n"])

    assert newest() == 5
    assert newest(until=AT + 3.5 * HOUR) == 3
    assert newest(until=AT + HOUR) is None
    assert snapshots.newest(engine, blobs, "w", workflow_hash="another") is None
    assert len([p for p in blobs.folder.rglob("*") if p.is_file()]) == snapshots.KEPT


def test_a_snapshot_whose_bytes_were_changed_is_passed_over(engine: Engine, tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    for n in range(2):
        snapshots.keep(engine, blobs, "w", snapshots.Snapshot(at=AT, content=b"state %d" % n, body={"n": n}), workflow_hash="h", made_at=AT)
    found = snapshots.newest(engine, blobs, "w", workflow_hash="h")
    assert found is not None
    blobs.path(blobs.put(b"state 1")).write_bytes(b"changed")

    found = snapshots.newest(engine, blobs, "w", workflow_hash="h")

    assert found is not None
    assert found.content == b"state 0"


def test_tallies_add_up_by_region(engine: Engine) -> None:
    for _ in range(2):
        with transaction(engine) as connection:
            tallies.add(connection, "w", "r1", "r2", {"north": Tally(rows=10, both=2, live_only=1, ms=4.0, most_ms=4.0, batches=1), "south": Tally(missed=3)})

    found = tallies.of(engine, "w", "r1", "r2")

    assert found["north"] == Tally(rows=20, both=4, live_only=2, ms=8.0, most_ms=4.0, batches=2)
    assert found["north"].agreement == 0.9
    assert (found["south"].missed, found["south"].agreement) == (6, None)


def test_an_intent_ends_once(engine: Engine) -> None:
    with transaction(engine) as connection:
        key = outbox.put(connection, decision="d1", verb="act", action="notify", body={}, at=AT)
        other = outbox.put(connection, decision="d1", verb="act", action="notify", body={}, at=AT)
    assert (key, other) == ("d1-act-1", "d1-act-2")
    assert [one.key for one in outbox.due(engine, AT)] == [key, other]
    assert outbox.due(engine, AT - HOUR) == []

    with transaction(engine) as connection:
        assert outbox.end(connection, key, "delivered", at=AT, why="")
        assert not outbox.end(connection, key, "dead", at=AT, why="late")
    assert outbox.counted(engine) == {"delivered": 1, "waiting": 1}
