"""A release in shadow, beside the live one: it gets the rows after live has committed, in a process of its own.

A thread alone would not protect: native code that hangs cannot be stopped, and memory that one part eats is gone for
all. So it judges in a child process with a bound on its memory and a time limit per batch; a thread hands rows over and
waits. Where the workflow cannot be found again by name or file (one made in a notebook), it judges in the thread, and
only errors and slowness are held off.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Event, Thread, Timer
from typing import Any

import polars as pl

from trunkline.run import shipped
from trunkline.run.lane import Lane, judge
from trunkline.run.shadow_message import Answer, Ask, Begin, Ready, frame_bytes, plain_memory, receive, send

DEADLINE_S = 30.0
"""How long one batch may take before the shadow is stopped."""
START_S = 60.0
GIVE_UP_AFTER = 3
"""After so many failures one after the other it gets nothing more, until it is set up again."""
BACKLOG = 256
"""So many batches may wait; what comes when they are not worked off is missed, and counted."""
MOST_BYTES = 4 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Rows for the shadow, and what live said about them."""

    since: datetime
    through: datetime
    together: pl.DataFrame
    fresh: pl.Series
    live: str
    live_said: frozenset[tuple[str, datetime]]

    @property
    def first(self) -> datetime:
        """The first new slot."""
        at = self.together.filter(self.fresh)["at"].min()
        assert isinstance(at, datetime)
        return at


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the shadow made of a batch; *answer* is None where it failed, and *why_not* says how."""

    batch: Batch
    answer: Answer | None
    why_not: str = ""


class Beside:
    """The shadow of one workflow, taking batches in order.

    Parameters
    ----------
    model
        The signed model file.
    key
        The public key it is signed with, as PEM.
    deadline_s
        How long one batch may take.
    """

    def __init__(self, lane: Lane, *, model: bytes, key: bytes, deadline_s: float = DEADLINE_S, most_bytes: int = MOST_BYTES) -> None:
        self.lane = lane
        self._workflow, self._model, self._key = lane.workflow, model, key
        self._deadline_s, self._most_bytes = deadline_s, most_bytes
        self._memory: dict[str, Any] = plain_memory(lane.plain())
        self._waiting: Queue[tuple[int, Batch] | None] = Queue(BACKLOG)
        self._done: dict[int, Judged] = {}
        self._under_way: dict[int, Batch] = {}
        self._handed = self._taken = 0
        self._news = Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._begun: float | None = None
        self._given_up = ""
        self._failures = 0
        self._out_of_time = 0.0
        self._closing = False
        self._thread = Thread(target=self._run, name=f"shadow of {lane.workflow.name}", daemon=True)
        self._thread.start()

    def offer(self, batch: Batch) -> None:
        """Hand rows over; returns at once."""
        number, self._handed = self._handed, self._handed + 1
        self._under_way[number] = batch
        if self._given_up:
            self._done[number] = Judged(batch=batch, answer=None, why_not=self._given_up)
            return
        try:
            self._waiting.put_nowait((number, batch))
        except Full:
            self._done[number] = Judged(batch=batch, answer=None, why_not="it fell behind")

    def take(self) -> list[Judged]:
        """What is ready, in the order it was handed over; never waits."""
        found = []
        while self._taken in self._done:
            found.append(self._done.pop(self._taken))
            self._under_way.pop(self._taken)
            self._taken += 1
        return found

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return self._handed == self._taken

    def wait(self) -> list[Judged]:
        """All that was handed over: waits for it, no longer than the time limit for any one batch."""
        found = self.take()
        while not self.is_idle:
            self._news.wait(0.05)
            self._news.clear()
            found += self.take()
            self._give_up_on_a_thread()
        return found

    def close(self) -> None:
        """Stop it; what it had not finished is judged again by the next one."""
        self._closing = True
        with contextlib.suppress(Empty):
            while True:
                self._waiting.get_nowait()
        with contextlib.suppress(Full):
            self._waiting.put_nowait(None)
        self._kill()
        if not self._given_up:
            self._thread.join(5.0)

    @property
    def is_apart(self) -> bool:
        """Whether it has a process of its own."""
        return self._workflow.called.endswith(".py") or self._workflow.name in shipped.names()

    def _give_up_on_a_thread(self) -> None:
        """A thread that hangs cannot be stopped: it is left alone, and gets nothing more."""
        if self.is_apart or self._begun is None or time.monotonic() - self._begun < self._deadline_s:
            return
        self._give_up(f"it hangs: more than {self._deadline_s:g} s for one batch")

    def _give_up(self, why: str) -> None:
        self._given_up = why
        for number, batch in list(self._under_way.items()):
            self._done.setdefault(number, Judged(batch=batch, answer=None, why_not=why))
        self._news.set()

    def _run(self) -> None:
        while (given := self._waiting.get()) is not None:
            number, batch = given
            self._begun = time.monotonic()
            try:
                answer = self._apart(batch) if self.is_apart else self._here(batch)
                result = Judged(batch=batch, answer=None if answer.why_not else answer, why_not=answer.why_not)
            except Exception as failed:  # noqa: BLE001 - nothing of a shadow may go further than here
                result = Judged(batch=batch, answer=None, why_not=self._why(failed))
                self._kill()
            if self._given_up or self._closing:
                return
            self._failures = 0 if result.answer is not None else self._failures + 1
            self._memory = result.answer.memory if result.answer is not None else self._memory
            self._begun = None
            self._done[number] = result
            self._news.set()
            if self._failures >= GIVE_UP_AFTER:
                self._give_up(f"given up after {self._failures} failures: {result.why_not}")
                return

    def _here(self, batch: Batch) -> Answer:
        lane = Lane(
            workflow=self._workflow, release=self.lane.release, mode="shadow", level=self.lane.level, fitted=self.lane.fitted, why_not=self.lane.why_not
        )
        lane.recall(self._memory)
        begun = time.perf_counter()
        done, _ = judge(lane, batch.together, batch.fresh)
        ms = (time.perf_counter() - begun) * 1e3
        lasting = [(one.decision.id, one.until) for one in done.lasting]
        memory = plain_memory(lane.plain())
        return Answer([one.decision for one in done.findings], lasting, dict(done.counts), sorted(done.said), memory, ms, lane.why_not)

    def _apart(self, batch: Batch) -> Answer:
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        with self._limit(self._deadline_s, process):
            send(process.stdin, Ask(frame_bytes(batch.together), batch.first, self._memory))  # type: ignore[arg-type]
            answer = receive(process.stdout)  # type: ignore[arg-type]
        assert isinstance(answer, Answer)
        return answer

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._kill()
        named = self._workflow.called
        where = str(Path(named).resolve()) if named.endswith(".py") else named
        # Its own session: what interrupts the terminal is not for the child to answer.
        process = self._process = subprocess.Popen(
            [sys.executable, "-m", "trunkline.run.shadow_child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert process.stdin is not None
        assert process.stdout is not None
        begin = Begin(where, self._workflow.hash, self.lane.release, self.lane.level, self._model, self._key, self._most_bytes)
        with self._limit(START_S, process):
            send(process.stdin, begin)  # type: ignore[arg-type]
            ready = receive(process.stdout)  # type: ignore[arg-type]
        assert isinstance(ready, Ready)
        if ready.why_not:
            raise RuntimeError(ready.why_not)
        return process

    @contextlib.contextmanager
    def _limit(self, seconds: float, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """Kill *process* after so many seconds: whoever reads from it then meets its end."""
        self._out_of_time = 0.0

        def stop() -> None:
            self._out_of_time = seconds
            process.kill()

        timer = Timer(seconds, stop)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _why(self, failed: Exception) -> str:
        if isinstance(failed, EOFError | BrokenPipeError):
            return f"it hung: stopped after {self._out_of_time:g} s" if self._out_of_time else "its process died"
        return f"{type(failed).__name__}: {failed}"[:500]

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
