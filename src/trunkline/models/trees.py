"""Boosted trees for rows that people have labelled (LightGBM: G. Ke et al., "LightGBM", NIPS 2017).

LightGBM grows the trees; from then on they are flat arrays that NumPy walks, equal to ``Booster.predict`` to 1e-9, with
missing values. Neither LightGBM nor scikit-learn is needed to score.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.errors import BadInput, TooLittleData
from trunkline.core.values import Reason
from trunkline.models.flat_trees import FlatTrees
from trunkline.models.portable import given, parameters
from trunkline.models.protocol import Context, Fitted, Floats, Saved
from trunkline.models.reasons import number
from trunkline.models.rows import feature_columns, segments, values

LEAST_OF_EACH = 10
"""Positive and negative rows below which nothing is learned."""


@dataclass(frozen=True, slots=True)
class Trees:
    """The probability that a row is positive, learned from labels.

    Rows are not weighted by class: that would break the probabilities (calibration error ten times larger).

    Parameters
    ----------
    rounds
        Trees grown one after the other, at most.
    stop
        How many trees may follow without getting better on entities set aside (every fifth; with fewer than ten
        entities the latest fifth of the rows) before growing stops. All rows are then learned with that many trees. 0: never.
    leaves
        Leaves per tree; fewer for small or noisy data.
    rate
        How much each tree adds.
    least
        Rows a leaf needs.
    columns
        Feature columns; empty: all numeric ones.
    sample
        Share of the columns each tree may use; trees that see different columns agree less and average better.

    >>> Trees(rounds=50).leaves
    31
    """

    rounds: int = 600
    stop: int = field(default=30, kw_only=True)
    leaves: int = field(default=31, kw_only=True)
    rate: float = field(default=0.1, kw_only=True)
    least: int = field(default=20, kw_only=True)
    columns: tuple[str, ...] = field(default=(), kw_only=True)
    sample: float = field(default=0.5, kw_only=True)

    def fit(self, rows: pl.DataFrame, *, labels: npt.NDArray[Any] | None = None, context: Context, seed: int = 0) -> FittedTrees:
        """Grow the trees on the labelled rows.

        *labels* hold one value per row: above 0 (or True) is positive; NaN is unknown, and such rows are left out.

        Raises
        ------
        BadInput
            There are no labels, or not one per row.
        TooLittleData
            Fewer than 10 rows of either kind are labelled.
        """
        import lightgbm

        x, truth, aside, columns = self._learned_from(rows, labels, seed)
        settings = {
            "objective": "binary",
            "num_leaves": self.leaves,
            "learning_rate": self.rate,
            "min_data_in_leaf": self.least,
            "feature_fraction": self.sample,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }
        rounds = self.rounds
        if self.stop and 0 < truth[aside].sum() < aside.sum():
            part = lightgbm.Dataset(x[~aside], label=truth[~aside])
            held = lightgbm.Dataset(x[aside], label=truth[aside], reference=part)
            tried = lightgbm.train(settings, part, rounds, valid_sets=[held], callbacks=[lightgbm.early_stopping(self.stop, verbose=False)])
            rounds = max(tried.best_iteration, 1)
        booster = lightgbm.train(settings, lightgbm.Dataset(x, label=truth), rounds)
        trees = flatten(booster.model_to_string())
        negative = x[truth == 0]
        usual = np.array([float(np.median(c[np.isfinite(c)])) if np.isfinite(c).any() else np.nan for c in negative.T])
        return FittedTrees(model=self, columns=columns, trees=trees, usual=usual, words={c: context.word(c) for c in columns})

    @classmethod
    def from_saved(cls, saved: Saved) -> Fitted:
        """The fitted trees *saved* holds."""
        return FittedTrees.from_saved(saved)

    def _learned_from(self, rows: pl.DataFrame, labels: npt.NDArray[Any] | None, seed: int) -> tuple[Floats, Floats, npt.NDArray[np.bool_], tuple[str, ...]]:
        if labels is None:
            raise BadInput(
                "Boosted trees learn from labels, and none were given.",
                where="Trees.fit",
                allowed="one label per row: positive, negative, or NaN for unknown",
                next_step="Label some rows (trunkline decision approve or reject), or use a model without labels: Harmonic, Envelope, IsolationForest.",
            )
        if len(labels) != rows.height:
            raise BadInput(f"There are {rows.height} rows but {len(labels)} labels.", where="Trees.fit", allowed="one label per row")
        columns = feature_columns(rows, self.columns)
        given_ = np.asarray(labels, dtype=np.float64)
        known = np.isfinite(given_)
        truth = (given_[known] > 0).astype(np.float64)
        if min(int(truth.sum()), int((1 - truth).sum())) < LEAST_OF_EACH:
            raise TooLittleData(
                f"{int(truth.sum())} rows are labelled positive and {int((1 - truth).sum())} negative; {LEAST_OF_EACH} of each are needed.",
                next_step="Label more rows.",
            )
        return values(rows, columns)[known], truth, _set_aside(rows, seed)[known], columns


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedTrees:
    """Trees as arrays, and what is usual for negative rows."""

    model: Trees
    columns: tuple[str, ...]
    trees: FlatTrees
    usual: Floats
    words: dict[str, str]

    @property
    def lookback(self) -> timedelta:
        """Each row is judged by itself."""
        return timedelta(0)

    def score(self, rows: pl.DataFrame) -> Floats:
        """The probability of each row; a missing value goes where the trees learned to send it, a row of gaps gets NaN."""
        segments(rows)  # refuses a slot given twice
        x = values(rows, self.columns)
        chance = 1.0 / (1.0 + np.exp(-self.trees.total(x)))
        return np.where(np.isnan(x).all(axis=1), np.nan, chance)

    def explain(self, rows: pl.DataFrame, index: int) -> tuple[Reason, ...]:
        """What moved the log odds of this row most, on the paths it takes (A. Saabas, "Interpreting random forests", 2014).

        Columns that speak for the finding come first, each with its share among those; columns that speak against it
        follow with a negative weight.
        """
        x = values(rows, self.columns)[index]
        moved = self.trees.shares(x)
        whole = moved[moved > 0].sum() or np.abs(moved).sum()
        if whole == 0:
            return ()
        order = [j for j in np.argsort(-moved, kind="stable") if moved[j] != 0]
        return tuple(self._reason(j, float(x[j]), float(moved[j]), float(moved[j] / whole)) for j in order)

    def save(self) -> Saved:
        """Parameters and words in the manifest, trees in arrays."""
        manifest: dict[str, Any] = {"model": "trees", "parameters": parameters(self.model), "columns": list(self.columns), "words": dict(self.words)}
        return Saved(manifest=manifest, arrays={"usual": self.usual, **self.trees.arrays()})

    @classmethod
    def from_saved(cls, saved: Saved) -> Self:
        """The trees that :meth:`save` wrote."""
        return cls(
            model=Trees(**given(saved.manifest["parameters"])),
            columns=tuple(saved.manifest["columns"]),
            trees=FlatTrees.from_arrays(saved.arrays),
            usual=saved.arrays["usual"],
            words=dict(saved.manifest["words"]),
        )

    def _reason(self, j: int, value: float, moved: float, weight: float) -> Reason:
        word, usual = self.words[self.columns[j]], float(self.usual[j])
        side = "for" if moved > 0 else "against"
        held = "missing" if np.isnan(value) else number(value)
        typical = f", usually {number(usual)}" if np.isfinite(usual) else ""
        return Reason(
            column=self.columns[j],
            text=f"{word} {held}{typical}: speaks {side} it",
            weight=weight,
            value=None if np.isnan(value) else value,
            usual=usual if np.isfinite(usual) else None,
        )


def _set_aside(rows: pl.DataFrame, seed: int) -> npt.NDArray[np.bool_]:
    """The rows growth is watched on: a fifth of the entities, of few entities the latest fifth of the rows."""
    names, code = np.unique(rows["entity"].cast(pl.String).to_numpy().astype(np.str_), return_inverse=True)
    if len(names) >= 10:
        return np.asarray(np.random.default_rng(seed).permutation(len(names))[code] < len(names) // 5)
    place = rows["at"].rank("ordinal").to_numpy()
    return np.asarray(place > 0.8 * rows.height)


def flatten(model: str) -> FlatTrees:
    """The trees of a LightGBM model text as flat arrays.

    Raises
    ------
    BadInput
        A tree splits by category; only numeric splits are read.
    """
    root: list[int] = []
    feature: list[int] = []
    threshold: list[float] = []
    left: list[int] = []
    right: list[int] = []
    missing: list[int] = []
    to_left: list[bool] = []
    value: list[float] = []
    start = 0
    for text in model.split("\nTree=")[1:]:
        tree = dict(line.split("=", 1) for line in text.split("\n\n")[0].splitlines()[1:] if "=" in line)
        inner = int(tree["num_leaves"]) - 1
        if int(tree.get("num_cat", "0")):
            raise BadInput(
                "A tree splits by category.", where=f"tree {len(root)}", allowed="numeric splits", next_step="Give categories as numbers or truth values."
            )
        output = _numbers(tree["leaf_value"])
        weight = _numbers(tree["leaf_count"]) if inner else np.ones(1)
        decisions = _numbers(tree["decision_type"]).astype(np.int64) if inner else np.zeros(0, dtype=np.int64)
        children = [_numbers(tree[side]).astype(np.int64) if inner else np.zeros(0, dtype=np.int64) for side in ("left_child", "right_child")]
        lefts, rights = (np.where(c >= 0, c, inner + ~c) for c in children)  # ~leaf is how LightGBM writes a leaf
        leaves = np.arange(inner, 2 * inner + 1)
        root.append(start)
        feature.extend([*(_numbers(tree["split_feature"]).astype(np.int64) if inner else []), *np.zeros(len(leaves), dtype=np.int64)])
        threshold.extend([*(_numbers(tree["threshold"]) if inner else []), *np.full(len(leaves), np.inf)])
        left.extend(start + np.concatenate([lefts, leaves]))
        right.extend(start + np.concatenate([rights, leaves]))
        missing.extend([*((decisions >> 2) & 3), *np.zeros(len(leaves), dtype=np.int64)])
        to_left.extend([*((decisions & 2) > 0), *np.zeros(len(leaves), dtype=np.bool_)])
        value.extend(_worth(lefts, rights, output, weight))
        start += len(leaves) + inner
    return FlatTrees.make(root=root, feature=feature, threshold=threshold, left=left, right=right, missing=missing, to_left=to_left, value=value)


def _worth(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64], output: Floats, weight: Floats) -> Floats:
    """Value of every node: of an inner one the mean of its children, weighted by the training rows below them."""
    inner = len(left)
    value, rows = np.concatenate([np.zeros(inner), output]), np.concatenate([np.zeros(inner), weight])
    order = [0] if inner else []
    for node in order:  # grows while it is walked: parents before children
        order.extend(child for child in (int(left[node]), int(right[node])) if child < inner)
    for node in reversed(order):
        both = [left[node], right[node]]
        rows[node] = rows[both].sum()
        value[node] = float(np.dot(value[both], rows[both]) / rows[node]) if rows[node] else 0.0
    return value


def _numbers(text: str) -> Floats:
    return np.array(text.split(), dtype=np.float64)
