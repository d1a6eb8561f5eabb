"""Keys of the REST interface: made once and shown once, revoked at once, every step in the journal.

A key opens only what the signed journal says it opens: a row that somebody wrote into the table, gave another role, or called
unrevoked again opens nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from sqlalchemy import select

from trunkline.core.canonical import content_hash, sha256
from trunkline.core.clock import duration
from trunkline.core.errors import AccessDenied, BadInput, NotAllowed, UnknownName
from trunkline.core.typed import check_typed
from trunkline.govern.access import Principal, known_roles
from trunkline.run.hand_over import asked_under
from trunkline.store import api_keys
from trunkline.store.database import reading, transaction
from trunkline.store.entry import Entry
from trunkline.store.followed import Followed
from trunkline.store.journal import Journal
from trunkline.store.opened import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """One key as it may be shown: whose it is and what it may do, never the secret."""

    id: str
    name: str
    roles: tuple[str, ...]
    made_at: datetime
    made_by: str
    expires_at: datetime | None
    revoked_at: datetime | None


def new(store: Store, name: str, roles: tuple[str, ...], *, lasts: str, by: str, dry_run: bool = False) -> str:
    """Make a key for *name*; gives it, this once, or nothing where it is a dry run.

    Under an idempotency key one key is made, ever: asked again, it is refused, since the first answer rests nowhere.

    Raises
    ------
    BadInput
        No name, or no role.
    NotAllowed
        It was made and shown before.
    UnknownName
        A role that there is not.
    """
    roles = known_roles(roles)
    check_typed("name", name)
    check_typed("by", by)
    if not name.strip() or not roles:
        raise BadInput("A key is somebody's, and for something.", allowed="a name and at least one role", next_step="trunkline access new NAME --role operator")
    at = store.clock()
    expires_at = _after(at, lasts)
    if dry_run:
        return ""
    api_keys.prepared(store.engine)
    repeated = asked_under()
    with transaction(store.engine) as connection:
        wanted = sha256(repeated.encode())[:12] if repeated else None
        if wanted and connection.execute(select(api_keys.api_keys.c.id).where(api_keys.api_keys.c.id == wanted)).first():
            raise NotAllowed(
                f"The key {wanted} was made and shown when this was first asked.",
                where="access.new",
                next_step="Was it lost? Revoke it, and ask again under another idempotency key.",
            )
        id_, key = api_keys.make(connection, name=name, roles=roles, at=at, by=by, expires_at=expires_at, id_=wanted)
        row = connection.execute(select(api_keys.api_keys).where(api_keys.api_keys.c.id == id_)).mappings().one()
        told = {"key": id_, "name": name, "roles": list(roles), "lasts": lasts, "by": by, "row": _as_made(dict(row))}
        store.journal.append("access.new", told, connection)
    return key


def _after(at: datetime, lasts: str) -> datetime:
    try:
        until = at + duration(lasts)
    except OverflowError:
        until = at
    if until == at:
        raise BadInput(f"No key is good for {lasts}.", where="lasts", allowed="a length of time, such as '52w'")
    return until


def revoke(store: Store, id_: str, *, by: str, reason: str, dry_run: bool = False) -> str:
    """Make key *id_* useless from now on; says whose it was."""
    if not reason:
        raise NotAllowed("It needs a reason.", where="access.revoke", next_step="--reason 'why'")
    useful = {one.id: one.name for one in listed(store) if one.revoked_at is None}
    if id_ not in useful:
        raise UnknownName("key", id_, useful)
    if not dry_run:
        with transaction(store.engine) as connection:
            api_keys.revoke(connection, id_, at=store.clock())
            store.journal.append("access.revoke", {"key": id_, "name": useful[id_], "by": by, "reason": reason}, connection)
    return useful[id_]


def listed(store: Store) -> list[ApiKey]:
    """Every key that was made, the newest first."""
    api_keys.prepared(store.engine)
    table = api_keys.api_keys
    with reading(store.engine) as connection:
        found = connection.execute(select(table).order_by(table.c.made_at.desc(), table.c.id)).mappings().all()
    return [msgspec.convert({name: row[name] for name in ApiKey.__slots__}, ApiKey) for row in found]


def principal(store: Store, key: str) -> Principal:
    """Who *key* is.

    Raises
    ------
    AccessDenied
        It is unknown, expired, revoked, or its row is not what the journal tells; which of these is not told.
    Tampered
        The journal does not hold what was signed: then nobody comes in.
    """
    found = api_keys.find(store.engine, key, at=store.clock())
    if found is None or any(_faults(found, _told(store))):
        raise AccessDenied(
            "This key opens nothing.", allowed="a key that is known, unexpired and not revoked", next_step="trunkline access new NAME --role ROLE"
        )
    return Principal(name=found["name"], roles=tuple(found["roles"]), key=found["id"])


def holds(store: Store, one: Principal) -> bool:
    """Whether the key that *one* came with is still good."""
    row = next(iter(_rows(store, one.key)), None)
    if row is None or any(_faults(row, _told(store))):
        return False
    return row["expires_at"] is None or row["expires_at"] > store.clock()


def disagreements(store: Store) -> Iterator[tuple[str, str]]:
    """What of the keys' rows does not follow from the journal: (what, what is wrong) for each fault."""
    told, rows = _told(store), {row["id"]: row for row in _rows(store)}
    for id_, row in rows.items():
        yield from ((f"key {id_} of {row['name']}", fault) for fault in _faults(row, told) if fault != REVOKED or row["revoked_at"] is None)
        if row["revoked_at"] is not None and id_ not in told.revoked:
            yield f"key {id_} of {row['name']}", "it is revoked, and the journal does not say so"
    yield from ((f"key {id_}", "the journal tells of it, and it is gone") for id_ in told.made.keys() - rows.keys())


REVOKED = "the journal says that it was revoked"


@dataclass(slots=True)
class _Told:
    """What the journal tells of keys: the hash of each one's row as it was made, and which were revoked."""

    made: dict[str, str] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)

    def copy(self) -> _Told:
        """The same, to go on from on its own."""
        return _Told(dict(self.made), set(self.revoked))

    def take(self, entry: Entry) -> None:
        """Take one entry in."""
        if entry.kind == "access.new":
            self.made[entry.body["key"]] = entry.body.get("row", "")
        else:
            self.revoked.add(entry.body["key"])


_followed: WeakKeyDictionary[Journal, Followed[_Told]] = WeakKeyDictionary()


def _told(store: Store) -> _Told:
    if store.journal not in _followed:
        _followed[store.journal] = Followed(store.engine, store.signer, {"access.new", "access.revoke"}, _Told, name="access")
    return _followed[store.journal].books()


def _faults(row: Mapping[str, Any], told: _Told) -> Iterator[str]:
    if row["id"] not in told.made:
        yield "the journal knows nothing of it"
    elif told.made[row["id"]] != _as_made(row):
        yield "its row was changed: it is not the one that was made"
    if row["id"] in told.revoked:
        yield REVOKED


def _as_made(row: Mapping[str, Any]) -> str:
    return content_hash({name: row[name] for name in row if name != "revoked_at"})


def _rows(store: Store, id_: str | None = None) -> list[Mapping[str, Any]]:
    api_keys.prepared(store.engine)
    query = select(api_keys.api_keys) if id_ is None else select(api_keys.api_keys).where(api_keys.api_keys.c.id == id_)
    with reading(store.engine) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]
