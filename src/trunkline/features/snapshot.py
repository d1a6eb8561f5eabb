"""The state of a live stream as bytes: MessagePack with a format number and a hash, arrays little-endian."""

from __future__ import annotations

import hashlib

import msgspec
import numpy as np
from numpy.typing import NDArray

from trunkline.core.errors import Tampered, WorkspaceError
from trunkline.features.calendar import Ints
from trunkline.features.current_events import Version
from trunkline.features.intake import EventFacts, KpiFacts
from trunkline.features.ring import Ring

FORMAT = 1


class SavedRing(msgspec.Struct, frozen=True):
    """A :class:`Ring`; its bearers as places in the snapshot's list of names."""

    length: int
    head: int
    bearers: list[int]
    value: bytes
    known: bytes
    status: bytes

    @staticmethod
    def of(ring: Ring) -> SavedRing:
        used = len(ring.bearers) + 1
        return SavedRing(ring.length, ring.head, ring.bearers.tolist(), _bytes(ring.value[:used]), _bytes(ring.known[:used]), _bytes(ring.status[:used]))

    def ring(self, number: Ints) -> Ring:
        """The ring, with *number* giving each saved place its number now."""
        shape = (len(self.bearers) + 1, self.length)
        value, known, status = (_array(given, kind).reshape(shape) for given, kind in ((self.value, "<f8"), (self.known, "<i8"), (self.status, "u1")))
        return Ring.restored(self.length, self.head, number[np.array(self.bearers, np.int64)], value, known, status)


class SavedKpi(msgspec.Struct, frozen=True):
    """Waiting :class:`KpiFacts`."""

    element: bytes
    slot: bytes
    known: bytes
    value: bytes
    status: bytes

    @staticmethod
    def of(facts: KpiFacts) -> SavedKpi:
        return SavedKpi(*map(_bytes, (facts.element, facts.slot, facts.known, facts.value, facts.status)))

    def places(self) -> Ints:
        """The elements, as places in the snapshot's list of names."""
        return _array(self.element, "<i8")

    def facts(self, number: Ints) -> KpiFacts:
        """The facts, with *number* giving each saved place its number now."""
        return KpiFacts(number[self.places()], *(_array(given, "<i8") for given in (self.slot, self.known)), _array(self.value, "<f8"), _array(self.status, "u1"))


class SavedEvents(msgspec.Struct, frozen=True):
    """Waiting :class:`EventFacts`."""

    texts: list[list[str]]
    times: list[list[int]]

    @staticmethod
    def of(facts: EventFacts) -> SavedEvents:
        texts = [column.tolist() for column in (facts.event, facts.element, facts.kind, facts.severity)]
        return SavedEvents(texts, [column.tolist() for column in (facts.start, facts.end, facts.known)])

    def facts(self) -> EventFacts:
        return EventFacts(*(np.array(column, object) for column in self.texts), *(np.array(column, np.int64) for column in self.times))


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
    if envelope.format != FORMAT:
        raise WorkspaceError(f"The feature snapshot is of format {envelope.format}.", allowed=f"format {FORMAT}", next_step="Fill a new stream from the stored facts.")
    if hashlib.sha256(envelope.state).digest() != envelope.sha256:
        raise Tampered("The feature snapshot does not match its hash.", next_step="Take an older snapshot, or fill a new stream from the stored facts.")
    return msgspec.msgpack.decode(envelope.state, type=SavedState)


def _bytes(array: NDArray[np.generic]) -> bytes:
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _array(given: bytes, kind: str) -> NDArray[np.generic]:
    return np.frombuffer(given, kind).astype(np.dtype(kind).newbyteorder("="))
