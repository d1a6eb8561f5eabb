from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.models.flat_trees import MISSING_NAN, MISSING_ZERO, FlatTrees


def stump(*, missing: int = 0, to_left: bool = False) -> FlatTrees:
    """Up to and including 1.0 goes left and gives -1, above gives +1."""
    return FlatTrees.make(
        root=[0],
        feature=[0, 0, 0],
        threshold=[1.0, np.inf, np.inf],
        left=[1, 1, 2],
        right=[2, 1, 2],
        value=[0.25, -1.0, 1.0],
        missing=[missing, 0, 0],
        to_left=[to_left, False, False],
    )


def test_the_threshold_itself_goes_left() -> None:
    assert stump().total(np.array([[0.9], [1.0], [1.1]])).tolist() == [-1.0, -1.0, 1.0]


def test_a_missing_value_goes_where_the_tree_says() -> None:
    gap, zero = np.array([[np.nan]]), np.array([[0.0]])

    assert stump().total(gap).tolist() == [-1.0]  # taken as 0
    assert stump(missing=MISSING_NAN, to_left=False).total(gap).tolist() == [1.0]
    assert stump(missing=MISSING_NAN, to_left=False).total(zero).tolist() == [-1.0]
    assert stump(missing=MISSING_ZERO, to_left=False).total(zero).tolist() == [1.0]
    assert stump(missing=MISSING_ZERO, to_left=False).total(gap).tolist() == [1.0]


def test_shares_add_up_to_the_way_from_root_to_leaf() -> None:
    assert stump().shares(np.array([3.0])).tolist() == [0.75]


@given(st.integers(1, 50), st.integers(0, 20))
@settings(deadline=None, max_examples=20)
def test_blocks_of_rows_give_what_single_rows_give(rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(1.0, 1.0, (rows, 1))
    tree = stump(missing=MISSING_NAN)

    assert tree.total(x).tolist() == [tree.total(row[None, :])[0] for row in x]


def test_arrays_bring_the_same_trees_back() -> None:
    again = FlatTrees.from_arrays(stump(missing=MISSING_NAN).arrays())

    assert again.depth == 1
    assert again.total(np.array([[np.nan], [0.0]])).tolist() == [1.0, -1.0]


def test_a_tree_that_is_one_leaf_is_walked() -> None:
    leaf = FlatTrees.make(root=[0], feature=[0], threshold=[np.inf], left=[0], right=[0], value=[0.5])

    assert leaf.depth == 0
    assert leaf.total(np.zeros((3, 1))).tolist() == pytest.approx([0.5] * 3)
