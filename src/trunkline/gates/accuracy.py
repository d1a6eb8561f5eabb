"""Does the candidate find what it is there to find? Per shift and in events, or row by row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from trunkline.core.clock import duration
from trunkline.gates.ground import Ground, figure, gaps, ground, within
from trunkline.gates.protocol import Array, Evidence, Result, Verdict
from trunkline.gates.ranking import MEASURES, WORDS, rank
from trunkline.gates.resample import interval
from trunkline.gates.worklist import events, raised, worklist

LISTED = 0.5
"""Score from which a row may be handed to a shift where the workflow's own ``decide`` was not asked."""

DUMMIES = 5
"""Draws of the dummy that hands over rows at random."""


@dataclass(frozen=True, slots=True)
class RecallAt:
    """Of the labelled events, how many does a shift see, if it is handed at most so many items?

    Each shift gets the highest scores, one row per entity, none twice within *hold_off*. An event is found when one
    of its rows is handed over. Passing also takes being better, for sure, than handing over as many items drawn blindly.

    Parameters
    ----------
    items_per_shift
        For all entities the workflow watches; a held-out part with fewer gets its share.
    least
        Share of the events, 0–1.
    shift, hold_off
        Lengths of time.
    threshold
        Scores below it are never handed over. None: what the workflow's own ``decide`` raised, or .5 if it was not asked.
    fewest
        Events below which nothing is said.

    >>> RecallAt(items_per_shift=20, least=0.6).shift
    '8h'
    """

    items_per_shift: int = field(default=20, kw_only=True)
    least: float = field(default=0.6, kw_only=True)
    shift: str = field(default="8h", kw_only=True)
    hold_off: str = field(default="12h", kw_only=True)
    threshold: float | None = field(default=None, kw_only=True)
    fewest: int = field(default=10, kw_only=True)

    judges: ClassVar[Literal["scores"]] = "scores"

    def check(self, evidence: Evidence) -> Verdict:
        """Hand over, shift by shift, and count the events seen."""
        found = ground("RecallAt", evidence, bar=self.least, fewest=self.fewest)
        if isinstance(found, Verdict):
            return found
        event = events(found.evidence.rows, found.evidence.labels if found.evidence.labels is not None else found.truth)
        numbers, first, which = np.unique(event, return_index=True, return_inverse=True)
        real = numbers > 0
        if real.sum() < self.fewest:
            return Verdict(
                gate="RecallAt",
                result="cannot tell",
                bar=self.least,
                n=int(real.sum()),
                next_step="Hold out a longer time.",
                why=f"There are {int(real.sum())} events; at least {self.fewest} are needed to check the bar of {self.least:g}.",
            )
        items, chance = _handed_over(found, self.items_per_shift, self.shift, self.hold_off, self.threshold)
        seen = np.bincount(which[items], minlength=len(numbers))[real] > 0
        lucky = np.mean([np.bincount(which[c], minlength=len(numbers))[real] > 0 for c in chance], axis=0)
        return _share(
            "RecallAt",
            seen.astype(float),
            lucky,
            first[real],
            found,
            least=self.least,
            words=f"of {len(seen)} events are seen in {len(items)} items, at most {self.items_per_shift} per shift of {self.shift}",
        )


@dataclass(frozen=True, slots=True)
class PrecisionAt:
    """Of the items a shift is handed, how many are part of a labelled event?

    The parameters are those of :class:`RecallAt`; *least* is the share of the items.

    >>> PrecisionAt(items_per_shift=5, least=0.4).least
    0.4
    """

    items_per_shift: int = field(default=20, kw_only=True)
    least: float = field(default=0.3, kw_only=True)
    shift: str = field(default="8h", kw_only=True)
    hold_off: str = field(default="12h", kw_only=True)
    threshold: float | None = field(default=None, kw_only=True)
    fewest: int = field(default=10, kw_only=True)

    judges: ClassVar[Literal["scores"]] = "scores"

    def check(self, evidence: Evidence) -> Verdict:
        """Hand over, shift by shift, and count the items that were right."""
        found = ground("PrecisionAt", evidence, bar=self.least, fewest=self.fewest)
        if isinstance(found, Verdict):
            return found
        items, chance = _handed_over(found, self.items_per_shift, self.shift, self.hold_off, self.threshold)
        if len(items) < self.fewest:
            return Verdict(
                gate="PrecisionAt",
                result="cannot tell",
                bar=self.least,
                n=len(items),
                next_step="Hold out a longer time, or lower the threshold.",
                why=f"{len(items)} items were handed over; at least {self.fewest} are needed to check the bar of {self.least:g}.",
            )
        at_random = np.concatenate(chance) if chance else items
        lucky = float(found.truth[at_random].mean()) if len(at_random) else float(found.truth.mean())
        right = found.truth[items].astype(float)
        return _share(
            "PrecisionAt",
            right,
            np.full(len(items), lucky),
            items,
            found,
            least=self.least,
            words=f"of {len(items)} items handed over are part of an event, at most {self.items_per_shift} per shift of {self.shift}",
        )


@dataclass(frozen=True, slots=True)
class AveragePrecision:
    """Mean precision over the positive rows, going down the ranking: the measure to use where positives are rare.

    >>> AveragePrecision(least=0.7).least
    0.7
    """

    least: float = field(default=0.5, kw_only=True)

    judges: ClassVar[Literal["scores"]] = "scores"

    def check(self, evidence: Evidence) -> Verdict:
        """Rank the rows and measure."""
        return _row_by_row("AveragePrecision", "average_precision", self.least, evidence)


@dataclass(frozen=True, slots=True)
class Auc:
    """Chance that a positive row scores above a negative one; .5 is what a coin does.

    >>> Auc(least=0.99).least
    0.99
    """

    least: float = field(default=0.8, kw_only=True)

    judges: ClassVar[Literal["scores"]] = "scores"

    def check(self, evidence: Evidence) -> Verdict:
        """Rank the rows and measure."""
        return _row_by_row("Auc", "auc", self.least, evidence)


@dataclass(frozen=True, slots=True)
class F1:
    """Harmonic mean of precision and recall of the rows scoring .5 and more.

    >>> F1(least=0.97).least
    0.97
    """

    least: float = field(default=0.5, kw_only=True)

    judges: ClassVar[Literal["scores"]] = "scores"

    def check(self, evidence: Evidence) -> Verdict:
        """Flag the rows and measure."""
        return _row_by_row("F1", "f1", self.least, evidence)


def _handed_over(found: Ground, per_shift: int, shift: str, hold_off: str, threshold: float | None) -> tuple[Array, list[Array]]:
    """The rows handed over, and by dummies as many rows drawn blindly from those that could be judged."""
    used = found.evidence
    limit = threshold if threshold is not None else (LISTED if used.decided is None else None)
    up = raised(used, threshold=limit)
    share = min(1.0, used.rows["entity"].n_unique() / used.entities) if used.entities else 1.0
    items = worklist(used.rows, used.scores, up, per_shift=per_shift * share, shift=duration(shift), hold_off=duration(hold_off))
    rng, judged = np.random.default_rng([used.seed, 2]), np.flatnonzero(np.isfinite(used.scores))
    return items, [rng.choice(judged, size=min(len(items), len(judged)), replace=False) for _ in range(DUMMIES)]


def _share(gate: str, hit: Array, lucky: Array, row: Array, found: Ground, *, least: float, words: str) -> Verdict:
    """The verdict on a share of events or items; *row* is the row whose cluster each belongs to."""
    value, base = float(hit.mean()), float(lucky.mean())

    def mean(of: Array) -> Callable[[Array], float]:
        def measure(weights: Array) -> float:
            w = weights[row]
            return float(np.sum(of * w) / w.sum()) if w.sum() else float("nan")

        return measure

    seed = found.evidence.seed
    around = interval(value, mean(hit), found.cluster, seed=seed)
    ahead = interval(value - base, mean(hit - lucky), found.cluster, seed=seed)
    return _decide(gate, value, least, around, base, ahead, n=len(hit), words=f"{figure(value)}{within(around)} {words}", found=found)


def _row_by_row(gate: str, metric: str, least: float, evidence: Evidence) -> Verdict:
    found = ground(gate, evidence, bar=least)
    if isinstance(found, Verdict):
        return found
    measure, seed = MEASURES[metric], found.evidence.seed
    ranked = rank(found.evidence.scores, found.truth)
    dummy = rank(np.random.default_rng([seed, 1]).random(len(found.truth)), found.truth)
    always = rank(np.ones(len(found.truth)), found.truth)
    if measure(always, None) > measure(dummy, None):
        dummy = always
    value, base = measure(ranked, None), measure(dummy, None)
    around = interval(value, lambda w: measure(ranked, w), found.cluster, seed=seed)
    ahead = interval(value - base, lambda w: measure(ranked, w) - measure(dummy, w), found.cluster, seed=seed)
    return _decide(gate, value, least, around, base, ahead, n=len(found.truth), words=f"{WORDS[metric]} is {figure(value)}{within(around)}", found=found)


def _decide(
    gate: str,
    value: float,
    least: float,
    around: tuple[float, float] | None,
    base: float,
    ahead: tuple[float, float] | None,
    *,
    n: int,
    words: str,
    found: Ground,
) -> Verdict:
    tail = f" A dummy reaches {figure(base)}. Judged on {found.on}.{gaps(found.unjudged)}"
    result: Result
    if value < least:
        result, why, next_step = "fail", f"{words}; at least {least:g} was asked.{tail}", "Look at what was missed: trunkline gate show."
        if ahead and ahead[1] < 0:
            why += " It is worse than chance."
    elif base >= least:
        result, why, next_step = "cannot tell", f"{words}, but a dummy reaches the bar of {least:g} too.{tail}", "Ask for fewer items, or a higher bar."
    elif ahead is None or ahead[0] <= 0:
        result, why, next_step = "cannot tell", f"{words}, at least {least:g} as asked, which may be chance.{tail}", "Hold out more groups or a longer time."
    else:
        result, why, next_step = "pass", f"{words}; at least {least:g} was asked.{tail}", ""
    return Verdict(gate=gate, result=result, value=value, bar=least, interval=around, n=n, why=why, next_step=next_step, baseline_value=base)
