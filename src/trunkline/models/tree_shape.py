"""Whether arrays are trees: checked once, when they come out of a file, because the compiled walk checks nothing.

Every index lies inside its array, every node but the roots has exactly one parent, and every number that decides is
a number. Then a walk can neither leave the arrays nor go round in circles.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from trunkline.core.errors import BadInput

MISSING_NONE, MISSING_ZERO, MISSING_NAN = 0, 1, 2

MOST_NODES = 2**30
"""Nodes of all trees together; places of nodes are 32-bit numbers."""
MOST_FEATURES = 2**20
MOST_DEPTH = 10_000
"""Steps from a root to a leaf; boosted trees have tens."""

_KINDS: Mapping[str, tuple[Any, str]] = {
    "root": (np.int32, "iu"),
    "feature": (np.int32, "iu"),
    "threshold": (np.float64, "fiu"),
    "left": (np.int32, "iu"),
    "right": (np.int32, "iu"),
    "missing": (np.int8, "iu"),
    "to_left": (np.bool_, "b"),
    "value": (np.float64, "fiu"),
    "cover": (np.float64, "fiu"),
    "category": (np.int32, "iu"),
    "set_start": (np.int32, "iu"),
    "set_words": (np.uint32, "iu"),
}


def check_shape(given: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """The arrays of flat trees in their own types, if they are trees.

    Raises
    ------
    BadInput
        Names the array and the first place where it is wrong.

    >>> plain = {"root": [0], "feature": [0, 0, 0], "threshold": [1.0, 0.0, 0.0], "left": [1, 1, 2], "right": [1, 1, 2]}
    >>> check_shape({**plain, "value": [0.0] * 3, "missing": [0] * 3, "to_left": [False] * 3, "cover": [0] * 3, "category": [-1] * 3,
    ...              "set_start": [0], "set_words": []})
    Traceback (most recent call last):
    trunkline.core.errors.BadInput: The node 1 of the trees has 2 parents.
      Where: the arrays of the trees
      Allowed: one parent for every node below a root, none for a root
      Next: Take the model file from the store or a backup, or train the model again.
    """
    out = {name: _typed(name, np.asarray(array)) for name, array in given.items()}
    count = len(out["feature"])
    if not 0 < count <= MOST_NODES or not len(out["root"]):
        raise _wrong(f"There are {len(out['root'])} trees of {count} nodes.", "at least one tree")
    for name in ("threshold", "left", "right", "missing", "to_left", "value", "cover", "category"):
        if len(out[name]) != count:
            raise _wrong(f"'{name}' has {len(out[name])} numbers for {count} nodes.", "one number for each node")
    _within("root", out["root"], 0, count)
    _within("left", out["left"], 0, count)
    _within("right", out["right"], 0, count)
    _within("feature", out["feature"], 0, MOST_FEATURES)
    _within("missing", out["missing"], MISSING_NONE, MISSING_NAN + 1)
    _within("category", out["category"], -1, len(out["set_start"]) - 1)
    starts = out["set_start"]
    if not len(starts) or starts[0] != 0 or starts[-1] != len(out["set_words"]) or (np.diff(starts) < 0).any():
        raise _wrong("'set_start' does not divide 'set_words'.", "rising places from 0 to the number of words")
    leaf = out["left"] == np.arange(count)
    if (leaf != (out["right"] == np.arange(count))).any():
        raise _wrong(f"The node {_first(leaf != (out['right'] == np.arange(count)))} is a leaf on one side only.", "leaves that point to themselves")
    for name, broken in (
        ("threshold", np.isnan(out["threshold"]) | (out["threshold"] == -np.inf)),  # infinity says: every number left, a missing one right
        ("value", ~np.isfinite(out["value"])),
        ("cover", ~np.isfinite(out["cover"])),
    ):
        if broken.any():
            raise _wrong(f"'{name}' of node {_first(broken)} is {out[name][_first(broken)]}.", "finite numbers")
    if (out["cover"] < 0).any():
        raise _wrong(f"'cover' of node {_first(out['cover'] < 0)} is negative.", "numbers of rows")
    _one_parent_each(out["root"], out["left"][~leaf], out["right"][~leaf], count)
    return out


def depth_of(root: npt.NDArray[np.int32], left: npt.NDArray[np.int32], right: npt.NDArray[np.int32]) -> int:
    """Steps from the roots to the deepest leaf, of arrays that are trees or rings that no root leads to."""
    level, depth = root, 0
    while True:
        inner = level[left[level] != level]
        if len(inner) == 0:
            return depth
        level = np.concatenate([left[inner], right[inner]])
        depth += 1
        if depth > MOST_DEPTH:
            raise _wrong(f"A tree is deeper than {MOST_DEPTH:,} nodes.", f"{MOST_DEPTH:,} steps from the root to a leaf")


def _one_parent_each(root: npt.NDArray[np.int32], left: npt.NDArray[np.int32], right: npt.NDArray[np.int32], count: int) -> None:
    """With one parent each and none for a root, whatever is reached from a root is a tree."""
    parents = np.bincount(np.concatenate([left, right]), minlength=count)
    roots = np.bincount(root, minlength=count)
    if (roots > 1).any():
        raise _wrong(f"Two trees start at node {_first(roots > 1)}.", "a root of its own for every tree")
    wrong = parents + roots != 1
    if wrong.any():
        node = _first(wrong)
        number = int(parents[node])
        raise _wrong(
            f"The node {node} of the trees has {number} parent{'s' * (number != 1)}{', and it is a root' if roots[node] else ''}.",
            "one parent for every node below a root, none for a root",
        )


def _typed(name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    kind, allowed = _KINDS[name]
    if array.ndim != 1 or (array.size and array.dtype.kind not in allowed):
        raise _wrong(f"'{name}' is an array of {array.dtype} with {array.ndim} dimensions.", f"one dimension of {np.dtype(kind)}")
    if np.dtype(kind).kind in "iu" and array.size:
        bounds = np.iinfo(kind)
        if int(array.min()) < bounds.min or int(array.max()) > bounds.max:
            raise _wrong(f"'{name}' holds {int(array.min())} to {int(array.max())}.", f"{bounds.min} to {bounds.max}")
    return np.ascontiguousarray(array, dtype=kind)


def _within(name: str, array: npt.NDArray[Any], low: int, end: int) -> None:
    outside = (array < low) | (array >= end)
    if outside.any():
        raise _wrong(f"'{name}' of node {_first(outside)} is {array[_first(outside)]}.", f"{low} to {end - 1}")


def _first(where: npt.NDArray[np.bool_]) -> int:
    return int(np.argmax(where))


def _wrong(what: str, allowed: str) -> BadInput:
    return BadInput(
        what, where="the arrays of the trees", allowed=allowed, next_step="Take the model file from the store or a backup, or train the model again."
    )
