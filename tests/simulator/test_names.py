"""Counted values become records in the standard's names and units."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from trunkline.core.frames import RECORDS, check_frame
from trunkline.simulator.incidents import Incident
from trunkline.simulator.names import MEASUREMENTS, records
from trunkline.simulator.network import Network
from trunkline.simulator.simulation import simulate
from trunkline.simulator.traffic import Grid

NETWORK = Network.make(11, sites=4)
GRID = Grid.over(datetime(2026, 11, 18, tzinfo=UTC), timedelta(hours=12))


def test_records_have_the_layout_and_one_row_for_each_key() -> None:
    frame = records(NETWORK, simulate(NETWORK, GRID).counted)

    assert check_frame(frame, RECORDS, name="simulated records").height == frame.height
    assert not frame.select("element", "object_class", "name", "dimension", "at").is_duplicated().any()
    assert frame["value"].null_count() == 0
    assert (frame["known_at"] - frame["at"]).unique().to_list() == [timedelta(minutes=20)]
    assert frame["source"].unique().to_list() == ["simulated"]


def test_values_are_in_the_units_of_the_standard_names() -> None:
    counted = simulate(NETWORK, GRID).counted
    i = NETWORK.index("ROM01A-L800")
    frame = records(NETWORK, counted).filter(pl.col("element") == "ROM01A-L800")

    volume = frame.filter(pl.col("name") == "DRB.PdcpSduVolumeDL").sort("at")["value"].to_numpy()
    assert volume == pytest.approx(counted.values["volume_dl_kbit"][i] / 1000)
    assert frame.filter(pl.col("name") == "RRU.PrbAvailDl")["value"].unique().to_list() == [NETWORK.cells[i].layer.prbs]


def test_a_node_that_does_not_deliver_has_no_rows_and_doubted_ones_are_marked() -> None:
    start = GRID.start + timedelta(hours=2)
    missing = Incident(incident_id="I1", kind="pm_missing", element="ROM01", start=start, end=start + timedelta(hours=1), depth=1.0)
    doubted = Incident(incident_id="I2", kind="suspect_data", element="ROM02", start=start, end=start + timedelta(hours=1), depth=1.0)

    frame = records(NETWORK, simulate(NETWORK, GRID, (missing, doubted)).counted)

    inside = pl.col("at").is_between(start, start + timedelta(hours=1), closed="left")
    assert frame.filter(inside & pl.col("element").str.starts_with("ROM01")).is_empty()
    assert frame.filter(pl.col("suspect")).select(inside.all(), pl.col("element").str.starts_with("ROM02").all()).row(0) == (True, True)
    assert frame.filter(inside & pl.col("element").str.starts_with("ROM02"))["suspect"].all()


def test_every_cell_writes_what_the_kpis_of_its_technology_need() -> None:
    needed = {
        "NR-SA": {"RRC.ConnEstabAtt", "DRB.EstabAtt", "DRB.RelActNbr", "MM.HoExeIntraReq"},
        "LTE": {"RRC.ConnEstabAtt", "ERAB.EstabInitAttNbr", "HO.ExeAtt"},
    }
    for technology, names in needed.items():
        assert names <= {m.name for m in MEASUREMENTS[technology]}  # type: ignore[index]
