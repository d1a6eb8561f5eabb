"""Whole random numbers have the right distribution and their own randomness."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from trunkline.simulator.chance import binomial, poisson


@pytest.mark.parametrize("mean", [0.05, 0.7, 4.0, 11.9, 12.1, 60.0, 4000.0])
def test_poisson_counts_have_the_mean_and_the_spread_of_a_poisson(mean: float) -> None:
    drawn = poisson(np.random.default_rng(1), np.full(200_000, mean))

    assert abs(drawn.mean() - mean) < 4 * np.sqrt(mean / 200_000) + 0.002 * mean
    assert drawn.var() == pytest.approx(mean, rel=0.04)
    assert stats.poisson(mean).ppf(0.999) == pytest.approx(np.quantile(drawn, 0.999), abs=1 + 0.01 * mean)


@pytest.mark.parametrize(("tries", "probability"), [(1, 0.3), (20, 0.02), (500, 0.99), (500, 0.5), (3000, 0.997), (0, 0.5), (10, 0.0), (10, 1.0)])
def test_binomial_counts_have_the_mean_and_the_spread_of_a_binomial(tries: int, probability: float) -> None:
    drawn = binomial(np.random.default_rng(1), np.full(200_000, float(tries)), probability)
    known = stats.binom(tries, probability)

    assert drawn.min() >= 0
    assert drawn.max() <= tries
    assert abs(drawn.mean() - known.mean()) < 4 * known.std() / np.sqrt(200_000) + 0.002 * known.std() + 1e-9
    assert drawn.var() == pytest.approx(known.var(), rel=0.04, abs=1e-9)


def test_a_changed_rate_changes_no_other_number() -> None:
    rates = np.full((3, 50), 7.0)
    changed = rates.copy()
    changed[1, 10:20] = 300.0

    before, after = poisson(np.random.default_rng(2), rates), poisson(np.random.default_rng(2), changed)

    differs = before != after
    assert differs[1, 10:20].all()
    assert differs.sum() == 10
