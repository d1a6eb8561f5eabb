"""What is done about decisions outside: when it may happen, and the intents that say so in the decision's own transaction.

``control`` rules: "advise" never acts, "approve" acts when a person has approved, "auto" at once.

What is to be sent, and to whom, is sealed with the workspace's key, beside the decision and again in the outbox: who can write
into the database but has not the key can have nothing sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from sqlalchemy import Connection

from trunkline.actions.protocol import is_outside
from trunkline.actions.written import written
from trunkline.core.canonical import canonical, plain
from trunkline.core.errors import BadInput, Tampered
from trunkline.core.values import Decision, Receipt
from trunkline.store import outbox
from trunkline.store.keys import SigningKey
from trunkline.workflow import Workflow

Entries = list[tuple[str, object]]


def first_state(workflow: Workflow, control: str | None) -> str:
    """The state a live decision begins in: an action outside that needs no person is approved by the workflow's control."""
    return "approved" if control == "auto" and is_outside(workflow.act) else "open"


def kept(signer: SigningKey, workflow: Workflow, one: Decision) -> dict[str, Any]:
    """What the catalogue has to keep of a decision so that its action can be done, and undone, without the workflow; sealed."""
    if not is_outside(workflow.act):
        return {}
    messages = {verb: plain(dict(workflow.act.message(one, at=one.known_at, verb=verb))) for verb in ("act", "undo")}
    told = {"act": written(workflow.act), "messages": messages}
    return {**told, "seal": _seal(signer, {"decision": one.id, **told})}


def kept_for_emergencies(signer: SigningKey, workflow: Workflow, one: Decision) -> dict[str, Any]:
    """The same of a live decision that is only advised, so that somebody who breaks the glass can have it done; nothing where that cannot be."""
    if one.mode != "live":
        return {}
    try:
        return kept(signer, workflow, one)
    except BadInput:  # an action that is registered nowhere is the person's own to do
        return {}


def at_once(signer: SigningKey, connection: Connection, workflow: Workflow, one: Decision, receipt: Receipt, *, control: str | None) -> Entries:
    """The intent of a decision that nobody has to approve, and its entries in the journal."""
    if receipt.state == "dry-run" or first_state(workflow, control) != "approved":
        return []
    assert one.known_at is not None
    told = kept(signer, workflow, one)
    by = {"decision": one.id, "by": f"workflow {workflow.name}", "reason": "control is auto", "from": "open", "to": "approved"}
    return [("decision.approve", by), _wanted(signer, connection, one.id, "act", told, at=one.known_at)]


def after(signer: SigningKey, connection: Connection, row: Mapping[str, Any], verb: str, *, at: Any) -> Entries:
    """The intents that follow from a person's step, and their entries in the journal.

    Raises
    ------
    Tampered
        What is to be sent is not what was kept with the decision.
    """
    told = row["body"]
    takes_back = verb == "undo" and row["state"] in {"approved", "done"}
    if "act" not in told or not (verb == "approve" or takes_back):
        return []
    if not _is_sealed(signer, {"decision": row["id"], "act": told["act"], "messages": told["messages"]}, told.get("seal")):
        raise Tampered(
            f"What decision {row['id']} would send was changed after it was taken.",
            where="its act and its messages in the catalogue",
            allowed="what bears the seal of this workspace's key",
            next_step="trunkline workspace check; then reject it.",
        )
    if verb == "approve":
        return [_wanted(signer, connection, row["id"], "act", told, at=at)]
    if verb == "undo" and row["state"] in {"approved", "done"}:
        entries: Entries = []
        for one in outbox.within(connection, row["id"]):
            # What waits must not arrive after its own undoing. A try may be going on just now, so the undoing goes out all the same.
            if one.verb == "act" and outbox.end(connection, one.key, "withdrawn", at=at, why="undone before it got through", attempts=0):
                entries.append(("delivery.withdrawn", {"key": one.key, "decision": row["id"]}))
        return [*entries, _wanted(signer, connection, row["id"], "undo", told, at=at)]
    return []


def is_ours(signer: SigningKey, intent: outbox.Intent) -> bool:
    """Whether *intent* is as it was put into the outbox."""
    return _is_sealed(signer, _intent(intent.key, intent.decision, intent.verb, intent.body), intent.body.get("seal"))


def _wanted(signer: SigningKey, connection: Connection, decision: str, verb: Literal["act", "undo"], told: Mapping[str, Any], *, at: Any) -> tuple[str, object]:
    undoes = {"undoes": next((one.key for one in reversed(outbox.within(connection, decision)) if one.verb == "act"), "")} if verb == "undo" else {}
    body = {"act": told["act"], "message": {**told["messages"][verb], **undoes}}
    seal = _seal(signer, _intent(outbox.next_key(connection, decision, verb), decision, verb, body))
    key = outbox.put(connection, decision=decision, verb=verb, action=told["act"]["action"], body={**body, "seal": seal}, at=at)
    return "delivery.wanted", {"key": key, "decision": decision, "verb": verb, "action": told["act"]["action"]}


def _intent(key: str, decision: str, verb: str, body: Mapping[str, Any]) -> dict[str, Any]:
    return {"key": key, "decision": decision, "verb": verb, "act": body["act"], "message": body["message"]}


def _seal(signer: SigningKey, what: Mapping[str, Any]) -> str:
    return signer.sign(_sealed(what)).hex()


def _is_sealed(signer: SigningKey, what: Mapping[str, Any], seal: Any) -> bool:
    try:
        return signer.verify(_sealed(what), bytes.fromhex(seal))
    except (TypeError, ValueError):  # none, or no hexadecimal digits
        return False


def _sealed(what: Mapping[str, Any]) -> bytes:
    return b"trunkline act\n" + canonical(dict(what))
