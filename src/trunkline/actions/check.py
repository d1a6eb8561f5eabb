"""The contract of actions as a function: run it on yours."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from trunkline.actions.protocol import Action, OutsideAction, is_outside
from trunkline.actions.written import read, written
from trunkline.core.canonical import canonical
from trunkline.core.errors import BadInput
from trunkline.core.values import Decision, Reason, Receipt

_AT = datetime(2026, 11, 20, 8, tzinfo=UTC)
_ONE = Decision(
    "look",
    target="c1",
    confidence=0.99,
    id="0123456789abcdef",
    workflow="w",
    release="r",
    at=_AT,
    known_at=_AT,
    reasons=(Reason(column="volume", text="volume 98 % below its usual Friday 08:00", weight=1.0),),
)


def check_action(action: Any) -> list[str]:
    """What *action* lacks of the contract, one sentence each; empty where it keeps it.

    Nothing is sent: delivery is only looked at for its shape.

    >>> from trunkline.actions import Propose
    >>> check_action(Propose(to="noc"))
    []
    """
    if not isinstance(action, Action):
        return ["It has no act(decision, at=…, dry_run=…) or does not say whether it is reversible."]
    found: list[str] = []
    if not getattr(getattr(action, "__dataclass_params__", None), "frozen", False):
        return ["It is no frozen dataclass, so a workflow cannot be hashed with it."]
    try:
        if read(written(action)) != action:
            found.append("Written down and read again it is another action.")
    except BadInput as unknown:
        found.append(unknown.what)
    done, again, dry = action.act(_ONE, at=_AT), action.act(_ONE, at=_AT), action.act(_ONE, at=_AT, dry_run=True)
    if not all(isinstance(receipt, Receipt) for receipt in (done, dry)):
        return [*found, "act gives no Receipt."]
    if done != again:
        found.append("The same decision at the same time gives two receipts: a transaction that is repeated would differ.")
    if done.decision != _ONE.id or dry.decision != _ONE.id:
        found.append("Its receipt names another decision.")
    if dry.state != "dry-run":
        found.append("A dry run does not say that it is one.")
    if done.state == "dry-run":
        found.append("What was done is called a dry run.")
    if action.reversible and not done.undo:
        found.append("It says that it is reversible, and its receipt does not say how.")
    for receipt in (done, dry):
        try:
            canonical(receipt)
        except TypeError as unwritable:
            found.append(f"Its receipt cannot be written into the journal: {unwritable}.")
    return found + (_outside(action) if is_outside(action) else [])


def _outside(action: Any) -> list[str]:
    if not isinstance(action, OutsideAction):
        return ["Its effect is outside, and it has no message(…) or deliver(…)."]
    found = []
    if canonical(action.message(_ONE, at=_AT)) != canonical(action.message(_ONE, at=_AT)):
        found.append("The same decision gives two messages.")
    if action.reversible and canonical(action.message(_ONE, at=_AT, verb="undo")) == canonical(action.message(_ONE, at=_AT)):
        found.append("The message that takes it back is the one that did it.")
    return found
