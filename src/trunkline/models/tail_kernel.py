"""How many past values are smaller, compiled: one binary search for each value, in its own series' past."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trunkline.core.compiled import compiled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@compiled
def smaller(levels: Floats, of: Ints, kept: Ints, values: Floats) -> Floats:
    """For each of the (M, T) *values* how many of the first ``kept[m]`` levels of series ``of[m]`` are smaller; a NaN has all of them below it."""
    out = np.empty(values.shape)
    for m in range(len(values)):
        line, given, found = levels[of[m]], values[m], out[m]
        for t in range(len(given)):
            value, low, count = given[t], 0, kept[m]
            while count > 1:  # without a branch on what was read
                half = count >> 1
                low = low if line[low + half - 1] >= value else low + half
                count -= half
            if count == 1 and not line[low] >= value:
                low += 1
            found[t] = low
    return out
