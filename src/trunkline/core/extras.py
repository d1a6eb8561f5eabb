"""Optional libraries, imported inside the one function that needs them."""

from __future__ import annotations

from importlib import import_module
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
