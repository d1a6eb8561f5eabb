"""The life of a decision after it was taken: proposed, approved or rejected, undone, and how it turned out.

Every step is one transaction that changes the row and writes the journal, names the person, and is
refused from a state it does not follow from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import polars as pl
from sqlalchemy import Connection, select

from trunkline.core.canonical import content_hash, plain
from trunkline.core.errors import BadInput, NotAllowed, UnknownName
from trunkline.core.values import Control, Decision, Outcome, Receipt
from trunkline.feedback.labels import labelled
from trunkline.run import acting
from trunkline.run.deciding import Finding
from trunkline.store import catalogue, outbox
from trunkline.store.database import afterwards, joined, transaction
from trunkline.store.opened import Store
from trunkline.workflow import Workflow

# verb -> (states it may follow, state it leads to)
STEPS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "approve": (("open",), "approved"),
    "reject": (("open",), "rejected"),
    "undo": (("approved", "rejected", "done"), "open"),
}
_INSTEAD: Mapping[str, str] = {
    "approved": "trunkline decision undo {id} --reason 'why' opens it again",
    "rejected": "trunkline decision undo {id} --reason 'why' opens it again",
    "expired": "trunkline decision break-glass {id} --reason 'why', if it still has to happen",
}
"""What somebody can do with a decision in a state that allows no other step."""
STATES = ("all", "open", "approved", "rejected", "done", "expired", "advised", "shadow", "replayed")
MODES = ("live", "shadow", "replay")
REPORTABLE = ("open", "approved", "rejected", "done", "expired", "advised")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One decision as it rests in the catalogue, with the last word on how it turned out."""

    id: str
    workflow: str
    release: str
    mode: str
    state: str
    action: str
    target: str
    confidence: float
    at: datetime
    until: datetime
    known_at: datetime
    expires_at: datetime | None
    route: str
    reasons: tuple[str, ...]
    row: Mapping[str, Any]
    outcome: str
    outside: tuple[str, ...] = ()
    """What is to happen, or happened, outside because of it: one line a message."""
    break_glass: str = ""
    """Who let it happen against a limit, which one, and why."""

    def __str__(self) -> str:
        return f"{self.id}  {self.state:9} {self.confidence:.4f}  {self.action} {self.target}: {'; '.join(self.reasons[:2]) or 'no reason given'}"


def record(
    store: Store,
    workflow: Workflow,
    findings: Iterable[Finding],
    *,
    rows: Mapping[str, Mapping[str, Any]],
    counts: Mapping[str, int],
    lasting: Iterable[Finding] = (),
    about: Mapping[str, Any] | None = None,
    control: Control | None = None,
    connection: Connection | None = None,
) -> list[Receipt]:
    """Record admitted decisions, propose those that are live, and count what was not said; all or nothing.

    A decision recorded before is not recorded again.

    Parameters
    ----------
    rows
        The feature row each decision was taken on, by decision id.
    lasting
        Findings recorded before whose episode went on.
    about
        What the counts are of, to stand beside them in the journal.
    control
        How far the workflow may go now; as it declares where None.
    connection
        The transaction to be part of, with the decide state; one of its own where None.
    """
    receipts: list[Receipt] = []
    entries: list[tuple[str, object]] = []
    control = control or workflow.control
    with joined(store.engine, connection) as writing:
        for finding in findings:
            new = _recorded_now(store, writing, workflow, finding, rows.get(finding.decision.id, {}), control)
            if new is None:
                catalogue.change(writing, catalogue.decisions, finding.decision.id, until=finding.until)
                continue
            receipt, snapshot = new
            entries += [("decision", _journaled(finding.decision, snapshot)), ("receipt", plain(receipt))]
            entries += acting.at_once(store.signer, writing, workflow, finding.decision, receipt, control=control)
            receipts.append(receipt)
        for finding in lasting:
            catalogue.change(writing, catalogue.decisions, finding.decision.id, until=finding.until)
        if counts:
            entries.append(("decided", {"workflow": workflow.name, "counts": dict(counts), **(about or {})}))
        store.journal.append_many(entries, writing)
    return receipts


def _recorded_now(
    store: Store, connection: Connection, workflow: Workflow, finding: Finding, row: Mapping[str, Any], control: Control | None
) -> tuple[Receipt, dict[str, Any]] | None:
    """The receipt of a decision that is new, and what is kept of it; None where it stands there already."""
    one = finding.decision
    assert one.at is not None
    assert one.known_at is not None
    is_live = one.mode == "live" and control != "advise"
    receipt: Receipt = workflow.act.act(one, at=one.known_at, dry_run=not is_live)
    snapshot = {
        "reasons": [r.text for r in one.reasons],
        "because": one.because,
        "detail": plain(dict(one.detail)),
        "row": plain_row(row),
        "receipt": plain(receipt),
        **(acting.kept(store.signer, workflow, one) if is_live else acting.kept_for_emergencies(store.signer, workflow, one)),
    }
    new = catalogue.add(
        connection,
        catalogue.decisions,
        id=one.id,
        workflow=one.workflow,
        release=one.release,
        mode=one.mode,
        state=acting.first_state(workflow, control) if is_live else "shadow" if one.mode == "shadow" else "replayed" if one.mode == "replay" else "advised",
        action=one.action,
        target=one.target,
        confidence=one.confidence,
        propensity=1.0,
        at=one.at,
        until=finding.until,
        known_at=one.known_at,
        expires_at=receipt.detail.get("expires_at"),
        route=str(receipt.detail.get("to", "")),
        body=snapshot,
    )
    return (receipt, snapshot) if new else None


def plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A feature row as plain values; NaN is told as null."""
    return {k: None if isinstance(v, float) and v != v else plain(v) for k, v in row.items()}  # noqa: PLR0124 - NaN is the one that differs from itself


def _journaled(one: Decision, snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """A decision for the journal; of what else is kept of it, its row among that, the hash."""
    keep = ("id", "workflow", "release", "mode", "action", "target", "confidence", "at", "known_at", "because")
    return {**{name: plain(getattr(one, name)) for name in keep}, "reasons": [r.text for r in one.reasons], "kept": content_hash(snapshot)}


def step(store: Store, decision: str, verb: str, *, by: str, reason: str, dry_run: bool = False) -> str:
    """Approve, reject or undo; returns the new state.

    Raises
    ------
    NotAllowed
        The decision's state does not allow it, or it has expired; says what is allowed.
    """
    froms, to = STEPS[verb]
    _named(by, reason, verb)
    with transaction(store.engine) as connection:
        row = row_of(connection, decision)
        if verb != "undo" and row["state"] == "open" and row["expires_at"] and row["expires_at"] <= store.clock():
            raise NotAllowed(f"Decision {decision} expired at {row['expires_at']:%Y-%m-%d %H:%M} UTC.", next_step=f"trunkline decision show {row['id']}")
        if row["state"] not in froms:
            raise NotAllowed(
                f"Decision {row['id']} is {row['state']}.",
                where=f"decision {verb}",
                allowed=f"{verb} follows {' or '.join(froms)}",
                next_step=_INSTEAD.get(row["state"], "").format(id=row["id"][:8]),
            )
        if not dry_run:
            catalogue.change(connection, catalogue.decisions, row["id"], state=to)
            store.journal.append(f"decision.{verb}", {"decision": row["id"], "by": by, "reason": reason, "from": row["state"], "to": to}, connection)
            store.journal.append_many(acting.after(store.signer, connection, row, verb, at=store.clock()), connection)
    return to


def expire(store: Store) -> int:
    """Expire open proposals whose time is over; says how many."""
    table, at = catalogue.decisions, store.clock()
    with transaction(store.engine) as connection:
        over = connection.execute(select(table.c.id).where(table.c.state == "open", table.c.expires_at.is_not(None), table.c.expires_at <= at)).scalars().all()
        for one in over:
            catalogue.change(connection, table, one, state="expired")
        if over:
            store.journal.append_many([("decision.expire", {"decision": one}) for one in over], connection)
    return len(over)


def outcome(store: Store, decision: str, verdict: str, *, by: str, note: str = "", dry_run: bool = False) -> Outcome:
    """Say how a decision turned out; "wrong" keeps the whole snapshot with it, so that it can be learned from."""
    if verdict not in {"confirmed", "wrong", "unknown"}:
        raise BadInput(f"'{verdict}' is no verdict.", allowed="confirmed, wrong, unknown")
    _named(by, note or "said", "outcome")
    with transaction(store.engine) as connection:
        row = row_of(connection, decision)
        if row["state"] not in REPORTABLE:
            raise NotAllowed(f"Decision {row['id']} is {row['state']}: nobody acted on it.", allowed=", ".join(REPORTABLE))
        said = Outcome(decision=row["id"], verdict=verdict, at=store.clock(), by=by, note=note)  # type: ignore[arg-type]
        if not dry_run:
            catalogue.add(connection, catalogue.outcomes, decision=said.decision, verdict=said.verdict, at=said.at, by=said.by, note=said.note)
            snapshot = {"snapshot": row["body"]} if verdict == "wrong" else {}
            store.journal.append("outcome", {**plain(said), **snapshot}, connection)
    if not dry_run:
        afterwards(store.engine, lambda: publish_outcomes(store))
    return said


def publish_outcomes(store: Store) -> int:
    """Outcomes come back as Records: each becomes an event of its element, of kind "outcome"; says how many were new.

    The lake remembers how far this got, so an outcome said just before a crash is published by the next one.
    """
    done = store.lake.transaction("events", "outcomes") or 0
    table = catalogue.outcomes
    new = catalogue.rows(store.engine, table, table.c.n > done, order_by=table.c.n)
    about = {row["id"]: row for row in catalogue.rows(store.engine, catalogue.decisions)} if new else {}
    events = [
        {
            "event_id": f"outcome-{one['decision']}",
            "element": about[one["decision"]]["target"],
            "kind": "outcome",
            "severity": None,
            "text": one["verdict"],
            "start": about[one["decision"]]["at"],
            "end": about[one["decision"]]["until"],
            "known_at": one["at"],
            "source": f"decision {one['decision']}",
            "region": store.configuration.settings.region,
        }
        for one in new
    ]
    if events:
        store.lake.append("events", pl.DataFrame(events, schema=dict(store.lake.layout("events").columns)), transaction=("outcomes", new[-1]["n"]))
    return len(events)


def show(store: Store, decision: str) -> Recorded:
    """One decision; the first letters of its id are enough."""
    with transaction(store.engine) as connection:
        row = row_of(connection, decision)
    return replace(_recorded(store, [row])[0], outside=tuple(map(str, outbox.of_decision(store.engine, row["id"]))))


def listed(store: Store, *, state: str | None = "open", workflow: str | None = None, mode: str | None = None, limit: int | None = None) -> list[Recorded]:
    """Decisions, the most confident first; of every state where *state* is None or "all"."""
    for kind, given, known in (("state", state, STATES), ("mode", mode, MODES)):
        if given and given not in known:
            raise UnknownName(kind, given, known)
    state = None if state == "all" else state
    table = catalogue.decisions
    where = [column == value for column, value in ((table.c.state, state), (table.c.workflow, workflow), (table.c.mode, mode)) if value]
    return _recorded(store, catalogue.rows(store.engine, table, *where, order_by=(table.c.confidence.desc()), limit=limit))


def _recorded(store: Store, found: Iterable[Mapping[str, Any]]) -> list[Recorded]:
    last = {row["decision"]: row["verdict"] for row in catalogue.rows(store.engine, catalogue.outcomes, order_by=catalogue.outcomes.c.n)}
    taken = [name for name in Recorded.__slots__ if name not in {"reasons", "row", "outcome", "outside", "break_glass"}]
    return [
        Recorded(
            **{name: row[name] for name in taken},
            reasons=tuple(row["body"]["reasons"]),
            row=row["body"]["row"],
            outcome=last.get(row["id"], ""),
            break_glass=_broken(row["body"]),
        )
        for row in found
    ]


def _broken(body: Mapping[str, Any]) -> str:
    told = body.get("break_glass")
    return "" if told is None else f"{told['by']}, though {told['limit']}: {told['reason']}"


def row_of(connection: Any, decision: str) -> Mapping[str, Any]:
    """One decision as it rests; the first letters of its id are enough."""
    table = catalogue.decisions
    found = [dict(r) for r in connection.execute(select(table).where(table.c.id.startswith(decision, autoescape=True)).limit(3)).mappings()]
    if len(found) == 1:
        return found[0]
    if found:
        raise BadInput(
            f"'{decision}' begins {len(found)} or more ids.", allowed="enough letters for one", next_step=f"One of {', '.join(r['id'] for r in found)} …"
        )
    raise UnknownName("decision", decision, connection.execute(select(table.c.id).order_by(table.c.at.desc()).limit(12)).scalars())


def _named(by: str, reason: str, verb: str) -> None:
    if not by:
        raise NotAllowed("Somebody has to answer for it.", where=verb, next_step="--by NAME, or the setting 'operator'")
    if not reason:
        raise NotAllowed("It needs a reason.", where=verb, next_step="--reason 'why'")


def labels(store: Store, workflow: str | None = None) -> pl.DataFrame:
    """Decisions with a verdict as labelled rows; see :func:`trunkline.feedback.labels.labelled`."""
    table = catalogue.decisions
    decided = catalogue.rows(store.engine, table, *([table.c.workflow == workflow] if workflow else []))
    found = catalogue.rows(store.engine, catalogue.outcomes, order_by=catalogue.outcomes.c.n)
    decisions = catalogue.frame([{**row, "decision": row["id"], "entity": row["target"]} for row in decided], ["decision", "entity", "at", "propensity"])
    return labelled(
        decisions.cast({"decision": pl.String, "entity": pl.String, "propensity": pl.Float64}),
        catalogue.frame(found, ["decision", "verdict", "at"]).cast({"decision": pl.String, "verdict": pl.String}),
    )
