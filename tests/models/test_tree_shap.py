from __future__ import annotations

from itertools import combinations
from math import factorial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.made_trees import WIDTH, made_trees, odd_rows

from trunkline.core.errors import BadInput
from trunkline.models.flat_trees import FlatTrees


def expected(flat: FlatTrees, row: np.ndarray, known: frozenset[int]) -> float:
    """What is expected of *row* where only the features in *known* are: the definition, by going both ways."""
    way = flat._step(np.arange(len(flat.left), dtype=np.int32)[:, None], np.broadcast_to(row, (1, WIDTH)))[:, 0]

    def below(node: int) -> float:
        left, right = int(flat.left[node]), int(flat.right[node])
        if left == node:
            return float(flat.value[node])
        if int(flat.feature[node]) in known:
            return below(int(way[node]))
        return float((flat.cover[left] * below(left) + flat.cover[right] * below(right)) / flat.cover[node])

    return sum(below(int(root)) for root in flat.root)


def by_definition(flat: FlatTrees, row: np.ndarray) -> np.ndarray:
    """Shapley's formula over all sets of features."""
    out = np.zeros(WIDTH)
    for j in range(WIDTH):
        others = [f for f in range(WIDTH) if f != j]
        for size in range(WIDTH):
            for some in combinations(others, size):
                weight = factorial(size) * factorial(WIDTH - size - 1) / factorial(WIDTH)
                out[j] += weight * (expected(flat, row, frozenset({*some, j})) - expected(flat, row, frozenset(some)))
    return out


@given(st.integers(0, 100_000))
@settings(deadline=None, max_examples=25)
def test_contributions_are_shapleys_values(seed: int) -> None:
    flat, row = made_trees(seed, trees=3), odd_rows(seed, 1)[0]

    base, exact = flat.contributions(row)

    assert exact == pytest.approx(by_definition(flat, row), abs=1e-9)
    assert base == pytest.approx(expected(flat, row, frozenset()), abs=1e-9)
    assert base + exact.sum() == pytest.approx(flat.total(row[None, :])[0], abs=1e-9)


def test_ways_that_no_training_row_took_count_for_what_they_are() -> None:
    stump = {"root": [0], "feature": [0, 0, 0], "threshold": [1.0, np.inf, np.inf], "left": [1, 1, 2], "right": [2, 1, 2]}
    flat = FlatTrees.make(**stump, value=[-1.0, -1.0, 1.0], cover=[10, 10, 0])

    base, exact = flat.contributions(np.array([3.0]))

    assert (base, exact.tolist()) == (-1.0, [2.0])


def test_trees_of_an_earlier_version_say_that_they_cannot() -> None:
    flat = made_trees(0)
    arrays = {name: array for name, array in flat.arrays().items() if name != "trees.cover"}

    earlier = FlatTrees.from_arrays(arrays)

    assert earlier.total(odd_rows(0, 9)).tolist() == flat.total(odd_rows(0, 9)).tolist()
    with pytest.raises(BadInput, match="how many training rows"):
        earlier.contributions(odd_rows(0, 1)[0])
