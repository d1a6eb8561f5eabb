"""Every kind of bad series file we have met, and what must become of it: a message that helps, or an exact count."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.core.errors import BadFile, BadInput
from trunkline.data import column_map, series, table

NOW = datetime(2026, 11, 20, tzinfo=UTC)
HEAD = "time,cell,prb\n"
GOOD = HEAD + "".join(f"2026-03-02 {h:02}:00,A,{h}.5\n" for h in range(10))


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of bad file: its bytes, and what is expected: parts of the error, or good lines and quarantined ones."""

    name: str
    raw: bytes | str | Callable[[Path], Path]
    error: tuple[str, ...] = field(default=(), kw_only=True)  # parts of what, where, allowed, next
    good: int = field(default=-1, kw_only=True)
    bad: dict[int, str] = field(default_factory=dict, kw_only=True)  # line: part of the reason
    notes: tuple[str, ...] = field(default=(), kw_only=True)
    zone: str | None = field(default="UTC", kw_only=True)
    file: str = field(default="kpi.csv", kw_only=True)
    values: dict[int, float | None] = field(default_factory=dict, kw_only=True)  # by record


def _folder(tmp: Path) -> Path:
    (tmp / "folder").mkdir()
    return tmp / "folder"


def _unreadable(tmp: Path) -> Path:
    path = tmp / "secret.csv"
    path.write_text(GOOD)
    path.chmod(0)
    return path


def _workbook() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as book:
        book.writestr("[Content_Types].xml", "<Types/>")
        book.writestr("xl/workbook.xml", "<workbook/>")
    return out.getvalue()


def _archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("kpi.csv", GOOD)
    return out.getvalue()


def _parquet_under_another_name(tmp: Path) -> Path:
    path = tmp / "kpi.txt"
    pl.DataFrame({"time": [datetime(2026, 3, 2, h, tzinfo=UTC) for h in range(4)], "volume": [1.0, 2.0, None, 4.0]}).write_parquet(path)
    return path


def _lines(*lines: str, head: str = HEAD, hours: int = 10) -> str:
    return head + "".join(f"2026-03-02 {h:02}:00,A,{h}.5\n" for h in range(hours)) + "".join(f"{line}\n" for line in lines)


def _autumn(minutes: tuple[str, ...]) -> str:
    before = "".join(f"2026-10-25 0{h}:{m:02},A,1\n" for h in (0, 1) for m in (0, 30))
    after = "".join(f"2026-10-25 0{h}:{m:02},A,1\n" for h in (3, 4) for m in (0, 30))
    return HEAD + before + "".join(f"2026-10-25 {m},A,2\n" for m in minutes) + after


KINDS = [
    Kind("no such file", lambda tmp: tmp / "gone.csv", error=("There is no such file", "gone.csv", "Check the name")),
    Kind("a folder", _folder, error=("is a folder", "folder", "one file", "folder/*")),
    Kind("not readable", _unreadable, error=("may not be read", "secret.csv", "a readable file", "chmod u+r")),
    Kind("empty", b"", error=("file is empty", "kpi.csv", "a header and one line", "transfer failed")),
    Kind("only blank lines", "\n\n  \n", error=("only blank lines", "kpi.csv", "a header and one line")),
    Kind("only comments", "# export\n# of today\n", error=("only comments", "kpi.csv", "a header and lines")),
    Kind("only a header", HEAD, error=("header and nothing below it", "kpi.csv", "at least one line of data", "filtered empty")),
    Kind("binary", bytes(range(256)) * 40, error=("is binary", "kpi.csv", "CSV, TSV or Parquet", "UTF-8")),
    Kind("NUL bytes on a line", _lines("2026-03-02 10:00,A,\x00\x00", "2026-03-02 11:00,A,7"), good=11, bad={12: "NUL"}),
    Kind("bytes that are no UTF-8 on a line of a UTF-8 file", _lines("2026-03-02 10:00,Köln,1", "2026-03-02 10:00,Zürich,1").encode() + b"2026-03-02 10:00,K\xf6,1\n", good=12, bad={14: "no UTF-8"}),
    Kind("half a gzip", gzip.compress(GOOD.encode() * 200)[:150], error=("gzip ends too early", "kpi.csv", "a whole gzip", "Transfer the file again")),
    Kind("a damaged gzip", gzip.compress(GOOD.encode())[:10] + b"\xff" * 40, error=("gzip is damaged", "kpi.csv", "a whole gzip", "Transfer")),
    Kind("an Excel workbook called csv", _workbook(), error=("Excel workbook (.xlsx)", "kpi.csv", "CSV, TSV or Parquet", "as CSV")),
    Kind("an old Excel workbook called csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(200), error=("old Excel workbook", "kpi.csv", "CSV", "as CSV")),
    Kind("a ZIP called csv", _archive(), error=("ZIP archive", "kpi.csv", "CSV, TSV or Parquet", "Unpack it")),
    Kind("a PDF called csv", b"%PDF-1.7 ...", error=("is PDF", "kpi.csv", "CSV", "convert")),
    Kind("a login page saved as csv", "<!DOCTYPE html><html><head><title>Sign in</title></head></html>", error=("web page titled 'Sign in'", "kpi.csv", "CSV", "Log in")),
    Kind("Parquet under another ending", _parquet_under_another_name, good=4, values={0: 1.0, 2: None}),
    Kind("a damaged Parquet", b"PAR1" + bytes(100), error=("Parquet file cannot be read", "kpi.csv", "whole Parquet", "Transfer")),
    Kind("gzip without the ending", gzip.compress(GOOD.encode()), good=10),
    Kind("an unknown separator", GOOD.replace(",", "^"), error=("No separator splits", "kpi.csv", "';', tab, ',' or '|'", "correct `separator`")),
    Kind("decimal comma between commas", "time,prb\n" + "".join(f"2026-03-02 {h:02}:00,{h},5\n" for h in range(10)), error=("header names 2 columns, the lines below have 3", "line 1", "as many names as cells", "decimal comma")),
    Kind("both decimal signs", "time;prb\n" + "".join(f"2026-03-02 {h:02}:00;{h},25\n" for h in range(8)) + "2026-03-02 08:00;7.25\n2026-03-02 09:00;1.234,5\n", good=9, bad={10: "'prb' is no number: '7.25'"}, values={8: 1234.5}),
    Kind("thousands and percent signs", 'time,vol,prb\n2026-03-02 00:00,"1,234.5",12.5 %\n2026-03-02 01:00,"12,345.5",13 %\n', good=2, values={2: 1234.5, 3: 12345.5, 0: 12.5}),
    Kind("no time column", "cell,prb,volume\nA,1.5,2\nB,2.5,3\n", error=("No column holds times", "'prb' (1.5)", "kpi.csv", "epoch seconds", "Export again")),
    Kind("times of day without a date", "Time,Cell,PRB\n10:45,A,1.5\n11:00,A,2.5\n", error=("'Time' (10:45) have no date", "line 2", "a column with the date", "cannot be replayed")),
    Kind("no number to watch", "time,cell,state\n2026-03-02 00:00,A,up\n2026-03-02 01:00,A,down\n", error=("No column holds numbers", "kpi.csv", "at least one column of numbers", "decimal comma")),
    Kind("only a label and an identifier", "time,cell,pci,label\n2026-03-02 00:00,A,17,0\n2026-03-02 01:00,A,17,1\n", error=("No column holds numbers", "kpi.csv", "numbers", "cheating")),
    Kind("times without a zone", GOOD, zone=None, error=("name no zone: '2026-03-02 00:00'", "line 2", "IANA name", "Add --zone UTC")),
    Kind("the hour that spring skips", HEAD + "".join(f"2026-03-29 {h:02}:00,A,1\n" for h in range(6)), zone="Europe/Rome", good=5, bad={4: "did not exist in Europe/Rome"}),
    Kind("the hour that autumn repeats, both passes", _autumn(("02:00", "02:30", "02:00", "02:30")), zone="Europe/Rome", good=12),
    Kind("the hour that autumn repeats, one pass", _autumn(("02:00", "02:30")), zone="Europe/Rome", good=8, bad={6: "happened twice", 7: "happened twice"}),
    Kind("day or month first, not to be told", "time,prb\n" + "".join(f"03/02/2026 {h:02}:00,1\n" for h in range(5)), good=5, notes=("no day is above 12 and both orders fit",)),
    Kind("a header cell twice", "time,prb,prb\n2026-03-02 00:00,1,2\n2026-03-02 01:00,3,4\n", good=2, notes=("names 'prb' more than once",)),
    Kind("no header", "2026-03-02 00:00,1.5\n2026-03-02 01:00,2.5\n2026-03-02 02:00,2.5\n", good=3, notes=("no header",)),
    Kind("ragged lines", _lines("2026-03-02 10:00,A", "2026-03-02 10:00,A,1,2", "2026-03-02 11:00,A,7,,"), good=11, bad={12: "2 cells instead of 3", 13: "4 cells instead of 3"}),
    Kind("a line of 10 kB", _lines("x" * 10_000, "2026-03-02 10:00,A," + "9" * 10_000), good=10, bad={12: "1 cells", 13: "is no number"}),
    Kind("a quote that never closes", _lines('2026-03-02 10:00,"A,7', "2026-03-02 11:00,A,7"), good=11, bad={12: "never closes"}),
    Kind("a quoted cell over two lines", _lines('2026-03-02 10:00,"A\nB",7', "2026-03-02 11:00,A,7"), good=12),
    Kind("UTF-8 with a mark", b"\xef\xbb\xbf" + GOOD.encode(), good=10),
    Kind("UTF-16 with a mark", GOOD.encode("utf-16"), good=10),
    Kind("UTF-16 without a mark", GOOD.encode("utf-16-le"), good=10),
    Kind("Latin-1", GOOD.replace("A", "Köln").encode("latin-1"), good=10),
    Kind("Mac line ends", GOOD.replace("\n", "\r"), good=10),
    Kind("a totals line", _lines("Total,,45.0", "Generated by the portal"), good=10, bad={12: "a totals line", 13: "1 cells instead of 3"}),
    Kind("title lines, a units line and two empty columns", "Report of PRB use;;;\n;;;\nTime;Cell;PRB;\n;;%;\n2026-03-02 00:00;A;1;\n2026-03-02 01:00;A;2;\n", good=2),
    Kind("the header in the middle", _lines("time,cell,prb", "2026-03-02 10:00,A,1"), good=11, bad={12: "the header again"}),
    Kind("epoch milliseconds", "timestamp,prb\n" + "".join(f"{1772409600000 + 900000 * k},{k}.5\n" for k in range(5)), zone=None, good=5),
    Kind("numbers that are no epoch", "timestamp,prb\n30685,1.5\n30785,2.5\n", error=("No column holds times", "'timestamp' (30685)", "epoch seconds", "Export")),
    Kind("24:00", "time,cell,prb\n2026-03-02 22:00,A,1\n2026-03-02 23:00,A,2\n2026-03-02 24:00,A,3\n2026-03-03 01:00,A,3\n", good=4),
    Kind("one time in the future", _lines("2031-03-02 10:00,A,1"), good=10, bad={12: "is in the future"}),
    Kind("all times in the future", GOOD.replace("2026-", "2031-"), error=("10 of 10 lines", "in the future", "line 2", "--map")),
    Kind("a time before 1990", _lines("1970-01-01 00:00,A,1"), good=10, bad={12: "is before 1990"}),
    Kind("a date that does not exist", _lines("2026-02-30 10:00,A,1"), good=10, bad={12: "is no time written as"}),
    Kind("a period that ends before it starts", "start,end,cell,prb\n2026-03-02 00:00,2026-03-02 00:15,A,1\n2026-03-02 00:15,2026-03-02 00:30,A,1\n2026-03-02 00:30,2026-03-02 00:15,A,1\n", good=2, bad={4: "period is not positive: it ends -900s after"}),
    Kind("mixed offsets", "time,prb\n2026-03-02T00:00:00+01:00,1\n2026-03-02T01:00:00+01:00,2\n2026-03-02T03:00:00+02:00,3\n2026-03-02T02:00:00Z,4\n", zone=None, good=4),
    Kind("one time without an offset among others with one", "time,prb\n" + "".join(f"2026-03-02T0{h}:00:00+01:00,1\n" for h in range(4)) + "2026-03-02T04:00:00,1\n", zone=None, good=4, bad={6: "has no offset"}),
    Kind("what spreadsheets write for nothing", "time,prb\n" + "".join(f"2026-03-02 0{h}:00,{w}\n" for h, w in enumerate(("N/A", "-", "null", "#DIV/0!", "", "1.5", "2.5"))), good=7, values={0: None, 3: None, 4: None, 5: 1.5}),
    Kind("words between the numbers", _lines("2026-03-02 10:00,A,abc", "2026-03-02 11:00,A,inf"), good=10, bad={12: "'prb' is no number: 'abc'", 13: "'prb' is no number: 'inf'"}),
    Kind("a line without an element", _lines("2026-03-02 10:00,,1"), good=10, bad={12: "no element is named"}),
    Kind("one line only", HEAD + "2026-03-02 10:00,A,1\n", error=("length of a period is not known", "kpi.csv", "'15m'", "--every 15m")),
    Kind("a missing column that tells elements apart", HEAD + "".join(f"2026-03-02 {h:02}:00,A,{h + k}\n" for h in range(10) for k in (0, 5)), error=("10 of 10 values occur several times", "line 3", "one value per element", "further column")),
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.name)
def test_a_bad_file_is_explained_or_counted_to_the_line(kind: Kind, tmp_path: Path) -> None:
    path = _written(kind, tmp_path)
    if kind.error:
        with _as_a_plain_user(kind.name == "not readable"), pytest.raises(BadInput) as caught:
            series.read(path, assume_zone=kind.zone, now=NOW)
        text = str(caught.value)
        assert [part for part in kind.error if part not in text] == [], text
        assert "Where: " in text
        assert "Next: " in text
        return

    found = series.read(path, assume_zone=kind.zone, now=NOW)

    assert found.good == kind.good
    assert {q.line: q.reason for q in found.quarantine}.keys() == kind.bad.keys(), found.quarantine
    assert [q for q in found.quarantine if kind.bad[q.line] not in q.reason] == []
    assert found.lines == len(kind.bad) + kind.good
    assert [n for n in kind.notes if n not in " ".join(found.notes)] == [], found.notes
    assert all(len(q.excerpt) <= 101 for q in found.quarantine)
    for place, value in kind.values.items():
        assert found.records["value"][place] == value


@contextmanager
def _as_a_plain_user(wanted: bool) -> Iterator[None]:
    """Root may read everything, so root becomes nobody for a moment."""
    root = wanted and os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def _written(kind: Kind, tmp_path: Path) -> Path:
    if callable(kind.raw):
        return kind.raw(tmp_path)
    path = tmp_path / kind.file
    path.write_bytes(kind.raw.encode() if isinstance(kind.raw, str) else kind.raw)
    return path


def test_there_are_at_least_twenty_kinds_and_each_has_its_own_name() -> None:
    assert len({k.name for k in KINDS}) == len(KINDS) >= 20


CELLS = st.one_of(
    st.sampled_from(["2026-03-02 00:00", "2026-03-02 24:00", "01/02/2026", "10:45", "1772409600", "N/A", "", "1,5", "1.234,5", '"', '"a', "A", "total", "\x00", "#", "é", "1e400", "-", "2026-10-25 02:30"]),
    st.text(max_size=8),
    st.integers(-(10**20), 10**20).map(str),
)  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(
    rows=st.lists(st.lists(CELLS, min_size=1, max_size=5), max_size=8),
    separator=st.sampled_from([",", ";", "\t", "|"]),
    header=st.sampled_from(
        [["time", "cell", "prb"], ["Zeit", "Wert"], ["time", "kpi", "value"], ["time", "C1", "C2", "C3"], ["start", "end", "cell", "x"], []]
    ),
    encoding=st.sampled_from(["utf-8", "utf-16", "latin-1"]),
)
def test_whatever_the_table_holds_it_is_read_or_refused(
    rows: list[list[str]], separator: str, header: list[str], encoding: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    lines = [header, *rows] if header else rows
    path.write_bytes("\n".join(separator.join(r) for r in lines).encode(encoding, errors="replace"))

    try:
        found = series.read(path, assume_zone="Europe/Rome", now=NOW)
    except BadInput:
        return

    assert isinstance(found, series.SeriesFile)
    assert found.good * 2 >= found.lines
    assert found.records.filter(pl.col("value").is_infinite() | pl.col("value").is_nan()).is_empty()
    assert (found.records["known_at"] >= found.records["at"]).all()


@settings(max_examples=250, deadline=None)
@given(
    raw=st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=60).map(lambda b: GOOD.encode() + b),
        st.binary(max_size=60).map(lambda b: gzip.compress(GOOD.encode())[:60] + b),
    )
)
def test_whatever_the_bytes_are_they_are_read_or_refused(raw: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.bin"
    path.write_bytes(raw)

    try:
        found: object = series.read(path, assume_zone="UTC", now=NOW)
    except BadInput as refused:
        found = refused

    assert isinstance(found, series.SeriesFile | BadInput)


@settings(max_examples=100, deadline=None)
@given(
    place=st.integers(0, 9),
    junk=st.text(st.characters(exclude_characters='\r\n"#', codec="utf-8"), min_size=1, max_size=20).filter(lambda t: t.strip(" ,\u00a0\t").strip()),
)
def test_one_bad_line_never_spoils_the_others(place: int, junk: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "one_bad.csv"
    lines = GOOD.splitlines()
    path.write_text("\n".join([*lines[: place + 1], f"{junk},A,x", *lines[place + 1 :]]), encoding="utf-8", newline="")

    found = series.read(path, assume_zone="UTC", now=NOW)

    assert found.good == 10
    assert [q.line for q in found.quarantine] == [place + 2]


def test_a_file_that_lacks_the_maps_column_is_refused_with_the_closest_name(tmp_path: Path) -> None:
    (tmp_path / "january.csv").write_text(GOOD)
    (tmp_path / "february.csv").write_text(GOOD.replace("cell", "cells"))
    columns = series.guess(tmp_path / "january.csv")

    with pytest.raises(BadFile, match=r"no column 'cell' (?s:.*)'cell' may be 'cells' here"):
        series.read(tmp_path / "february.csv", columns, assume_zone="UTC")


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ('every = "-15m"', "`every` is '-15m'"),
        ('every = "0m"', "a second or more"),
        ('zone = "Europe/Roma"', "no time zone 'Europe/Roma'"),
        ('decimal = ";"', "`decimal` is ';'"),
        ('separator = ";;"', "one sign"),
        ('layout = "tall"', "`layout` is 'tall'"),
        ('layout = "long"', "needs the columns"),
        ('tiem = ["x"]', "Did you mean 'time'?"),
        ("time = 3", "`time` is 3"),
        ("format = 9", "column map has format 9"),
        ("= 3", "no TOML"),
    ],
)  # fmt: skip
def test_a_wrong_line_of_a_column_map_is_named(line: str, part: str, tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    rest = [f"{key} = {text}" for key, text in (("time", '["time"]'), ("time_format", '"%Y"')) if not line.startswith(f"{key} ")]
    path.write_text("\n".join([line, *rest, '[[values]]\ncolumn = "prb"']))

    with pytest.raises(BadInput) as caught:
        column_map.load(path)

    assert part in str(caught.value)


def test_a_table_counts_every_line_once(tmp_path: Path) -> None:
    path = tmp_path / "kpi.csv"
    path.write_text(_lines("x", "", "# a comment", "2026-03-02 10:00,A,1,1"))

    found = table.load(path)

    assert (found.cells.height, found.asked, [q.line for q in found.quarantine]) == (10, 12, [12, 15])
