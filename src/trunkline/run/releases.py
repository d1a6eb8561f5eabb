"""Releases in the catalogue: kept when trained, moved forward by verdict and person, moved back at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
import polars as pl
from sqlalchemy import select

from trunkline.core.canonical import plain
from trunkline.core.clock import duration
from trunkline.core.errors import BadInput, NotAllowed, UnknownName
from trunkline.models import Fitted
from trunkline.models.portable import load, unpack
from trunkline.rollout.plan import next_state
from trunkline.run import shipped
from trunkline.run.queue import record
from trunkline.run.replay import Replay
from trunkline.run.train import Candidate
from trunkline.store import catalogue
from trunkline.store.database import transaction
from trunkline.store.opened import Store
from trunkline.workflow import Release, Workflow

_COLUMNS = ["id", "workflow", "state", "verdict", "made_at", "changed_at"]


def keep(store: Store, candidate: Candidate) -> None:
    """Keep a candidate: model file, release, card and one signed entry with every verdict."""
    release, at = candidate.release, store.clock()
    blob = store.blobs.put(candidate.model_file)
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
            verdict=candidate.winner.result,
            waiver=None,
            body=_fields(release),
            card=candidate.card,
        )
        store.journal.append_many(
            [
                ("release.trained", {"release": release.id, **_fields(release)}),
                ("gates.verdict", {"release": release.id, "result": candidate.winner.result, "gates": [plain(v) for v in candidate.winner.verdicts]}),
            ],
            connection,
        )


def forward(store: Store, workflow: Workflow, *, release: str | None, by: str, reason: str, waiver: str, dry_run: bool) -> str:
    """One step forward; what was live before is retired when the next goes live."""
    with transaction(store.engine) as connection:
        row = _row(connection, workflow.name, release)
        if row["body"]["hash"] != workflow.hash:
            raise NotAllowed(
                f"Release {row['id']} was trained for another definition of '{workflow.name}'.",
                where=f"workflow hash {workflow.hash[:12]}, the release's {row['body']['hash'][:12]}",
                next_step=f"trunkline workflow train {workflow.called}",
            )
        state = next_state(row["state"], verdict=row["verdict"], waiver=waiver)
        if state == "live":
            _seen_enough(row, workflow, at=store.clock(), waiver=waiver)
        if not dry_run:
            _move(store, connection, row, state, verb="deploy", by=by, reason=reason, waiver=waiver)
    return state


def _seen_enough(row: Mapping[str, Any], workflow: Workflow, *, at: datetime, waiver: str) -> None:
    """A shadow runs as long as the workflow says, unless somebody answers for less."""
    asked, was = duration(workflow.rollout.of), at - row["changed_at"]
    if was < asked and not waiver:
        raise NotAllowed(
            f"Release {row['id']} is in shadow since {row['changed_at']:%Y-%m-%d %H:%M} UTC; the workflow asks for {workflow.rollout.of} of it.",
            allowed=f"from {row['changed_at'] + asked:%Y-%m-%d %H:%M} UTC on, or with a named waiver",
            next_step=f"trunkline workflow run {workflow.called} lets it judge beside you; or --waiver 'NAME: reason'",
        )


def back(store: Store, workflow: str, *, to: str | None, by: str, reason: str, dry_run: bool) -> str:
    """Make an earlier release live again. Needs no verdict: it was live before."""
    table = catalogue.releases
    with transaction(store.engine) as connection:
        earlier = select(table).where(table.c.workflow == workflow, table.c.state == "retired").order_by(table.c.changed_at.desc())
        found = [dict(r) for r in connection.execute(earlier).mappings()]
        row = next((r for r in found if to is None or r["id"].startswith(to)), None)
        if row is None:
            raise NotAllowed(
                f"'{workflow}' has no earlier release to go back to.", allowed="a release that was live before", next_step=f"trunkline workflow show {workflow}"
            )
        if not dry_run:
            _move(store, connection, row, "live", verb="rollback", by=by, reason=reason, waiver="")
    return str(row["id"])


def _move(store: Store, connection: Any, row: Mapping[str, Any], state: str, *, verb: str, by: str, reason: str, waiver: str) -> None:
    if not by or not reason:
        raise NotAllowed("Somebody has to answer for it, with a reason.", next_step="--by NAME --reason 'why'")
    table, at = catalogue.releases, store.clock()
    if state == "live":
        live = select(table.c.id).where(table.c.workflow == row["workflow"], table.c.state == "live")
        for other in connection.execute(live).scalars().all():
            catalogue.change(connection, table, other, state="retired", changed_at=at)
    catalogue.change(connection, table, row["id"], state=state, changed_at=at, waiver=waiver or row["waiver"])
    body = {"release": row["id"], "workflow": row["workflow"], "from": row["state"], "to": state, "by": by, "reason": reason, "waiver": waiver}
    store.journal.append(f"release.{verb}", body, connection)


def in_state(store: Store, workflow: str, state: str) -> Mapping[str, Any] | None:
    """The release of *workflow* that is in *state*, the newest one."""
    table = catalogue.releases
    found = catalogue.rows(store.engine, table, table.c.workflow == workflow, table.c.state == state, order_by=table.c.changed_at.desc(), limit=1)
    return found[0] if found else None


def fitted(store: Store, row: Mapping[str, Any]) -> Fitted:
    """The model of a release, its signature and hashes checked."""
    return load(unpack(store.blobs.get(row["model"]), signer=store.signer, path=f"model of release {row['id']}"))


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
    """Workflows with what is live and in shadow, the last verdict and the open items."""
    decided = catalogue.rows(store.engine, catalogue.decisions)
    found = catalogue.rows(store.engine, catalogue.releases, order_by=catalogue.releases.c.made_at)
    lines = []
    for name in sorted({*shipped.names(), *(row["workflow"] for row in found)}):
        mine = [row for row in found if row["workflow"] == name]
        by_state = {row["state"]: row["id"] for row in mine}
        lines.append(
            {
                "workflow": name,
                "live": by_state.get("live", ""),
                "shadow": by_state.get("shadow", ""),
                "candidate": by_state.get("candidate", ""),
                "verdict": (mine[-1]["verdict"] or "") if mine else "",
                "open": sum(d["workflow"] == name and d["state"] == "open" for d in decided),
                "decisions": sum(d["workflow"] == name and d["mode"] == "live" for d in decided),
            }
        )
    return pl.DataFrame(lines)


def record_replay(store: Store, result: Replay) -> None:
    """Record what a replay found as decisions of mode "replay": in the journal, in nobody's queue."""
    by_id = {f.decision.id: result.rows.row(by_predicate=(pl.col("entity") == f.entity) & (pl.col("at") == f.at), named=True) for f in result.findings}
    record(store, result.workflow, result.findings, rows=by_id, counts=result.speakers[0].decided.counts)


def _row(connection: Any, workflow: str, release: str | None) -> dict[str, Any]:
    table = catalogue.releases
    mine = select(table).where(table.c.workflow == workflow, table.c.state.in_(["candidate", "shadow"])).order_by(table.c.changed_at.desc())
    found = [dict(r) for r in connection.execute(mine).mappings()]
    if release:
        found = [r for r in found if r["id"].startswith(release)]
    if not found:
        raise NotAllowed(f"'{workflow}' has no release that could go forward.", next_step=f"trunkline workflow train {workflow}")
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
