"""Is the canary worse? Cells are compared, never rows; looking again and again does not raise false stops.

Rows of one cell are no independent witnesses: on real traffic an hourly t-test between two equal groups says "different" in
70 of 100 tries (99 without the past), one on cells with their past in 4. So each cell gives **one** number: how much its KPI
changed, in logarithms, from its own past (Deng, Xu, Kohavi and Walker, 2013, *Improving the Sensitivity of Online Controlled
Experiments by Utilizing Pre-Experiment Data*); the split is a hash, so under "no effect" any cells might have been the canary,
and the difference of means is held against such draws (Fisher, 1935, *The Design of Experiments*).

Every look spends a part of the error that is allowed, and all parts together are no more than it (union bound): whatever
the looks have to do with each other, a canary that does no harm is stopped with probability 1 - confidence at most.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.errors import BadInput

Floats = npt.NDArray[np.float64]

POWER = 0.8
"""A step lasts until an effect of the size that matters would be seen in so many of all cases."""
DAYS = (1, 2, 3, 5, 7, 14, 21, 28)
"""Lengths a step may have."""
EARLY = (timedelta(hours=1), timedelta(hours=3), timedelta(hours=8))
"""Looks on the first day, for what is plainly broken; then there is one a day."""
FIRST, LATER = 0.1, 0.2
"""The parts of the allowed error that are kept for the looks of the first day, and for those after the planned ones."""
FEWEST = 3
"""Fewer canary cells than this can tell nothing."""
MANY = 60
"""From so many canary cells on, the mean is as good as normal and needs no draws."""
DRAWS = 20_000


@dataclass(frozen=True, slots=True)
class Worse:
    """Go back when a KPI of the canary's cells gets worse than that of the others.

    Parameters
    ----------
    kpi
        Which KPI is watched.
    by
        The relative change that matters: 0.05 is five per cent. A step lasts until so much would be seen.
    confidence
        Of all rollouts that do no harm, at most 1 - confidence are stopped.
    least_attempts
        Before the canary's cells have so many attempts together (or values, where *attempts* is not given), nothing is said.
    attempts
        The KPI that counts attempts where *kpi* is a rate: a cell's rate is then weighted by them.
    higher_is
        Whether more of it is "worse" (drops) or "better" (throughput).

    Raises
    ------
    BadInput
        A number outside of its range.

    >>> Worse("drop_rate", by=0.05, confidence=0.95, least_attempts=1000).higher_is
    'worse'
    """

    kpi: str
    by: float = field(default=0.05, kw_only=True)
    confidence: float = field(default=0.95, kw_only=True)
    least_attempts: int = field(default=1000, kw_only=True)
    attempts: str = field(default="", kw_only=True)
    higher_is: Literal["worse", "better"] = field(default="worse", kw_only=True)

    def __post_init__(self) -> None:
        if not self.kpi or not 0 < self.by < 1 or not 0.5 <= self.confidence < 1 or self.least_attempts < 0 or self.higher_is not in ("worse", "better"):
            raise BadInput(
                f"The rule {self!r} cannot be used.",
                allowed="a KPI, by and confidence as shares (0.05 and 0.95), attempts from 0 on, higher_is 'worse' or 'better'",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """How long a step of a canary has to last, settled before it starts.

    ``days`` is None where no length is enough; then ``says`` tells what is missing.
    """

    says: str
    cells: int
    others: int
    days: int | None
    smallest: float | None
    """The smallest relative effect that would be seen, at the longest length the past can tell of."""
    is_never: bool = False
    """No time is enough at this share: more cells are needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What one look found."""

    result: Literal["worse", "not worse", "cannot tell"]
    effect: float | None
    """Relative change for the worse: 0.05 is five per cent worse."""
    p: float | None
    level: float
    """What this look was allowed to spend."""
    cells: int
    others: int
    attempts: int
    says: str


@dataclass(frozen=True, slots=True)
class Look:
    """One look: how long after the begin of the step, what it may spend, and how many more were planned."""

    after: timedelta
    level: float
    to_come: int


def look_at(elapsed: timedelta, *, planned: int, error: float) -> Look | None:
    """The last look that was due after *elapsed*, None before the first; asked twice it is the same look over the same data.

    Parameters
    ----------
    planned
        The length of the step in days: so many looks share most of *error*, later ones less and less of the rest.

    >>> day = timedelta(days=1)
    >>> spent = sum(look_at(hours, planned=7, error=0.05).level for hours in (*EARLY, *(n * day for n in range(1, 3000))))
    >>> 0.049 < spent <= 0.05
    True
    """
    days = elapsed // timedelta(days=1)
    if days == 0:
        due = [early for early in EARLY if early <= elapsed]
        return Look(due[-1], FIRST * error / len(EARLY), planned) if due else None
    if days <= planned:
        return Look(timedelta(days=days), (1 - FIRST - LATER) * error / planned, planned - days)
    return Look(timedelta(days=days), LATER * error * 6 / (math.pi**2 * (days - planned) ** 2), 0)


def length(rule: Worse, values: pl.DataFrame, *, share: float, steps: int = 1) -> Length:
    """How many days a step at *share* lasts until ``rule.by`` would be seen with a power of 0.8, from the past alone.

    Parameters
    ----------
    values
        The past: ``entity``, ``at``, ``value``, and ``attempts`` for a rate.
    steps
        How many canary steps the plan has: they share the allowed error.
    """
    entities = values["entity"].n_unique()
    cells = round(entities * share)
    others = entities - cells
    if cells < FEWEST or others < FEWEST:
        needed = math.ceil(FEWEST / share)
        return Length(
            says=f"Never at this share: it holds {cells} of {entities} cells, and {FEWEST} are the fewest that can be compared; it takes {needed} cells.",
            cells=cells,
            others=others,
            days=None,
            smallest=None,
            is_never=True,
        )
    smallest: float | None = None
    spread = longest = 0.0
    for days in DAYS:
        found = _spread_of(rule, values, timedelta(days=days))
        if found is None:
            break
        longest, spread = float(days), found
        smallest = math.expm1(_factor(rule, planned=days, steps=steps) * spread * math.sqrt(1 / cells + 1 / others))
        if smallest <= rule.by:
            return Length(
                says=f"{days} day{'s' * (days > 1)} with {cells} of {entities} cells: {rule.by:.1%} in {rule.kpi} would then be seen four times in five.",
                cells=cells,
                others=others,
                days=days,
                smallest=smallest,
            )
    if smallest is None:
        return Length(says="Cannot tell yet: the past holds less than 2 whole days; needs 2 days.", cells=cells, others=others, days=None, smallest=None)
    wanted = (math.log1p(rule.by) / (_factor(rule, planned=int(longest), steps=steps) * spread)) ** 2  # >= 1/cells + 1/others
    needed = math.ceil(1 / (wanted * (1 - share)))  # canary cells at this share
    at_best = math.expm1(math.log1p(smallest) * math.sqrt(longest / DAYS[-1]))  # if all that differs between cells were noise of single days
    if longest < DAYS[-1] and at_best <= rule.by:
        missing = f"needs {2 * DAYS[-1]} days of the past to plan longer steps, or {needed - cells} more cells in the canary"
        return Length(
            says=f"Cannot tell yet: {longest:.0f} days would show {smallest:.1%}, not {rule.by:.1%}; {missing}.",
            cells=cells,
            others=others,
            days=None,
            smallest=smallest,
        )
    says = (
        f"Never at this share: {cells} cells show {smallest:.1%} at best, not {rule.by:.1%}, however long it lasts; "
        f"it takes {needed} canary cells ({min(needed / entities, 1):.1%} of all)."
    )
    return Length(says=says, cells=cells, others=others, days=None, smallest=smallest, is_never=True)


def compare(
    rule: Worse,
    values: pl.DataFrame,
    *,
    is_canary: Callable[[str], bool],
    since: datetime,
    now: datetime,
    planned: int,
    began: datetime | None = None,
    steps: int = 1,
    seed: int = 0,
) -> Compared:
    """The look at a running step that is due: the canary's cells against all others, each against its own past.

    Parameters
    ----------
    values
        Past and present: ``entity``, ``at``, ``value``, and ``attempts`` for a rate.
    since, now
        Begin of the step, and the present.
    planned
        The length of the step in days.
    began
        Begin of the first step, before which the past lies; by default that of this one.
    steps
        How many canary steps there are: they share the allowed error.
    """
    planned = max(planned, 1)
    look = look_at(now - since, planned=planned, error=(1 - rule.confidence) / max(steps, 1))
    if look is None:
        return _unknown(f"Cannot tell yet: the first look is {EARLY[0] // timedelta(minutes=1)} minutes after the begin of the step.")
    past = began or since
    cells = _changes(rule, values, before=(past - max(look.after, timedelta(days=7)), past), after=(since, since + look.after))
    mine = np.array([is_canary(name) for name in cells["entity"].to_list()], dtype=bool)
    tried = int(cells.filter(pl.Series(mine, dtype=pl.Boolean))["attempts"].sum())
    count, others = int(mine.sum()), int((~mine).sum())

    def told(result: Literal["worse", "not worse", "cannot tell"], says: str, effect: float | None = None, p: float | None = None) -> Compared:
        return Compared(result=result, effect=effect, p=p, level=look.level, cells=count, others=others, attempts=tried, says=says)

    if count < FEWEST or others < FEWEST:
        return told("cannot tell", f"Cannot tell yet: {count} canary cells with a past and a present; needs {max(FEWEST - count, 1)} more cells.")
    if tried < rule.least_attempts:
        more = math.ceil((rule.least_attempts - tried) / max(tried / (look.after / timedelta(days=1)), 1e-9)) if tried else planned
        return told("cannot tell", f"Cannot tell yet: {tried:,} of {rule.least_attempts:,} attempts; needs about {max(more, 1)} more day(s).")
    adjusted = _adjusted(cells)
    difference = float(adjusted[mine].mean() - adjusted[~mine].mean())
    effect = math.expm1(difference)
    p = _welch(adjusted, mine) if count >= MANY else _drawn(adjusted, count, difference, level=look.level, seed=seed)
    chance = f"p {p:.2g}, {look.level:.2g} allowed"
    if p <= look.level:
        return told("worse", f"{rule.kpi} is {abs(effect):.1%} worse in {count} canary cells than in {others} others ({chance}).", effect, p)
    if look.to_come:
        return told("cannot tell", f"Cannot tell yet: {effect:+.1%} so far; needs {look.to_come} more day(s) to see {rule.by:.1%}.", effect, p)
    return told("not worse", f"{rule.kpi} is {effect:+.1%} against the others, which is within chance ({chance}).", effect, p)


def _unknown(says: str) -> Compared:
    return Compared(result="cannot tell", effect=None, p=None, level=0.0, cells=0, others=0, attempts=0, says=says)


def _factor(rule: Worse, *, planned: int, steps: int) -> float:
    """How many standard errors an effect must be, to be seen at the last planned look with the power wanted."""
    look = look_at(timedelta(days=planned), planned=planned, error=(1 - rule.confidence) / max(steps, 1))
    assert look is not None
    return NormalDist().inv_cdf(1 - look.level) + NormalDist().inv_cdf(POWER)


def _spread_of(rule: Worse, values: pl.DataFrame, over: timedelta) -> float | None:
    """How much cells differ in their change from one stretch to the next, the last two of this length; None where the past is too short."""
    first, last = values["at"].min(), values["at"].max()
    if not isinstance(first, datetime) or not isinstance(last, datetime) or last - first < 2 * over - timedelta(hours=2):
        return None
    since = last - over
    cells = _changes(rule, values, before=(since - over, since), after=(since, last + timedelta(seconds=1)))
    return float(np.std(_adjusted(cells), ddof=1)) if cells.height > 2 else None


def _changes(rule: Worse, values: pl.DataFrame, *, before: tuple[datetime, datetime], after: tuple[datetime, datetime]) -> pl.DataFrame:
    """One line a cell: logarithm of its KPI before and after (higher is worse), and attempts after."""
    known = values.filter(pl.col("value").is_not_null() & pl.col("value").is_finite())
    if "attempts" not in known.columns:
        known = known.with_columns(attempts=pl.lit(1.0))
    known = known.filter(pl.col("attempts") > 0)
    rows = known.with_columns(
        when=pl.when((pl.col("at") >= before[0]) & (pl.col("at") < before[1])).then(pl.lit("before")).when(
            (pl.col("at") >= after[0]) & (pl.col("at") < after[1])
        ).then(pl.lit("after"))
    ).drop_nulls("when")  # fmt: skip
    of_cell = rows.group_by("entity", "when").agg(events=(pl.col("value") * pl.col("attempts")).sum(), attempts=pl.col("attempts").sum())
    total = float(of_cell["attempts"].sum())
    usual = float(of_cell["events"].sum()) / total if total else 0.0
    tiny = abs(usual) or 1.0
    # One attempt at the usual rate is added, so that a cell without a single drop has a logarithm too.
    level = ((pl.col("events").clip(0) + tiny) / (pl.col("attempts") + 1)).log()
    sign = 1.0 if rule.higher_is == "worse" else -1.0
    told = of_cell.with_columns(level=sign * level)
    past = told.filter(pl.col("when") == "before").select("entity", before="level")
    now = told.filter(pl.col("when") == "after").select("entity", "attempts", after="level")
    return now.join(past, on="entity").sort("entity")


def _adjusted(cells: pl.DataFrame) -> Floats:
    """The present of each cell less what its past foretells."""
    before, after = cells["before"].to_numpy().astype(float), cells["after"].to_numpy().astype(float)
    spread = float(np.var(before))
    slope = float(np.mean((before - before.mean()) * (after - after.mean())) / spread) if spread > 0 else 0.0
    return np.asarray(after - slope * before)


def _welch(adjusted: Floats, mine: npt.NDArray[np.bool_]) -> float:
    one, other = adjusted[mine], adjusted[~mine]
    error = math.sqrt(float(one.var(ddof=1)) / len(one) + float(other.var(ddof=1)) / len(other))
    return 1 - NormalDist().cdf(float(one.mean() - other.mean()) / error) if error > 0 else 1.0


def _drawn(adjusted: Floats, count: int, difference: float, *, level: float, seed: int) -> float:
    """How often a canary of *count* cells, drawn anew, differs at least so much."""
    random, n = np.random.default_rng(seed), len(adjusted)
    draws = int(min(max(20 / level, 200), DRAWS))
    larger, done = 0, 0
    while done < draws:
        now = min(draws - done, max(1, 2_000_000 // n))
        chosen = np.argpartition(random.random((now, n)), count - 1, axis=1)[:, :count]
        inside = adjusted[chosen].sum(axis=1)
        differences = inside / count - (adjusted.sum() - inside) / (n - count)
        larger += int((differences >= difference - 1e-12).sum())
        done += now
    return (larger + 1) / (draws + 1)
