"""Faults as they show in a traffic KPI, written into a real or simulated series so that the truth is known.

Eight kinds, from the plain outage to the slow loss that a person would miss. Each is a pure function of the
values before it; :func:`plan` spreads them over a series by a seed, in equal shares and never overlapping.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trunkline.core.errors import BadInput, UnknownName

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of fault: how long it lasts and what people call it."""

    hours: int
    text: str


KINDS: Mapping[str, Kind] = {
    "outage": Kind(hours=4, text="nothing is carried"),
    "half": Kind(hours=8, text="half of the traffic is lost"),
    "third": Kind(hours=24, text="30 % of the traffic is lost for a day"),
    "spike": Kind(hours=3, text="twice the traffic"),
    "surge": Kind(hours=72, text="35 % more traffic for three days"),
    "busy-night": Kind(hours=6, text="the night is as busy as the afternoon before"),
    "flat": Kind(hours=18, text="the counter stands still"),
    "sleeping": Kind(hours=12, text="the cell is up, but hardly anyone gets on"),
}
"""The kinds by name. Add a kind here and its shape in :func:`inject`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """One fault in one series: slots ``start`` (first hit) to ``stop`` (first not hit)."""

    kind: str
    start: int
    stop: int


def plan(
    slots: int,
    *,
    seed: int,
    per_week: float = 1.0,
    per_hour: int = 1,
    first: int = 0,
    midnight: int = 0,
    kinds: Sequence[str] = tuple(KINDS),
) -> tuple[Injection, ...]:
    """Faults for the slots from *first* on: equal shares of *kinds*, one in each stretch of ``1 / per_week`` weeks.

    Parameters
    ----------
    slots
        Length of the series.
    per_hour
        Slots in an hour.
    first
        No fault starts before this slot.
    midnight
        A slot at which it is local midnight; busy nights begin at midnight.

    Examples
    --------
    >>> [(i.kind, i.start, i.stop) for i in plan(24 * 7 * 2, seed=1, kinds=("outage", "half"))]
    [('half', 0, 8), ('outage', 228, 232)]
    """
    unknown = [k for k in kinds if k not in KINDS]
    if unknown:
        raise UnknownName("kind of fault", unknown[0], KINDS)
    stretch = round(7 * 24 * per_hour / per_week)
    rest = 12 * per_hour  # between two faults, so that an alarm has one cause
    longest = max(KINDS[k].hours for k in kinds) * per_hour
    if stretch < longest + rest:
        raise BadInput(
            f"{per_week:g} faults a week leave no room for one of {longest // per_hour} hours.", allowed=f"at most {168 * per_hour / (longest + rest):.1f}"
        )
    random = np.random.default_rng([seed, 811])
    count = max(0, (slots - first) // stretch)
    order = [kinds[i] for _ in range(-(-count // len(kinds))) for i in random.permutation(len(kinds))][:count]
    found = []
    for n, kind in enumerate(order):
        length = KINDS[kind].hours * per_hour
        begin = first + n * stretch
        start = begin + int(random.integers(0, stretch - length - rest + 1))
        if kind == "busy-night":
            day = 24 * per_hour
            start += (midnight - start) % day
            start -= day if start + length + rest > begin + stretch else 0
            if start < begin + day // 2:  # the afternoon before must be known
                start += day
        found.append(Injection(kind=kind, start=start, stop=start + length))
    return tuple(found)


def inject(values: Floats, injection: Injection, *, seed: int = 0, per_hour: int = 1, most: float = np.inf) -> Floats:
    """A copy of *values* (one series in slots) with the fault in it; a value that is missing stays missing.

    Parameters
    ----------
    most
        No value rises above it: 1.0 for a utilisation.

    Examples
    --------
    >>> inject(np.full(6, 10.0), Injection(kind="half", start=2, stop=4))
    array([10., 10.,  5.,  5., 10., 10.])
    """
    if injection.kind not in KINDS:
        raise UnknownName("kind of fault", injection.kind, KINDS)
    hit = np.array(values, dtype=np.float64)
    during = slice(injection.start, injection.stop)
    was = hit[during].copy()
    random = np.random.default_rng([seed, injection.start, 812])
    if injection.kind == "outage":
        now = np.zeros_like(was)
    elif injection.kind == "sleeping":
        now = was * random.uniform(0.0, 0.05, len(was))
    elif injection.kind == "flat":
        before = hit[: injection.start]
        known = before[np.isfinite(before)]
        now = np.full_like(was, known[-1] if len(known) else np.nan)
    elif injection.kind == "busy-night":
        shift = 12 * per_hour
        start = injection.start - shift
        afternoon = np.full_like(was, np.nan)
        afternoon[max(0, -start) :] = hit[max(0, start) : start + len(was)]
        now = np.fmax(was, afternoon)
    else:
        now = was * {"half": 0.5, "third": 0.7, "spike": 2.0, "surge": 1.35}[injection.kind]
    hit[during] = np.where(np.isnan(was), np.nan, np.minimum(now, np.maximum(most, was)))
    return hit


def inject_all(values: Floats, injections: Sequence[Injection], *, seed: int = 0, per_hour: int = 1, most: float = np.inf) -> Floats:
    """A copy of *values* with all the *injections* in it."""
    for injection in injections:
        values = inject(values, injection, seed=seed, per_hour=per_hour, most=most)
    return values
