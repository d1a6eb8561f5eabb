from __future__ import annotations

import math

import pytest

from trunkline.core.values import Row
from trunkline.decisions import Above

ROW = Row({"entity": ["c1"], "prb": [0.9]}, 0, entity="cell")


@pytest.mark.parametrize(("score", "speaks"), [(0.989, False), (0.99, True), (1.0, True), (math.nan, False)])
def test_it_speaks_at_its_level_and_above_and_never_of_what_cannot_be_judged(score: float, speaks: bool) -> None:
    said = Above(0.99, action="reset_cell")(ROW, score)

    assert (said is not None) is speaks
    if said is not None:
        assert (said.action, said.target, said.confidence) == ("reset_cell", "c1", score)


def test_two_of_the_same_level_are_equal_and_have_one_hash() -> None:
    assert Above(0.99) == Above(0.99, action="investigate")
    assert hash(Above(0.99)) == hash(Above(0.99))
    assert Above(0.99) != Above(0.98)
