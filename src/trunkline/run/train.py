"""From history to a candidate release: contenders walk held-out weeks, gates judge, the best is fitted on all.

Where nobody labelled the held-out weeks, accuracy is judged on a copy of them with faults of known
kind hidden inside; the verdict says so.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.canonical import plain
from trunkline.core.clock import duration, duration_text, utc_text
from trunkline.core.frames import Facts
from trunkline.features import history
from trunkline.gates import Evidence, Part, Verdict, joint, run_gates
from trunkline.models import Context, Fitted
from trunkline.models.onnx_export import exports
from trunkline.models.portable import load, model_hash, pack, unpack
from trunkline.run.deciding import confidences, level_at_word
from trunkline.run.forward import Judged, Scored, judged_from, walk
from trunkline.run.replay import NO_FAULTS, dummies, hide
from trunkline.store.lake import dataset_hash
from trunkline.workflow import Release, Workflow

Progress = Callable[[str, float], None]
HELD_OUT = 0.25
FAULTS_PER_WEEK = 2.0  # of each element: as dense as faults of three days can lie without touching
COMPUTES_WITH = ("trunkline", "numpy", "polars", "scikit-learn", "lightgbm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One model on the held-out weeks: its evidence and what each gate said."""

    name: str
    model: Any
    scored: Judged
    verdicts: tuple[Verdict, ...]

    @property
    def result(self) -> str:
        """The joint verdict."""
        return joint(self.verdicts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A trained release, not yet in use: what it is, the signed model file, and how it came through."""

    release: Release
    model_file: bytes
    fitted: Fitted
    contenders: tuple[Contender, ...]
    card: Mapping[str, Any]

    @property
    def winner(self) -> Contender:
        """The contender that became the release."""
        return self.contenders[0]

    def __repr__(self) -> str:
        gates = ", ".join(f"{v.gate} {v.result}" for v in self.winner.verdicts)
        return f"<Candidate {self.release.id} of {self.release.workflow}: {self.winner.name}, {self.winner.result} ({gates})>"


def train(
    workflow: Workflow,
    facts: Facts,
    *,
    context: Context,
    signer: Any,
    labels: Callable[[pl.DataFrame], npt.NDArray[Any] | None] | None = None,
    contenders: Mapping[str, Any] | None = None,
    emitted_after: timedelta | None = None,
    seed: int = 0,
    at: datetime,
    progress: Progress | None = None,
) -> Candidate:
    """Train *workflow*'s model, and every contender beside it, and let the gates judge.

    Parameters
    ----------
    labels
        Gives the label of each row (see :class:`~trunkline.gates.Evidence`), None where nobody knows.
    contenders
        Other models to try. One replaces the workflow's own only if it passes where that does not,
        and it is then named in the card; the workflow itself is not changed.

    Raises
    ------
    TooLittleData
        There is not enough history to hold any of it out.
    """
    assert workflow.features is not None
    told = progress or (lambda _step, _share: None)
    bound = workflow.features.bind(sorted(facts.kpis["kpi"].unique()))
    delay = emitted_after if emitted_after is not None else duration(bound.delay)
    told("features", 0.0)
    rows = history(bound, facts)
    begin, split = _split(rows, every=context.every)
    foretells = hasattr(workflow.model, "hindsight")
    hidden, planted = (
        (facts, NO_FAULTS)
        if foretells
        else hide(facts, begin=split, every=context.every, seed=seed, per_week=FAULTS_PER_WEEK, of=rows["entity"].unique().to_list())
    )
    bench = _Bench(
        workflow=workflow,
        rows=rows,
        with_faults=None if planted.is_empty() else history(bound, hidden),
        planted=planted,
        labels=labels,
        context=context,
        begin=begin,
        split=split,
        delay=delay,
        seed=seed,
        signer=signer,
    )
    tried = []
    for name, model in {type(workflow.model).__name__: workflow.model, **(contenders or {})}.items():
        tried.append(bench.judge(name, model, lambda share, name=name: told(name, share)))  # type: ignore[misc]
    winner = chosen(tried)
    told("fit on all", 0.0)
    fitted = winner.model.fit(rows, labels=labels(rows) if labels else None, context=context, seed=seed)
    first, last = rows["at"].min(), rows["at"].max()
    assert isinstance(winner.scored, Scored)
    return candidate(
        workflow,
        fitted,
        tried,
        training={
            "rows": rows.height,
            "entities": rows["entity"].n_unique(),
            "columns": [c for c in rows.columns if c not in {"entity", "at", "known_at"}],
            "first": first,
            "last": last,
            "every": duration_text(context.every),
            "dataset": dataset_hash(rows),
            "seed": seed,
        },
        level=bench.level(winner.scored, begin=winner.scored.judged_from),
        split=split,
        faults=planted.height,
        signer=signer,
        at=at,
    )


def chosen(tried: Sequence[Contender]) -> Contender:
    """The first that passes; the workflow's own, which comes first, where none does."""
    return next((one for one in tried if one.result == "pass"), tried[0])


def candidate(
    workflow: Workflow,
    fitted: Fitted,
    tried: Sequence[Contender],
    *,
    training: Mapping[str, Any],
    level: float,
    split: datetime,
    faults: int,
    signer: Any,
    at: datetime,
) -> Candidate:
    """What came of a training as a candidate: release, signed model file, and card."""
    winner, saved = chosen(tried), fitted.save()
    policy = {
        "level": level,
        "control": workflow.control,
        "purpose": workflow.purpose,
        "safe_default": workflow.safe_default,
        "gates": [plain(g) for g in workflow.gates],
        "model": winner.name,
    }
    release = Release(
        workflow=workflow.name,
        hash=workflow.hash,
        model=model_hash(saved),
        training=plain(training),
        policy=plain(policy),
        versions={**{name: version(name) for name in COMPUTES_WITH}, "python": platform.python_version()},
    )
    tried = sorted(tried, key=lambda one: one is not winner)
    card = {
        "made_at": utc_text(at),
        "held_out_from": utc_text(split),
        "faults": f"{faults} hidden by seed {training['seed']}" if faults else "none known",
        "exports": exports(fitted),  # True, or why there will be no ONNX file of it: known now, not at the edge
        "contenders": {one.name: {"result": one.result, "gates": [plain(v) for v in one.verdicts]} for one in tried},
    }
    return Candidate(release=release, model_file=pack(saved, signer=signer), fitted=fitted, contenders=tuple(tried), card=plain(card))


def _split(rows: pl.DataFrame, *, every: timedelta) -> tuple[datetime, datetime]:
    earliest = judged_from(rows, every=every)
    first, last = rows["at"].min(), rows["at"].max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    return split_of(first, last, earliest, every=every)


def split_of(first: datetime, last: datetime, earliest: datetime, *, every: timedelta) -> tuple[datetime, datetime]:
    """Where scoring begins, and where the held-out rows do.

    The last quarter is held out, at most four weeks. The stretch before it, as long where there is
    room, is scored too: the level of admission is learned there and tried on what is held out.
    """
    held_out = min((last - first) * HELD_OUT, timedelta(weeks=4))
    split = max(earliest, last + every - max(held_out, every))
    return max(earliest, split - held_out), split


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    """Every contender is judged on the same rows, by the same faults, beside the same dummies."""

    workflow: Workflow
    rows: pl.DataFrame
    with_faults: pl.DataFrame | None
    planted: pl.DataFrame
    labels: Callable[[pl.DataFrame], npt.NDArray[Any] | None] | None
    context: Context
    begin: datetime
    split: datetime
    delay: timedelta
    seed: int
    signer: Any
    said: dict[int, dict[str, npt.NDArray[np.float64]]] = field(default_factory=dict)

    def judge(self, name: str, model: Any, progress: Callable[[float], None]) -> Contender:
        scored = self._walk(model, self.rows, progress)
        level = self.level(scored, begin=self.begin, end=self.split)
        evidence = self._evidence(scored, self.rows, self._labels(self.rows), level)
        if hasattr(model, "hindsight"):
            evidence = _known_to_time(evidence, model.hindsight(self.rows, context=self.context))
        if self.with_faults is not None:
            truth = event_labels(self.with_faults.filter(pl.col("at") >= self.split), self.planted)
            with_faults = self._walk(model, self.with_faults, progress)
            evidence = replace(evidence, injected=self._evidence(with_faults, self.with_faults, truth, level))
        return Contender(name=name, model=model, scored=scored, verdicts=run_gates(self.workflow.gates, evidence))

    def level(self, scored: Scored, *, begin: datetime, end: datetime | None = None) -> float:
        """The level of admission that a stretch of scores teaches; taken at the scores' word where it is empty."""
        if hasattr(self.workflow.model, "hindsight"):
            return 0.0  # a past full of true forecasts must not raise it
        stretch = scored.rows["at"] >= begin
        if end is not None:
            stretch &= scored.rows["at"] < end
        if not stretch.any():
            return level_at_word(self.workflow, entities=scored.rows["entity"].n_unique(), every=self.context.every)
        said = confidences(self.workflow, scored.rows.filter(stretch), scored.scores[stretch.to_numpy()])
        return self.workflow.guardrail.level(said, every=self.context.every)

    def _baselines(self, rows: pl.DataFrame, held: npt.NDArray[np.bool_]) -> dict[str, npt.NDArray[np.float64]]:
        """What the dummies said of the same rows; they are asked once for all contenders."""
        if id(rows) not in self.said:
            self.said[id(rows)] = {who: self._walk(dummy, rows).scores[held] for who, dummy in dummies(self.workflow.model, self.seed)}
        return self.said[id(rows)]

    def _labels(self, rows: pl.DataFrame) -> npt.NDArray[Any] | None:
        return self.labels(rows.filter(pl.col("at") >= self.split)) if self.labels else None

    def _walk(self, model: Any, rows: pl.DataFrame, progress: Callable[[float], None] | None = None) -> Scored:
        labels = self.labels(rows) if self.labels else None
        return walk(model, rows, context=self.context, start=self.begin, labels=labels, emitted_after=self.delay, seed=self.seed, progress=progress)

    def _evidence(self, scored: Scored, rows: pl.DataFrame, labels: npt.NDArray[Any] | None, level: float) -> Evidence:
        held = (rows["at"] >= self.split).to_numpy()
        before = rows.filter((pl.col("at") < self.split) & (pl.col("at") >= self.split - timedelta(weeks=2)))
        said = confidences(self.workflow, rows.filter(held), scored.scores[held])
        return Evidence(
            rows=rows.filter(held),
            scores=scored.scores[held],
            labels=labels,
            split="time",
            every=self.context.every,
            entities=rows["entity"].n_unique(),
            baselines=self._baselines(rows, held),
            train=Part(before),
            decided=(said["confidence"] >= level).to_numpy(),
            time_one=_one_at_a_time(scored, rows.filter(held)),
            reload=lambda: _rescored(scored, rows, self.signer)[held],
            seed=self.seed,
        )


def event_labels(rows: pl.DataFrame, truth: pl.DataFrame) -> npt.NDArray[np.int64]:
    """The number of the fault each row falls into, 0 for none; two faults never share a row."""
    labels = np.zeros(rows.height, dtype=np.int64)
    entity, at = rows["entity"], rows["at"]
    for number, fault in enumerate(truth.iter_rows(named=True), start=2):  # 1 would mean "positive, event unknown"
        labels[((entity == fault["entity"]) & (at >= fault["start"]) & (at < fault["end"])).to_numpy()] = number
    return labels


def _one_at_a_time(scored: Scored, held: pl.DataFrame) -> Callable[[int], object]:
    """Score one row with the context it needs, as a live service would."""
    fitted = scored.stretches[-1].fitted
    of_entity = {str(k[0]): part for k, part in scored.rows.partition_by("entity", as_dict=True).items()}
    keys = list(zip(held["entity"].to_list(), held["at"].to_list(), strict=True))

    def one(index: int) -> object:
        entity, at = keys[index]
        rows = of_entity[entity]
        stop = int(rows["at"].search_sorted(at, side="right"))
        start = int(rows["at"].search_sorted(at - fitted.lookback))
        return fitted.score(rows.slice(start, stop - start))[-1]

    return one


def _known_to_time(evidence: Evidence, told: npt.NDArray[np.float64]) -> Evidence:
    """Labels that time itself gave, where it has given all of them; a stretch whose end is not known yet is no evidence."""
    held = told[len(told) - evidence.rows.height :] if len(told) != evidence.rows.height else told
    return evidence if np.isnan(held).any() else replace(evidence, labels=held.astype(np.int64))


def _rescored(scored: Scored, rows: pl.DataFrame, signer: Any) -> npt.NDArray[np.float64]:
    """The same walk with every fit saved and loaded again."""
    scores = np.full(rows.height, np.nan)
    numbered = rows.with_row_index("_n")
    for stretch in scored.stretches:
        again = load(unpack(pack(stretch.fitted.save(), signer=signer), signer=signer))
        part = numbered.filter((pl.col("at") >= stretch.begin - again.lookback) & (pl.col("at") < stretch.end))
        mine = (part["at"] >= stretch.begin).to_numpy()
        scores[part["_n"].to_numpy()[mine]] = again.score(part.drop("_n"))[mine]
    return scores


def figures(verdicts: Sequence[Verdict]) -> list[tuple[str, str, str, str]]:
    """Verdicts as table rows: gate, result, figure against bar, why."""
    return [(v.gate, v.result, _against(v), v.why) for v in verdicts]


def _against(verdict: Verdict) -> str:
    if verdict.value is None:
        return ""
    bar = "" if verdict.bar is None else f" / {verdict.bar:.4g}"
    return f"{verdict.value:.4g}{bar}"
