"""From conditions to counters: what each cell would have counted, all counters telling one story.

The relations are textbook ones, kept simple enough to read: load fills PRBs until they run out, users
share what is left, attempts succeed or fail one by one (binomial), and a counter that counts is a whole
number. Formulas and constants are ours; none is fitted to anybody's data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from trunkline.simulator.chance import binomial, poisson
from trunkline.simulator.network import Network
from trunkline.simulator.traffic import Array, Conditions, Grid

# What the vendors' equipment does differently: rate of drops, of refusals, share of PRBs for common channels.
_VENDORS: Mapping[str, tuple[float, float, float]] = {"ericsson": (1.0, 1.0, 0.020), "3gpp": (1.35, 0.8, 0.035), "huawei": (0.9, 1.2, 0.028)}
_MBPS_A_USER = {"LTE": 0.22, "NR-SA": 0.9, "NR-NSA": 1.1}
_MOBILITY = {"residential": 0.35, "business": 0.30, "highway": 1.5, "stadium": 0.25}
_SESSION_SECONDS = 45.0
_SAMPLE_SECONDS = 5.0  # how often connected users are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What every cell counted: ``values[word]`` of shape (cells, slots), NaN where the cell has no such counter.

    Words are this package's own; :mod:`trunkline.simulator.names` says what standard and vendors call them.
    """

    grid: Grid
    values: Mapping[str, Array]
    delivered: Array
    suspect: Array

    def between(self, start: datetime, end: datetime) -> Counted:
        """The part of the periods that start within *start* to *end*."""
        low, high = max(self.grid.slot(start), 0), min(self.grid.slot(end), self.grid.slots)
        grid = Grid(start=self.grid.start + low * self.grid.step, step=self.grid.step, slots=high - low)
        part = {word: array[:, low:high] for word, array in self.values.items()}
        return Counted(grid=grid, values=part, delivered=self.delivered[:, low:high], suspect=self.suspect[:, low:high])


def count(network: Network, now: Conditions, *, seed: int | None = None) -> Counted:
    """The counters of every cell in every period under the conditions *now*.

    Cost: 23 counters of 52 cells over 57 days of quarter hours (6.5 million values) take 0.2 CPU seconds.
    """
    rng = np.random.default_rng([network.seed if seed is None else seed, 4])
    seconds = now.grid.step.total_seconds()
    cells = network.cells
    technology = [c.layer.technology for c in cells]
    is_nsa = np.array([t == "NR-NSA" for t in technology])
    prbs, mbps = _column([c.layer.prbs for c in cells]), _column([c.layer.mbps for c in cells])
    drop_factor, refusal_factor, common = (_column([_VENDORS[c.site.vendor][k] for c in cells]) for k in range(3))
    mobility = _column([_MOBILITY[c.site.archetype] for c in cells])
    own = np.exp(rng.normal(0, 0.25, (4, len(cells), 1)))  # each cell's own habit: refusals, drops, uplink share, session length

    # Radio: interference above the usual costs bits for a PRB, little at first.
    rise = np.maximum(now.noise_db, 0)
    bits = now.quality / (1 + (rise / 9) ** 2)
    heard = now.reach * now.available
    wanted = now.demand * heard / bits  # share of the PRB grid that the demand would take
    used = wanted / (1 + wanted**8) ** 0.125  # PRBs run out softly at the end
    carried = np.minimum(used * bits * mbps, now.backhaul * mbps)  # Mbit/s over the air or through the backhaul, whichever is less
    users = now.demand * now.reach * mbps / _column([_MBPS_A_USER[t] for t in technology])

    # Access: who tries, who gets in. A cell without backhaul refuses, and phones try again.
    refused = np.clip(0.006 * own[0] * refusal_factor + now.refusals + 0.10 * np.clip(wanted - 0.85, 0, 1.5) + 0.004 * rise, 0, 0.99)
    tries = users * now.available * seconds / (_SESSION_SECONDS * own[3]) * (1 + 0.6 * np.clip(now.refusals, 0, 1))
    rrc_attempts = poisson(rng, tries)
    rrc_successes = binomial(rng, rrc_attempts, 1 - refused)
    inside = np.where(is_nsa[:, None], poisson(rng, tries * (1 - refused)), rrc_successes)  # an NSA cell's bearers come through its anchor
    bearer_attempts = inside + poisson(rng, 0.18 * inside)
    bearer_successes = binomial(rng, bearer_attempts, np.clip(1 - 0.5 * refused, 0, 1))
    lost = np.clip(0.0035 * own[1] * drop_factor * now.drops * (1 + rise / 4 + 3 * np.clip(wanted - 0.95, 0, 1) + 40 * (1 - now.backhaul)), 0, 0.9)
    drops = binomial(rng, bearer_successes, lost)
    through = 1 - refused  # of those who want to be connected

    # Sharing: the fuller the cell, the less a user gets of it.
    common_share = common * now.available
    prb_share = np.clip(common_share + (1 - common) * used, 0, 1) * (now.available > 0)
    speed = np.minimum(mbps * bits * 0.6 * np.clip(1 - 0.85 * used, 0.08, 1), np.maximum(now.backhaul, 0.002) * mbps) * np.exp(rng.normal(0, 0.05, used.shape))
    # The uplink is where interference is felt first, and fullest.
    speed_up = 0.12 * mbps * now.quality / (1 + (rise / 4) ** 2) * np.clip(1 - 0.5 * used, 0.1, 1) * np.exp(rng.normal(0, 0.06, used.shape))
    volume = carried * through**0.5 * seconds / 8  # MB; who is refused first is who would carry little
    uplink = volume * 0.11 * own[2] * np.exp(rng.normal(0, 0.06, volume.shape))
    connected = users * now.available * through
    in_tail = 0.06  # share of the volume in the last, half-filled slot of a burst, which throughput leaves out
    handovers = poisson(rng, mobility * connected * seconds / 150.0)
    handover_fails = np.clip(0.012 * own[1] + now.handover_failures + 0.002 * rise, 0, 0.95)

    landed = binomial(rng, handovers, 1 - handover_fails)
    inside_landed = binomial(rng, landed, 0.4)
    inside_attempts = inside_landed + binomial(rng, (handovers - landed), 0.4)

    partner = _nsa_partner(network)
    has_partner = partner >= 0
    reachable = np.where(has_partner[:, None], heard[partner], 0.0)
    additions = binomial(rng, rrc_successes, 0.45 * np.clip(reachable, 0, 1))
    addition_ok = np.where(has_partner[:, None], (1 - np.clip(0.5 * refused[partner], 0, 1)), 0.0)
    added = binomial(rng, additions, addition_ok)

    kbit = _octets(volume * 8000)
    tail = np.minimum(_octets(volume * 8000 * in_tail), kbit)
    kbit_up = _octets(uplink * 8000)
    tail_up = np.minimum(_octets(uplink * 8000 * in_tail), kbit_up)
    samples = max(seconds // _SAMPLE_SECONDS, 1.0)
    values = {
        "rrc_attempts": rrc_attempts,
        "rrc_successes": rrc_successes,
        "bearer_attempts": bearer_attempts,
        "bearer_successes": bearer_successes,
        "drops": drops,
        "session_s": np.rint(connected * seconds * 0.8),
        "handover_attempts": handovers,
        "handover_successes": landed,
        "handover_attempts_inside": inside_attempts,
        "handover_successes_inside": inside_landed,
        "handover_attempts_outside": handovers - inside_attempts,
        "handover_successes_outside": landed - inside_landed,
        "prb_used_dl": np.round(np.minimum(prb_share * prbs, prbs * now.available), 2),
        "prb_available_dl": np.round(prbs * now.available, 2),
        "prb_used_ul": np.round(np.clip((0.4 * prb_share + 0.012 * rise) * now.available, 0, now.available) * prbs, 2),
        "prb_available_ul": np.round(prbs * now.available, 2),
        "volume_dl_kbit": kbit,
        "volume_ul_kbit": kbit_up,
        "throughput_volume_kbit": kbit - tail,
        "throughput_time_ms": np.rint((kbit - tail) / speed),
        "throughput_volume_ul_kbit": kbit_up - tail_up,
        "throughput_time_ul_ms": np.rint((kbit_up - tail_up) / speed_up),
        "users_mean": np.rint(connected * samples) / samples,
        "unavailable_s": np.rint(seconds * (1 - now.available)),
        "cqi": np.clip(10.5 + 5 * np.log2(np.maximum(bits, 0.05)), 1, 15),
        "cqi_reports": np.rint(connected * samples),
        "endc_attempts": np.where(has_partner[:, None], additions, np.nan),
        "endc_successes": np.where(has_partner[:, None], added, np.nan),
        "scell_volume_kbit": _octets(kbit * np.where([[c.layer.role == "capacity"] for c in cells], 0.42, np.nan)),
    }
    for word in ("rrc_attempts", "rrc_successes"):  # signalling of an NSA cell runs over its anchor
        values[word] = np.where(is_nsa[:, None], np.nan, values[word])
    for word in ("endc_attempts", "endc_successes"):  # and both ends count the additions
        for anchor in np.flatnonzero(has_partner):
            values[word][partner[anchor]] = values[word][anchor]
    _hold(values, now.frozen)
    return Counted(grid=now.grid, values=values, delivered=now.delivered, suspect=now.suspect)


def _column(values: Sequence[float]) -> Array:
    return np.array(values, dtype=np.float64)[:, None]


def _octets(kbit: Array) -> Array:
    """*kbit* in whole steps of 8 kbit: whole numbers in the unit of every dialect, kbit as well as words of 64 bits."""
    return np.rint(kbit / 8) * 8


def _nsa_partner(network: Network) -> Array:
    """For each LTE cell the NSA cell it anchors, else -1."""
    found = [-1] * len(network.cells)
    for i, cell in enumerate(network.cells):
        if cell.layer.technology == "LTE" and cell.layer.role == "coverage":
            found[i] = next((j for j in network.partners[i] if network.cells[j].layer.technology == "NR-NSA"), -1)
    return np.array(found)


def _hold(values: dict[str, Array], frozen: Array) -> None:
    """Where counters are frozen they repeat the last value before."""
    for i in np.flatnonzero(frozen.any(axis=1)):
        moving = np.where(frozen[i], 0, np.arange(frozen.shape[1]))
        source = np.maximum.accumulate(moving)
        for array in values.values():
            array[i] = array[i, source]
