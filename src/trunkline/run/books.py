"""What a step leaves behind, each batch in one transaction: decisions, receipts, intents, counts, decide states, position, heartbeat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
from sqlalchemy import Connection

from trunkline.core.values import Control, Decision
from trunkline.run.deciding import Finding
from trunkline.run.lane import CANNOT, Lane, rows_of
from trunkline.run.queue import record
from trunkline.run.resident import Late
from trunkline.run.serving import Part, Serving, safe_default
from trunkline.run.shadow import Judged
from trunkline.store import heartbeats, positions, tallies
from trunkline.store.database import transaction
from trunkline.store.opened import Store
from trunkline.store.tallies import Tally
from trunkline.workflow import Workflow


@dataclass(slots=True)
class Books:
    """Where one workflow's steps are recorded."""

    _store: Store
    _workflow: Workflow

    def serving(self, serving: Serving, parts: list[Part], *, since: datetime, through: datetime, control: Control) -> None:
        """Record what the live release and its canary decided about the rows due by *through*, and that they did."""
        with transaction(self._store.engine) as connection:
            self._advance(connection, serving, since=since, through=through)
            for part in parts:
                self._record(connection, part, through=through, control=control)
            decision_at = self._store.clock() if any(part.done.findings for part in parts) else None
            heartbeats.beat(self._store.engine, self._workflow.name, row_at=through, decision_at=decision_at, connection=connection)

    def _record(self, connection: Connection, part: Part, *, through: datetime, control: Control) -> None:
        one, done = part.lane, part.done
        about: dict[str, Any] = {"release": one.release, "mode": one.mode, "through": through}
        if done.counts[CANNOT]:
            about |= {"safe_default": one.workflow.safe_default, "why": one.why_not}
        instead = safe_default(one, done)
        record(
            self._store,
            one.workflow,
            [*done.findings, *([instead] if instead else [])],
            lasting=done.lasting,
            rows=rows_of(done.findings, part.together),
            counts=+done.counts,
            about=about,
            control=control,
            connection=connection,
        )

    def stand(self, serving: Serving, *, since: datetime, through: datetime) -> None:
        """Record that nothing more was due by *through*."""
        with transaction(self._store.engine) as connection:
            self._advance(connection, serving, since=since, through=through)

    def shadow(self, lane: Lane, judged: Judged, *, elements: pl.DataFrame) -> list[Finding]:
        """Record what the shadow said of a batch, or that it failed, and how far it agrees with the live release."""
        batch, answer, release = judged.batch, judged.answer, lane.release
        until = dict(answer.lasting) if answer else {}
        findings = [Finding(one, _until(one, until)) for one in answer.decisions] if answer else []
        with transaction(self._store.engine) as connection:
            positions.advance(connection, self._workflow.name, "shadow", since=batch.since, through=batch.through, release=release, body={})
            if answer is None:
                body = {"workflow": self._workflow.name, "release": release, "why": judged.why_not, "rows": int(batch.fresh.sum()), "through": batch.through}
                self._store.journal.append("shadow.failed", body, connection)
            else:
                lasting = [Finding(Decision("", target="", confidence=0.0, id=id_), at) for id_, at in answer.lasting]
                about = {"release": release, "mode": "shadow", "through": batch.through}
                rows = rows_of(findings, batch.together)
                record(self._store, lane.workflow, findings, lasting=lasting, rows=rows, counts=answer.counts, about=about, connection=connection)
                positions.remember(connection, release, "shadow", {**answer.memory, "through": batch.through})
            if batch.live:
                tallies.add(connection, self._workflow.name, batch.live, release, _compared(judged, elements))
        return findings

    def shadow_failed(self, release: str, why: str) -> None:
        """Record that a release beside the live one could not be set up, or was put aside; the live release goes on."""
        self._store.journal.append("shadow.failed", {"workflow": self._workflow.name, "release": release, "why": why, "rows": 0})

    def late(self, late: Late) -> None:
        """Record facts that came too late for rows that had gone out: those stay as they were said, on what was known then."""
        if late.facts:
            body = {"workflow": self._workflow.name, "facts": late.facts, "first": late.first, "last": late.last, "elements": list(late.elements[:20])}
            self._store.journal.append("late", {**body, "decided again": False})

    def _advance(self, connection: Connection, serving: Serving, *, since: datetime, through: datetime) -> None:
        canary = serving.canary.release if serving.canary else None
        where: Mapping[str, Any] = {"canary": canary, "share": serving.share}
        positions.advance(connection, self._workflow.name, "serving", since=since, through=through, release=serving.live.release, body=where)
        for one in serving.lanes:
            positions.remember(connection, one.release, one.mode, {**one.plain(), "through": through})


def _until(one: Decision, lasting: Mapping[str, datetime]) -> datetime:
    assert one.at is not None
    return lasting.get(one.id, one.at)


def _compared(judged: Judged, elements: pl.DataFrame) -> dict[str, Tally]:
    """Row by row: about which did both speak, or one of them."""
    batch, answer = judged.batch, judged.answer
    rows = batch.together.filter(batch.fresh).select("entity", "at").join(elements, left_on="entity", right_on="element", how="left")
    regions = rows["region"].fill_null("").to_list()
    if answer is None:
        return {region: Tally(missed=count) for region, count in Counter(regions).items()}
    said = set(answer.said)
    found: dict[str, Counter[str]] = {}
    for entity, at, region in zip(rows["entity"].to_list(), rows["at"].to_list(), regions, strict=True):
        count = found.setdefault(region, Counter())
        here, there = (entity, at) in batch.live_said, (entity, at) in said
        count["rows"] += 1
        count["both" if here and there else "live_only" if here else "shadow_only" if there else "neither"] += 1
    compared = {region: Tally(rows=c["rows"], both=c["both"], live_only=c["live_only"], shadow_only=c["shadow_only"]) for region, c in found.items()}
    first = next(iter(compared), "")  # time is of the batch, not of a region: it stands with the first
    return {**compared, first: compared.get(first, Tally()) + Tally(batches=1, ms=answer.ms, most_ms=answer.ms)}
