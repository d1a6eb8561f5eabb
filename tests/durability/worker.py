"""A process of its own that does a step until it ends or is killed.

Workers are forked from a server that has imported everything and done nothing: starting one costs milliseconds instead of
seconds. (Trunkline itself never forks; here there is no lock and no thread of ours that a child could inherit.)
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.durability import shim
from tests.durability.facts import lasting
from tests.durability.home import Home
from tests.durability.steps import Step

from trunkline.core.errors import TrunklineError

PRELOADED = ["tests.durability.worker", "deltalake", "trunkline.store.categories", "trunkline.data.pm_scan"]
_FAST = {"OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "TRUNKLINE_FAST": "0"}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is done to a worker.

    Parameters
    ----------
    kill_at
        It ends before this change of its disk; 0 for never.
    after_s
        It is killed after so many seconds; None for never.
    room
        So many bytes can be written to its disk; -1 for as many as it likes.
    log
        Where every change is recorded.
    """

    kill_at: int = 0
    after_s: float | None = None
    room: int = -1
    log: Path | None = None

    def __str__(self) -> str:
        return f"at change {self.kill_at}" if self.kill_at else f"after {self.after_s:.3f} s" if self.after_s is not None else "never"


NEVER = Fault()


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)


def start(step: Step, home: Home, fault: Fault = NEVER, *, is_whole: bool = False) -> ForkServerProcess:
    """A process that does *step*; its changes are counted in the file ``changes`` once it ends by itself."""
    context = multiprocessing.get_context("forkserver")
    library = shim.made()
    with _environment(**_FAST, PYTHONPATH=os.pathsep.join(filter(None, sys.path)), **({"LD_PRELOAD": str(library)} if library else {})):
        context.set_forkserver_preload(PRELOADED)
        resource_tracker.ensure_running()
        forkserver.ensure_running()
    process = context.Process(target=_worked, args=(step, home, fault, is_whole), daemon=True)
    process.start()
    return process


def run(step: Step, home: Home, fault: Fault = NEVER, *, is_whole: bool = False) -> bool:
    """Do *step* in a process under *fault*; says whether it came to its end."""
    process = start(step, home, fault, is_whole=is_whole)
    process.join(fault.after_s)
    if process.is_alive():
        process.kill()
    process.join()
    return ended(process, home)


@dataclass(frozen=True)
class Refused:
    """What a worker failed with."""

    is_told: bool
    """It is an error of Trunkline's own, that says what happened and what to do."""
    text: str
    trace: str


def refused(step: Step, home: Home, fault: Fault) -> Refused | None:
    """Do *step* in a process under *fault*; what it failed with, None where it came to its end."""
    (home.folder / "failed").unlink(missing_ok=True)
    process = start(step, home, fault)
    process.join()
    code = process.exitcode
    process.close()
    return None if code == 0 else Refused(**json.loads((home.folder / "failed").read_text(encoding="utf-8")))


def ended(process: ForkServerProcess, home: Home) -> bool:
    """Whether a process that is over came to its end; what it failed with is raised here."""
    code = process.exitcode
    process.close()
    if code not in {0, -signal.SIGKILL, -signal.SIGTERM}:  # a service that was asked to end before it could hear it
        path = home.folder / "failed"
        raise AssertionError(f"The worker failed ({code}): {json.loads(path.read_text(encoding='utf-8'))['trace'] if path.exists() else 'no word of it'}")
    return code != -signal.SIGKILL


def changes(home: Home) -> tuple[int, float]:
    """How many changes of the disk the last whole run made, and how many seconds it took."""
    count, seconds = (home.folder / "changes").read_text(encoding="utf-8").split()
    return int(count), float(seconds)


def _worked(step: Step, home: Home, fault: Fault, is_whole: bool) -> None:
    sys.stderr = (home.folder / "errors").open("a", encoding="utf-8")
    number, aside_changes, aside_s = 0, 0, 0.0

    def tell(done: str) -> None:
        nonlocal number, aside_changes, aside_s
        number += 1
        shim.mark(number)
        home.tell(done)
        if is_whole:
            before, at = shim.operations(), time.monotonic()
            (home.folder / f"sure-{number}").write_text(json.dumps(lasting(step.count(home))), encoding="utf-8")
            aside_changes, aside_s = aside_changes + shim.operations() - before, aside_s + time.monotonic() - at

    try:
        os.chdir(home.made)
        began = time.monotonic()
        shim.begin(home.disk, kill_at=fault.kill_at, room=fault.room, log=fault.log)
        step.work(home, tell)
        (home.folder / "changes").write_text(f"{shim.operations() - aside_changes} {time.monotonic() - began - aside_s}", encoding="utf-8")
    except BaseException as failed:
        told = {"is_told": isinstance(failed, TrunklineError), "text": f"{type(failed).__name__}: {failed}", "trace": traceback.format_exc()}
        (home.folder / "failed").write_text(json.dumps(told), encoding="utf-8")
        raise
