"""What a file is, from its content."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.core.errors import BadFile
from trunkline.data import sniff

SAMPLES = [
    ("pm_xml", '<?xml version="1.0"?><measCollecFile xmlns="http://www.3gpp.org/ftp/specs/archive/32_series/32.435#measCollec"/>'),
    ("pm_xml", '<?xml version="1.0"?>\n<es:measDataFile xmlns:es="urn:x"></es:measDataFile>'),
    ("series", "timestamp,value\n2026-03-02 00:00,1\n2026-03-02 00:05,2\n"),
    ("series", "Time;CELL1;CELL2\n02.03.2026 00:00;1,5;2\n02.03.2026 00:15;1,5;2\n"),
    ("series", "time,cell,kpi,value\n2026-03-02 00:00,A,prb,1\n2026-03-02 00:15,A,prb,2\n"),
    ("series", "start,end,cell,volume\n2026-03-02 00:00,2026-03-02 00:15,A,1\n2026-03-02 00:15,2026-03-02 00:30,A,2\n"),
    ("series", "Date;Hour;Cell;PRB\n2026-03-02;0;A;1,5\n2026-03-02;1;A;2,5\n"),
    ("alarms", "Alarm ID;Severity;Cell;Raised;Cleared;Text\n17;MAJOR;A;2026-03-02 10:00;2026-03-02 11:30;VSWR\n"),
    ("alarms", "eventTime,managedObject,perceivedSeverity,probableCause\n2026-03-02T10:00:00Z,A,2,heat\n2026-03-02T10:30:00Z,A,5,heat\n"),
    ("alarms", "alarm_id,device_id,start_timestamp,end_timestamp\n11,28,30685,30835\n1,28,30685,32414\n"),
    ("states", "time,cell,administrative state\n2026-03-02T01:00:00Z,A,UNLOCKED\n2026-03-02T02:00:00Z,A,LOCKED\n"),
    ("states", "cell,state,start,end\nA,locked,2026-03-02 02:00,2026-03-02 03:00\nA,energy_saving,2026-03-02 04:00,\n"),
    ("works", "work id,elements,start,end,announced\nW1,A|B,2026-03-05 00:00,2026-03-05 04:00,2026-03-01 12:00\n"),
    ("works", "cell,planned start,planned end\nA,2026-03-05 00:00,2026-03-05 04:00\n"),
    ("elements", "cell,site,zone,region,technology,vendor\nA1,A,Europe/Rome,North,LTE,Nokia\n"),
    ("relations", "element,relation,other\nA,neighbours,B\nB,neighbours,A\n"),
    ("relations", "cell;neighbour\nA;B\nB;A\n"),
    ("unknown", "Time,Cell,PRB\n10:45,A,1.5\n11:00,A,2.5\n"),
    ("unknown", "Redistribution and use in source and binary forms,\nwith or without modification, are permitted\nprovided that\n"),
    ("unknown", '{"some": "json"}'),
    ("unknown", "<!doctype html><html></html>"),
    ("unknown", ""),
]


@pytest.mark.parametrize(("kind", "text"), SAMPLES)
@pytest.mark.parametrize("name", ["file.csv", "file.xml", "file"])
def test_the_content_says_what_a_file_is_and_its_name_does_not(kind: str, text: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    (tmp_path / "zipped").write_bytes(gzip.compress(text.encode()))

    found = sniff.look(tmp_path / name)

    assert (found.kind, sniff.kind(tmp_path / "zipped")) == (kind, kind), found.why
    assert found.why
    assert (found.error is None) == (kind != "unknown" or "fit no kind" in found.why)


def test_a_folder_is_its_files_each_once_and_in_order(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name, text in (("b.csv", SAMPLES[2][1]), ("sub/a.csv", SAMPLES[2][1]), (".hidden", "x"), ("notes", "")):
        (tmp_path / name).write_text(text)

    found = sniff.files([tmp_path, tmp_path / "b.csv"])

    assert [(f.path.name, f.kind) for f in found] == [("b.csv", "series"), ("notes", "unknown"), ("a.csv", "series")]


def test_a_path_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="no such file or folder"):
        sniff.files([tmp_path / "gone"])


def test_a_large_file_is_judged_from_its_beginning(tmp_path: Path) -> None:
    rows = "".join(f"2026-03-{1 + k // 1440 % 28:02} {k // 60 % 24:02}:{k % 60:02},C{k},{k}\n" for k in range(30_000))
    (tmp_path / "big").write_text(f"time,cell,prb\n{rows}")

    assert sniff.kind(tmp_path / "big") == "series"


@settings(max_examples=150, deadline=None)
@given(raw=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace"))))
def test_no_content_makes_it_fall(raw: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(raw)

    assert sniff.look(path).why


@pytest.mark.real
def test_real_sets_are_told_apart(real_data: Path) -> None:
    def kinds(folder: str, pattern: str) -> set[str]:
        return {sniff.kind(p) for p in (real_data / folder).rglob(pattern) if p.is_file()}

    assert kinds("nab/data", "*.csv") == {"series"}
    assert kinds("lte_traffic_congestion", "*.csv") == {"series"}
    assert kinds("alarm_rca_pcic", "*.csv") == {"alarms"}
    assert kinds("telstra", "*.csv") == {"unknown"}
    assert kinds("churn_ibm", "*.csv") == {"unknown"}
    assert kinds("lte_prb_unusual", "*.csv") == {"unknown"}
