"""Writers and readers of several processes at one store at once: nothing lost, nothing doubled, nothing half seen.

A writer's step is one transaction: a row of the catalogue, its journal entry, and a number all writers count up. Beside it
the writer takes in a content of its own and one that every writer sends. A reader looks, in one snapshot after the other,
whether the three parts of a step are ever seen apart.
"""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from sqlalchemy import Connection, func, select, text, update

from trunkline.core import config
from trunkline.store import catalogue
from trunkline.store.database import reading, transaction
from trunkline.store.opened import Store, is_workspace, open_store

Make = Callable[[], Store]
_AT = datetime(2026, 11, 20, 14, tzinfo=UTC)
_WAIT_S = 300
_PAUSE_S = 0.005  # of a reader between two looks, so that on few cores the writers get on


class _Queue(Protocol):
    def put(self, told: tuple[str, list[str]]) -> None: ...


class _Flag(Protocol):
    def is_set(self) -> bool: ...

    def wait(self) -> object: ...


def make_in(folder: str | Path, database: str = "") -> Store:
    """The store in *folder*, made the first time, its key beside it; *database* as in the setting."""
    folder = Path(folder)
    settings = config.read(folder / "w", flags={"keys": str(folder / "keys"), "database": database}, environment={})
    return open_store(folder / "w", settings, create=not is_workspace(folder / "w"))


def run(make: Make, *, writers: int, readers: int, steps: int) -> list[str]:
    """What went wrong; empty where nothing did."""
    round_ = uuid4().hex[:8]
    store = make()
    with transaction(store.engine) as connection:
        catalogue.add(connection, catalogue.meta, key=round_, value="0")
    before, known = store.journal.size, store.intake.duplicates()
    spawn = get_context("spawn")
    answers, go, over = spawn.Queue(), spawn.Event(), spawn.Event()
    writing = [spawn.Process(target=_write, args=(make, round_, n, steps, go, answers), daemon=True) for n in range(writers)]
    looking = [spawn.Process(target=_look, args=(make, round_, go, over, answers), daemon=True) for _ in range(readers)]
    for process in (*writing, *looking):
        process.start()
    go.set()
    wrong: list[str] = []
    try:
        for number in range(writers + readers):
            if number == writers:
                over.set()
            wrong += answers.get(timeout=_WAIT_S)[1]
    finally:
        over.set()
        for process in (*writing, *looking):
            process.join(timeout=30)
            if process.is_alive():
                process.kill()
    wrong += _left(store, round_, writers, steps, before, known)
    store.close()
    return wrong


def killed_after(make: Make, key: str, *, committed: bool) -> None:
    """Have a process write the row *key*, and end by SIGKILL after its commit or before it."""
    process = get_context("spawn").Process(target=_write_and_die, args=(make, key, committed), daemon=True)
    process.start()
    process.join(timeout=_WAIT_S)


def _write_and_die(make: Make, key: str, committed: bool) -> None:
    with transaction(make().engine) as connection:
        catalogue.add(connection, catalogue.meta, key=key, value="1")
        if not committed:
            os.kill(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def _write(make: Make, round_: str, writer: int, steps: int, go: _Flag, answers: _Queue) -> None:
    wrong = []
    try:
        store = make()
        go.wait()
        for step in range(steps):
            _step(store, round_, writer, step)
        store.close()
    except BaseException:  # noqa: BLE001 - told to who started it
        wrong.append(f"writer {writer}: {traceback.format_exc()}")
    answers.put(("writer", wrong))


def _step(store: Store, round_: str, writer: int, step: int) -> None:
    with transaction(store.engine) as connection:
        row = {"workflow": round_, "release": "r", "mode": "live", "state": "open", "action": "a", "target": f"e{writer}", "confidence": 0.5, "propensity": 1.0}
        times = {"at": _AT, "until": _AT, "known_at": _AT}
        catalogue.add(connection, catalogue.decisions, id=f"{round_}-{writer}-{step}", route="", body={"step": step}, **row, **times)
        count = _counted(connection, round_)
        store.journal.append(f"check.r{round_}", {"writer": writer, "step": step, "count": count}, connection)
        connection.execute(update(catalogue.meta).where(catalogue.meta.c.key == round_).values(value=str(count + 1)))
    store.intake.accept_many([("check", f"{round_} {writer} {step}".encode(), _AT, None), ("check", f"{round_} {step}".encode(), _AT, None)])


def _look(make: Make, round_: str, go: _Flag, over: _Flag, answers: _Queue) -> None:
    wrong: list[str] = []
    try:
        store = make()
        go.wait()
        last, arrivals = 0, 0
        while not over.is_set() and not wrong:
            with reading(store.engine) as connection:
                rows = connection.execute(select(func.count()).select_from(catalogue.decisions).where(catalogue.decisions.c.workflow == round_)).scalar_one()
                entries = connection.execute(text("SELECT count(*) FROM journal_entries WHERE kind = :kind"), {"kind": f"check.r{round_}"}).scalar_one()
                covered = connection.execute(text("SELECT max(size) FROM journal_checkpoints")).scalar_one() or 0
                written = connection.execute(text("SELECT coalesce(max(seq) + 1, 0) FROM journal_entries")).scalar_one()
                count = _counted(connection, round_)
            if not rows == entries == count or covered != written:
                wrong.append(f"a reader saw {rows} rows, {entries} entries, {count} counted; {written} entries under a checkpoint of {covered}")
            if count < last:
                wrong.append(f"a reader saw {last} steps, and later {count}")
            last = count
            found = [arrival.sequence for arrival in store.intake.after(0)]
            if len(found) < arrivals or found != sorted(set(found)):
                wrong.append("a reader saw arrivals vanish, or out of order")
            arrivals = len(found)
            time.sleep(_PAUSE_S)
        store.close()
    except BaseException:  # noqa: BLE001 - told to who started it
        wrong.append(f"reader: {traceback.format_exc()}")
    answers.put(("reader", wrong))


def _left(store: Store, round_: str, writers: int, steps: int, before: int, known: int) -> list[str]:
    """What is not as it must be when all are done."""
    wrong = []
    table = catalogue.decisions
    ids = {row["id"] for row in catalogue.rows(store.engine, table, table.c.workflow == round_)}
    wanted = {f"{round_}-{writer}-{step}" for writer in range(writers) for step in range(steps)}
    if ids != wanted:
        wrong.append(f"of {len(wanted)} rows {len(wanted - ids)} are lost, {len(ids - wanted)} are too many")
    bodies: list[Any] = [entry.body for entry in store.journal.entries(f"check.r{round_}")]
    if [body["count"] for body in bodies] != list(range(len(wanted))):
        wrong.append(f"the {len(bodies)} entries do not count to {len(wanted)} one by one")
    if {(body["writer"], body["step"]) for body in bodies} != {(writer, step) for writer in range(writers) for step in range(steps)}:
        wrong.append("an entry of a writer is lost or doubled")
    if store.journal.size - before != len(wanted):
        wrong.append(f"the journal grew by {store.journal.size - before}, not by {len(wanted)}")
    if not (verified := store.journal.verify()).ok:
        wrong.append(f"the journal does not verify: {verified.why}")
    if (twice := store.intake.duplicates() - known) != (writers - 1) * steps:
        wrong.append(f"{twice} contents counted as having come before, not {(writers - 1) * steps}")
    return wrong


def _counted(connection: Connection, key: str) -> int:
    return int(connection.execute(select(catalogue.meta.c.value).where(catalogue.meta.c.key == key)).scalar_one())
