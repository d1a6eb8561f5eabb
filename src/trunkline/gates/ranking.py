"""How well scores put the positive rows first, with weights so that rows can be drawn anew without sorting again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from trunkline.gates.protocol import Array

FLAGGED = 0.5
"""The score from which a row counts as flagged where a measure needs a yes or no (F1)."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """Rows in falling order of score; rows the candidate could not judge (NaN) come last."""

    order: Array
    truth: Array = field(kw_only=True)  # float 0/1, in that order
    ends: Array = field(kw_only=True)  # index of the last row of each group of equal scores
    flagged: Array = field(kw_only=True)  # float 0/1, in that order

    def weigh(self, weights: Array | None) -> tuple[Array, Array]:
        """Positives and rows down to the end of each tie."""
        w = np.ones(len(self.order)) if weights is None else weights[self.order].astype(np.float64)
        return np.cumsum(w * self.truth)[self.ends], np.cumsum(w)[self.ends]


def rank(scores: Array, truth: Array) -> Ranked:
    """Sort once, measure often."""
    judged = np.where(np.isnan(scores), -np.inf, scores)
    order = np.argsort(-judged, kind="stable")
    falling = judged[order]
    ends = np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(falling) - 1)
    return Ranked(order, truth=truth[order].astype(np.float64), ends=ends, flagged=(falling >= FLAGGED).astype(np.float64))


def average_precision(ranked: Ranked, weights: Array | None = None) -> float:
    """Mean precision over the positives, going down the ranking; ties count as one step.

    >>> average_precision(rank(np.array([0.9, 0.8, 0.1]), np.array([1, 0, 1])))
    0.8333333333333333
    """
    hits, rows = ranked.weigh(weights)
    if hits[-1] == 0:
        return float("nan")
    steps = np.diff(hits, prepend=0.0)
    return float(np.sum(steps * np.divide(hits, rows, out=np.zeros_like(hits), where=rows > 0)) / hits[-1])


def auc(ranked: Ranked, weights: Array | None = None) -> float:
    """Chance that a positive row scores above a negative one, ties counting half.

    >>> auc(rank(np.array([0.9, 0.8, 0.1]), np.array([1, 0, 1])))
    0.5
    """
    hits, rows = ranked.weigh(weights)
    misses = rows - hits
    if hits[-1] == 0 or misses[-1] == 0:
        return float("nan")
    steps, other = np.diff(hits, prepend=0.0), np.diff(misses, prepend=0.0)
    return float(np.sum(steps * (misses[-1] - misses + other / 2)) / (hits[-1] * misses[-1]))


def f1(ranked: Ranked, weights: Array | None = None) -> float:
    """Harmonic mean of precision and recall of the rows scoring .5 and more.

    >>> f1(rank(np.array([0.9, 0.8, 0.1]), np.array([1, 0, 1])))
    0.5
    """
    w = np.ones(len(ranked.order)) if weights is None else weights[ranked.order].astype(np.float64)
    hits, flagged, positives = (float(np.sum(w * x)) for x in (ranked.truth * ranked.flagged, ranked.flagged, ranked.truth))
    return 2 * hits / (flagged + positives) if positives else float("nan")


Measure = Callable[[Ranked, Array | None], float]

MEASURES: Mapping[str, Measure] = {"average_precision": average_precision, "auc": auc, "f1": f1}
"""Name → measure; all lie in [0, 1], higher is better."""

WORDS: Mapping[str, str] = {"average_precision": "average precision", "auc": "AUC", "f1": "F1"}
