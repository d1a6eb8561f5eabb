"""An outside witness: every checkpoint, kept where nobody who can write the workspace, or sign for it, can change it.

What the journal proves by itself is that it hangs together. That it was not cut back to an earlier checkpoint, nor written
anew by somebody who has the key, only a copy of its checkpoints elsewhere can tell. A witness is a file on other storage,
one checkpoint a line, or a URL to which the same lines are POSTed. The checkpoints themselves are the queue: how far each
witness has been told is one row, so nothing that is written waits for a witness and nothing is forgotten when it is away.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from sqlalchemy import Column, Engine, String, Table, func, insert, select, update

from trunkline.core.clock import Clock, utc_text
from trunkline.core.errors import BadFile, WorkspaceError
from trunkline.store.database import metadata, reading, transaction
from trunkline.store.entry import Checkpoint
from trunkline.store.journal_rows import NUMBER, checkpoints, sealed

AT_ONCE = 1000
"""Checkpoints in one write or one POST."""
TIMEOUT_S = 5.0

told = Table(
    "journal_witnesses",
    metadata,
    Column("witness", String, primary_key=True),
    Column("size", NUMBER, nullable=False),  # entries under the newest checkpoint it was given
    Column("at", String, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """What an outside witness has been told.

    Parameters
    ----------
    where
        The file or URL; empty where none is configured.
    size
        Entries covered by the newest checkpoint that it was given.
    at
        When it was given that, None before the first.
    waiting
        Checkpoints that it was not given yet.
    """

    where: str
    size: int
    at: datetime | None
    waiting: int


def is_url(where: str) -> bool:
    """Whether *where* is a URL and not a file."""
    return where.startswith(("http://", "https://"))


def state(engine: Engine, where: str) -> Witness:
    """What the witness at *where* has been told, and what waits for it."""
    with reading(engine) as connection:
        known = connection.execute(select(told.c.size, told.c.at).where(told.c.witness == where)).one_or_none()
        size = known.size if known else 0
        waiting = connection.execute(select(func.count()).select_from(checkpoints).where(checkpoints.c.size > size)).scalar_one() if where else 0
    return Witness(where=where, size=size, at=datetime.fromisoformat(known.at) if known else None, waiting=waiting)


def send(engine: Engine, where: str, clock: Clock, *, again: bool = False, timeout_s: float = TIMEOUT_S) -> Witness:
    """Give the witness at *where* every checkpoint that it was not given yet; with *again*, all of them.

    A crash between the giving and remembering it gives some twice, which does no harm.

    Raises
    ------
    WorkspaceError
        It cannot be reached or written, or lost what it was given. What waits goes on waiting.
    """
    if not where:
        return state(engine, where)
    since = 0 if again else state(engine, where).size
    if not is_url(where):
        _check_place(engine, Path(where), since)
    while True:
        with reading(engine) as connection:
            found = [Checkpoint.of(row) for row in islice(sealed(connection, since), AT_ONCE)]
        if not found:
            return state(engine, where)
        lines = b"".join(json.dumps(one.plain(), sort_keys=True).encode() + b"\n" for one in found)
        try:
            _post(where, lines, timeout_s) if is_url(where) else _append(Path(where), lines)
        except (OSError, HTTPException) as failed:
            raise _unwritten(where, failed) from failed
        since = found[-1].size
        _remember(engine, where, since, utc_text(clock()))


def read(path: str | Path) -> list[Checkpoint]:
    """The checkpoints in a witness file, in the order of their size; one that was given twice is there once.

    A line that a crash left half written is passed over, if the whole of it was written later.

    Raises
    ------
    BadFile
        There is no such file, or a line is no checkpoint.
    """
    path = Path(path)
    try:
        lines = path.read_bytes().splitlines()
    except OSError as failed:
        raise BadFile(
            f"The witness cannot be read: {failed.strerror or failed}.",
            path=path,
            allowed="a file of checkpoints, one a line",
            next_step="trunkline audit witness",
        ) from failed
    found: dict[tuple[int, bytes, bytes], Checkpoint] = {}
    torn: list[tuple[int, bytes]] = []
    for number, line in enumerate(lines, start=1):
        if line:
            try:
                one = Checkpoint.read(json.loads(line))
            except (ValueError, TypeError, AttributeError):
                torn.append((number, line))
            else:
                found[one.size, one.root, one.signature] = one
    for number, line in torn:
        if number != len(lines) and not any(other.startswith(line) for other in lines[number:]):
            raise BadFile("This line of the witness is no checkpoint.", path=path, line=number, next_step="Keep the file as evidence: somebody wrote into it.")
    return [found[which] for which in sorted(found)]


def _check_place(engine: Engine, path: Path, since: int) -> None:
    database = engine.url.database if engine.dialect.name == "sqlite" else None
    if database and path.resolve().is_relative_to(Path(database).resolve().parent):
        raise WorkspaceError(
            "The witness lies inside the workspace: who changes the one can change the other.",
            where=str(path),
            allowed="a file on other storage, which its operators cannot write, or a URL",
        )
    if since and not path.exists():
        raise WorkspaceError(
            f"The witness is gone: it was given the checkpoints of up to {since} entries.",
            where=str(path),
            next_step="Bring its storage or its backup back; or begin a new one with all checkpoints: trunkline audit witness --again",
        )


def _append(path: Path, lines: bytes) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o640)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            if file.read(1) != b"\n":  # the line before was cut by a crash
                lines = b"\n" + lines
        rest = memoryview(lines)
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow nothing: a POST that is redirected arrives as a GET, and nobody has kept the checkpoint."""


def _post(url: str, lines: bytes, timeout_s: float) -> None:
    request = Request(url, data=lines, headers={"Content-Type": "application/x-ndjson"}, method="POST")  # noqa: S310 - is_url has looked
    with build_opener(_NoRedirect).open(request, timeout=timeout_s) as answer:
        answer.read(1)


def _unwritten(where: str, failed: Exception) -> WorkspaceError:
    why = f"it answers {failed.code}" if isinstance(failed, HTTPError) else str(getattr(failed, "strerror", None) or getattr(failed, "reason", None) or failed)
    return WorkspaceError(
        f"The witness cannot be told: {why}.",
        where=where,
        allowed="a file in a folder that exists and may be written, or a URL that answers 2xx to a POST",
        next_step="Nothing is lost: what it was not given waits in the workspace, and goes out by itself or with: trunkline audit witness",
    )


def _remember(engine: Engine, where: str, size: int, at: str) -> None:
    with transaction(engine) as connection:
        known = connection.execute(select(told.c.size).where(told.c.witness == where)).scalar()
        if known is None:
            connection.execute(insert(told).values(witness=where, size=size, at=at))
        elif known < size:
            connection.execute(update(told).where(told.c.witness == where).values(size=size, at=at))
