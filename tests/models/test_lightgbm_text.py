"""Flat trees against the library that grew them: gaps, zeros, categories, and every way of boosting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.core.errors import BadInput
from trunkline.models.flat_trees import FlatTrees
from trunkline.models.lightgbm_text import flatten

ODD = np.array([0.0, -0.0, 1e-35, -1e-35, 1.0000000180025095e-35, 1e-36, 5e-324, np.nan, np.inf, -np.inf, 1e308, -1e308])
ODD_CATEGORIES = np.array([-1.0, -0.5, 0.0, 0.5, 1.9, 31.0, 32.0, 63.0, 64.0, 1e3, 1e9, 3e9, 1e20, -1e20, np.nan, np.inf, -np.inf])
"""Negative, unseen, too large for a whole number, and between two."""


def boosted(x: np.ndarray, y: np.ndarray, *, rounds: int = 12, categories: Any = "auto", **parameters: Any) -> Any:
    import lightgbm

    told = {"objective": "binary", "verbosity": -1, "num_threads": 1, **parameters}
    data = lightgbm.Dataset(x, label=y, categorical_feature=categories, free_raw_data=False)
    return lightgbm.train(told, data, rounds)


def made_up(seed: int, *, rows: int = 300, numbers: int = 3, categories: int = 0, gaps: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose numbers repeat (so that thresholds are met), whose last columns are categories, and what is learned from them."""
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(size=(rows, numbers + categories)), 1)
    x[rng.random(x.shape) < 0.2] = 0.0
    for j in range(numbers, numbers + categories):
        x[:, j] = rng.integers(0, rng.choice([3, 40, 200]), rows)
    y = x[:, 0] + np.isin(x[:, -1] % 7, (1, 3, 4)) + rng.normal(size=rows) * 0.5 > 0.3
    x[rng.random(x.shape) < gaps] = np.nan
    return x, y.astype(float)


def odd_rows(seed: int, x: np.ndarray, categories: int) -> np.ndarray:
    """The rows again, with values in them that were never seen."""
    rng = np.random.default_rng([seed, 1])
    new = x[rng.integers(0, len(x), 200)].copy()
    numeric = new.shape[1] - categories
    strange = np.concatenate([rng.choice(ODD, (200, numeric)), rng.choice(ODD_CATEGORIES, (200, categories))], axis=1)
    return np.where(rng.random(new.shape) < 0.4, strange, new)


RECIPES = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10_000),
        "categories": st.integers(0, 2),
        "gaps": st.sampled_from([0.0, 0.2]),
        "boosting": st.sampled_from(["gbdt", "gbdt", "dart", "rf"]),
        "objective": st.sampled_from(["binary", "regression", "regression_l1", "poisson"]),
        "num_leaves": st.sampled_from([2, 7, 31]),
        "max_bin": st.sampled_from([3, 16, 255]),
        "use_missing": st.booleans(),
        "zero_as_missing": st.booleans(),
        "max_cat_to_onehot": st.sampled_from([1, 4]),
        "min_data_per_group": st.sampled_from([1, 20]),
    }
)


def grown(recipe: dict[str, Any]) -> tuple[Any, np.ndarray]:
    """A booster of the recipe that gives one number a row, and rows for it."""
    parameters = dict(recipe)
    seed, categories, gaps = (parameters.pop(name) for name in ("seed", "categories", "gaps"))
    x, y = made_up(seed, categories=categories, gaps=gaps)
    if parameters["boosting"] == "rf":
        parameters |= {"bagging_fraction": 0.7, "bagging_freq": 1, "feature_fraction": 0.8}
    booster = boosted(x, y, categories=list(range(3, 3 + categories)), cat_smooth=1.0, min_data_in_leaf=3, **parameters)
    return booster, odd_rows(seed, x, categories)


def by_numpy(flat: FlatTrees, x: np.ndarray) -> np.ndarray:
    return flat.walked(x, np.zeros(len(x)))


@given(RECIPES)
@settings(deadline=None, max_examples=40)
def test_our_walks_give_lightgbms_answer(recipe: dict[str, Any]) -> None:
    booster, x = grown(recipe)

    flat = flatten(booster.model_to_string())

    summed = len(flat.root) if recipe["boosting"] == "rf" else 1  # only the library's finished answer averages a forest's trees
    assert np.abs(flat.total(x) - booster.predict(x, raw_score=True) / summed).max() <= 1e-9
    assert (flat.total(x) == by_numpy(flat, x)).all()
    assert [flat.total(row[None, :])[0] for row in x[:9]] == flat.total(x[:9]).tolist()


@given(RECIPES)
@settings(deadline=None, max_examples=15)
def test_path_reasons_and_exact_reasons_add_up_to_the_score(recipe: dict[str, Any]) -> None:
    booster, x = grown(recipe)
    flat = flatten(booster.model_to_string())
    by_library = booster.predict(x[:5], pred_contrib=True)
    summed = len(flat.root) if recipe["boosting"] == "rf" else 1  # the library averages a forest's trees but not its contributions

    for row, theirs in zip(x[:5], by_library, strict=True):
        total, shares = flat.explained(row)
        base, exact = flat.contributions(row)

        assert total == pytest.approx(flat.total(row[None, :])[0], abs=1e-9)
        assert flat.value[flat.root].sum() + shares.sum() == pytest.approx(total, abs=1e-9)
        assert base + exact.sum() == pytest.approx(total, abs=1e-9)
        assert np.abs(np.append(exact, base) - theirs / summed).max() <= 1e-9


def test_a_random_forest_answers_with_the_mean_of_its_trees() -> None:
    x, y = made_up(1)
    booster = boosted(x, y, objective="regression", boosting="rf", bagging_fraction=0.7, bagging_freq=1)

    assert np.abs(flatten(booster.model_to_string()).total(x) - booster.predict(x)).max() <= 1e-9


def test_labels_that_nothing_explains_give_their_share() -> None:
    rng = np.random.default_rng(0)
    booster = boosted(np.zeros((200, 2)), (rng.random(200) < 0.3).astype(float))

    assert np.abs(flatten(booster.model_to_string()).total(np.zeros((3, 2))) - booster.predict(np.zeros((3, 2)), raw_score=True)).max() <= 1e-9


def test_equal_sets_of_categories_are_kept_once() -> None:
    x, y = made_up(3, categories=1)
    flat = flatten(boosted(x, y, categories=[3], max_cat_to_onehot=1, min_data_per_group=1, rounds=30).model_to_string())

    asked = flat.category[flat.category >= 0]

    assert len(np.unique(asked)) == len(flat.set_start) - 1 < len(asked)


def test_several_classes_are_refused() -> None:
    x, _ = made_up(0)
    booster = boosted(x, np.arange(len(x)) % 3, objective="multiclass", num_class=3, rounds=2)

    with pytest.raises(BadInput, match="3 trees at a time, one for each of its classes") as refused:
        flatten(booster.model_to_string())

    assert "one model for each class" in str(refused.value)


def test_linear_leaves_are_refused() -> None:
    x, y = made_up(0)
    booster = boosted(x, y, objective="regression", linear_tree=True, rounds=2)

    with pytest.raises(BadInput, match="linear models"):
        flatten(booster.model_to_string())


def test_a_text_without_trees_is_refused() -> None:
    with pytest.raises(BadInput, match="no tree"):
        flatten("hello")
