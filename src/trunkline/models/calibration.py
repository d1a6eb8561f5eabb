"""How unusual is this, for this series? Tail probabilities of a strangeness statistic against its own past.

Up to the top two per cent the tail probability is the conformal rank ``(r + 1) / (n + 1)`` (Vovk, Gammerman
& Shafer 2005, *Algorithmic Learning in a Random World*), with r the past values at least as large. Beyond, a
generalised Pareto tail is fitted to the excesses (Pickands 1975; as streams of metrics use it: Siffer et al.
2017, *Anomaly detection in streams with extreme value theory*), because a rank cannot tell two record values
apart and an alarm queue must. Scale and shape come from probability-weighted moments (Hosking & Wallis 1987).
We differ in two ways: the shape, which twenty excesses cannot tell, is shrunk towards that of all series
together, and it is kept in [0.15, 0.5], so that no value reaches probability zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from trunkline.core.extras import is_fast
from trunkline.models.protocol import Floats

TOP = 0.02
"""The share of the past beyond which the fitted tail takes over from ranks."""

_GRID = 512  # past values kept per series; a longer past is kept as that many of its order statistics
_LEAST = 500  # below so many past values (ten in the top share) the past of all series helps out
_LONG = 64  # values of one line from which a binary search for each line is the faster
_POOL = 200.0  # excesses that weigh as much as the shape of all series together
_SHAPE = (0.15, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """Tail probabilities of S series, each against its own past.

    ``levels`` (S + 1, 512) hold past values in rising order, NaN behind the last; the last row is the pool of
    all series. ``count`` says how many past values there were, ``threshold``, ``scale`` and ``shape`` are the
    generalised Pareto tail beyond ``threshold``, which a share ``beyond`` of the past exceeded.
    """

    levels: Floats
    count: Floats
    threshold: Floats
    beyond: Floats
    scale: Floats
    shape: Floats

    @classmethod
    def fit(cls, values: npt.ArrayLike, *, top: float = TOP) -> Self:
        """Learn the past of S series.

        Parameters
        ----------
        values
            (S, N) or (N,) strangeness, larger is stranger, NaN where there is none.
        top
            Share of the past that the fitted tail describes.

        Examples
        --------
        >>> past = np.random.default_rng(0).exponential(size=2000)
        >>> tail = Tail.fit(past)
        >>> [f"{p:.0e}" for p in tail.p([0.0, 1.0, 10.0, 20.0])[0]]
        ['1e+00', '4e-01', '3e-04', '6e-06']
        """
        past = np.atleast_2d(np.asarray(values, dtype=np.float64))
        pool = _thinned(past)
        both = [*past, pool]
        levels = np.full((len(both), _GRID), np.nan)
        count, threshold, beyond, scale, shape = (np.zeros(len(both)) for _ in range(5))
        excesses = np.zeros(len(both))
        for s, series in enumerate(both):
            ordered = np.sort(series[np.isfinite(series)])
            count[s] = n = len(ordered)
            if n == 0:
                continue
            kept = ordered if n <= _GRID else ordered[np.linspace(0, n - 1, _GRID).round().astype(np.int64)]
            levels[s, : len(kept)] = kept
            threshold[s] = ordered[min(n - 1, int(np.ceil(n * (1.0 - top))))]
            over = ordered[ordered > threshold[s]] - threshold[s]
            excesses[s] = len(over)
            beyond[s] = (len(over) + 1.0) / (n + 1.0)
            scale[s], shape[s] = _pareto(over)
        shape = (excesses * shape + _POOL * shape[-1]) / (excesses + _POOL)
        shape = np.clip(shape, *_SHAPE)
        # A mean excess, kept, fixes the scale anew for the shrunk shape; a series without excesses has the pool's.
        mean = np.where(excesses >= 3, scale, scale[-1])
        scale = np.maximum(np.where(mean > 0.0, mean, 1.0) * (1.0 - shape), 1e-9)
        return cls(levels=levels, count=count, threshold=threshold, beyond=beyond, scale=scale, shape=shape)

    def p(self, values: npt.ArrayLike, series: npt.ArrayLike | None = None) -> Floats:
        """Tail probability of each value in (0, 1], NaN for NaN; never rising in the value.

        Parameters
        ----------
        values
            (M, T) or (T,), row m belonging to series ``series[m]``.
        series
            Which series each row is of; the first M where left out. -1 is the pool of all, for one never seen.
        """
        given = np.atleast_2d(np.asarray(values, dtype=np.float64))
        of = np.arange(len(given)) if series is None else np.atleast_1d(np.asarray(series, dtype=np.int64))
        own = self._p_of(given, of)
        helped = np.where(of == -1, 0.0, np.maximum(0.0, 1.0 - self.count[of] / _LEAST))
        some = np.flatnonzero(helped > 0.0)
        if some.size:
            share = helped[some, None]
            own[some] = (1.0 - share) * own[some] + share * self._p_of(given[some], np.full(len(some), -1))
        return own

    def arrays(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """The tail as flat arrays called ``name.levels`` and so on, for a model file."""
        return {f"{name}.{part}": getattr(self, part) for part in self.__slots__}

    @classmethod
    def from_arrays(cls, name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """The tail that :meth:`arrays` wrote under *name*."""
        return cls(**{part: arrays[f"{name}.{part}"] for part in cls.__slots__})

    def _p_of(self, values: Floats, of: npt.NDArray[np.int64]) -> Floats:
        count, threshold, beyond = (part[of][:, None] for part in (self.count, self.threshold, self.beyond))
        kept = np.minimum(count, _GRID)
        reached = kept - self._smaller(values, of, kept[:, 0].astype(np.int64))
        p = np.maximum((reached * (count / np.maximum(kept, 1.0)) + 1.0) / (count + 1.0), beyond)
        far, at = np.nonzero(values > threshold)  # few of them: a power costs as much as all the rest
        of_far = of[far]
        with np.errstate(over="ignore"):
            excess = self.shape[of_far] * np.maximum(values[far, at] - self.threshold[of_far], 0.0) / self.scale[of_far]
            p[far, at] = np.minimum(self.beyond[of_far] * (1.0 + excess) ** (-1.0 / self.shape[of_far]), self.beyond[of_far])
        p = np.where(count > 0.0, np.maximum(p, np.finfo(np.float64).tiny), 1.0)
        return np.where(np.isnan(values), np.nan, p)

    def _smaller(self, values: Floats, of: npt.NDArray[np.int64], kept: npt.NDArray[np.int64]) -> Floats:
        """How many kept levels are smaller than each value: line by line where lines are long, else all at once."""
        if is_fast():
            from trunkline.models.tail_kernel import smaller

            return smaller(self.levels, of, kept, values)
        if values.shape[1] > _LONG:
            return np.array([np.searchsorted(self.levels[s, :k], line) for s, k, line in zip(of, kept, values, strict=True)], np.float64).reshape(values.shape)
        low = np.zeros(values.shape, dtype=np.int64)
        high = np.repeat(kept[:, None], values.shape[1], axis=1)
        line = of[:, None]
        while (low < high).any():
            middle = (low + high) // 2
            less = (low < high) & (self.levels[line, np.minimum(middle, _GRID - 1)] < values)
            low, high = np.where(less, middle + 1, low), np.where(less, high, np.minimum(middle, high))
        return low.astype(np.float64)


def _thinned(past: Floats, most: int = 200_000) -> Floats:
    """All finite values together, every k-th of them where there are very many."""
    flat = past[np.isfinite(past)]
    return flat[:: max(1, len(flat) // most)]


def _pareto(over: Floats) -> tuple[float, float]:
    """Mean excess and shape of a generalised Pareto tail, by probability-weighted moments; *over* rises."""
    n = len(over)
    if n < 3:
        return 0.0, 0.25
    mean = float(over.mean())
    weighted = float((over * (n - np.arange(1, n + 1) + 0.35) / n).mean())
    if mean <= 0.0 or mean <= 2.0 * weighted:
        return mean, 0.5
    return mean, 2.0 - mean / (mean - 2.0 * weighted)
