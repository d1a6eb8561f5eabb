"""What goes wrong in the simulated network, and what only looks as if: where, when, and how much."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from trunkline.core.clock import zone as zone_of
from trunkline.core.errors import BadInput, UnknownName
from trunkline.simulator.kinds import KINDS, Kind, Scope
from trunkline.simulator.network import Network
from trunkline.simulator.traffic import Array, Conditions, Grid

_ATTEMPTS = 20  # whole drawings that are tried until one has room for all
_ROOM: Mapping[Scope, int] = {"link": 0, "node": 1, "capacity cell": 2, "cell": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One thing that happens to *element* from *start* to *end*; ``depth`` 1 is its full effect."""

    incident_id: str
    kind: str
    element: str
    start: datetime
    end: datetime
    depth: float


def draw(
    network: Network,
    grid: Grid,
    counts: Mapping[str, int],
    *,
    between: tuple[datetime, datetime] | None = None,
    seed: int | None = None,
    difficulty: float = 0.3,
    beside: Iterable[Incident] = (),
) -> tuple[Incident, ...]:
    """Incidents of the kinds and numbers in *counts*, at seeded places and times, never two on one cell within 3 hours.

    Parameters
    ----------
    between
        When they may start; they end by the end of the grid. The whole grid where not given.
    difficulty
        0: full effects; 1: the faintest.
    beside
        Incidents already placed that these must keep clear of.

    Raises
    ------
    UnknownName
        A kind that is not in :data:`KINDS`.
    BadInput
        There is no room left for one of them.
    """
    first, last = between or (grid.start, grid.end)
    before = tuple(beside)
    for attempt in range(_ATTEMPTS):
        rng = np.random.default_rng([network.seed if seed is None else seed, 3, attempt])
        drawn = _draw_all(network, grid, counts, (first, last), rng, before, difficulty)
        if isinstance(drawn, list):
            break
    else:
        raise BadInput(
            f"There is no room for another '{drawn}' among {sum(counts.values()) + len(before)} incidents.",
            where=f"simulated network of {len(network.cells)} cells, {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}",
            next_step="Ask for fewer incidents, a larger network or a longer time.",
        )
    drawn.sort(key=lambda i: (i.start, i.element))
    return tuple(
        Incident(incident_id=f"I{number:04d}", kind=i.kind, element=i.element, start=i.start, end=i.end, depth=i.depth)
        for number, i in enumerate(drawn, len(before) + 1)
    )


def strike(network: Network, usual: Conditions, incidents: Iterable[Incident]) -> Conditions:
    """The conditions with *incidents* in them; *usual* stays as it is."""
    now = usual.copy()
    for incident in incidents:
        kind = _kind(incident.kind)
        slots, share = overlap(now.grid, incident.start, incident.end)
        if share.size:
            kind.effect(network, now, network.below(incident.element), slots, share, incident.depth)
    return now


def overlap(grid: Grid, start: datetime, end: datetime) -> tuple[slice, Array]:
    """The periods that *start* to *end* touches, and the share of each that lies within.

    >>> from datetime import UTC
    >>> grid = Grid.over(datetime(2026, 11, 20, tzinfo=UTC), timedelta(hours=1))
    >>> slots, share = overlap(grid, datetime(2026, 11, 20, 0, 20, tzinfo=UTC), datetime(2026, 11, 20, 0, 45, tzinfo=UTC))
    >>> slots, [round(float(s), 2) for s in share]
    (slice(1, 3, None), [0.67, 1.0])
    """
    low, high = max(grid.slot(start), 0), min(-((grid.start - end) // grid.step), grid.slots)
    edges = (np.arange(low, high + 1) * grid.step.total_seconds()) if high > low else np.zeros(1)
    begin, finish = (start - grid.start).total_seconds(), (end - grid.start).total_seconds()
    share = np.clip(np.minimum(edges[1:], finish) - np.maximum(edges[:-1], begin), 0, None) / grid.step.total_seconds()
    return slice(low, max(high, low)), share


def _kind(name: str) -> Kind:
    if name not in KINDS:
        raise UnknownName("kind of incident", name, KINDS)
    return KINDS[name]


def _draw_all(
    network: Network,
    grid: Grid,
    counts: Mapping[str, int],
    between: tuple[datetime, datetime],
    rng: np.random.Generator,
    before: Sequence[Incident],
    difficulty: float,
) -> list[Incident] | str:
    """All of them, or the kind for which no room was left."""
    drawn: list[Incident] = []
    # Those that need most room choose first.
    for name in sorted(counts, key=lambda k: (_ROOM[_kind(k).scope], -_kind(k).hours[1], k)):
        for _ in range(counts[name]):
            found = _place(network, grid, name, between, rng, (*before, *drawn), difficulty)
            if found is None:
                return name
            drawn.append(found)
    return drawn


def _place(
    network: Network, grid: Grid, name: str, between: tuple[datetime, datetime], rng: np.random.Generator, placed: Sequence[Incident], difficulty: float
) -> Incident | None:
    kind = _kind(name)
    candidates = _candidates(network, kind.scope)
    span = between[1] - between[0]
    for _ in range(400):
        if not candidates:
            break
        element = candidates[int(rng.integers(len(candidates)))]
        cells = network.below(element)
        where = zone_of(network.cells[cells[0]].site.zone)
        day = (between[0] + span * float(rng.random())).astimezone(where)
        hour = float(rng.uniform(*kind.begins))
        start = _minute(day.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(hours=hour), grid, aligned=kind.whole_periods)
        end = _minute(start + timedelta(hours=float(rng.uniform(*kind.hours))), grid, aligned=kind.whole_periods)
        end = min(end, grid.end)
        if not between[0] <= start < between[1] or end - start < min(timedelta(hours=kind.hours[0]) * 0.5, timedelta(hours=4)):
            continue
        if not _clear(network, cells, start, end, placed):
            continue
        return Incident(
            incident_id="", kind=name, element=element, start=start, end=end, depth=round(float(np.clip(1 - difficulty * rng.uniform(0.6, 1.0), 0, 1)), 3)
        )
    return None


def _minute(at: datetime, grid: Grid, *, aligned: bool) -> datetime:
    """*at* in UTC on a whole minute, or on the start of its period."""
    there = at.astimezone(UTC).replace(second=0, microsecond=0)
    return grid.start + ((there - grid.start) // grid.step) * grid.step if aligned else there


def _candidates(network: Network, scope: Scope) -> list[str]:
    if scope == "link":
        return list(network.links)
    if scope == "node":
        return [site.node for site in network.sites]
    return [c.element for c in network.cells if scope == "cell" or c.layer.role == "capacity"]


def _clear(network: Network, cells: tuple[int, ...], start: datetime, end: datetime, placed: Sequence[Incident]) -> bool:
    apart = timedelta(hours=3)
    return not any(start < other.end + apart and other.start < end + apart and set(cells) & set(network.below(other.element)) for other in placed)
