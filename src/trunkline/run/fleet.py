"""Very many elements on one machine: worked on a partition at a time, decided upon together.

What is learned of an element is learned from its own past and, for tails too rare to see alone, from the past of those
it is partitioned with; so a partition can be worked on by itself and forgotten. What is common to all of them (the
level of admission, the items of a shift, the order of time) is settled afterwards, on the little that each partition
says: its candidates and the confidences that could ever matter. :mod:`trunkline.run.fleet_replay` and
:mod:`trunkline.run.fleet_train` do so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from trunkline.core.frames import KPIS, TIME, Facts
from trunkline.features import Features, history
from trunkline.models import Context, Fitted
from trunkline.run.engine import Engine, Local, blocks
from trunkline.workflow import Workflow

Names = tuple[str, ...]
Progress = Callable[[str, float], None]
JUDGED = 2_000
"""Elements that gates and self-tests look at: of more, those of some partitions, evenly drawn."""
PARTITION = 100
"""Elements of one partition: with five KPIs of eight weeks of hours about 150 MB while it is worked on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Many elements and where the facts about some of them are read.

    Parameters
    ----------
    elements
        All of them, sorted.
    facts
        Gives everything known about the elements named, and about others their features look at (neighbours).
        It is called once for each partition and pass, from several threads.
    kpis
        The KPIs there are; one that a partition lacks counts as never come.
    first, last
        The slots all of this is about, inclusive.
    rests
        What has to stay as long as facts are read, such as a temporary folder.
    """

    workflow: Workflow
    elements: Names
    facts: Callable[[Names], Facts]
    kpis: Names
    context: Context
    first: datetime
    last: datetime
    engine: Engine = field(default_factory=Local)
    partition: int = PARTITION
    rests: object = field(default=None, repr=False)

    @property
    def features(self) -> Features:
        """The workflow's features with one column for each KPI there is."""
        assert self.workflow.features is not None
        return self.workflow.features.bind(self.kpis)

    @property
    def kind(self) -> pl.Enum:
        """The elements as a type: their numbers stand for their names, in the same order."""
        return pl.Enum(self.elements)

    @property
    def parts(self) -> tuple[Names, ...]:
        """The elements of each partition."""
        return tuple(blocks(self.elements, of=self.partition))

    @property
    def slots(self) -> int:
        """How many slots there are."""
        return (self.last - self.first) // self.context.every + 1

    def known(self, names: Names) -> Facts:
        """The facts about these elements, in which every KPI occurs: one that never came is said to be missing once."""
        facts = self.facts(names)
        lacking = sorted(set(self.kpis) - set(facts.kpis["kpi"].unique()))
        if not lacking:
            return facts
        never = pl.DataFrame(
            {"element": names[0], "kpi": lacking, "at": self.first, "value": None, "status": "missing", "known_at": self.first}, schema=dict(KPIS)
        )
        return replace(facts, kpis=pl.concat([facts.kpis.cast({"at": TIME, "known_at": TIME}), never]))

    def history(self, facts: Facts, names: Names, *, since: datetime | None = None) -> pl.DataFrame:
        """The rows of these elements, all slots or those from *since* on, each as known at its emission."""
        at = pl.datetime_range(since or self.first, self.last, self.context.every, time_unit="us", time_zone="UTC", eager=True)
        slots = pl.DataFrame({"entity": sorted(names)}).join(pl.DataFrame({"at": at}), how="cross")
        return history(self.features, facts, slots=slots)

    def rows(self, names: Names, *, since: datetime | None = None) -> pl.DataFrame:
        """:meth:`history` of what is known."""
        return self.history(self.known(names), names, since=since)

    def score(self, fitted: Fitted, *, since: datetime, progress: Progress | None = None) -> Iterator[pl.DataFrame]:
        """``entity``, ``at``, ``confidence`` of every row from *since* on, a frame for each partition."""
        begin = max(since - fitted.lookback, self.first)

        def scored(names: Names) -> pl.DataFrame:
            rows = self.rows(names, since=begin)
            return rows.select("entity", "at").with_columns(confidence=pl.Series(fitted.score(rows))).filter(pl.col("at") >= since)

        return self.engine.map(scored, self.parts, progress=self.told("score", progress))

    def evenly(self, most: int = JUDGED) -> list[int]:
        """The numbers of the partitions, evenly drawn where they hold more than so many elements."""
        parts = len(self.parts)
        return sorted({int(n) for n in np.linspace(0, parts - 1, min(parts, max(1, -(-most // self.partition)))).round()})

    def in_proportion(self, workflow: Workflow, some: int) -> Workflow:
        """*workflow* with the items of a shift that fall to *some* of the elements."""
        share = some / len(self.elements)
        if share == 1:
            return workflow
        assert workflow.owner is not None
        rail = replace(workflow.guardrail, items_per_shift=max(1, round(workflow.guardrail.items_per_shift * share)))
        return replace(workflow, guardrail=rail, owner=replace(workflow.owner, runbook=str(workflow.runbook)))

    def told(self, word: str, progress: Progress | None, parts: int | None = None) -> Callable[[int], None] | None:
        """*progress* in parts done."""
        of = parts or len(self.parts)
        return None if progress is None else lambda done: progress(word, done / of)


def settled(fleet: Fleet, emitted_after: timedelta | None) -> timedelta:
    """How long after its end a slot is taken as emitted."""
    return emitted_after if emitted_after is not None else fleet.features.delay


def fits_by_element(*models: Any) -> bool:
    """Whether all of *models* learn each element by itself, so that some may be fitted at a time."""
    return all(getattr(model, "by_element", False) for model in models)


__all__ = ["JUDGED", "PARTITION", "Fleet", "fits_by_element", "settled"]
