"""The compiled search of :mod:`trunkline.features.asof`: one binary search for each wanted row, then a walk back over what was not known yet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trunkline.core.compiled import compiled
from trunkline.features.calendar import Ints

BLOCK = 64
"""Rows whose least ``known_at`` is kept, so that a walk back skips them at once."""


@compiled
def newest(starts: Ints, at: Ints, known: Ints, lowest: Ints, run: Ints, when: Ints, by: Ints) -> NDArray[np.uint32]:
    """The row each wanted one sees, ``len(at)`` where there is none; arguments as in :func:`trunkline.features.asof.newest`."""
    found = np.empty(len(run), np.uint32)
    nothing = np.uint32(len(at))
    for i in range(len(run)):
        found[i] = nothing
        if run[i] < 0:
            continue
        first = starts[run[i]]
        low, count = first, starts[run[i] + 1] - first
        wanted = when[i]
        while count > 1:  # without a branch on what was read: no guess of the processor's is ever wrong
            half = count >> 1
            low = low + half if at[low + half - 1] <= wanted else low
            count -= half
        if count == 1 and at[low] <= wanted:
            low += 1
        if low > first:
            found[i] = np.uint32(low - 1)
    if len(known) == 0:
        return found
    for i in range(len(run)):  # apart from the search, so that many of these reads are under way at once
        if found[i] == nothing:
            continue
        row, limit = np.int64(found[i]), by[i]
        if known[row] <= limit:
            continue
        first = starts[run[i]]
        while row >= first and known[row] > limit:
            if (row + 1) % BLOCK == 0 and lowest[row // BLOCK] > limit:
                row -= BLOCK
            else:
                row -= 1
        found[i] = np.uint32(row) if row >= first else nothing
    return found


@compiled
def runs(entity: Ints, at: Ints, known: Ints) -> Ints:
    """Where each run of equal entities starts, the number of rows last; empty where the rows are not in the order of a timeline."""
    rows = len(entity)
    starts = np.empty(rows + 1, np.int64)
    count = 0
    for i in range(rows):
        if i == 0 or entity[i] != entity[i - 1]:
            if i > 0 and entity[i] < entity[i - 1]:
                return starts[:0].copy()
            starts[count] = i
            count += 1
        elif at[i] < at[i - 1] or (len(known) > 0 and at[i] == at[i - 1] and known[i] < known[i - 1]):
            return starts[:0].copy()
    starts[count] = rows
    return starts[: count + 1].copy()
