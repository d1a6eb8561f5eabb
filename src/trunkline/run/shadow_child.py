"""The process a shadow judges in: it can crash, hang or eat its memory, and the live release never notices.

Started with ``python -m trunkline.run.shadow_child``; speaks over its standard input and output. Whatever the model or
the workflow prints goes to standard error.
"""

from __future__ import annotations

import contextlib
import os
import resource
import time
from pathlib import Path
from typing import BinaryIO

from trunkline.core.errors import TrunklineError
from trunkline.models.portable import load, unpack
from trunkline.run import shipped
from trunkline.run.lane import Lane, judge
from trunkline.run.shadow_message import Answer, Ask, Begin, Ready, frame, plain_memory, receive, send
from trunkline.store.keys import PublicKey


def main() -> None:
    """Answer until the other side is gone."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with contextlib.suppress(EOFError, BrokenPipeError), source, sink:
        begin = receive(source)
        assert isinstance(begin, Begin)
        _be_the_first_to_go(begin.most_bytes)
        try:
            lane = _begun(begin)
        except Exception as failed:  # noqa: BLE001 - whatever it is, the other side is to know
            send(sink, Ready(why_not=_told(failed)))
            return
        send(sink, Ready())
        _answer(source, sink, lane)


def _answer(source: BinaryIO, sink: BinaryIO, lane: Lane) -> None:
    while True:
        ask = receive(source)
        assert isinstance(ask, Ask)
        begun = time.perf_counter()
        together = frame(ask.rows)
        lane.recall(ask.memory)
        try:
            done, _ = judge(lane, together, together["at"] >= ask.first)
        except Exception as failed:  # noqa: BLE001 - as above
            send(sink, Answer([], [], {}, [], ask.memory, (time.perf_counter() - begun) * 1e3, _told(failed)))
            continue
        ms = (time.perf_counter() - begun) * 1e3
        lasting = [(one.decision.id, one.until) for one in done.lasting]
        memory = plain_memory(lane.plain())
        send(sink, Answer([one.decision for one in done.findings], lasting, dict(done.counts), sorted(done.said), memory, ms, lane.why_not))


def _begun(begin: Begin) -> Lane:
    workflow = shipped.find(begin.workflow)
    if workflow.hash != begin.hash:
        raise TrunklineError(
            f"'{begin.workflow}' is another definition here than the one that is deployed.",
            where=f"workflow hash {workflow.hash[:12]}, the release's {begin.hash[:12]}",
        )
    fitted = load(unpack(begin.model, signer=_OnlyVerifies(begin.key), path=f"model of release {begin.release}"))
    return Lane(workflow=workflow, release=begin.release, mode="shadow", level=begin.level, fitted=fitted)


class _OnlyVerifies:
    """The public half of the key: a shadow signs nothing."""

    def __init__(self, pem: bytes) -> None:
        self._key = PublicKey(pem)

    def sign(self, data: bytes) -> bytes:
        raise TypeError(f"A shadow signs nothing: it holds no secret ({len(data)} bytes).")

    def verify(self, data: bytes, signature: bytes) -> bool:
        return self._key.verify(data, signature)


def _be_the_first_to_go(most_bytes: int) -> None:
    """Bound the memory, give way to live on the processor, and be killed before anyone where the machine runs out of memory."""
    resource.setrlimit(resource.RLIMIT_DATA, (most_bytes, most_bytes))
    with contextlib.suppress(OSError):
        os.nice(10)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _told(failed: BaseException) -> str:
    text = str(failed).splitlines()
    return f"{type(failed).__name__}: {text[0] if text else ''}"[:500]


if __name__ == "__main__":
    main()
