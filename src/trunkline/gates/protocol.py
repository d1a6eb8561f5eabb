"""What a gate is handed, what it answers, and how several answers become one.

    Evidence ─► gate.check ─► Verdict ─┐
    Evidence ─► gate.check ─► Verdict ─┴─► joint: pass | fail | cannot tell

"Cannot tell" is an answer of its own (no labels, too few rows, nothing to compare with) and never a pass.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import polars as pl

from trunkline.core.errors import BadInput

Result = Literal["pass", "fail", "cannot tell"]
Array = np.ndarray[Any, np.dtype[Any]]

ROW_KEYS = ("entity", "at", "known_at")
"""The columns of a row frame that are no features."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One side of a split: its rows, and beside each row its label and group where there are any."""

    rows: pl.DataFrame
    labels: Array | None = field(default=None, kw_only=True)
    groups: Array | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for name in ("labels", "groups"):
            _same_length(name, getattr(self, name), self.rows.height)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """All that is known of a candidate: how it scored rows it was not trained on, and what to hold it against.

    Parameters
    ----------
    rows
        The held-out part: ``entity``, ``at``, ``known_at`` and one column per feature.
    scores
        One per row, in [0, 1], higher = more unusual or more likely; NaN = the candidate could not judge.
    labels
        One per row, None where nobody knows. Boolean or 0/1: is the row positive (a run of positive rows of one
        entity is one event). Integers above 1: the number of the event, so that recall counts events, not slots.
    groups
        What must stay together when rows are drawn anew (a cell, a customer, a file); None: the entity, by week.
    split
        ``"time"`` (trained on earlier rows) or ``"group:<column>"`` (trained on other groups). A random split lets the
        same hour of the same cell stand on both sides, and is refused.
    every
        Length of a slot.
    entities
        How many entities the workflow will watch; budgets per shift are shared out in proportion. 0: those in *rows*.
    baselines
        Name → scores on the same rows: "dummy", "last week", "seasonal".
    train
        The part the candidate was trained on; without it leaks across the split cannot be looked for.
    time_one
        Scores the row of this index alone, with the context it needs, as the live service would.
    reload
        Scores of the same rows by the candidate after saving and loading.
    champion
        Evidence of the version now live on the same rows; the candidate must not be worse, neither in accuracy nor speed.
    injected
        Evidence on the same entities with seeded faults put in; accuracy is judged on it where there are no labels.
    decided
        True where the workflow's own ``decide`` raised something; None if it was not asked.
    seed
        For every draw a gate makes.
    timer
        Nanoseconds; tests hand in their own.

    Raises
    ------
    BadInput
        Lengths differ, or the split is not one that can be judged.
    """

    rows: pl.DataFrame
    scores: Array = field(kw_only=True)
    labels: Array | None = field(default=None, kw_only=True)
    groups: Array | None = field(default=None, kw_only=True)
    split: str = field(kw_only=True)
    every: timedelta = field(kw_only=True)
    entities: int = field(default=0, kw_only=True)
    baselines: Mapping[str, Array] = field(default_factory=dict, kw_only=True)
    train: Part | None = field(default=None, kw_only=True)
    time_one: Callable[[int], object] | None = field(default=None, kw_only=True)
    reload: Callable[[], Array] | None = field(default=None, kw_only=True)
    champion: Evidence | None = field(default=None, kw_only=True)
    injected: Evidence | None = field(default=None, kw_only=True)
    decided: Array | None = field(default=None, kw_only=True)
    seed: int = field(default=0, kw_only=True)
    timer: Callable[[], int] = field(default=time.perf_counter_ns, kw_only=True)

    def __post_init__(self) -> None:
        if self.split != "time" and not (self.split.startswith("group:") and len(self.split) > len("group:")):
            raise BadInput(
                f"A '{self.split}' split cannot be judged: neighbours of the held-out rows were seen in training.",
                where="Evidence.split",
                allowed="'time' or 'group:<column>', such as 'group:cell'",
                next_step="Hold out the last weeks, or whole groups.",
            )
        for name in ("scores", "labels", "groups", "decided"):
            _same_length(name, getattr(self, name), self.rows.height)
        for name, scores in self.baselines.items():
            _same_length(f"baselines[{name!r}]", scores, self.rows.height)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing found in the data: where, how strong (what *figure* measures is in *text*), and in words."""

    column: str
    kind: str
    figure: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one gate says of one candidate.

    Parameters
    ----------
    gate
        Name of the gate.
    result
        ``"pass"``, ``"fail"`` or ``"cannot tell"``.
    value, bar
        The figure measured and the one asked for, in the gate's unit; None where nothing could be measured.
    interval
        Where the figure would fall in 19 of 20 repetitions (or the gate's own confidence); holds *value*.
    n
        What the figure rests on: rows, events, alarms or replays, as *why* says.
    why
        The reason in one or two sentences, with the figures.
    next_step
        What to do now; empty after a pass.
    baseline_value
        The same figure for a dummy or the strongest baseline.
    findings
        What was found in the data, strongest first.
    """

    gate: str
    result: Result
    value: float | None = None
    bar: float | None = None
    interval: tuple[float, float] | None = None
    n: int = 0
    why: str = ""
    next_step: str = ""
    baseline_value: float | None = None
    findings: tuple[Finding, ...] = ()


@runtime_checkable
class Gate(Protocol):
    """May this candidate go on? A frozen dataclass of its bars, with one method.

    ``judges`` says what it looks at, so that :func:`~trunkline.gates.check.check_gate` knows what to try:
    ``"scores"``, ``"speed"``, ``"copy"`` (saved against reloaded) or ``"rows"``.
    """

    @property
    def judges(self) -> Literal["scores", "speed", "copy", "rows"]: ...

    def check(self, evidence: Evidence) -> Verdict:
        """Judge *evidence*; the same evidence always gives the same verdict."""
        ...


def run_gates(gates: Iterable[Gate], evidence: Evidence) -> tuple[Verdict, ...]:
    """The verdict of every gate, in their order; one that fails does not keep the others from being asked."""
    return tuple(gate.check(evidence) for gate in gates)


def joint(verdicts: Iterable[Verdict]) -> Result:
    """One result from many: pass if all pass, fail if any fails, else cannot tell. No verdicts: cannot tell.

    >>> joint([Verdict(gate="a", result="pass"), Verdict(gate="b", result="cannot tell")])
    'cannot tell'
    """
    results = {verdict.result for verdict in verdicts}
    if "fail" in results:
        return "fail"
    return "pass" if results == {"pass"} else "cannot tell"


def features(rows: pl.DataFrame) -> tuple[str, ...]:
    """The feature columns of *rows*: all but entity, at, known_at and what else is a time.

    >>> features(pl.DataFrame({"entity": ["a"], "traffic": [1.0]}))
    ('traffic',)
    """
    return tuple(c for c in rows.columns if c not in ROW_KEYS and not rows.schema[c].is_temporal())


def _same_length(name: str, given: Array | None, rows: int) -> None:
    if given is not None and len(given) != rows:
        raise BadInput(f"There are {rows} rows but {len(given)} {name}.", where=f"Evidence.{name}", allowed="one per row")
