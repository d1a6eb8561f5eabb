"""A model file by whoever must not make the compiled walk leave its arrays, or never end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.core.errors import BadInput, TrunklineError
from trunkline.models.flat_trees import FlatTrees
from trunkline.models.portable import load, pack, unpack
from trunkline.models.protocol import Context, Saved
from trunkline.models.trees import Trees

GOOD: dict[str, Any] = {
    "root": [0, 3],
    "feature": [0, 0, 0, 1, 0, 0],
    "threshold": [1.0, np.inf, np.inf, 0.0, np.inf, np.inf],
    "left": [1, 1, 2, 4, 4, 5],
    "right": [2, 1, 2, 5, 4, 5],
    "value": [0.0, -1.0, 1.0, 0.0, -2.0, 2.0],
    "category": [-1, -1, -1, 0, -1, -1],
    "set_start": [0, 1],
    "set_words": [5],
}


def changed(name: str, place: int, value: Any) -> dict[str, Any]:
    return {**GOOD, name: [value if i == place else was for i, was in enumerate(GOOD[name])]}


def test_trees_as_they_should_be_are_walked() -> None:
    assert FlatTrees.make(**GOOD).total(np.array([[0.0, 2.0], [2.0, 1.0]])).tolist() == [-3.0, 3.0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (changed("left", 0, 6), "'left' of node 0 is 6"),
        (changed("right", 3, -1), "'right' of node 3 is -1"),
        (changed("root", 1, 7), "'root' of node 1 is 7"),
        (changed("feature", 0, -2), "'feature' of node 0 is -2"),
        (changed("feature", 0, 2**31), "'feature' holds"),
        (changed("left", 0, 2), "The node 1 of the trees has 0 parents"),
        (changed("left", 1, 0), "The node 1 is a leaf on one side only"),
        (changed("right", 0, 3), "The node 2 of the trees has 0 parents"),
        (changed("root", 1, 0), "Two trees start at node 0"),
        (changed("threshold", 0, np.nan), "'threshold' of node 0 is nan"),
        (changed("threshold", 0, -np.inf), "'threshold' of node 0 is -inf"),
        (changed("value", 4, np.inf), "'value' of node 4 is inf"),
        (changed("category", 3, 1), "'category' of node 3 is 1"),
        (changed("set_start", 1, 2), "'set_start' does not divide"),
        ({**GOOD, "missing": [0] * 5}, "'missing' has 5 numbers for 6 nodes"),
        ({**GOOD, "missing": [3] * 6}, "'missing' of node 0 is 3"),
        ({**GOOD, "left": np.array(GOOD["left"], dtype=np.float64)}, "'left' is an array of float64"),
        ({**GOOD, "value": np.zeros((6, 1))}, "'value' is an array of float64 with 2 dimensions"),
        ({**GOOD, "cover": [-1.0] * 6}, "'cover' of node 0 is negative"),
        ({**GOOD, "root": []}, "There are 0 trees"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_arrays_that_are_no_trees_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput) as refused:
        FlatTrees.make(**wrong)

    assert said in str(refused.value)


def test_a_ring_that_no_root_reaches_is_never_walked() -> None:
    ring = {
        "root": [0],
        "feature": [0, 0, 0, 0, 0],
        "threshold": [np.inf] * 5,
        "left": [0, 2, 1, 3, 4],
        "right": [0, 3, 4, 3, 4],
        "value": [0.5, 1.0, 1.0, 1.0, 1.0],
    }

    assert FlatTrees.make(**ring).total(np.zeros((9, 1))).tolist() == [0.5] * 9


def test_rows_that_are_too_narrow_are_refused() -> None:
    with pytest.raises(BadInput, match="1 features, and the trees ask for feature 1"):
        FlatTrees.make(**GOOD).total(np.zeros((1, 1)))


@cache
def learned() -> tuple[Saved, pl.DataFrame]:
    rng = np.random.default_rng(0)
    first = datetime(2026, 3, 2, tzinfo=UTC)
    rows = pl.DataFrame(
        {
            "entity": ["c"] * 120,
            "at": pl.datetime_range(first, first + timedelta(hours=119), "1h", time_unit="us", eager=True),
            **{name: rng.normal(size=120) for name in ("a", "b", "c")},
        }
    )
    labels = (rows["a"].to_numpy() + rng.normal(size=120) * 0.3 > 0).astype(float)
    fitted = Trees(rounds=4, stop=0, leaves=6, least=3).fit(rows, labels=labels, context=Context(every=timedelta(hours=1)))
    return fitted.save(), rows


ODD_NUMBERS = st.sampled_from([-1, 0, 1, 2, 5, 10_000, 2**31 - 1, -(2**31), 2**40, float("nan"), float("inf"), -float("inf"), 0.5])


@given(st.data())
@settings(deadline=None, max_examples=150)
def test_a_mutated_model_is_refused_or_scores(data: Any) -> None:
    saved, rows = learned()
    arrays, manifest = {name: array.copy() for name, array in saved.arrays.items()}, dict(saved.manifest)
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(sorted(arrays)))
        how = data.draw(st.sampled_from(["number", "number", "number", "swap", "cut", "kind", "shape", "gone", "columns"]))
        array = arrays[name]
        if how == "number" and array.ndim == 1 and array.size:
            with np.errstate(all="ignore"):
                wanted = np.array([data.draw(ODD_NUMBERS)])
                array[data.draw(st.integers(0, array.size - 1))] = (
                    np.nan_to_num(wanted, posinf=7, neginf=-7).astype(array.dtype)[0] if array.dtype.kind != "f" else wanted[0]
                )
        elif how == "swap" and array.ndim == 1 and array.size:
            i, j = (data.draw(st.integers(0, array.size - 1)) for _ in range(2))
            array[[i, j]] = array[[j, i]]
        elif how == "cut":
            arrays[name] = array[: len(array) // 2]
        elif how == "kind":
            with np.errstate(all="ignore"):
                arrays[name] = array.astype(data.draw(st.sampled_from(["f4", "i8", "u1", "U3"])))
        elif how == "shape":
            arrays[name] = array.reshape(1, -1)
        elif how == "gone" and len(arrays) > 1:
            del arrays[name]
        elif how == "columns":
            manifest["columns"] = data.draw(st.sampled_from([[], ["a"], ["a", "b", "c", "d"], "abc", None, [1, 2, 3]]))

    content = pack(Saved(manifest=manifest, arrays=arrays))
    try:
        fitted = load(unpack(content))
        scores = fitted.score(rows)
        fitted.explain(rows, 3)
    except TrunklineError:
        return

    assert np.isfinite(scores).all()
    assert ((scores >= 0) & (scores <= 1)).all()
