"""A map to be filled in is a map already, and an entry that is filled in is used."""

from __future__ import annotations

from pathlib import Path

from trunkline.data import counters, pm_xml
from trunkline.data.counter_maps import check_counter_map
from trunkline.data.counters import load_maps, map_counters
from trunkline.run.counter_map import skeleton

FILE = """<measCollecFile><fileHeader vendorName="Acme Radio"><fileSender/><measCollec beginTime="2026-11-20T10:00:00Z"/></fileHeader>
<measData><managedElement localDn="n1"/><measInfo><granPeriod duration="PT900S" endTime="2026-11-20T10:15:00Z"/>
<measType p="1">acmeRrcTries</measType><measValue measObjLdn="GNBCUCPFunction=1,NRCellCU=1"><r p="1">7</r></measValue></measInfo></measData></measCollecFile>"""


def test_the_skeleton_passes_the_check_and_a_filled_in_line_maps_its_counter(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(FILE)
    mine = tmp_path / "maps"
    mine.mkdir()
    text = skeleton(tmp_path / "a.xml")
    (mine / "acme-nr.toml").write_text(text)
    assert check_counter_map(mine / "acme-nr.toml") == []

    filled = text.replace('# "acmeRrcTries" = { name = "", unit = "" }', '"acmeRrcTries" = { name = "RRC.ConnEstabAtt", unit = "count" }')
    (mine / "acme-nr.toml").write_text(filled)
    mapped = map_counters(pm_xml.read(tmp_path / "a.xml").counters, load_maps(mine))

    assert mapped.records["name"].to_list() == ["RRC.ConnEstabAtt"]
    assert mapped.unmapped.is_empty()
    assert counters.map_counters(pm_xml.read(tmp_path / "a.xml").counters, load_maps()).unmapped["counter"].to_list() == ["acmeRrcTries"]
