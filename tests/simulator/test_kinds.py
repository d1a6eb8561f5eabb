"""Each kind of incident moves the counters that a real one would."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from trunkline.simulator import faults
from trunkline.simulator.incidents import Incident, strike
from trunkline.simulator.kinds import KINDS
from trunkline.simulator.measure import Counted, count
from trunkline.simulator.network import Network
from trunkline.simulator.traffic import Grid, usual

NETWORK = Network.make(11)
GRID = Grid.over(datetime(2026, 11, 9, tzinfo=UTC), timedelta(weeks=2))
CALM = usual(NETWORK, GRID)
WITHOUT = count(NETWORK, CALM)
START, END = datetime(2026, 11, 18, 9, tzinfo=UTC), datetime(2026, 11, 18, 14, tzinfo=UTC)
DURING = slice(GRID.slot(START), GRID.slot(END))


def _with(kind: str, element: str = "ROM01A-L800", depth: float = 0.8) -> Counted:
    return count(NETWORK, strike(NETWORK, CALM, [Incident(incident_id="I1", kind=kind, element=element, start=START, end=END, depth=depth)]))


def _ratio(counted: Counted, above: str, below: str, element: str = "ROM01A-L800") -> float:
    i = NETWORK.index(element)
    return float(counted.values[above][i, DURING].sum() / counted.values[below][i, DURING].sum())


def _change(counted: Counted, word: str, element: str = "ROM01A-L800") -> float:
    i = NETWORK.index(element)
    return float(counted.values[word][i, DURING].sum() / WITHOUT.values[word][i, DURING].sum())


def test_a_sleeping_cell_is_in_service_and_nearly_empty() -> None:
    asleep = _with("sleeping_cell")

    assert _change(asleep, "volume_dl_kbit") < 0.06
    assert _change(asleep, "rrc_attempts") < 0.06
    assert asleep.values["unavailable_s"][NETWORK.index("ROM01A-L800"), DURING].sum() == 0
    assert _ratio(asleep, "rrc_successes", "rrc_attempts") > 0.9


def test_degradation_drops_bearers_and_slows_users() -> None:
    worse = _with("degradation")

    assert _ratio(worse, "drops", "bearer_successes") > 3 * _ratio(WITHOUT, "drops", "bearer_successes")
    assert _ratio(worse, "throughput_volume_kbit", "throughput_time_ms") < 0.7 * _ratio(WITHOUT, "throughput_volume_kbit", "throughput_time_ms")
    assert _ratio(worse, "handover_successes", "handover_attempts") < _ratio(WITHOUT, "handover_successes", "handover_attempts") - 0.05


def test_interference_takes_uplink_first_and_costs_prbs() -> None:
    noisy = _with("interference", depth=0.4)
    uplink = _ratio(noisy, "throughput_volume_ul_kbit", "throughput_time_ul_ms") / _ratio(WITHOUT, "throughput_volume_ul_kbit", "throughput_time_ul_ms")
    downlink = _ratio(noisy, "throughput_volume_kbit", "throughput_time_ms") / _ratio(WITHOUT, "throughput_volume_kbit", "throughput_time_ms")

    assert uplink < downlink < 1
    assert _change(noisy, "prb_used_dl") > 1.2


def test_access_failure_refuses_attempts_without_an_outage() -> None:
    closed = _with("access_failure")

    assert _ratio(closed, "rrc_successes", "rrc_attempts") < 0.6
    assert closed.values["unavailable_s"][NETWORK.index("ROM01A-L800"), DURING].sum() == 0


def test_saturation_fills_the_carrier() -> None:
    full = _with("saturation")

    assert _ratio(full, "prb_used_dl", "prb_available_dl") > 0.9
    assert _ratio(full, "throughput_volume_kbit", "throughput_time_ms") < 0.6 * _ratio(WITHOUT, "throughput_volume_kbit", "throughput_time_ms")


def test_a_cut_link_takes_every_cell_under_it() -> None:
    link = NETWORK.links[0]
    cut = _with("transport_failure", element=link, depth=1.0)

    for i in NETWORK.below(link):
        assert cut.values["volume_dl_kbit"][i, DURING].sum() < 0.05 * WITHOUT.values["volume_dl_kbit"][i, DURING].sum()


def test_excused_states_take_service_and_missing_measurements_take_nothing_but_themselves() -> None:
    for kind in ("locked", "energy_saving"):
        off = _with(kind, element="ROM01A-N78")
        assert (off.values["unavailable_s"][NETWORK.index("ROM01A-N78"), DURING] == 900).all()
    silent = _with("pm_missing", element="ROM01")
    assert not silent.delivered[list(NETWORK.below("ROM01")), DURING].any()
    assert silent.delivered.sum() == silent.delivered.size - len(NETWORK.below("ROM01")) * (DURING.stop - DURING.start)
    np.testing.assert_array_equal(silent.values["volume_dl_kbit"], WITHOUT.values["volume_dl_kbit"])
    assert _with("suspect_data", element="ROM01").suspect[NETWORK.index("ROM01A-L800"), DURING].all()


@pytest.mark.parametrize(("kind", "factor"), [("load_half", 0.5), ("load_third", 0.7), ("load_spike", 2.0), ("load_surge", 1.35), ("load_outage", 0.0)])
def test_the_eight_traffic_faults_act_on_load_as_they_are_defined(kind: str, factor: float) -> None:
    hit = strike(NETWORK, CALM, [Incident(incident_id="I1", kind=kind, element="ROM01A-L800", start=START, end=END, depth=0.8)])
    i = NETWORK.index("ROM01A-L800")

    np.testing.assert_allclose(hit.demand[i, DURING], CALM.demand[i, DURING] * factor)
    assert set(faults.KINDS) == {k.removeprefix("load_").replace("_", "-") for k in KINDS if k.startswith("load_")}


def test_frozen_counters_repeat_the_last_value_before() -> None:
    i = NETWORK.index("ROM01A-L800")
    frozen = _with("load_flat")

    for word in ("volume_dl_kbit", "rrc_attempts"):
        assert set(frozen.values[word][i, DURING]) == {WITHOUT.values[word][i, DURING.start - 1]}
    assert frozen.values["volume_dl_kbit"][i, DURING.stop] == WITHOUT.values["volume_dl_kbit"][i, DURING.stop]


@pytest.mark.parametrize("kind", ["sleeping_cell", "degradation", "access_failure"])
def test_a_harder_drawing_has_fainter_effects(kind: str) -> None:
    word = {"sleeping_cell": ("rrc_attempts", 1), "degradation": ("drops", -1), "access_failure": ("rrc_successes", 1)}[kind]

    easy, hard = _change(_with(kind, depth=1.0), word[0]), _change(_with(kind, depth=0.1), word[0])

    assert word[1] * easy < word[1] * hard
