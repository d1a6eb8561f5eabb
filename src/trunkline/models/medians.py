"""The median of every place of a cycle, and how far values usually are from it: what "usual at this hour of the week" means."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trunkline.core.extras import is_fast
from trunkline.models.protocol import Floats

Ints = npt.NDArray[np.int64]

_MOST_ROWS = 512  # values a place may have for the network, whose steps grow a little faster than they do
_AT_ONCE = 1 << 22  # values the twin lays out at once


class Usual(NamedTuple):
    """For S series and B places: medians, median absolute deviations (not scaled; no lines where not asked for), numbers of values that are known."""

    median: Floats
    mad: Floats
    known: Ints


def by_place(y: Floats, place: Ints, places: int, *, spread: bool = True) -> Usual:
    """Medians of the (S, T) values *y* by the place (0 to *places* - 1) each of the T slots has in its cycle.

    Values that are not finite are left out; a place without values has NaN. One core reads about a thousand million
    values a second with numba, fifty million without; both give the same numbers to the last bit.

    >>> usual = by_place(np.array([[1.0, 10.0, 3.0, np.nan, 8.0, 12.0]]), np.array([0, 1, 0, 1, 0, 1]), 2)
    >>> usual.median.tolist(), usual.mad.tolist(), usual.known.tolist()
    ([[3.0, 11.0]], [[2.0, 1.0]], [[3, 2]])
    """
    table = _table(place, places)
    median = np.empty((len(y), places))
    mad = np.empty((len(y) if spread else 0, places))
    count = np.empty((len(y), places), np.int64)
    if is_fast() and 0 < len(table) <= _MOST_ROWS:
        from trunkline.models.median_kernel import medians

        rows = 1 << (len(table) - 1).bit_length()
        whole = np.where(table >= 0, table, y.shape[1])
        whole = np.concatenate([whole, np.full((rows - len(table), places), y.shape[1])])
        medians(np.ascontiguousarray(y), whole, *_network(len(table)), *_merge(rows), median, mad, count)
        return Usual(median, mad, count)
    step = max(1, _AT_ONCE // max(table.size, 1))
    for begin in range(0, len(y), step):
        some = slice(begin, begin + step)
        near = np.where(table >= 0, y[some][:, np.maximum(table, 0)], np.nan) if len(table) else np.full((len(y[some]), 1, places), np.nan)
        near[~np.isfinite(near)] = np.nan
        count[some] = np.isfinite(near).sum(axis=1)
        median[some] = middle(near, count[some])
        if spread:
            mad[some] = middle(np.abs(near - median[some][:, None]), count[some])
    return Usual(median, mad, count)


def middle(values: Floats, count: Ints) -> Floats:
    """Medians along the second axis of (S, R, …) *values*, of which *count* (S, …) are no NaN."""
    ordered = np.sort(values, axis=1)  # NaN last
    low, high = (
        np.take_along_axis(ordered, np.maximum(at, 0)[:, None], axis=1)[:, 0] for at in ((count - 1) // 2, np.minimum(count // 2, values.shape[1] - 1))
    )
    return np.where(count > 0, 0.5 * (low + high), np.nan)


def _table(place: Ints, places: int) -> Ints:
    """(R, places): the slots of each place in the order of time, -1 behind the last."""
    order = np.argsort(place, kind="stable")
    many = np.bincount(place, minlength=places)
    table = np.full((int(many.max(initial=0)), places), -1)
    starts = np.cumsum(many) - many
    table[np.arange(len(place)) - starts[place[order]], place[order]] = order
    return table


@lru_cache(maxsize=16)
def _network(rows: int) -> tuple[Ints, Ints]:
    """Batcher's odd-even merge sort of so many rows: the row that takes the smaller and the one that takes the larger, step by step."""
    pairs = []
    size = 1
    while size < rows:
        apart = size
        while apart >= 1:
            for first in range(apart % size, rows - apart, 2 * apart):
                pairs += [(i, i + apart) for i in range(first, min(first + apart, rows - apart)) if i // (2 * size) == (i + apart) // (2 * size)]
            apart //= 2
        size *= 2
    steps = np.array(pairs, np.int64).reshape(-1, 2)
    return np.ascontiguousarray(steps[:, 0]), np.ascontiguousarray(steps[:, 1])


@lru_cache(maxsize=16)
def _merge(rows: int) -> tuple[Ints, Ints]:
    """Batcher's bitonic merge of so many rows, a power of two, that fall and then rise."""
    pairs = []
    apart = rows // 2
    while apart:
        pairs += [(i, i + apart) for i in range(rows) if i // apart % 2 == 0]
        apart //= 2
    steps = np.array(pairs, np.int64).reshape(-1, 2)
    return np.ascontiguousarray(steps[:, 0]), np.ascontiguousarray(steps[:, 1])
