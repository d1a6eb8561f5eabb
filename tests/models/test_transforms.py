from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trunkline.models.transforms import KINDS, Transforms


def kinds(*series: list[float]) -> list[str]:
    fitted = Transforms.fit(np.array(series), np.arange(len(series)))
    return [KINDS[k] for k in fitted.kind]


def test_each_kind_of_kpi_has_its_scale() -> None:
    assert kinds([1e6, 2e6, 0.0], [0.05, 0.3, 0.6], [99.1, 99.9, 98.0], [-110.0, -95.0, -80.0]) == [
        "logarithm",
        "logarithm",
        "logarithm of the shortfall",
        "as it is",
    ]


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float64, (3, 40), elements=st.floats(-1e5, 1e5)))
def test_back_undoes_forward(values: Any) -> None:
    values[0] = np.abs(values[0])
    values[2, :2] = (-1.0, 1.0)
    values[1] = 0.9 + 0.1 * np.abs(values[1]) / 1e5
    fitted = Transforms.fit(values, np.arange(3))

    again = fitted.back(fitted.forward(values))

    assert np.allclose(again, values, rtol=1e-6, atol=1e-6 * np.abs(values).max())


def test_a_spread_smaller_than_any_measurement_is_none() -> None:
    values = np.full((1, 40), 2e-311)
    values[0, :2] = (-1.0, 1.0)

    fitted = Transforms.fit(values, np.arange(1))

    assert np.allclose(fitted.back(fitted.forward(values)), values)


def test_a_thousandfold_unit_moves_the_logarithm_and_nothing_else() -> None:
    volume = np.random.default_rng(0).lognormal(3, 1, (1, 500))
    small, large = Transforms.fit(volume, np.array([0])), Transforms.fit(1000 * volume, np.array([0]))

    assert np.allclose(large.forward(1000 * volume) - small.forward(volume), np.log(1000))


def test_a_step_from_nothing_to_one_is_small_where_nothing_is_usual() -> None:
    drops = np.random.default_rng(0).poisson(0.5, (1, 500)).astype(float)
    fitted = Transforms.fit(drops, np.array([0]))

    assert np.diff(fitted.forward(np.array([[0.0, 1.0]])))[0, 0] < 1.0
