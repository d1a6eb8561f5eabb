from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.gates.ranking import MEASURES, auc, average_precision, f1, rank

ROWS = st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.2, 0.4, 0.5, 0.9, 1.0]), st.booleans(), st.integers(0, 3)), min_size=2, max_size=60)


@given(ROWS)
@settings(deadline=None)
def test_measures_agree_with_scikit_learn_also_with_ties_and_weights(rows: list[tuple[float, bool, int]]) -> None:
    from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

    scores, truth, weights = (np.array(column) for column in zip(*rows, strict=True))
    if (weights * truth).sum() == 0 or (weights * ~truth).sum() == 0:
        return
    ranked = rank(scores, truth)

    assert average_precision(ranked, weights) == pytest.approx(average_precision_score(truth, scores, sample_weight=weights))
    assert auc(ranked, weights) == pytest.approx(roc_auc_score(truth, scores, sample_weight=weights))
    assert f1(ranked, weights) == pytest.approx(f1_score(truth, scores >= 0.5, sample_weight=weights, zero_division=0.0))


@given(ROWS)
@settings(deadline=None)
def test_measures_lie_between_none_and_all(rows: list[tuple[float, bool, int]]) -> None:
    scores, truth, _ = (np.array(column) for column in zip(*rows, strict=True))
    ranked = rank(scores, truth)

    for measure in MEASURES.values():
        value = measure(ranked, None)
        assert np.isnan(value) or -1e-12 <= value <= 1 + 1e-12


def test_a_row_that_could_not_be_judged_ranks_last() -> None:
    missed = rank(np.array([np.nan, 0.2, 0.1]), np.array([1, 0, 0]))

    assert auc(missed) == 0.0
    assert average_precision(missed) == pytest.approx(1 / 3)
    assert f1(missed) == 0.0


def test_without_a_positive_there_is_no_figure() -> None:
    ranked = rank(np.array([0.1, 0.9]), np.array([0, 0]))

    assert all(np.isnan(measure(ranked, None)) for measure in MEASURES.values())
