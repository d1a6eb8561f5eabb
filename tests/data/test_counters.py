"""Counters to records: standard names and units, nothing dropped, nothing counted twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trunkline.core.frames import RECORDS, check_frame
from trunkline.data.counters import closest_names, load_maps, map_counters
from trunkline.data.distinguished_names import cell_name, full_name, object_class, technology
from trunkline.data.pm_xml import COUNTERS, read
from trunkline.data.subcounters import family, split

T0 = datetime(2026, 11, 20, 10, tzinfo=UTC)
MAPS = load_maps()


def counters(
    *rows: tuple[str, str, Any], vendor: str = "Ericsson AB", period: int = 900, dimension: str = "", suspect: bool = False, source: str = "f"
) -> pl.DataFrame:
    """One row per (class, counter, value or list of values)."""
    return pl.DataFrame(
        [
            (vendor, kind, f"SubNetwork=1,ManagedElement=n1,X=1,{kind}=7", name, dimension, T0, period, None if isinstance(v, list) else v, v if isinstance(v, list) else None, suspect, T0 + timedelta(minutes=25), source, "")
            for kind, name, v in rows
        ],
        schema=dict(COUNTERS),
        orient="row",
    )  # fmt: skip


def mapped(*rows: tuple[str, str, Any], **more: Any) -> list[tuple[str, str, float | None]]:
    records = map_counters(counters(*rows, **more), MAPS).records
    check_frame(records, RECORDS, name="records")
    return sorted(records.select("name", "dimension", "value").rows(), key=repr)


def test_one_name_in_two_classes_is_two_counters() -> None:
    rows = mapped(("EUtranCellFDD", "pmRrcConnEstabAtt", 5.0), ("NRCellDU", "pmCellDowntimeAuto", 60.0), ("NRCellCU", "pmCellDowntimeAuto", 60.0))

    assert rows == [("RRC.ConnEstabAtt", "", 5.0), ("RRU.CellUnavailableTime", "cause=fault", 60.0), ("pmCellDowntimeAuto", "", 60.0)]


def test_units_become_the_standards() -> None:
    assert mapped(("EUtranCellFDD", "L.Thrp.bits.DL.CAUser.SCell", 8e6), vendor="HUAWEI") == [("CA.ScellVolumeDL", "", 8.0)]
    assert mapped(("NRCellDU", "pmMacVolDl", 1e6)) == [("DRB.PdcpSduVolumeDL", "", 64.0)]
    assert mapped(("EnergyMeter", "pmConsumedEnergy", 83.0)) == [("PEE.Energy", "", 0.083)]


def test_a_counter_with_two_meanings_gives_two_records() -> None:
    assert mapped(("EUtranCellFDD", "pmPdcpVolDlDrb", 8000.0)) == [("DRB.IPVolDl", "part=all", 8000.0), ("DRB.PdcpSduVolumeDL", "", 8.0)]


def test_sums_of_samples_are_divided_by_their_number() -> None:
    rows = [("NRCellCU", "pmRrcConnLevelSumSa", 1800.0), ("NRCellCU", "pmRrcConnLevelSamp", 180.0)]

    assert ("RRC.ConnMean", "mode=sa", 10.0) in mapped(*rows)
    assert ("RRC.ConnMean", "mode=sa", None) in mapped(rows[0], ("NRCellCU", "pmRrcConnLevelSamp", 0.0))
    assert ("RRC.ConnMean", "mode=sa", None) in mapped(rows[0])
    assert map_counters(counters(*rows), MAPS).unmapped.is_empty()


def test_amounts_per_period_become_levels() -> None:
    (_, _, level), *rest = mapped(("NRCellDU", "pmMacRBSymAvailDl", 273 * 28000.0 * 300), period=300)

    assert level == pytest.approx(273.0)
    assert rest == []


def test_pairs_give_the_total_and_each_key() -> None:
    assert mapped(("NRCellCU", "pmDrbEstabAtt5qi", [2.0, 1.0, 4.0, 9.0, 30.0])) == [
        ("DRB.EstabAtt", "", 34.0),
        ("DRB.EstabAtt", "5qi=1", 4.0),
        ("DRB.EstabAtt", "5qi=9", 30.0),
    ]
    assert mapped(("NRCellCU", "pmDrbEstabAtt5qi", 0.0)) == [("DRB.EstabAtt", "", 0.0)]
    assert mapped(("NRCellCU", "pmDrbEstabAtt5qi", [1.0, 9.0, None])) == [("DRB.EstabAtt", "", None), ("DRB.EstabAtt", "5qi=9", None)]
    assert mapped(("NRCellCU", "pmDrbRelAbnormalGnbAct5qi", [1.0, 9.0, 3.0])) == [("DRB.RelActNbr", "cause=gnb", 3.0)]


def test_pairs_that_do_not_add_up_are_kept_as_they_are() -> None:
    assert mapped(("NRCellCU", "pmDrbEstabAtt5qi", [5.0, 1.0, 4.0])) == [("pmDrbEstabAtt5qi", f"bin={n}", v) for n, v in enumerate((5.0, 1.0, 4.0))]


def test_distributions_give_bins_or_a_weighted_mean() -> None:
    assert mapped(("NRCellDU", "pmRadioUeRepCqi256QamRank2Distr", [7.0, 0.0, 2.0])) == [
        ("CARR.WBCQIDist", f"rank=2,bin={n}", v) for n, v in enumerate((7.0, 0.0, 2.0))
    ]
    assert mapped(("NRCellDU", "pmRadioUeRepRankDistr", [10.0, 20.0, 0.0, 10.0])) == [("CARR.MeanRank", "", (10 + 40 + 40) / 40)]
    assert mapped(("NRCellDU", "pmRadioUeRepRankDistr", [0.0, 0.0, 0.0, 0.0])) == [("CARR.MeanRank", "", None)]
    assert mapped(("EnergyMeter", "pmPowerConsumption", [300.0, None, 320.0])) == [("PEE.AvgPower", "", 310.0)]


def test_unknown_counters_are_kept_and_listed_with_what_is_close() -> None:
    frame = pl.concat([counters(("NRCellCU", "pmRrcConnEstabSuc", 3.0), ("NRCellCU", "pmNew", [1.0, 2.0]), source=s) for s in ("f", "g")])

    records, unmapped = map_counters(frame, MAPS)

    assert sorted(records.select("name", "dimension", "value").unique().rows()) == [
        ("pmNew", "bin=0", 1.0),
        ("pmNew", "bin=1", 2.0),
        ("pmRrcConnEstabSuc", "", 3.0),
    ]
    assert unmapped.rows() == [("NRCellCU", "pmNew", 2, 2), ("NRCellCU", "pmRrcConnEstabSuc", 2, 2)]
    assert closest_names(unmapped, MAPS)["closest"].to_list() == [None, "pmRrcConnEstabSucc (ericsson-nr, NRCellCU)"]


def test_suspect_times_and_source_go_along() -> None:
    record = map_counters(counters(("NRCellCU", "pmRrcConnEstabAtt", 3.0), suspect=True), MAPS).records.row(0, named=True)

    assert (record["suspect"], record["at"], record["period_s"], record["known_at"], record["source"]) == (True, T0, 900, T0 + timedelta(minutes=25), "f")
    assert record["object_class"] == "NRCellCU"


def test_standard_names_are_read_from_any_vendor_and_any_class() -> None:
    assert mapped(("NRCellDU", "RRU.PrbUsedDl", 7.0), vendor="Company NN") == [("RRU.PrbUsedDl", "", 7.0)]
    assert mapped(("SomeCell", "RRC.ConnEstabAtt", 7.0), vendor="") == [("RRC.ConnEstabAtt", "", 7.0)]
    assert mapped(("NRCellCU", "DRB.EstabAtt", 7.0), vendor="x", dimension="plmn=226F04") == [("DRB.EstabAtt", "plmn=226F04", 7.0)]
    assert mapped(("EUtranCellTDD", "HO.InterEnbOutAtt", 7.0), vendor="x") == [("HO.ExeAtt", "kind=inter-enb", 7.0)]


def test_a_file_without_vendor_is_read_by_the_one_map_that_knows_the_counter() -> None:
    assert mapped(("NRCellCU", "pmRrcConnEstabAtt", 7.0), vendor="") == [("RRC.ConnEstabAtt", "", 7.0)]
    assert mapped(("NRCellCU", "pmRrcConnEstabAtt", 7.0), vendor="Another") == [("pmRrcConnEstabAtt", "", 7.0)]


def test_meters_carry_the_size_at_which_they_start_again_in_the_measurements_unit() -> None:
    records = map_counters(counters(("EnergyMeter", "pmConsumedEnergyAccumulated", 34846.0)), MAPS).records

    assert records.select("name", "value", "wrap").rows() == [("PEE.EnergyMeter", pytest.approx(34.846), pytest.approx(4294967.296))]


def test_the_two_halves_of_a_cell_get_one_name_and_the_inventorys_where_it_is_known() -> None:
    frame = counters(("NRCellCU", "pmRrcConnEstabAtt", 3.0), ("NRCellDU", "pmMacVolDl", 3.0), ("EnergyMeter", "pmConsumedEnergy", 1.0))
    cell, meter = "SubNetwork=1,ManagedElement=n1,X=1,NRCell=7", "SubNetwork=1,ManagedElement=n1,X=1,EnergyMeter=7"

    def names(given: dict[str, str]) -> list[str]:
        return map_counters(frame, MAPS, names=given).records["element"].to_list()

    assert names({}) == [cell, cell, meter]
    assert names({"7": "north-3"}) == ["north-3", "north-3", meter]
    assert names({cell: "north-3"}) == ["north-3", "north-3", meter]
    assert names({meter: "rectifier"}) == [cell, cell, "rectifier"]


def test_no_counters_give_no_records() -> None:
    records, unmapped = map_counters(counters(), MAPS)

    check_frame(records, RECORDS, name="records")
    assert (records.height, unmapped.height) == (0, 0)


@pytest.mark.parametrize(
    ("prefix", "element", "local", "full"),
    [
        ("SubNetwork=G3", "n7", "ManagedElement=n7,GNBDUFunction=1", "SubNetwork=G3,ManagedElement=n7,GNBDUFunction=1"),
        ("SubNetwork=G3", "ManagedElement=n7", "GNBDUFunction=1", "SubNetwork=G3,ManagedElement=n7,GNBDUFunction=1"),
        ("SubNetwork=G3", "SubNetwork=G3,ManagedElement=n7", "SubNetwork=G3,ManagedElement=n7,A=1", "SubNetwork=G3,ManagedElement=n7,A=1"),
        (
            "DC=a,SubNetwork=1",
            "SubNetwork=NN,MeContext=M,ManagedElement=R",
            "ManagedElement=R,E=1",
            "DC=a,SubNetwork=1,SubNetwork=NN,MeContext=M,ManagedElement=R,E=1",
        ),
        ("", "", "NRCellDU=1", "NRCellDU=1"),
        ("some prefix", "Dublin", "objLdn", "some prefix,ManagedElement=Dublin,objLdn"),
        ("SubNetwork=1", "n7", "", "SubNetwork=1,ManagedElement=n7"),
        ("SubNetwork=1", "n7", r"X=a\,b , Y=2", r"SubNetwork=1,ManagedElement=n7,X=a\,b,Y=2"),
    ],
)
def test_full_names_say_no_step_twice(prefix: str, element: str, local: str, full: str) -> None:
    assert full_name(prefix, element, local) == full


def test_names_tell_class_cell_and_technology() -> None:
    assert object_class("a,b") == ""
    assert object_class(r"ManagedElement=1,SctpAssociation=38472-10.0.0.1") == "SctpAssociation"
    assert cell_name("ManagedElement=1,ENodeBFunction=1,EUtranCellTDD=9") == "ManagedElement=1,EUtranCell=9"
    assert cell_name("ManagedElement=1,GNBCUCPFunction=1,NRCellCU=9,NRCellRelation=3") == "ManagedElement=1,GNBCUCPFunction=1,NRCellCU=9,NRCellRelation=3"
    assert [technology(c) for c in ("ENodeBFunction", "EUtranCellTDD", "GNBCUCPFunction", "anything")] == ["LTE", "LTE", "NR", "NR"]


@pytest.mark.parametrize(
    ("name", "counter", "dimension"),
    [
        ("DRB.PdcpSduVolumeDL_5QI9", "DRB.PdcpSduVolumeDL", "5qi=9"),
        ("DRB.EstabAtt.5QI.9", "DRB.EstabAtt", "5qi=9"),
        ("DRB.EstabAtt.226F04.01", "DRB.EstabAtt", "plmn=226F04,snssai=01"),
        ("DRB.EstabAtt.5QI.sum", "DRB.EstabAtt", ""),
        ("ERAB.RelActNbr.9", "ERAB.RelActNbr", "qci=9"),
        ("CARR.WBCQIDist.BinCQI3", "CARR.WBCQIDist", "bin=3"),
        ("VS.Something.01", "VS.Something.01", ""),
        ("M8001C199", "M8001C199", ""),
        ("RRC", "RRC", ""),
    ],
)
def test_suffixes_become_dimensions_only_where_the_standard_gives_them(name: str, counter: str, dimension: str) -> None:
    assert split(name) == (counter, dimension)
    assert family(dimension) == ",".join(step.partition("=")[0] for step in dimension.split(",") if step)


@pytest.mark.real
def test_no_value_of_the_real_file_is_dropped(real_data: Path) -> None:
    frame = read(real_data / "pm_xml/oran_ranpm/A20220418.1900-1915_seliitdus00487.xml").counters

    records, unmapped = map_counters(frame, MAPS)

    names = set(records["name"])
    by_name = frame.filter(pl.col("counter").is_in(unmapped["counter"].implode()))
    assert set(unmapped["counter"]) <= names
    assert unmapped["values"].sum() == by_name.join(unmapped, on=["object_class", "counter"]).height
    kept = records.filter(~pl.col("name").is_in(frame["counter"].unique().implode()))
    assert kept["name"].n_unique() > 50
    assert records["element"].str.contains("NRCell=32").any()
