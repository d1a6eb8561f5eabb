"""Random whole numbers that stay the same where their rate stays the same.

NumPy's own Poisson and binomial draws use up a varying amount of randomness, so one incident would
reshuffle the noise of every cell after it. Here each number has its own two random values, whatever
its rate: a network with an incident differs from the same network without it only where the incident
acts, and the difference of the two is what the incident cost.

Small means are drawn exactly by inversion; above :data:`_LARGE` the normal approximation with
the skewness term of Cornish and Fisher (1938) is used.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_LARGE = 12.0
_STEPS = 48  # P(Poisson(12) > 48) < 1e-14


def poisson(rng: np.random.Generator, mean: Floats) -> Floats:
    """Counts of independent happenings, *mean* expected.

    >>> float(poisson(np.random.default_rng(1), np.full(100_000, 3.0)).mean().round(2))
    2.99
    """
    normal, uniform = rng.standard_normal(mean.shape), rng.random(mean.shape)
    counts = np.maximum(np.rint(mean + np.sqrt(mean) * normal + (normal**2 - 1) / 6), 0.0)
    small = mean < _LARGE
    rate = mean[small]
    counts[small] = _invert(uniform[small], np.exp(-rate), lambda k, chance: chance * rate / (k + 1))
    return counts


def binomial(rng: np.random.Generator, tries: Floats, probability: Floats | float) -> Floats:
    """How many of *tries* (whole numbers) happen, each with *probability*.

    >>> float(binomial(np.random.default_rng(1), np.full(100_000, 50.0), np.full(100_000, 0.98)).mean().round(2))
    49.0
    """
    tries, probability = np.broadcast_arrays(tries, probability)
    normal, uniform = rng.standard_normal(tries.shape), rng.random(tries.shape)
    # The rarer side is drawn, so that a success rate near 1 is as exact as one near 0.
    flipped = probability > 0.5
    rare = np.where(flipped, 1 - probability, probability)
    mean = tries * rare
    counts: Floats = np.clip(np.rint(mean + np.sqrt(mean * (1 - rare)) * normal + (1 - 2 * rare) * (normal**2 - 1) / 6), 0, tries)
    small = mean < _LARGE
    n, p = tries[small], rare[small]
    odds = p / (1 - p)
    counts[small] = np.minimum(_invert(uniform[small], np.exp(n * np.log1p(-p)), lambda k, chance: chance * np.maximum(n - k, 0) / (k + 1) * odds), n)
    counts[flipped] = tries[flipped] - counts[flipped]
    return counts


def _invert(uniform: Floats, none: Floats, following: Callable[[int, Floats], Floats]) -> Floats:
    """The smallest count whose cumulative chance reaches *uniform*, from the chance of none and the one following each."""
    counts, chance, reached = np.zeros(uniform.shape), none.copy(), none.copy()
    for k in range(_STEPS):
        above = uniform > reached
        if not above.any():
            break
        counts += above
        chance = following(k, chance)
        reached += chance
    return counts
