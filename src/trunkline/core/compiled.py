"""Compile a kernel with numba and keep the machine code where only its user can write.

Only modules named ``*_kernel`` import this, and they are imported only where ``core.extras.is_fast()``.
Each kernel has a NumPy twin beside its caller that gives the same numbers.

numba keeps compiled code in files that it reads back as objects, so they lie in a folder of the user's own with
mode 0700, outside the package and every workspace and backup; where no such folder can be had, nothing is kept
and each process compiles again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def cache_folder() -> Path | None:
    """Where compiled kernels are kept; None where no folder is this user's alone."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trunkline" / "kernels"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.stat()
    except (OSError, RuntimeError):
        return None
    is_ours = os.name == "nt" or (found.st_uid == os.getuid() and not found.st_mode & 0o077)
    return folder if is_ours and os.access(folder, os.W_OK) else None


_FOLDER = cache_folder()
if _FOLDER is not None:
    setattr(numba.config, "CACHE_DIR", str(_FOLDER))  # noqa: B010 - the library makes its settings at run time


def compiled(kernel: Callable[P, R]) -> Callable[P, R]:
    """*kernel* as machine code: it holds no lock while it runs, divides as NumPy does, and reorders no arithmetic."""
    return cast("Callable[P, R]", numba.njit(cache=_FOLDER is not None, nogil=True, error_model="numpy")(kernel))
