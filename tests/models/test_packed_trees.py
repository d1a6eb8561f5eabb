from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.made_trees import made_trees

from trunkline.models.packed_trees import LEAF, NODE


@given(st.integers(0, 100_000))
@settings(deadline=None, max_examples=25)
def test_children_lie_side_by_side_and_leaves_hold_what_they_are_worth(seed: int) -> None:
    flat = made_trees(seed)
    packed = flat.packed
    kinds = packed.columns["kind"][packed.nodes["column"]]
    inner = np.flatnonzero(kinds != LEAF)

    assert NODE.itemsize == 16
    assert len(packed.nodes) == len(flat.left)
    assert (packed.nodes["below"][kinds == LEAF] == np.flatnonzero(kinds == LEAF)).all()
    assert sorted([*packed.nodes["below"][inner], *(packed.nodes["below"][inner] + 1), *packed.roots]) == list(range(len(flat.left)))
    assert (packed.nodes["threshold"][kinds == LEAF] == packed.worth[kinds == LEAF]).all()


def test_equal_questions_share_a_column() -> None:
    packed = made_trees(7, trees=50).packed

    asked = list(zip(packed.columns["feature"], packed.columns["kind"], packed.columns["start"], strict=True))

    assert len(set(asked)) == len(asked)
    assert 8 <= packed.block <= 64
    assert packed.block % 8 == 0
