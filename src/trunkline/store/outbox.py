"""What is to happen outside because of a decision: committed with the decision, delivered after it, again and again until it is.

An intent has a key that never changes, so that whoever receives it twice can tell. It waits, is delivered, is withdrawn
before anybody tried, or ends as a dead letter with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Column, Connection, Engine, Integer, String, Table, Text, func, insert, or_, select, update

from trunkline.store.catalogue import Canonical, Instant
from trunkline.store.database import metadata, reading

IntentState = Literal["waiting", "delivered", "withdrawn", "dead"]
FARTHEST = timedelta(hours=1)
"""No try is put off for longer: one that lies farther ahead was set by a clock that was wrong, and is due."""

outbox = Table(
    "outbox",
    metadata,
    Column("key", String, primary_key=True),
    Column("decision", String, nullable=False, index=True),
    Column("verb", String, nullable=False),  # act, undo
    Column("action", String, nullable=False),  # its name in trunkline.actions
    Column("body", Canonical, nullable=False),  # parameters of the action, and the message
    Column("state", String, nullable=False, index=True),
    Column("attempts", Integer, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("next_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("why", Text, nullable=False),  # the last failure, or what was answered
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One thing that is to happen outside."""

    key: str
    decision: str
    verb: Literal["act", "undo"]
    action: str
    body: Mapping[str, Any]
    state: IntentState
    attempts: int
    made_at: datetime
    next_at: datetime
    ended_at: datetime | None
    why: str

    def __str__(self) -> str:
        when = f" at {self.ended_at:%Y-%m-%d %H:%M} UTC" if self.ended_at else f", next try {self.next_at:%Y-%m-%d %H:%M:%S} UTC"
        return (
            f"{self.verb} by {self.action}: {self.state} after {self.attempts} attempt{'s' * (self.attempts != 1)}{when}{f', {self.why}' if self.why else ''}"
        )


def put(connection: Connection, *, decision: str, verb: Literal["act", "undo"], action: str, body: Mapping[str, Any], at: datetime) -> str:
    """Put an intent in, inside the transaction of its decision; its key.

    The key is made of the decision and how often this was wanted before: repeating a transaction that was cut off
    gives the same one.
    """
    key = next_key(connection, decision, verb)
    values = {"decision": decision, "verb": verb, "action": action, "body": dict(body), "state": "waiting", "attempts": 0}
    connection.execute(insert(outbox).values(key=key, **values, made_at=at, next_at=at, why=""))
    return key


def next_key(connection: Connection, decision: str, verb: str) -> str:
    """The key that the next intent of *decision* and *verb* will have."""
    times = connection.execute(select(func.count()).where(outbox.c.decision == decision, outbox.c.verb == verb)).scalar_one()
    return f"{decision}-{verb}-{times + 1}"


def due(engine: Engine, at: datetime, *, limit: int = 100) -> list[Intent]:
    """Intents whose time for a try has come, the longest waiting first."""
    c = outbox.c
    return _read(engine, c.state == "waiting", or_(c.next_at <= at, c.next_at > at + FARTHEST), limit=limit)


def of_decision(engine: Engine, decision: str) -> list[Intent]:
    """Every intent of a decision, in order."""
    with reading(engine) as connection:
        return within(connection, decision)


def within(connection: Connection, decision: str) -> list[Intent]:
    """As :func:`of_decision`, as a transaction sees it."""
    query = select(outbox).where(outbox.c.decision == decision).order_by(outbox.c.made_at, outbox.c.key)
    return [Intent(**row) for row in connection.execute(query).mappings()]


def in_state(engine: Engine, state: IntentState) -> list[Intent]:
    """Every intent in this state."""
    return _read(engine, outbox.c.state == state)


def counted(engine: Engine) -> dict[str, int]:
    """How many intents are in each state."""
    with reading(engine) as connection:
        return {row[0]: int(row[1]) for row in connection.execute(select(outbox.c.state, func.count()).group_by(outbox.c.state))}


def tried(connection: Connection, key: str, *, next_at: datetime, why: str) -> None:
    """A try failed; there will be another one."""
    connection.execute(update(outbox).where(outbox.c.key == key).values(attempts=outbox.c.attempts + 1, next_at=next_at, why=why[:2000]))


def end(connection: Connection, key: str, state: IntentState, *, at: datetime, why: str, attempts: int = 1) -> bool:
    """It is over: delivered, withdrawn or dead. False where it was over before, and nothing changed."""
    waiting = update(outbox).where(outbox.c.key == key, outbox.c.state == "waiting")
    return connection.execute(waiting.values(state=state, attempts=outbox.c.attempts + attempts, ended_at=at, why=why[:2000])).rowcount == 1


def again(connection: Connection, keys: Sequence[str], *, at: datetime) -> int:
    """Let dead letters be tried once more; says how many."""
    dead = update(outbox).where(outbox.c.key.in_(keys), outbox.c.state == "dead")
    return int(connection.execute(dead.values(state="waiting", attempts=0, next_at=at, ended_at=None)).rowcount)


def _read(engine: Engine, *where: Any, limit: int | None = None) -> list[Intent]:
    query = select(outbox).where(*where).order_by(outbox.c.next_at, outbox.c.key).limit(limit)
    with reading(engine) as connection:
        return [Intent(**row) for row in connection.execute(query).mappings()]
