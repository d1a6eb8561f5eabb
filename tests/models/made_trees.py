"""Trees of any shape for properties: unlike a learner's, with features asked twice on one way and every kind of question."""

from __future__ import annotations

from typing import Any

import numpy as np

from trunkline.models.flat_trees import FlatTrees

WIDTH = 4


def made_trees(seed: int, *, trees: int = 11, most_leaves: int = 12) -> FlatTrees:
    """Random trees over WIDTH features."""
    rng = np.random.default_rng(seed)
    parts: dict[str, list[Any]] = {name: [] for name in ("feature", "threshold", "left", "right", "missing", "to_left", "value", "cover", "category")}

    def add(**own: Any) -> int:
        for name, array in parts.items():
            array.append(own.get(name, 0))
        return len(parts["left"]) - 1

    def leaf(rows: float) -> int:
        node = add(threshold=np.inf, value=float(np.round(rng.normal(), 2)), cover=rows, category=-1, to_left=False)
        parts["left"][node] = parts["right"][node] = node
        return node

    def grow(leaves: int, rows: float) -> int:
        if leaves < 2:
            return leaf(rows)
        node = add(
            feature=int(rng.integers(WIDTH)),
            threshold=float(rng.choice([-1.0, 0.0, 0.5, 1.0, 1e-35, np.inf])),
            missing=int(rng.integers(3)),
            to_left=bool(rng.integers(2)),
            cover=rows,
            category=int(rng.choice([-1, -1, 0, 1])),
        )
        first, part = int(rng.integers(1, leaves)), float(rng.uniform(0.1, 0.9))
        left, right = grow(first, rows * part), grow(leaves - first, rows * (1 - part))
        parts["left"][node], parts["right"][node] = left, right
        parts["value"][node] = part * parts["value"][left] + (1 - part) * parts["value"][right]
        return node

    root = [grow(int(rng.integers(1, most_leaves)), 100.0) for _ in range(trees)]
    return FlatTrees.make(root=root, **parts, set_start=[0, 1, 4], set_words=[0b1010, 1, 2**31, 7])


def odd_rows(seed: int, count: int) -> np.ndarray:
    """Rows of gaps, zeros, thresholds met, categories known and unknown."""
    rng = np.random.default_rng([seed, 9])
    return rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-35, -1e-36, 0.5, 1.0, 3.0, 3.7, 32.0, 63.0, 95.0, 96.0, 1e18, -0.4, -1.0, -7.0], (count, WIDTH))
