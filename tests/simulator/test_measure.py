"""All counters of a cell tell one story."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from trunkline.simulator.incidents import Incident, draw, strike
from trunkline.simulator.kinds import KINDS
from trunkline.simulator.measure import Counted, count
from trunkline.simulator.network import Network
from trunkline.simulator.traffic import Grid, usual

NETWORK = Network.make(11)
GRID = Grid.over(datetime(2026, 11, 9, tzinfo=UTC), timedelta(weeks=2))
WHOLE = [
    "rrc_attempts",
    "rrc_successes",
    "bearer_attempts",
    "bearer_successes",
    "drops",
    "session_s",
    "handover_attempts",
    "handover_successes",
    "volume_dl_kbit",
    "volume_ul_kbit",
    "throughput_volume_kbit",
    "throughput_time_ms",
    "unavailable_s",
    "endc_attempts",
    "endc_successes",
    "scell_volume_kbit",
]


def _stressed() -> Counted:
    """Two weeks with one of nearly everything."""
    incidents = draw(NETWORK, GRID, {kind: 1 for kind in KINDS if kind != "event"}, difficulty=0)
    return count(NETWORK, strike(NETWORK, usual(NETWORK, GRID), incidents))


STRESSED = _stressed()


def _both(a: str, b: str) -> tuple[np.ndarray, np.ndarray]:
    first, second = STRESSED.values[a], STRESSED.values[b]
    known = ~np.isnan(first)
    assert (known == ~np.isnan(second)).all()
    return first[known], second[known]


def test_successes_never_exceed_attempts() -> None:
    for attempts, successes in (
        ("rrc_attempts", "rrc_successes"),
        ("bearer_attempts", "bearer_successes"),
        ("handover_attempts", "handover_successes"),
        ("handover_attempts_inside", "handover_successes_inside"),
        ("handover_attempts_outside", "handover_successes_outside"),
        ("endc_attempts", "endc_successes"),
        ("bearer_successes", "drops"),
    ):
        tried, won = _both(attempts, successes)
        assert (won <= tried).all(), (attempts, successes)


def test_used_never_exceeds_available_and_the_part_never_the_whole() -> None:
    for whole, part in (
        ("prb_available_dl", "prb_used_dl"),
        ("prb_available_ul", "prb_used_ul"),
        ("volume_dl_kbit", "throughput_volume_kbit"),
        ("volume_ul_kbit", "throughput_volume_ul_kbit"),
    ):
        total, share = _both(whole, part)
        assert (share <= total).all(), (whole, part)
    scell = STRESSED.values["scell_volume_kbit"]
    assert (scell[~np.isnan(scell)] <= STRESSED.values["volume_dl_kbit"][~np.isnan(scell)]).all()


def test_counters_are_whole_and_never_negative() -> None:
    for word, values in STRESSED.values.items():
        known = values[~np.isnan(values)]
        assert (known >= 0).all(), word
        if word in WHOLE:
            assert (known == np.rint(known)).all(), word


def test_a_cell_out_of_service_counts_nothing_but_its_downtime() -> None:
    off = STRESSED.values["unavailable_s"] == 900
    assert off.any()

    for word in ("rrc_attempts", "bearer_attempts", "volume_dl_kbit", "users_mean", "prb_used_dl", "prb_available_dl"):
        here = STRESSED.values[word][off]
        assert (here[~np.isnan(here)] == 0).all(), word


def test_nsa_cells_have_no_signalling_and_only_their_anchors_add_them() -> None:
    for i, cell in enumerate(NETWORK.cells):
        assert np.isnan(STRESSED.values["rrc_attempts"][i]).all() == (cell.layer.technology == "NR-NSA")
        anchors = any(NETWORK.cells[j].layer.technology == "NR-NSA" for j in NETWORK.partners[i])
        is_nsa = cell.layer.technology == "NR-NSA"
        assert np.isnan(STRESSED.values["endc_attempts"][i]).all() != (anchors or is_nsa)


def test_more_load_fills_prbs_and_slows_users() -> None:
    values = count(NETWORK, usual(NETWORK, GRID)).values
    for i in range(len(NETWORK.cells)):
        use = values["prb_used_dl"][i] / values["prb_available_dl"][i]
        speed = values["throughput_volume_kbit"][i] / values["throughput_time_ms"][i]
        assert np.corrcoef(use, values["volume_dl_kbit"][i])[0, 1] > 0.8
        assert np.corrcoef(use, speed)[0, 1] < -0.3


def test_an_incident_changes_only_the_cells_and_times_it_reaches() -> None:
    start = datetime(2026, 11, 18, 10, tzinfo=UTC)
    cell = NETWORK.index("ROM01A-L800")
    sleeping = Incident(incident_id="I1", kind="sleeping_cell", element="ROM01A-L800", start=start, end=start + timedelta(hours=5), depth=0.8)
    calm = usual(NETWORK, GRID)

    without, with_it = count(NETWORK, calm), count(NETWORK, strike(NETWORK, calm, [sleeping]))

    inside = np.zeros(GRID.slots, dtype=bool)
    inside[GRID.slot(start) : GRID.slot(start + timedelta(hours=5))] = True
    reached = {cell, *NETWORK.partners[cell], *NETWORK.neighbours[cell][:4]}
    reached |= {j for i in reached for j in NETWORK.partners[i]}  # an NSA cell and its anchor count the same additions
    for word, values in with_it.values.items():
        changed = ~((values == without.values[word]) | (np.isnan(values) & np.isnan(without.values[word])))
        assert not changed[:, ~inside].any(), word
        assert set(np.flatnonzero(changed.any(axis=1))) <= reached, word
    lost = with_it.values["volume_dl_kbit"][cell][inside] / without.values["volume_dl_kbit"][cell][inside]
    assert lost.max() < 0.1
    neighbour = NETWORK.neighbours[cell][0]
    assert with_it.values["volume_dl_kbit"][neighbour][inside].sum() > without.values["volume_dl_kbit"][neighbour][inside].sum()
