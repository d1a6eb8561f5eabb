"""Flat trees laid out for the compiled walk: 16 bytes a node, the two children side by side, every question a comparison.

How a tree treats a missing value or a category becomes a column that is read once for each row, in one of these kinds:

====  =========================================================================================
kind  what the column holds
====  =========================================================================================
0     the value, 0 where it is missing
1     the value, minus infinity (left) where it is missing
2     the value, NaN (right) where it is missing
3, 4  as 1 and 2, zero counting as missing too
5     minus infinity (left) where the value is a category of the set, NaN (right) elsewhere
6     minus infinity: the column of leaves, which point to themselves
====  =========================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from trunkline.models.flat_trees import FlatTrees
    from trunkline.models.protocol import Floats

NODE = np.dtype([("threshold", "f8"), ("column", "i4"), ("below", "i4")])
"""``below``: the left child, the right one lies behind it. A leaf points to itself and holds its worth in ``threshold``."""
COLUMN = np.dtype([("feature", "i4"), ("kind", "i4"), ("start", "i4"), ("size", "i4")])
"""Which feature is read and how; of a set of categories its first word and how many it has."""
CATEGORY, LEAF = 5, 6

_NEAR = 4096  # numbers of a block of rows: half of the first-level cache, the other half holds the tree


@dataclass(frozen=True, slots=True)
class PackedTrees:
    """What the kernels take; ``worth`` is the value of each node, ``block`` how many rows are read at once."""

    nodes: npt.NDArray[Any]
    roots: npt.NDArray[np.int32]
    columns: npt.NDArray[Any]
    words: npt.NDArray[np.uint32]
    worth: Floats
    block: int


def pack(trees: FlatTrees) -> PackedTrees:
    """*trees* for the compiled walk."""
    order, place = _siblings_together(trees)
    leaf = trees.left == np.arange(len(trees.left))
    kind = np.where(trees.missing == 0, 0, 2 * trees.missing.astype(np.int64) % 4 + 1 + ~trees.to_left)  # 2 (NaN) gives 1, 2; 1 (zero) gives 3, 4
    by_set = trees.category >= 0
    asked = np.zeros(len(kind), dtype=[("kind", "i4"), ("feature", "i4"), ("category", "i4")])
    asked["kind"] = np.where(leaf, LEAF, np.where(by_set, CATEGORY, kind))
    asked["feature"] = np.where(leaf, 0, trees.feature)
    asked["category"] = np.where(by_set & ~leaf, trees.category, -1)
    distinct, column = np.unique(asked, return_inverse=True)
    columns = np.zeros(len(distinct), dtype=COLUMN)
    columns["feature"], columns["kind"] = distinct["feature"], distinct["kind"]
    sets = distinct["category"] >= 0
    columns["start"][sets] = trees.set_start[distinct["category"][sets]]
    columns["size"][sets] = trees.set_start[distinct["category"][sets] + 1] - columns["start"][sets]
    nodes = np.zeros(len(order), dtype=NODE)
    nodes["threshold"] = np.where(leaf, trees.value, np.where(by_set, 0.0, trees.threshold))[order]
    nodes["column"] = column[order]
    nodes["below"] = place[trees.left[order]]
    return PackedTrees(
        nodes=nodes,
        roots=place[trees.root].astype(np.int32),
        columns=columns,
        words=trees.set_words.copy(),
        worth=trees.value[order],
        block=int(np.clip(_NEAR // len(columns) // 8 * 8, 8, 64)),
    )


def _siblings_together(trees: FlatTrees) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The nodes in their new order, tree after tree and level after level, and the new place of each."""
    order: list[int] = []
    left, right = trees.left.tolist(), trees.right.tolist()
    for root in trees.root.tolist():
        tree = [root]
        for node in tree:  # grows while it is walked
            if left[node] != node:
                tree += (left[node], right[node])
        order += tree
    place = np.zeros(len(left), dtype=np.int64)
    place[order] = np.arange(len(order))
    return np.array(order, dtype=np.int64), place
