"""From errors in scales to one calibrated score: how unusual is this hour, and the three and six up to it?

For each column the tail probabilities of the error's size, and of its sum over longer windows, are averaged
(a single blip moves one of them, a lasting loss all), the mean is calibrated again against its own past, and
so is the least over the columns: a row of ten KPIs is no more often strange than a row of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from trunkline.models.calibration import Tail
from trunkline.models.protocol import Floats

Ints = npt.NDArray[np.int64]

_FAR = 4.0  # in a sum an error counts for at most so many scales: one blip is no lasting loss


@dataclass(frozen=True, slots=True, kw_only=True)
class Strangeness:
    """The calibrated past of E entities and C columns: of each window, of each column, of each row."""

    windows: tuple[int, ...]
    window_tails: tuple[Tail, ...]
    column_tail: Tail
    row_tail: Tail

    @classmethod
    def fit(cls, scaled: Floats, windows: tuple[int, ...], use: npt.NDArray[np.bool_]) -> Self:
        """Learn from the out-of-sample errors *scaled* (C, E, T) where *use* (C, E, T)."""
        columns, entities, slots = scaled.shape
        flat = scaled.reshape(columns * entities, slots)
        chosen = use.reshape(columns * entities, slots)
        tails, p = [], []
        for window in windows:
            statistic = _statistic(flat, window)
            tail = Tail.fit(np.where(chosen, statistic, np.nan))
            tails.append(tail)
            p.append(np.where(chosen, tail.p(statistic), np.nan))
        combined = _surprise(np.mean(p, axis=0))
        column_tail = Tail.fit(combined)
        by_column = _surprise(column_tail.p(combined)).reshape(scaled.shape)
        row_tail = Tail.fit(_most(by_column))
        return cls(windows=windows, window_tails=tuple(tails), column_tail=column_tail, row_tail=row_tail)

    def columns(self, scaled: Floats, entity: Ints) -> Floats:
        """(C, E', T) surprise −log10 p of each column of the entities numbered *entity*."""
        columns, entities, slots = scaled.shape
        total = (len(self.column_tail.count) - 1) // columns
        series = (np.arange(columns)[:, None] * total + entity).ravel()
        flat = scaled.reshape(columns * entities, slots)
        p = [tail.p(_statistic(flat, window), series) for window, tail in zip(self.windows, self.window_tails, strict=True)]
        return _surprise(self.column_tail.p(_surprise(np.mean(p, axis=0)), series)).reshape(scaled.shape)

    def rows(self, by_column: Floats, entity: Ints) -> Floats:
        """(E', T) scores in [0, 1] from what :meth:`columns` gave."""
        most = _most(by_column)
        p = np.float64(10.0) ** -most if len(by_column) == 1 else self.row_tail.p(most, entity)
        return np.asarray(1.0 - p, dtype=np.float64)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        out: dict[str, npt.NDArray[Any]] = {"strangeness.windows": np.array(self.windows, dtype=np.int64)}
        for i, tail in enumerate(self.window_tails):
            out |= tail.arrays(f"strangeness.window{i}")
        return out | self.column_tail.arrays("strangeness.column") | self.row_tail.arrays("strangeness.row")

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        windows = tuple(int(w) for w in arrays["strangeness.windows"])
        return cls(
            windows=windows,
            window_tails=tuple(Tail.from_arrays(f"strangeness.window{i}", arrays) for i in range(len(windows))),
            column_tail=Tail.from_arrays("strangeness.column", arrays),
            row_tail=Tail.from_arrays("strangeness.row", arrays),
        )


def _statistic(scaled: Floats, window: int) -> Floats:
    """Size of the error, or of its sum over the *window* slots up to each slot; rounded so that equal is equal."""
    if window <= 1:
        return np.round(np.abs(scaled), 6)
    near = np.clip(np.nan_to_num(scaled), -_FAR, _FAR)
    total = np.zeros_like(near)
    for back in range(min(window, near.shape[1])):  # a running sum would let rounding depend on where the rows begin
        total[:, back:] += near[:, : near.shape[1] - back]
    return np.where(np.isnan(scaled), np.nan, np.round(np.abs(total), 6)).astype(np.float64)


def _surprise(p: Floats) -> Floats:
    return np.asarray(np.round(-np.log10(p), 9) + 0.0, dtype=np.float64)


def _most(by_column: Floats) -> Floats:
    """The most surprising column, NaN only where every column is."""
    most = np.fmax.reduce(by_column, axis=0)
    return np.asarray(most, dtype=np.float64)
