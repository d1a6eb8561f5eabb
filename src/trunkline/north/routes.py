"""Every route: a method, a path, and the verb of Workspace that it is. Nothing else can be reached.

Parameters are those of the Python method: GET takes them from the query, POST from a JSON body. Left out are
``by``, which is whoever the key belongs to, and what only Python can hand over: frames, models, functions.
A workflow is named, never given as the path of a file: a path would run code of the caller's choosing.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
from fastapi import Header, Query
from fastapi import Path as FromPath
from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.json_schema import SkipJsonSchema

from trunkline import workspace
from trunkline.core.typed import LONGEST, PATTERN
from trunkline.govern.access import ROLES
from trunkline.run.queue import MODES, STATES
from trunkline.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the interface."""

    method: Literal["GET", "POST"]
    path: str
    verb: str
    """As on the command line: noun.verb."""
    of: str
    """Attributes of Workspace that lead to the method: ``workflows.deploy``."""
    leaves_out: frozenset[str] = frozenset()
    """Parameters that only Python can hand over."""

    def method_of(self, workspace: Workspace) -> Callable[..., Any]:
        """The method of *workspace* that answers."""
        found: Any = workspace
        for name in self.of.split("."):
            found = getattr(found, name)
        called: Callable[..., Any] = found
        return called


NAME = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
ID = r"^[0-9a-f]{4,64}$"

# Add an operation here. What streams, uploads or downloads stands in streams.py and files.py.
ROUTES: tuple[Route, ...] = (
    Route("GET", "/v1/workspace", "workspace.show", "show"),
    Route("GET", "/v1/workspace/check", "workspace.check", "check"),
    Route("GET", "/v1/workspace/alarms", "workspace.alarms", "alarms"),
    Route("GET", "/v1/workflows", "workflow.list", "workflows.list"),
    Route("GET", "/v1/workflows/{name}/releases", "workflow.releases", "workflows.releases"),
    Route("GET", "/v1/workflows/{name}/plan", "workflow.plan", "workflows.plan"),
    Route("GET", "/v1/workflows/{name}/comparison", "workflow.compare", "workflows.compare"),
    Route("POST", "/v1/workflows/{name}/replay", "workflow.replay", "workflows.replay", leaves_out=frozenset({"truth"})),
    Route("POST", "/v1/workflows/{name}/train", "workflow.train", "workflows.train", leaves_out=frozenset({"contenders", "labels"})),
    Route("POST", "/v1/workflows/{name}/approve", "workflow.approve", "workflows.approve"),
    Route("POST", "/v1/workflows/{name}/deploy", "workflow.deploy", "workflows.deploy"),
    Route("POST", "/v1/workflows/{name}/step", "workflow.step", "workflows.step"),
    Route("POST", "/v1/workflows/{name}/run", "workflow.run", "workflows.run"),
    Route("POST", "/v1/workflows/{name}/rollback", "workflow.rollback", "workflows.rollback"),
    Route("POST", "/v1/workflows/{name}/review", "workflow.review", "workflows.review"),
    Route("POST", "/v1/workflows/{name}/restore", "workflow.restore", "workflows.restore"),
    Route("POST", "/v1/freezes", "workflow.freeze", "workflows.freeze"),
    Route("POST", "/v1/freezes/end", "workflow.unfreeze", "workflows.unfreeze"),
    Route("GET", "/v1/releases/{id_}", "workflow.release", "workflows.release"),
    Route("GET", "/v1/releases/{id_}/card", "workflow.card", "workflows.card"),
    Route("POST", "/v1/releases/{id_}/reproduction", "workflow.reproduce", "workflows.reproduce"),
    Route("GET", "/v1/releases/{old}/differences/{new}", "workflow.diff", "workflows.diff"),
    Route("GET", "/v1/decisions", "decision.list", "decisions.list"),
    Route("GET", "/v1/decisions/labels", "decision.labels", "decisions.labels"),
    Route("GET", "/v1/decisions/{decision}", "decision.show", "decisions.show"),
    Route("POST", "/v1/decisions/{decision}/approve", "decision.approve", "decisions.approve"),
    Route("POST", "/v1/decisions/{decision}/break-glass", "decision.break_glass", "decisions.break_glass"),
    Route("POST", "/v1/decisions/{decision}/reject", "decision.reject", "decisions.reject"),
    Route("POST", "/v1/decisions/{decision}/undo", "decision.undo", "decisions.undo"),
    Route("POST", "/v1/decisions/{decision}/outcome", "decision.outcome", "decisions.outcome"),
    Route("POST", "/v1/decisions/delivery", "decision.deliver", "decisions.deliver"),
    Route("POST", "/v1/decisions/{decision}/resend", "decision.resend", "decisions.resend"),
    Route("GET", "/v1/data", "data.list", "data.list"),
    Route("GET", "/v1/data/quarantine", "data.quarantine", "data.quarantine"),
    Route("GET", "/v1/data/products/{product}", "data.show", "data.show"),
    Route("POST", "/v1/data/compaction", "data.compact", "data.compact"),
    Route("POST", "/v1/data/erasures", "data.erase", "data.erase"),
    Route("GET", "/v1/features/{name}", "feature.show", "features.show"),
    Route("GET", "/v1/features/{name}/parity", "feature.check", "features.check"),
    Route("GET", "/v1/audit/entries", "audit.list", "audit.list"),
    Route("GET", "/v1/audit/entries/{entry}/proof", "audit.prove", "audit.prove"),
    Route("GET", "/v1/audit/consistency/{size}", "audit.prove_since", "audit.prove_since"),
    Route("GET", "/v1/audit/verification", "audit.verify", "audit.verify", leaves_out=frozenset({"witness"})),
    Route("POST", "/v1/audit/witness", "audit.witness", "audit.witness"),
    Route("GET", "/v1/access/keys", "access.list", "access.list"),
    Route("POST", "/v1/access/keys", "access.new", "access.new"),
    Route("POST", "/v1/access/keys/{id_}/revoke", "access.revoke", "access.revoke"),
)

_KINDS: Mapping[str, type] = {
    "data": workspace.Data,
    "features": workspace.FeatureRows,
    "workflows": workspace.Workflows,
    "decisions": workspace.Decisions,
    "audit": workspace.Audit,
    "access": workspace.Access,
}
TEXT = Annotated[str, Field(pattern=PATTERN, max_length=LONGEST)]
_NEVER = frozenset({"by", "progress"})
_WORDS: Mapping[str, Any] = {
    "name": Annotated[str, Field(pattern=PATTERN, min_length=1, max_length=200)],
    "roles": Annotated[list[Literal[tuple(ROLES)]], Field(min_length=1)],  # type: ignore[misc]
    "state": Literal[STATES] | None,
    "mode": Literal[MODES] | None,
    "verdict": Literal["confirmed", "wrong", "unknown"],
}
_LIMITS: Mapping[str, tuple[float, float]] = {"limit": (1, 10_000), "since": (0, 2**53), "seed": (0, 2**31 - 1), "days": (0.01, 366), "size": (0, 2**53)}


KEY = Annotated[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{8,120}$")] | SkipJsonSchema[None], Header(alias="Idempotency-Key")]
"""The key of a request that may be sent again: it is done once."""


class Rows(BaseModel):
    """Many of something."""

    items: list[Any]


class Answer(BaseModel):
    """One thing."""

    answer: Any


def parameters(route: Route) -> list[inspect.Parameter]:
    """The parameters of *route* as FastAPI reads them: of the path, then of the query or the body."""
    found, of_body = [], {}
    for name, kind, default in _of_method(route):
        if f"{{{name}}}" in route.path and kind is int:
            found.append(_parameter(name, Annotated[int, FromPath(ge=0, le=2**53)]))
        elif f"{{{name}}}" in route.path:
            found.append(_parameter(name, Annotated[str, FromPath(pattern=_pattern(name), max_length=200)]))
        elif route.method == "POST":
            of_body[name] = (_narrowed(name, kind), ... if default is inspect.Parameter.empty else default)
        else:
            found.append(_parameter(name, Annotated[_narrowed(name, kind), Query()], default))
    if route.method == "POST":
        body = create_model(_title(route), __config__=ConfigDict(extra="forbid"), **of_body)  # type: ignore[call-overload]
        needs = any(default is ... for _, default in of_body.values())
        found.append(_parameter("body", body if needs else body | None, inspect.Parameter.empty if needs else None))
    return found


def answers(route: Route) -> type[BaseModel]:
    """The model of what *route* answers."""
    kind = typing.get_type_hints(_function(route))["return"]
    return Rows if kind is pl.DataFrame or typing.get_origin(kind) is list else Answer


def _of_method(route: Route) -> list[tuple[str, Any, Any]]:
    function = _function(route)
    hints = typing.get_type_hints(function)
    listed = list(inspect.signature(function).parameters.values())[1:]
    return [(one.name, hints[one.name], one.default) for one in listed if one.name not in _NEVER | route.leaves_out]


def _function(route: Route) -> Callable[..., Any]:
    *way, last = route.of.split(".")
    function: Callable[..., Any] = inspect.unwrap(getattr(_KINDS[way[0]] if way else Workspace, last))
    return function


def _narrowed(name: str, kind: Any) -> Any:
    """What a value may be over the network: text for paths, numbers within bounds, lists of them."""
    if name in _WORDS:
        return _WORDS[name]
    if kind in {str | Path, Path, str}:
        return TEXT
    if kind == str | None:
        return TEXT | None
    if typing.get_origin(kind) in {Sequence, tuple}:
        return list[int] if int in typing.get_args(kind) else list[TEXT]
    if typing.get_origin(kind) is Mapping or Mapping in {typing.get_origin(one) for one in typing.get_args(kind)}:
        names: dict[str, Any] = {"propertyNames": {"pattern": PATTERN, "maxLength": LONGEST}}
        return Annotated[dict[str, TEXT] | None, Field(json_schema_extra=names)]
    if name in _LIMITS and (kind in {int, float} or set(typing.get_args(kind)) & {int, float}):
        low, high = _LIMITS[name]
        return Annotated[kind, Field(ge=low, le=high)]
    return kind


def _pattern(name: str) -> str:
    return NAME if name in {"name", "product"} else ID


def _parameter(name: str, kind: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)


def _title(route: Route) -> str:
    return "".join(word.title() for word in route.verb.replace(".", "_").split("_")) + "Body"
