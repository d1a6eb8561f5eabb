from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from trunkline.models.protocol import Floats
from trunkline.models.seasons import design
from trunkline.models.walking import Pace, Walk, walk

HOURS: Floats = (np.arange(24 * 7 * 9) % 168).astype(np.float64)
X, RANK = design(HOURS, every=timedelta(hours=1), daily=3, weekly=4)
HOUR = HOURS.astype(np.int64) % 24


def series(count: int, seed: int = 0) -> Floats:
    random = np.random.default_rng(seed)
    return random.normal(0, 1, (count, X.shape[1])) @ X.T + random.normal(0, 0.1, (count, len(X)))


def run(y: Floats) -> Walk:
    return walk(X, RANK, HOUR, y, slots_per_day=24, pace=Pace())


def test_the_shared_product_gives_what_each_series_alone_gives() -> None:
    y = series(10)

    together, alone = run(y), [run(y[s : s + 1]) for s in range(10)]

    assert np.allclose(together.coefficients, [a.coefficients[0] for a in alone])
    assert np.allclose(together.errors, [a.errors[0] for a in alone], equal_nan=True)


def test_series_with_gaps_are_solved_exactly_beside_those_without() -> None:
    y = series(12)
    gappy = y.copy()
    gappy[3, 100:400] = np.nan
    gappy[7, ::5] = np.nan

    whole, holed, alone = run(y), run(gappy), run(gappy[7:8])

    assert np.allclose(holed.coefficients[0], whole.coefficients[0])
    assert np.allclose(holed.coefficients[7], alone.coefficients[0])
    assert np.abs(holed.coefficients[7] - whole.coefficients[7]).max() < 0.05


def test_errors_are_those_of_days_not_yet_learned() -> None:
    y = series(1)
    later = y.copy()
    later[0, 24 * 40 :] += 5.0

    assert np.array_equal(run(y).errors[0, : 24 * 40], run(later).errors[0, : 24 * 40], equal_nan=True)
    assert np.allclose(run(later).errors[0, 24 * 40 : 24 * 41], run(y).errors[0, 24 * 40 : 24 * 41] + 5.0)


def test_an_outage_hardly_moves_the_baseline() -> None:
    y = series(1)
    hit = y.copy()
    hit[0, -48:-36] -= 50.0

    moved = np.abs((run(hit).coefficients - run(y).coefficients) @ X[-168:].T)

    assert moved.max() < 0.3


def test_the_level_follows_growth() -> None:
    y = series(1)
    grown = y.copy()
    grown[0, 24 * 42 :] += 0.3

    past = run(grown)

    assert np.abs(np.nanmean(past.errors[0, -72:])) < 0.12


def test_a_short_past_has_a_day_and_a_shorter_one_a_level() -> None:
    y = series(1)
    days = walk(X[: 24 * 6], RANK, HOUR[: 24 * 6], y[:, : 24 * 6], slots_per_day=24, pace=Pace())
    level = walk(X[:24], RANK, HOUR[:24], y[:, :24], slots_per_day=24, pace=Pace())

    assert (days.coefficients[0, RANK == 2] == 0).all()
    assert (days.coefficients[0, RANK == 1] != 0).any()
    assert (level.coefficients[0, RANK > 0] == 0).all()
    assert np.isclose(level.coefficients[0, 0], y[0, :24].mean())


def test_the_scale_knows_the_noisy_hours() -> None:
    y = series(1)
    y[0, HOUR < 6] += np.random.default_rng(2).normal(0, 1.0, (HOUR < 6).sum())

    scale = run(y).scale[0]

    assert scale[1:5].min() > 2 * scale[10:20].max()


def test_compiled_and_plain_walks_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    y = series(20, seed=5)
    y[1, 100:400] = np.nan  # a long gap
    y[2, : 24 * 30] = np.nan  # a cell that starts late
    y[3, np.random.default_rng(2).random(len(X)) < 0.1] = np.nan
    y[4] = np.nan
    y[5, 24 * 50 : 24 * 50 + 6] -= 8.0  # an outage, clipped

    compiled = walk(X, RANK, HOUR, y, slots_per_day=24, pace=Pace(), keep_path=True)
    monkeypatch.setenv("TRUNKLINE_FAST", "0")
    plain = walk(X, RANK, HOUR, y, slots_per_day=24, pace=Pace(), keep_path=True)

    for name in ("coefficients", "level", "scale", "days", "errors", "scaled", "age", "path"):
        np.testing.assert_allclose(getattr(compiled, name), getattr(plain, name), rtol=1e-7, atol=1e-9, err_msg=name)
