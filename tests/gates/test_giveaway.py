from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.gates.giveaway import BINS, alone, bins, folds, gaps, neighbours, rate_at_least


@given(st.lists(st.one_of(st.none(), st.floats(-5, 5), st.just(float("nan"))), min_size=1, max_size=300))
@settings(deadline=None)
def test_gaps_have_the_bin_0_to_themselves_and_bins_keep_the_order(values: list[float | None]) -> None:
    column = pl.Series(values, dtype=pl.Float64, strict=False)

    found, missing = bins(column), gaps(column)

    assert ((found == 0) == missing).all()
    assert found.max() <= BINS + 1
    present = np.array([v for v, gap in zip(values, missing, strict=True) if not gap], dtype=float)
    order = np.argsort(present, kind="stable")
    assert (np.diff(found[~missing][order]) >= 0).all()


def test_chance_tells_nothing_and_the_answer_tells_all() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(5000) < 0.3
    fold = np.arange(5000) % 5

    assert alone(bins(pl.Series(rng.random(5000))), truth, fold) == pytest.approx(0.5, abs=0.03)
    assert alone(bins(pl.Series(truth)), truth, fold) == 1.0


def test_groups_stay_in_one_fold_where_many_hold_both_labels() -> None:
    truth = np.random.default_rng(0).random(400) < 0.5
    groups = np.repeat(np.arange(20), 20)

    fold = folds(truth, groups)

    assert all(len(np.unique(fold[groups == g])) == 1 for g in range(20))


def test_a_share_of_few_rows_is_not_sure() -> None:
    assert rate_at_least(11, 11) < 0.6
    assert rate_at_least(140, 140) > 0.9
    assert rate_at_least(0, 0) == 0.0


def test_independent_labels_have_no_neighbours() -> None:
    rng = np.random.default_rng(0)
    share, sigmas = neighbours(rng.random(2000) < 0.3, np.repeat(np.arange(100), 20), seed=1)

    assert abs(share) < 0.06
    assert abs(sigmas) < 4
