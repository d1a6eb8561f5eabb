"""The shim between a process and its disk (shim.c): made with the C compiler of the machine, and called from inside a worker."""

from __future__ import annotations

import atexit
import ctypes
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest
from tests.conftest import REQUIRE_ALL

SOURCE = Path(__file__).with_name("shim.c")


@cache
def made() -> Path | None:
    """The shim as a library; None on a machine that cannot make or load it."""
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        return None
    folder = Path(mkdtemp(prefix="trunkline-shim-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(folder / "shim.so"), str(SOURCE), "-ldl", "-lpthread"]
    return folder / "shim.so" if subprocess.run(command, check=False).returncode == 0 else None


def needed() -> Path:
    """The shim, for tests that are nothing without it."""
    library = made()
    if library is None:
        if REQUIRE_ALL:
            pytest.fail("TRUNKLINE_REQUIRE_ALL is set and there is no C compiler (on Linux) to make the shim with")
        pytest.skip("no C compiler (on Linux) to make the shim with")
    return library


def is_loaded() -> bool:
    """Whether this process was started with the shim."""
    return hasattr(ctypes.CDLL(None), "shim_begin")


def begin(folder: Path, *, kill_at: int = 0, room: int = -1, log: Path | None = None) -> None:
    """From now on every change below *folder* is counted; the process ends before number *kill_at*, and so many bytes fit on the disk."""
    if is_loaded():
        path = os.fsencode(log) if log is not None else b""
        ctypes.CDLL(None).shim_begin(os.fsencode(folder.resolve()), ctypes.c_long(kill_at), ctypes.c_longlong(room), path)


def operations() -> int:
    """How many changes there were."""
    if not is_loaded():
        return 0
    count = ctypes.CDLL(None).shim_operations
    count.restype = ctypes.c_long
    return int(count())


def mark(number: int) -> None:
    """Note in the log that something was acknowledged."""
    if is_loaded():
        ctypes.CDLL(None).shim_mark(ctypes.c_long(number))
