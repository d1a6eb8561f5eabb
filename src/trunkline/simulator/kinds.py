"""The kinds of incidents there are, and what each does to the cells it strikes.

An effect changes the :class:`~trunkline.simulator.traffic.Conditions` of cells, so every counter that a
real fault of the kind would move moves, and the neighbours take what a lost cell leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import numpy as np

from trunkline.simulator import faults
from trunkline.simulator.network import Network
from trunkline.simulator.traffic import Array, Conditions

Scope = Literal["cell", "capacity cell", "node", "link"]
Effect = Callable[[Network, Conditions, tuple[int, ...], slice, Array, float], None]
"""(network, conditions, cells, slots, share of each slot, depth 0..1) -> changes the conditions in place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of incident.

    Parameters
    ----------
    is_fault
        Whether finding it counts; an excused one must not be reported.
    scope
        What it strikes.
    hours
        Shortest and longest, in hours.
    begins
        Local hours between which it starts.
    detectable
        KPIs that show it, for whoever looks up why something was missed.
    note
        One clause for people.
    effect
        What it does.
    whole_periods
        Whether it begins and ends with a measurement period, as what concerns files does.
    """

    is_fault: bool
    scope: Scope
    hours: tuple[float, float]
    begins: tuple[float, float]
    detectable: str
    note: str
    effect: Effect
    whole_periods: bool = False


def _sleep(network: Network, now: Conditions, cells: tuple[int, ...], slots: slice, share: Array, depth: float) -> None:
    gone = share * (0.86 + 0.135 * depth)
    _hand_over(network, now, cells, slots, now.demand[list(cells), slots] * gone)
    now.reach[list(cells), slots] *= 1 - gone


def _out(network: Network, now: Conditions, cells: tuple[int, ...], slots: slice, share: Array, depth: float) -> None:
    del depth  # a cell that is out is out
    _hand_over(network, now, cells, slots, now.demand[list(cells), slots] * share)
    now.available[list(cells), slots] *= 1 - share


def _cut(network: Network, now: Conditions, cells: tuple[int, ...], slots: slice, share: Array, depth: float) -> None:
    del network
    now.backhaul[list(cells), slots] *= 1 - share * (0.9 + 0.1 * depth)
    now.refusals[list(cells), slots] += share * (0.8 + 0.18 * depth)


def _degrade(network: Network, now: Conditions, cells: tuple[int, ...], slots: slice, share: Array, depth: float) -> None:
    del network
    now.drops[list(cells), slots] *= 1 + share * (2 + 8 * depth)
    now.quality[list(cells), slots] *= 1 - share * (0.25 + 0.35 * depth)
    now.handover_failures[list(cells), slots] += share * (0.03 + 0.12 * depth)


def _interfere(network: Network, now: Conditions, cells: tuple[int, ...], slots: slice, share: Array, depth: float) -> None:
    del network
    now.noise_db[list(cells), slots] += share * (5 + 11 * depth)


def _saturate(network: Network, now: Conditions, cells: tuple[int, ...], slots: slice, share: Array, depth: float) -> None:
    del network
    wanted = np.maximum(now.demand[list(cells), slots] * 1.5, 0.9 + 0.9 * depth)
    now.demand[list(cells), slots] += share * (wanted - now.demand[list(cells), slots])


def _refuse(network: Network, now: Conditions, cells: tuple[int, ...], slots: slice, share: Array, depth: float) -> None:
    del network
    now.refusals[list(cells), slots] += share * (0.15 + 0.55 * depth)


def _load(kind: str) -> Effect:
    """One of the eight ways a traffic series goes wrong, done to the load itself so that every counter follows."""

    def change(network: Network, now: Conditions, cells: tuple[int, ...], slots: slice, share: Array, depth: float) -> None:
        del network, depth  # these are defined by their factor
        per_hour = max(1, round(timedelta(hours=1) / now.grid.step))
        for i in cells:
            injection = faults.Injection(kind=kind, start=slots.start, stop=slots.stop)
            faulty = faults.inject(now.demand[i], injection, seed=i, per_hour=per_hour)
            now.demand[i, slots] += share * (faulty[slots] - now.demand[i, slots])

    return change


def _freeze(network: Network, now: Conditions, cells: tuple[int, ...], slots: slice, share: Array, depth: float) -> None:
    del network, depth
    now.frozen[list(cells), slots] |= share > 0.5


def _withhold(network: Network, now: Conditions, cells: tuple[int, ...], slots: slice, share: Array, depth: float) -> None:
    del network, depth
    now.delivered[list(cells), slots] &= share < 0.5


def _doubt(network: Network, now: Conditions, cells: tuple[int, ...], slots: slice, share: Array, depth: float) -> None:
    del network
    now.suspect[list(cells), slots] |= share > 0.5
    now.demand[list(cells), slots] *= 1 - 0.6 * depth * share


def _crowd(network: Network, now: Conditions, cells: tuple[int, ...], slots: slice, share: Array, depth: float) -> None:
    """Nothing: events are part of the usual load and only told in the truth."""
    del network, now, cells, slots, share, depth


def _hand_over(network: Network, now: Conditions, cells: tuple[int, ...], slots: slice, lost: Array) -> None:
    """Users of a lost cell go half to its sector's other carriers and a third to its neighbours, as far as there are."""
    for row, i in enumerate(cells):
        for others, part in ((network.partners[i], 0.5), (network.neighbours[i][:4], 0.35)):
            takers = [j for j in others if j not in cells]
            for j in takers:
                ratio = network.cells[i].layer.mbps / network.cells[j].layer.mbps
                now.demand[j, slots] += np.minimum(part * ratio * lost[row] / len(takers), 0.6)


_DAY, _ANY = (7.0, 15.0), (0.0, 24.0)
_LOAD = "dl_volume rrc_attempts connected_users"

KINDS: Mapping[str, Kind] = {
    "sleeping_cell": Kind(
        is_fault=True, scope="cell", hours=(4, 12), begins=_DAY, detectable=_LOAD, note="in service, no alarm, hardly anybody gets in", effect=_sleep
    ),
    "cell_outage": Kind(
        is_fault=True, scope="cell", hours=(2, 5), begins=_DAY, detectable=f"{_LOAD} availability", note="out of service, with its alarm", effect=_out
    ),
    "transport_failure": Kind(
        is_fault=True,
        scope="link",
        hours=(1, 3),
        begins=_DAY,
        detectable="dl_volume rrc_setup_success",
        note="shared link cut, alarms on the link and its nodes",
        effect=_cut,
    ),
    "degradation": Kind(
        is_fault=True,
        scope="cell",
        hours=(4, 12),
        begins=_DAY,
        detectable="drop_rate dl_user_throughput handover_success",
        note="drops up, throughput down",
        effect=_degrade,
    ),
    "interference": Kind(
        is_fault=True,
        scope="cell",
        hours=(4, 10),
        begins=_DAY,
        detectable="ul_user_throughput dl_user_throughput prb_utilisation_dl",
        note="uplink noise rises",
        effect=_interfere,
    ),
    "saturation": Kind(
        is_fault=True,
        scope="cell",
        hours=(2, 4),
        begins=(16.0, 19.0),
        detectable="prb_utilisation_dl dl_user_throughput",
        note="more asked for than the carrier holds",
        effect=_saturate,
    ),
    "access_failure": Kind(
        is_fault=True, scope="cell", hours=(3, 8), begins=_DAY, detectable="rrc_setup_success", note="attempts fail, no alarm", effect=_refuse
    ),
    **{
        f"load_{name.replace('-', '_')}": Kind(
            is_fault=True,
            scope="cell",
            hours=(fault.hours, fault.hours),
            begins={"busy-night": (0.0, 0.0), "flat": (0.0, 6.0), "third": _ANY, "surge": _ANY}.get(name, _DAY),
            detectable=_LOAD,
            note=fault.text,
            effect=_freeze if name == "flat" else _load(name),
        )
        for name, fault in faults.KINDS.items()
    },
    "locked": Kind(
        is_fault=False, scope="cell", hours=(3, 10), begins=_DAY, detectable="availability", note="locked by an operator, said in states", effect=_out
    ),
    "energy_saving": Kind(
        is_fault=False,
        scope="capacity cell",
        hours=(4.5, 4.5),
        begins=(0.2, 1.5),
        detectable="availability",
        note="sleeps at night to save energy, said in states",
        effect=_out,
    ),
    "planned_work": Kind(
        is_fault=False, scope="node", hours=(2, 4), begins=(8.0, 14.0), detectable="availability", note="announced work on the node", effect=_out
    ),
    "pm_missing": Kind(
        is_fault=False,
        scope="node",
        hours=(1, 3),
        begins=_ANY,
        detectable="",
        note="the node delivers no measurement files",
        effect=_withhold,
        whole_periods=True,
    ),
    "suspect_data": Kind(
        is_fault=False,
        scope="node",
        hours=(0.75, 2),
        begins=_ANY,
        detectable="",
        note="values too low, flagged suspect by the node",
        effect=_doubt,
        whole_periods=True,
    ),
    "event": Kind(is_fault=False, scope="node", hours=(2, 3), begins=(20.75, 20.75), detectable=_LOAD, note="a crowd at the stadium", effect=_crowd),
}
"""Every kind of incident by name. Add a kind here; nothing else has to change."""
