"""A level that drifts and a slope that drifts, seen through noise: the local linear trend of many series at once.

With σ² the noise of a value, ``y = μ + ε``, ``μ' = μ + ν + η``, ``ν' = φ ν + ζ``, where η and ζ have the
variances ``level * σ²`` and ``slope * σ²`` (Harvey 1989, *Forecasting, Structural Time Series Models and the
Kalman Filter*, ch. 2.3 and 3.2; the damped slope: Gardner & McKenzie 1985, *Forecasting trends in time series*).

The ratios are weighed over a small grid: how common each is in the fleet is estimated from the likelihood of all
series together (the mixing distribution of Laird 1978, by EM), and each series then weighs them by its own
likelihood as well. Ratios its data cannot tell apart all stay, so that a short series does not pretend to know.
We differ from the textbook in two more ways: σ² is integrated out under an inverse gamma prior around the fleet's
(4 values' worth), so a short series has heavy tails; and the first slope is small to an extent that is weighed like
the ratios, where the textbook knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from trunkline.models.protocol import Floats

LEVEL = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
SLOPE = (0.0, 1e-4, 1e-3, 1e-2)
FIRST_SLOPE = (1e-3, 1e-2, 1e-1, 1.0)
"""Ratios to the noise that are tried: how the level drifts, how the slope drifts, how steep a series may begin."""
DAMPING = (1.0, 0.96)
"""What a step may leave of the slope: all of it, or half of it after 17 steps."""

NOISE_PRIOR = 4.0
"""Values that the fleet's noise counts for in the noise of one series."""
RATIO_PRIOR = 5.0
"""Series that "every ratio is as common" counts for in what is common in the fleet."""
KEPT = 50
"""Ratios drawn for each series from its weights; each stands for an equal share of them."""
_ROUNDS = 30  # of EM; the weights of a hundred series move by less than 1 % after
_AT_ONCE = 64  # series worked on in one step: tens of megabytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Filtered:
    """What a pass over (E, W) values leaves behind, for each of G ratios: shapes (G, E).

    ``mean`` (2, G, E) are level and slope after the last value, ``spread`` (3, G, E) their variances and, in the
    middle, their covariance in units of σ². ``squares`` sums v²/F, ``logs`` log F, over ``count`` (E,) values.
    """

    mean: Floats
    spread: Floats
    squares: Floats
    logs: Floats
    count: Floats


def kalman(values: Floats, ratios: Floats) -> Filtered:
    """Run the filter over (E, W) *values*, NaN where there is none, for each of the (G, 4) *ratios*: level, slope, first slope, damping.

    A series begins with its first value: the level is that value, as uncertain as its noise.

    >>> done = kalman(np.array([[1.0, 2.0, np.nan, 4.0]]), np.array([[0.0, 0.0, 1.0, 1.0]]))
    >>> done.mean[:, 0, 0].round(2).tolist(), done.count.tolist()
    ([3.71, 0.82], [2.0])
    """
    q_level, q_slope, first, damping = (ratios[:, j, None] for j in range(4))
    shape = (len(ratios), len(values))
    level, slope, p, c, r, squares, logs = (np.zeros(shape) for _ in range(7))
    began, count = np.zeros(len(values), dtype=np.bool_), np.zeros(len(values))
    for now in values.T:
        level, slope = level + slope, damping * slope
        p, c, r = p + 2 * c + r + q_level, damping * (c + r), damping**2 * r + q_slope
        known = np.isfinite(now)
        begins, goes_on = known & ~began, known & began
        error = np.where(goes_on, now - level, 0.0)
        size = p + 1.0
        gain = np.where(goes_on, p / size, 0.0), np.where(goes_on, c / size, 0.0)
        level, slope = level + gain[0] * error, slope + gain[1] * error
        r = r - gain[1] * c
        c = c - gain[0] * c
        p = p - gain[0] * p
        squares += error**2 / size
        logs += np.where(goes_on, np.log(size), 0.0)
        count += goes_on
        level, slope = np.where(begins, now, level), np.where(begins | ~(began | known), 0.0, slope)
        p, c, r = np.where(begins, 1.0, p), np.where(begins, 0.0, c), np.where(begins, first, r)
        began |= known
    return Filtered(mean=np.stack([level, slope]), spread=np.stack([p, c, r]), squares=squares, logs=logs, count=count)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTrend:
    """E series at their last week, each under M ratios that are equally likely for it.

    ``ratios`` (4, M, E); ``mean`` (2, M, E) and ``spread`` (3, M, E) as in :class:`Filtered`; ``noise`` (M, E) is
    σ², ``freedom`` (E,) on how many values it rests.
    """

    ratios: Floats
    mean: Floats
    spread: Floats
    noise: Floats
    freedom: Floats

    @classmethod
    def fit(cls, values: Floats, *, damping: float | None = None, least_noise: float = 0.0) -> Self:
        """Learn from (E, W) *values* of equally spaced times, NaN where there is none.

        Parameters
        ----------
        damping
            What is left of the slope after one step; where left out, weighed like the ratios.
        least_noise
            No series is taken to be less noisy (a variance), so that a constant one is no certainty.
        """
        grid = np.array(list(product(LEVEL, SLOPE, FIRST_SLOPE, DAMPING if damping is None else (damping,))))
        usual = max(_rough_noise(values), least_noise, float(np.finfo(np.float64).tiny))
        done = join([kalman(values[at : at + _AT_ONCE], grid) for at in range(0, max(len(values), 1), _AT_ONCE)])
        weights = shared(-0.5 * (done.count + NOISE_PRIOR) * np.log(NOISE_PRIOR * usual + done.squares) - 0.5 * done.logs)
        kept = spread_out(weights, KEPT)
        noise = np.maximum((NOISE_PRIOR * usual + done.squares) / (NOISE_PRIOR + done.count), least_noise)
        return cls(
            ratios=np.moveaxis(grid[kept], -1, 0),
            mean=np.take_along_axis(done.mean, kept[None], axis=1),
            spread=np.take_along_axis(done.spread, kept[None], axis=1),
            noise=np.take_along_axis(noise, kept, axis=0),
            freedom=NOISE_PRIOR + done.count,
        )

    def expected(self) -> Floats:
        """(2, E): level and slope now, over all ratios."""
        return np.asarray(self.mean.mean(axis=1))

    def of(self, part: slice) -> LocalTrend:
        """Some of the series alone."""
        return LocalTrend(**{name: getattr(self, name)[..., part] for name in _ARRAYS})

    def paths(self, steps: int, *, paths: int, seed: int) -> Floats:
        """(paths, E, steps) values to come, drawn at random.

        All series are given the same draws, so what one is forecast does not depend on who else is there, and a
        longer forecast begins with the shorter one.
        """
        half = (paths + 1) // 2
        begin, later = np.random.default_rng([seed, 7]).standard_normal((3, half)), np.random.default_rng([seed, 11]).standard_normal((steps, 3, half))
        begin, later = np.concatenate([begin, -begin], axis=-1), np.concatenate([later, -later], axis=-1)
        which = np.tile(np.arange(half) * self.noise.shape[0] // half, 2)  # the ratio each path lives under
        # σ² of each path: freedom / chi-squared, by the cube root of Wilson & Hilferty (1931)
        small = 2.0 / (9.0 * self.freedom)
        shrunk = np.maximum(1.0 - small + np.sqrt(small) * begin[2, :, None], 0.1) ** 3
        sigma = np.sqrt(self.noise[which] / shrunk)
        (p, c, r), (level, slope) = self.spread[:, which], self.mean[:, which]
        root = np.sqrt(p)
        across = np.divide(c, root, out=np.zeros_like(c), where=root > 0)
        level = level + sigma * root * begin[0, :, None]
        slope = slope + sigma * (across * begin[0, :, None] + np.sqrt(np.maximum(r - across**2, 0.0)) * begin[1, :, None])
        drift, turn = sigma * np.sqrt(self.ratios[0, which]), sigma * np.sqrt(self.ratios[1, which])
        left = self.ratios[3, which]
        out = np.empty((2 * half, self.noise.shape[1], steps))
        for step, (of_level, of_slope, of_value) in enumerate(later):
            level = level + slope + drift * of_level[:, None]
            slope = left * slope + turn * of_slope[:, None]
            out[..., step] = level + sigma * of_value[:, None]
        return out

    def pieces(self) -> list[tuple[slice, LocalTrend]]:
        """The series in portions that can be simulated at once."""
        count = self.noise.shape[1]
        return [(part, self.of(part)) for part in (slice(at, min(at + _AT_ONCE, count)) for at in range(0, count, _AT_ONCE))]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything as flat arrays."""
        return {f"trend_{name}": getattr(self, name) for name in _ARRAYS}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """What :meth:`arrays` gave."""
        return cls(**{name: arrays[f"trend_{name}"] for name in _ARRAYS})


_ARRAYS = ("ratios", "mean", "spread", "noise", "freedom")


def join(parts: Sequence[Filtered]) -> Filtered:
    """Passes over different series as one."""
    return Filtered(**{f.name: np.concatenate([getattr(part, f.name) for part in parts], axis=-1) for f in fields(Filtered)})


def shared(likely: Floats) -> Floats:
    """(G, E) weights of G ratios for each of E series, from their log-likelihoods and from what is common in the fleet.

    >>> shared(np.array([[0.0, 0.0, 0.0, 0.0], [-9.0, -9.0, -9.0, -1.0]])).round(2).tolist()
    [[1.0, 1.0, 1.0, 0.87], [0.0, 0.0, 0.0, 0.13]]
    """
    if likely.shape[1] == 0:
        return np.zeros_like(likely)
    own = np.exp(likely - likely.max(axis=0))
    common = np.full(len(likely), 1.0 / len(likely))
    for _ in range(_ROUNDS):
        weights = common[:, None] * own
        weights /= weights.sum(axis=0)
        common = (weights.sum(axis=1) + RATIO_PRIOR / len(likely)) / (likely.shape[1] + RATIO_PRIOR)
    weights = common[:, None] * own
    return np.asarray(weights / weights.sum(axis=0))


def spread_out(weights: Floats, count: int) -> npt.NDArray[np.int64]:
    """(count, E) places of (G, E) weights, each as often as its weight asks, in rising order.

    >>> spread_out(np.array([[0.5, 0.0], [0.25, 1.0], [0.25, 0.0]]), 4).T.tolist()
    [[0, 0, 1, 2], [1, 1, 1, 1]]
    """
    at = (np.arange(count) + 0.5) / count
    places = [np.searchsorted(up_to[:-1], at) for up_to in np.cumsum(weights, axis=0).T]
    return np.stack(places, axis=1) if places else np.zeros((count, 0), dtype=np.int64)


def _rough_noise(values: Floats) -> float:
    """The median over series of half the median squared step: the scale of the noise, whatever the trend; 0 where there are no steps."""
    steps = np.diff(values, axis=1) ** 2
    of_series = [float(np.median(own[np.isfinite(own)])) for own in steps if np.isfinite(own).any()]
    return float(np.median(of_series)) if of_series else 0.0
