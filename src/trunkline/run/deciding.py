"""Rows and scores become decisions: the workflow's own function, then its guardrail, slot by slot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.canonical import content_hash
from trunkline.core.clock import duration
from trunkline.core.errors import WorkflowError
from trunkline.core.values import Decision, Reason, Row
from trunkline.decisions.guardrail import State
from trunkline.workflow import Workflow

Mode = Literal["live", "shadow", "replay"]
Explain = Callable[[str, datetime], tuple[Reason, ...]]
LEARN_LEVEL_FROM = timedelta(days=3)
YOUNG = 0.1
TELLING = 0.2


@dataclass(slots=True)
class Finding:
    """A decision that was admitted, and how long its episode lasted."""

    decision: Decision
    until: datetime

    @property
    def entity(self) -> str:
        """Which element."""
        return self.decision.target

    @property
    def at(self) -> datetime:
        """The slot in which it was first said."""
        assert self.decision.at is not None
        return self.decision.at


@dataclass(slots=True)
class Decided:
    """What came of deciding a stretch of rows."""

    findings: list[Finding] = field(default_factory=list)
    lasting: list[Finding] = field(default_factory=list)
    """Findings of an earlier call whose episode went on in this one."""
    counts: Counter[str] = field(default_factory=Counter)
    levels: list[tuple[datetime, float]] = field(default_factory=list)
    said: set[tuple[str, datetime]] = field(default_factory=set)
    """Targets and slots about which it speaks: newly, or because an episode goes on."""

    def __iadd__(self, other: Decided) -> Self:
        """Add what came of the stretch after this one; a finding that goes on is named once."""
        named = {id(one) for one in (*self.findings, *self.lasting)}
        self.findings += other.findings
        self.lasting += [one for one in other.lasting if id(one) not in named]
        self.counts += other.counts
        self.levels += other.levels
        self.said |= other.said
        return self


def decide(
    workflow: Workflow,
    rows: pl.DataFrame,
    scores: npt.NDArray[np.float64],
    *,
    level: Callable[[datetime], float],
    state: State,
    mode: Mode,
    release: str = "",
    explain: Explain | None = None,
    going: dict[str, Finding] | None = None,
) -> Decided:
    """Decide each row in the order of time; *state* and *going* (the open findings by target) remember between calls.

    What was not admitted is counted by its ruling in ``counts``; "none" counts rows about which the
    workflow said nothing, "cannot judge" rows without a score.
    """
    done = Decided()
    going = {} if going is None else going
    earlier = {id(finding) for finding in going.values()}
    assert workflow.decide is not None
    assert workflow.features is not None
    word = workflow.features.entity
    for at, batch in _slots(rows, scores):
        candidates = []
        for row, score in batch(word):
            if np.isnan(score):
                done.counts["cannot judge"] += 1
                continue
            said = asked(workflow, row, score)
            if said is None:
                done.counts["none"] += 1
            else:
                candidates.append(replace(said, at=at, known_at=row["known_at"], workflow=workflow.name, release=release, mode=mode))
        for ruled in workflow.guardrail.admit(candidates, state, level=level(at), at=at):
            done.counts[ruled.ruling] += 1
            one = ruled.decision
            if ruled.ruling in {"admitted", "same episode"}:
                done.said.add((one.target, at))
            if ruled.ruling == "admitted":
                finding = Finding(finished(one, explain), at)
                going[one.target] = finding
                done.findings.append(finding)
            elif ruled.ruling == "same episode" and one.target in going:
                lasting = going[one.target]
                lasting.until = at
                if id(lasting) in earlier:
                    earlier.discard(id(lasting))
                    done.lasting.append(lasting)
    return done


def asked(workflow: Workflow, row: Row, score: float) -> Decision | None:
    """What the workflow's own function says; where it fails, the row and the line are named."""
    assert workflow.decide is not None
    try:
        said = workflow.decide(row, score)
    except Exception as broken:
        trace = broken.__traceback__
        while trace and trace.tb_next:
            trace = trace.tb_next
        line = f"{trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno}" if trace else "decide"
        raise WorkflowError(
            f"decide of '{workflow.name}' failed on the row of {row['entity']} at {row['at']:%Y-%m-%d %H:%M} UTC: {type(broken).__name__}: {broken}.",
            where=line,
            next_step="Values may be None where nothing is known; columns are those of: trunkline feature list",
        ) from broken
    if said is not None and not isinstance(said, Decision):
        raise WorkflowError(f"decide of '{workflow.name}' gave {said!r}.", allowed="a Decision, or None to say nothing")
    return said


def finished(one: Decision, explain: Explain | None) -> Decision:
    assert one.at is not None
    reasons = telling(explain(one.target, one.at)) if explain else ()
    if one.because:  # the workflow's own order of reasons comes first, what the model adds follows
        reasons = tuple(sorted(reasons, key=lambda r: one.because.index(r.column) if r.column in one.because else len(one.because)))
    identity = {"workflow": one.workflow, "release": one.release, "mode": one.mode, "target": one.target, "at": one.at, "action": one.action}
    return replace(one, reasons=reasons, id=content_hash(identity)[:16])


def telling(reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
    """The reasons that carry the score: at most five, none with less than a fifth of the first one's weight."""
    if not reasons:
        return ()
    off = tuple(r for r in reasons if not _as_usual(r)) or reasons[:1]
    most = max(r.weight for r in off)
    return tuple(r for r in off if r.weight >= TELLING * most)[:5]


def _as_usual(reason: Reason) -> bool:
    """Whether value and usual value are the same to a reader: within one in a hundred."""
    if reason.value is None or reason.usual is None:
        return False
    return abs(reason.value - reason.usual) < 0.01 * max(abs(reason.usual), 1e-12)


def _slots(rows: pl.DataFrame, scores: npt.NDArray[np.float64]) -> Iterator[tuple[datetime, Callable[[str], Iterator[tuple[Row, float]]]]]:
    """Rows slot by slot in the order of time."""
    if rows.height == 1:  # one cell at a time: sorting a frame takes longer than the rest of deciding it
        columns: Mapping[str, list[Any]] = {name: [value] for name, value in zip(rows.columns, rows.row(0), strict=True)}
        order = [0]
    else:
        columns = rows.to_dict(as_series=False)
        order = rows.select(pl.arg_sort_by("at", "entity")).to_series().to_list()
    values = scores.tolist()
    for at, indices in groupby(order, key=columns["at"].__getitem__):
        numbers = list(indices)
        yield at, lambda word, numbers=numbers: ((Row(columns, i, entity=word), values[i]) for i in numbers)  # type: ignore[misc]


def confidences(workflow: Workflow, rows: pl.DataFrame, scores: npt.NDArray[np.float64]) -> pl.DataFrame:
    """What the workflow would have said of each row before any limit: ``entity``, ``at``, ``confidence``, 0 where nothing.

    Limits are learned from this: what decide excuses (planned work, a lock) must not make it stricter elsewhere.
    """
    assert workflow.decide is not None
    assert workflow.features is not None
    columns: Mapping[str, list[Any]] = rows.to_dict(as_series=False)
    word, said = workflow.features.entity, np.zeros(rows.height)
    for i in np.flatnonzero(np.isfinite(scores)).tolist():
        one = asked(workflow, Row(columns, i, entity=word), float(scores[i]))
        said[i] = 0.0 if one is None else one.confidence
    return rows.select("entity", "at").with_columns(confidence=pl.Series(said))


def level_over_time(workflow: Workflow, scored: pl.DataFrame, *, every: timedelta, begin: datetime, end: datetime) -> Callable[[datetime], float]:
    """The level of admission at each time, learned only from scores before it: daily at first, weekly after two weeks.

    Until three days are scored there is nothing to learn from, and the scores are not yet taken at their
    word: a young fit calls a tenth of what it should unusual, so the limits are met ten times over.
    """
    rail, at = workflow.guardrail, begin + LEARN_LEVEL_FROM
    at_word = level_at_word(workflow, entities=scored["entity"].n_unique(), every=every)
    known: list[tuple[datetime, float]] = [(begin, 1 - YOUNG * (1 - at_word))]
    while at < end:
        known.append((at, rail.level(scored.filter(pl.col("at") + every <= at), every=every)))
        at += timedelta(days=1) if at - begin < timedelta(weeks=2) else timedelta(weeks=1)

    def level(now: datetime) -> float:
        return next(value for since, value in reversed(known) if since <= now or since == begin)

    return level


def level_at_word(workflow: Workflow, *, entities: int, every: timedelta) -> float:
    """The level at which calibrated scores would keep within the limits with nothing else known."""
    rail = workflow.guardrail
    slots_a_week = timedelta(weeks=1) / every
    per_row = min(rail.per_element_week / slots_a_week, rail.items_per_shift / (max(entities, 1) * (duration(rail.shift) / every)))
    return float(min(max(1 - per_row, 0.5), 1 - 1e-6))
