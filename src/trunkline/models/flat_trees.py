"""Binary trees as flat arrays: all trees of a model step down together, a block of rows at a time.

NumPy walks them here; where numba is installed the compiled walk of :mod:`trunkline.models.tree_kernel` gives the same
numbers, bit for bit, 100 times sooner for one row. A leaf points to itself, so every walk takes as many steps as the
deepest tree and needs no branching.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from types import ModuleType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from trunkline.core.errors import BadInput
from trunkline.core.extras import is_fast
from trunkline.models.packed_trees import PackedTrees, pack
from trunkline.models.protocol import Floats
from trunkline.models.tree_shap import contributions as contributions_in_python
from trunkline.models.tree_shape import MISSING_NAN, MISSING_NONE, MISSING_ZERO, check_shape, depth_of

__all__ = ["MISSING_NAN", "MISSING_NONE", "MISSING_ZERO", "FlatTrees"]

Ints = npt.NDArray[np.int32]

_CELLS = 400_000  # trees times rows walked at once: fits the second-level cache
_NOTHING = float(np.float32(1e-35))  # LightGBM's kZeroThreshold: smaller values count as zero where zero means missing
_OF_SETS = ("category", "set_start", "set_words")


@dataclass(frozen=True, kw_only=True)
class FlatTrees:
    """The nodes of all trees one after the other.

    ``root`` (T,) is where each tree starts. Per node: the ``feature`` it asks for, the ``threshold`` up to and
    including which one goes ``left``, else ``right``; ``missing`` says which values count as missing (0 none: NaN is
    taken as 0; 1 zero and NaN; 2 NaN) and ``to_left`` where those go. ``value`` is what a node is worth: of a leaf its
    output, of an inner node the mean of its leaves by the training rows in them; ``cover`` counts those rows (0 where
    nobody counted: then there are no exact reasons).

    A node may ask for a category instead: ``category`` is the number of its set (-1: it does not), whose bits are the
    32-bit words ``set_words[set_start[number]:set_start[number + 1]]``. A value goes left where the bit of its whole
    part is set; missing, negative and unknown ones go right.
    """

    root: Ints
    feature: Ints
    threshold: Floats
    left: Ints
    right: Ints
    missing: npt.NDArray[np.int8]
    to_left: npt.NDArray[np.bool_]
    value: Floats
    cover: Floats
    category: Ints
    set_start: Ints
    set_words: npt.NDArray[np.uint32]
    depth: int

    @classmethod
    def make(
        cls,
        *,
        root: Any,
        feature: Any,
        threshold: Any,
        left: Any,
        right: Any,
        value: Any,
        missing: Any = None,
        to_left: Any = None,
        cover: Any = None,
        category: Any = None,
        set_start: Any = None,
        set_words: Any = None,
    ) -> Self:
        """Flat trees from plain lists; ``depth`` is worked out.

        Raises
        ------
        BadInput
            The arrays are no trees: walking them would leave them or never end.
        """
        count = len(np.atleast_1d(feature))
        given = {
            "root": root,
            "feature": feature,
            "threshold": threshold,
            "left": left,
            "right": right,
            "missing": np.zeros(count, dtype=np.int8) if missing is None else missing,
            "to_left": np.zeros(count, dtype=np.bool_) if to_left is None else to_left,
            "value": value,
            "cover": np.zeros(count) if cover is None else cover,
            "category": np.full(count, -1) if category is None else category,
            "set_start": np.zeros(1, dtype=np.int32) if set_start is None else set_start,
            "set_words": np.zeros(0, dtype=np.uint32) if set_words is None else set_words,
        }
        arrays = check_shape(given)
        return cls(**arrays, depth=depth_of(arrays["root"], arrays["left"], arrays["right"]))

    @cached_property
    def width(self) -> int:
        """How many features a row has to have."""
        return int(self.feature.max(initial=-1)) + 1

    @cached_property
    def packed(self) -> PackedTrees:
        """The same trees laid out for the compiled walk."""
        return pack(self)

    def total(self, x: Floats) -> Floats:
        """(N,) sums of the leaves that the rows of *x* (N, F) reach, tree after tree."""
        x = self._fitting(x)
        out = np.zeros(len(x))
        kernel = self._kernel
        if kernel is None:
            return self.walked(x, out)
        packed = self.packed
        kernel.totals(packed.nodes, packed.roots, packed.columns, packed.words, x, packed.block, out)
        return out

    def walked(self, x: Floats, out: Floats) -> Floats:
        """What :meth:`total` gives, by NumPy alone."""
        for start, leaves in self._blocks(x):
            worth = self.value[leaves]
            total = np.zeros(leaves.shape[1])
            for tree in worth:  # one after the other, as the library adds them, so that even the last bit agrees
                total += tree
            out[start : start + leaves.shape[1]] = total
        return out

    def shares(self, row: Floats) -> Floats:
        """(F,) how much each feature moved the sum for one row: the change of node value at each step down (Saabas 2014)."""
        return self.explained(row)[1]

    def explained(self, row: Floats) -> tuple[float, Floats]:
        """The sum of the leaves one row reaches and the share of each feature in it, in one walk."""
        row = self._fitting(row[None, :])[0]
        out = np.zeros(len(row))
        kernel = self._kernel
        if kernel is not None:
            packed = self.packed
            return float(kernel.shares(packed.nodes, packed.worth, packed.roots, packed.columns, packed.words, row, out)), out
        node = self.root.copy()
        for _ in range(self.depth):
            below = self._step(node[:, None], row[None, :])[:, 0]
            moved = below != node
            np.add.at(out, self.feature[node[moved]], self.value[below[moved]] - self.value[node[moved]])
            node = below
        return float(sum(self.value[node].tolist())), out

    def contributions(self, row: Floats) -> tuple[float, Floats]:
        """What is expected of a row nothing is known of, and the exact Shapley value of each feature (F,) for this one.

        Together they are the sum of the leaves. Without numba it takes about a second per hundred trees.

        Raises
        ------
        BadInput
            The trees do not know how many training rows came to each node.
        """
        if not (self.cover[self.root] > 0).all():
            raise BadInput(
                "These trees do not know how many training rows came to each node, so exact reasons cannot be reckoned.",
                allowed="a model trained by this version or a later one",
                next_step="Train the model again, or take the path reasons.",
            )
        row = self._fitting(row[None, :])[0]
        nodes = np.arange(len(self.feature), dtype=np.int32)
        goes_left = self._step(nodes[:, None], np.broadcast_to(row, (1, len(row))))[:, 0] == self.left
        out = np.zeros(len(row))
        reckon = contributions_in_python if self._kernel is None else self._kernel.contributions
        reckon(self.root, self.feature, self.left, self.right, self.value, self.cover, goes_left, self.depth, out)
        return float(self.value[self.root].sum()), out

    def warm(self) -> None:
        """Compile the walks, or read them from where they are kept, before somebody waits for an answer."""
        if self._kernel is None:
            return
        nothing = np.zeros(self.width)
        self.total(nothing[None, :])
        self.explained(nothing)
        if (self.cover[self.root] > 0).all():
            self.contributions(nothing)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """As flat arrays for a model file; trees without categories leave those arrays out."""
        left_out = ("depth", *(() if len(self.set_words) else _OF_SETS))
        return {f"trees.{f.name}": getattr(self, f.name) for f in fields(self) if f.name not in left_out}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """What :meth:`arrays` wrote; arrays that are no trees are refused."""
        return cls.make(**{f.name: arrays[f"trees.{f.name}"] for f in fields(cls) if f"trees.{f.name}" in arrays})

    @cached_property
    def _kernel(self) -> ModuleType | None:
        """The compiled walk, where there is one; asked once, because the question costs as much as 50 trees."""
        if not is_fast():
            return None
        import trunkline.models.tree_kernel as kernel

        return kernel

    def _fitting(self, x: Floats) -> Floats:
        """*x* as the kernels take it, with every feature that is asked for."""
        if x.ndim != 2 or x.shape[1] < self.width:
            raise BadInput(
                f"The rows have {x.shape[-1]} features, and the trees ask for feature {self.width - 1}.", allowed=f"rows of at least {self.width} features"
            )
        if x.dtype == np.float64 and x.flags.c_contiguous and x.flags.writeable:
            return x
        return np.array(x, dtype=np.float64, order="C")

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
        to_left = np.where(absent, self.to_left[node], below)
        if len(self.set_words):
            to_left = np.where(self.category[node] >= 0, self._is_in_set(node, asked), to_left)
        return np.where(to_left, self.left[node], self.right[node])

    def _is_in_set(self, node: Ints, asked: Floats) -> npt.NDArray[np.bool_]:
        number = np.maximum(self.category[node], 0)
        start = self.set_start[number]
        with np.errstate(invalid="ignore"):
            known = (asked > -1.0) & (asked < 32.0 * (self.set_start[number + 1] - start))  # NaN is neither
        whole = np.where(known, asked, 0.0).astype(np.int64)
        word = self.set_words[np.minimum(start + (whole >> 5), len(self.set_words) - 1)]
        return np.asarray(known & ((word >> (whole & 31).astype(np.uint32)) & 1).astype(np.bool_))
