"""Deliver what decisions want to happen outside: after their commit, until it got through or is a dead letter.

Between sending a message and writing down that it was sent, a process can die; then it is sent again, under the same
key. So it is at least once here, and exactly once for a receiver that drops a key it has seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from trunkline.actions.protocol import NotDelivered
from trunkline.actions.written import read
from trunkline.core.canonical import plain
from trunkline.core.errors import NotAllowed, TrunklineError
from trunkline.run import acting
from trunkline.store import catalogue, outbox
from trunkline.store.database import transaction
from trunkline.store.opened import Store
from trunkline.store.outbox import Intent, IntentState

ATTEMPTS = 8
"""After so many failures a message is a dead letter."""
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of one intent this time."""

    key: str
    decision: str
    state: IntentState
    attempts: int
    why: str

    def __str__(self) -> str:
        return f"{self.key}: {self.state} after {self.attempts} attempt{'s' * (self.attempts != 1)}{f', {self.why}' if self.why else ''}"


def deliver(store: Store, *, attempts: int = ATTEMPTS, limit: int = 100, dry_run: bool = False) -> list[Delivery]:
    """Try every intent that is due, and write down each time what came of it; a dry run says what would be sent."""
    found = outbox.due(store.engine, store.clock(), limit=limit)
    if dry_run:
        return [Delivery(key=one.key, decision=one.decision, state="waiting", attempts=one.attempts, why=f"would go by {one.action}") for one in found]
    return [_one(store, intent, attempts) for intent in found]


def again(store: Store, decision: str, *, by: str, reason: str, dry_run: bool = False) -> int:
    """Try the dead letters of *decision* once more; says how many there are."""
    if not by or not reason:
        raise NotAllowed("Somebody has to answer for it, with a reason.", next_step="--by NAME --reason 'why'")
    dead = [one.key for one in outbox.of_decision(store.engine, decision) if one.state == "dead"]
    if dry_run:
        return len(dead)
    with transaction(store.engine) as connection:
        count = outbox.again(connection, dead, at=store.clock())
        if count:
            store.journal.append("delivery.again", {"decision": decision, "keys": dead, "by": by, "reason": reason}, connection)
    return count


def _one(store: Store, intent: Intent, attempts: int) -> Delivery:
    tried = intent.attempts + 1
    if not acting.is_ours(store.signer, intent):
        return _failed(store, intent, tried, "it does not bear the seal of this workspace's key: somebody wrote its row by hand", is_over=True)
    try:
        answer = read(intent.body["act"]).deliver(intent.body["message"], key=intent.key)
    except TrunklineError as failed:  # also where the action is not installed any more
        is_over = tried >= attempts or (isinstance(failed, NotDelivered) and failed.is_final)
        return _failed(store, intent, tried, failed.what, is_over=is_over)
    except Exception as broken:  # noqa: BLE001 - an action is foreign code: what it raises must not stop the others
        return _failed(store, intent, tried, f"{type(broken).__name__}: {broken}", is_over=tried >= attempts)
    return _delivered(store, intent, tried, answer)


def _failed(store: Store, intent: Intent, tried: int, why: str, *, is_over: bool) -> Delivery:
    at = store.clock()
    with transaction(store.engine) as connection:
        if not is_over:
            pause = min(FIRST_PAUSE * 2 ** (tried - 1), LONGEST_PAUSE)
            outbox.tried(connection, intent.key, next_at=at + pause, why=why)
        elif outbox.end(connection, intent.key, "dead", at=at, why=why):
            body = {"key": intent.key, "decision": intent.decision, "verb": intent.verb, "attempts": tried, "why": why}
            store.journal.append("delivery.dead", body, connection)
    return Delivery(key=intent.key, decision=intent.decision, state="dead" if is_over else "waiting", attempts=tried, why=why)


def _delivered(store: Store, intent: Intent, tried: int, answer: Mapping[str, Any]) -> Delivery:
    table = catalogue.decisions
    with transaction(store.engine) as connection:
        if outbox.end(connection, intent.key, "delivered", at=store.clock(), why=""):
            body = {"key": intent.key, "decision": intent.decision, "verb": intent.verb, "attempts": tried, "answer": plain(dict(answer))}
            entries: list[tuple[str, object]] = [("delivery.receipt", body)]
            state = connection.execute(select(table.c.state).where(table.c.id == intent.decision)).scalar()
            if intent.verb == "act" and state == "approved":
                catalogue.change(connection, table, intent.decision, state="done")
                entries.append(("decision.done", {"decision": intent.decision, "key": intent.key, "from": state, "to": "done"}))
            store.journal.append_many(entries, connection)
    return Delivery(key=intent.key, decision=intent.decision, state="delivered", attempts=tried, why="")
