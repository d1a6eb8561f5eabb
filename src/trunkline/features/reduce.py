"""Statistics along the first axis that know of gaps (NaN).

Sums run in order along the axis for every shape, so a value is the same to the last bit whether it
is computed for one row or for a million.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ALMOST = 1e-9
"""Tolerance of "at least this share", so that 0.3 of 10 slots means 3."""


def statistic(stat: str, values: Floats, *, of: int | Ints, least: float) -> Floats:
    """*stat* of *values* (n, …) along the first axis.

    Parameters
    ----------
    of
        How many values a complete set has; for "sum", and for *least*.
    least
        Share of *of* that must be there, else NaN; at least one always, two for "std".
    """
    count = present(values)
    if stat == "count":
        return count.astype(np.float64)
    needed = np.maximum(np.ceil(np.asarray(of) * least - ALMOST), 2 if stat == "std" else 1)
    return np.where(count >= needed, _of_present(stat, values, count, of), np.nan)


def present(values: Floats) -> Ints:
    """How many values are there."""
    return np.asarray(np.count_nonzero(values == values, axis=0), np.int64)  # noqa: PLR0124 - NaN differs from itself


def total(values: Floats) -> Floats:
    """The sum of those that are there; 0 where there are none."""
    return _in_order(np.where(np.isnan(values), 0.0, values))


def median(values: Floats) -> Floats:
    """The middle value of those that are there; NaN where there are none."""
    return _middle(np.sort(values, axis=0), present(values))


def mad(values: Floats) -> Floats:
    """The median absolute deviation from the median, not scaled."""
    return median(np.abs(values - median(values)))


def _of_present(stat: str, values: Floats, count: Ints, of: int | Ints) -> Floats:
    if len(values) == 0:
        return np.full(count.shape, np.nan)
    if stat == "median":
        return median(values)
    if stat == "mad":
        return mad(values)
    if stat == "max":
        return np.asarray(np.fmax.reduce(values, axis=0))
    if stat == "min":
        return np.asarray(np.fmin.reduce(values, axis=0))
    mean = np.asarray(total(values) / count)
    if stat == "mean":
        return mean
    if stat == "sum":
        return np.where(count == of, total(values), mean * of)
    return np.asarray(np.sqrt(total((values - mean) ** 2) / (count - 1)))  # std


def _in_order(values: Floats) -> Floats:
    if values[0].size == 1:  # numpy would sum a single lane pairwise
        return np.asarray(np.add.accumulate(values, axis=0)[-1])
    return np.asarray(np.add.reduce(values, axis=0))


def _middle(rising: Floats, count: Ints) -> Floats:
    """The median of each lane of *rising*, in which NaN stand last."""
    lower, upper = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, len(rising) - 1)
    low, high = (np.take_along_axis(rising, place[None], axis=0)[0] for place in (lower, upper))
    return np.asarray(np.where(low == high, low, low + (high - low) / 2), np.float64)
