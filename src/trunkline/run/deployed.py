"""Which releases of a workflow decide now, for whom, and by which definition: proven anew at every step.

A rollback typed elsewhere is noticed here. Each release brings the definition it was trained for, so that model,
features, decide and limits change together, and an edited workflow can stand in shadow beside the one that is live.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from trunkline.core.clock import duration
from trunkline.core.errors import NotAllowed, Tampered, TrunklineError
from trunkline.core.values import Control
from trunkline.models import Fitted
from trunkline.run import releases
from trunkline.run.canary import serving
from trunkline.run.definitions import definition
from trunkline.run.lane import Lane, LaneMode
from trunkline.run.standing import Books, Standing, books, faults, rows
from trunkline.store.opened import Store
from trunkline.workflow import Workflow

Known = MutableMapping[str, Workflow]
"""Definitions found before, by release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One release where it stands, with its definition."""

    row: Mapping[str, Any]
    workflow: Workflow
    why_not: str = ""
    """Why it may not judge, where it cannot be relied on."""

    @property
    def release(self) -> str:
        """Its id."""
        return str(self.row["id"])

    @property
    def begins(self) -> datetime:
        """When the first row after those it was trained on is due."""
        training = self.row["body"]["training"]
        assert self.workflow.features is not None
        every = duration(training["every"]) if "every" in training else self.workflow.features.every
        return datetime.fromisoformat(training["last"]) + every + self.workflow.features.delay


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """Who stands where; None where nobody does."""

    live: Post | None = None
    canary: Post | None = None
    shadow: Post | None = None
    share: float = 0.0
    salt: str = ""
    control: Control = "approve"
    refused: Mapping[str, str] = field(default_factory=dict)
    """Releases that must not decide, and why."""

    @property
    def key(self) -> tuple[object, ...]:
        """Equal where nothing has changed."""
        posts = tuple(None if post is None else (post.release, post.why_not) for post in (self.live, self.canary, self.shadow))
        return (*posts, self.share, self.salt)


def deployed(store: Store, workflow: Workflow, known: Known) -> Deployed:
    """What is deployed of *workflow* now.

    Raises
    ------
    NotAllowed
        Nothing is; or what is was trained for another definition, and that was not kept.
    Tampered
        The journal cannot be relied on.
    """
    told = books(store)
    first = next((one for state in ("live", "canary", "shadow") for one in told.of(workflow.name, state)), None)
    if first is None:
        raise NotAllowed(f"Nothing of '{workflow.name}' is live or in shadow.", next_step=f"trunkline workflow train {workflow.called}, then deploy")
    base = _defined(store, first, workflow, known) or workflow
    try:
        found = serving(store, base)
    except Tampered as broken:
        return _unproven(store, told, base, broken)
    others = {id_: _another(store, told.releases[id_], workflow, known) for id_ in found.refused}
    aside = {told.releases[id_].state: post for id_, post in others.items() if post is not None}
    canary = _post(found.canary, base) or aside.get("canary")
    return Deployed(
        live=_post(found.live, base),
        canary=canary,
        shadow=_post(found.shadow, base) or aside.get("shadow"),
        share=0.0 if canary is None else (told.releases[canary.release].share or 0.0),
        salt="" if canary is None else canary.release,
        control=found.control,
        refused={id_: why for id_, why in found.refused.items() if others[id_] is None},
    )


def lane(store: Store, post: Post, mode: LaneMode) -> Lane:
    """The release at *post* ready to decide; where its model is missing or changed, a lane that says why it cannot."""
    fitted, why_not = (None, post.why_not) if post.why_not else model(store, post)
    return Lane(workflow=post.workflow, release=post.release, mode=mode, level=post.row["body"]["policy"]["level"], fitted=fitted, why_not=why_not)


def model(store: Store, post: Post) -> tuple[Fitted | None, str]:
    """The model of a release, or why there is none."""
    try:
        fitted = releases.fitted(store, post.row)
        getattr(fitted, "warm", lambda: None)()  # whoever waits for the first decision does not wait for a compiler
    except Exception as broken:  # noqa: BLE001 - bytes that are not what was written break in many ways
        return None, f"its model cannot be used: {_first_line(broken)}"
    return fitted, ""


def _post(row: Mapping[str, Any] | None, workflow: Workflow) -> Post | None:
    return None if row is None else Post(row=row, workflow=workflow)


def _unproven(store: Store, told: Books, workflow: Workflow, broken: Tampered) -> Deployed:
    """What is live cannot be relied on: it stays where it is, and judges nothing."""
    live = next(iter(told.of(workflow.name, "live")), None)
    row = None if live is None else rows(store, workflow.name).get(live.release)
    if live is None or row is None:
        raise broken
    # Its own row may be what was changed; the journal's fields are not. It asks first, whatever its control was.
    return Deployed(live=Post(row={**row, "body": live.body}, workflow=workflow, why_not=broken.what), control="approve")


def _another(store: Store, one: Standing, workflow: Workflow, known: Known) -> Post | None:
    """A release of another definition than the one that is live, where it is proven for its own."""
    if one.state not in {"canary", "shadow"}:
        return None
    own = _defined(store, one, workflow, known)
    row = rows(store, workflow.name).get(one.release)
    if own is None or row is None or next(faults(store, one, row), ""):
        return None
    return Post(row=row, workflow=own)


def _defined(store: Store, one: Standing, workflow: Workflow, known: Known) -> Workflow | None:
    """The definition a release was trained for; None where it was not kept."""
    if one.body["hash"] == workflow.hash:
        return workflow
    if one.release not in known:
        try:
            known[one.release] = definition(store, one)
        except TrunklineError:
            return None
    return known[one.release]


def _first_line(broken: BaseException) -> str:
    return str(broken).splitlines()[0] if str(broken) else type(broken).__name__
