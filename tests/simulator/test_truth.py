"""Findings are matched with what happened."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from trunkline.core.errors import BadInput
from trunkline.core.frames import TIME
from trunkline.simulator.incidents import Incident
from trunkline.simulator.network import Network
from trunkline.simulator.truth import MATCHES, TRUTH, match, truth

NETWORK = Network.make(11)
NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)


def _incident(kind: str, element: str, hours: float = 2, start: datetime = NOON, name: str = "I1") -> Incident:
    return Incident(incident_id=name, kind=kind, element=element, start=start, end=start + timedelta(hours=hours), depth=1.0)


def _findings(*said: tuple[str, datetime]) -> pl.DataFrame:
    return pl.DataFrame(list(said), schema={"element": pl.String, "at": TIME}, orient="row")


def _outcomes(frame: pl.DataFrame) -> dict[str | None, str]:
    return {row["incident_id"]: row["outcome"] for row in frame.iter_rows(named=True)}


def test_truth_names_every_cell_under_what_was_struck() -> None:
    known = truth(NETWORK, [_incident("transport_failure", NETWORK.links[0])])

    assert known.schema == pl.Schema(TRUTH)
    assert known["affected"][0].split() == [NETWORK.cells[i].element for i in NETWORK.below(NETWORK.links[0])]


def test_faults_are_found_or_missed_and_excuses_reported_or_left_quiet() -> None:
    known = truth(
        NETWORK,
        [
            _incident("cell_outage", "ROM01A-L800", name="found"),
            _incident("degradation", "ROM01B-L800", name="missed"),
            _incident("locked", "ROM01C-L800", name="excused"),
            _incident("planned_work", "ROM02", name="quiet"),
        ],
    )

    told = match(_findings(("ROM01A-L800", NOON + timedelta(minutes=45)), ("ROM01A-L800", NOON + timedelta(minutes=15)), ("ROM01C-L800", NOON)), known)

    assert told.schema == pl.Schema(MATCHES)
    assert _outcomes(told) == {name: name for name in ("found", "missed", "excused", "quiet")}
    assert told.filter(pl.col("outcome") == "found").select("delay_s", "findings").row(0) == (900.0, 2)


def test_a_finding_on_any_cell_under_a_link_finds_its_failure() -> None:
    known = truth(NETWORK, [_incident("transport_failure", NETWORK.links[0])])
    cell = NETWORK.cells[NETWORK.below(NETWORK.links[0])[-1]].element

    assert _outcomes(match(_findings((cell, NOON)), known)) == {"I1": "found"}
    assert _outcomes(match(_findings((NETWORK.links[0], NOON)), known)) == {"I1": "found"}


def test_a_finding_outside_of_all_incidents_is_false_and_tolerance_extends_the_end() -> None:
    known = truth(NETWORK, [_incident("cell_outage", "ROM01A-L800")])
    late = _findings(("ROM01A-L800", NOON + timedelta(hours=2, minutes=20)))

    assert _outcomes(match(late, known, timedelta(minutes=30))) == {"I1": "found"}
    assert _outcomes(match(late, known, timedelta(minutes=10))) == {"I1": "missed", None: "false"}
    early = match(_findings(("ROM01A-L800", NOON - timedelta(minutes=1))), known)
    assert _outcomes(early) == {"I1": "missed", None: "false"}
    assert early.row(-1, named=True)["element"] == "ROM01A-L800"


def test_a_fault_during_an_excuse_is_credited_to_the_fault_alone() -> None:
    known = truth(NETWORK, [_incident("suspect_data", "ROM01", name="excuse"), _incident("cell_outage", "ROM01A-L800", name="fault")])

    assert _outcomes(match(_findings(("ROM01A-L800", NOON)), known)) == {"excuse": "quiet", "fault": "found"}


def test_no_findings_and_no_incidents_are_no_error() -> None:
    nothing, empty = _findings(), truth(NETWORK, [])

    assert match(nothing, empty).is_empty()
    assert _outcomes(match(_findings(("X", NOON)), empty)) == {None: "false"}
    with pytest.raises(BadInput, match="lack at"):
        match(pl.DataFrame({"element": ["X"]}), empty)
