"""Something a service does again and again, in a thread of its own: its failures are its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from trunkline.core import log
from trunkline.core.errors import TrunklineError

_log = log.logger("serve")
LONGEST_PAUSE_S = 60.0
_FIRST_PAUSE_S = 1.0


class Loop:
    """Call *work* every so many seconds, and at once when woken; where it fails, wait twice as long each time, up to a minute.

    Parameters
    ----------
    name
        What it is called in logs and in what fails.
    every
        Seconds between two calls.
    work
        What to do; given ``stop``, an event that says when to leave off.
    failed, recovered
        Told of every failure with its words, and of the first success after one.
    inside
        A context to work in.
    longest_pause
        Seconds it waits at most where it fails.
    first_after
        Seconds it waits before the first call.

    >>> done = threading.Event()
    >>> loop = Loop("example", 60, lambda stop: done.set())
    >>> loop.start()
    >>> done.wait(5)
    True
    >>> loop.stop()
    >>> loop.join(5)
    True
    """

    def __init__(
        self,
        name: str,
        every: float,
        work: Callable[[threading.Event], object],
        *,
        failed: Callable[[str, str], None] | None = None,
        recovered: Callable[[str], None] | None = None,
        inside: Callable[[], AbstractContextManager[Any]] = nullcontext,
        longest_pause: float = LONGEST_PAUSE_S,
        first_after: float = 0.0,
        **about: Any,
    ) -> None:
        self.name, self.every, self.failures, self._longest = name, every, 0, longest_pause
        self._first_after = first_after
        self._work, self._failed, self._recovered, self._inside, self._about = work, failed, recovered, inside, about
        self._stop, self._wake, self._again = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"trunkline {name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """There is something to do now; a loop that failed still waits its time."""
        self._wake.set()

    def again(self) -> None:
        """What it works on is another now: try at once, even where it failed."""
        self._again.set()
        self._wake.set()

    def stop(self) -> None:
        """Leave off after what it is at."""
        self._stop.set()
        self.again()

    def join(self, seconds: float) -> bool:
        """Wait for its end; says whether it came."""
        self._thread.join(max(0.0, seconds))
        return not self._thread.is_alive()

    def _run(self) -> None:
        with self._inside(), log.about(loop=self.name, **self._about):
            self._wake.wait(self._first_after)
            while True:
                self._wake.clear()  # before it is asked for, so that a stop that comes meanwhile wakes it again
                self._again.clear()
                if self._stop.is_set():
                    return
                if self._worked():
                    self._wake.wait(self.every)
                else:
                    self._again.wait(min(self._longest, _FIRST_PAUSE_S * 2 ** (self.failures - 1)))

    def _worked(self) -> bool:
        began = time.monotonic()
        try:
            self._work(self._stop)
        except Exception as broken:  # noqa: BLE001 - whatever it is, the other loops go on
            self.failures += 1
            why = broken.what if isinstance(broken, TrunklineError) else f"{type(broken).__name__}: {broken}"
            _log.error("It failed: %s", why, exc_info=not isinstance(broken, TrunklineError), extra={"times": self.failures})
            self._tell(self._failed, why)
            return False
        if self.failures:
            self.failures = 0
            _log.info("It works again.", extra={"seconds": round(time.monotonic() - began, 3)})
            self._tell(self._recovered)
        return True

    def _tell(self, whom: Callable[..., None] | None, *words: str) -> None:
        if whom is None:
            return
        try:
            whom(self.name, *words)
        except Exception:  # noqa: BLE001 - the disk that is full for the work is full for the note of it
            _log.exception("The trouble could not be written down.")
