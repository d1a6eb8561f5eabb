"""The days of :mod:`trunkline.models.conformal`, compiled: one series and lead after the other, one histogram each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trunkline.core.compiled import compiled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@compiled
def adapted(errors: Floats, edges: Floats, aim: float, rate: float, least: int, limits: Ints) -> None:
    """Fill *limits* (S, A, 2), the bins in which the lower and the upper quantile lie, from (S, origins, A, slots) *errors*."""
    series, origins, leads, slots = errors.shape
    bins = len(edges) - 1
    step = (edges[bins] - edges[0]) / bins
    many, place = np.empty(bins, np.int64), np.empty((origins, slots), np.int64)
    for s in range(series):
        for a in range(leads):
            many[:] = 0
            for i in range(origins):
                for t in range(slots):
                    value = errors[s, i, a, t]
                    place[i, t] = -1
                    if abs(value) < np.inf:
                        at = int(min(max((value - edges[0]) / step, 0.0), bins - 1.0))
                        while at < bins - 1 and edges[at + 1] < value:  # an edge belongs to the bin below it
                            at += 1
                        while at > 0 and edges[at] >= value:
                            at -= 1
                        place[i, t] = at
            miss, taken, total = aim, 0, 0
            for i in range(least, origins):
                while taken < i - a:  # an error a days ahead is known a days later
                    total += _add(many, place[taken])
                    taken += 1
                low, high = _limits(many, total, miss)
                inside, known = 0, 0
                for t in range(slots):
                    known += place[i, t] >= 0
                    inside += low <= place[i, t] <= high
                if known > 0 and total >= 24:
                    miss = min(max(miss + rate * (aim - (1.0 - inside / known)), 0.005), 0.5)
            while taken < origins:
                total += _add(many, place[taken])
                taken += 1
            limits[s, a, 0], limits[s, a, 1] = _limits(many, total, miss)


@compiled
def _add(many: Ints, places: Ints) -> int:
    known = 0
    for place in places:
        if place >= 0:
            many[place] += 1
            known += 1
    return known


@compiled
def _limits(many: Ints, total: int, miss: float) -> tuple[int, int]:
    from_below, from_above = np.floor(total * (miss / 2)), np.ceil(total * (1.0 - miss / 2))
    low, high, below = -1, -1, 0
    for b in range(len(many)):
        below += many[b]
        if low < 0 and below >= from_below:
            low = b
        if below >= from_above:
            high = b
            break
    return max(low, 0), max(high, 0)
