"""A sign of life per workflow: when it last looked, saw rows and decided, and what went wrong since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, Connection, Engine, Integer, String, Table, Text, insert, select, update

from trunkline.store.catalogue import Instant
from trunkline.store.database import joined, metadata, reading

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("workflow", String, primary_key=True),
    Column("last_step_at", Instant),  # when it last looked whether there is something to decide
    Column("last_row_at", Instant),  # the newest row it decided on was due then
    Column("last_decision_at", Instant),
    Column("errors", Integer, nullable=False),  # of live steps, ever
    Column("last_error", Text, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The sign of life of one workflow; None where something never happened."""

    workflow: str
    last_step_at: datetime | None = None
    last_row_at: datetime | None = None
    last_decision_at: datetime | None = None
    errors: int = 0
    last_error: str = ""


def beat(
    engine: Engine,
    workflow: str,
    *,
    step_at: datetime | None = None,
    row_at: datetime | None = None,
    decision_at: datetime | None = None,
    error: str = "",
    connection: Connection | None = None,
) -> None:
    """Write down what has just happened; what is None stays as it was, and an *error* is counted."""
    told = {"last_step_at": step_at, "last_row_at": row_at, "last_decision_at": decision_at}
    values: dict[str, object] = {name: at for name, at in told.items() if at is not None}
    if error:
        values |= {"errors": heartbeats.c.errors + 1, "last_error": error[:2000]}
    with joined(engine, connection) as writing:
        if values and writing.execute(update(heartbeats).where(heartbeats.c.workflow == workflow).values(**values)).rowcount == 0:
            first = {**values, "errors": 1 if error else 0, "last_error": error[:2000]}
            writing.execute(insert(heartbeats).values(workflow=workflow, **first))


def heartbeat(engine: Engine, workflow: str) -> Heartbeat:
    """The sign of life of *workflow*; an empty one where it never ran."""
    with reading(engine) as connection:
        row = connection.execute(select(heartbeats).where(heartbeats.c.workflow == workflow)).mappings().one_or_none()
    return Heartbeat(workflow=workflow) if row is None else Heartbeat(**row)
