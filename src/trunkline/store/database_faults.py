"""What a database's own errors mean here: what happened, what was allowed, what to do next, and never a password."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError, DataError, IntegrityError

from trunkline.core.errors import BadInput, TrunklineError, WorkspaceError

_ROOM = "Make room, then repeat it: what was acknowledged before is not lost."
_AGAIN = "Repeat it: what was committed is recognised and not done twice."

# what the database's text holds, or its SQLSTATE -> (what happened, allowed, next step); the first that fits
_MEANINGS: tuple[tuple[tuple[str, ...], tuple[str, str, str]], ...] = (
    (("database or disk is full", "53100", "No space left"), ("The disk of the database is full", "a disk with space left", _ROOM)),
    (
        ("database is locked", "55P03", "lock timeout"),
        ("Another process has been writing for too long", "one writer at a time", "Repeat it when nobody else writes."),
    ),
    (("readonly database", "25006"), ("The database may not be written", "a database this user may write", "Give this user the right to write.")),
    (
        ("Connection refused", "could not connect", "connection failed", "could not translate host", "timeout expired", "57P03", "starting up"),
        ("The database server does not answer", "a PostgreSQL server that listens there", "Look whether the server runs and the setting 'database' names it."),
    ),
    (
        ("terminating connection", "server closed the connection", "57P01", "connection is lost", "consuming input failed", "connection is closed"),
        ("The database server went away during this step", "a server that stays", _AGAIN),
    ),
    (("too many clients", "53300"), ("The database server takes no more connections", "fewer clients than max_connections", _AGAIN)),
    (("42501", "permission denied"), ("This user may not do this in the database", "the right to make tables in the schema", "GRANT it to this user.")),
    (("40001", "40P01", "deadlock"), ("Another transaction came in between", "one writer at a time", _AGAIN)),
    (("malformed", "not a database", "corrupt"), ("The database file is damaged", "a file that Trunkline wrote", "Restore it from a backup.")),
)
_LOGIN = ("password authentication failed", "no password supplied", "28P01", "28000", "role ")
_NO_DATABASE = ("does not exist", "3D000")


@contextmanager
def told(engine: Engine) -> Iterator[None]:
    """Say in our words that the database is busy, full, away or damaged; what contradicts its keys stays a fault of ours."""
    try:
        yield
    except IntegrityError:
        raise
    except DatabaseError as failed:
        raise meaning(failed, engine) from without_password(failed, engine)
    except (UnicodeEncodeError, OverflowError) as unfit:  # refused on the way there
        raise BadInput(f"The database cannot keep a value: {unfit}.", where=shown(engine), allowed="text in UTF-8, numbers of 64 bits") from unfit


def meaning(failed: DatabaseError, engine: Engine) -> TrunklineError:
    """*failed* as an error of ours."""
    said, where = _said(failed, engine), shown(engine)
    known = f"{getattr(failed.orig, 'sqlstate', None) or ''} {said}"
    if isinstance(failed, DataError):
        return BadInput(f"The database cannot keep a value: {said}.", where=where, allowed="text without NUL characters, numbers within their range")
    if any(part in known for part in _NO_DATABASE) and "database " in said and "FATAL" in said:
        return WorkspaceError(
            f"There is no such database: {said}.",
            where=where,
            allowed="a database that was made for it",
            next_step=f"createdb {engine.url.database}, or name another one in the setting 'database'",
        )
    if any(part in known for part in _LOGIN) and "FATAL" in said:
        return WorkspaceError(
            f"The database server does not let this user in: {said}.",
            where=where,
            allowed="a user with a password from PGPASSWORD or .pgpass",
            next_step="Put the password into ~/.pgpass (mode 0600) or PGPASSWORD; never into trunkline.toml.",
        )
    for signs, (what, allowed, next_step) in _MEANINGS:
        if any(sign in known for sign in signs):
            return WorkspaceError(f"{what}: {said}.", where=where, allowed=allowed, next_step=next_step)
    return WorkspaceError(
        f"The database cannot be used: {said}.",
        where=where,
        allowed="a database that no other process holds for long, on a disk with space left, which this user may write",
        next_step="Repeat it when there is room and nobody else writes; if the file is damaged, restore it from a backup.",
    )


def shown(engine: Engine) -> str:
    """Where the database is, without the password."""
    return str(engine.url.database) if engine.dialect.name == "sqlite" else engine.url.render_as_string(hide_password=True)


def without_password(failed: DatabaseError, engine: Engine) -> BaseException | None:
    """What may be shown as the cause: not where its text repeats the password."""
    secret = engine.url.password
    return None if secret and str(secret) in str(failed) else failed


def _said(failed: DatabaseError, engine: Engine) -> str:
    said = " ".join(str(failed.orig or failed).split())
    secret = engine.url.password
    return (said.replace(str(secret), "***") if secret else said).rstrip(".")[:400]
