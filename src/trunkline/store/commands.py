"""Changes that another process asks of the owner: one row a command, carried out in order, once.

Who asks puts a row: an id of its own choosing, the verb, its arguments, by whom and why, signed with the workspace's key.
The owner carries it out through the very method a direct call uses, so nothing that method checks is left out, and writes
the answer beside it. What a command changed, that it is done, and its journal entry are one transaction where the verb is;
a command whose owner died in between was therefore never begun, and the next owner carries it out. Verbs too long for one
transaction (loading files) are those that change nothing when they are repeated.

An id is carried out once, ever: a done row answers again, and an id that the journal knows is refused even where somebody
took its row away. A row whose signature does not hold, or that waited too long, is refused and journaled.
"""

from __future__ import annotations

import secrets
import socket
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from os import getpid
from typing import Any, Literal, Protocol, cast

from sqlalchemy import BigInteger, Column, Connection, Engine, Index, Integer, LargeBinary, String, Table, delete, func, insert, select, update

from trunkline.core.canonical import canonical, content_hash
from trunkline.core.clock import Clock
from trunkline.core.errors import BadInput, NotAllowed, TrunklineError
from trunkline.core.travel import pack_error, unpack_error
from trunkline.store.catalogue import Canonical, Instant
from trunkline.store.database import metadata, prepare, reading, together, transaction
from trunkline.store.journal import Journal
from trunkline.store.keys import SigningKey

State = Literal["asked", "taken", "done", "refused", "withdrawn"]
KIND = "command"
"""The kind of journal entry that tells of a command."""
VALID = timedelta(minutes=15)
"""A command that nobody carried out within this is refused: what was right then may be wrong now."""
KEPT = timedelta(days=30)
"""How long the answer of a finished command can be asked for again."""
MOST_WAITING = 1000

commands = Table(
    "commands",
    metadata,
    Column("n", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("verb", String, nullable=False),
    Column("arguments", Canonical, nullable=False),
    Column("by", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("asked_from", String, nullable=False),  # process and host, for people
    Column("since", BigInteger, nullable=False),  # entries the journal had when it was asked
    Column("signature", LargeBinary, nullable=False),
    Column("state", String, nullable=False),
    Column("taken_at", Instant),
    Column("answer", Canonical),
    Column("done_at", Instant),
    Index("commands_by_state", "state", "n"),
    sqlite_autoincrement=True,
)


class _Opened(Protocol):
    """Of a store, what commands need."""

    @property
    def engine(self) -> Engine: ...
    @property
    def journal(self) -> Journal: ...
    @property
    def signer(self) -> SigningKey: ...
    @property
    def clock(self) -> Clock: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command as it rests."""

    n: int
    id: str
    verb: str
    arguments: Mapping[str, Any]
    by: str
    reason: str
    asked_at: datetime
    asked_from: str
    since: int
    signature: bytes
    state: State
    taken_at: datetime | None = None
    answer: Any = None
    done_at: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in {"done", "refused", "withdrawn"}

    def result(self) -> Any:
        """What it answered.

        Raises
        ------
        TrunklineError
            It was refused: the same error that a direct call would have raised.
        """
        if self.state == "refused":
            raise unpack_error(self.answer)
        if self.state == "withdrawn":
            raise NotAllowed(f"The command '{self.id}' was withdrawn before anybody took it: nothing was changed.", next_step="Ask again under another id.")
        return self.answer


def ready(store: _Opened) -> None:
    """Make the table where it is not there yet."""
    prepare(store.engine, commands)


def new_id() -> str:
    """An id for a command that nobody will ask for twice."""
    return secrets.token_hex(16)


def ask(store: _Opened, verb: str, arguments: Mapping[str, Any], *, by: str, reason: str, id: str, most: int = MOST_WAITING) -> Command:  # noqa: A002
    """Put a command; one of the same id and content that is there already is the answer.

    Raises
    ------
    BadInput
        Another command has this id.
    NotAllowed
        *most* commands wait already.
    """
    ready(store)
    with transaction(store.engine) as connection:
        known = _of(connection, id)
        if known is not None:
            if (known.verb, content_hash(known.arguments)) != (verb, content_hash(arguments)):
                raise BadInput(
                    f"Another command has the id '{id}': {known.verb}, asked at {known.asked_at:%Y-%m-%d %H:%M:%S} UTC.",
                    allowed="the same verb and arguments again, or an id of its own",
                )
            if not _is_signed(store, known):
                raise _unsigned(known)
            return known
        waiting = connection.execute(select(func.count()).where(commands.c.state.in_(("asked", "taken")))).scalar_one()
        if waiting >= most:
            raise NotAllowed(f"{waiting} commands wait already.", allowed=f"{most} (the setting 'commands_waiting')", next_step="Ask again in a while.")
        asked = {
            "id": id,
            "verb": verb,
            "arguments": dict(arguments),
            "by": by,
            "reason": reason,
            "asked_at": store.clock(),
            "asked_from": f"process {getpid()} on {socket.gethostname()}",
            "since": store.journal.size,
        }
        row = {**asked, "signature": store.signer.sign(_signed(asked)), "state": "asked"}
        connection.execute(insert(commands), row)
        return cast("Command", _of(connection, id))


def get(store: _Opened, id: str) -> Command | None:  # noqa: A002
    """The command *id*."""
    with reading(store.engine) as connection:
        return _of(connection, id)


def waiting(store: _Opened) -> list[Command]:
    """Commands that are not over, in the order in which they were asked."""
    with reading(store.engine) as connection:
        found = connection.execute(select(commands).where(commands.c.state.in_(("asked", "taken"))).order_by(commands.c.n)).mappings().all()
    return [Command(**row) for row in found]


def take(store: _Opened, command: Command) -> None:
    """Tell who waits that the owner is at it."""
    with transaction(store.engine) as connection:
        connection.execute(update(commands).where(commands.c.id == command.id, commands.c.state == "asked").values(state="taken", taken_at=store.clock()))


def withdraw(store: _Opened, id: str) -> bool:  # noqa: A002
    """Take a command back that no owner has taken; says whether it could be."""
    with transaction(store.engine) as connection:
        done = connection.execute(update(commands).where(commands.c.id == id, commands.c.state == "asked").values(state="withdrawn", done_at=store.clock()))
        return bool(done.rowcount)


def carry_out(store: _Opened, command: Command, perform: Callable[[], Any], *, at_once: bool) -> Command:
    """Carry *command* out, once, and keep the answer; a refusal is an answer too.

    Parameters
    ----------
    perform
        The verb with its arguments; gives the answer as plain JSON. It checks everything a direct call checks.
    at_once
        What it changes, the answer and the journal entry are one transaction. Without, it changes nothing when repeated.
    """
    if at_once:
        with together(store.engine) as connection:
            if _is_to_be_done(store, connection, command):
                _finish(store, connection, command, *_performed(perform, connection))
    else:
        with together(store.engine) as connection:
            begins = _is_to_be_done(store, connection, command)
            if begins:
                values = {"state": "taken", "taken_at": store.clock()}
                connection.execute(update(commands).where(commands.c.id == command.id).values(**values))
        if begins:
            state, answer = _performed(perform)
            with together(store.engine) as connection:
                _finish(store, connection, command, state, answer)
    return cast("Command", get(store, command.id))


def _performed(perform: Callable[[], Any], connection: Connection | None = None) -> tuple[State, Any]:
    """How it ended and what it answered; of what was refused nothing stays."""
    try:
        with nullcontext() if connection is None else connection.begin_nested():
            return "done", perform()
    except TrunklineError as refused:
        return "refused", pack_error(refused)


def _is_to_be_done(store: _Opened, connection: Connection, command: Command) -> bool:
    """Whether it waits and may be carried out; a refusal is written down at once."""
    row = _of(connection, command.id)
    if row is None or row.is_over:
        return False
    wrong = _wrong(store, row)
    if wrong is not None:
        _finish(store, connection, row, "refused", pack_error(wrong))
    return wrong is None


def _wrong(store: _Opened, command: Command) -> TrunklineError | None:
    if not _is_signed(store, command):
        return _unsigned(command)
    if any(entry.body["command"] == command.id for entry in store.journal.entries(KIND, command.since)):
        return NotAllowed(f"The command '{command.id}' was carried out before; its row was put back by hand.", where=command.verb)
    if not -VALID <= store.clock() - command.asked_at <= VALID:
        return NotAllowed(
            f"Nobody carried it out within {VALID // timedelta(minutes=1)} minutes, so it was not done.",
            where=f"{command.verb}, asked at {command.asked_at:%Y-%m-%d %H:%M:%S} UTC",
            next_step="Ask for it again, if it is still right.",
        )
    return None


def _is_signed(store: _Opened, command: Command) -> bool:
    asked = {name: getattr(command, name) for name in ("id", "verb", "arguments", "by", "reason", "asked_at", "asked_from", "since")}
    return store.signer.verify(_signed(asked), command.signature)


def _unsigned(command: Command) -> NotAllowed:
    return NotAllowed(
        f"The command '{command.id}' is not signed with this workspace's key: somebody wrote its row by hand.",
        where=f"{command.verb}, by '{command.by}'",
        allowed="commands asked through Trunkline",
    )


def _finish(store: _Opened, connection: Connection, command: Command, state: State, answer: Any) -> None:
    connection.execute(update(commands).where(commands.c.id == command.id).values(state=state, answer=answer, done_at=store.clock()))
    body = {"command": command.id, "verb": command.verb, "arguments": content_hash(command.arguments), "by": command.by, "reason": command.reason}
    told = {**body, "asked_at": command.asked_at, "state": state, **({"why": answer["what"]} if state == "refused" else {})}
    store.journal.append(KIND, told, connection)


def tidy(store: _Opened) -> int:
    """Forget answers that nobody will ask for again; the journal keeps that they were given. Says how many."""
    with transaction(store.engine) as connection:
        gone = connection.execute(delete(commands).where(commands.c.done_at.is_not(None), commands.c.done_at < store.clock() - KEPT))
        return int(gone.rowcount)


class Bell:
    """Tells whether there may be something new to read, for almost nothing.

    SQLite counts the commits of other connections: asking for that number costs a few microseconds and no transaction.
    """

    def __init__(self, engine: Engine) -> None:
        self.is_cheap = engine.dialect.name == "sqlite"
        # One of its own: many may listen, and a pool's connections are for those that work.
        self._connection = sqlite3.connect(str(engine.url.database), isolation_level=None, check_same_thread=False) if self.is_cheap else None
        self._last = -1

    def rings(self) -> bool:
        """Whether anything was committed since it was last asked; always True where that cannot be told."""
        if self._connection is None:
            return True
        version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        is_new, self._last = version != self._last, version
        return is_new

    def close(self) -> None:
        """Give its connection back."""
        if self._connection is not None:
            self._connection.close()


def _of(connection: Connection, id_: str) -> Command | None:
    row = connection.execute(select(commands).where(commands.c.id == id_)).mappings().first()
    return None if row is None else Command(**row)


def _signed(asked: Mapping[str, Any]) -> bytes:
    return b"trunkline command\n" + canonical(dict(asked))
