"""Scoring one slot of a whole network, compiled: one pass over the values and over what is usual in this hour."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trunkline.core.compiled import compiled

Floats = npt.NDArray[np.float64]


@compiled
def farthest(values: Floats, usual: npt.NDArray[np.float32], width: npt.NDArray[np.float32], far: Floats, known: Floats) -> None:
    """Arguments as in :func:`trunkline.models.hour_of_week.farthest`; *far* and *known* are filled."""
    far[:], known[:] = -1.0, 0.0
    for c in range(len(values)):
        now, middle, wide = values[c], usual[c], width[c]
        for e in range(len(far)):
            away = abs(now[e] - np.float64(middle[e])) / np.float64(wide[e])
            far[e] = max(far[e], away) if away >= 0.0 else far[e]
            known[e] += away >= 0.0
