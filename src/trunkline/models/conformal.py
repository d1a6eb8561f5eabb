"""How wide a forecast's interval must be: margins that held their promise over the past, day by day.

Each day of the past, seven days are forecast with what was known then; the errors, in scales of their hour,
give the quantiles below and above. The level asked for is adapted day by day to what was held (Gibbs & Candès
2021, *Adaptive conformal inference under distribution shift*), because plain split conformal intervals cover
.86 where .90 was asked for on growing traffic.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trunkline.core.extras import is_fast
from trunkline.models.protocol import Floats
from trunkline.models.walking import DAYS, Walk

AHEAD = 7
"""Days forecast from each origin."""

_RECENT = 70  # origins whose errors count
_LEAST = 21  # origins needed before the level is adapted
_RATE = 0.02
_CHUNK = 64  # series at a time
_BINS, _REACH = 240, 12.0  # counted from -12 to 12 scales
_EXTRA = 0.01  # origins overlap and know little of the next: ask for a point more


def margins(past: Walk, x: Floats, hour: npt.NDArray[np.int64], y: Floats, *, slots_per_day: int, level: float) -> Floats:
    """(S, 7, 2) factors of the scale below and above the forecast, for 1 to 7 days ahead.

    Without enough past they are those of a normal error, doubled.
    """
    series = len(y)
    out = np.full((series, AHEAD, 2), 3.3)
    if past.path is None:
        return out
    days = len(past.path)
    scale = past.scale[:, hour]
    first = max(DAYS[1] + 7, days - _RECENT - AHEAD)
    origins = [d for d in range(first, days) if (d + 1) * slots_per_day <= y.shape[1]]
    if len(origins) < 7:
        return out
    for begin in range(0, series, _CHUNK):
        some = slice(begin, min(begin + _CHUNK, series))
        errors = np.full((some.stop - begin, len(origins), AHEAD, slots_per_day), np.nan)
        for i, origin in enumerate(origins):
            start = origin * slots_per_day
            stop = min(start + AHEAD * slots_per_day, y.shape[1])
            forecast = past.path[origin, some, :-1] @ x[start:stop].T + past.path[origin, some, -1:]
            error = (y[some, start:stop] - forecast) / scale[some, start:stop]
            whole = (stop - start) // slots_per_day
            errors[:, i, :whole] = error[:, : whole * slots_per_day].reshape(-1, whole, slots_per_day)
        enough = np.isfinite(errors).sum(axis=(1, 3)) >= 7 * min(slots_per_day, 4)
        out[some] = np.where(enough[..., None], _adapted(errors, level), out[some])
    return np.maximum.accumulate(out, axis=1)  # further ahead is never surer


def _adapted(errors: Floats, level: float) -> Floats:
    """(S, A, 2) margins from (S, origins, A, slots) errors; the errors of a lead of a days are known a days later.

    Errors are counted in bins of a tenth of a scale, so that all series move through the days together.
    """
    edges = np.linspace(-_REACH, _REACH, _BINS + 1)
    if is_fast():
        from trunkline.models.conformal_kernel import adapted

        limits = np.zeros((len(errors), errors.shape[2], 2), np.int64)
        adapted(errors, edges, 1.0 - min(level + _EXTRA, 0.999), _RATE, _LEAST, limits)
        return np.stack([np.maximum(0.0, -edges[limits[..., 0]]), np.maximum(0.0, edges[limits[..., 1] + 1])], axis=-1)
    place = np.clip(np.searchsorted(edges, np.nan_to_num(errors)) - 1, 0, _BINS - 1)
    series, origins, leads, slots = errors.shape
    counts = np.zeros((series * origins * leads, _BINS), dtype=np.int32)
    known = np.isfinite(errors).reshape(-1, slots)
    line = np.broadcast_to(np.arange(len(counts))[:, None], known.shape)
    np.add.at(counts, (line[known], place.reshape(-1, slots)[known]), 1)
    below = counts.reshape(series, origins, leads, _BINS).cumsum(axis=3, dtype=np.int32)  # how many at or below each bin, by origin
    past = below.cumsum(axis=1, dtype=np.int32)
    aim = 1.0 - min(level + _EXTRA, 0.999)
    miss = np.full((series, leads), aim)
    lead = np.arange(leads)
    for i in range(_LEAST, origins):
        until = i - 1 - lead
        seen = past[:, until, lead]
        low, high = _limits(seen, miss)
        total = below[:, i, :, -1]
        inside = np.take_along_axis(below[:, i], high[..., None], axis=2)[..., 0] - np.where(
            low > 0, np.take_along_axis(below[:, i], np.maximum(low - 1, 0)[..., None], axis=2)[..., 0], 0
        )
        outside = 1.0 - inside / np.maximum(total, 1)
        miss = np.where((total > 0) & (seen[..., -1] >= 24), np.clip(miss + _RATE * (aim - outside), 0.005, 0.5), miss)
    low, high = _limits(past[:, -1], miss)
    return np.stack([np.maximum(0.0, -edges[low]), np.maximum(0.0, edges[high + 1])], axis=-1)


def _limits(counts: npt.NDArray[np.int32], miss: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The bins in which the lower and upper quantile of cumulated *counts* (S, A, bins) lie."""
    total = counts[..., -1:]
    low = (counts >= np.floor(total * (miss / 2)[..., None])).argmax(axis=-1)
    high = (counts >= np.ceil(total * (1.0 - miss / 2)[..., None])).argmax(axis=-1)
    return low, high
