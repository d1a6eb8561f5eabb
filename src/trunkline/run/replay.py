"""What a workflow would have said about a past its reader knows, beside what dummies would have said.

Nothing is acted on. Every speaker (the workflow's model, last week, chance) is judged the same way:
it walks forward through time, knows only what came before, and gets the same limits per shift and
per element. Where no truth is at hand the replay makes some: it hides faults of known kind in a copy
of the data and counts who finds them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.clock import duration
from trunkline.core.frames import TIME, Facts
from trunkline.decisions.guardrail import State
from trunkline.decisions.threshold import Above
from trunkline.features import history
from trunkline.models import Context
from trunkline.models.dummies import LastWeek, RandomAlarm
from trunkline.run.deciding import Decided, Finding, confidences, decide, level_over_time
from trunkline.run.forward import Judged, Scored, judged_from, walk
from trunkline.run.proportion import Proportion
from trunkline.simulator import faults
from trunkline.workflow import Workflow

Progress = Callable[[str, float], None]
Level = Callable[[datetime], float]
NO_FAULTS = pl.DataFrame(schema={"entity": pl.String, "kpi": pl.String, "kind": pl.String, "start": TIME, "end": TIME})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How one speaker did against known faults."""

    speaker: str
    found: Proportion
    by_kind: Mapping[str, Proportion]
    false_per_week: float
    """Findings outside any fault, per element and week."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """One who judges: the workflow's own model or a dummy, with all it said."""

    name: str
    scored: Judged
    decided: Decided
    level: Level
    """The level it was admitted at, by time."""

    @property
    def findings(self) -> list[Finding]:
        """What it said, in the order of time."""
        return self.decided.findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Everything a replay found; prints as its summary."""

    workflow: Workflow
    every: timedelta
    rows: pl.DataFrame
    """Every row; of very many elements, judged apart, only the rows of those that something was found of."""
    judged_from: datetime
    until: datetime
    speakers: tuple[Speaker, ...]
    """The workflow first, then its dummies."""
    self_test: tuple[Tally, ...]
    """Against faults hidden in a copy of the data; empty where there was too little of it."""
    against_truth: tuple[Tally, ...]
    """Against the truth the reader gave, or that time told of a forecast; empty where there is none."""
    truth_is: str
    """Whose truth that is: "faults you know of" or "what came true"."""
    context: Context
    baseline_used: Mapping[str, int]
    """How many series were judged by "week", "day" or "level"."""
    elements: int
    """How many elements were judged."""
    judged_share: float
    """Share of the rows with a value, since judging began, that the workflow's model could judge."""
    notes: tuple[str, ...] = ()
    self_test_asked: bool = True

    @property
    def allowed_per_shift(self) -> float:
        """Items a shift may hold: what people can work, or what the elements may cost where that is less."""
        rail = self.workflow.guardrail
        return min(rail.items_per_shift, rail.per_element_week * self.elements * (duration(rail.shift) / timedelta(weeks=1)))

    @property
    def findings(self) -> list[Finding]:
        """What the workflow would have said."""
        return self.speakers[0].findings

    @property
    def columns(self) -> list[str]:
        """The feature columns."""
        return [c for c in self.rows.columns if c not in {"entity", "at", "known_at"}]

    @property
    def shifts(self) -> float:
        """How many shifts were judged."""
        return (self.until - self.judged_from) / duration(self.workflow.guardrail.shift)

    def said_too(self, finding: Finding) -> list[str]:
        """Which dummies spoke of the same element during the same episode, half a day either way."""
        near = timedelta(hours=12)
        return [
            one.name for one in self.speakers[1:] if any(f.entity == finding.entity and finding.at - near <= f.at <= finding.until + near for f in one.findings)
        ]

    def frame(self) -> pl.DataFrame:
        """Findings as a frame: entity, at, until, confidence, why."""
        schema: dict[str, pl.DataType | type[pl.DataType]] = {"entity": pl.String, "at": TIME, "until": TIME, "confidence": pl.Float64, "why": pl.String}
        return pl.DataFrame(
            [(f.entity, f.at, f.until, f.decision.confidence, "; ".join(r.text for r in f.decision.reasons[:3])) for f in self.findings],
            schema=schema,
            orient="row",
        )

    def __repr__(self) -> str:
        said = f"{len(self.findings)} finding{'s' * (len(self.findings) != 1)}"
        return f"<Replay of {self.workflow.name}: {self.elements} element(s), {self.shifts:.0f} shifts judged, {said}>"


def replay(
    workflow: Workflow,
    facts: Facts,
    *,
    context: Context,
    start: datetime | None = None,
    truth: pl.DataFrame | None = None,
    self_test: bool = True,
    emitted_after: timedelta | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Replay:
    """Replay *workflow* over *facts*.

    Parameters
    ----------
    facts
        KPIs and what is known beside them, as :func:`trunkline.run.facts.gather` returns.
    start
        Where to begin judging; by default after a quarter of the span, at most six weeks.
    truth
        Columns ``entity``, ``start``, ``end``: faults the reader knows of; ``kind`` may stand beside.
    self_test
        Hide faults of known kind in a copy of the data and count who finds them.

    Raises
    ------
    TooLittleData
        Too few periods; nothing is claimed.
    """
    assert workflow.features is not None
    told = progress or (lambda _step, _share: None)
    told("features", 0.0)
    bound = workflow.features.bind(sorted(facts.kpis["kpi"].unique()))
    rows = history(bound, facts)
    begin = judged_from(rows, every=context.every, asked=start)
    delay = emitted_after if emitted_after is not None else duration(bound.delay)
    beside = dummies(workflow.model, seed)
    speak = _Speech(workflow=workflow, context=context, begin=begin, delay=delay, seed=seed)
    entities = rows["entity"].unique().to_list()
    speakers = tuple(
        speak.of(name, model, rows, lambda share, name=name: told(name, share))  # type: ignore[misc]
        for name, model in [(workflow.name, workflow.model), *beside]
    )
    last = rows["at"].max()
    assert isinstance(last, datetime)
    until = last + context.every
    tested: tuple[Tally, ...] = ()
    came_true = hindsight(workflow.model, rows, context)
    if self_test and came_true is None and until - begin >= timedelta(weeks=2):
        hidden, planted = hide(facts, begin=begin, every=context.every, seed=seed, of=entities)
        if not planted.is_empty():
            rows_with = history(bound, hidden)
            heard = tuple(
                speak.of(own.name, model, rows_with, lambda share, own=own: told(f"self-test: {own.name}", share), level=own.level)  # type: ignore[misc]
                for own, (_, model) in zip(speakers, [(workflow.name, workflow.model), *beside], strict=True)
            )
            tested = tuple(tally(one, planted, begin=begin, until=until, elements=len(entities)) for one in heard)
    open_ended = None
    if truth is None and came_true is not None:
        truth, open_ended = came_true
    known = against(speakers, truth, entities, begin=begin, until=until, unknown=open_ended)
    told_by = speakers[0].scored
    assert isinstance(told_by, Scored)
    used = Counter(getattr(told_by.fit_of("", last), "baseline_used", {}).values())
    could, there = judged_of(rows, told_by.scores, begin)
    return Replay(
        workflow=workflow,
        every=context.every,
        rows=rows,
        judged_from=begin,
        until=until,
        speakers=speakers,
        self_test=tested,
        against_truth=known,
        truth_is="what came true" if open_ended is not None else "faults you know of",
        context=context,
        baseline_used=dict(used),
        elements=len(entities),
        judged_share=could / there if there else 0.0,
        self_test_asked=self_test,
        notes=about_truth(truth, entities, begin) if came_true is None else (),
    )


def foretold(_at: datetime) -> float:
    """The level of a forecast: decide's own word is enough. A past full of true forecasts must not raise it."""
    return 0.0


def judged_of(rows: pl.DataFrame, scores: npt.NDArray[np.float64], begin: datetime) -> tuple[int, int]:
    """Of the rows with a value since *begin* how many were scored, and how many there are."""
    numbers = [c for c, kind in rows.schema.items() if c not in {"entity", "at", "known_at"} and kind.is_numeric()]
    has_value = pl.any_horizontal(pl.col(numbers).is_not_null()) if numbers else pl.lit(value=True)
    here = scores[rows.select((pl.col("at") >= begin) & has_value).to_series().to_numpy()]
    return int(np.isfinite(here).sum()), len(here)


def against(
    speakers: Sequence[Speaker], truth: pl.DataFrame | None, entities: Collection[str], *, begin: datetime, until: datetime, unknown: pl.DataFrame | None = None
) -> tuple[Tally, ...]:
    """How each speaker did against what is known of the elements judged."""
    if truth is None:
        return ()
    judged = truth.filter((pl.col("end") >= begin) & pl.col("entity").is_in(list(entities)))
    return tuple(tally(one, judged, begin=begin, until=until, elements=len(entities), unknown=unknown) for one in speakers)


def about_truth(truth: pl.DataFrame | None, entities: Collection[str], begin: datetime) -> tuple[str, ...]:
    """Known faults that could not be found because they are not in what was judged."""
    if truth is None:
        return ()
    strange = sorted(set(truth["entity"]) - set(entities))
    early = truth.filter(pl.col("end") < begin).height
    notes = [f"Known faults name elements that are not in the data: {', '.join(strange[:5])}{' …' if len(strange) > 5 else ''}."] if strange else []
    return (*notes, *([f"{early} of the known faults end before judging began and do not count."] if early else []))


def dummies(model: Any, seed: int) -> list[tuple[str, Any]]:
    """Who stands beside a model: the simple rules it names itself, else last week; and always chance."""
    own = model.beside() if hasattr(model, "beside") else {"last week": LastWeek()}
    return [*own.items(), ("chance", RandomAlarm(seed=seed))]


def hindsight(model: Any, rows: pl.DataFrame, context: Context) -> tuple[pl.DataFrame, pl.DataFrame] | None:
    """What time itself told of a forecast: when it was true, and when the data end too soon to know.

    Two frames of ``entity``, ``start``, ``end``; None for a model that makes no forecast of this kind.
    """
    if not hasattr(model, "hindsight"):
        return None
    told = rows.select("entity", "at").with_columns(label=pl.Series(model.hindsight(rows, context=context)).fill_nan(None))
    return _runs(told, pl.col("label") == 1, context.every), _runs(told, pl.col("label").is_null(), context.every)


def _runs(told: pl.DataFrame, holds: pl.Expr, every: timedelta) -> pl.DataFrame:
    """Stretches of one entity's rows for which *holds* is true."""
    marked = told.with_columns(_is=holds.fill_null(value=False)).with_columns(_run=pl.col("_is").rle_id().over("entity"))
    runs = marked.filter("_is").group_by("entity", "_run", maintain_order=True).agg(start=pl.col("at").min(), end=pl.col("at").max() + every)
    return runs.drop("_run")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Speech:
    """How every speaker is heard: same rows, same limits, same walk."""

    workflow: Workflow
    context: Context
    begin: datetime
    delay: timedelta
    seed: int

    def of(self, name: str, model: Any, rows: pl.DataFrame, progress: Callable[[float], None], *, level: Level | None = None) -> Speaker:
        """*level* is that of an earlier hearing: hidden faults must not make anybody stricter with himself."""
        scored = walk(model, rows, context=self.context, start=self.begin, emitted_after=self.delay, seed=self.seed, progress=progress)
        judged = scored.rows["at"] >= self.begin
        last = rows["at"].max()
        assert isinstance(last, datetime)
        is_own = name == self.workflow.name
        workflow = self.workflow if is_own else plainly(self.workflow)
        here, scores = scored.rows.filter(judged), scored.scores[judged.to_numpy()]
        if hasattr(self.workflow.model, "hindsight"):
            level = foretold
        elif level is None:
            level = level_over_time(workflow, confidences(workflow, here, scores), every=self.context.every, begin=self.begin, end=last)
        decided = decide(
            workflow,
            here,
            scores,
            level=level,
            state=State(),
            mode="replay",
            explain=scored.explain if is_own else None,
        )
        return Speaker(name=name, scored=scored, decided=decided, level=level)


def plainly(workflow: Workflow) -> Workflow:
    """The same limits around a decide that only looks at the score, with an action they allow: how a dummy decides."""
    said = Above(0.5, action=workflow.guardrail.allowed[0]) if workflow.guardrail.allowed else Above(0.5)
    return replace(workflow, decide=said, owner=replace(workflow.owner, runbook=str(workflow.runbook))) if workflow.owner else workflow


def hide(facts: Facts, *, begin: datetime, every: timedelta, seed: int, per_week: float = 0.7, of: Collection[str] | None = None) -> tuple[Facts, pl.DataFrame]:
    """A copy of *facts* with faults of known kind hidden from *begin* on, and where they are.

    Each fault is written into one KPI of one element and those of its KPIs that move with it, as a real
    loss of traffic shows in volume, users and PRB use at once; constant KPIs are left alone. Truth has
    the columns ``entity``, ``kpi``, ``kind``, ``start``, ``end``, and tells of the elements *of* alone where those are
    given. What an element gets depends on *seed* and its name, not on who else is there.
    """
    per_hour = max(1, int(timedelta(hours=1) / every))
    changed, truth = [], []
    first_known = facts.kpis.sort("known_at").unique(["element", "kpi", "at"], keep="first", maintain_order=True)  # a restated slot is one slot
    for (element,), of_element in first_known.sort("at").partition_by("element", as_dict=True).items():
        telling = [k for (k,), part in of_element.partition_by("kpi", as_dict=True).items() if (part["value"].n_unique() > 8)]
        if not telling or every > timedelta(hours=1):
            changed.append(of_element)
            continue
        slots = of_element.select("at").unique().sort("at")["at"]
        first = int(slots.search_sorted(begin))
        random = np.random.default_rng([seed, 97, crc32(str(element).encode())])
        plan = faults.plan(len(slots), seed=int(random.integers(2**31)), per_week=per_week, per_hour=per_hour, first=first, midnight=_midnight(slots, per_hour))
        mine = {n: telling[int(random.integers(len(telling)))] for n in range(len(plan))}
        series_of = {
            str(k): pl.DataFrame({"at": slots}).join(part, on="at", how="left", maintain_order="left")
            for (k,), part in of_element.partition_by("kpi", as_dict=True).items()
        }
        together = _moving_together({k: series_of[k]["value"][:first].to_numpy().astype(float) for k in telling})
        for kpi, dense in series_of.items():
            values = dense["value"].to_numpy().astype(float)
            highest = np.nanmax(values, initial=0.0)
            most = 1.0 if highest <= 1.0 else 100.0 if highest <= 100.0 else np.inf
            here = [f for n, f in enumerate(plan) if kpi in together[mine[n]]]
            new = faults.inject_all(values, here, seed=seed, per_hour=per_hour, most=most)
            changed.append(dense.with_columns(value=pl.Series(new).fill_nan(None)).filter(pl.col("element").is_not_null()).select(of_element.columns))
        truth += [(element, mine[n], f.kind, slots[f.start], slots[min(f.stop, len(slots) - 1)]) for n, f in enumerate(plan)]
    planted = pl.DataFrame(truth, schema=NO_FAULTS.schema, orient="row")
    planted = planted if of is None else planted.filter(pl.col("entity").is_in(list(of)))
    return replace(facts, kpis=pl.concat(changed) if changed else facts.kpis), planted


def _moving_together(series: Mapping[str, npt.NDArray[np.float64]]) -> dict[str, set[str]]:
    """For each KPI itself and the others whose past rises and falls with its own (correlation above .8)."""
    names = list(series)
    filled = np.array([np.where(np.isfinite(v), v, np.nanmean(v) if np.isfinite(v).any() else 0.0) for v in series.values()])
    with np.errstate(invalid="ignore", divide="ignore"):
        close = np.atleast_2d(np.corrcoef(filled)) if filled.shape[1] > 1 else np.eye(len(names))
    return {a: {a, *(b for j, b in enumerate(names) if close[i, j] > 0.8)} for i, a in enumerate(names)}


def _midnight(slots: pl.Series, per_hour: int) -> int:
    hour = int(slots.dt.hour()[0])
    return (24 - hour) * per_hour % (24 * per_hour)


def tally(
    speaker: Speaker,
    truth: pl.DataFrame,
    *,
    begin: datetime,
    until: datetime,
    elements: int,
    grace: timedelta = timedelta(hours=12),
    unknown: pl.DataFrame | None = None,
) -> Tally:
    """Count which faults *speaker* spoke of while they lasted, and what it said outside of any.

    A finding within *grace* after a fault is neither: it may be its end that was noticed. Nor is one in a stretch that
    is *unknown* (``entity``, ``start``, ``end``).
    """
    of: dict[str, list[Finding]] = defaultdict(list)
    for finding in speaker.findings:
        of[finding.entity].append(finding)
    found: Counter[str] = Counter()
    there: Counter[str] = Counter()
    excused: set[int] = set()
    for row in truth.iter_rows(named=True):
        kind = row.get("kind") or "fault"
        there[kind] += 1
        mine = of.get(row["entity"], [])
        found[kind] += any(row["start"] <= f.at < row["end"] for f in mine)
        excused |= {id(f) for f in mine if row["start"] <= f.at < row["end"] + grace}
    for row in () if unknown is None else unknown.iter_rows(named=True):
        excused |= {id(f) for f in of.get(row["entity"], []) if row["start"] <= f.at < row["end"]}
    weeks = (until - begin) / timedelta(weeks=1) * max(elements, 1)
    false = sum(id(f) not in excused for f in speaker.findings)
    return Tally(
        speaker=speaker.name,
        found=Proportion(sum(found.values()), sum(there.values())),
        by_kind={kind: Proportion(found[kind], there[kind]) for kind in sorted(there)},
        false_per_week=false / weeks if weeks else float("nan"),
    )


def best_columns(finding: Finding, columns: Sequence[str], most: int = 2) -> list[str]:
    """The columns to draw for a finding: those its reasons speak of, else the first."""
    named = list(dict.fromkeys(r.column for r in finding.decision.reasons if r.column in columns))
    return (named or list(columns))[:most]


__all__ = ["Progress", "Replay", "Speaker", "Tally", "best_columns", "dummies", "hide", "replay", "tally"]
