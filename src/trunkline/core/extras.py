"""Optional libraries, imported inside the one function that needs them."""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from trunkline.core.errors import MissingExtra

if TYPE_CHECKING:
    from types import ModuleType


def need(module: str, *, extra: str) -> ModuleType:
    """Import *module*, or say which extra brings it.

    >>> need("json", extra="deep").__name__
    'json'
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as missing:
        raise MissingExtra(
            f"This needs the library '{missing.name}', which is not installed.",
            next_step=f"pip install 'trunkline[{extra}]'",
        ) from missing


def is_fast() -> bool:
    """Whether compiled kernels can be used: numba is installed, and ``TRUNKLINE_FAST`` is not 0.

    It asks only whether the library is there; importing it takes half a second and is left to the first kernel used.
    """
    return os.environ.get("TRUNKLINE_FAST", "1") != "0" and _has_numba()


@cache
def _has_numba() -> bool:
    return find_spec("numba") is not None
