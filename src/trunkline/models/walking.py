"""One walk through the past: predict a day, look at the error, learn the day, go on.

The same pass gives everything a baseline needs: coefficients as of now, errors that were never fitted
(each day is predicted before it is learned; Dawid 1984, *The prequential approach*), and robustness, because
an error beyond four scales is learned as one of four scales (the modified residuals of Huber 1981, *Robust
Statistics* §7.8). Old days fade by half a life; the level follows faster than the shape of the week.

Series without a gap share one Gram matrix, so that a day of the whole fleet is learned with one matrix
product; a series with gaps has its own, exact one. With numba each series is walked by itself, several times as fast;
the two agree to the rounding of sums taken in another order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trunkline.core.extras import is_fast
from trunkline.models.protocol import Floats

Ints = npt.NDArray[np.int64]

DAYS = (2, 14)
"""Days of values from which on the day's and the week's terms are trusted."""

_HOURS = 24
_SIGMA = 1.2533  # of a normal error: standard deviation over mean absolute
_FLOOR = 0.03  # the least scale, 3 % on a logarithm: what hardly ever varies is not at fault for moving by one; identity series are of unit size
_REMEMBER = 0.1
_EARLY = 8  # series of one pattern of gaps that are worth a Gram matrix of their own


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a walk forgets and how much it trusts.

    Parameters
    ----------
    half_life_days
        Age at which a day counts half for the shape of the week.
    level_days
        Half-life of the level.
    ridge
        Penalty of each seasonal term as a share of the weight of all days.
    clip
        Scales beyond which an error is learned as no larger.
    """

    half_life_days: float = 28.0
    level_days: float = 7.0
    ridge: float = 1e-3
    clip: float = 4.0


@dataclass(slots=True, kw_only=True)
class Walk:
    """Where a walk stands for S series and P terms.

    ``coefficients`` (S, P), ``level`` (S,) on top of them, ``scale`` (S, 24) of a day-ahead error by local
    hour, ``days`` (S,) with values. ``errors`` and ``scaled`` (S, T) are the out-of-sample errors and the same
    in scales, NaN where unknown; ``age`` (S, T) how many days were known before; ``path`` (D, S, P + 1) the
    coefficients and level each day was predicted with, where asked for.
    """

    coefficients: Floats
    level: Floats
    scale: Floats
    days: Floats
    errors: Floats
    scaled: Floats
    age: Floats
    path: Floats | None = None


def walk(x: Floats, rank: Ints, hour: Ints, y: Floats, *, slots_per_day: int, pace: Pace, keep_path: bool = False) -> Walk:
    """Walk over T slots of S series that share a design.

    Parameters
    ----------
    x, rank
        (T, P) design and the rank of each term, from :func:`trunkline.models.seasons.design`.
    hour
        (T,) local hour of the day, 0 to 23.
    y
        (S, T) values, NaN where missing.
    """
    if is_fast() and bool((np.diff(rank) >= 0).all()):
        return _walk_compiled(x, rank, hour, y, slots_per_day, pace, keep_path=keep_path)
    patterns: dict[bytes, list[int]] = {}
    for s, known in enumerate(np.packbits(np.isfinite(y), axis=1)):
        patterns.setdefault(known.tobytes(), []).append(s)
    groups = [(np.array(members), True) for members in patterns.values() if len(members) >= _EARLY or len(patterns) == 1]
    alone = np.array(sorted(s for members in patterns.values() if len(members) < _EARLY and len(patterns) > 1 for s in members), dtype=np.int64)
    groups += [(alone[i : i + 256], False) for i in range(0, len(alone), 256)]
    slots, series, terms = y.shape[1], len(y), x.shape[1]
    whole = Walk(
        coefficients=np.zeros((series, terms)),
        level=np.zeros(series),
        scale=np.ones((series, _HOURS)),
        days=np.zeros(series),
        errors=np.full_like(y, np.nan),
        scaled=np.full_like(y, np.nan),
        age=np.zeros_like(y),
        path=np.zeros((-(-slots // slots_per_day), series, terms + 1)) if keep_path else None,
    )
    for members, shared in groups:
        part = _walk_together(x, rank, hour, y[members], slots_per_day, pace, shared=shared, keep_path=keep_path)
        for name in ("coefficients", "level", "scale", "days", "errors", "scaled", "age"):
            getattr(whole, name)[members] = getattr(part, name)
        if whole.path is not None and part.path is not None:
            whole.path[:, members] = part.path
    return whole


def _walk_compiled(x: Floats, rank: Ints, hour: Ints, y: Floats, slots_per_day: int, pace: Pace, *, keep_path: bool) -> Walk:
    from trunkline.models.walk_kernel import walk as compiled

    series, slots, terms = len(y), y.shape[1], x.shape[1]
    fade = 0.5 ** (1.0 / pace.half_life_days)
    used = np.array([(rank <= allowed).sum() for allowed in range(3)], np.int64)
    penalty = np.where(rank == 0, 1e-9, pace.ridge)
    count = -(-slots // slots_per_day)
    grams, inverses = np.zeros((count, terms, terms)), np.zeros((count, terms, terms))
    gram = np.zeros((terms, terms))
    for d in range(count):
        of_day = x[d * slots_per_day : (d + 1) * slots_per_day]
        gram = grams[d] = fade * gram + of_day.T @ of_day
        most = used[0 if d + 1 < DAYS[0] else 1 if d + 1 < DAYS[1] else 2]
        inverses[d, :most, :most] = np.linalg.inv(gram[:most, :most] + np.diag(penalty[:most]) * max(gram[0, 0], 1.0))
    at = Walk(
        coefficients=np.empty((series, terms)),
        level=np.empty(series),
        scale=np.empty((series, _HOURS)),
        days=np.empty(series),
        errors=np.empty_like(y),
        scaled=np.empty_like(y),
        age=np.empty_like(y),
        path=np.empty((count, series, terms + 1)) if keep_path else None,
    )
    path = np.empty((0, 0, 0)) if at.path is None else at.path
    numbers = np.array([fade, 1.0 - 0.5 ** (1.0 / pace.level_days), pace.clip, *DAYS, _SIGMA, _FLOOR, _REMEMBER])
    compiled(
        np.ascontiguousarray(x), hour, np.ascontiguousarray(y), slots_per_day, grams, inverses, penalty, used, numbers,
        at.coefficients, at.level, at.scale, at.days, at.errors, at.scaled, at.age, path,
    )  # fmt: skip
    return at


def _walk_together(x: Floats, rank: Ints, hour: Ints, y: Floats, slots_per_day: int, pace: Pace, *, shared: bool, keep_path: bool) -> Walk:
    series, slots = y.shape
    terms = x.shape[1]
    known = np.isfinite(y)
    fade = 0.5 ** (1.0 / pace.half_life_days)
    rise = 1.0 - 0.5 ** (1.0 / pace.level_days)
    gram = np.zeros((1 if shared else series, terms, terms))
    moment = np.zeros((series, terms))
    size, weight = np.zeros((series, _HOURS)), np.zeros((series, _HOURS))
    at = Walk(
        coefficients=np.zeros((series, terms)),
        level=np.zeros(series),
        scale=np.full((series, _HOURS), np.inf),
        days=np.zeros(series),
        errors=np.full_like(y, np.nan),
        scaled=np.full_like(y, np.nan),
        age=np.zeros_like(y),
        path=np.zeros((-(-slots // slots_per_day), series, terms + 1)) if keep_path else None,
    )
    for d, start in enumerate(range(0, slots, slots_per_day)):
        day = slice(start, min(start + slots_per_day, slots))
        xd, kd, hd = x[day], known[:, day], hour[day]
        if at.path is not None:
            at.path[d, :, :-1], at.path[d, :, -1] = at.coefficients, at.level
        predicted = at.coefficients @ xd.T + at.level[:, None]
        error = np.where((at.days[:, None] > 0) & kd, y[:, day] - predicted, np.nan)
        scale = at.scale[:, hd]
        at.errors[:, day], at.scaled[:, day], at.age[:, day] = error, error / scale, at.days[:, None]
        at.scaled[:, day][~np.isfinite(scale)] = np.nan
        seen = np.isfinite(error)
        plain = np.where(seen, error, 0.0)
        week = (at.days >= DAYS[1])[:, None]
        limit = np.where(week, pace.clip * scale, np.inf)
        learned = np.where(kd, np.where(seen & week, predicted + np.clip(plain, -limit, limit), np.where(kd, y[:, day], 0.0)), 0.0)
        if shared:
            gram = fade * gram + xd[kd[0]].T @ xd[kd[0]]
        else:
            weighted = kd[:, :, None] * xd
            gram = fade * gram + np.swapaxes(weighted, 1, 2) @ xd
        moment = fade * moment + learned @ xd
        at.days = at.days + (kd.sum(axis=1) > 0)
        count = np.maximum(seen.sum(axis=1), 1)
        bound = np.where(np.isfinite(scale), 0.5 * pace.clip * scale, 0.0)  # half as far as the shape: the level must not follow a fault
        at.level = at.level + np.where(week[:, 0], rise * np.clip(plain, -bound, bound).sum(axis=1) / count, 0.0)
        at.coefficients = _solve(gram, moment, at.days, rank, pace.ridge)
        size, weight, at.scale = rescale(
            size, weight, at, np.where(seen, np.minimum(np.abs(plain), np.where(week, pace.clip * scale, np.inf)), np.nan), hd, fade
        )
    return at


def _solve(gram: Floats, moment: Floats, days: Floats, rank: Ints, ridge: float) -> Floats:
    """The (S, P) ridge coefficients of what has been learned; terms that the days seen cannot tell stay zero."""
    out = np.zeros_like(moment)
    for allowed, chosen in ((0, (days > 0) & (days < DAYS[0])), (1, (days >= DAYS[0]) & (days < DAYS[1])), (2, days >= DAYS[1])):
        if not chosen.any():
            continue
        use = np.flatnonzero(rank <= allowed)
        penalty = np.diag(np.where(rank[use] == 0, 1e-9, ridge))
        right = moment[np.ix_(chosen, use)]
        if len(gram) == 1:
            left = gram[0][np.ix_(use, use)]
            out[np.ix_(chosen, use)] = np.linalg.solve(left + penalty * max(left[0, 0], 1.0), right.T).T
        else:
            left = gram[chosen][:, use][:, :, use]
            out[np.ix_(chosen, use)] = np.linalg.solve(left + penalty * np.maximum(left[:, :1, :1], 1.0), right[..., None])[..., 0]
    return out


def rescale(size: Floats, weight: Floats, at: Walk, capped: Floats, hour: Ints, fade: float) -> tuple[Floats, Floats, Floats]:
    """The scale by hour: faded mean absolute errors, smoothed over the neighbouring hours and held to that of the whole day."""
    seen = np.isfinite(capped)
    finer = np.isin(at.days, (*DAYS, DAYS[1] + 7))[:, None]  # errors of a coarser or younger baseline say little of this one
    size, weight = np.where(finer, _REMEMBER * size, size), np.where(finer, _REMEMBER * weight, weight)
    here = (hour[:, None] == np.arange(_HOURS)).astype(np.float64)
    size = fade * size + np.where(seen, capped, 0.0) @ here
    weight = fade * weight + seen.astype(np.float64) @ here
    whole = _SIGMA * size.sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-12)
    near = sum(share * np.roll(size, by, axis=1) for by, share in ((-1, 0.5), (0, 1.0), (1, 0.5)))
    near_weight = sum(share * np.roll(weight, by, axis=1) for by, share in ((-1, 0.5), (0, 1.0), (1, 0.5)))
    local = np.where(near_weight > 0, _SIGMA * near / np.maximum(near_weight, 1e-12), whole[:, None])
    trust = np.where(near_weight > 3.0, 0.7, 0.0)
    scale = np.sqrt((1.0 - trust) * whole[:, None] ** 2 + trust * local**2)
    enough = (at.days >= 3)[:, None] & (weight.sum(axis=1) > 0)[:, None]
    return size, weight, np.where(enough, np.maximum(scale, _FLOOR), np.inf)
