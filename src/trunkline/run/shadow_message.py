"""What a process and its shadow say to each other: plain values and Arrow bytes, each with its length before it; no pickle."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import datetime
from typing import Any, BinaryIO

import msgspec
import polars as pl

from trunkline.core.values import Decision

LONGEST = 1 << 31


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """Who is to judge: sent once."""

    workflow: str
    """Its name, or the path of its file."""
    hash: str
    release: str
    level: float
    model: bytes
    key: bytes
    """PEM of the public key that the model is signed with."""
    most_bytes: int


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """Rows to judge, with the memory to judge them by."""

    rows: bytes
    first: datetime
    """Rows of slots from here on are new, the others are their past."""
    memory: dict[str, Any]


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """What the shadow says, and what it remembers now."""

    decisions: list[Decision]
    lasting: list[tuple[str, datetime]]
    counts: dict[str, int]
    said: list[tuple[str, datetime]]
    memory: dict[str, Any]
    ms: float
    why_not: str = ""


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """It is there; or why it cannot be."""

    why_not: str = ""


Message = Begin | Ask | Answer | Ready
_read = msgspec.msgpack.Decoder(Message)


def send(to: BinaryIO, message: Message) -> None:
    """Write one message."""
    body = msgspec.msgpack.encode(message)
    to.write(len(body).to_bytes(8, "little") + body)
    to.flush()


def receive(source: BinaryIO) -> Message:
    """The next message; EOFError where the other side is gone."""
    size = int.from_bytes(_exactly(source, 8), "little")
    if size > LONGEST:
        raise EOFError
    message: Message = _read.decode(_exactly(source, size))
    return message


def _exactly(source: BinaryIO, size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        piece = source.read(size - len(found))
        if not piece:
            raise EOFError
        found += piece
    return bytes(found)


def frame_bytes(rows: pl.DataFrame) -> bytes:
    """Rows as an Arrow stream."""
    buffer = io.BytesIO()
    rows.write_ipc_stream(buffer, compression="uncompressed")
    return buffer.getvalue()


def frame(given: bytes) -> pl.DataFrame:
    """The rows :func:`frame_bytes` wrote."""
    return pl.read_ipc_stream(io.BytesIO(given))


def plain_memory(memory: Mapping[str, Any]) -> dict[str, Any]:
    """A lane's memory without types that a message does not carry."""
    since = memory.get("unable_since")
    return {**memory, "unable_since": since.isoformat() if isinstance(since, datetime) else since}
