"""The newest states of live features, each a blob and a row that says what it fits: to start again without reading everything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Engine, Integer, String, Table, delete, insert, select

from trunkline.core.errors import BadInput, Tampered
from trunkline.store.blobs import Blobs
from trunkline.store.catalogue import Canonical, Instant
from trunkline.store.database import metadata, reading, transaction

FORMAT = 1
KEPT = 4
"""So many snapshots of a workflow are kept: the newest and one before it, of two definitions side by side."""

snapshots = Table(
    "feature_snapshots",
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=True),
    Column("workflow", String, nullable=False, index=True),
    Column("hash", String, nullable=False),  # of the workflow
    Column("format", Integer, nullable=False),
    Column("at", Instant, nullable=False),  # rows due by then have gone out
    Column("made_at", Instant, nullable=False),
    Column("blob", String, nullable=False),
    Column("body", Canonical, nullable=False),  # lake versions, release ids
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One state of a workflow's live features."""

    at: datetime
    content: bytes
    body: Mapping[str, Any]


def keep(engine: Engine, blobs: Blobs, workflow: str, snapshot: Snapshot, *, workflow_hash: str, made_at: datetime) -> None:
    """Keep *snapshot* as the newest of *workflow*; all but the newest few go."""
    blob = blobs.put(snapshot.content)
    c = snapshots.c
    with transaction(engine) as connection:
        connection.execute(
            insert(snapshots).values(workflow=workflow, hash=workflow_hash, format=FORMAT, at=snapshot.at, made_at=made_at, blob=blob, body=dict(snapshot.body))
        )
        old = connection.execute(select(c.n, c.blob).where(c.workflow == workflow).order_by(c.n.desc()).offset(KEPT)).all()
        connection.execute(delete(snapshots).where(c.n.in_([row.n for row in old])))
        used = set(connection.execute(select(c.blob)).scalars())
    for row in old:
        if row.blob not in used:
            blobs.path(row.blob).unlink(missing_ok=True)


def newest(engine: Engine, blobs: Blobs, workflow: str, *, workflow_hash: str, until: datetime | None = None) -> Snapshot | None:
    """The newest snapshot that fits this definition (and stands no later than *until*); None where none does, or its bytes are gone or changed."""
    c = snapshots.c
    query = select(snapshots).where(c.workflow == workflow, c.hash == workflow_hash, c.format == FORMAT).order_by(c.n.desc())
    with reading(engine) as connection:
        rows = connection.execute(query if until is None else query.where(c.at <= until)).all()
    for row in rows:
        try:
            return Snapshot(at=row.at, content=blobs.get(row.blob), body=row.body)
        except (BadInput, Tampered):  # a snapshot only saves time: without it everything is read again
            continue
    return None
