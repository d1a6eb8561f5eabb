"""The walk of :mod:`trunkline.models.walking`, compiled: one series after the other, its whole state in the nearest cache.

All series share the Gram matrices of days without a gap, and their inverses. A series with gaps keeps the sum of what
it lacks, and from its first gap on solves its own equations by Cholesky's method.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trunkline.core.compiled import compiled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@compiled
def walk(
    x: Floats,
    hour: Ints,
    y: Floats,
    per_day: int,
    grams: Floats,
    inverses: Floats,
    penalty: Floats,
    used: Ints,
    numbers: Floats,
    coefficients: Floats,
    level: Floats,
    scale: Floats,
    days: Floats,
    errors: Floats,
    scaled: Floats,
    age: Floats,
    path: Floats,
) -> None:
    """Walk each line of *y* (S, T) and fill *coefficients* … *path* (its lines only where it has any).

    Parameters
    ----------
    grams, inverses
        (D, P, P) what a series without a gap has learned after each day, and the inverse of its penalised, allowed part.
    penalty
        (P,) of each term, as a share of the weight of the level.
    used
        How many terms are allowed below the first, below the second and from the second bound of days on.
    numbers
        fade, rise, clip, the two bounds of days, sigma, the least scale, what a coarser scale keeps.
    """
    slots, terms = x.shape
    fade, rise, clip, first, second, sigma, least, remember = numbers
    across = np.ascontiguousarray(x.T)  # so that a day is predicted slot beside slot, without sums the processor must do in order
    width = (terms + 7) // 8 * 8
    moment, lacks = np.empty(terms), np.empty((terms, terms))
    own, turned = np.zeros((width, width)), np.zeros((width, width))
    predicted, learned = np.empty(per_day), np.empty(per_day)
    size, weight, size_of, weight_of = np.empty(24), np.empty(24), np.empty(24), np.empty(24)
    for s in range(len(y)):
        coefficient, wide = coefficients[s], scale[s]
        coefficient[:], moment[:], wide[:] = 0.0, 0.0, np.inf
        size[:], weight[:] = 0.0, 0.0
        lacks[:] = 0.0
        has_gap, lift, seen_days = False, 0.0, 0.0
        for d in range((slots + per_day - 1) // per_day):
            begin, end = d * per_day, min((d + 1) * per_day, slots)
            if len(path):
                path[d, s, :terms], path[d, s, terms] = coefficient, lift
            is_week = seen_days >= second
            predicted[:] = 0.0
            for p in range(terms):
                term, value = across[p], coefficient[p]
                for t in range(end - begin):
                    predicted[t] += value * term[begin + t]
            for t in range(end - begin):
                predicted[t] += lift
            any_known, pull, count = False, 0.0, 0
            size_of[:], weight_of[:] = 0.0, 0.0
            for t in range(begin, end):
                value, h = y[s, t], hour[t]
                is_known = abs(value) < np.inf
                any_known |= is_known
                error = value - predicted[t - begin] if is_known and seen_days > 0 else np.nan
                errors[s, t], age[s, t] = error, seen_days
                scaled[s, t] = error / wide[h] if wide[h] < np.inf else np.nan
                learned[t - begin] = value if is_known else 0.0
                if error == error:  # noqa: PLR0124 - NaN differs from itself
                    count += 1
                    away = abs(error)
                    if is_week:
                        limit = clip * wide[h]
                        learned[t - begin] = predicted[t - begin] + min(max(error, -limit), limit)
                        away = min(away, limit)
                    bound = 0.5 * clip * wide[h] if wide[h] < np.inf else 0.0
                    pull += min(max(error, -bound), bound)
                    size_of[h] += away
                    weight_of[h] += 1.0
            for p in range(terms):
                moment[p] *= fade
            for t in range(begin, end):
                row, value = x[t], learned[t - begin]
                for p in range(terms):
                    moment[p] += value * row[p]
            if has_gap:
                for p in range(terms):
                    for q in range(terms):
                        lacks[p, q] *= fade
            for t in range(begin, end):
                if not abs(y[s, t]) < np.inf:
                    has_gap = True
                    row = x[t]
                    for p in range(terms):
                        for q in range(terms):
                            lacks[p, q] += row[p] * row[q]
            seen_days += any_known
            if is_week:
                lift += rise * pull / max(count, 1)
            allowed = used[0] if seen_days < first else used[1] if seen_days < second else used[2]
            coefficient[:] = 0.0
            if seen_days > 0 and not has_gap:
                for q in range(allowed):
                    line, value = inverses[d, q], moment[q]
                    for p in range(allowed):
                        coefficient[p] += line[p] * value
            elif seen_days > 0:
                level_weight = max(grams[d, 0, 0] - lacks[0, 0], 1.0)
                for p in range(allowed):
                    row, whole, missing = own[p], grams[d, p], lacks[p]
                    for q in range(terms):
                        row[q] = whole[q] - missing[q]
                    row[p] += penalty[p] * level_weight
                    coefficient[p] = moment[p]
                _solve(own, turned, coefficient, allowed)
            _rescale(size, weight, size_of, weight_of, wide, seen_days, fade, sigma, least, remember, first, second)
        level[s], days[s] = lift, seen_days


@compiled
def _solve(own: Floats, turned: Floats, right: Floats, terms: int) -> None:
    """Solve in place the equations of *own*, whose lower half is not read (Cholesky); *right* becomes the answer.

    Rows are worked on in whole blocks of eight from the diagonal's own on; what that does below it is never read.
    """
    width = (terms + 7) // 8 * 8
    for p in range(terms):
        row, start = own[p], p // 8 * 8
        for k in range(0, p - 3, 4):  # four rows at once, so that this one is read and written a quarter as often
            one, two, three, four = own[k], own[k + 1], own[k + 2], own[k + 3]
            a, b, c, d = one[p], two[p], three[p], four[p]
            for q in range(start, width):
                row[q] -= a * one[q] + b * two[q] + c * three[q] + d * four[q]
        for k in range(p // 4 * 4, p):
            above = own[k]
            share = above[p]
            for q in range(start, width):
                row[q] -= share * above[q]
        root = 1.0 / np.sqrt(row[p])
        for q in range(start, width):
            row[q] *= root
        for q in range(p, terms):
            turned[q, p] = row[q]
    for k in range(terms):
        value = right[k] / own[k, k]
        right[k] = value
        row = own[k]
        for q in range(k + 1, terms):
            right[q] -= value * row[q]
    for k in range(terms - 1, -1, -1):
        value = right[k] / own[k, k]
        right[k] = value
        row = turned[k]
        for q in range(k):
            right[q] -= value * row[q]


@compiled
def _rescale(
    size: Floats,
    weight: Floats,
    size_of: Floats,
    weight_of: Floats,
    wide: Floats,
    days: float,
    fade: float,
    sigma: float,
    least: float,
    remember: float,
    first: float,
    second: float,
) -> None:
    """As :func:`trunkline.models.walking.rescale`, for one series."""
    keep = remember * fade if days in (first, second, second + 7) else fade
    total, many = 0.0, 0.0
    for h in range(24):
        size[h] = keep * size[h] + size_of[h]
        weight[h] = keep * weight[h] + weight_of[h]
        total += size[h]
        many += weight[h]
    whole = sigma * total / max(many, 1e-12)
    for h in range(24):
        before, after = (h + 23) % 24, (h + 1) % 24
        near = 0.5 * size[after] + size[h] + 0.5 * size[before]
        near_weight = 0.5 * weight[after] + weight[h] + 0.5 * weight[before]
        local = sigma * near / max(near_weight, 1e-12) if near_weight > 0 else whole
        trust = 0.7 if near_weight > 3.0 else 0.0
        wide[h] = max(np.sqrt((1.0 - trust) * whole**2 + trust * local**2), least) if days >= 3 and many > 0 else np.inf
