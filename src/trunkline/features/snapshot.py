"""The state of a live stream as bytes: MessagePack with a format number and a hash, arrays little-endian."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from trunkline.core.errors import Tampered, WorkspaceError
from trunkline.features.calendar import Ints
from trunkline.features.current_events import Version
from trunkline.features.intake import EventFacts, KpiFacts
from trunkline.features.reduce import Floats
from trunkline.features.ring import NOT_KNOWN, Ring

FORMAT = 2
_READS = (1, 2)


class SavedRing(msgspec.Struct, frozen=True):
    """A :class:`Ring`; its bearers as places in the snapshot's list of names. In format 1, without kinds, each cell had its instant and status."""

    length: int
    head: int
    bearers: list[int]
    value: bytes
    known: bytes
    status: bytes
    kinds: tuple[str, str] | None = None
    times: list[bytes] = []

    @staticmethod
    def of(ring: Ring) -> SavedRing:
        used = len(ring.bearers) + 1
        return SavedRing(
            ring.length,
            ring.head,
            ring.bearers.tolist(),
            _bytes(ring.value[:used]),
            _bytes(ring.code[:used]),
            _bytes(ring.status[:used]),
            (_kind(ring.value), _kind(ring.code)),
            [_bytes(times) for times in ring.times],
        )

    def ring(self, number: Ints, *, statuses: int) -> Ring:
        """The ring with so many slots' statuses, *number* giving each saved place its number now."""
        ring = Ring(self.length, head=self.head, statuses=statuses)
        bearers, rows = number[np.array(self.bearers, np.int64)], len(self.bearers) + 1
        if self.kinds is None:
            ring.put(self._facts(bearers))
            return ring
        value, code = (
            np.frombuffer(given, kind).astype(np.dtype(kind).newbyteorder("=")).reshape(rows, self.length)
            for given, kind in zip((self.value, self.known), self.kinds, strict=True)
        )
        ring.take_over(bearers, value, code, [_ints(times) for times in self.times], _small(self.status).reshape(rows, ring.statuses_kept))
        return ring

    def _facts(self, bearers: Ints) -> KpiFacts:
        """What a ring of format 1 holds."""
        shape = (len(bearers) + 1, self.length)
        value, known, status = _floats(self.value).reshape(shape)[1:], _ints(self.known).reshape(shape)[1:], _small(self.status).reshape(shape)[1:]
        row, column = np.nonzero(known != NOT_KNOWN)
        slot = self.head - (self.head - column) % self.length
        return KpiFacts(bearers[row], slot, known[row, column], value[row, column], status[row, column])


class SavedKpi(msgspec.Struct, frozen=True):
    """Waiting :class:`KpiFacts`."""

    element: bytes
    slot: bytes
    known: bytes
    value: bytes
    status: bytes

    @staticmethod
    def of(facts: KpiFacts) -> SavedKpi:
        return SavedKpi(*(_bytes(column) for column in (facts.element, facts.slot, facts.known, facts.value, facts.status)))

    def places(self) -> Ints:
        """The elements, as places in the snapshot's list of names."""
        return _ints(self.element)

    def facts(self, number: Ints) -> KpiFacts:
        """The facts, with *number* giving each saved place its number now."""
        return KpiFacts(number[self.places()], _ints(self.slot), _ints(self.known), _floats(self.value), _small(self.status))


class SavedEvents(msgspec.Struct, frozen=True):
    """Waiting :class:`EventFacts`."""

    texts: list[list[str]]
    times: list[list[int]]

    @staticmethod
    def of(facts: EventFacts) -> SavedEvents:
        texts = [column.tolist() for column in (facts.event, facts.element, facts.kind, facts.severity)]
        return SavedEvents(texts, [column.tolist() for column in (facts.start, facts.end, facts.known)])

    def facts(self) -> EventFacts:
        event, element, kind, severity = (np.array(column, object) for column in self.texts)
        start, end, known = (np.array(column, np.int64) for column in self.times)
        return EventFacts(event, element, kind, severity, start, end, known)


class SavedState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a stream must remember."""

    features: str
    names: list[str]
    next: int | None
    earliest: int | None
    overtaken: int
    unreachable: int
    slot: int | None
    rings: dict[str, SavedRing]
    events: dict[str, Version]
    waiting: dict[str, list[tuple[int, SavedKpi]]]
    waiting_events: list[tuple[int, SavedEvents]]

    def bearers(self) -> list[int]:
        """The elements that brought KPIs, as places in *names*."""
        found = {place for ring in self.rings.values() for place in ring.bearers}
        found |= {int(place) for saved in self.waiting.values() for _, facts in saved for place in facts.places()}
        return sorted(found)


class _Envelope(msgspec.Struct, frozen=True):
    format: int
    sha256: bytes
    state: bytes


def write_snapshot(state: SavedState) -> bytes:
    """*state* as bytes that :func:`read_snapshot` reads on any machine."""
    body = msgspec.msgpack.encode(state)
    return msgspec.msgpack.encode(_Envelope(FORMAT, hashlib.sha256(body).digest(), body))


def read_snapshot(snapshot: bytes) -> SavedState:
    """The state in *snapshot*; see :meth:`trunkline.features.live.Live.restore` for the errors."""
    try:
        envelope = msgspec.msgpack.decode(snapshot, type=_Envelope)
    except msgspec.DecodeError as broken:
        raise Tampered("These bytes are no snapshot of a feature stream.", next_step="Fill a new stream from the stored facts.") from broken
    if envelope.format not in _READS:
        raise WorkspaceError(
            f"The feature snapshot is of format {envelope.format}.",
            allowed=f"formats {_READS[0]} to {FORMAT}",
            next_step="Fill a new stream from the stored facts.",
        )
    if hashlib.sha256(envelope.state).digest() != envelope.sha256:
        raise Tampered("The feature snapshot does not match its hash.", next_step="Take an older snapshot, or fill a new stream from the stored facts.")
    return msgspec.msgpack.decode(envelope.state, type=SavedState)


def _bytes(array: NDArray[Any]) -> bytes:
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _kind(array: NDArray[Any]) -> str:
    return array.dtype.newbyteorder("<").str


def _floats(given: bytes) -> Floats:
    return np.frombuffer(given, "<f8").astype(np.float64)


def _ints(given: bytes) -> Ints:
    return np.frombuffer(given, "<i8").astype(np.int64)


def _small(given: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(given, np.uint8).copy()
