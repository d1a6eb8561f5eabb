from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trunkline.models.calibration import Tail

PAST = np.random.default_rng(3).exponential(size=(3, 1500))


def test_new_values_of_the_same_kind_get_uniform_tail_probabilities() -> None:
    tail = Tail.fit(PAST)
    new = np.random.default_rng(4).exponential(size=(3, 20_000))

    p = tail.p(new)

    for level in (0.5, 0.1, 0.02, 0.005):
        assert abs((p <= level).mean() - level) < 0.35 * level


def test_in_the_body_the_probability_is_the_rank() -> None:
    tail = Tail.fit(np.arange(100.0))

    p = tail.p([0.0, 50.0, 90.0])[0]

    assert np.allclose(p, [1.0, 51 / 101, 11 / 101])


def test_values_far_beyond_the_past_are_told_apart_far_below_one_in_n() -> None:
    tail = Tail.fit(PAST[:1])

    p = tail.p([10.0, 15.0, 30.0, 100.0])[0]

    assert (np.diff(p) < 0).all()
    assert p[-1] < 1e-6
    assert p[-1] > 0


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float64, st.integers(1, 300), elements=st.floats(-1e6, 1e6)), hnp.arrays(np.float64, 20, elements=st.floats(-1e7, 1e7)))
def test_a_stranger_value_never_has_a_larger_probability(past: Any, values: Any) -> None:
    p = Tail.fit(past).p(np.sort(values))[0]

    assert (p > 0).all()
    assert (p <= 1).all()
    assert (np.diff(p) <= 1e-12).all()


def test_a_missing_value_has_no_probability_and_missing_past_is_ignored() -> None:
    past = np.where(np.arange(1500) % 7 == 0, np.nan, PAST[0])

    tail = Tail.fit(past)

    assert tail.count[0] == np.isfinite(past).sum()
    assert np.isnan(tail.p([np.nan])[0, 0])


def test_a_short_past_leans_on_that_of_all_series() -> None:
    short = np.full(1500, np.nan)
    short[:20] = PAST[0, :20]

    tail = Tail.fit(np.vstack([short, PAST]))

    assert tail.p([[20.0]], [0])[0, 0] < 0.005  # twenty values alone could not say less than 1 in 21


def test_a_series_without_a_past_is_judged_by_the_pool() -> None:
    tail = Tail.fit(np.vstack([np.full(1500, np.nan), PAST]))

    assert tail.p([[6.0]], [0])[0, 0] < 0.01


def test_a_constant_past_makes_the_constant_usual_and_any_rise_strange() -> None:
    tail = Tail.fit(np.zeros(800))

    p = tail.p([0.0, 1.0])[0]

    assert p[0] == 1.0
    assert p[1] < 0.01


def test_many_series_are_each_held_against_their_own_past() -> None:
    tail = Tail.fit(np.vstack([PAST[0], 100.0 * PAST[0]]))

    p = tail.p([[5.0], [500.0]])

    assert np.isclose(p[0, 0], p[1, 0], rtol=1e-6)


def test_arrays_restore_the_same_tail() -> None:
    tail = Tail.fit(PAST)
    values = np.linspace(0, 30, 50)

    again = Tail.from_arrays("t", tail.arrays("t"))

    assert np.array_equal(again.p(np.tile(values, (3, 1))), tail.p(np.tile(values, (3, 1))))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000))
def test_a_few_values_are_judged_as_among_many(seed: int) -> None:
    random = np.random.default_rng(seed)
    tail = Tail.fit(np.round(random.exponential(size=(4, 700)), 1))
    values = np.round(random.exponential(2.0, size=(4, 200)), 1)

    many = tail.p(values)
    few = np.hstack([tail.p(values[:, i : i + 5]) for i in range(0, 200, 5)])

    assert np.array_equal(many, few)


def test_compiled_and_plain_tails_are_equal_to_the_last_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(4)
    past = np.round(random.exponential(size=(5, 700)), 2)
    past[1, 300:], past[2], past[3, 5:] = np.nan, np.nan, np.nan
    tail = Tail.fit(past)
    for width in (3, 200):
        values = np.round(random.exponential(3, size=(7, width)), 2)
        values[0, 1] = np.nan
        series = np.array([0, 1, 2, 3, 4, -1, 0])
        monkeypatch.setenv("TRUNKLINE_FAST", "1")
        compiled = tail.p(values, series)
        monkeypatch.setenv("TRUNKLINE_FAST", "0")

        np.testing.assert_array_equal(compiled, tail.p(values, series))
