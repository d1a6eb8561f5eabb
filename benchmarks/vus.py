"""Volume under the surface for precision and recall (Paparrizos et al. 2022, *Volume Under the Surface*).

Labels are widened on both sides by a falling weight, the area under precision and recall is taken
for each width, and the areas are averaged. A row that is nearly right counts nearly as much.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def vus_pr(scores: Floats, labels: npt.NDArray[np.bool_], *, widest: int = 100, widths: int = 11, thresholds: int = 60) -> float:
    """VUS-PR of *scores* against *labels*; NaN where nothing is labelled. Missing scores count as the lowest.

    >>> vus_pr(np.array([0.0, 0.0, 1.0, 0.0]), np.array([False, False, True, False]), widest=0, widths=1)
    1.0
    """
    if not labels.any():
        return float("nan")
    known = np.where(np.isfinite(scores), scores, np.nanmin(scores, initial=0.0) - 1)
    cuts = np.unique(np.quantile(known, np.linspace(0, 1, thresholds)))[::-1]
    return float(np.mean([_area(known, labels, int(width), cuts) for width in np.linspace(0, widest, widths)]))


def _area(scores: Floats, labels: npt.NDArray[np.bool_], width: int, cuts: Floats) -> float:
    soft = widened(labels, width)
    positives = (labels.sum() + soft.sum()) / 2
    bounds = np.flatnonzero(np.diff(np.concatenate([[0], (soft > 0).astype(int), [0]])))
    segments = list(zip(bounds[::2], bounds[1::2], strict=True))
    recall, precision = [0.0], [1.0]
    for cut in cuts:
        said = scores >= cut
        hit = float(soft[said].sum())
        exists = np.mean([said[a:b].any() for a, b in segments])
        recall.append(min(hit / positives, 1.0) * exists)
        precision.append(hit / said.sum())
    return float(np.sum(np.diff(recall) * np.array(precision[1:])))


def widened(labels: npt.NDArray[np.bool_], width: int) -> Floats:
    """1 on labelled rows, falling as a square root to 0 within half of *width* on either side.

    >>> widened(np.array([False, False, True, False, False]), 4).round(2).tolist()
    [0.0, 0.71, 1.0, 0.71, 0.0]
    """
    soft = labels.astype(np.float64)
    half = width // 2
    if half == 0:
        return soft
    edges = np.diff(np.concatenate([[0], labels.astype(int), [0]]))
    for first, end in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        for step in range(1, half + 1):
            weight = np.sqrt(1 - step / half) if step < half else 0.0
            for row in (first - step, end - 1 + step):
                if 0 <= row < len(soft):
                    soft[row] = max(soft[row], weight)
    return soft
