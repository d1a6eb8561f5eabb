"""Alarms, states and works tell what an operator's systems would, and no more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from trunkline.simulator.incidents import Incident
from trunkline.simulator.logbook import alarms, states, works
from trunkline.simulator.network import Network
from trunkline.simulator.traffic import Grid

NETWORK = Network.make(11)
GRID = Grid.over(datetime(2026, 11, 18, tzinfo=UTC), timedelta(days=2))
NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)


def _incident(kind: str, element: str, hours: float = 2) -> Incident:
    return Incident(incident_id="I1", kind=kind, element=element, start=NOON, end=NOON + timedelta(hours=hours), depth=1.0)


def test_an_outage_raises_a_critical_alarm_that_clears_after_it() -> None:
    raised = alarms(NETWORK, GRID, [_incident("cell_outage", "ROM01A-L800")]).filter(pl.col("severity") == "critical")

    assert raised["element"].to_list() == ["ROM01A-L800"]
    assert NOON < raised["raised_at"][0] < NOON + timedelta(minutes=2)
    assert raised["cleared_at"][0] > NOON + timedelta(hours=2)


def test_a_cut_link_alarms_on_the_link_and_on_its_nodes_not_on_cells() -> None:
    link = NETWORK.links[0]
    quiet = alarms(NETWORK, GRID, [])
    loud = alarms(NETWORK, GRID, [_incident("transport_failure", link)])

    fresh = set(loud["element"]) - set(quiet["element"])
    nodes = {NETWORK.cells[i].site.node for i in NETWORK.below(link)}
    assert link in fresh
    assert loud.filter(pl.col("text").str.contains("core network"))["element"].sort().to_list() == sorted(nodes)


def test_silent_faults_raise_no_alarm_but_nuisances_go_on() -> None:
    quiet = alarms(NETWORK, GRID, [])
    silent = alarms(NETWORK, GRID, [_incident(kind, "ROM01A-L800") for kind in ("sleeping_cell", "access_failure", "interference", "degradation")])

    assert quiet.height > 0
    assert silent.equals(quiet)
    assert quiet["alarm_id"].is_unique().all()
    assert quiet["text"].str.contains("simulated").all()


def test_an_alarm_that_outlasts_the_time_is_open() -> None:
    raised = alarms(NETWORK, GRID, [_incident("cell_outage", "ROM01A-L800", hours=36)])

    assert raised.filter(pl.col("severity") == "critical")["cleared_at"].to_list() == [None]


def test_a_state_is_told_without_its_end_first() -> None:
    told = states(NETWORK, GRID, [_incident("locked", "ROM01A-L800")])

    assert told["known_at"].to_list() == [NOON, NOON + timedelta(hours=2)]
    assert told["end"].to_list() == [None, NOON + timedelta(hours=2)]
    assert states(NETWORK, GRID, [_incident("locked", "ROM01A-L800", hours=36)]).height == 1


def test_missing_measurements_are_known_only_after_the_file_is_overdue() -> None:
    told = states(NETWORK, GRID, [_incident("pm_missing", "ROM01")])

    assert set(told["state"]) == {"pm_missing"}
    assert told["known_at"].min() == NOON + timedelta(minutes=27)
    assert {"ROM01", "ROM01A-L800"} <= set(told["element"])


def test_planned_work_is_announced_days_before_and_covers_what_happens() -> None:
    announced = works(NETWORK, [_incident("planned_work", "ROM01"), _incident("locked", "ROM02A-N28")])

    assert announced.height == 1
    row = announced.row(0, named=True)
    assert row["announced_at"] < NOON - timedelta(days=2)
    assert row["start"] < NOON < NOON + timedelta(hours=2) < row["end"]
    assert row["elements"].split("|")[0] == "ROM01"
