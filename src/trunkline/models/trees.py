"""Boosted trees for rows that people have labelled (LightGBM: G. Ke et al., "LightGBM", NIPS 2017).

LightGBM grows the trees; from then on they are flat arrays, walked by NumPy or a compiled kernel, equal to
``Booster.predict`` to 1e-9, with missing values. Neither LightGBM nor scikit-learn is needed to score.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from math import isfinite, isnan
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.errors import BadInput, TooLittleData
from trunkline.core.values import Reason
from trunkline.models.flat_trees import FlatTrees
from trunkline.models.lightgbm_text import flatten
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
        with np.errstate(over="ignore"):  # e to a very large number is infinite, and the chance 0, as it should be
            chance = 1.0 / (1.0 + np.exp(-self.trees.total(x)))
        return np.where(np.isnan(x).all(axis=1), np.nan, chance)

    def warm(self) -> None:
        """Get ready to answer at once: compile the walks, or read them from where they are kept, and lay the trees out for them."""
        self.trees.warm()

    def explain(self, rows: pl.DataFrame, index: int) -> tuple[Reason, ...]:
        """What moved the log odds of this row most, on the paths it takes (A. Saabas, "Interpreting random forests", 2014).

        Columns that speak for the finding come first, each with its share among those; columns that speak against it
        follow with a negative weight.
        """
        x = values(rows[index : index + 1], self.columns)[0]
        return self._reasons(x, self.trees.shares(x))

    def exact(self, rows: pl.DataFrame, index: int) -> tuple[Reason, ...]:
        """What moved the log odds of this row most, each column's exact Shapley value; 150 times the cost of :meth:`explain`.

        Raises
        ------
        BadInput
            The model was saved by a version that kept no counts of training rows.
        """
        x = values(rows[index : index + 1], self.columns)[0]
        return self._reasons(x, self.trees.contributions(x)[1])

    def save(self) -> Saved:
        """Parameters and words in the manifest, trees in arrays."""
        manifest: dict[str, Any] = {"model": "trees", "parameters": parameters(self.model), "columns": list(self.columns), "words": dict(self.words)}
        return Saved(manifest=manifest, arrays={"usual": self.usual, **self.trees.arrays()})

    @classmethod
    def from_saved(cls, saved: Saved) -> Self:
        """The trees that :meth:`save` wrote.

        Raises
        ------
        BadInput
            The arrays are no trees, or ask for columns that the model does not have.
        """
        columns, words = tuple(saved.manifest["columns"]), dict(saved.manifest["words"])
        trees, usual = FlatTrees.from_arrays(saved.arrays), np.asarray(saved.arrays["usual"], dtype=np.float64)
        if trees.width > len(columns) or usual.shape != (len(columns),) or not set(columns) <= set(words):
            raise BadInput(
                f"The trees ask for {trees.width} features; {len(columns)} columns, {usual.size} usual values and {len(words)} words are given.",
                where="model file of 'trees'",
                allowed="one usual value and one word for each column, and no feature beyond the columns",
            )
        return cls(model=Trees(**given(saved.manifest["parameters"])), columns=columns, trees=trees, usual=usual, words=words)

    def _reasons(self, x: Floats, moved: Floats) -> tuple[Reason, ...]:
        whole = float(moved[moved > 0].sum() or np.abs(moved).sum())
        if whole == 0:
            return ()
        held, usual, shares = x.tolist(), self.usual.tolist(), moved.tolist()
        return tuple(self._reason(self.columns[j], held[j], usual[j], shares[j] / whole) for j in np.argsort(-moved, kind="stable").tolist() if shares[j] != 0)

    def _reason(self, column: str, value: float, usual: float, weight: float) -> Reason:
        is_gap, is_known = isnan(value), isfinite(usual)
        typical = f", usually {number(usual)}" if is_known else ""
        return Reason(
            column=column,
            text=f"{self.words[column]} {'missing' if is_gap else number(value)}{typical}: speaks {'for' if weight > 0 else 'against'} it",
            weight=weight,
            value=None if is_gap else value,
            usual=usual if is_known else None,
        )


def _set_aside(rows: pl.DataFrame, seed: int) -> npt.NDArray[np.bool_]:
    """The rows growth is watched on: a fifth of the entities, of few entities the latest fifth of the rows."""
    names, code = np.unique(rows["entity"].cast(pl.String).to_numpy().astype(np.str_), return_inverse=True)
    if len(names) >= 10:
        return np.asarray(np.random.default_rng(seed).permutation(len(names))[code] < len(names) // 5)
    place = rows["at"].rank("ordinal").to_numpy()
    return np.asarray(place > 0.8 * rows.height)
