"""Margins that adapt: the compiled days against the plain ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import SOAK

from trunkline.models.conformal import _adapted


@settings(max_examples=20 * SOAK, deadline=None)
@given(seed=st.integers(0, 10_000), origins=st.integers(7, 40), gaps=st.sampled_from([0.0, 0.3, 1.0]), spread=st.sampled_from([0.1, 3.0, 12.0]))
def test_compiled_and_plain_margins_are_equal_to_the_last_bit(seed: int, origins: int, gaps: float, spread: float) -> None:
    random = np.random.default_rng(seed)
    errors = np.round(random.normal(0, spread, (3, origins, 7, 6)), 1)  # many lie on an edge of a bin
    errors[random.random(errors.shape) < gaps] = np.nan
    errors[random.random(errors.shape) < 0.01] = np.inf

    compiled = _adapted(errors, 0.9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRUNKLINE_FAST", "0")
        plain = _adapted(errors, 0.9)

    np.testing.assert_array_equal(compiled, plain)
