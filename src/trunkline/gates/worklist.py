"""What a shift would have been handed: the highest scores first, at most so many, and no element twice within the hold-off."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl

from trunkline.gates.protocol import Array, Evidence


def micros(length: timedelta) -> int:
    """A length of time in whole microseconds."""
    return length // timedelta(microseconds=1)


def events(rows: pl.DataFrame, labels: Array) -> Array:
    """The event each row belongs to, 0 for none.

    Integers above 1 are event numbers as they stand. With 0/1 or booleans each unbroken run of positive rows of one
    entity, in order of time, is one event.

    >>> rows = pl.DataFrame({"entity": ["a", "a", "a", "b"], "at": [1, 2, 3, 1]})
    >>> events(rows, np.array([1, 0, 1, 1])).tolist()
    [1, 0, 2, 3]
    """
    numbers = labels.astype(np.int64)
    if numbers.size == 0 or numbers.max() > 1:
        return np.maximum(numbers, 0)
    order = rows.select(pl.struct("entity", "at").arg_sort())[:, 0].to_numpy()
    entity = rows["entity"].to_numpy()[order]
    truth = numbers[order] > 0
    starts = truth & np.append(True, (~truth[:-1]) | (entity[1:] != entity[:-1]))
    found = np.zeros(len(numbers), dtype=np.int64)
    found[order] = np.where(truth, np.cumsum(starts), 0)
    return found


def raised(evidence: Evidence, *, threshold: float | None) -> Array:
    """Rows that would be raised were there no budget: what ``decide`` raised, or scores of *threshold* and more."""
    if threshold is None:
        return np.zeros(len(evidence.scores), dtype=bool) if evidence.decided is None else evidence.decided.astype(bool)
    with np.errstate(invalid="ignore"):
        return np.asarray(evidence.scores >= threshold)


def alarms(rows: pl.DataFrame, up: Array, *, hold_off: timedelta) -> Array:
    """Indices of the rows that start an alarm: the first raised row of an entity, then none until *hold_off* has passed."""
    at, entity = _micros_and_codes(rows)
    index = np.flatnonzero(up)
    index = index[np.lexsort((at[index], entity[index]))]
    hold, last_entity, last_at, kept = micros(hold_off), -1, 0, []
    for i, who, when in zip(index.tolist(), entity[index].tolist(), at[index].tolist(), strict=True):
        if who != last_entity or when - last_at >= hold:
            kept.append(i)
            last_entity, last_at = who, when
    return np.array(kept, dtype=np.int64)


def worklist(rows: pl.DataFrame, scores: Array, up: Array, *, per_shift: float, shift: timedelta, hold_off: timedelta) -> Array:
    """Indices of the rows handed over: of each shift the *per_shift* highest raised scores, one row per entity.

    A fraction in *per_shift* is carried over: 0.5 is one item every other shift.
    """
    at, entity = _micros_and_codes(rows)
    index = np.flatnonzero(up & ~np.isnan(scores))
    number = at[index] // micros(shift)
    order = np.lexsort((at[index], -scores[index], entity[index], number))
    index, number = index[order], number[order]
    who = entity[index]
    first = np.append(True, (number[1:] != number[:-1]) | (who[1:] != who[:-1])) if len(index) else np.zeros(0, dtype=bool)
    index, number = index[first], number[first]
    order = np.lexsort((index, -scores[index], number))
    begin, hold = int(at.min() // micros(shift)) if len(at) else 0, micros(hold_off)
    last: dict[int, int] = {}
    kept: list[int] = []
    current, left = None, 0
    for i, s in zip(index[order].tolist(), number[order].tolist(), strict=True):
        if s != current:
            current, left = s, int((s - begin + 1) * per_shift) - int((s - begin) * per_shift)
        if left > 0 and (entity[i] not in last or at[i] - last[entity[i]] >= hold):
            last[int(entity[i])] = int(at[i])
            kept.append(i)
            left -= 1
    return np.array(kept, dtype=np.int64)


def _micros_and_codes(rows: pl.DataFrame) -> tuple[Array, Array]:
    at = rows["at"].to_physical().to_numpy().astype(np.int64)
    return at, rows["entity"].rank("dense").to_numpy().astype(np.int64) - 1
