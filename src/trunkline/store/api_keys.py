"""Keys by which people and systems are known over the network; only a hash of each rests.

A key is ``tl_ID_SECRET``: the id is looked up, the secret has 256 bits of chance, so its SHA-256 is as good
as a slow hash would be and does not cost a tenth of a second at each request.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest
from secrets import token_hex, token_urlsafe
from typing import Any

from sqlalchemy import Column, Connection, Engine, String, Table, insert, select, update

from trunkline.store.catalogue import Canonical, Instant
from trunkline.store.database import metadata, prepare, reading

PREFIX = "tl"

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("roles", Canonical, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("made_by", String, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
)


def make(
    connection: Connection, *, name: str, roles: tuple[str, ...], at: datetime, by: str, expires_at: datetime | None, id_: str | None = None
) -> tuple[str, str]:
    """Add a key; gives its id (*id_*, or one by chance) and the key itself, which is nowhere else."""
    id_, secret = id_ or token_hex(6), token_urlsafe(32)
    connection.execute(
        insert(api_keys).values(id=id_, name=name, roles=list(roles), hash=_hash(secret), made_at=at, made_by=by, expires_at=expires_at, revoked_at=None)
    )
    return id_, f"{PREFIX}_{id_}_{secret}"


def find(engine: Engine, key: str, *, at: datetime) -> Mapping[str, Any] | None:
    """The row of *key* where it is known, unexpired and not revoked at *at*."""
    prefix, _, rest = key.partition("_")
    id_, _, secret = rest.partition("_")
    if prefix != PREFIX or not id_ or not secret:
        return None
    with reading(engine) as connection:
        row = connection.execute(select(api_keys).where(api_keys.c.id == id_)).mappings().one_or_none()
    kept = row["hash"] if row else _hash("")  # the same work whether the id is known or not
    if not compare_digest(kept, _hash(secret)) or row is None:
        return None
    if row["revoked_at"] is not None or (row["expires_at"] is not None and row["expires_at"] <= at):
        return None
    return dict(row)


def revoke(connection: Connection, id_: str, *, at: datetime) -> bool:
    """Make a key useless from now on; says whether it was of use."""
    done = connection.execute(update(api_keys).where(api_keys.c.id == id_, api_keys.c.revoked_at.is_(None)).values(revoked_at=at))
    return bool(done.rowcount)


def prepared(engine: Engine) -> None:
    """Make the table where it is not there yet."""
    prepare(engine, api_keys)


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
