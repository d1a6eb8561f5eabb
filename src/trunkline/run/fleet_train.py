"""From very many elements to a candidate release: :func:`trunkline.run.train.train`, a partition at a time.

Gates judge the elements of some partitions, evenly drawn, where there are more than :data:`trunkline.run.fleet.JUDGED`; a budget of a shift
counts for them by their share. The level of admission and the model are learned from all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.clock import duration_text
from trunkline.gates import Evidence, Part, run_gates
from trunkline.models import Fitted
from trunkline.models.parts import FittedParts
from trunkline.run.deciding import level_at_word
from trunkline.run.fleet import JUDGED, Fleet, Progress, settled
from trunkline.run.fleet_replay import listen
from trunkline.run.forward import Scored, judging_from, walk
from trunkline.run.replay import NO_FAULTS, dummies, hide
from trunkline.run.shelf import Shelf, Shelved
from trunkline.run.train import FAULTS_PER_WEEK, Candidate, Contender, candidate, chosen, event_labels, split_of
from trunkline.store.dataset import dataset_hash, joined_hash
from trunkline.workflow import Workflow

TRAINED_BESIDE = timedelta(weeks=2)
Labels = Callable[[pl.DataFrame], npt.NDArray[Any] | None]


def train(
    fleet: Fleet,
    *,
    signer: Any,
    labels: Labels | None = None,
    contenders: Mapping[str, Any] | None = None,
    emitted_after: timedelta | None = None,
    seed: int = 0,
    at: datetime,
    judged: int = JUDGED,
    progress: Progress | None = None,
) -> Candidate:
    """Train the fleet's workflow; parameters and errors are those of :func:`trunkline.run.train.train`."""
    workflow, every = fleet.workflow, fleet.context.every
    kpis = len(fleet.features.columns)
    of = f"{kpis} KPI{'s' * (kpis != 1)} of {len(fleet.elements)}"
    earliest = judging_from(fleet.first, fleet.last, every=every, asked=None, slots=fleet.slots, of=of)
    begin, split = split_of(fleet.first, fleet.last, earliest, every=every)
    shelf = Shelf(fleet.parts)
    models = {type(workflow.model).__name__: workflow.model, **(contenders or {})}
    bench = _Bench(
        fleet=fleet,
        shelf=shelf,
        models=models,
        labels=labels,
        begin=begin,
        split=split,
        delay=settled(fleet, emitted_after),
        seed=seed,
    )
    some = fleet.evenly(judged)
    seen = list(fleet.engine.map(bench.tried, some, progress=fleet.told("gates", progress, len(some))))
    tried = [bench.contender(n, name, seen) for n, name in enumerate(models)]
    winner = chosen(tried)
    place = list(models).index(winner.name)
    known = {one.part: one for one in seen}

    def learn(part: int) -> _Learned:
        return bench.learned(part, place, winner.model, known.get(part))

    learned = list(fleet.engine.map(learn, range(len(shelf.parts)), progress=fleet.told("fit on all", progress)))
    rows = sum(one.rows for one in learned)
    fitted = FittedParts.joined(list(zip(shelf.parts, (one.fitted for one in learned), strict=True)))
    return candidate(
        workflow,
        fitted,
        tried,
        training={
            "rows": rows,
            "entities": len(fleet.elements),
            "columns": list(fleet.features.columns),
            "first": fleet.first,
            "last": fleet.last,
            "every": duration_text(every),
            "dataset": joined_hash([one.dataset for one in learned]),
            "seed": seed,
        },
        level=workflow.guardrail.level(pl.concat([one.said for one in learned]), every=every),
        split=split,
        faults=sum(one.planted.height for one in seen),
        signer=signer,
        at=at,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """One model on the held-out rows of one partition, as the data are or with hidden faults."""

    scores: npt.NDArray[np.float64]
    raised: npt.NDArray[np.float64]
    """The confidence of what the workflow's own decide said of each row; 0 where nothing."""
    said: pl.DataFrame
    """What can matter to a level, since scoring began."""
    stretches: tuple[tuple[datetime, datetime], ...] = ()
    last: Fitted | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """The held-out rows of one partition with those shortly before, what dummies said of them, and what is true of them."""

    near: pl.DataFrame
    """Held-out rows and :data:`TRAINED_BESIDE` before them."""
    labels: npt.NDArray[Any] | None
    dummies: dict[str, npt.NDArray[np.float64]]
    held: list[_Held]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """All contenders on one partition."""

    part: int
    plain: _Rows
    faulty: _Rows | None
    planted: pl.DataFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class _Learned:
    """The winner, fitted on all of one partition, and what it said of it before."""

    fitted: Fitted
    said: pl.DataFrame
    rows: int
    dataset: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    """Every contender is judged on the same rows, by the same faults, beside the same dummies."""

    fleet: Fleet
    shelf: Shelf
    models: Mapping[str, Any]
    labels: Labels | None = field(repr=False)
    begin: datetime
    split: datetime
    delay: timedelta
    seed: int

    @property
    def workflow(self) -> Workflow:
        return self.fleet.workflow

    def tried(self, part: int) -> _Seen:
        """All contenders on one partition; its rows, and the fits, are kept."""
        fleet, names = self.fleet, self.shelf.parts[part]
        facts = fleet.known(names)
        rows = fleet.history(facts, names)
        self.shelf.put_rows(part, "rows", rows)
        plain = self._rows(part, rows, None if self.labels is None else self.labels(rows.filter(pl.col("at") >= self.split)), keep=True)
        hidden, planted = hide(facts, begin=self.split, every=fleet.context.every, seed=self.seed, per_week=FAULTS_PER_WEEK, of=names)
        if planted.is_empty():
            return _Seen(part=part, plain=plain, faulty=None, planted=NO_FAULTS)
        with_faults = fleet.history(hidden, names)
        truth = event_labels(with_faults.filter(pl.col("at") >= self.split), planted)
        return _Seen(part=part, plain=plain, faulty=self._rows(part, with_faults, truth, keep=False), planted=planted)

    def contender(self, place: int, name: str, seen: Sequence[_Seen]) -> Contender:
        """The verdicts on one contender, from what it did on the partitions that are judged."""
        level = self._level([one.plain.held[place].said for one in seen], seen)
        first = seen[0].plain.held[place]
        shelved = Shelved(shelf=self.shelf, word=f"model{place}", judged_from=self.begin, stretches=first.stretches)
        evidence = self._evidence(place, [one.plain for one in seen], level)
        evidence = replace(evidence, time_one=self._one_at_a_time(place, seen, evidence.rows), reload=lambda: self._again(shelved, seen))
        if any(one.faulty is not None for one in seen):
            numbered, before = [], 0
            for one in seen:
                faulty = one.plain if one.faulty is None else one.faulty
                truth = np.zeros(int(self._is_held(faulty.near).sum()), np.int64) if one.faulty is None or faulty.labels is None else faulty.labels
                numbered.append(replace(faulty, labels=np.where(truth > 0, truth + before, 0)))
                before += one.planted.height
            evidence = replace(evidence, injected=self._evidence(place, numbered, level))
        return Contender(name=name, model=self.models[name], scored=shelved, verdicts=run_gates(self.workflow.gates, evidence))

    def learned(self, part: int, place: int, model: Any, seen: _Seen | None) -> _Learned:
        """Fit *model* on all of one partition; where it was not tried before, hear what it would have said."""
        names = self.shelf.parts[part]
        if seen is None:
            rows = self.fleet.rows(names)
            self.shelf.put_rows(part, "rows", rows)
            scored = self._walk(model, rows)
            self.shelf.put_fits(part, f"model{place}", scored)
            said = self._said(scored)[1]
        else:
            rows, said = pl.read_parquet(self.shelf.folder / f"rows-{part:05}.parquet"), seen.plain.held[place].said
        fitted = model.fit(rows, labels=self.labels(rows) if self.labels else None, context=self.fleet.context, seed=self.seed)
        return _Learned(fitted=fitted, said=said, rows=rows.height, dataset=dataset_hash(rows))

    def _rows(self, part: int, rows: pl.DataFrame, labels: npt.NDArray[Any] | None, *, keep: bool) -> _Rows:
        held = self._is_held(rows)
        walked = [self._walk(model, rows) for model in self.models.values()]
        told = []
        for place, scored in enumerate(walked):
            raised, said = self._said(scored)
            one = _Held(scores=scored.scores[held], raised=raised, said=said)
            if keep:
                one = replace(one, stretches=self.shelf.put_fits(part, f"model{place}", scored), last=scored.stretches[-1].fitted)
            told.append(one)
        beside = {who: self._walk(dummy, rows).scores[held] for who, dummy in dummies(self.workflow.model, self.seed)}
        return _Rows(near=rows.filter(pl.col("at") >= self.split - TRAINED_BESIDE), labels=labels, dummies=beside, held=told)

    def _walk(self, model: Any, rows: pl.DataFrame) -> Scored:
        labels = self.labels(rows) if self.labels else None
        return walk(model, rows, context=self.fleet.context, start=self.begin, labels=labels, emitted_after=self.delay, seed=self.seed)

    def _said(self, scored: Scored) -> tuple[npt.NDArray[np.float64], pl.DataFrame]:
        """The confidence of each held-out row, and what can matter to a level since scoring began."""
        since = (scored.rows["at"] >= self.begin).to_numpy()
        rows = scored.rows.filter(since)
        told = listen(self.workflow, rows, scored.scores[since], begin=self.begin, elements=self.fleet.kind)
        return told.said[self._is_held(rows)], told.confidences

    def _level(self, said: Sequence[pl.DataFrame], seen: Sequence[_Seen]) -> float:
        """The level that the stretch before the held-out rows teaches; taken at the scores' word where it is empty."""
        judged = sum(len(self.shelf.parts[one.part]) for one in seen)
        workflow = self.fleet.in_proportion(self.workflow, judged)
        stretch = pl.concat(said).filter(pl.col("at") < self.split)
        if stretch.is_empty():
            return level_at_word(workflow, entities=judged, every=self.fleet.context.every)
        return workflow.guardrail.level(stretch, every=self.fleet.context.every)

    def _evidence(self, place: int, parts: Sequence[_Rows], level: float) -> Evidence:
        near = pl.concat([one.near for one in parts])
        held = self._is_held(near)
        labels = [one.labels for one in parts]
        return Evidence(
            rows=near.filter(held),
            scores=np.concatenate([one.held[place].scores for one in parts]),
            labels=None if any(some is None for some in labels) else np.concatenate([some for some in labels if some is not None]),
            split="time",
            every=self.fleet.context.every,
            entities=len(self.fleet.elements),
            baselines={who: np.concatenate([one.dummies[who] for one in parts]) for who in parts[0].dummies},
            train=Part(near.filter(~held)),
            decided=np.concatenate([one.held[place].raised for one in parts]) >= level,
            seed=self.seed,
        )

    def _one_at_a_time(self, place: int, seen: Sequence[_Seen], held: pl.DataFrame) -> Callable[[int], object]:
        """Score one row with the context it needs, as a live service would."""
        of_entity = {str(key[0]): part for one in seen for key, part in one.plain.near.partition_by("entity", as_dict=True).items()}
        fits = {name: one.plain.held[place].last for one in seen for name in self.shelf.parts[one.part]}
        entities, at = held["entity"], held["at"]

        def score(index: int) -> object:
            entity, when = entities[index], at[index]
            fitted, rows = fits[entity], of_entity[entity]
            assert fitted is not None
            stop = int(rows["at"].search_sorted(when, side="right"))
            start = int(rows["at"].search_sorted(when - fitted.lookback))
            return fitted.score(rows.slice(start, stop - start))[-1]

        return score

    def _again(self, shelved: Shelved, seen: Sequence[_Seen]) -> npt.NDArray[np.float64]:
        """The same walk with every fit saved and loaded again."""
        scores = []
        for one in seen:
            rows = self.shelf.rows(one.part, "rows")
            scores.append(shelved.again(rows, one.part)[self._is_held(rows)])
        return np.concatenate(scores)

    def _is_held(self, rows: pl.DataFrame) -> npt.NDArray[np.bool_]:
        return np.asarray((rows["at"] >= self.split).to_numpy())


__all__ = ["train"]
