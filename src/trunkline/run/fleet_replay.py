"""What a workflow would have said about very many elements: :func:`trunkline.run.replay.replay`, a partition at a time.

The same decisions, to the last bit, where the model learns each element by itself. Where it also learns the rarest tails
from all together (Harmonic, Envelope, and last week beside them), "all" is the partition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.values import Row
from trunkline.decisions.guardrail import State
from trunkline.decisions.threshold import Above
from trunkline.run.deciding import Decided, asked, decide, finished, level_over_time
from trunkline.run.fleet import JUDGED, Fleet, Progress, settled
from trunkline.run.forward import Scored, judging_from, walk
from trunkline.run.replay import NO_FAULTS, Level, Replay, Speaker, about_truth, against, dummies, hide, judged_of, plainly, tally
from trunkline.run.shelf import Shelf, Shelved
from trunkline.workflow import Workflow

MATTERS = 0.5
"""No guardrail admits below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one speaker says of one partition: what can matter to a level, rows it may speak of, and counts of the others."""

    confidences: pl.DataFrame
    """``entity``, ``at``, ``confidence``: those a level can lie among, one slot of every element (so that all are
    counted) and every slot of one element (so that the span is known)."""
    candidates: pl.DataFrame
    """Rows with ``_score``, ``_confidence`` and whether the action is ``_allowed``."""
    counts: Counter[str]
    said: npt.NDArray[np.float64] = field(repr=False)
    """The confidence of every row, 0 where nothing is said."""


def replay(
    fleet: Fleet,
    *,
    start: datetime | None = None,
    truth: pl.DataFrame | None = None,
    self_test: bool = True,
    emitted_after: timedelta | None = None,
    seed: int = 0,
    judged: int = JUDGED,
    progress: Progress | None = None,
) -> Replay:
    """Replay the fleet's workflow; parameters and errors are those of :func:`trunkline.run.replay.replay`.

    Faults are hidden in at most about *judged* elements, evenly drawn; a budget of a shift counts for them by their share.
    """
    workflow, every = fleet.workflow, fleet.context.every
    kpis = len(fleet.features.columns)
    of = f"{kpis} KPI{'s' * (kpis != 1)} of {len(fleet.elements)}"
    begin = judging_from(fleet.first, fleet.last, every=every, asked=start, slots=fleet.slots, of=of)
    until = fleet.last + every
    shelf = Shelf(fleet.parts)
    hearing = _Hearing(
        fleet=fleet,
        shelf=shelf,
        voices=[(workflow.name, workflow.model, workflow), *((name, model, plainly(workflow)) for name, model in dummies(workflow.model, seed))],
        begin=begin,
        delay=settled(fleet, emitted_after),
        seed=seed,
        testing=frozenset(fleet.evenly(judged)) if self_test and until - begin >= timedelta(weeks=2) else frozenset(),
    )
    heard = list(fleet.engine.map(hearing.of, range(len(shelf.parts)), progress=fleet.told("replay", progress)))
    faulty = [one for one in heard if one.tested]
    among = sum(len(shelf.parts[part]) for part in hearing.testing)
    speakers, tested = [], []
    for n, (name, _, speaks) in enumerate(hearing.voices):
        level = level_over_time(speaks, pl.concat([one.said[n].confidences for one in heard]), every=every, begin=begin, end=fleet.last)
        scored = Shelved(shelf=shelf, word=hearing.word(n), judged_from=begin, stretches=heard[0].stretches)
        speakers.append(Speaker(name=name, scored=scored, decided=decided(speaks, [one.said[n] for one in heard], level), level=level))
        if faulty:
            fewer = decided(fleet.in_proportion(speaks, among), [one.tested[n] for one in faulty], level)
            tested.append(Speaker(name=name, scored=scored, decided=fewer, level=level))
    planted = pl.concat([one.planted for one in heard])
    own = speakers[0]
    _explain(own, progress)
    could, there = (sum(one.judged[n] for one in heard) for n in (0, 1))
    return Replay(
        workflow=workflow,
        every=every,
        rows=_rows_of(shelf, sorted({finding.entity for finding in own.findings})),
        judged_from=begin,
        until=until,
        speakers=tuple(speakers),
        self_test=() if planted.is_empty() else tuple(tally(one, planted, begin=begin, until=until, elements=among) for one in tested),
        against_truth=against(speakers, truth, fleet.elements, begin=begin, until=until),
        truth_is="faults you know of",
        context=fleet.context,
        baseline_used=dict(sum((one.used for one in heard), Counter[str]())),
        elements=len(fleet.elements),
        judged_share=could / there if there else 0.0,
        self_test_asked=self_test,
        notes=about_truth(truth, fleet.elements, begin),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heard:
    """What came of one partition."""

    said: list[Said]
    tested: list[Said]
    planted: pl.DataFrame
    stretches: tuple[tuple[datetime, datetime], ...]
    used: Counter[Any]
    judged: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hearing:
    """How every speaker is heard on a partition."""

    fleet: Fleet
    shelf: Shelf
    voices: Sequence[tuple[str, Any, Workflow]] = field(repr=False)
    begin: datetime
    delay: timedelta
    seed: int
    testing: frozenset[int]
    """The partitions in which faults are hidden."""

    def word(self, voice: int) -> str:
        """What the fits and scores of a voice rest under."""
        return f"voice{voice}"

    def of(self, part: int) -> _Heard:
        """Hear all of them on one partition; rows, and the workflow's own fits and scores, are kept."""
        fleet, names = self.fleet, self.shelf.parts[part]
        facts = fleet.known(names)
        rows = fleet.history(facts, names)
        self.shelf.put_rows(part, "rows", rows)
        walked = [self._walk(model, rows) for _, model, _ in self.voices]
        said = [self._listen(one, speaks) for one, (_, _, speaks) in zip(walked, self.voices, strict=True)]
        own = walked[0]
        stretches = self.shelf.put_fits(part, self.word(0), own)
        self.shelf.put_rows(part, self.word(0), own.frame)
        tested, planted = list[Said](), NO_FAULTS
        if part in self.testing:
            hidden, planted = hide(facts, begin=self.begin, every=fleet.context.every, seed=self.seed, of=names)
            faulty = fleet.history(hidden, names)
            tested = [self._listen(self._walk(model, faulty), speaks) for _, model, speaks in self.voices]
        used = Counter(getattr(own.stretches[-1].fitted, "baseline_used", {}).values())
        return _Heard(said=said, tested=tested, planted=planted, stretches=stretches, used=used, judged=judged_of(rows, own.scores, self.begin))

    def _walk(self, model: Any, rows: pl.DataFrame) -> Scored:
        return walk(model, rows, context=self.fleet.context, start=self.begin, emitted_after=self.delay, seed=self.seed)

    def _listen(self, scored: Scored, speaks: Workflow) -> Said:
        judged = (scored.rows["at"] >= self.begin).to_numpy()
        told = listen(speaks, scored.rows.filter(judged), scored.scores[judged], begin=self.begin, elements=self.fleet.kind)
        return replace(told, said=np.zeros(0))  # of very many rows it would be much, and nobody asks


def listen(workflow: Workflow, rows: pl.DataFrame, scores: npt.NDArray[np.float64], *, begin: datetime, elements: pl.Enum) -> Said:
    """What the workflow's own function says about each of *rows*; of *elements* the first is the one all of whose slots are kept."""
    rows = rows.with_columns(pl.col("entity").cast(elements))  # a fourth of the memory of text
    said, speaks, allowed = _asked(workflow, rows, scores)
    could = int(np.isfinite(scores).sum())
    counts = Counter({"cannot judge": rows.height - could, "none": could - len(speaks)})
    matters = (said >= MATTERS) | (rows["entity"] == elements.categories[0]).to_numpy() | (rows["at"] == begin).to_numpy()
    stays = (said[speaks] >= MATTERS) | ~allowed
    counts["below level"] = int((~stays).sum())
    columns = ["entity", "at", "known_at"] if isinstance(workflow.decide, Above) else rows.columns
    speaks, allowed = speaks[stays], allowed[stays]
    candidates = rows.select(columns)[speaks].with_columns(
        _score=pl.Series(scores[speaks], dtype=pl.Float64), _confidence=pl.Series(said[speaks], dtype=pl.Float64), _allowed=pl.Series(allowed, dtype=pl.Boolean)
    )
    return Said(
        confidences=rows.select("entity", "at").with_columns(confidence=pl.Series(said)).filter(matters), candidates=candidates, counts=+counts, said=said
    )


def _asked(
    workflow: Workflow, rows: pl.DataFrame, scores: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """The confidence of each row, 0 where nothing is said; which rows something is said of; whether that may be done."""
    assert workflow.features is not None
    may = workflow.guardrail.allowed
    if isinstance(workflow.decide, Above):  # what dummies decide by, of every row: no need to ask
        speaks = np.flatnonzero(scores >= workflow.decide.level)
        said = np.zeros(rows.height)
        said[speaks] = scores[speaks]
        return said, speaks, np.full(len(speaks), not may or workflow.decide.action in may)
    word, columns = workflow.features.entity, rows.to_dict(as_series=False)
    said, places, allowed = np.zeros(rows.height), [], []
    for i in np.flatnonzero(np.isfinite(scores)).tolist():
        one = asked(workflow, Row(columns, i, entity=word), float(scores[i]))
        if one is not None:
            said[i] = one.confidence
            places.append(i)
            allowed.append(not may or one.action in may)
    return said, np.array(places, np.int64), np.array(allowed, bool)


def decided(workflow: Workflow, said: Sequence[Said], level: Level) -> Decided:
    """The guardrail over what was said of all partitions, slot by slot; what lies below every limit is only counted."""
    rows = pl.concat([one.candidates for one in said])
    levels = pl.DataFrame({"at": rows["at"].unique().sort()}).with_columns(_level=pl.col("at").map_elements(level, return_dtype=pl.Float64))
    rows = rows.join(levels, on="at", how="left", maintain_order="left")
    lasts = MATTERS + workflow.guardrail.release_at * (pl.col("_level") - MATTERS)
    counts = sum((one.counts for one in said), Counter[str]())
    stays = rows.filter((pl.col("_confidence") >= pl.min_horizontal(lasts, "_level")) | ~pl.col("_allowed"))
    counts["below level"] += rows.height - stays.height
    done = decide(
        workflow,
        stays.drop("_score", "_confidence", "_allowed", "_level"),
        stays["_score"].to_numpy(),
        level=level,
        state=State(),
        mode="replay",
    )
    done.counts += +counts
    return done


def _explain(speaker: Speaker, progress: Progress | None) -> None:
    """Reasons for its findings, a partition after the other, so that each fit is read once."""
    shelved = speaker.scored
    assert isinstance(shelved, Shelved)
    in_order = sorted(speaker.findings, key=lambda finding: (shelved.shelf.part_of(finding.entity), finding.at))
    for number, finding in enumerate(in_order, start=1):
        finding.decision = finished(finding.decision, shelved.explain)
        if progress:
            progress("reasons", number / len(in_order))


def _rows_of(shelf: Shelf, entities: Sequence[str]) -> pl.DataFrame:
    """All rows of *entities*."""
    by_part: dict[int, list[str]] = {}
    for entity in entities:
        by_part.setdefault(shelf.part_of(entity), []).append(entity)
    found = [shelf.rows(part, "rows").filter(pl.col("entity").is_in(some)) for part, some in by_part.items()]
    return pl.concat(found) if found else shelf.rows(0, "rows").clear()


__all__ = ["Said", "decided", "listen", "replay"]
