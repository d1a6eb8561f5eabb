"""Releases in the catalogue: kept when trained, moved forward by verdict and person, moved back at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
import polars as pl
from sqlalchemy import func, select

from trunkline.core.canonical import content_hash, plain
from trunkline.core.clock import duration
from trunkline.core.errors import BadInput, NotAllowed, Tampered, UnknownName
from trunkline.core.source import is_as_written
from trunkline.gates import joint
from trunkline.models import Fitted
from trunkline.models.portable import load, model_hash, unpack
from trunkline.rollout.plan import SERVING, next_state, percent
from trunkline.run import definitions, shipped, trial, windows
from trunkline.run.queue import record
from trunkline.run.replay import Replay
from trunkline.run.standing import Books, Standing, alarms, books, faults
from trunkline.run.train import Candidate
from trunkline.store import catalogue, positions
from trunkline.store.database import joined, reading, transaction
from trunkline.store.opened import Store
from trunkline.workflow import Release, Workflow

_COLUMNS = ["id", "workflow", "state", "verdict", "made_at", "changed_at"]


def keep(store: Store, candidate: Candidate, *, workflow: Workflow | None = None, by: str = "") -> None:
    """Keep a candidate: model file, release, card and one signed entry with every verdict.

    With *workflow*, also the files that define it, so that going back to this release brings back its features, its decide
    and its limits, too. *by* is who trained it: another person has to approve what is to act alone.
    """
    release, at = candidate.release, store.clock()
    verdicts, result = candidate.winner.verdicts, joint(candidate.winner.verdicts)
    _as_written(candidate, workflow)
    blob = store.blobs.put(candidate.model_file)
    kept = "" if workflow is None else definitions.keep(store, workflow)
    with transaction(store.engine) as connection:
        catalogue.add(
            connection,
            catalogue.releases,
            id=release.id,
            workflow=release.workflow,
            state="candidate",
            made_at=at,
            changed_at=at,
            model=blob,
            verdict=result,
            waiver=None,
            body=_fields(release),
            card=candidate.card,
        )
        judged = {
            "release": release.id,
            "result": result,
            "gates": [plain(v) for v in verdicts],
            "by": by,
            "file": blob,
            "card": content_hash(plain(candidate.card)),
            "definition": kept,
            "terms": {} if workflow is None else definitions.terms(workflow),
        }
        store.journal.append_many([("release.trained", {"release": release.id, **_fields(release)}), ("gates.verdict", judged)], connection)


def _as_written(candidate: Candidate, workflow: Workflow | None) -> None:
    """A gate whose check was exchanged while Trunkline runs judges nothing, and a definition that was edited meanwhile is another one."""
    if workflow is not None and workflow.hash != candidate.release.hash:
        raise NotAllowed(
            f"'{workflow.name}' was edited while it was trained.",
            where=f"workflow hash {workflow.hash[:12]}, the release's {candidate.release.hash[:12]}",
            next_step="Train again.",
        )
    for gate in () if workflow is None else workflow.gates:
        if not is_as_written(type(gate), "check"):
            raise NotAllowed(
                f"The gate {type(gate).__name__} is not the one its file defines: its check was exchanged.",
                where=f"release {candidate.release.id}",
                next_step="Start Trunkline anew and train again.",
            )


def forward(store: Store, workflow: Workflow, *, release: str | None, by: str, reason: str, waiver: str, dry_run: bool, change: str = "") -> str:
    """One step forward; what was live before is retired when the next goes live.

    What it may do follows from the signed journal alone. *change* is the number of the change request; it is asked for where
    the workspace has change windows.
    """
    now, told = store.clock(), books(store)
    one = _going_on(told, workflow.name, release)
    proven(store, told, one)
    if one.body["hash"] != workflow.hash:
        raise NotAllowed(
            f"Release {one.release} was trained for another definition of '{workflow.name}'.",
            where=f"workflow hash {workflow.hash[:12]}, the release's {one.body['hash'][:12]}",
            next_step=f"trunkline workflow train {workflow.called}",
        )
    if acts_alone(one, workflow) and one.verdict == "cannot tell":
        raise NotAllowed(
            f"The gates could not tell, and '{workflow.name}' acts alone.",
            where=f"release {one.release}",
            allowed="a pass; nobody can waive it for what acts alone",
            next_step="Give the gates labels or more data and train again; or let it ask first: control='approve'",
        )
    to = next_state(one.state, verdict=one.verdict, waiver=waiver or one.waiver or "", plan=workflow.rollout, step=one.step)
    further: dict[str, Any] = {"change": change} if change else {}
    if one.state == "shadow":
        _seen_enough(store, one, workflow, at=now, waiver="" if acts_alone(one, workflow) else waiver)
    if one.state == "canary":
        trial.done(store, workflow, one, waiver=waiver)
    if to.state in SERVING:
        _may_serve(store, told, one, workflow, at=now, change=change, by=by)
    if to.state == "canary":
        further |= {"step": to.step, "share": to.share, **trial.begin(store, workflow, one, to, waiver=waiver)}
    if not dry_run:
        with transaction(store.engine) as connection:
            still = books(store, connection).releases[one.release]
            if (still.state, still.step) != (one.state, one.step):
                raise NotAllowed(f"Release {one.release} is {still.state} by now.", where="somebody else moved it", next_step="Look at it again, then repeat.")
            _move(store, connection, still, to.state, verb="deploy", by=by, reason=reason, waiver=waiver, **further)
            for kind in ("next-step", "canary-stopped"):
                alarms(store).clear(kind, about=workflow.name, connection=connection)
    return str(to)


def acts_alone(one: Standing, workflow: Workflow) -> bool:
    """Whether it acts alone: as trained, or as loaded now, whichever says so."""
    return "auto" in {one.control, workflow.control}


def the_canary(store: Store, workflow: str) -> str:
    """The release of *workflow* that is a canary.

    Raises
    ------
    NotAllowed
        There is none.
    """
    found = books(store).of(workflow, "canary")
    if not found:
        raise NotAllowed(f"No release of '{workflow}' is a canary.", next_step=f"trunkline workflow deploy {workflow} moves a shadow on")
    return found[0].release


def _going_on(told: Books, workflow: str, release: str | None) -> Standing:
    found = told.of(workflow, "candidate", "shadow", "canary")
    if release:
        found = [one for one in found if one.release.startswith(release)]
    if not found:
        raise NotAllowed(f"'{workflow}' has no release that could go forward.", next_step=f"trunkline workflow train {workflow}")
    return found[0]


def _seen_enough(store: Store, one: Standing, workflow: Workflow, *, at: datetime, waiver: str) -> None:
    """A shadow runs as long as the workflow says, unless somebody answers for less.

    Where the workflow is to act alone, the data have to have gone on as long, too: a clock that was set forward shows nothing.
    """
    asked, was = duration(workflow.rollout.of), at - one.since
    if was < asked and not waiver:
        raise NotAllowed(
            f"Release {one.release} is in shadow since {one.since:%Y-%m-%d %H:%M} UTC; the workflow asks for {workflow.rollout.of} of it.",
            allowed=f"from {one.since + asked:%Y-%m-%d %H:%M} UTC on, or with a named waiver",
            next_step=f"trunkline workflow run {workflow.called} lets it judge beside you; or --waiver 'NAME: reason'",
        )
    if acts_alone(one, workflow):
        seen = through(store, one, "shadow")
        if seen is None or seen < one.since + asked * SEEN:
            raise NotAllowed(
                f"Release {one.release} has seen data up to {'never' if seen is None else f'{seen:%Y-%m-%d %H:%M} UTC'} in shadow.",
                where=f"in shadow since {one.since:%Y-%m-%d %H:%M} UTC",
                allowed=f"data of {workflow.rollout.of}, since it acts alone",
                next_step=f"trunkline workflow run {workflow.called}; time alone is no evidence",
            )


SEEN = 0.9
"""So much of the length of its shadow the data must cover: a feed may lag a little."""


def through(store: Store, one: Standing, side: positions.Side) -> datetime | None:
    """Up to when a release has decided on this side; None where another one did last."""
    found = positions.position(store.engine, one.workflow, side)
    return found.through if found is not None and found.release == one.release else None


def _may_serve(store: Store, told: Books, one: Standing, workflow: Workflow, *, at: datetime, change: str, by: str) -> None:
    """What answers somebody needs an open window, a change number, and, to act alone, another person's approval."""
    if told.last_at is not None and at < told.last_at - BACKWARDS:
        raise NotAllowed(
            f"The clock stands at {at:%Y-%m-%d %H:%M} UTC, before the last entry of the journal at {told.last_at:%Y-%m-%d %H:%M} UTC.",
            allowed="a clock that only goes forward",
            next_step="Set the clock right, then repeat.",
        )
    plan = windows.calendar(store, told)
    plan.check(at, workflow=workflow.name, what=f"Going on with release {one.release}")
    if plan.windows and not change:
        raise NotAllowed("A change needs its number.", where=f"release {one.release}", next_step="--change NUMBER, of the change request that was granted")
    if acts_alone(one, workflow) and one.approved_by(deployer=by) is None:
        given = ", ".join(sorted({approval.by for approval in one.approvals})) or "nobody"
        raise NotAllowed(
            f"'{workflow.name}' acts alone: release {one.release} needs the approval of somebody who neither trained nor deploys it.",
            where=f"approved by {given}; trained by {one.trained_by or 'nobody named'}; deployed by {', '.join((*one.moved_by, by))}",
            next_step=f"another person: trunkline workflow approve {one.release} --by NAME --reason 'why'",
        )
    if any(other.release != one.release for other in told.of(workflow.name, "canary")):
        raise NotAllowed(
            f"Another release of '{workflow.name}' is a canary.", next_step=f"Finish it first, or go back: trunkline workflow rollback {workflow.name}"
        )


BACKWARDS = timedelta(minutes=1)
"""So much two machines' clocks may differ."""


def approve(store: Store, release: str, *, by: str, reason: str, dry_run: bool = False) -> str:
    """Let a release go live that is to act alone; says which it was. The approval holds for this release's exact content."""
    _named(by, reason)
    with transaction(store.engine) as connection:
        told = books(store, connection)
        one = told.releases[_only(told, release)]
        proven(store, told, one, connection)
        if one.verdict in {None, "fail"}:
            raise NotAllowed(f"Release {one.release} did not pass its gates.", where=f"verdict {one.verdict}", next_step="Train again.")
        if by in {one.trained_by, *one.moved_by}:
            raise NotAllowed(
                f"{by} {'trained' if by == one.trained_by else 'deployed'} release {one.release} and cannot approve it.",
                allowed="another person",
                where="four eyes",
            )
        if not dry_run:
            body = {"release": one.release, "workflow": one.workflow, "hash": one.body["hash"], "model": one.body["model"], "by": by, "reason": reason}
            store.journal.append("approval.given", body, connection)
    return one.release


def back(store: Store, workflow: str, *, to: str | None, by: str, reason: str, dry_run: bool) -> str:
    """Make an earlier release live again, any of them; a canary that runs is ended. Needs no verdict and no window: it was live before.

    Without *to* a running canary goes back to what is live beside it, and otherwise the last release before the live one comes back.
    """
    _named(by, reason)
    with transaction(store.engine) as connection:
        told = books(store, connection)
        canaries, live = told.of(workflow, "canary"), told.of(workflow, "live")
        earlier = [one for one in told.of(workflow, "retired") if one.was_live]
        if to is not None:
            goal = next((one for one in (*earlier, *live) if one.release.startswith(to)), None)
        else:
            goal = live[0] if canaries and live else earlier[0] if earlier and not canaries else None
        if goal is None and not (canaries and to is None):
            raise NotAllowed(
                f"'{workflow}' has no earlier release to go back to{f' that begins with {to}' if to else ''}.",
                allowed="a release that was live before",
                next_step=f"trunkline workflow show {workflow}",
            )
        if not dry_run:
            for canary in canaries:
                _move(store, connection, canary, "retired", verb="rollback", by=by, reason=reason, waiver="")
            if goal is not None and goal.state != "live":
                _move(store, connection, goal, "live", verb="rollback", by=by, reason=reason, waiver="")
    return goal.release if goal is not None else ""


def stop(store: Store, canary: Standing, *, why: str) -> bool:
    """End a canary that is worse: its entities go back to what is live. Says whether it still ran."""
    with transaction(store.engine) as connection:
        still = books(store, connection).releases.get(canary.release)
        if still is None or still.state != "canary":
            return False
        _move(store, connection, still, "retired", verb="rollback", by="stop rule", reason=why, waiver="")
        alarms(store).clear("next-step", about=canary.workflow, connection=connection)
        alarms(store).raise_("canary-stopped", about=canary.workflow, text=f"Release {canary.release} went back: {why}", connection=connection)
    return True


def _move(store: Store, connection: Any, one: Standing, state: str, *, verb: str, by: str, reason: str, waiver: str, **further: Any) -> None:
    _named(by, reason)
    table, at = catalogue.releases, store.clock()
    if state == "live":
        live = select(table.c.id).where(table.c.workflow == one.workflow, table.c.state == "live")
        for other in connection.execute(live).scalars().all():
            catalogue.change(connection, table, other, state="retired", changed_at=at)
    catalogue.change(connection, table, one.release, state=state, changed_at=at, waiver=waiver or one.waiver)
    body = {"release": one.release, "workflow": one.workflow, "from": one.state, "to": state, "by": by, "reason": reason, "waiver": waiver, **further}
    store.journal.append(f"release.{verb}", body, connection)


def _named(by: str, reason: str) -> None:
    if not by or not reason:
        raise NotAllowed("Somebody has to answer for it, with a reason.", next_step="--by NAME --reason 'why'")


def proven(store: Store, told: Books, one: Standing, connection: Any = None) -> None:
    """Refuse a release whose row, file or proofs are not what the journal tells.

    Raises
    ------
    Tampered
        Names what differs.
    """
    table = catalogue.releases
    query = select(table).where(table.c.workflow == one.workflow)
    with joined(store.engine, connection) if connection is not None else reading(store.engine) as reads:
        found = {row["id"]: dict(row) for row in reads.execute(query).mappings()}
    wrong = list(faults(store, one, found.get(one.release)))
    wrong += [f"the journal knows nothing of release {id_}" for id_ in found if id_ not in told.releases]
    if wrong:
        raise Tampered(
            f"Release {one.release} of '{one.workflow}' cannot be relied on: {wrong[0]}.",
            where="; ".join(wrong[1:]),
            allowed="what the signed journal tells",
            next_step="trunkline workspace check; then restore from a backup, or train and deploy anew.",
        )


def in_state(store: Store, workflow: str, state: str) -> Mapping[str, Any] | None:
    """The release of *workflow* that is in *state*, the newest one."""
    table = catalogue.releases
    found = catalogue.rows(store.engine, table, table.c.workflow == workflow, table.c.state == state, order_by=table.c.changed_at.desc(), limit=1)
    return found[0] if found else None


def fitted(store: Store, row: Mapping[str, Any]) -> Fitted:
    """The model of a release, its signature and hashes checked; one that another release was made with is refused."""
    saved = unpack(store.blobs.get(row["model"]), signer=store.signer, path=f"model of release {row['id']}")
    if model_hash(saved) != row["body"]["model"]:
        raise Tampered(
            f"The model file of release {row['id']} is of another release.",
            where=str(store.blobs.path(row["model"])),
            next_step="Restore the catalogue from a backup, or train again.",
        )
    return load(saved)


def get(store: Store, id_: str) -> Release:
    """One release by the first letters of its id."""
    with transaction(store.engine) as connection:
        return msgspec.convert(_by_id(connection, id_)["body"], Release)


def card(store: Store, id_: str) -> dict[str, Any]:
    """What training recorded of a release."""
    with transaction(store.engine) as connection:
        return dict(_by_id(connection, id_)["card"])


def listed(store: Store, workflow: str) -> pl.DataFrame:
    """Every release of a workflow, the newest first."""
    table = catalogue.releases
    return catalogue.frame(catalogue.rows(store.engine, table, table.c.workflow == workflow, order_by=table.c.made_at.desc()), _COLUMNS)


def overview(store: Store) -> pl.DataFrame:
    """Workflows with what is live, in shadow and a canary, the last verdict and the open items."""
    told = books(store)
    found = catalogue.rows(store.engine, catalogue.releases, order_by=catalogue.releases.c.made_at)
    counted = _counted(store)
    lines = []
    for name in sorted({*shipped.names(), *(row["workflow"] for row in found)}):
        mine = [row for row in found if row["workflow"] == name]
        by_state = {row["state"]: row["id"] for row in mine}
        canary = next(iter(told.of(name, "canary")), None)
        lines.append(
            {
                "workflow": name,
                "live": by_state.get("live", ""),
                "shadow": by_state.get("shadow", ""),
                "canary": "" if canary is None else f"{canary.release} at {percent(canary.share or 0)} (step {(canary.step or 0) + 1})",
                "candidate": by_state.get("candidate", ""),
                "verdict": (mine[-1]["verdict"] or "") if mine else "",
                "open": counted.get((name, "open"), 0),
                "decisions": counted.get((name, "live"), 0),
            }
        )
    return pl.DataFrame(lines)


def _counted(store: Store) -> dict[tuple[str, str], int]:
    """How many decisions of each workflow are open, and how many are of mode "live"."""
    table, counted = catalogue.decisions, dict[tuple[str, str], int]()
    with reading(store.engine) as connection:
        for column, value in ((table.c.state, "open"), (table.c.mode, "live")):
            query = select(table.c.workflow, func.count()).where(column == value).group_by(table.c.workflow)
            counted |= {(str(name), value): int(count) for name, count in connection.execute(query)}
    return counted


def record_replay(store: Store, result: Replay) -> None:
    """Record what a replay found as decisions of mode "replay": in the journal, in nobody's queue."""
    by_id = {f.decision.id: result.rows.row(by_predicate=(pl.col("entity") == f.entity) & (pl.col("at") == f.at), named=True) for f in result.findings}
    record(store, result.workflow, result.findings, rows=by_id, counts=result.speakers[0].decided.counts)


def _only(told: Books, release: str) -> str:
    """A release by its first letters, or the one of a workflow that would go on."""
    if of_workflow := told.of(release, "candidate", "shadow", "canary"):
        return of_workflow[0].release
    found = [id_ for id_ in told.releases if id_.startswith(release)]
    if not found or not release:
        raise UnknownName("release", release, list(told.releases)[:12])
    if len(found) > 1:
        raise BadInput(f"'{release}' begins {len(found)} ids.", allowed="enough letters for one")
    return found[0]


def _by_id(connection: Any, id_: str) -> dict[str, Any]:
    table = catalogue.releases
    found = [dict(r) for r in connection.execute(select(table).where(table.c.id.startswith(id_, autoescape=True)).limit(3)).mappings()]
    if not found:
        raise UnknownName("release", id_, connection.execute(select(table.c.id).limit(12)).scalars())
    if len(found) > 1:
        raise BadInput(f"'{id_}' begins {len(found)} or more ids.", allowed="enough letters for one")
    return found[0]


def _fields(release: Release) -> dict[str, Any]:
    return {name: plain(getattr(release, name)) for name in Release.__slots__}
