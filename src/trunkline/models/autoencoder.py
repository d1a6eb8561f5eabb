"""Autoencoder: a small net squeezes the last day of residuals through few numbers; what it cannot rebuild is unusual.

After M. Sakurada, T. Yairi, "Anomaly detection using autoencoders with nonlinear dimensionality reduction", 2014. We
differ in what counts as error: only the newest slot, the rest of the window is context, so that a fault does not linger.
scikit-learn trains the net; from then on it is plain weights and NumPy.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.errors import BadInput, TooLittleData
from trunkline.core.values import Reason
from trunkline.models.calibration import Tail
from trunkline.models.forest import by_entity
from trunkline.models.portable import given, parameters
from trunkline.models.protocol import Context, Fitted, Floats, Saved
from trunkline.models.reasons import against_usual, moment
from trunkline.models.residuals import LEVEL, Usual
from trunkline.models.rows import feature_columns, segments, times, values

LEAST_WINDOWS = 100
"""Windows below which a net learns them by heart."""

LIMIT = 8.0
"""Residuals beyond so many scales look alike to the net; the part beyond still counts as error."""


@dataclass(frozen=True, slots=True)
class Autoencoder:
    """Unusual courses of a day, without labels.

    On the telecom-shaped test it loses clearly to a harmonic baseline (recall .45 against .77); it is here as a
    contender and for KPIs that only go wrong together.

    Parameters
    ----------
    hidden
        Neurons per hidden layer; the smallest is the squeeze.
    slots
        Length of the window.
    columns
        Feature columns; empty: all numeric ones.
    epochs
        Passes over the windows.
    most
        Windows learned from; of more, as many are drawn.

    >>> Autoencoder(slots=12).hidden
    (16, 6, 16)
    """

    hidden: tuple[int, ...] = (16, 6, 16)
    slots: int = field(default=24, kw_only=True)
    columns: tuple[str, ...] = field(default=(), kw_only=True)
    epochs: int = field(default=40, kw_only=True)
    most: int = field(default=20_000, kw_only=True)

    def __post_init__(self) -> None:
        if not self.hidden or min(self.hidden) < 1 or self.slots < 1 or self.epochs < 1:
            raise BadInput(
                f"A net of {self.hidden} neurons over {self.slots} slots cannot be built.", where="Autoencoder", allowed="layers, slots and epochs of 1 or more"
            )

    def fit(self, rows: pl.DataFrame, *, labels: npt.NDArray[Any] | None = None, context: Context, seed: int = 0) -> FittedAutoencoder:  # noqa: ARG002 - every model takes labels
        """Train the net on the windows of *rows* and calibrate its errors; labels are not looked at.

        Raises
        ------
        TooLittleData
            Fewer than 100 windows are at least half known.
        """
        columns = feature_columns(rows, self.columns)
        usual = Usual.fit(rows, columns, context)
        residuals = usual.residuals(rows)
        x, judged = _windows(rows, residuals, slots=self.slots, every=context.every)
        if judged.sum() < LEAST_WINDOWS:
            raise TooLittleData(
                f"{int(judged.sum())} windows are at least half known; an autoencoder needs {LEAST_WINDOWS}.", next_step="Take a longer history."
            )
        learned = np.flatnonzero(judged)
        if len(learned) > self.most:
            learned = np.sort(np.random.default_rng(seed).choice(learned, self.most, replace=False))
        layers = _train(x[learned], hidden=self.hidden, epochs=self.epochs, seed=seed)
        apart = _errors(layers, x, residuals)
        typical = np.array([float(np.median(e[np.isfinite(e)])) if np.isfinite(e).any() else 1.0 for e in np.where(judged[:, None], apart, np.nan).T])
        typical = np.maximum(typical, 1e-9)
        strange = np.where(judged, _together(apart / typical), np.nan)
        return FittedAutoencoder(
            model=self,
            columns=columns,
            usual=usual,
            layers=layers,
            typical=typical,
            every=context.every,
            entities=tuple(part.entity for part in segments(rows)),
            tail=Tail.fit(by_entity(rows, strange)),
            words={c: context.word(c) for c in columns},
        )

    @classmethod
    def from_saved(cls, saved: Saved) -> Fitted:
        """The fitted net *saved* holds."""
        return FittedAutoencoder.from_saved(saved)


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedAutoencoder:
    """Weights and biases layer by layer, what is usual, and how large each entity's errors were."""

    model: Autoencoder
    columns: tuple[str, ...]
    usual: Usual
    layers: tuple[tuple[Floats, Floats], ...]
    typical: Floats
    every: timedelta
    entities: tuple[str, ...]
    tail: Tail
    words: dict[str, str]

    @property
    def lookback(self) -> timedelta:
        """The window, and a week before it for the level."""
        return LEVEL + self.model.slots * self.every

    def score(self, rows: pl.DataFrame) -> Floats:
        """1 minus the tail probability of each row's error among its entity's past.

        NaN where the newest slot has no value, less than half of the window is known, or the entity was never seen.
        """
        if rows.height == 0:
            return np.zeros(0)
        apart, judged = self._apart(rows)
        strange = np.where(judged, _together(apart), np.nan)
        known = {entity: e for e, entity in enumerate(self.entities)}
        out = np.full(rows.height, np.nan)
        for part in segments(rows):
            series = np.array([known.get(part.entity, -1)])
            out[part.start : part.stop] = 1.0 - self.tail.p(strange[part.start : part.stop], series)[0]
        return out

    def explain(self, rows: pl.DataFrame, index: int) -> tuple[Reason, ...]:
        """The columns by their share of the error at row *index*."""
        apart, judged = self._apart(rows)
        errors = np.nan_to_num(apart[index])
        if not judged[index] or errors.sum() == 0:
            return ()
        weights = errors / errors.sum()
        number, usual = values(rows, self.columns)[index], self.usual.usual(rows)[index]
        when = moment(rows["at"][index], self.usual.zones[rows["entity"][index]])
        order = [j for j in np.argsort(-weights, kind="stable") if weights[j] > 0]
        return tuple(
            Reason(
                column=self.columns[j],
                text=f"{against_usual(self.words[self.columns[j]], float(number[j]), float(usual[j]), when)}, which the course of the day does not explain",
                weight=float(weights[j]),
                value=float(number[j]),
                usual=float(usual[j]),
            )
            for j in order
        )

    def save(self) -> Saved:
        """Parameters, words and holidays in the manifest, weights and the rest in arrays."""
        manifest: dict[str, Any] = {
            "model": "autoencoder",
            "parameters": parameters(self.model),
            "columns": list(self.columns),
            "words": dict(self.words),
            "every_s": self.every.total_seconds(),
            "holidays": {z: list(days) for z, days in self.usual.holidays.items()},
        }
        arrays: dict[str, npt.NDArray[Any]] = {"typical": self.typical, "entities": np.array(self.entities, dtype=np.str_)}
        for number, (weights, bias) in enumerate(self.layers):
            arrays |= {f"layer{number}.weights": weights, f"layer{number}.bias": bias}
        return Saved(manifest=manifest, arrays=arrays | self.usual.arrays() | self.tail.arrays("tail"))

    @classmethod
    def from_saved(cls, saved: Saved) -> Self:
        """The net that :meth:`save` wrote."""
        columns, arrays = tuple(saved.manifest["columns"]), saved.arrays
        model = Autoencoder(**given(saved.manifest["parameters"]))
        return cls(
            model=model,
            columns=columns,
            usual=Usual.from_arrays(arrays, columns=columns, holidays=saved.manifest["holidays"]),
            layers=tuple((arrays[f"layer{n}.weights"], arrays[f"layer{n}.bias"]) for n in range(len(model.hidden) + 1)),
            typical=arrays["typical"],
            every=timedelta(seconds=float(saved.manifest["every_s"])),
            entities=tuple(str(e) for e in arrays["entities"]),
            tail=Tail.from_arrays("tail", arrays),
            words=dict(saved.manifest["words"]),
        )

    def _apart(self, rows: pl.DataFrame) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """(N, F) errors of the newest slot in units of the typical one, and which rows can be judged."""
        residuals = self.usual.residuals(rows)
        x, judged = _windows(rows, residuals, slots=self.model.slots, every=self.every)
        return _errors(self.layers, x, residuals) / self.typical, judged


def _windows(rows: pl.DataFrame, residuals: Floats, *, slots: int, every: timedelta) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """(N, slots * F) residuals of the window ending at each row, oldest first, and which windows can be judged.

    A slot without a row, and a missing value, count as usual (0).
    """
    step = every // timedelta(microseconds=1)
    at, width = times(rows), residuals.shape[1]
    windows = np.full((len(residuals), slots, width), np.nan)
    for part in segments(rows):
        own, when = residuals[part.start : part.stop], at[part.start : part.stop]
        here = np.arange(part.start, part.stop)
        for back in range(slots):
            before = np.searchsorted(when, when - back * step)
            found = (before < len(when)) & (when[np.minimum(before, len(when) - 1)] == when - back * step)
            windows[here[found], slots - 1 - back] = own[before[found]]
    known = np.isfinite(windows)
    judged = known[:, -1].any(axis=1) & (known.mean(axis=(1, 2)) >= 0.5)
    x = np.clip(np.where(known, windows, 0.0), -LIMIT, LIMIT).reshape(len(residuals), slots * width)
    return x, judged


def _train(x: Floats, *, hidden: tuple[int, ...], epochs: int, seed: int) -> tuple[tuple[Floats, Floats], ...]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    net = MLPRegressor(hidden_layer_sizes=hidden, activation="tanh", max_iter=epochs, batch_size=min(256, len(x)), learning_rate_init=0.003, random_state=seed)
    with warnings.catch_warnings(), threadpool_limits(1):  # one thread: sums in one order, so equal seeds give equal nets
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of passes is chosen, not awaited
        net.fit(x, x if x.shape[1] > 1 else x[:, 0])
    return tuple((np.asarray(w, dtype=np.float64), np.asarray(b, dtype=np.float64)) for w, b in zip(net.coefs_, net.intercepts_, strict=True))


def _errors(layers: tuple[tuple[Floats, Floats], ...], x: Floats, residuals: Floats) -> Floats:
    """(N, F) squared error of the newest slot, NaN where it has no value."""
    rebuilt = x
    for number, (weights, bias) in enumerate(layers):
        # einsum adds in the same order however many rows there are: a row scores the same alone as in a batch
        rebuilt = np.einsum("ij,jk->ik", rebuilt, weights) + bias
        if number < len(layers) - 1:
            rebuilt = np.tanh(rebuilt)
    return np.asarray((residuals - rebuilt[:, -residuals.shape[1] :]) ** 2)


def _together(apart: Floats) -> Floats:
    """Mean over the columns that have a value; 0 columns give NaN."""
    known = np.isfinite(apart)
    count = known.sum(axis=1)
    return np.where(count > 0, np.where(known, apart, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)
