"""The busy hour of the last complete local day: an element's own, or the network's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trunkline.features.calendar import HOUR_US, Ints
from trunkline.features.language import Expression
from trunkline.features.reduce import Floats, present, total
from trunkline.features.rows import Rows, World

Evaluate = Callable[[Expression, World, Rows], Floats]

ENOUGH = 0.5
"""An hour competes when it has this share of the values the best covered hour of its day has."""
AT_ONCE = 1 << 18
"""Look-ups per step for the network's sum; a megabyte or two of working memory."""
MOST_DAYS = 10_000_000
"""More days than the calendar has, to write zone and day as one number."""
NEVER = np.iinfo(np.int64).max


def busy_hour(of: Expression, scope: str, world: World, rows: Rows, evaluate: Evaluate) -> Floats:
    """The mean per slot of *of* in the busy hour, for each of *rows*."""
    zones = world.zones[rows.element]
    days = world.calendar.last_complete_day(zones, rows.slot)
    slots = world.calendar.slots_of_day(zones, days)
    size = max(HOUR_US // world.every, 1)
    if scope == "cell":
        count, mean = _hours(evaluate(of, world, rows.derive("last day", lambda: rows.at_slots(slots))), size)
        best = _busiest(count, mean)
        return np.where(best >= 0, np.take_along_axis(mean, np.maximum(best, 0)[None], axis=0)[0], np.nan)
    best = _network_hours(of, world, rows, evaluate, np.broadcast_to(zones, rows.shape), np.broadcast_to(days, rows.shape), size)
    filled = np.concatenate([slots, np.full((-len(slots) % size, *slots.shape[1:]), -1)])
    filled = np.broadcast_to(filled.reshape(len(filled), *[1] * (len(rows.shape) - filled.ndim + 1), *filled.shape[1:]), (len(filled), *rows.shape))
    hour = np.maximum(best, 0) * size + np.arange(size).reshape(-1, *[1] * best.ndim)
    values = evaluate(of, world, rows.at_slots(np.take_along_axis(filled, hour, axis=0)))
    return np.where(best >= 0, total(values) / present(values), np.nan)


def _hours(values: Floats, size: int) -> tuple[Ints, Floats]:
    """(hours, …): how many values each hour has, and their mean."""
    padded = np.concatenate([values, np.full((-len(values) % size, *values.shape[1:]), np.nan)])
    each = np.moveaxis(padded.reshape(-1, size, *values.shape[1:]), 1, 0)
    count = present(each)
    return count, np.asarray(total(each) / count)


def _busiest(count: Ints, mean: Floats) -> Ints:
    """The hour with the largest mean among those that are well enough covered; -1 where no hour has a value."""
    competes = (count > 0) & (count >= ENOUGH * count.max(axis=0))
    return np.where(competes.any(axis=0), np.where(competes, mean, -np.inf).argmax(axis=0), -1)


def _network_hours(of: Expression, world: World, rows: Rows, evaluate: Evaluate, zones: Ints, days: Ints, size: int) -> Ints:
    """The index of the network's busy hour for each row; computed once per (zone, day, what was known)."""
    codes, which = np.unique(zones.ravel() * MOST_DAYS + days.ravel(), return_inverse=True)
    zone_of, day_of = np.divmod(codes, MOST_DAYS)
    ends = world.calendar.slots_of_day(zone_of, day_of).max(axis=0)
    settled = np.array([NEVER if (at := world.settled(of, int(end))) is None else at for end in ends], np.int64)[which]
    known = np.minimum(np.broadcast_to(rows.known, rows.shape).ravel(), settled)
    instants, when = np.unique(known, return_inverse=True)
    cases, whose = np.unique(which * len(instants) + when, return_inverse=True)
    keys = [
        ("busy hour", of, int(zone_of[one]), int(day_of[one]), int(instants[which_instant]))
        for one, which_instant in zip(*np.divmod(cases, len(instants)), strict=True)
    ]
    new = [key for key in keys if key not in world.kept]
    step = max(AT_ONCE // max(len(world.entities) * 100, 1), 1)
    for start in range(0, len(new), step):
        some = new[start : start + step]
        zone, day, when_known = (np.array(column, np.int64) for column in list(zip(*some, strict=True))[2:])
        slots = world.calendar.slots_of_day(zone, day)  # (slots of a day, cases)
        day_rows = Rows(world.entities[:, None, None], np.maximum(slots, slots[0]), when_known, real=slots >= 0, after_emission=rows.after_emission)
        values = evaluate(of, world, day_rows)  # (entities, slots of a day, cases)
        count = np.asarray(present(values))
        hours, sums = _sum_hours(count, total(values), size)
        mean = np.asarray(sums / hours)
        world.kept.update(zip(some, map(int, _busiest(hours, mean)), strict=True))
    return np.array([world.kept[key] for key in keys], np.int64)[whose].reshape(rows.shape)


def _sum_hours(count: Ints, sums: Floats, size: int) -> tuple[Ints, Floats]:
    fill = -len(count) % size
    counts, totals = (np.concatenate([given, np.zeros((fill, *given.shape[1:]), given.dtype)]) for given in (count, sums))
    split = (-1, size, *count.shape[1:])
    return counts.reshape(split).sum(axis=1), total(np.moveaxis(totals.reshape(split), 1, 0))
