"""What is done about decisions outside: when it may happen, and the intents that say so in the decision's own transaction.

``control`` rules: "advise" never acts, "approve" acts when a person has approved, "auto" at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from sqlalchemy import Connection

from trunkline.actions.protocol import is_outside
from trunkline.actions.written import written
from trunkline.core.canonical import plain
from trunkline.core.errors import BadInput
from trunkline.core.values import Decision, Receipt
from trunkline.store import outbox
from trunkline.workflow import Workflow

Entries = list[tuple[str, object]]


def first_state(workflow: Workflow, control: str | None) -> str:
    """The state a live decision begins in: an action outside that needs no person is approved by the workflow's control."""
    return "approved" if control == "auto" and is_outside(workflow.act) else "open"


def kept(workflow: Workflow, one: Decision) -> dict[str, Any]:
    """What the catalogue has to keep of a decision so that its action can be done, and undone, without the workflow."""
    if not is_outside(workflow.act):
        return {}
    messages = {verb: plain(dict(workflow.act.message(one, at=one.known_at, verb=verb))) for verb in ("act", "undo")}
    return {"act": written(workflow.act), "messages": messages}


def kept_for_emergencies(workflow: Workflow, one: Decision) -> dict[str, Any]:
    """The same of a live decision that is only advised, so that somebody who breaks the glass can have it done; nothing where that cannot be."""
    if one.mode != "live":
        return {}
    try:
        return kept(workflow, one)
    except BadInput:  # an action that is registered nowhere is the person's own to do
        return {}


def at_once(connection: Connection, workflow: Workflow, one: Decision, receipt: Receipt, *, control: str | None) -> Entries:
    """The intent of a decision that nobody has to approve, and its entries in the journal."""
    if receipt.state == "dry-run" or first_state(workflow, control) != "approved":
        return []
    assert one.known_at is not None
    told = kept(workflow, one)
    by = {"decision": one.id, "by": f"workflow {workflow.name}", "reason": "control is auto", "from": "open", "to": "approved"}
    return [("decision.approve", by), _wanted(connection, one.id, "act", told, at=one.known_at)]


def after(connection: Connection, row: Mapping[str, Any], verb: str, *, at: Any) -> Entries:
    """The intents that follow from a person's step, and their entries in the journal."""
    told = row["body"]
    if "act" not in told:
        return []
    if verb == "approve":
        return [_wanted(connection, row["id"], "act", told, at=at)]
    if verb == "undo" and row["state"] in {"approved", "done"}:
        entries: Entries = []
        for one in outbox.within(connection, row["id"]):
            # What waits must not arrive after its own undoing. A try may be going on just now, so the undoing goes out all the same.
            if one.verb == "act" and outbox.end(connection, one.key, "withdrawn", at=at, why="undone before it got through", attempts=0):
                entries.append(("delivery.withdrawn", {"key": one.key, "decision": row["id"]}))
        return [*entries, _wanted(connection, row["id"], "undo", told, at=at)]
    return []


def _wanted(connection: Connection, decision: str, verb: Literal["act", "undo"], told: Mapping[str, Any], *, at: Any) -> tuple[str, object]:
    undoes = {"undoes": next((one.key for one in reversed(outbox.within(connection, decision)) if one.verb == "act"), "")} if verb == "undo" else {}
    body = {"act": told["act"], "message": {**told["messages"][verb], **undoes}}
    key = outbox.put(connection, decision=decision, verb=verb, action=told["act"]["action"], body=body, at=at)
    return "delivery.wanted", {"key": key, "decision": decision, "verb": verb, "action": told["act"]["action"]}
