"""Medians by place: the network against NumPy's own words for the same thing."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import SOAK

from trunkline.models.medians import _network, by_place


@pytest.mark.parametrize("fast", ["0", "1"])
@settings(max_examples=60 * SOAK, deadline=None)
@given(seed=st.integers(0, 10_000), slots=st.integers(0, 90), places=st.integers(1, 12), gaps=st.floats(0, 1))
def test_each_place_has_the_median_and_the_deviation_numpy_gives(fast: str, seed: int, slots: int, places: int, gaps: float) -> None:
    random = np.random.default_rng(seed)
    y = np.round(random.normal(size=(3, slots)), 1)
    y[random.random(y.shape) < gaps] = np.nan
    y[random.random(y.shape) < 0.05] = np.inf
    place = random.integers(0, places, slots)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRUNKLINE_FAST", fast)
        usual = by_place(y, place, places)

    finite = np.where(np.isfinite(y), y, np.nan)
    for b in range(places):
        own = finite[:, place == b]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            median = np.nanmedian(own, axis=1) if own.size else np.full(3, np.nan)
            mad = np.nanmedian(np.abs(own - median[:, None]), axis=1) if own.size else np.full(3, np.nan)
        np.testing.assert_array_equal(usual.median[:, b], median)
        np.testing.assert_array_equal(usual.mad[:, b], mad)
        np.testing.assert_array_equal(usual.known[:, b], np.isfinite(own).sum(axis=1))


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 8, 9, 12])
def test_the_network_sorts_every_row_of_zeros_and_ones_and_so_everything(rows: int) -> None:
    near = (np.arange(2**rows)[:, None] >> np.arange(rows)) & 1
    for low, high in zip(*_network(rows), strict=True):
        near[:, [low, high]] = np.sort(near[:, [low, high]], axis=1)

    assert (np.diff(near, axis=1) >= 0).all()


def test_where_more_values_share_a_place_than_the_network_takes_the_answer_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    y, place = np.random.default_rng(1).normal(size=(2, 1500)), np.zeros(1500, np.int64)
    plain = by_place(y, place, 1)
    monkeypatch.setenv("TRUNKLINE_FAST", "0")

    assert all((a == b).all() for a, b in zip(plain, by_place(y, place, 1), strict=True))
