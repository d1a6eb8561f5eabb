"""Let what is deployed decide on what is new: the live release, and beside it the one in shadow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import polars as pl
from sqlalchemy import delete, select

from trunkline.core.errors import NotAllowed
from trunkline.core.frames import Facts
from trunkline.decisions.guardrail import State
from trunkline.run import gather, releases
from trunkline.run.deciding import Finding, Mode
from trunkline.run.follow import Batch, follow
from trunkline.store import catalogue
from trunkline.store.database import reading, transaction
from trunkline.store.opened import Store
from trunkline.workflow import Workflow

Progress = Callable[[str, float], None]
STEP = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """What one release decided on what was new."""

    release: str
    mode: Mode
    since: datetime
    until: datetime
    rows: int
    findings: tuple[Finding, ...]
    counts: Mapping[str, int]

    def __str__(self) -> str:
        said = f"{len(self.findings)} item{'s' * (len(self.findings) != 1)}"
        return f"{self.mode} release {self.release}: {self.rows:,} rows from {self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC, {said}"


def work(store: Store, workflow: Workflow, *, rename: Mapping[str, str] | None = None, progress: Progress | None = None) -> list[Worked]:
    """Decide every slot completed since the last time; live decisions go into the queue, those of a shadow only into the books.

    Where it got to rests with the decide state of each release. A decision's id follows from what it
    is about, so a run that was cut short and starts again records nothing twice.

    Raises
    ------
    NotAllowed
        Nothing is deployed, or what is was trained for another definition of the workflow.
    """
    deployed: list[tuple[Mode, Mapping[str, Any]]] = []
    for mode in ("live", "shadow"):
        row = releases.in_state(store, workflow.name, mode)
        if row is not None:
            deployed.append((mode, row))
    if not deployed:
        raise NotAllowed(f"Nothing of '{workflow.name}' is live or in shadow.", next_step=f"trunkline workflow train {workflow.called}, then deploy")
    found = gather.gather(store, workflow, rename=rename)
    return [_one(store, found, mode, row, progress) for mode, row in deployed]


def _one(store: Store, found: gather.Gathered, mode: Mode, row: Mapping[str, Any], progress: Progress | None) -> Worked:
    workflow, every = found.workflow, found.context.every
    if row["body"]["hash"] != workflow.hash:
        raise NotAllowed(
            f"Release {row['id']} is {mode} for another definition of '{workflow.name}'.",
            where=f"workflow hash {workflow.hash[:12]}, the release's {row['body']['hash'][:12]}",
            next_step=f"Put the definition back, or train and deploy the new one: trunkline workflow train {workflow.called}",
        )
    assert workflow.features is not None
    since, state = _where_it_was(store, row, mode)
    if since is None:
        since = datetime.fromisoformat(row["body"]["training"]["last"]) + every + workflow.features.delay
    early = pl.col("known_at") <= since
    facts, fresh = found.facts, found.facts.kpis.filter(~early).sort("known_at")
    newest = cast("datetime | None", fresh["known_at"].max())
    until = since if newest is None else max(since, min(newest + workflow.features.delay, store.clock()))
    before = Facts(
        kpis=facts.kpis.filter(early), events=facts.events.filter(early), relations=facts.relations, elements=facts.elements, holidays=facts.holidays
    )
    findings, counts, rows = list[Finding](), Counter[str](), 0
    for step in follow(
        workflow,
        features=gather.bound(found),
        fitted=releases.fitted(store, row),
        level=row["body"]["policy"]["level"],
        release=row["id"],
        before=before,
        batches=_batches(fresh, facts.events.filter(~early), since, until),
        start=since,
        mode=mode,
        store=store,
        state=state,
    ):
        findings += step.findings
        counts += step.counts
        rows += step.rows.height
        if progress:
            progress(f"{mode}: deciding", (step.known_at - since) / max(until - since, timedelta(seconds=1)))
    _remember(store, row, mode, until, state)
    return Worked(release=row["id"], mode=mode, since=since, until=until, rows=rows, findings=tuple(findings), counts=counts)


def _batches(kpis: pl.DataFrame, events: pl.DataFrame, since: datetime, until: datetime) -> Iterator[Batch]:
    """What became known, an hour at a time; every row still sees only what was known when it was due."""
    at = since
    while at < until:
        before, at = at, min(at + STEP, until)
        new = (pl.col("known_at") > before) & (pl.col("known_at") <= at)
        yield Batch(at, kpis.filter(new), events.filter(new))


def _where_it_was(store: Store, row: Mapping[str, Any], mode: Mode) -> tuple[datetime | None, State]:
    table = catalogue.states
    with reading(store.engine) as connection:
        body = connection.execute(select(table.c.body).where(table.c.release == row["id"], table.c.mode == mode)).scalar()
    if body is None:
        return None, State()
    return datetime.fromisoformat(body["through"]), State.from_plain(body["state"])


def _remember(store: Store, row: Mapping[str, Any], mode: Mode, until: datetime, state: State) -> None:
    table = catalogue.states
    with transaction(store.engine) as connection:
        connection.execute(delete(table).where(table.c.release == row["id"], table.c.mode == mode))
        catalogue.add(connection, table, release=row["id"], mode=mode, body={"through": until, "state": state.plain()})
