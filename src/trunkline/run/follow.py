"""A release at work: facts arrive, slots are completed, rows are scored and decided, decisions are recorded.

The same function serves a live feed and a day that is played back: it is handed batches with the
time they became known and knows nothing else of clocks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import polars as pl

from trunkline.core.frames import EVENTS, KPIS, Facts, empty
from trunkline.decisions.guardrail import State
from trunkline.features import Features, live
from trunkline.models import Fitted
from trunkline.run.deciding import Finding
from trunkline.run.lane import Lane, LaneMode, judge, rows_of, tail
from trunkline.run.queue import record
from trunkline.store.opened import Store
from trunkline.workflow import Workflow


@dataclass(frozen=True, slots=True)
class Batch:
    """What became known up to one instant."""

    known_at: datetime
    kpis: pl.DataFrame = field(default_factory=lambda: empty(KPIS))
    events: pl.DataFrame = field(default_factory=lambda: empty(EVENTS))


@dataclass(frozen=True, slots=True)
class Step:
    """What one batch led to."""

    known_at: datetime
    rows: pl.DataFrame
    scores: np.ndarray[tuple[int], np.dtype[np.float64]]
    findings: list[Finding]
    counts: Counter[str]


def follow(
    workflow: Workflow,
    *,
    features: Features,
    fitted: Fitted,
    level: float,
    release: str,
    before: Facts,
    batches: Iterable[Batch],
    start: datetime,
    mode: LaneMode,
    store: Store | None = None,
    state: State | None = None,
) -> Iterator[Step]:
    """Decide every slot that completes after *start*, in the order its facts arrive.

    Parameters
    ----------
    features
        Bound to the KPIs there are.
    before
        What is known when it begins; warms the features up and is not decided upon.
    store
        Where decisions are recorded, with the journal; None decides without leaving a trace.
    state
        The decide state to go on from.
    """
    at_work = live(features, elements=before.elements, relations=before.relations, holidays=before.holidays)
    at_work.update(kpis=before.kpis, events=before.events)
    context = tail(at_work.advance(start), fitted.lookback)
    lane = Lane(workflow=workflow, release=release, mode=mode, level=level, fitted=fitted, state=state or State())
    for batch in batches:
        at_work.update(kpis=batch.kpis, events=batch.events)
        rows = at_work.advance(batch.known_at)
        if rows.is_empty():
            continue
        together = pl.concat([context, rows], how="vertical_relaxed").sort("entity", "at")
        new = together["at"] >= rows["at"].min()
        done, scores = judge(lane, together, new)
        fresh = together.filter(new)
        if store is not None and (done.findings or done.counts):
            record(store, workflow, done.findings, lasting=done.lasting, rows=rows_of(done.findings, fresh), counts=done.counts)
        yield Step(batch.known_at, fresh, scores[new.to_numpy()], done.findings, done.counts)
        context = tail(together, fitted.lookback)
