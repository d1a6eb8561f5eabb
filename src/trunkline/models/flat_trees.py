"""Binary trees as flat arrays, walked by NumPy: all trees of a model step down together, a block of rows at a time.

A leaf points to itself, so every walk takes as many steps as the deepest tree and needs no branching.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from trunkline.models.protocol import Floats

Ints = npt.NDArray[np.int32]

_CELLS = 400_000  # trees times rows walked at once: fits the second-level cache
_NOTHING = 1e-35  # LightGBM's kZeroThreshold: smaller values count as zero where zero means missing

MISSING_NONE, MISSING_ZERO, MISSING_NAN = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatTrees:
    """The nodes of all trees one after the other.

    ``root`` (T,) is where each tree starts. Per node: the ``feature`` it asks for, the ``threshold`` up to and
    including which one goes ``left``, else ``right``; ``missing`` says which values count as missing (0 none: NaN is
    taken as 0; 1 zero and NaN; 2 NaN) and ``to_left`` where those go. ``value`` is what a node is worth: of a leaf its
    output, of an inner node the mean of its leaves by the training rows in them.
    """

    root: Ints
    feature: Ints
    threshold: Floats
    left: Ints
    right: Ints
    missing: npt.NDArray[np.int8]
    to_left: npt.NDArray[np.bool_]
    value: Floats
    depth: int

    @classmethod
    def make(cls, *, root: Any, feature: Any, threshold: Any, left: Any, right: Any, value: Any, missing: Any = None, to_left: Any = None) -> Self:
        """Flat trees from plain lists; ``depth`` is worked out."""
        count = len(feature)
        roots, lefts, rights = (np.asarray(a, dtype=np.int32) for a in (root, left, right))
        return cls(
            root=roots,
            feature=np.asarray(feature, dtype=np.int32),
            threshold=np.asarray(threshold, dtype=np.float64),
            left=lefts,
            right=rights,
            missing=np.zeros(count, dtype=np.int8) if missing is None else np.asarray(missing, dtype=np.int8),
            to_left=np.zeros(count, dtype=np.bool_) if to_left is None else np.asarray(to_left, dtype=np.bool_),
            value=np.asarray(value, dtype=np.float64),
            depth=_depth(roots, lefts, rights),
        )

    def total(self, x: Floats) -> Floats:
        """(N,) sums of the leaves that the rows of *x* (N, F) reach, tree after tree."""
        out = np.zeros(len(x))
        for start, leaves in self._blocks(x):
            worth = self.value[leaves]
            total = np.zeros(leaves.shape[1])
            for tree in worth:  # one after the other, as the library adds them, so that even the last bit agrees
                total += tree
            out[start : start + leaves.shape[1]] = total
        return out

    def shares(self, row: Floats) -> Floats:
        """(F,) how much each feature moved the sum for one row: the change of node value at each step down (Saabas 2014)."""
        out = np.zeros(len(row))
        node = self.root.copy()
        for _ in range(self.depth):
            below = self._step(node[:, None], row[None, :])[:, 0]
            moved = below != node
            np.add.at(out, self.feature[node[moved]], self.value[below[moved]] - self.value[node[moved]])
            node = below
        return out

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """As flat arrays for a model file."""
        return {f"trees.{name}": getattr(self, name) for name in self.__slots__ if name != "depth"}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """What :meth:`arrays` wrote."""
        return cls.make(**{name: arrays[f"trees.{name}"] for name in cls.__slots__ if name != "depth"})

    def _blocks(self, x: Floats) -> Iterator[tuple[int, Ints]]:
        """Leaves (T, n) reached, block by block of rows."""
        size = max(1, _CELLS // max(len(self.root), 1))
        for start in range(0, len(x), size):
            block = x[start : start + size]
            node = np.repeat(self.root[:, None], len(block), axis=1)
            for _ in range(self.depth):
                node = self._step(node, block)
            yield start, node

    def _step(self, node: Ints, x: Floats) -> Ints:
        asked = x[np.arange(len(x)), self.feature[node]]
        kind = self.missing[node]
        unknown = np.isnan(asked)
        absent = (unknown & (kind != MISSING_NONE)) | ((kind == MISSING_ZERO) & (np.abs(np.where(unknown, 0.0, asked)) <= _NOTHING))
        below = np.where(unknown, 0.0, asked) <= self.threshold[node]
        return np.where(np.where(absent, self.to_left[node], below), self.left[node], self.right[node])


def _depth(root: Ints, left: Ints, right: Ints) -> int:
    """Steps from the roots to the deepest leaf."""
    level, depth = np.unique(root), 0
    while True:
        inner = level[left[level] != level]
        if len(inner) == 0:
            return depth
        level = np.concatenate([left[inner], right[inner]])
        depth += 1
