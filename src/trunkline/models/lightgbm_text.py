"""LightGBM's model text as flat trees, so that LightGBM is needed to learn and not to score."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trunkline.core.errors import BadInput
from trunkline.models.flat_trees import FlatTrees
from trunkline.models.protocol import Floats

Numbers = npt.NDArray[np.int64]


def flatten(model: str) -> FlatTrees:
    """The trees of a LightGBM model text as flat arrays; their sum is ``Booster.predict(raw_score=True)``.

    Random forests (``boosting=rf``) average their trees; here every leaf is divided instead.

    Raises
    ------
    BadInput
        The model gives several numbers for a row (multiclass), or its leaves hold linear models.
    """
    head, *texts = model.split("\nTree=")
    told = _told(head)
    if int(told.get("num_tree_per_iteration", "1")) != 1:
        raise BadInput(
            f"The model grows {told['num_tree_per_iteration']} trees at a time, one for each of its classes.",
            where="num_tree_per_iteration of the model text",
            allowed="one number for each row: binary, regression, ranking",
            next_step="Learn one model for each class.",
        )
    share = len(texts) if "average_output" in head.splitlines() else 1
    parts: dict[str, list[npt.NDArray[np.generic]]] = {
        name: [] for name in ("feature", "threshold", "left", "right", "missing", "to_left", "value", "cover", "category")
    }
    sets: dict[tuple[int, ...], int] = {}
    root: list[int] = []
    start = 0
    for number, text in enumerate(texts):
        tree = _told(text.split("\n\n")[0])
        if int(tree.get("is_linear", "0")):
            raise BadInput(
                "The leaves of a tree hold linear models.", where=f"tree {number}", allowed="leaves that are numbers", next_step="Learn without linear_tree."
            )
        inner = int(tree["num_leaves"]) - 1
        nodes = 2 * inner + 1
        output = _numbers(tree["leaf_value"]) / share
        rows = _numbers(tree["leaf_count"]) if inner else np.ones(1)
        decisions, features, lower, higher = (
            _whole(tree.get(name, "") if inner else "") for name in ("decision_type", "split_feature", "left_child", "right_child")
        )
        lefts, rights = (np.where(child >= 0, child, inner + ~child) for child in (lower, higher))  # ~leaf is how LightGBM writes a leaf
        by_set = (decisions & 1) > 0
        threshold = np.where(by_set, 0.0, _numbers(tree.get("threshold", "") if inner else ""))
        category = np.full(nodes, -1)
        if by_set.any():
            category[:inner][by_set] = _sets(tree, _numbers(tree["threshold"])[by_set].astype(np.int64), sets)
        value, cover = _worth(lefts, rights, output, rows)
        leaves = np.arange(inner, nodes)
        nothing = np.zeros(len(leaves), dtype=np.int64)
        root.append(start)
        for name, array in {
            "feature": np.concatenate([features, nothing]),
            "threshold": np.concatenate([threshold, np.full(len(leaves), np.inf)]),
            "left": start + np.concatenate([lefts, leaves]),
            "right": start + np.concatenate([rights, leaves]),
            "missing": np.concatenate([np.where(by_set, 0, (decisions >> 2) & 3), nothing]),
            "to_left": np.concatenate([(decisions & 2) > 0, nothing > 0]),
            "value": value,
            "cover": cover,
            "category": category,
        }.items():
            parts[name].append(array)
        start += nodes
    if not root:
        raise BadInput("The model text holds no tree.", where="model text", allowed="what Booster.model_to_string() gives")
    words = [np.array(one, dtype=np.uint32) for one in sets]
    return FlatTrees.make(
        root=root,
        **{name: np.concatenate(arrays) for name, arrays in parts.items()},
        set_start=np.concatenate([[0], np.cumsum([len(one) for one in words], dtype=np.int64)]).astype(np.int64),
        set_words=np.concatenate(words) if words else np.zeros(0, dtype=np.uint32),
    )


def _sets(tree: dict[str, str], own: Numbers, sets: dict[tuple[int, ...], int]) -> list[int]:
    """The numbers of the sets of categories that the splits *own* of *tree* ask for; equal ones share a number."""
    ends, words = _whole(tree["cat_boundaries"]), tree["cat_threshold"].split()
    return [sets.setdefault(tuple(int(word) for word in words[ends[k] : ends[k + 1]]), len(sets)) for k in own.tolist()]


def _worth(left: Numbers, right: Numbers, output: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Value and training rows of every node: an inner one is worth the mean of its children, weighted by the rows below them."""
    inner = len(left)
    value, rows = np.concatenate([np.zeros(inner), output]), np.concatenate([np.zeros(inner), weight])
    order = [0] if inner else []
    for node in order:  # grows while it is walked: parents before children
        order.extend(child for child in (int(left[node]), int(right[node])) if child < inner)
    for node in reversed(order):
        both = [left[node], right[node]]
        rows[node] = rows[both].sum()
        value[node] = float(np.dot(value[both], rows[both]) / rows[node]) if rows[node] else 0.0
    return value, rows


def _told(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _numbers(text: str) -> Floats:
    return np.array(text.split(), dtype=np.float64)


def _whole(text: str) -> Numbers:
    return np.array(text.split(), dtype=np.int64)
