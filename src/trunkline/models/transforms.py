"""The scale on which a KPI's changes are alike at every level, chosen for each series from its own past.

Traffic halves as easily at night as by day, so volumes and utilisations are judged as logarithms. A success
ratio lives just below its ceiling, so it is judged by the logarithm of what it lacks. What may be negative
(a power in dBm) stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from trunkline.models.protocol import Floats

_LEAST_UNIT = 1e-100
"""A spread below this is none that anybody measured, and dividing by it would leave the range of numbers."""
_LEAST_SHORTFALL = 0.01
KINDS = ("as it is", "logarithm", "logarithm of the shortfall")
"""What a code in :class:`Transforms` stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transforms:
    """For each of S series its kind (0, 1, 2: see KINDS), the offset under the logarithm, its ceiling, and the unit of what stays as it is."""

    kind: npt.NDArray[np.int64]
    offset: Floats
    ceiling: Floats
    unit: Floats

    @classmethod
    def fit(cls, series: Floats, column: npt.NDArray[np.int64], *, log: bool = True) -> Self:
        """Choose from the past (S, T); all series of one *column* (S,) are of one kind.

        The offset is a fiftieth of the usual (median positive) size, or all of it where zeros are part of
        normal life: a step from nothing to one dropped call is no miracle. Of a success ratio it is at least
        one point in a hundred: from 99.9 to 99.5 is a fivefold shortfall and nobody's business.

        >>> t = Transforms.fit(np.array([[0.98, 0.99, 1.0], [1e6, 2e6, 3e6]]), np.array([0, 1]))
        >>> [KINDS[k] for k in t.kind]
        ['logarithm of the shortfall', 'logarithm']
        """
        kind = np.zeros(len(series), dtype=np.int64)
        ceiling = np.zeros(len(series))
        offset, unit = np.ones(len(series)), np.ones(len(series))
        for c in np.unique(column):
            own = column == c
            known = series[own][np.isfinite(series[own])]
            if not log or known.size == 0 or known.min() < 0.0:
                continue
            top = float(known.max())
            limit = 1.0 if top <= 1.0 else 100.0
            kind[own] = 2 if top <= limit and float(np.median(known)) > 0.8 * limit and top > 0.9 * limit else 1
            ceiling[own] = limit if kind[own][0] == 2 else 0.0
        for s in np.flatnonzero(kind > 0):
            size = series[s][np.isfinite(series[s])]
            size = ceiling[s] - size if kind[s] == 2 else size
            positive = size[size > 0.0]
            typical = float(np.median(positive)) if positive.size else 1.0
            offset[s] = typical * (1.0 if size.size and (size == 0.0).mean() > 0.01 else 0.02)
            if kind[s] == 2:
                offset[s] = max(offset[s], _LEAST_SHORTFALL * ceiling[s])
        for s in np.flatnonzero(kind == 0):
            size = series[s][np.isfinite(series[s])]
            if size.size:
                low, middle, high = np.quantile(size, (0.05, 0.5, 0.95))
                flat = high - low <= 1e-9 * abs(middle)
                spread = abs(float(middle)) if flat else float(high - low)
                unit[s] = spread if spread > _LEAST_UNIT else 1.0
        return cls(kind=kind, offset=offset, ceiling=ceiling, unit=unit)

    def forward(self, series: Floats, of: npt.NDArray[np.int64] | Sequence[int] | slice = slice(None)) -> Floats:
        """The (S, T) values on their scale; *of* says which series the lines are."""
        kind, offset, ceiling, unit = (part[of][:, None] for part in (self.kind, self.offset, self.ceiling, self.unit))
        size = np.where(kind == 2, ceiling - series, series)
        logged = np.log(np.maximum(size, 0.0) + offset)  # a size below zero counts as none
        return np.where(kind == 0, series / unit, np.where(kind == 2, -logged, logged))

    def back(self, scaled: Floats, of: npt.NDArray[np.int64] | Sequence[int] | slice = slice(None)) -> Floats:
        """What :meth:`forward` made of them; never below zero or above the ceiling."""
        kind, offset, ceiling, unit = (part[of][:, None] for part in (self.kind, self.offset, self.ceiling, self.unit))
        with np.errstate(over="ignore"):
            size = np.maximum(np.exp(np.where(kind == 0, 0.0, np.where(kind == 2, -scaled, scaled))) - offset, 0.0)
        return np.where(kind == 0, scaled * unit, np.where(kind == 2, np.maximum(ceiling - size, 0.0), size))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {f"transform.{part}": getattr(self, part) for part in self.__slots__}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        return cls(**{part: arrays[f"transform.{part}"] for part in cls.__slots__})
