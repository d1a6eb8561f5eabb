"""Counters named many at a time are the records that the maps make of them one by one."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

pytest.importorskip("numba")

from tests.data.test_pm_kernel import PLAIN

from trunkline.data.counter_codes import CounterCodes
from trunkline.data.counter_maps import load_maps
from trunkline.data.counters import map_counters
from trunkline.data.pm_files import Together
from trunkline.data.pm_scan import Results
from trunkline.data.pm_xml import COUNTERS
from trunkline.run import measured as reading
from trunkline.run.measured import Measured
from trunkline.store.categories import spelled


def compare(contents: list[bytes]) -> None:
    maps = load_maps()
    together = Together()
    for number, content in enumerate(contents):
        together.add(content, source=f"file {number}")
    (results,) = together.parts()
    assert isinstance(results, Results)

    wanted = map_counters(results.frame(COUNTERS), maps)
    found = CounterCodes(list(maps.values())).records(results)

    columns = wanted.records.columns
    others = map_counters(found.others, maps)
    together_again = pl.concat([spelled(found.records).select(columns), others.records.select(columns)])
    assert_frame_equal(together_again.sort(columns), wanted.records.sort(columns))
    assert_frame_equal(found.unmapped, wanted.unmapped.drop("files"))
    assert sum(found.rows.values()) == found.records.height


@pytest.mark.real
def test_the_real_files_become_the_same_records(real_data: Path) -> None:
    folder = real_data / "pm_xml/oran_ranpm"
    content = (folder / "A20220418.1900-1915_seliitdus00487.xml").read_bytes()

    compare([content, content.replace(b"seliitdus00487", b"other")])


def test_counters_of_every_map_become_the_same_records() -> None:
    """Each vendor's counters, as one number and as many, with sub-counters and without."""
    dice = random.Random(3)
    contents = []
    for counter_map in load_maps().values():
        infos = []
        classes = sorted({row.object_class for row in counter_map.counters})
        for number, kind in enumerate(classes):
            names = [row.counter for row in counter_map.counters if row.object_class == kind] + ["neverHeardOf", "RRC.ConnEstabAtt.01"]
            types = "".join(f'<measType p="{p}">{name}</measType>' for p, name in enumerate(dict.fromkeys(names), start=1))
            values = ""
            for thing in range(3):
                texts = [dice.choice(["0", "7", "12.5", "", "NIL", "1,2,3", "2,1,10,2,20", ",,", "0,0,0,0,1", "1,5,"]) for _ in dict.fromkeys(names)]
                results = "".join(f'<r p="{p}">{text}</r>' for p, text in enumerate(texts, start=1))
                values += f'<measValue measObjLdn="{kind}={thing}">{results}</measValue>'
            infos.append(f'<measInfo measInfoId="{number}"><granPeriod duration="PT900S" endTime="2026-11-20T10:15:00Z"/>{types}{values}</measInfo>')
        begin, _, rest = PLAIN.partition("<measInfo")
        end = rest[rest.index("</measData>") :]
        vendor = counter_map.vendor_names[0] if counter_map.vendor_names else ""
        contents.append((begin + "".join(infos) + end).replace("Acme", vendor).encode())

    compare(contents)


def test_no_results_are_no_records() -> None:
    content = PLAIN.encode()
    first, last = content.index(b"<measInfo"), content.rindex(b"</measInfo>") + len(b"</measInfo>")

    compare([content[:first] + content[last:]])


def test_results_named_in_portions_are_the_records_of_all_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a sum stands in another measInfo than how often it was sampled."""
    head, _, rest = PLAIN.partition("<measInfo")
    end = rest[rest.index("</measData>") :]
    period = '<granPeriod duration="PT900S" endTime="2026-11-20T10:15:00Z"/>'
    infos = ""
    for counter, value in (("pmActiveUeDlSum", 60), ("pmActiveUeDlSamp", 30)):
        values = "".join(f'<measValue measObjLdn="NRCellDU={cell}"><r p="1">{value * (1 + cell)}</r></measValue>' for cell in range(9))
        infos += f'<measInfo measInfoId="{counter}">{period}<measType p="1">{counter}</measType>{values}</measInfo>'
    path = tmp_path / "a.xml"
    path.write_text((head + infos + end).replace("Acme", "Ericsson AB"))

    def named() -> pl.DataFrame:
        measured = Measured(load_maps(), timedelta(minutes=10), None)
        measured.add(path, "a.xml", None, is_kept=True)
        found = pl.concat([spelled(one) for one in measured.take()], how="diagonal_relaxed")
        assert measured.rows_of == {str(path): found.height}
        return found.sort(found.columns)

    at_once = named()
    monkeypatch.setattr(reading, "_MOST_AT_ONCE", 3)

    assert_frame_equal(named(), at_once)
    assert at_once.filter(pl.col("value") == 2.0).height == 9
