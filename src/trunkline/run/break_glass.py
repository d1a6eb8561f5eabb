"""Break the glass: a person lets happen what a limit held back, answers for it by name, and everybody can see it.

What the limits let through goes the usual way, so that this stays rare enough to be looked at one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trunkline.core.canonical import plain
from trunkline.core.errors import NotAllowed
from trunkline.run import acting
from trunkline.run.queue import row_of
from trunkline.store import catalogue
from trunkline.store.database import transaction
from trunkline.store.opened import Store

KIND = "decision.break_glass"
"""The kind of its entries in the journal."""

_HELD_BACK: Mapping[str, str] = {
    "expired": "it had expired at {expires_at:%Y-%m-%d %H:%M} UTC",
    "rejected": "it had been rejected",
    "advised": "the workflow may only advise",
}


def break_glass(store: Store, decision: str, *, by: str, reason: str, dry_run: bool = False) -> str:
    """Let *decision* happen although it expired, was rejected, or is of a workflow that only advises; says its new state.

    Raises
    ------
    NotAllowed
        Nobody answers for it or says why; nothing holds it back; or it is no live decision: a shadow's or a replay's is
        about what nobody was to act on.
    """
    if not by or not reason:
        raise NotAllowed("Who breaks the glass answers for it, with a reason.", where="break-glass", next_step="--by NAME --reason 'why'")
    with transaction(store.engine) as connection:
        row = row_of(connection, decision)
        limit = _held_back_by(row, store.clock())
        if not dry_run:
            told = {"by": by, "reason": reason, "limit": limit, "at": plain(store.clock())}
            catalogue.change(connection, catalogue.decisions, row["id"], state="approved", body={**row["body"], "break_glass": told})
            store.journal.append(KIND, {"decision": row["id"], "from": row["state"], "to": "approved", **told}, connection)
            store.journal.append_many(acting.after(store.signer, connection, row, "approve", at=store.clock()), connection)
    return "approved"


def _held_back_by(row: Mapping[str, Any], at: Any) -> str:
    state = "expired" if row["state"] == "open" and row["expires_at"] and row["expires_at"] <= at else row["state"]
    if row["mode"] != "live" or state not in _HELD_BACK:
        raise NotAllowed(
            f"Decision {row['id']} is {row['state']}: no limit holds it back.",
            where="break-glass",
            allowed=f"a live decision that is {' or '.join(_HELD_BACK)}",
            next_step=f"trunkline decision approve {row['id'][:8]} --reason 'why'" if state == "open" else f"trunkline decision show {row['id'][:8]}",
        )
    return _HELD_BACK[state].format(**row)
