"""How far deciding got, and what it remembers: written in the transaction that records the decisions themselves.

A workflow decides twice side by side: *serving* (the live release, and the canary beside it, which share every slot
between them) and *shadow*. Each has one position; each release has a decide state of its own per mode.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Column, Connection, Engine, String, Table, delete, insert, select

from trunkline.core.errors import NotAllowed
from trunkline.store.catalogue import Canonical, Instant, states
from trunkline.store.database import metadata, reading

Side = Literal["serving", "shadow"]

positions = Table(
    "deciding_positions",
    metadata,
    Column("workflow", String, primary_key=True),
    Column("side", String, primary_key=True),
    Column("through", Instant, nullable=False),  # every row due by then is decided
    Column("release", String, nullable=False),
    Column("body", Canonical, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Up to when one side has decided, and which release it was then."""

    through: datetime
    release: str
    body: Mapping[str, Any]


def position(engine: Engine, workflow: str, side: Side) -> Position | None:
    """Where *side* of *workflow* stands; None before its first decision."""
    with reading(engine) as connection:
        return _read(connection, workflow, side)


def begin(connection: Connection, workflow: str, side: Side, *, at: datetime, release: str, body: Mapping[str, Any] | None = None) -> None:
    """Say where *side* begins, before anything is decided: so that a run that is cut off begins there again."""
    connection.execute(delete(positions).where(positions.c.workflow == workflow, positions.c.side == side))
    connection.execute(insert(positions).values(workflow=workflow, side=side, through=at, release=release, body=dict(body or {})))


def advance(connection: Connection, workflow: str, side: Side, *, since: datetime, through: datetime, release: str, body: Mapping[str, Any]) -> None:
    """Move *side* on from *since*, inside the transaction that records what it decided.

    Raises
    ------
    NotAllowed
        It does not stand at *since*: somebody else decided meanwhile. Nothing of this transaction counts.
    """
    found = _read(connection, workflow, side)
    if found is not None and found.through != since:
        raise NotAllowed(
            f"'{workflow}' was decided by another process up to {found.through:%Y-%m-%d %H:%M} UTC, while this one stood at {since:%Y-%m-%d %H:%M}.",
            where=f"{side} of '{workflow}'",
            allowed="one process at a time deciding for a workspace",
            next_step="Stop one of them; what was recorded is whole, and the next run goes on from there.",
        )
    begin(connection, workflow, side, at=through, release=release, body=body)


def remembered(engine: Engine, release: str, mode: str) -> Mapping[str, Any] | None:
    """The decide state of a release in one mode, as it was recorded."""
    with reading(engine) as connection:
        body: Mapping[str, Any] | None = connection.execute(select(states.c.body).where(states.c.release == release, states.c.mode == mode)).scalar()
    return body


def remember(connection: Connection, release: str, mode: str, body: Mapping[str, Any]) -> None:
    """Record the decide state of a release in one mode."""
    connection.execute(delete(states).where(states.c.release == release, states.c.mode == mode))
    connection.execute(insert(states).values(release=release, mode=mode, body=dict(body)))


def _read(connection: Connection, workflow: str, side: Side) -> Position | None:
    row = connection.execute(select(positions).where(positions.c.workflow == workflow, positions.c.side == side)).one_or_none()
    return None if row is None else Position(through=row.through, release=row.release, body=row.body)
