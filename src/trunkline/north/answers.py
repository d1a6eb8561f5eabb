"""What a verb gave, as JSON: rows and lists as ``items``, one thing as ``answer``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import Response

from trunkline.core.canonical import plain
from trunkline.run.replay import Replay
from trunkline.run.replay_report import as_plain
from trunkline.run.train import Candidate


def answer(value: Any) -> Response:
    """What a verb gave, as JSON: rows and lists as ``items``, one thing as ``answer``."""
    if isinstance(value, Replay):
        told: Any = {"answer": _plain(as_plain(value))}
    elif isinstance(value, Candidate):
        told = {"answer": _plain({"release": value.release.id, "result": value.winner.result, "card": value.card})}
    elif hasattr(value, "to_dicts"):
        told = {"items": [_plain(row) for row in value.to_dicts()]}
    elif isinstance(value, list):
        told = {"items": [_plain(one) for one in value]}
    else:
        told = {"answer": _plain(value)}
    return Response(msgspec.json.encode(told), media_type="application/json")


def _plain(value: Any) -> Any:
    """*value* as JSON knows it; what has no number is null."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if hasattr(value, "to_dicts"):
        return [_plain(row) for row in value.to_dicts()]
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    if isinstance(value, bytes):
        return value.hex()
    slots = getattr(type(value), "__slots__", None) or getattr(type(value), "__dataclass_fields__", None)
    if slots and not isinstance(value, str | int) and not hasattr(value, "isoformat"):
        return {name: _plain(getattr(value, name)) for name in slots if not name.startswith("_")}
    return plain(value)
