"""What the simulated operator's other systems write: alarms, states and planned works, as plain tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from trunkline.core.frames import TIME
from trunkline.simulator.incidents import Incident
from trunkline.simulator.network import Network
from trunkline.simulator.traffic import Grid

Layout = Mapping[str, pl.DataType | type[pl.DataType]]
ALARMS: Layout = {"alarm_id": pl.String, "element": pl.String, "severity": pl.String, "text": pl.String, "raised_at": TIME, "cleared_at": TIME}
STATES: Layout = {"element": pl.String, "state": pl.String, "start": TIME, "end": TIME, "known_at": TIME}
WORKS: Layout = {"work_id": pl.String, "elements": pl.String, "start": TIME, "end": TIME, "announced_at": TIME, "text": pl.String}

_NUISANCES = (
    ("warning", "Clock reference switched"),
    ("minor", "Fan speed deviates"),
    ("minor", "Transmit power reduced for a moment"),
    ("minor", "Licence usage high"),
    ("major", "Temperature high in the cabinet"),
    ("major", "VSWR over limit"),
)
_NUISANCE_WEIGHTS = (0.35, 0.2, 0.2, 0.15, 0.05, 0.05)
_NUISANCES_A_DAY = 0.12  # for each cell
_COLLECTION_DELAY = timedelta(minutes=12)  # after the end of a period, when the collector misses its file


def alarms(network: Network, grid: Grid, incidents: Iterable[Incident], *, seed: int | None = None) -> pl.DataFrame:
    """Alarms of the faults that raise any, and the nuisances a network utters every day.

    A silent fault (sleeping cell, refused access, interference, degradation) raises none. An open
    alarm has no ``cleared_at``.
    """
    rng = np.random.default_rng([network.seed if seed is None else seed, 5])
    rows: list[tuple[str, str, str, datetime, datetime]] = []
    for incident in incidents:
        rows += [
            (element, severity, text, incident.start + late, incident.end + clear) for element, severity, text, late, clear in _raised(network, incident, rng)
        ]
    days = grid.slots * grid.step / timedelta(days=1)
    for cell in network.cells:
        for _ in range(int(rng.poisson(_NUISANCES_A_DAY * days))):
            severity, text = _NUISANCES[int(rng.choice(len(_NUISANCES), p=_NUISANCE_WEIGHTS))]
            at = grid.start + timedelta(seconds=int(rng.integers(0, int(days * 86400))))
            rows.append(
                (
                    cell.element if rng.random() < 0.7 else cell.site.node,
                    severity,
                    f"{text} (simulated)",
                    at,
                    at + timedelta(seconds=int(rng.gamma(1.5, 600)) + 20),
                )
            )
    rows.sort(key=lambda r: (r[3], r[0], r[2]))
    numbered = [(f"A{n:06d}", *row[:4], row[4] if row[4] < grid.end else None) for n, row in enumerate(rows, 1) if row[3] < grid.end]
    return pl.DataFrame(numbered, schema=dict(ALARMS), orient="row")


def states(network: Network, grid: Grid, incidents: Iterable[Incident]) -> pl.DataFrame:
    """Locked, energy-saving and not-delivering elements.

    A state is told when it begins, with no end, and again when it has ended: two rows of one start.
    """
    rows: list[tuple[str, str, datetime, datetime | None, datetime]] = []
    for i in incidents:
        if i.kind in {"locked", "energy_saving"}:
            told = [(i.element, i.kind, i.start, None, i.start)]
            rows += told + [(i.element, i.kind, i.start, i.end, i.end)] * (i.end < grid.end)
        elif i.kind == "pm_missing":
            known = i.start + grid.step + _COLLECTION_DELAY
            for element in (i.element, *(network.cells[c].element for c in network.below(i.element))):
                rows.append((element, i.kind, i.start, None, known))
                if i.end < grid.end:
                    rows.append((element, i.kind, i.start, i.end, i.end + grid.step + _COLLECTION_DELAY))
    return pl.DataFrame(sorted(rows, key=lambda r: (r[4], r[0])), schema=dict(STATES), orient="row")


def works(network: Network, incidents: Iterable[Incident]) -> pl.DataFrame:
    """Planned work as it was announced three days before: on the node and its cells, with a margin around what it took."""
    rows = []
    for number, i in enumerate((i for i in incidents if i.kind == "planned_work"), 1):
        elements = "|".join([i.element, *(network.cells[c].element for c in network.below(i.element))])
        before, after = i.start - timedelta(minutes=20), i.end + timedelta(minutes=30)
        rows.append((f"W{number:04d}", elements, before, after, before - timedelta(days=3), "Baseband replacement (simulated)"))
    return pl.DataFrame(rows, schema=dict(WORKS), orient="row")


def _raised(network: Network, incident: Incident, rng: np.random.Generator) -> list[tuple[str, str, str, timedelta, timedelta]]:
    """(element, severity, text, raised after the start, cleared after the end) of each alarm of one incident."""

    def soon(most: int) -> timedelta:
        return timedelta(seconds=int(rng.integers(5, most)))

    if incident.kind == "cell_outage":
        return [(incident.element, "critical", "Cell out of service (simulated)", soon(90), soon(180))]
    if incident.kind == "planned_work":
        return [(incident.element, "major", "Node does not answer (simulated)", soon(120), soon(180))]
    if incident.kind == "transport_failure":
        nodes = dict.fromkeys(network.cells[c].site.node for c in network.below(incident.element))
        return [
            (incident.element, "critical", "Loss of signal (simulated)", soon(20), soon(40)),
            *((node, "major", "No path to the core network (simulated)", soon(120), soon(240)) for node in nodes),
        ]
    return []
