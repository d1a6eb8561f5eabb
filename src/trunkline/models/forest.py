"""Isolation forest: rows that few random cuts set apart are unusual (F. T. Liu, K. M. Ting, Z.-H. Zhou, "Isolation Forest", 2008).

scikit-learn grows the trees; from then on they are flat arrays and NumPy walks them. By default the forest sees
residuals, not raw values: on raw values it mostly finds that nights are quiet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.clock import duration
from trunkline.core.errors import BadInput, TooLittleData
from trunkline.core.values import Reason
from trunkline.models.calibration import Tail
from trunkline.models.flat_trees import FlatTrees
from trunkline.models.portable import given, parameters
from trunkline.models.protocol import Context, Fitted, Floats, Saved
from trunkline.models.reasons import against_usual, moment
from trunkline.models.residuals import LEVEL, Usual
from trunkline.models.rows import feature_columns, segments, values

LEAST_ROWS = 50
"""Rows below which a forest isolates chance."""


@dataclass(frozen=True, slots=True)
class IsolationForest:
    """Unusual combinations of values, without labels.

    Parameters
    ----------
    trees
        More make the score steadier; 200 is where it stops moving.
    on
        ``"residual"``: differences from the usual hour of the week, the default for time series; an entity never seen
        cannot be judged. ``"raw"``: the values themselves, for rows without a time.
    columns
        Feature columns; empty: all numeric ones.
    sample
        Rows each tree is grown on.
    over
        On residuals: the trees also see their mean over these lengths of time, so that a small lasting change stands out.

    >>> IsolationForest(trees=50).on
    'residual'
    """

    trees: int = 200
    on: Literal["residual", "raw"] = field(default="residual", kw_only=True)
    columns: tuple[str, ...] = field(default=(), kw_only=True)
    sample: int = field(default=256, kw_only=True)
    over: tuple[str, ...] = field(default=("3h", "6h"), kw_only=True)

    def __post_init__(self) -> None:
        if self.on not in ("residual", "raw"):
            raise BadInput(f"An isolation forest cannot look at '{self.on}'.", where="IsolationForest.on", allowed="'residual' or 'raw'")
        if self.trees < 1 or self.sample < 2:
            raise BadInput(f"{self.trees} trees on {self.sample} rows are no forest.", where="IsolationForest", allowed="1 tree or more, 2 rows or more")

    def fit(self, rows: pl.DataFrame, *, labels: npt.NDArray[Any] | None = None, context: Context, seed: int = 0) -> FittedForest:  # noqa: ARG002 - every model takes labels
        """Grow the trees on *rows* and calibrate the scores; labels are not looked at.

        Raises
        ------
        TooLittleData
            Fewer than 50 rows can be judged.
        """
        from sklearn.ensemble import IsolationForest as Grower
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        columns = feature_columns(rows, self.columns)
        usual = Usual.fit(rows, columns, context) if self.on == "residual" else None
        windows = tuple(max(1, duration(length) // context.every) for length in self.over) if usual else ()
        seen = _with_means(rows, usual.residuals(rows), windows) if usual else values(rows, columns)
        judged = np.isfinite(seen).any(axis=1)
        if judged.sum() < LEAST_ROWS:
            raise TooLittleData(f"{int(judged.sum())} rows have values; an isolation forest needs {LEAST_ROWS}.", next_step="Take a longer history.")
        fill = np.zeros(seen.shape[1]) if usual else np.array([float(np.median(c[np.isfinite(c)])) if np.isfinite(c).any() else 0.0 for c in seen.T])
        x = _filled(seen, fill)[judged]
        grower = Grower(n_estimators=self.trees, max_samples=min(self.sample, len(x)), random_state=seed, n_jobs=1)
        with threadpool_limits(1):
            grower.fit(x)
        forest, per_tree = _flatten(grower)
        names = tuple(part.entity for part in segments(rows))
        strange = np.full(rows.height, np.nan)
        strange[judged] = _strangeness(forest, x, per_tree)
        tail = Tail.fit(by_entity(rows, strange))
        words = {c: context.word(c) for c in columns}
        return FittedForest(
            model=self,
            columns=columns,
            usual=usual,
            forest=forest,
            per_tree=per_tree,
            fill=fill,
            windows=windows,
            every=context.every,
            entities=names,
            tail=tail,
            words=words,
        )

    @classmethod
    def from_saved(cls, saved: Saved) -> Fitted:
        """The fitted forest *saved* holds."""
        return FittedForest.from_saved(saved)


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedForest:
    """Trees as arrays, what is usual, and how strange each entity's past was."""

    model: IsolationForest
    columns: tuple[str, ...]
    usual: Usual | None
    forest: FlatTrees
    per_tree: float
    fill: Floats
    windows: tuple[int, ...]
    every: timedelta
    entities: tuple[str, ...]
    tail: Tail
    words: dict[str, str]

    @property
    def lookback(self) -> timedelta:
        """A week and the longest mean where residuals follow the level, nothing on raw values."""
        return LEVEL + max(self.windows, default=0) * self.every if self.usual else timedelta(0)

    def score(self, rows: pl.DataFrame) -> Floats:
        """1 minus the tail probability of each row's strangeness among its entity's past.

        A single missing value counts as usual; a row without any value, and on residuals an entity never seen, is NaN.
        """
        if rows.height == 0:
            return np.zeros(0)
        strange = self.strangeness(rows)
        known = {entity: e for e, entity in enumerate(self.entities)}
        out = np.full(rows.height, np.nan)
        for part in segments(rows):
            series = known.get(part.entity, -1)
            out[part.start : part.stop] = 1.0 - self.tail.p(strange[part.start : part.stop], np.array([series]))[0]
        return out

    def warm(self) -> None:
        """Get ready to answer at once: compile the walks, or read them from where they are kept, and lay the trees out for them."""
        self.forest.warm()

    def strangeness(self, rows: pl.DataFrame) -> Floats:
        """scikit-learn's ``-score_samples``: 2 to the power of minus the mean path length in units of the expected one."""
        seen = self._seen(rows)
        judged = np.isfinite(seen).any(axis=1)
        out = np.full(rows.height, np.nan)
        if judged.any():
            out[judged] = _strangeness(self.forest, _filled(seen, self.fill)[judged], self.per_tree)
        return out

    def explain(self, rows: pl.DataFrame, index: int) -> tuple[Reason, ...]:
        """By how much the strangeness falls if one column is put back to its usual value, column by column."""
        seen = self._seen(rows)[index]
        if not np.isfinite(seen).any():
            return ()
        x = _filled(seen[None, :], self.fill)
        own = np.tile(np.eye(len(self.columns), dtype=np.bool_), x.shape[1] // len(self.columns))
        instead = np.where(own, self.fill, x)
        every = _strangeness(self.forest, np.concatenate([x, instead]), self.per_tree)
        falls = np.maximum(every[0] - every[1:], 0.0)
        weights = falls / falls.sum() if falls.sum() > 0 else np.zeros(len(falls))
        numbers = values(rows, self.columns)[index]
        usual = self.usual.usual(rows)[index] if self.usual else self.fill
        when = moment(rows["at"][index], self.usual.zones[rows["entity"][index]]) if self.usual else "value"
        order = [j for j in np.argsort(-weights, kind="stable") if weights[j] > 0 and np.isfinite(numbers[j])]
        return tuple(
            Reason(
                column=self.columns[j],
                text=against_usual(self.words[self.columns[j]], float(numbers[j]), float(usual[j]), when),
                weight=float(weights[j]),
                value=float(numbers[j]),
                usual=float(usual[j]),
            )
            for j in order
        )

    def save(self) -> Saved:
        """Parameters, words and holidays in the manifest, everything else in arrays."""
        manifest: dict[str, Any] = {
            "model": "forest",
            "parameters": parameters(self.model),
            "columns": list(self.columns),
            "per_tree": self.per_tree,
            "windows": list(self.windows),
            "every_s": self.every.total_seconds(),
            "words": dict(self.words),
            "holidays": {z: list(days) for z, days in self.usual.holidays.items()} if self.usual else {},
        }
        arrays = {"fill": self.fill, "entities": np.array(self.entities, dtype=np.str_), **self.forest.arrays(), **self.tail.arrays("tail")}
        return Saved(manifest=manifest, arrays=arrays | (self.usual.arrays() if self.usual else {}))

    @classmethod
    def from_saved(cls, saved: Saved) -> Self:
        """The forest that :meth:`save` wrote."""
        columns = tuple(saved.manifest["columns"])
        usual = Usual.from_arrays(saved.arrays, columns=columns, holidays=saved.manifest["holidays"]) if "usual.median" in saved.arrays else None
        return cls(
            model=IsolationForest(**given(saved.manifest["parameters"])),
            columns=columns,
            usual=usual,
            forest=FlatTrees.from_arrays(saved.arrays),
            per_tree=float(saved.manifest["per_tree"]),
            fill=saved.arrays["fill"],
            windows=tuple(saved.manifest["windows"]),
            every=timedelta(seconds=float(saved.manifest["every_s"])),
            entities=tuple(str(e) for e in saved.arrays["entities"]),
            tail=Tail.from_arrays("tail", saved.arrays),
            words=dict(saved.manifest["words"]),
        )

    def _seen(self, rows: pl.DataFrame) -> Floats:
        return _with_means(rows, self.usual.residuals(rows), self.windows) if self.usual else values(rows, self.columns)


def _filled(seen: Floats, fill: Floats) -> Floats:
    """Missing values as usual ones, rounded to single precision because scikit-learn grows its trees on that."""
    return np.where(np.isfinite(seen), seen, fill).astype(np.float32).astype(np.float64)


def _with_means(rows: pl.DataFrame, residuals: Floats, windows: tuple[int, ...]) -> Floats:
    """(N, F * (1 + windows)) residuals, then their sums over so many rows up to each, in units of a single one's spread.

    A gap adds nothing to a sum; where the newest value is a gap, so are its sums.
    """
    blocks = [residuals]
    near = np.nan_to_num(residuals)
    for window in windows:
        total = np.zeros_like(near)
        for part in segments(rows):
            own = near[part.start : part.stop]
            for back in range(min(window, len(own))):  # a running sum would let rounding depend on where the rows begin
                total[part.start + back : part.stop] += own[: len(own) - back]
        blocks.append(np.where(np.isnan(residuals), np.nan, total / np.sqrt(window)))
    return np.concatenate(blocks, axis=1)


def _strangeness(forest: FlatTrees, x: Floats, per_tree: float) -> Floats:
    return np.asarray(2.0 ** (-forest.total(x) / per_tree))


def by_entity(rows: pl.DataFrame, strange: Floats) -> Floats:
    """(E, longest) what belongs to each entity, one row per entity, NaN behind the end of the shorter ones."""
    parts = segments(rows)
    out = np.full((len(parts), max(part.stop - part.start for part in parts)), np.nan)
    for e, part in enumerate(parts):
        out[e, : part.stop - part.start] = strange[part.start : part.stop]
    return out


def _flatten(grower: Any) -> tuple[FlatTrees, float]:
    """scikit-learn's trees as flat arrays; a leaf is worth the path to it plus that expected among the rows left in it."""
    root, feature, threshold, left, right, value = [], [], [], [], [], []
    start = 0
    for estimator in grower.estimators_:
        tree = estimator.tree_
        count = tree.node_count
        own = np.arange(count)
        leaf = tree.children_left < 0
        depth = np.zeros(count)
        for node in own[~leaf]:  # children come after their parent
            depth[[tree.children_left[node], tree.children_right[node]]] = depth[node] + 1
        root.append(start)
        feature.append(np.where(leaf, 0, tree.feature))
        threshold.append(np.where(leaf, np.inf, tree.threshold))
        left.append(start + np.where(leaf, own, tree.children_left))
        right.append(start + np.where(leaf, own, tree.children_right))
        value.append(np.where(leaf, depth + _expected_path(tree.n_node_samples), 0.0))
        start += count
    flat = FlatTrees.make(
        root=root,
        feature=np.concatenate(feature),
        threshold=np.concatenate(threshold),
        left=np.concatenate(left),
        right=np.concatenate(right),
        value=np.concatenate(value),
    )
    per_tree = len(grower.estimators_) * float(_expected_path(np.array([grower._max_samples]))[0])  # noqa: SLF001 - the sample size really used
    return flat, per_tree or 1.0


def _expected_path(rows: npt.NDArray[Any]) -> Floats:
    """Mean path length of an unsuccessful search among so many rows (Liu et al. 2008, eq. 1)."""
    n = rows.astype(np.float64)
    many = np.maximum(n, 3.0)
    return np.where(n <= 1, 0.0, np.where(n == 2, 1.0, 2.0 * (np.log(many - 1.0) + np.euler_gamma) - 2.0 * (many - 1.0) / many))
