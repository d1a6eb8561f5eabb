"""The scoring rule of the Numenta Anomaly Benchmark (Lavin & Ahmad 2015, *Evaluating real-time anomaly detection algorithms*).

Written from the published rule: the first detection in a window earns the more the earlier it is, a
detection outside costs the more the farther it lies behind the last window, a window without one
costs its whole weight. Every detector here holds off after an alarm, the dummies too. The first 15 % of a file (at most 750 rows) are for learning and not scored.
Scores are set so that saying nothing is 0 and the perfect detector 100.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
FALSE_ALARM, MISS = 0.11, 1.0  # the standard profile
_TOP = 2 / (1 + np.exp(-5.0)) - 1


@dataclass(frozen=True, slots=True)
class Scored:
    """One file: a score per row, and windows as (first, last) row."""

    name: str
    scores: Floats
    windows: tuple[tuple[int, int], ...]

    @property
    def probation(self) -> int:
        """How many rows are for learning."""
        return int(min(0.15 * len(self.scores), 750))


def gains(file: Scored) -> tuple[Floats, npt.NDArray[np.int64]]:
    """What a detection at each row is worth, and which window it lies in (-1 for none)."""
    worth = np.full(len(file.scores), -FALSE_ALARM)
    window_of = np.full(len(file.scores), -1, dtype=np.int64)
    for number, (left, right) in enumerate(file.windows):
        width = right - left + 1
        rows = np.arange(left, right + 1)
        worth[rows] = _sigmoid(-(right - rows + 1) / width) / _TOP
        window_of[rows] = number
        until = file.windows[number + 1][0] if number + 1 < len(file.windows) else len(worth)
        behind = np.arange(right + 1, until)
        worth[behind] = FALSE_ALARM * _sigmoid((behind - right) / max(width - 1, 1))
    return worth, window_of


def _sigmoid(at: Floats) -> Floats:
    return np.where(at > 3.0, -1.0, 2 / (1 + np.exp(5 * np.minimum(at, 3.0))) - 1)


def alarms_of(file: Scored, threshold: float) -> npt.NDArray[np.int64]:
    """Rows that raise an alarm: after one the detector is silent for 3 % of the file, as an operator holds off."""
    hold, quiet, kept = int(0.03 * len(file.scores)), 0, []
    for row in np.flatnonzero(file.scores >= threshold).tolist():
        if row >= max(quiet, file.probation):
            kept.append(row)
            quiet = row + hold
    return np.array(kept, dtype=np.int64)


def raw(file: Scored, threshold: float) -> float:
    """The sum of gains at one threshold."""
    worth, window_of = gains(file)
    alarms = alarms_of(file, threshold)
    inside = window_of[alarms]
    found, first = np.unique(inside[inside >= 0], return_index=True)
    hits = alarms[inside >= 0][first]
    return float(worth[hits].sum() + worth[alarms[inside < 0]].sum() - MISS * (len(file.windows) - len(found)))


def normalised(files: Sequence[Scored], threshold: float) -> float:
    """The score of a set of files at one threshold: 0 for saying nothing, 100 for perfect."""
    windows = sum(len(f.windows) for f in files)
    return 100 * (sum(raw(f, threshold) for f in files) + MISS * windows) / (2 * windows) if windows else 0.0


def best_threshold(files: Sequence[Scored], most: int = 200) -> float:
    """The threshold that scores best on *files*, among quantiles of their scores and one above all."""
    seen = np.concatenate([f.scores[f.probation :] for f in files])
    seen = seen[np.isfinite(seen)]
    tried = np.unique(np.quantile(seen, 1 - np.geomspace(1e-5, 0.2, most)))
    return float(max([*tried, np.inf], key=lambda t: normalised(files, float(t))))


def by_folds(files: Sequence[Scored], folds: int = 5) -> tuple[float, tuple[float, float]]:
    """The score with each fold's threshold chosen on the others, and its 95 % interval by bootstrap over files."""
    at: dict[str, float] = {}
    for fold in range(folds):
        threshold = best_threshold([f for n, f in enumerate(files) if n % folds != fold])
        at |= {f.name: threshold for n, f in enumerate(files) if n % folds == fold}
    parts = np.array([[raw(f, at[f.name]) + MISS * len(f.windows), 2 * len(f.windows)] for f in files])
    random = np.random.default_rng(5)
    drawn = parts[random.integers(len(parts), size=(2000, len(parts)))].sum(axis=1)
    spread = 100 * drawn[:, 0] / np.maximum(drawn[:, 1], 1)
    low, high = np.quantile(spread, [0.025, 0.975])
    return float(100 * parts[:, 0].sum() / parts[:, 1].sum()), (float(low), float(high))
