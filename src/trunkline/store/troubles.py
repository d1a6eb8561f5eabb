"""What the service could not do, and since when: one row for each of its loops that fails, gone when it works again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Engine, Integer, String, Table, delete, insert, update

from trunkline.store.catalogue import Instant, rows
from trunkline.store.database import metadata, prepare, transaction

troubles = Table(
    "troubles",
    metadata,
    Column("loop", String, primary_key=True),
    Column("why", String, nullable=False),
    Column("times", Integer, nullable=False),
    Column("since", Instant, nullable=False),
    Column("at", Instant, nullable=False),
)


def note(engine: Engine, loop: str, why: str, *, at: datetime) -> None:
    """Write down that *loop* failed once more."""
    prepare(engine, troubles)
    with transaction(engine) as connection:
        mine = troubles.c.loop == loop
        again = connection.execute(update(troubles).where(mine).values(why=why, at=at, times=troubles.c.times + 1))
        if not again.rowcount:
            connection.execute(insert(troubles).values(loop=loop, why=why, at=at, since=at, times=1))


def over(engine: Engine, *loops: str) -> None:
    """Forget the trouble of *loops*; of all where none is named."""
    prepare(engine, troubles)
    with transaction(engine) as connection:
        connection.execute(delete(troubles).where(troubles.c.loop.in_(loops)) if loops else delete(troubles))


def active(engine: Engine) -> list[Mapping[str, Any]]:
    """What fails now, the oldest trouble first."""
    prepare(engine, troubles)
    return rows(engine, troubles, order_by=troubles.c.since)
