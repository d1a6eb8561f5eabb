"""Let time pass over a simulated network: load, incidents, counters, and the truth about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import polars as pl

from trunkline.core.calendar import holidays_of
from trunkline.simulator.incidents import Incident, strike
from trunkline.simulator.measure import Counted, count
from trunkline.simulator.network import Network
from trunkline.simulator.traffic import Grid, usual
from trunkline.simulator.truth import truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """A simulated time of a network: what was counted, what happened, and what would have been counted without it."""

    network: Network
    grid: Grid
    incidents: tuple[Incident, ...]
    counted: Counted
    seed: int
    holidays: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def truth(self) -> pl.DataFrame:
        """The TRUTH frame of the incidents."""
        return truth(self.network, self.incidents)


def simulate(network: Network, grid: Grid, incidents: tuple[Incident, ...] = (), *, seed: int | None = None) -> Simulation:
    """Let time pass over *network*; events at stadiums happen by themselves and join the incidents as excused.

    Parameters
    ----------
    network
        Whose cells.
    grid
        The periods.
    incidents
        What happens, from :func:`~trunkline.simulator.incidents.draw`.
    seed
        Of load and noise; the network's own where none is given.
    """
    chosen = network.seed if seed is None else seed
    holidays = holidays_of({s.zone for s in network.sites}, range(grid.start.year, grid.end.year + 1))
    calm = usual(network, grid, seed=chosen, holidays=holidays)
    nodes = {s.name: s.node for s in network.sites}
    # The crowd comes an hour before and is gone half an hour after.
    told = [(nodes[site], begin - timedelta(hours=1), end + timedelta(minutes=30)) for site, begin, end in calm.events]
    crowds = tuple(Incident(incident_id=f"E{n:04d}", kind="event", element=node, start=a, end=b, depth=1.0) for n, (node, a, b) in enumerate(told, 1))
    counted = count(network, strike(network, calm, incidents), seed=chosen)
    return Simulation(network=network, grid=grid, incidents=(*incidents, *crowds), counted=counted, seed=chosen, holidays=holidays)
