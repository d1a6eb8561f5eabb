"""How sure a figure is: whole clusters (a cell, a customer, a cell-week) are drawn anew with replacement.

Rows of one cell and week resemble each other, so drawing single rows would give intervals that are far too narrow
(B. Efron, R. Tibshirani, An Introduction to the Bootstrap, 1993, ch. 8; percentile intervals, ch. 13).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import polars as pl

from trunkline.gates.protocol import Array, Evidence

FEWEST_CLUSTERS = 5
"""Below this an interval says nothing."""


def clusters(evidence: Evidence) -> Array:
    """The cluster of each row, 0…k-1: its group where groups are given, else its entity and week."""
    if evidence.groups is not None:
        return np.unique(evidence.groups.astype(str), return_inverse=True)[1]
    keys = evidence.rows.select(pl.struct("entity", pl.col("at").dt.truncate("1w").alias("week")).rank("dense").alias("cluster"))
    return keys["cluster"].to_numpy().astype(np.int64) - 1


def draws(cluster: Array, *, seed: int) -> Iterator[Array]:
    """Weights of the rows in repeated draws of whole clusters: 500, fewer (never below 100) above 30,000 rows."""
    many = int(np.clip(15_000_000 // max(len(cluster), 1), 100, 500))
    rng = np.random.default_rng(seed)
    number = int(cluster.max()) + 1 if len(cluster) else 0
    for _ in range(many):
        yield np.bincount(rng.integers(0, number, number), minlength=number)[cluster]


def interval(value: float, measure: Callable[[Array], float], cluster: Array, *, seed: int, confidence: float = 0.95) -> tuple[float, float] | None:
    """Percentile interval of *measure* around *value*; None where there are too few clusters.

    *measure* takes the weights of the rows and may answer NaN for a draw it cannot judge (no positive in it).
    """
    if len(cluster) == 0 or int(cluster.max()) + 1 < FEWEST_CLUSTERS:
        return None
    found = np.array([measure(weights) for weights in draws(cluster, seed=seed)])
    found = found[~np.isnan(found)]
    if len(found) < 50:
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return min(float(low), value), max(float(high), value)
