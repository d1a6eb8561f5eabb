"""Who owns a workspace's live state: one process at a time, held by what outlives no process.

On SQLite a lock of the operating system on the file ``owner.lock``: the kernel frees it when the process ends, however it
ends. The file also says in JSON who holds it, for people. On PostgreSQL an advisory lock of a session of its own, which the
server frees when that session ends; its keepalive finds a partitioned-away owner in some 15 s. Such an owner does not know
yet: so each owner draws a number, a fencing token, and every commit of it asks, in the same transaction, whether the number
is still the newest. (A pooler that shares sessions between transactions cannot carry such a lock: connect past it.)

Owning is of a process; acting is of a thread: only a thread inside :meth:`Ownership.acting` runs changing verbs itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, Self

from sqlalchemy import BigInteger, Column, Connection, Engine, Integer, String, Table, event, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from trunkline.core.clock import now, utc_text
from trunkline.core.errors import NotAllowed
from trunkline.store.database import WRITES, metadata, prepare, reading, transaction

LOCK = "owner.lock"
_FAR = 2**30  # Windows locks bytes for reading too: lock one that nobody reads

owners = Table(
    "owners",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("token", BigInteger, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("host", String, nullable=False),
    Column("what", String, nullable=False),
    Column("started_at", String, nullable=False),
)
"""Who owned last, on PostgreSQL. The token grows with each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who owns a workspace: which process where, since when, and what it is doing."""

    pid: int
    host: str
    what: str
    started_at: str

    def __str__(self) -> str:
        return f"{self.what}, process {self.pid} on {self.host}, since {self.started_at}"


class _Opened(Protocol):
    """Of a store, what owning it needs."""

    @property
    def folder(self) -> Path: ...
    @property
    def engine(self) -> Engine: ...


class Ownership:
    """Held ownership; give it back with :meth:`release`, or as a context manager."""

    def __init__(self, owner: Owner, held: _FileLock | _SessionLock, where: str) -> None:
        self.owner, self.where, self._held = owner, where, held

    @contextmanager
    def acting(self) -> Iterator[None]:
        """In this thread, inside: changing verbs are carried out here and now."""
        token = _acting.set(self)
        try:
            yield
        finally:
            _acting.reset(token)

    def check(self) -> None:
        """Go on only while it is still ours.

        Raises
        ------
        NotAllowed
            Another process may own the workspace by now.
        """
        self._held.check()

    def release(self) -> None:
        """Give it back; the next owner may begin."""
        with _at_hand:
            _mine.pop(self.where, None)
        self._held.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


_acting: ContextVar[Ownership | None] = ContextVar("trunkline_acting", default=None)
_mine: dict[str, Ownership] = {}
_at_hand = threading.Lock()


def take(store: _Opened, what: str) -> Ownership | None:
    """Become the owner, or None where another process (or another thread of this one) is.

    >>> import tempfile
    >>> from trunkline import create
    >>> with create(Path(tempfile.mkdtemp()) / "w") as workspace:
    ...     with take(workspace.store, "an example") as mine:
    ...         take(workspace.store, "a second one"), owner_of(workspace.store).what
    ...     owner_of(workspace.store)
    (None, 'an example')
    """
    owner = Owner(pid=os.getpid(), host=socket.gethostname(), what=what, started_at=utc_text(now()))
    is_file = store.engine.dialect.name == "sqlite"
    held = _FileLock.take(store.folder / LOCK, owner) if is_file else _SessionLock.take(store.engine, owner)
    if held is None:
        return None
    ownership = Ownership(owner, held, _where(store))
    with _at_hand:
        _mine[ownership.where] = ownership
    return ownership


def owner_of(store: _Opened) -> Owner | None:
    """Who owns it now; None where nobody does."""
    if store.engine.dialect.name == "sqlite":
        return _FileLock.seen(store.folder / LOCK)
    return _SessionLock.seen(store.engine)


def acts(store: _Opened) -> bool:
    """Whether this thread is inside :meth:`Ownership.acting` of *store*."""
    found = _acting.get()
    return found is not None and found.where == _where(store)


def is_here(store: _Opened) -> bool:
    """Whether this process owns *store*."""
    with _at_hand:
        return _where(store) in _mine


def _where(store: _Opened) -> str:
    return str(store.folder.resolve())


class _FileLock:
    """A lock on ``owner.lock``, of the open file: the kernel frees it with the process."""

    def __init__(self, file: IO[str], path: Path) -> None:
        self.file, self.path = file, path

    @classmethod
    def take(cls, path: Path, owner: Owner) -> _FileLock | None:
        file = path.open("a+", encoding="utf-8")
        held = cls(file, path)
        try:
            if not _lock(file) or not held.is_there():
                file.close()
                return None
            file.seek(0)
            file.truncate()
            file.write(json.dumps({name: getattr(owner, name) for name in Owner.__slots__}) + "\n")
            file.flush()
        except BaseException:
            file.close()
            raise
        return held

    @classmethod
    def seen(cls, path: Path) -> Owner | None:
        try:
            file = path.open("r+", encoding="utf-8")
        except FileNotFoundError:
            return None
        with file:
            if _lock(file, shared=True):
                return None
            try:
                return Owner(**json.loads(file.read()))
            except (ValueError, TypeError):  # it took the lock and has not written yet
                return Owner(pid=0, host=socket.gethostname(), what="a command that just began", started_at=utc_text(now()))

    def is_there(self) -> bool:
        """Whether the file that is locked is the one that others would lock."""
        with contextlib.suppress(OSError):
            return os.path.samestat(os.fstat(self.file.fileno()), self.path.stat())
        return False

    def check(self) -> None:
        if not self.is_there():
            raise NotAllowed(
                "This process no longer owns the workspace: its lock file was removed or replaced.",
                where=str(self.path),
                next_step="Start it again. Never remove owner.lock: it frees itself when its process ends.",
            )

    def release(self) -> None:
        with contextlib.suppress(OSError):
            self.file.seek(0)
            self.file.truncate()
        self.file.close()


def _lock(file: IO[str], *, shared: bool = False) -> bool:
    """Lock an open file without waiting; says whether it could."""
    try:
        if sys.platform == "win32":
            import msvcrt  # only there

            file.seek(_FAR)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(0)
        else:
            import fcntl  # not on Windows

            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


_KEY = "(('x7472756e'::bit(32)::bigint << 32) | (to_regclass('owners')::oid::bigint))"
_KEEPALIVE = ("SET tcp_keepalives_idle = 5", "SET tcp_keepalives_interval = 3", "SET tcp_keepalives_count = 3", "SET idle_in_transaction_session_timeout = 0")


class _SessionLock:
    """An advisory lock of a PostgreSQL session, and the fencing token drawn with it."""

    def __init__(self, engine: Engine, connection: Connection, token: int) -> None:
        self.engine, self.connection, self.token = engine, connection, token
        event.listen(engine, "commit", self._fence)

    @classmethod
    def take(cls, engine: Engine, owner: Owner) -> _SessionLock | None:
        prepare(engine, owners)
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            for setting in _KEEPALIVE:
                connection.execute(text(setting))
            if not connection.execute(text(f"SELECT pg_try_advisory_lock({_KEY})")).scalar_one():
                connection.close()
                return None
            told = {name: getattr(owner, name) for name in Owner.__slots__}
            with transaction(engine) as writing:  # waits for commits of the last owner that are on their way
                last = writing.execute(select(owners.c.token).with_for_update()).scalar()
                writing.execute(insert(owners).values(one=1, token=1, **told) if last is None else update(owners).values(token=last + 1, **told))
        except BaseException:
            connection.invalidate()
            connection.close()
            raise
        return cls(engine, connection, (last or 0) + 1)

    @classmethod
    def seen(cls, engine: Engine) -> Owner | None:
        prepare(engine, owners)
        held = f"SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND ((classid::bigint << 32) | objid::bigint) = {_KEY}"  # noqa: S608 - the key is ours
        with reading(engine) as connection:
            if connection.execute(text(held)).first() is None:
                return None
            row = connection.execute(select(owners)).mappings().first()
        return None if row is None else Owner(**{name: row[name] for name in Owner.__slots__})

    def check(self) -> None:
        with reading(self.engine) as connection:
            self._still(connection)

    def _fence(self, connection: Connection) -> None:
        """Before each commit in a thread that acts as this owner; the lock on the row makes a next owner wait for it."""
        found = _acting.get()
        if found is not None and found._held is self and WRITES in connection.get_execution_options():  # noqa: SLF001 - the other half of one idea
            self._still(connection)

    def _still(self, connection: Connection) -> None:
        newest = connection.execute(select(owners.c.token).with_for_update(read=True)).scalar()
        if newest != self.token:
            raise NotAllowed(
                "This process no longer owns the workspace: it was away, and another one took over. Nothing of this step was kept.",
                where=f"owner number {self.token}; the newest is {newest}",
                next_step="Start it again; what others ask of it reaches the new owner.",
            )

    def release(self) -> None:
        event.remove(self.engine, "commit", self._fence)
        with contextlib.suppress(DBAPIError):
            self.connection.execute(text(f"SELECT pg_advisory_unlock({_KEY})"))
        self.connection.invalidate()
        self.connection.close()


def as_plain(owner: Owner | None) -> dict[str, Any] | None:
    """Who owns, as plain values."""
    return None if owner is None else {name: getattr(owner, name) for name in Owner.__slots__}
