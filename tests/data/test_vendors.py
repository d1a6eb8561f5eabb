"""The counter maps that come with Trunkline, each found alone and checked by the public contract."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

from trunkline.core.errors import BadFile, BadInput, UnknownName
from trunkline.data.counter_maps import SHIPPED, CounterMap, check_counter_map, load_map, load_maps
from trunkline.data.counter_names import write_name, write_values
from trunkline.data.counters import map_counters
from trunkline.data.kpi_definitions import load_sets
from trunkline.data.measurements import measurements
from trunkline.data.pm_xml import COUNTERS, read

MAPS = sorted(SHIPPED.glob("*.toml"))


@pytest.mark.parametrize("path", MAPS, ids=lambda p: p.stem)
def test_a_map_keeps_the_contract(path: Path) -> None:
    assert check_counter_map(path) == []


@pytest.mark.parametrize("path", MAPS, ids=lambda p: p.stem)
def test_every_attestation_is_used_and_every_vendor_row_says_whether_it_is_attested(path: Path) -> None:
    text = path.read_text()
    loaded = load_map(path)

    used = {row.attested for row in loaded.counters} - {""}
    declared = set(re.findall(r"^([\w-]+) = \"", text.partition("[attestations]")[2].partition("[aliases]")[0], re.MULTILINE))

    assert used == declared
    if loaded.vendor == "huawei":
        assert used == set()


@pytest.mark.parametrize("path", MAPS, ids=lambda p: p.stem)
def test_every_measurement_of_a_map_can_be_written_and_read_back(path: Path) -> None:
    loaded = load_map(path)
    names = list(dict.fromkeys(row.name for row in loaded.counters if row.form not in {"bins", "weighted"} and row.name != "PEE.EnergyMeter"))
    wholes = dict.fromkeys(names, 800.0)
    # The volume of the user throughput is part of the volume.
    wholes |= {n: 500.0 for n in names if n.startswith(("DRB.UEThpVol", "DRB.IPVol"))}

    records = records_of(loaded, write_values(loaded, wholes, period_s=900), 900)

    for name in names:
        mine = records.filter(pl.col("name") == name)
        total = mine.filter(pl.col("dimension") == "") if (mine["dimension"] == "").any() else mine
        assert total["value"].sum() == pytest.approx(wholes[name], rel=1e-9), name


def records_of(loaded: CounterMap, written: dict[tuple[str, str], float | tuple[float, ...]], period_s: int) -> pl.DataFrame:
    rows = [
        {
            "vendor": next(iter(loaded.vendor_names), "any"), "object_class": kind, "element": f"ManagedElement=n,{kind}=1", "counter": counter, "dimension": "", "period_s": period_s,
            "value": None if isinstance(v, tuple) else v, "values": list(v) if isinstance(v, tuple) else None, "suspect": False, "source": "f", "meas_info_id": "",
        }
        for (kind, counter), v in written.items()
    ]  # fmt: skip
    frame = pl.DataFrame(rows, schema={k: v for k, v in COUNTERS.items() if k not in {"at", "known_at"}})
    at = pl.datetime(2026, 11, 20, 10, time_unit="us", time_zone="UTC")
    frame = frame.with_columns(at=at, known_at=at + pl.duration(minutes=25)).select(*COUNTERS)
    mapped = map_counters(frame, {loaded.name: loaded})
    assert mapped.unmapped.is_empty(), mapped.unmapped
    return mapped.records


@pytest.mark.parametrize("technology", ["nr", "lte"])
def test_each_kpi_has_a_formula_whose_measurements_the_standards_map_has(technology: str) -> None:
    known = {row.name for row in load_maps()[f"3gpp-{technology}"].counters}

    for kpi in load_sets()[technology].kpis.values():
        assert any(set(formula.names) <= known for formula in kpi.formulas), kpi.name


def test_every_measurement_is_used_by_a_map_or_explained_by_a_clause() -> None:
    used = {row.name for m in load_maps().values() for row in m.counters}

    assert {name for name in measurements() if name not in used} == set()
    assert all(m.clause and m.unit for m in measurements().values())


@pytest.mark.real
def test_what_is_attested_by_the_real_file_is_in_it_under_that_class(real_data: Path) -> None:
    counters = read(real_data / "pm_xml/oran_ranpm/A20220418.1900-1915_seliitdus00487.xml").counters
    seen = set(counters.select("object_class", "counter").unique().rows())

    attested = [row for m in load_maps().values() for row in m.counters if row.attested == "oran-ranpm"]

    assert len(attested) > 70
    for row in attested:
        assert (row.object_class, row.counter) in seen, row
        assert not row.samples or (row.object_class, row.samples) in seen
    not_attested = [row for m in load_maps().values() for row in m.counters if m.vendor == "ericsson" and not row.attested]
    assert all((row.object_class, row.counter) not in seen for row in not_attested)


GOOD = """format = 1
vendor = "acme"
technology = "NR"
vendor_names = ["Acme"]

[attestations]
manual = "a manual"

[aliases]

[counters.Cell]
attempts = { name = "RRC.ConnEstabAtt", unit = "count", attested = "manual" }
"""


def findings_of(tmp_path: Path, old: str, new: str, name: str = "acme-nr.toml") -> list[tuple[int, str]]:
    path = tmp_path / name
    path.write_text(GOOD.replace(old, new))
    return [(f.line, f.text) for f in check_counter_map(path)]


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("RRC.ConnEstabAtt", "RRC.ConnEstabAt", 12, "Closest: 'RRC.ConnEstabAtt'"),
        (', unit = "count"', "", 12, "has no unit"),
        ('unit = "count"', 'unit = "count", scael = 2', 12, "'scael', which means nothing. Closest: 'scale'"),
        ('unit = "count"', 'unit = "count", scale = 0', 12, "the scale 0"),
        ('"RRC.ConnEstabAtt", unit = "count"', '"DRB.PdcpSduVolumeDL", unit = "kbit"', 12, "needs the scale 0.001 from kbit to Mbit"),
        ('"RRC.ConnEstabAtt", unit = "count"', '"DRB.PdcpSduVolumeDL", unit = "s"', 12, "counts s, but 'DRB.PdcpSduVolumeDL' is in Mbit"),
        ('unit = "count"', 'unit = "count", kind = "counter"', 12, "kind 'counter'"),
        ('unit = "count"', 'unit = "count", form = "pairs"', 12, "needs a key"),
        ('unit = "count"', 'unit = "count", form = "weighted"', 12, "needs weights"),
        ('unit = "count"', 'unit = "count", dimension = "sa"', 12, "not written key=value"),
        ('attested = "manual"', 'attested = "hearsay"', 12, "'hearsay', which [attestations] does not explain"),
        ("format = 1", "format = 2", 1, "format = 2"),
        ('technology = "NR"', 'technology = "6G"', 1, "neither 'NR' nor 'LTE'"),
        ("[aliases]", '[aliases]\nOther = "Nothing"', 1, "leads to 'Nothing'"),
        ("attempts = {", 'again = { name = "RRC.ConnEstabAtt", unit = "count" }\nattempts = {', 13, "'attempts' and 'again' in 'Cell' are both"),
        ("[counters.Cell]", "[counters.Cell", 11, "cannot be read"),
    ],
)
def test_the_check_names_what_is_wrong_and_where(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    found = findings_of(tmp_path, old, new)

    assert any(says in text and at == line for at, text in found), found
    with pytest.raises(BadFile):
        load_map(tmp_path / "acme-nr.toml")


def test_a_map_of_ones_own_is_found_beside_the_shipped_ones(tmp_path: Path) -> None:
    assert findings_of(tmp_path, "", "") == []

    maps = load_maps(tmp_path)

    assert maps["acme-nr"].find("Cell", "attempts")[0].name == "RRC.ConnEstabAtt"
    assert {path.stem for path in MAPS} < set(maps)


def test_a_map_whose_name_is_not_its_vendor_and_technology_is_found_out(tmp_path: Path) -> None:
    assert "should be called 'acme-nr.toml'" in findings_of(tmp_path, "", "", name="mine.toml")[0][1]


def test_two_maps_of_one_name_are_an_error_that_names_both(tmp_path: Path) -> None:
    (tmp_path / "ericsson-nr.toml").write_text(GOOD.replace("acme", "ericsson"))

    with pytest.raises(BadInput, match="Two counter maps are called 'ericsson-nr'") as both:
        load_maps(tmp_path)

    assert str(SHIPPED / "ericsson-nr.toml") in both.value.where
    assert str(tmp_path / "ericsson-nr.toml") in both.value.where


def test_a_folder_that_is_not_there_is_said() -> None:
    with pytest.raises(BadInput, match="no folder"):
        load_maps("nowhere")


def test_writers_are_told_the_class_the_counter_and_the_scale() -> None:
    maps = load_maps()

    assert tuple(write_name(maps["ericsson-nr"], "RRC.ConnEstabAtt")) == ("NRCellCU", "pmRrcConnEstabAtt", 1.0)
    assert tuple(write_name(maps["huawei-lte"], "DRB.PdcpSduVolumeDL")) == ("EUtranCellFDD", "L.Thrp.bits.DL", 1e-6)
    with pytest.raises(UnknownName, match=r"Did you mean 'RRC\.ConnEstabAtt'"):
        write_name(maps["ericsson-nr"], "RRC.ConnEstabAt")


def test_a_measurement_that_is_more_than_the_whole_it_is_part_of_cannot_be_written() -> None:
    with pytest.raises(BadInput, match="more than the whole"):
        write_values(load_maps()["huawei-lte"], {"DRB.PdcpSduVolumeDL": 1.0, "DRB.IPVolDl": 2000.0}, period_s=900)
