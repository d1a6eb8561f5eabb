"""Flat trees as one ONNX ``TreeEnsemble`` of doubles: the same splits, the same leaves, no rounding of thresholds.

What the operator cannot ask is turned into a column it can: where zero means missing, zeros become NaN beforehand; where a
node asks for a set of categories, a column says whether the value is outside it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trunkline.core.extras import need
from trunkline.models.flat_trees import _NOTHING, MISSING_NAN, MISSING_NONE, MISSING_ZERO, FlatTrees
from trunkline.models.onnx_graph import ML, Graph, Value

_SUM, _PLAIN, _LESS_OR_EQUAL = 1, 0, 0  # codes of the operator


def total(graph: Graph, trees: FlatTrees, x: Value) -> Value:
    """(N,) sums of the leaves that the rows of *x* (N, F) reach.

    Each tree answers for itself and the answers are added one after the other: the operator's own sum depends on how many
    threads the runtime has, and its last bit would move a row of an isolation forest by a rank.
    """
    parts, column = [x], trees.feature.astype(np.int64)
    width = None
    inner = trees.left != np.arange(len(trees.left))
    asks_zero = inner & (trees.missing == MISSING_ZERO) & (trees.category < 0)
    asks_set = inner & (trees.category >= 0)
    if asks_zero.any() or asks_set.any():
        width = int(trees.width)
        parts[0] = x.slots(0, width)
    if asks_zero.any():
        assert width is not None
        is_zero = graph.op("Abs", parts[0]) <= _NOTHING
        column = np.where(asks_zero, column + width, column)
        parts.append(graph.where(is_zero, np.nan, parts[0]))
    if asks_set.any():
        assert width is not None
        begin = width * len(parts)
        pairs, place = np.unique(np.stack([trees.category, trees.feature])[:, asks_set], axis=1, return_inverse=True)
        column[asks_set] = begin + place
        parts += [_outside(graph, trees, parts[0], int(number), int(feature)) for number, feature in pairs.T]
    every = graph.op("TreeEnsemble", graph.together(parts, 1), domain=ML, **_nodes(trees, column, inner))
    return graph.op("CumSum", every, graph.constant(np.array(1, dtype=np.int64))).newest()


def _tree_of(trees: FlatTrees) -> npt.NDArray[np.int64]:
    """Which tree each node belongs to."""
    out = np.zeros(len(trees.feature), dtype=np.int64)
    level, number = trees.root.astype(np.int64), np.arange(len(trees.root))
    while len(level):
        out[level] = number
        below = trees.left[level] != level
        level, number = np.concatenate([trees.left[level[below]], trees.right[level[below]]]).astype(np.int64), np.tile(number[below], 2)
    return out


def _outside(graph: Graph, trees: FlatTrees, x: Value, number: int, feature: int) -> Value:
    """(N, 1): 0.0 where the category of a feature is in a set, 1.0 where it is not, is missing or unknown."""
    words = trees.set_words[trees.set_start[number] : trees.set_start[number + 1]]
    bits = np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little")
    if not len(bits):
        bits = np.zeros(1, dtype=np.uint8)
    asked = x.slots(feature, feature + 1)
    known = (asked > -1.0) & (asked < float(len(bits)))
    inside = graph.where(known, asked, 0.0).whole().rows_of(bits.astype(np.float64))
    return graph.where(known, 1.0 - inside, 1.0)


def _nodes(trees: FlatTrees, column: npt.NDArray[np.int64], inner: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """The operator's attributes: inner nodes and leaves numbered apart, in the order of the arrays."""
    place = np.cumsum(inner) - 1
    leaf = np.cumsum(~inner) - 1
    lone = trees.root[~inner[trees.root]]  # a tree of one leaf: a question both answers of which lead to it
    asked = np.flatnonzero(inner)
    threshold = np.where(trees.category[asked] >= 0, 0.5, trees.threshold[asked])
    missing = trees.missing[asked]
    unknown_left = np.where(missing == MISSING_NONE, threshold >= 0.0, trees.to_left[asked])
    unknown_left = np.where(trees.category[asked] >= 0, False, unknown_left)
    assert set(np.unique(missing)) <= {MISSING_NONE, MISSING_ZERO, MISSING_NAN}

    def below(child: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        is_leaf = ~inner[child]
        return np.where(is_leaf, leaf[child], place[child]).astype(np.int64), is_leaf

    (true, true_is_leaf), (false, false_is_leaf) = below(trees.left[asked]), below(trees.right[asked])
    more = len(lone)
    roots = np.where(inner[trees.root], place[trees.root], 0)
    roots[~inner[trees.root]] = len(asked) + np.arange(more)
    numpy_helper = need("onnx.numpy_helper", extra="onnx")
    return {
        "n_targets": len(trees.root),
        "aggregate_function": _SUM,
        "post_transform": _PLAIN,
        "tree_roots": roots.astype(np.int64).tolist(),
        "nodes_modes": numpy_helper.from_array(np.full(len(asked) + more, _LESS_OR_EQUAL, dtype=np.uint8), "modes"),
        "nodes_featureids": [*column[asked].tolist(), *([0] * more)],
        "nodes_splits": numpy_helper.from_array(np.append(threshold, np.zeros(more)), "splits"),
        "nodes_truenodeids": [*true.tolist(), *leaf[lone].tolist()],
        "nodes_trueleafs": [*true_is_leaf.astype(int).tolist(), *([1] * more)],
        "nodes_falsenodeids": [*false.tolist(), *leaf[lone].tolist()],
        "nodes_falseleafs": [*false_is_leaf.astype(int).tolist(), *([1] * more)],
        "nodes_missing_value_tracks_true": [*unknown_left.astype(int).tolist(), *([0] * more)],
        "leaf_targetids": _tree_of(trees)[~inner].tolist(),
        "leaf_weights": numpy_helper.from_array(trees.value[~inner], "weights"),
    }
