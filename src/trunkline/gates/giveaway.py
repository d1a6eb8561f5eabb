"""How much a single column, its gaps, or the order of the rows tells about the label, all by itself."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import polars as pl

from trunkline.gates.protocol import Array
from trunkline.gates.ranking import auc, rank

FOLDS = 5
BINS = 64


def bins(column: pl.Series) -> Array:
    """Each value's bin: gaps are bin 0, few distinct values keep a bin each, many share :data:`BINS` of equal count.

    >>> bins(pl.Series([1.0, None, 1.0, 2.0])).tolist()
    [1, 0, 1, 2]
    """
    missing = gaps(column)
    if column.dtype == pl.Boolean:
        values = column.fill_null(value=False).to_numpy().astype(np.float64)
    elif column.dtype.is_numeric():
        values = column.cast(pl.Float64).fill_null(0.0).to_numpy()
    else:
        values = column.cast(pl.String).fill_null("").rank("dense").to_numpy().astype(np.float64)
    found = np.zeros(len(values), dtype=np.int64)
    present = values[~missing]
    distinct = np.unique(present)
    if len(distinct) > BINS:
        distinct = np.unique(np.quantile(present, np.linspace(0, 1, BINS + 1)[1:-1]))
        found[~missing] = np.searchsorted(distinct, present, side="left") + 1
    else:
        found[~missing] = np.searchsorted(distinct, present) + 1
    return found


def gaps(column: pl.Series) -> Array:
    """True where a column has no value: null, or NaN."""
    missing = column.is_null().to_numpy()
    if column.dtype.is_float():
        missing = missing | column.is_nan().fill_null(value=False).to_numpy()
    return np.asarray(missing)


def alone(binned: Array, truth: Array, fold: Array) -> float:
    """AUC of the label predicted from one binned column: each fold from the label rates of the others' bins.

    A fold in which one label is missing counts for nothing; .5 where no fold can be judged.
    """
    many = int(binned.max()) + 1 if len(binned) else 1
    total, weight = 0.0, 0
    for held in np.unique(fold):
        test = fold == held
        train = ~test
        positives, share = int(truth[test].sum()), truth[train].mean() if train.any() else 0.5
        if positives in (0, int(test.sum())):
            continue
        rows = np.bincount(binned[train], minlength=many)
        hits = np.bincount(binned[train], weights=truth[train].astype(np.float64), minlength=many)
        guess = (hits + share) / (rows + 1)
        total += auc(rank(guess[binned[test]], truth[test])) * positives
        weight += positives
    return total / weight if weight else 0.5


def folds(truth: Array, groups: Array | None) -> Array:
    """A fold per row: whole groups where at least ten groups hold positives and negatives, else every fifth row."""
    if groups is not None:
        names, code = np.unique(groups.astype(str), return_inverse=True)
        hits, rows = np.bincount(code, weights=truth, minlength=len(names)), np.bincount(code, minlength=len(names))
        if int(((hits > 0) & (hits < rows)).sum()) >= 2 * FOLDS or (len(names) > 0 and len(names) >= len(truth) / 2):
            return np.asarray(code % FOLDS)
    return np.arange(len(truth)) % FOLDS


def rate_at_least(hits: int, rows: int, z: float = 3.3) -> float:
    """Lower end of Wilson's interval for a share (E. B. Wilson, 1927); *z* of 3.3 allows for some 50 columns being tried.

    >>> round(rate_at_least(140, 140), 3)
    0.928
    """
    if rows == 0:
        return 0.0
    p = hits / rows
    middle = p + z * z / (2 * rows)
    return (middle - z * math.sqrt(p * (1 - p) / rows + z * z / (4 * rows * rows))) / (1 + z * z / rows)


def neighbours(truth: Array, groups: Array, *, seed: int, shuffles: int = 200) -> tuple[float, float]:
    """How much neighbouring rows of a group share their label: the share of label changes missing against shuffled groups, and how many standard deviations that is.

    *truth* and *groups* are in the order of the rows.
    """
    order = np.argsort(groups, kind="stable")
    group, label = groups[order], truth[order]
    inside = group[1:] == group[:-1]
    if not inside.any():
        return 0.0, 0.0
    changes = int(((label[1:] != label[:-1]) & inside).sum())
    shuffled = np.array([((drawn[1:] != drawn[:-1]) & inside).sum() for drawn in _shuffled(label, group, seed=seed, many=shuffles)])
    expected, spread = float(shuffled.mean()), float(shuffled.std())
    if expected == 0 or spread == 0:
        return 0.0, 0.0
    return 1 - changes / expected, (expected - changes) / spread


def _shuffled(label: Array, group: Array, *, seed: int, many: int) -> Iterator[Array]:
    rng = np.random.default_rng([seed, 4])
    codes = np.unique(group, return_inverse=True)[1]
    for _ in range(many):
        yield label[np.lexsort((rng.random(len(label)), codes))]
