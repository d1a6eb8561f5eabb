"""Tail probabilities as ONNX: how many past values are smaller, and the fitted tail beyond.

The ranks of :class:`~trunkline.models.calibration.Tail` are steps, and a row that was learned from lies exactly on one. So
past values are not compared with a rounded logarithm or power that another library may round otherwise: each is turned,
once and with the very function that Python scores with, into the number *before* that function from which on the answer
changes (:func:`turned`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from trunkline.models.calibration import _GRID, _LEAST, Tail
from trunkline.models.onnx_graph import Graph, Value
from trunkline.models.protocol import Floats

Rising = Callable[[Floats], Floats]
_NEAR = 1 << 10  # neighbouring doubles among which the place is looked for first


def p(graph: Graph, tail: Tail, u: Value, v: Value, of: Value, *, rises: Rising | None, near: Rising | None = None) -> Value:
    """The tail probability of ``v = rises(u)`` for the series numbered *of*; -1 is the pool of all.

    Parameters
    ----------
    u
        What is compared with past values; NaN gives NaN.
    v
        The same as the tail measures it, for what lies beyond ranks.
    rises, near
        The function from *u* to *v*, which never falls, and about its inverse; none where they are equal.
    """
    cuts = _cuts(tail, rises, near)
    own = _of_series(graph, tail, cuts, u, v, of)
    if (tail.count[:-1] < _LEAST).any():
        share = np.append(np.maximum(0.0, 1.0 - tail.count[:-1] / _LEAST), 0.0)
        helped = of.rows_of(share)
        pool = _of_series(graph, tail, cuts, u, v, None)
        own = own * (1.0 - helped) + helped * pool
    return graph.where(u.is_nan(), np.nan, own)


def turned(rises: Rising, levels: Floats, near: Floats) -> Floats:
    """For each level the largest double *u* with ``rises(u) <= level``; NaN for NaN.

    >>> turned(lambda u: np.round(u, 1), np.array([0.2]), np.array([0.3])).tolist()
    [0.25]
    """
    with np.errstate(all="ignore"):
        start = _ordered(np.where(np.isfinite(near), near, 0.0))
        low, high = start - _NEAR, start + _NEAR
        for _ in range(64):  # a bracket; the guess is a few doubles off, and levels at the ends of the range more
            wrong = ~(rises(_double(low)) <= levels) & np.isfinite(levels)
            if not wrong.any():
                break
            low = np.where(wrong, np.maximum(start - (start - low) * 8, _LOWEST), low)
        for _ in range(64):
            wrong = (rises(_double(high)) <= levels) & (high < _HIGHEST)
            if not wrong.any():
                break
            high = np.where(wrong, np.minimum(start + (high - start) * 8, _HIGHEST), high)
        while (high - low > 1).any():
            middle = low + (high - low) // 2
            holds = rises(_double(middle)) <= levels
            low, high = np.where(holds, middle, low), np.where(holds, high, middle)
    return np.where(np.isnan(levels), np.nan, _double(low))


def _cuts(tail: Tail, rises: Rising | None, near: Rising | None) -> tuple[Floats, Floats]:
    """Past values and thresholds on the scale of what is compared."""
    if rises is None or near is None:
        return tail.levels, tail.threshold
    return turned(rises, tail.levels, near(tail.levels)), turned(rises, tail.threshold, near(tail.threshold))


def _of_series(graph: Graph, tail: Tail, cuts: tuple[Floats, Floats], u: Value, v: Value, of: Value | None) -> Value:
    """As ``Tail._p_of``, in the same order of operations; *of* None is the pool."""

    def fact(table: Floats) -> Value:
        return graph.constant(table[-1]) if of is None else of.rows_of(table)

    kept = np.minimum(tail.count, float(_GRID))
    smaller = (fact(cuts[0]) < u.wider(-1)).number().total(-1)
    reached = fact(kept) - smaller
    beyond = fact(tail.beyond)
    ranked = ((reached * fact(tail.count / np.maximum(kept, 1.0)) + 1.0) / fact(tail.count + 1.0)).at_least(beyond)
    excess = fact(tail.shape) * (v - fact(tail.threshold)).at_least(0.0) / fact(tail.scale)
    fitted = (beyond * (excess + 1.0) ** fact(-1.0 / tail.shape)).at_most(beyond)
    found = graph.where(u > fact(cuts[1]), fitted, ranked).at_least(float(np.finfo(np.float64).tiny))
    return found if (tail.count > 0).all() else graph.where(fact(tail.count) > 0.0, found, 1.0)


def _ordered(values: Floats) -> npt.NDArray[np.int64]:
    """Doubles as whole numbers in the same order, neighbours one apart."""
    bits = np.ascontiguousarray(values + 0.0).view(np.int64)
    return np.where(bits < 0, np.int64(-(2**63)) - bits, bits)


def _double(ordered: npt.NDArray[np.int64]) -> Floats:
    return np.where(ordered < 0, np.int64(-(2**63)) - ordered, ordered).astype(np.int64).view(np.float64)


_HIGHEST = int(_ordered(np.array([np.finfo(np.float64).max]))[0])
_LOWEST = -_HIGHEST
