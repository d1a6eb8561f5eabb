"""Which release decides for whom, asked at every step: what the signed journal tells, and nothing that does not agree with it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

from trunkline.core.errors import NotAllowed, Tampered, TrunklineError
from trunkline.core.values import Control
from trunkline.rollout.split import in_share
from trunkline.run import definitions
from trunkline.run.standing import Books, Standing, alarms, books, faults, rows
from trunkline.store.opened import Store
from trunkline.workflow import CONTROLS, Workflow

UNPROVEN = "release-unproven"
"""The alarm that a release does not agree with the journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What is deployed of one workflow: rows of the catalogue that agree with the journal, None where there is none.

    A canary decides for the entities that :func:`~trunkline.rollout.split.in_share` puts into its *share* under *salt*, the
    live release for all others; one that is in shadow answers nothing.
    """

    live: Mapping[str, Any] | None = None
    canary: Mapping[str, Any] | None = None
    share: float = 0.0
    salt: str = ""
    shadow: Mapping[str, Any] | None = None
    control: Control = "advise"
    """How far it may go now: less than it declares while it is silent, unowned or overdue for review."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Canary or shadow that must not decide, and why; they never hold up what is live."""

    def release_of(self, entity: str) -> Mapping[str, Any] | None:
        """Which release decides for *entity*."""
        return self.canary if self.canary is not None and in_share(entity, self.share, self.salt) else self.live


def serving(store: Store, workflow: Workflow) -> Serving:
    """What decides for *workflow* now.

    Each release is proven anew: its row says what the journal says, its gates let it through, its model file is the one that
    was judged, its workflow hash is that of *workflow* as loaded, and one that acts alone was approved by another person.

    Raises
    ------
    Tampered
        The live release, or the journal, cannot be relied on. Nothing may be decided; the alarm is raised.
    NotAllowed
        What is live was trained for another definition of the workflow.
    """
    try:
        told = books(store)
        found = rows(store, workflow.name)
    except Tampered as broken:
        _alarm(store, workflow.name, broken.what, is_journaled=False)
        raise
    refused: dict[str, str] = {}
    chosen: dict[str, tuple[Standing, Mapping[str, Any]]] = {}
    for state in ("live", "canary", "shadow"):
        for one in told.of(workflow.name, state)[:1]:
            why = next(faults(store, one, found.get(one.release)), "")
            if not why and one.body["hash"] != workflow.hash:
                if state == "live" or not told.of(workflow.name, "live"):
                    raise _another(one, workflow, state)
                why = "it was trained for another definition of the workflow"
            if why and state == "live":
                _alarm(store, workflow.name, f"Release {one.release}: {why}.")
                raise Tampered(
                    f"Release {one.release} is live and cannot be relied on: {why}. Nothing is decided.",
                    where=f"workflow '{workflow.name}'; safe default: {workflow.safe_default}",
                    next_step=f"trunkline workflow rollback {workflow.name} --reason 'unproven'; then trunkline workspace check",
                )
            if why:
                refused[one.release] = why
            else:
                chosen[state] = (one, found[one.release])
    strangers = [f"Release {id_} stands in the catalogue, and the journal knows nothing of it." for id_ in found if id_ not in told.releases]
    unproven = [*strangers, *(f"Release {id_}: {why}." for id_, why in refused.items() if "another definition" not in why)]
    if unproven:
        _alarm(store, workflow.name, unproven[0])
    elif alarms(store).active(workflow.name):
        alarms(store).clear(UNPROVEN, about=workflow.name)
    canary = chosen.get("canary")
    return Serving(
        live=chosen["live"][1] if "live" in chosen else None,
        canary=canary[1] if canary else None,
        share=(canary[0].share or 0.0) if canary else 0.0,
        salt=canary[0].release if canary else "",
        shadow=chosen["shadow"][1] if "shadow" in chosen else None,
        control=control_of(told, workflow),
        refused=refused,
    )


def control_of(told: Books, workflow: Workflow) -> Control:
    """How far it may go now: one step less than declared, while something is amiss."""
    return lessened(workflow.control or "advise") if workflow.name in told.taken else workflow.control or "advise"


def lessened(control: str) -> Control:
    """One step less: who acted asks first, who asked only advises.

    >>> lessened("auto"), lessened("approve"), lessened("advise")
    ('approve', 'advise', 'advise')
    """
    return cast("Control", CONTROLS[max(CONTROLS.index(control) - 1, 0)])


def defined(store: Store, workflow: Workflow) -> Workflow:
    """*workflow* as what serves was trained for: after going back, or while a file is being edited, from the files kept with the release."""
    serves = next((one for state in ("live", "canary", "shadow") for one in books(store).of(workflow.name, state)), None)
    if serves is None or serves.body["hash"] == workflow.hash or not serves.definition:
        return workflow
    return definitions.definition(store, serves)


def _another(one: Standing, workflow: Workflow, state: str) -> NotAllowed:
    return NotAllowed(
        f"Release {one.release} is {state} for another definition of '{workflow.name}'.",
        where=f"workflow hash {workflow.hash[:12]}, the release's {one.body['hash'][:12]}",
        next_step=f"Put the definition back, or train and deploy the new one: trunkline workflow train {workflow.called}",
    )


def _alarm(store: Store, workflow: str, text: str, *, is_journaled: bool = True) -> None:
    with suppress(TrunklineError):  # who cannot write must still refuse to decide
        alarms(store).raise_(UNPROVEN, about=workflow, text=text, is_journaled=is_journaled)
