"""Medians by place, compiled: a sorting network across the weeks, all places of a series side by side in the lanes of the processor.

Batcher 1968, *Sorting networks and their applications*: which values are compared never depends on the values, so that
a step is a minimum and a maximum of two rows of numbers and nothing is ever guessed wrong.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trunkline.core.compiled import compiled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@compiled
def medians(y: Floats, table: Ints, low: Ints, high: Ints, lower: Ints, upper: Ints, median: Floats, mad: Floats, count: Ints) -> None:
    """Fill *median*, *mad* (where it has lines) and *count* (S, B) from *y* (S, T).

    Parameters
    ----------
    table
        (R, B): the slots of each place, T where there is none; R is a power of two.
    low, high
        The steps that sort R rows: row ``low[k]`` takes the smaller, row ``high[k]`` the larger.
    lower, upper
        The steps that sort R rows which fall and then rise, as distances from a median do once the values are sorted.
    """
    rows, places = table.shape
    slots = y.shape[1]
    near, own, have = np.empty((rows, places)), np.empty(slots + 1), np.empty(places, np.int64)
    own[slots] = np.inf
    for s in range(len(y)):
        for t in range(slots):
            own[t] = y[s, t] if abs(y[s, t]) < np.inf else np.inf
        have[:] = 0
        for r in range(rows):
            places_of, line = table[r], near[r]
            for b in range(places):
                line[b] = own[np.uint64(places_of[b])]
            for b in range(places):
                have[b] += line[b] < np.inf
        count[s] = have
        _sort(near, low, high)
        _middle(near, count[s], median[s])
        if len(mad) == 0:
            continue
        for r in range(rows):
            for b in range(places):
                away = abs(near[r, b] - median[s, b])
                near[r, b] = away if away < np.inf else np.inf  # noqa: FURB136 - a NaN must become infinite
        _sort(near, lower, upper)
        _middle(near, count[s], mad[s])


@compiled
def _sort(near: Floats, low: Ints, high: Ints) -> None:
    for k in range(len(low)):
        small, large = near[low[k]], near[high[k]]
        for b in range(near.shape[1]):
            one, other = small[b], large[b]
            small[b] = min(one, other)
            large[b] = max(one, other)


@compiled
def _middle(near: Floats, count: Ints, middle: Floats) -> None:
    for b in range(near.shape[1]):
        have = count[b]
        middle[b] = 0.5 * (near[(have - 1) // 2, b] + near[have // 2, b]) if have > 0 else np.nan
