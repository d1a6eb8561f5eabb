"""What a workflow may say, how often, and when it has said it already.

A guardrail admits candidate decisions. It holds the *decide state*, the only memory of deciding:
per release and entity, the open episode; per shift, how many items were given out. The level it
admits at is calibrated on the past and becomes part of the release, so that "20 items per shift" is
a promise made before the shift and not a cut made after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from math import inf, isnan
from typing import Any, Literal, Self

import numpy as np
import polars as pl

from trunkline.core.clock import duration
from trunkline.core.errors import WorkflowError
from trunkline.core.values import Decision

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Ruling = Literal["admitted", "below level", "same episode", "over budget", "over daily limit", "not allowed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One entity's memory: since when it is above the level, when it last was, what it said in the last 24 hours."""

    since: datetime
    last: datetime
    peak: float = 0.0
    """The confidence it was given out with."""
    said: tuple[datetime, ...] = ()


@dataclass(slots=True)
class State:
    """The decide state of one release in one mode (live, shadow and replay never share it)."""

    episodes: dict[str, Episode] = field(default_factory=dict)
    shift: int = -1
    given_out: int = 0

    def plain(self) -> dict[str, Any]:
        """The state as plain values, to rest in the catalogue."""
        episodes = {
            name: {"since": one.since.isoformat(), "last": one.last.isoformat(), "peak": one.peak, "said": [at.isoformat() for at in one.said]}
            for name, one in self.episodes.items()
        }
        return {"episodes": episodes, "shift": self.shift, "given_out": self.given_out}

    @classmethod
    def from_plain(cls, told: Mapping[str, Any]) -> Self:
        """The state that :meth:`plain` told.

        >>> at = datetime(2026, 11, 20, 8, tzinfo=UTC)
        >>> state = State({"c1": Episode(since=at, last=at, peak=0.99, said=(at,))}, shift=3, given_out=1)
        >>> State.from_plain(state.plain()) == state
        True
        """
        episodes = {
            name: Episode(
                since=datetime.fromisoformat(one["since"]),
                last=datetime.fromisoformat(one["last"]),
                peak=one["peak"],
                said=tuple(datetime.fromisoformat(at) for at in one["said"]),
            )
            for name, one in told["episodes"].items()
        }
        return cls(episodes=episodes, shift=told["shift"], given_out=told["given_out"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What became of one candidate decision."""

    decision: Decision
    ruling: Ruling


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrail:
    """The limits of one workflow.

    Parameters
    ----------
    items_per_shift
        What people can work: the whole network's items in one shift.
    shift
        How long a shift is.
    per_element_week
        False alarms one element may cost a week; the stricter of the two sets the level.
    hold_off
        After a finding the same element stays one episode until it was calm this long.
    escalate
        An open episode goes out again when it becomes so many times rarer than when it was given out: a
        small finding must not hide the outage after it.
    release_at
        Hysteresis: an open episode lasts while the score stays above this share of the way from 0.5
        to the level.
    per_element_day
        At most this many items for one element in 24 hours.
    allowed
        Actions the workflow may take; anything else never goes out, nor does a confidence that is none. Empty means any.

    >>> rail = Guardrail(items_per_shift=1)
    >>> state, at = State(), datetime(2026, 11, 20, 8, tzinfo=UTC)
    >>> two = [Decision("look", target=t, confidence=c, at=at) for t, c in (("a", 0.995), ("b", 0.999))]
    >>> [(x.decision.target, x.ruling) for x in rail.admit(two, state, level=0.99, at=at)]
    [('b', 'admitted'), ('a', 'over budget')]
    """

    items_per_shift: int = 20
    shift: str = "8h"
    per_element_week: float = 1.0
    hold_off: str = "12h"
    escalate: float = 100.0
    release_at: float = 0.8
    per_element_day: int = 4
    allowed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.items_per_shift < 1 or self.per_element_week <= 0 or self.per_element_day < 1:
            raise WorkflowError("A guardrail that lets nothing through is a retired workflow.", where="guardrail", allowed="limits above 0")
        if not 0 <= self.release_at <= 1:
            raise WorkflowError(f"release_at is {self.release_at}.", where="guardrail", allowed="a share of the way to the level, 0 to 1")
        if not self.escalate >= 1:
            raise WorkflowError(f"escalate is {self.escalate}.", where="guardrail", allowed="how many times rarer, 1 or more")
        if duration(self.shift) <= timedelta(0) or duration(self.hold_off) < timedelta(0):
            raise WorkflowError("A shift takes time.", where="guardrail", allowed="shift='8h'")

    def admit(self, candidates: Iterable[Decision], state: State, *, level: float, at: datetime) -> list[Admission]:
        """Rule on all *candidates* of one instant, the most confident first; *state* is brought up to date."""
        hold, rulings = duration(self.hold_off), []
        shift = int((at - EPOCH) / duration(self.shift))
        if shift != state.shift:
            state.shift, state.given_out = shift, 0
        for one in sorted(candidates, key=lambda d: (inf if isnan(d.confidence) else -d.confidence, d.target)):
            ruling = self._rule(one, state, level=level, at=at, hold=hold)
            rulings.append(Admission(decision=one, ruling=ruling))
        return rulings

    def _rule(self, one: Decision, state: State, *, level: float, at: datetime, hold: timedelta) -> Ruling:
        if (self.allowed and one.action not in self.allowed) or one.confidence > 1.0:
            return "not allowed"
        episode = state.episodes.get(one.target)
        if episode and at - episode.last >= hold:
            episode = replace(episode, since=at, last=EPOCH)
        is_open = episode is not None and episode.last > EPOCH
        keep = 0.5 + self.release_at * (level - 0.5)
        if is_open and episode and one.confidence >= min(keep, level):
            state.episodes[one.target] = episode = replace(episode, last=at)
            is_worse = (1.0 - one.confidence) * self.escalate < 1.0 - episode.peak
            if not is_worse or one.confidence < level:
                return "same episode"
        if not one.confidence >= level:  # also refuses NaN
            return "below level"
        said = tuple(then for then in (episode.said if episode else ()) if at - then < timedelta(days=1))
        if len(said) >= self.per_element_day:
            return "over daily limit"
        if state.given_out >= self.items_per_shift:
            return "over budget"
        state.given_out += 1
        since = episode.since if is_open and episode else at
        state.episodes[one.target] = Episode(since=since, last=at, peak=one.confidence, said=(*said, at))
        return "admitted"

    def level(self, past: pl.DataFrame, *, every: timedelta, floor: float = 0.5) -> float:
        """The lowest confidence at which the past would have kept within the limits.

        Parameters
        ----------
        past
            Columns ``entity``, ``at``, ``confidence``: scored rows of a period taken as normal.
        every
            The grid of the rows.
        floor
            Never admit below this.

        Notes
        -----
        All alarms of the past count as false ones, so a past with real faults only makes the level
        stricter. Between candidate levels the step is one past score; the highest scores seen bound
        what can be promised, so with a short past the level is the largest score plus nothing.
        """
        seen = past.drop_nulls("confidence").filter(pl.col("confidence").is_not_nan()).sort("entity", "at")
        if seen.is_empty():
            return 1.0
        span = _span(seen["at"], every)
        entities = seen["entity"].n_unique()
        weekly = self.per_element_week * entities * span / timedelta(weeks=1)
        in_shifts = self.items_per_shift * span / duration(self.shift)
        allowed = min(weekly, in_shifts)
        scores = seen["confidence"].to_numpy()
        codes = seen["entity"].rank("dense").to_numpy()
        times = seen["at"].dt.epoch("us").to_numpy()
        tops = np.unique(scores[scores >= floor])[::-1]
        return max(
            _lowest_within(tops, scores, codes, times, hold=duration(self.hold_off) // timedelta(microseconds=1), escalate=self.escalate, allowed=allowed),
            floor,
        )


def _span(at: pl.Series, every: timedelta) -> timedelta:
    first, last = at.min(), at.max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    return last - first + every


def _lowest_within(
    levels: np.ndarray[tuple[int], np.dtype[np.float64]],
    scores: np.ndarray[tuple[int], np.dtype[np.float64]],
    codes: Sequence[int] | np.ndarray[tuple[int], np.dtype[np.uint32]],
    times: np.ndarray[tuple[int], np.dtype[np.int64]],
    *,
    hold: int,
    escalate: float,
    allowed: float,
) -> float:
    """Bisection over the past's own scores: alarms after hold-off fall as the level rises."""

    def alarms(level: float) -> int:
        above = np.flatnonzero(scores >= level)
        count, entity, quiet_until, peak = 0, None, 0, 0.0
        for i in above.tolist():
            if codes[i] != entity or times[i] >= quiet_until or (1.0 - scores[i]) * escalate < 1.0 - peak:
                count, peak = count + 1, scores[i]
            entity, quiet_until = codes[i], times[i] + hold
        return count

    if not len(levels):
        return 0.0  # nothing came near the floor, so the floor keeps the limits
    low, high = 0, len(levels)  # levels[:k] keep within the limit
    while low < high:
        middle = (low + high) // 2
        if alarms(float(levels[middle])) <= allowed:
            low = middle + 1
        else:
            high = middle
    if low == 0:
        return float(np.nextafter(levels[0], 2.0))
    return float(levels[low - 1])
