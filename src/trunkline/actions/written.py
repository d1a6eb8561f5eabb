"""An action as plain values: the outbox keeps it so, and finds it again by the name it is registered under."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from trunkline.core import registry
from trunkline.core.errors import BadInput


def written(action: Any) -> dict[str, Any]:
    """*action* as plain values.

    Raises
    ------
    BadInput
        It is not registered.

    >>> from trunkline.actions import Propose
    >>> written(Propose(to="noc"))
    {'action': 'propose', 'parameters': {'to': 'noc', 'expires': '8h'}}
    """
    return {"action": registered(action), "parameters": {field.name: getattr(action, field.name) for field in dataclasses.fields(action)}}


def read(told: Mapping[str, Any]) -> Any:
    """The action that :func:`written` told of."""
    return registry.load("actions", told["action"])(**told["parameters"])


def registered(action: Any) -> str:
    """The name *action* is registered under."""
    kind = type(action)
    for name, point in registry.names("actions").items():
        if point.value == f"{kind.__module__}:{kind.__qualname__}":
            return name
    raise BadInput(
        f"The action {kind.__name__} is not registered, so what it has to do outside could not be delivered after a restart.",
        where=f"{kind.__module__}:{kind.__qualname__}",
        next_step="Name it in the group trunkline.actions of its package's entry points.",
    )
