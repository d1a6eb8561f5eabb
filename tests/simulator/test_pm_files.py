"""Measurement files are read back, by the parser real files go through, to exactly what was simulated."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from trunkline.data import pm_xml
from trunkline.data.counters import load_maps, map_counters
from trunkline.simulator.incidents import Incident
from trunkline.simulator.names import records
from trunkline.simulator.network import Network
from trunkline.simulator.pm_files import file_name, measurement_files
from trunkline.simulator.simulation import Simulation, simulate
from trunkline.simulator.traffic import Grid

START = datetime(2026, 11, 20, 9, tzinfo=UTC)
GRID = Grid.over(START, timedelta(hours=1))


def _simulation(vendor: str) -> Simulation:
    network = Network.make(11, sites=5, zones=("Europe/Rome",), vendors=(vendor,))
    doubted = Incident(incident_id="I1", kind="suspect_data", element="ROM01", start=START, end=START + timedelta(minutes=30), depth=1.0)
    out = Incident(incident_id="I2", kind="cell_outage", element="ROM04A-L800", start=START + timedelta(minutes=20), end=START + timedelta(hours=1), depth=1.0)
    return simulate(network, GRID, (doubted, out))


@pytest.mark.parametrize("vendor", ["ericsson", "3gpp", "huawei"])
def test_files_read_back_to_the_simulated_measurements_in_every_dialect(vendor: str) -> None:
    simulation = _simulation(vendor)
    names = {c.element: c.element for c in simulation.network.cells}
    maps = load_maps()

    read = [
        map_counters(pm_xml.read(file.content, source=file.name).counters, maps=maps, names=names).records
        for file in measurement_files(simulation.network, simulation.counted)
    ]

    # How many samples a mean is taken over is a counter of its own in one dialect, with no standard name.
    whole = pl.concat(read).drop_nulls("value").filter(~pl.col("name").str.ends_with("Samp"), pl.col("name") != "CARR.WBCQIDist")
    # A counter by bearer class is read as its total ("") and its parts; where there is no total the parts add up.
    total = pl.when((pl.col("dimension") == "").any()).then(pl.col("value").filter(pl.col("dimension") == "").sum()).otherwise(pl.col("value").sum())
    back = whole.group_by("element", "name", "at").agg(total.alias("value"), pl.col("suspect").any(), pl.col("period_s").first())
    made = records(simulation.network, simulation.counted)
    both = made.join(back, on=["element", "name", "at"], how="full", suffix="_back", coalesce=True)
    strangers = both.filter(pl.col("value").is_null() | pl.col("value_back").is_null())
    assert strangers["name"].unique().to_list() == []
    apart = (both["value"] - both["value_back"]).abs() / both["value"].abs().clip(1.0)
    assert apart.max() <= 1e-9  # type: ignore[operator]
    assert (both["suspect"] == both["suspect_back"]).all()
    assert both["suspect"].any()
    assert both["period_s_back"].unique().to_list() == [900]


def test_the_dialects_use_both_formats_and_both_ways_to_give_values() -> None:
    network = Network.make(11)
    texts = {f.site.node: gzip.decompress(f.content).decode() for f in measurement_files(network, simulate(network, Grid.over(START, GRID.step)).counted)}

    assert {site.vendor for site in network.sites if "measCollecFile" in texts[site.node]} == {"ericsson"}
    assert {site.vendor for site in network.sites if "measDataFile" in texts[site.node]} == {"3gpp"}
    assert any("<measResults>" in t for t in texts.values())
    assert any('<r p="1">' in t and "measDataFile" in t for t in texts.values())
    assert all("simulated" in t for t in texts.values())


def test_a_vendor_writes_distributions_as_many_values() -> None:
    simulation = _simulation("ericsson")
    file = next(iter(measurement_files(simulation.network, simulation.counted)))

    counters = pm_xml.read(file.content, source=file.name).counters

    assert counters["values"].drop_nulls().len() > 0
    quality = counters.filter(pl.col("counter").str.contains("Cqi"))["values"][0]
    assert quality.len() == 16
    assert 7 <= quality.arg_max() <= 13


def test_the_same_seed_writes_the_same_bytes() -> None:
    first, second = (list(measurement_files(s.network, s.counted)) for s in (_simulation("3gpp"), _simulation("3gpp")))

    assert first == second


def test_file_names_carry_local_times_and_the_offset_of_the_day() -> None:
    site = Network.make(11).sites[0]
    winter, summer = Grid.over(START, timedelta(hours=1)), Grid.over(datetime(2026, 7, 1, 21, 45, tzinfo=UTC), timedelta(minutes=15))

    assert file_name(winter, 1, site) == "A20261120.1015+0100-1030+0100_ROM01.xml.gz"
    assert file_name(winter, 1, site, repeat=2) == "A20261120.1015+0100-1030+0100_ROM01_-_2.xml.gz"
    assert file_name(summer, 0, site) == "A20260701.2345+0200-20260702.0000+0200_ROM01.xml.gz"
