from __future__ import annotations

import polars as pl
import pytest

from trunkline.core.errors import BadInput
from trunkline.feedback import labelled

DECISIONS = pl.DataFrame({"decision": ["a", "b", "c", "d"], "entity": ["c1", "c2", "c3", "c4"], "at": [1, 2, 3, 4], "propensity": [1.0, 0.25, 1.0, 0.5]})


def outcomes(*told: tuple[str, str, int]) -> pl.DataFrame:
    return pl.DataFrame(list(told), schema={"decision": pl.String, "verdict": pl.String, "at": pl.Int64}, orient="row")


def test_a_verdict_becomes_a_label_weighted_by_the_chance_it_had_of_being_asked_for() -> None:
    found = labelled(DECISIONS, outcomes(("a", "confirmed", 5), ("b", "wrong", 6)))

    assert found.rows() == [("c1", 1, 1, 1.0), ("c2", 2, 0, 4.0)]


def test_the_last_word_counts() -> None:
    told = outcomes(("a", "wrong", 9), ("a", "confirmed", 5))

    assert labelled(DECISIONS, told)["label"].to_list() == [0]


def test_unknown_is_neither_right_nor_wrong() -> None:
    assert labelled(DECISIONS, outcomes(("a", "unknown", 5))).is_empty()
    assert labelled(DECISIONS, outcomes(("a", "confirmed", 5), ("a", "unknown", 6))).is_empty(), "taken back"


def test_a_decision_nobody_spoke_of_is_no_label_and_an_outcome_of_none_is_left_out() -> None:
    assert labelled(DECISIONS, outcomes(("zzz", "wrong", 5))).is_empty()


@pytest.mark.parametrize("propensity", [0.0, -0.1, 1.01, None])
def test_a_chance_that_is_none_is_refused(propensity: float | None) -> None:
    wrong = DECISIONS.with_columns(propensity=pl.Series([propensity] * 4, dtype=pl.Float64))

    with pytest.raises(BadInput, match=r"must lie in \(0, 1\]"):
        labelled(wrong, outcomes(("a", "wrong", 5)))
