"""How much each simulated cell is asked to carry, slot by slot, and what state it is in while it does.

The load of a cell is a product of readable parts, all multiplicative::

    busy-hour level x hour-of-week shape x growth x holiday x event x weather of the day x noise

The noise is autocorrelated with Student-t innovations, shared in part by the carriers of a sector,
because real counters are: independent Gaussian noise would make every detector look good.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.clock import utc
from trunkline.core.errors import BadInput
from trunkline.core.frames import TIME
from trunkline.simulator.network import Network
from trunkline.simulator.sites import Archetype

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A row of equal measurement periods.

    >>> from datetime import UTC
    >>> grid = Grid.over(datetime(2026, 11, 20, tzinfo=UTC), timedelta(days=1))
    >>> grid.slots, grid.slot(datetime(2026, 11, 20, 10, 20, tzinfo=UTC))
    (96, 41)
    """

    start: datetime
    step: timedelta
    slots: int

    @classmethod
    def over(cls, start: datetime, length: timedelta, *, step: timedelta = timedelta(minutes=15)) -> Grid:
        """The periods of *step* that fill *length* from *start*."""
        if step <= timedelta(0) or length < step or length % step:
            raise BadInput(f"{length} is not a whole number of periods of {step}.", allowed="a positive step that divides the length")
        return cls(start=utc(start), step=step, slots=length // step)

    @property
    def end(self) -> datetime:
        """The end of the last period."""
        return self.start + self.slots * self.step

    @property
    def at(self) -> pl.Series:
        """The start of each period."""
        return pl.Series("at", np.arange(self.slots) * int(self.step.total_seconds() * 1e6) + int(self.start.timestamp() * 1e6)).cast(TIME)

    def slot(self, at: datetime) -> int:
        """The number of the period that holds *at*; before or after the grid it is outside ``range(slots)``."""
        return (utc(at) - self.start) // self.step


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What each cell faces and is able to do in each period: arrays of shape (cells, slots).

    Incidents change these, never the counters, so that all counters of a cell tell one story.

    Parameters
    ----------
    demand
        Downlink traffic asked for, as a share of what the full PRB grid carries at good radio.
    reach
        Share of the demand that can find the cell at all; 0 is a cell nobody can see.
    available
        Share of the period the cell is in service.
    quality
        Radio quality: 1 is usual, less means fewer bits for a PRB.
    noise_db
        Rise of uplink interference over its usual level.
    refusals
        Extra probability that an access attempt fails after it was heard.
    drops
        Factor on the usual rate of dropped bearers.
    handover_failures
        Extra probability that a handover out of the cell fails.
    backhaul
        Transport capacity as a share of the usual.
    delivered
        Whether the node hands its measurement file over.
    suspect
        Whether the node itself doubts the values.
    frozen
        Whether counters repeat what they last said.
    """

    grid: Grid
    demand: Array
    reach: Array
    available: Array
    quality: Array
    noise_db: Array
    refusals: Array
    drops: Array
    handover_failures: Array
    backhaul: Array
    delivered: Array
    suspect: Array
    frozen: Array
    events: tuple[tuple[str, datetime, datetime], ...] = field(default=())

    def copy(self) -> Conditions:
        """The same with arrays of its own."""
        arrays: dict[str, Any] = {f.name: value.copy() for f in fields(self) if isinstance(value := getattr(self, f.name), np.ndarray)}
        return replace(self, **arrays)


# (local hour, width in hours, height) of each bump of a day, over a floor; Monday to Friday, then weekend.
_BUMPS: Mapping[Archetype, tuple[tuple[float, tuple[tuple[float, float, float], ...]], tuple[float, tuple[tuple[float, float, float], ...]]]] = {
    "residential": ((0.10, ((8.0, 1.6, 0.30), (13.0, 2.5, 0.35), (21.0, 2.3, 0.90))), (0.11, ((12.0, 3.0, 0.50), (21.0, 2.8, 0.85)))),
    "business": ((0.06, ((10.5, 1.9, 0.85), (15.0, 2.2, 0.75), (19.0, 1.8, 0.20))), (0.05, ((13.0, 3.5, 0.22),))),
    "highway": ((0.07, ((8.0, 1.2, 0.85), (13.5, 2.6, 0.40), (18.0, 1.5, 0.90))), (0.06, ((11.5, 2.5, 0.50), (18.5, 2.4, 0.60)))),
    "stadium": ((0.08, ((12.5, 3.0, 0.25), (18.5, 2.5, 0.35))), (0.08, ((13.0, 3.5, 0.30), (18.5, 2.5, 0.30)))),
}
_BUSY_LEVEL: Mapping[Archetype, float] = {"residential": 0.52, "business": 0.50, "highway": 0.42, "stadium": 0.30}
_FRIDAY = 1.06
_EVENT_FACTOR = 3.2
_MEMORY_MINUTES = 50.0  # how long a busy spell lasts


def usual(
    network: Network,
    grid: Grid,
    *,
    seed: int | None = None,
    holidays: Mapping[str, frozenset[str]] | None = None,
    noise: float = 1.0,
) -> Conditions:
    """The conditions of every cell in every period when nothing goes wrong.

    Parameters
    ----------
    network
        Whose cells.
    grid
        The periods.
    seed
        The network's own where none is given.
    holidays
        ISO dates for each zone; a holiday has the shape of a Sunday.
    noise
        Factor on all randomness of the load; 0 leaves shape, growth and events.
    """
    rng = np.random.default_rng([network.seed if seed is None else seed, 2])
    cells, slots = len(network.cells), grid.slots
    local = {name: _local(grid, name, (holidays or {}).get(name, frozenset())) for name in dict.fromkeys(s.zone for s in network.sites)}

    level = np.array([_BUSY_LEVEL[c.site.archetype] * (0.75 if c.layer.role == "capacity" else 1.0) for c in network.cells]) * np.exp(
        rng.normal(0, 0.22, cells)
    )
    growth = np.exp(rng.normal(0.004, 0.003, cells))  # a week; about 20 % a year
    late = rng.normal(0, 0.35, cells)  # hours by which a cell's day is shifted
    weeks = np.arange(slots) * (grid.step / timedelta(weeks=1))

    shape = np.empty((cells, slots))
    for i, cell in enumerate(network.cells):
        shape[i] = _shape(cell.site.archetype, *local[cell.site.zone][:2], late=float(late[i]))
    demand = level[:, None] * shape * growth[:, None] ** weeks

    days = local[next(iter(local))][2]
    demand *= np.exp(noise * _noise(network, grid, rng, days))
    events = _events(network, grid, rng)
    for link_site, start, end in events:
        _surge(network, grid, demand, link_site, start, end)
    ones, zeros, no = np.ones((cells, slots)), np.zeros((cells, slots)), np.zeros((cells, slots), dtype=bool)
    return Conditions(
        grid=grid,
        demand=demand,
        reach=ones.copy(),
        available=ones.copy(),
        quality=np.exp(0.05 * noise * _autocorrelated(rng, cells, grid, 6.0)),
        noise_db=0.6 * noise * _autocorrelated(rng, cells, grid, 6.0),
        refusals=zeros.copy(),
        drops=np.exp(0.15 * noise * _autocorrelated(rng, cells, grid, 6.0)),
        handover_failures=zeros.copy(),
        backhaul=ones.copy(),
        delivered=~no,
        suspect=no.copy(),
        frozen=no.copy(),
        events=events,
    )


def _local(grid: Grid, zone: str, holidays: frozenset[str]) -> tuple[Array, Array, Array]:
    """Local hour with fraction, kind of day (0 workday, 1 Friday, 2 weekend or holiday), and days since the epoch."""
    there = grid.at.dt.convert_time_zone(zone)
    hour = (there.dt.hour().cast(pl.Float64) + there.dt.minute() / 60).to_numpy()
    weekday = there.dt.weekday().to_numpy()
    free = (weekday >= 6) | there.dt.date().cast(pl.String).is_in(sorted(holidays)).to_numpy()
    days = there.dt.date().cast(pl.Int32).to_numpy()
    return hour, np.where(free, 2, np.where(weekday == 5, 1, 0)), days


def _shape(archetype: Archetype, hour: Array, day: Array, *, late: float) -> Array:
    curves = []
    for floor, bumps in _BUMPS[archetype]:
        curve = np.full(hour.shape, floor)
        for centre, width, height in bumps:
            away = (hour - centre - late + 12) % 24 - 12
            curve += height * np.exp(-0.5 * (away / width) ** 2)
        curves.append(curve)
    workday, weekend = curves
    return np.where(day == 2, weekend, np.where(day == 1, workday * _FRIDAY, workday))


def _noise(network: Network, grid: Grid, rng: np.random.Generator, days: Array) -> Array:
    """Log noise of the load: a day's weather by region, a day's mood and quick noise by sector, and the cell's own."""
    regions = {name: i for i, name in enumerate(dict.fromkeys(s.region for s in network.sites))}
    sectors = {name: i for i, name in enumerate(dict.fromkeys((c.site.name, c.sector) for c in network.cells))}
    region = np.array([regions[c.site.region] for c in network.cells])
    sector = np.array([sectors[(c.site.name, c.sector)] for c in network.cells])
    day = days - days[0]
    weather, mood = rng.normal(0, 0.05, (len(regions), day[-1] + 1)), rng.normal(0, 0.05, (len(sectors), day[-1] + 1))
    shared = 0.11 * _autocorrelated(rng, len(sectors), grid, _MEMORY_MINUTES / 60)
    own = 0.08 * _autocorrelated(rng, len(network.cells), grid, _MEMORY_MINUTES / 60)
    noise: Array = np.clip(weather[region][:, day] + mood[sector][:, day] + shared[sector] + own, -1.5, 1.5)
    return noise


def _autocorrelated(rng: np.random.Generator, rows: int, grid: Grid, hours: float) -> Array:
    """Unit-variance noise whose correlation falls by 1/e in *hours*; innovations Student-t with 5 degrees."""
    keep = float(np.exp(-grid.step / timedelta(hours=hours)))
    steps = rng.standard_t(5, (grid.slots, rows)) * np.sqrt(3 / 5)
    fresh = np.sqrt(1 - keep**2)
    for t in range(1, grid.slots):  # vectorised over cells; 5,376 periods take 20 ms
        steps[t] = keep * steps[t - 1] + fresh * steps[t]
    return np.ascontiguousarray(steps.T)


def _events(network: Network, grid: Grid, rng: np.random.Generator) -> tuple[tuple[str, datetime, datetime], ...]:
    """Matches and concerts: most Saturdays and some Wednesdays at each stadium, at 20:45 local time."""
    found = []
    for site in network.sites:
        if site.archetype != "stadium":
            continue
        first = grid.start.date()
        for number in range((grid.end.date() - first).days + 1):
            date = first + timedelta(days=number)
            likely, minutes = {5: 0.7, 2: 0.3}.get(date.weekday(), 0.0), int(rng.integers(110, 170))
            if rng.random() >= likely:
                continue
            kick_off = utc(pl.Series([datetime(date.year, date.month, date.day, 20, 45)]).dt.replace_time_zone(site.zone)[0])  # noqa: DTZ001
            if grid.start <= kick_off < grid.end:
                found.append((site.name, kick_off, kick_off + timedelta(minutes=minutes)))
    return tuple(found)


def _surge(network: Network, grid: Grid, demand: Array, site: str, start: datetime, end: datetime) -> None:
    """A crowd arrives over an hour, stays, and leaves within half an hour."""
    hours = (grid.at.cast(pl.Int64).to_numpy() / 1e6 - start.timestamp()) / 3600
    length = (end - start) / timedelta(hours=1)
    crowd = np.clip(hours + 1.0, 0, 1) * np.clip((length + 0.5 - hours) / 0.5, 0, 1)
    demand[list(network.below(site))] *= 1 + (_EVENT_FACTOR - 1) * crowd
