from __future__ import annotations

import numpy as np

from trunkline.models.strangeness import Strangeness

ALL = np.arange(2)


def errors(columns: int = 3, slots: int = 3000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(columns, 2, slots))


def fit(scaled: np.ndarray) -> Strangeness:
    return Strangeness.fit(scaled, (1, 3, 6), np.isfinite(scaled), week=168)


def score(strange: Strangeness, scaled: np.ndarray) -> np.ndarray:
    return strange.rows(strange.columns(scaled, ALL), ALL)


def test_a_row_of_many_columns_is_no_more_often_strange_than_a_row_of_one() -> None:
    for columns in (1, 3, 10):
        scores = score(fit(errors(columns)), errors(columns, seed=1))

        assert 0.003 < (scores >= 0.99).mean() < 0.02


def test_a_lasting_small_loss_is_stranger_than_its_hours() -> None:
    calm = np.zeros((1, 2, 40))
    strange = fit(errors(1))
    lasting = calm.copy()
    lasting[0, :, 30:36] = -1.8

    scores = score(strange, lasting)

    assert (scores[:, 35] > scores[:, 30] + 0.05).all()
    assert (scores[:, 35] > 0.98).all()


def test_a_past_with_faults_in_it_still_finds_the_next_one() -> None:
    past = errors(1)
    for start in range(100, 2900, 340):  # a fault every fortnight
        past[..., start : start + 12] = -15.0
    now = errors(1, 200, seed=2)
    now[..., 150:162] = -15.0

    scores = score(fit(past), now)

    assert (scores[:, 152] > 0.999).all()


def test_a_missing_column_is_skipped_and_a_missing_row_has_no_score() -> None:
    now = errors(3, 50, seed=3)
    now[0] = np.nan
    now[:, :, 20] = np.nan

    scores = score(fit(errors(3)), now)

    assert np.isnan(scores[:, 20]).all()
    assert np.isfinite(np.delete(scores, 20, axis=1)).all()


def test_what_comes_back_every_week_is_a_habit_not_a_fault() -> None:
    past = errors(1)
    past[..., 30::168] -= 12.0
    now = errors(1, 336, seed=2)
    now[..., 30] -= 12.0

    assert (score(fit(past), now)[:, 30] < 0.999).all()
