"""Trunkline runs a telecom operator's AI in production: from raw telemetry to governed decisions, with the outcome fed back.

The unit of deployment is the :class:`Workflow`. Start here::

    import trunkline

    workspace = trunkline.open("trunkline-workspace")
    workspace.workflows.replay("kpi-anomaly", ["cells.csv"])

Names are imported when they are first used: ``import trunkline`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trunkline import actions, data, decisions, features, feedback, gates, models, rollout
    from trunkline.core.errors import TrunklineError
    from trunkline.core.values import Decision, Outcome, Owner, Reason, Receipt, Row
    from trunkline.decisions import Above, Guardrail
    from trunkline.features import Features
    from trunkline.rollout import Shadow
    from trunkline.workflow import Release, Workflow
    from trunkline.workspace import Workspace, create, open  # noqa: A004 - trunkline.open is meant

__all__ = [
    "Above",
    "Decision",
    "Features",
    "Guardrail",
    "Outcome",
    "Owner",
    "Reason",
    "Receipt",
    "Release",
    "Row",
    "Shadow",
    "TrunklineError",
    "Workflow",
    "Workspace",
    "actions",
    "create",
    "data",
    "decisions",
    "features",
    "feedback",
    "gates",
    "models",
    "open",
    "rollout",
]

_WHERE = {
    "core.errors": ("TrunklineError",),
    "core.values": ("Decision", "Outcome", "Owner", "Reason", "Receipt", "Row"),
    "decisions": ("Above", "Guardrail"),
    "features": ("Features",),
    "rollout": ("Shadow",),
    "workflow": ("Release", "Workflow"),
    "workspace": ("Workspace", "create", "open"),
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}
_PACKAGES = frozenset(__all__) - frozenset(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"trunkline.{name}")
    if name in _MODULE_OF:
        return getattr(import_module(f"trunkline.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'trunkline' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
