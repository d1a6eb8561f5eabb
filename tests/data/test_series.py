"""Series files as operators send them: what is guessed, what is read, what is said about it."""

from __future__ import annotations

import gzip
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.core.errors import BadFile, BadInput
from trunkline.core.frames import RECORDS, check_frame
from trunkline.data import series
from trunkline.data.column_map import ColumnMap, ValueColumn, load, to_toml
from trunkline.data.grid import to_grid

NOW = datetime(2026, 11, 20, tzinfo=UTC)
START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday


def _write(tmp_path: Path, text: str, name: str = "kpi.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


def _read(path: Path, columns: ColumnMap | None = None, zone: str | None = "UTC") -> series.SeriesFile:
    return series.read(path, columns, assume_zone=zone, now=NOW)


def _choice(columns: ColumnMap, what: str) -> str:
    return next(c.taken for c in columns.choices if c.what == what)


@dataclass(frozen=True)
class Dialect:
    """One way an export tool writes the same table."""

    separator: str
    decimal: str
    group: str
    time: str
    encoding: str
    quoted: bool
    title: str
    nothing: str
    ends: str
    zipped: bool


DIALECTS = st.builds(
    Dialect,
    separator=st.sampled_from([";", "\t", "|"]),
    decimal=st.sampled_from([".", ","]),
    group=st.sampled_from(["", "other", " ", "\u00a0"]),
    time=st.sampled_from(["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%d.%m.%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%Y%m%d%H%M", "%d-%b-%Y %H:%M", "%m/%d/%Y %I:%M %p", "%Y/%m/%d %H.%M"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
    quoted=st.booleans(),
    title=st.sampled_from(["", "Bericht über Zellen\n", "Report;;;\nfrom the portal\n\n", "# a comment\n"]),
    nothing=st.sampled_from(["", "N/A", "-", "NULL", "#DIV/0!"]),
    ends=st.sampled_from(["\n", "\r\n"]),
    zipped=st.booleans(),
)  # fmt: skip


def _number(value: float | None, dialect: Dialect) -> str:
    if value is None:
        return dialect.nothing
    group = {"other": "." if dialect.decimal == "," else ","}.get(dialect.group, dialect.group)
    return f"{value:,.2f}".replace(",", "\0").replace(".", dialect.decimal).replace("\0", group)


@settings(max_examples=60, deadline=None)
@given(dialect=DIALECTS, values=st.lists(st.one_of(st.none(), st.floats(-1e7, 1e7).map(lambda v: round(v, 2))), min_size=40, max_size=60))
def test_the_same_table_in_any_dialect_gives_the_same_records(dialect: Dialect, values: list[float | None], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.dat"
    values[0], values[1] = 1234567.25, 0.5  # at least two numbers that show the decimal sign
    times = [START + timedelta(hours=9 * (k // 2)) for k in range(len(values))]  # a fortnight and more, so day and month show
    rows = [[t.strftime(dialect.time), f"Zürich {'AB'[k % 2]}", _number(v, dialect)] for k, (t, v) in enumerate(zip(times, values, strict=True))]
    cells = [["Zeit", "Zelle", "DL Volumen (MB)"], *rows]
    quote = '"{}"' if dialect.quoted else "{}"
    text = dialect.title + "\n".join(dialect.separator.join(quote.format(c) for c in row) for row in cells) + "\n"
    raw = text.replace("\n", dialect.ends).encode(dialect.encoding)
    path.write_bytes(gzip.compress(raw) if dialect.zipped else raw)

    found = _read(path)

    assert found.quarantine == ()
    expected = sorted((f"Zürich {'AB'[k % 2]}", t, v) for k, (t, v) in enumerate(zip(times, values, strict=True)) if v is not None)
    told = found.records.drop_nulls("value").sort("element", "at")
    assert [(e, at) for e, at, _ in expected] == [*told.select("element", "at").iter_rows()]
    assert told["value"].to_list() == pytest.approx([v for _, _, v in expected])
    assert found.records.height == len(values)
    assert found.map.values[0] == ValueColumn("DL Volumen (MB)", name="DL Volumen", unit="MB", aggregate="sum")


def test_records_have_the_layout_and_are_known_at_the_end_of_their_period(tmp_path: Path) -> None:
    path = _write(tmp_path, "time,cell,prb (%),volume\n2026-03-02 00:00,A,1,10\n2026-03-02 00:15,A,2,20\n")

    records = _read(path).records

    assert check_frame(records, RECORDS, name="records").columns == [*RECORDS, "aggregate"]
    assert records["period_s"].unique().to_list() == [900]
    assert (records["known_at"] - records["at"]).unique().to_list() == [timedelta(minutes=15)]
    assert records.select("name", "aggregate").unique(maintain_order=True).rows() == [("prb", "mean"), ("volume", "sum")]
    assert records["source"].unique().to_list() == ["kpi.csv"]


def test_a_gap_stays_a_gap(tmp_path: Path) -> None:
    path = _write(tmp_path, "time,v\n" + "".join(f"2026-03-02 {h:02}:00,{h}\n" for h in (0, 1, 2, 9, 10)))

    records = _read(path).records

    assert [at.hour for at in records["at"]] == [0, 1, 2, 9, 10]


def test_lines_may_go_backwards_in_time(tmp_path: Path) -> None:
    path = _write(tmp_path, "time,v\n" + "".join(f"2026-03-02 {h:02}:00,{h}\n" for h in range(9, -1, -1)))

    found = _read(path)

    assert found.records["value"].to_list() == [float(h) for h in range(10)]
    assert found.map.every == timedelta(hours=1)


def test_an_equal_line_counts_once_and_another_value_restates(tmp_path: Path) -> None:
    lines = "".join(f"2026-03-02 {h:02}:00,{h}\n" for h in range(10))
    path = _write(tmp_path, f"time,v\n{lines}2026-03-02 03:00,3\n2026-03-02 04:00,44\n")

    found = _read(path)

    four = found.records.filter(pl.col("at") == START + timedelta(hours=4)).sort("known_at")
    assert four["value"].to_list() == [4.0, 44.0]
    assert four["known_at"].diff().to_list()[1] == timedelta(microseconds=1)
    assert found.records.height == 11
    assert [n for n in found.notes if "counted once" in n or "restated by a later line of the file, the first in line 13" in n] == list(found.notes[1:])


def test_a_wide_table_gives_a_column_per_element(tmp_path: Path) -> None:
    path = _write(tmp_path, "Time;CELL01;CELL02;CELL03\n02.03.2026 00:00;1,5;2;\n02.03.2026 01:00;1;n/a;3,5\n", "prb_usage_2026-03.csv")

    found = _read(path)

    assert found.map.layout == "wide"
    assert found.map.values[0] == ValueColumn("CELL01", name="prb_usage", unit="", aggregate="mean", element="CELL01")
    assert found.records.sort("element", "at")["value"].to_list() == [1.5, 1.0, 2.0, None, None, 3.5]


def test_two_header_lines_name_element_and_kpi(tmp_path: Path) -> None:
    path = _write(tmp_path, ";A1;;B2;\nTime;PRB;Volume;PRB;Volume\n2026-03-02 00:00;1;2;3;4\n2026-03-02 01:00;5;6;7;8\n")

    found = _read(path)

    assert found.map.layout == "wide"
    first = found.records.filter(pl.col("at") == START).select("element", "name", "value").sort("element", "name").rows()
    assert first == [("A1", "PRB", 1.0), ("A1", "Volume", 2.0), ("B2", "PRB", 3.0), ("B2", "Volume", 4.0)]


def test_a_long_table_gives_a_line_per_element_and_kpi(tmp_path: Path) -> None:
    rows = "".join(f"2026-03-02 {h:02}:00,C{c},{k},{h + c}\n" for h in range(4) for c in (1, 2) for k in ("PRB usage (%)", "drops"))
    path = _write(tmp_path, f"time,cell,kpi,value\n{rows}")

    found = _read(path)

    assert (found.map.layout, found.map.kpi, found.map.value, found.map.element) == ("long", "kpi", "value", ("cell",))
    assert found.records.select("name", "aggregate").unique(maintain_order=True).rows() == [("PRB usage", "mean"), ("drops", "sum")]
    assert found.records.height == 16


def test_a_kpi_that_the_map_does_not_list_is_read_and_noted(tmp_path: Path) -> None:
    head = "time,cell,kpi,value\n"
    january = _write(tmp_path, head + "".join(f"2026-01-02 {h:02}:00,A,prb,1\n" for h in range(3)), "january.csv")
    february = _write(tmp_path, head + "".join(f"2026-02-02 {h:02}:00,A,{k},1\n" for h in range(3) for k in ("prb", "calls")), "february.csv")

    found = _read(february, series.guess(january))

    assert found.records["name"].unique().sort().to_list() == ["calls", "prb"]
    assert "KPIs that the map does not list were read all the same: calls." in found.notes


def test_two_columns_name_the_element_where_one_does_not(tmp_path: Path) -> None:
    rows = "".join(f"2026-03-02 {h:02}:00,{site},{cell},{h}\n" for h in range(4) for site in ("Rome", "Milan") for cell in (1, 2))
    path = _write(tmp_path, f"time,site,cell,prb\n{rows}")

    found = _read(path)

    assert found.map.element == ("site", "cell")
    assert found.records["element"].unique().sort().to_list() == ["Milan/1", "Milan/2", "Rome/1", "Rome/2"]


def test_date_and_hour_in_two_columns_are_one_time(tmp_path: Path) -> None:
    path = _write(tmp_path, "Date;Hour;Cell;PRB\n" + "".join(f"{d}/03/2026;{h};A;{h},5\n" for d in (2, 15) for h in range(1, 25)))

    found = _read(path)

    assert found.map.time == ("Date", "Hour")
    assert found.records["at"][0] == START + timedelta(hours=1)
    assert found.records["at"][23] == START + timedelta(hours=24)


def test_a_time_that_names_the_end_is_moved_to_the_start(tmp_path: Path) -> None:
    path = _write(tmp_path, "Period End,v\n2026-03-02 00:15,1\n2026-03-02 00:30,2\n")

    found = _read(path)

    assert found.map.stamp == "end"
    assert found.records.select("at", "known_at").row(0) == (START, START + timedelta(minutes=15))


def test_a_column_with_the_end_says_how_long_each_period_is(tmp_path: Path) -> None:
    path = _write(tmp_path, "start,end,v\n2026-03-02 00:00,2026-03-02 00:15,1\n2026-03-02 00:15,2026-03-02 00:30,2\n2026-03-02 00:30,2026-03-02 00:35,2\n")

    records = _read(path).records

    assert records["period_s"].to_list() == [900, 900, 300]
    assert records["known_at"][2] == START + timedelta(minutes=35)


@pytest.mark.parametrize(
    ("dates", "first", "sure"),
    [
        (["13/02/2026 00:00", "14/02/2026 00:00", "15/02/2026 00:00"], True, True),
        (["02/13/2026 00:00", "02/14/2026 00:00", "02/15/2026 00:00"], False, True),
        ([f"0{d}/02/2026 {h:02}:00" for d in range(1, 5) for h in range(24)], True, True),  # contiguous only one way
        ([f"02/0{d}/2026 {h:02}:00" for d in range(1, 5) for h in range(24)], False, True),
        ([f"03.02.2026 {h:02}:00" for h in range(3)], True, True),
        ([f"03/02/2026 {h:02}:00" for h in range(3)], True, False),
    ],
)
def test_day_and_month_are_told_apart_where_the_file_allows(dates: list[str], first: bool, sure: bool, tmp_path: Path) -> None:
    path = _write(tmp_path, "time,v\n" + "".join(f"{d},1\n" for d in dates))

    found = _read(path)

    assert found.map.day_first is first
    assert any("both orders fit" in n for n in found.notes) is not sure


def test_the_last_day_of_a_month_of_many_cells_shows_the_order_of_day_and_month(tmp_path: Path) -> None:
    rows = "".join(f"{d:02}/05/2026 {h:02}:00,C{c:03},1\n" for d in (1, 2, 3, 13) for h in range(24) for c in range(60))
    path = _write(tmp_path, f"time,cell,v\n{rows}")

    assert series.guess(path).time_format == "%d/%m/%Y %H:%M"


@settings(max_examples=40, deadline=None)
@given(
    zone=st.sampled_from(["Europe/Rome", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]), day=st.integers(0, 364), backwards=st.booleans()
)
def test_local_times_come_back_as_the_instants_they_were(zone: str, day: int, backwards: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "local.csv"
    start = datetime(2025, 6, 1, tzinfo=UTC) + timedelta(days=day)
    instants = [start + timedelta(minutes=15 * k) for k in range(96 * 2)]
    rows = [f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M},{k}" for k, at in enumerate(instants)]
    path.write_text("time,v\n" + "\n".join(reversed(rows) if backwards else rows))
    columns = replace(series.guess(path), zone=zone, every=timedelta(minutes=15))

    found = series.read(path, columns, now=NOW)

    # Only an hour cut by the file's edge cannot be told apart.
    lost = len(found.quarantine)
    told = dict(found.records.select("value", "at").iter_rows())
    assert lost <= 8
    assert len(told) == len(instants) - lost
    assert [k for k, at in enumerate(instants) if k in told and told[k] != at] == []


def test_jitter_moves_to_the_nearest_slot(tmp_path: Path) -> None:
    path = _write(
        tmp_path, "time,v\n" + "".join(f"{START + timedelta(minutes=15 * k, seconds=(k * 7) % 20 - 10):%Y-%m-%d %H:%M:%S},{k}\n" for k in range(1, 40))
    )

    found = _read(path)

    assert found.map.every == timedelta(minutes=15)
    assert found.records["at"].to_list() == [START + timedelta(minutes=15 * k) for k in range(1, 40)]
    assert any("stood off the grid of 15m" in n for n in found.notes)


def test_several_samples_of_a_slot_become_one_as_declared(tmp_path: Path) -> None:
    path = _write(
        tmp_path, "time,prb usage,calls,max users\n2026-03-02 14:24,10,1,5\n2026-03-02 14:27,20,2,9\n2026-03-02 14:38,30,3,1\n2026-03-02 14:48,30,,1\n"
    )
    columns = replace(series.guess(path), every=timedelta(minutes=10))

    found = _read(path, columns)

    slot = found.records.filter(pl.col("at") == START + timedelta(hours=14, minutes=20))
    assert dict(slot.select("name", "value").iter_rows()) == {"prb usage": 15.0, "calls": 3.0, "max users": 9.0}
    assert slot["known_at"].unique().to_list() == [START + timedelta(hours=14, minutes=30)]
    last = found.records.filter((pl.col("at") == START + timedelta(hours=14, minutes=40)) & (pl.col("name") == "calls"))
    assert last["value"].to_list() == [None]


@settings(max_examples=60, deadline=None)
@given(offset=st.integers(0, 3599), every=st.sampled_from([60, 300, 900, 3600, 86400]), spread=st.integers(0, 20))
def test_the_grid_never_makes_a_value_known_before_its_end_less_the_jitter(offset: int, every: int, spread: int) -> None:
    step = timedelta(seconds=every)
    at = [START + k * step + timedelta(seconds=offset % every + (k * 7) % (spread + 1)) for k in range(30)]
    rows = pl.DataFrame({"element": ["A"] * 30, "at": at}, schema={"element": pl.String, "at": pl.Datetime("us", "UTC")})
    rows = rows.with_columns(end=pl.col("at") + step, slot="at", known_at=pl.col("at") + step)

    moved, _ = to_grid(rows, step)

    assert (moved["slot"].dt.epoch("s") % every).sum() == 0
    assert ((moved["slot"] - moved["at"]).dt.total_seconds().abs() <= every).all()
    assert (moved["known_at"] >= moved["at"]).all()
    assert (moved["known_at"] <= moved["slot"] + step + timedelta(minutes=5) + timedelta(seconds=60)).all()


@pytest.mark.parametrize("kind", ["csv", "parquet", "tsv", "csv.gz", "parquet as csv"])
def test_one_table_reads_the_same_from_every_container(kind: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"time": [f"2026-03-02T{h:02}:00:00Z" for h in range(5)], "cell": ["A"] * 5, "prb": [1.5, None, 2.5, 3.0, 4.0]})
    path = tmp_path / f"kpi.{kind.rsplit(maxsplit=1)[-1]}"
    if kind.startswith("parquet"):
        frame.with_columns(pl.col("time").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC")).write_parquet(path)
    else:
        text = frame.write_csv(separator="\t" if kind == "tsv" else ",")
        path.write_bytes(gzip.compress(text.encode()) if kind.endswith("gz") else text.encode())

    found = _read(path, zone=None)

    assert found.records["value"].to_list() == [1.5, None, 2.5, 3.0, 4.0]
    assert found.records["at"].to_list() == [START + timedelta(hours=h) for h in range(5)]


def test_times_without_a_zone_need_one_and_an_assumed_one_is_said_aloud(tmp_path: Path) -> None:
    path = _write(tmp_path, "time,v\n2026-07-02 00:00,1\n2026-07-02 01:00,2\n")
    columns = series.guess(path)

    assert columns.zone is None
    assert columns.needs_zone
    assert _choice(columns, "zone") == "not known; UTC would be assumed"
    with pytest.raises(BadInput, match="--zone UTC"):
        series.read(path, columns, now=NOW)
    assert any("assumed, not known" in n for n in series.read(path, columns, assume_zone="UTC", now=NOW).notes)
    told = series.read(path, replace(columns, zone="Europe/Rome"), now=NOW)
    assert told.notes == ()
    assert told.records["at"][0] == datetime(2026, 7, 1, 22, tzinfo=UTC)


def test_a_map_that_was_saved_reads_the_file_as_the_guess_did(tmp_path: Path) -> None:
    path = _write(tmp_path, "Time;CELL01;CELL02\n02.03.2026 00:00;1,5;2\n13.03.2026 00:00;1;\n")
    columns = series.guess(path)

    columns.save(tmp_path / "map.toml")

    assert load(tmp_path / "map.toml") == columns
    assert '# zone = "Europe/Rome"' in (tmp_path / "map.toml").read_text()
    assert _read(path, load(tmp_path / "map.toml")).records.equals(_read(path).records)
    assert any(line.startswith("separator") and "0.95" in line for line in columns.explain())


@settings(max_examples=60, deadline=None)
@given(name=st.text(min_size=1, max_size=20).filter(lambda t: t.strip()), unit=st.text(max_size=5), separator=st.sampled_from([",", "\t", "'", '"', "\\"]))
def test_any_map_comes_back_from_its_toml(name: str, unit: str, separator: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    columns = ColumnMap(
        time=(name,), time_format="%Y", values=(ValueColumn(name, name=name, unit=unit),), separator=separator, every=timedelta(seconds=90), align=False
    )

    path.write_text(to_toml(columns), encoding="utf-8", newline="")

    assert load(path) == columns


def test_a_label_beside_the_measurements_is_left_out_and_said(tmp_path: Path) -> None:
    path = _write(tmp_path, "time,prb,anomaly\n" + "".join(f"2026-03-02 {h:02}:00,{h}.5,{h % 2}\n" for h in range(6)))

    columns = series.guess(path)

    assert [v.name for v in columns.values] == ["prb"]
    assert "label" in next(c.why for c in columns.choices if c.what == "left out")


def test_percent_in_the_header_above_shares_of_one_is_said(tmp_path: Path) -> None:
    path = _write(tmp_path, "time,prb_percent\n" + "".join(f"2026-03-{d:02} {h:02}:00,0.{h:02}\n" for d in (2, 3, 13) for h in range(24)))

    columns = series.guess(path)

    assert columns.values[0].unit == "1"
    assert any("shares of 1" in c.why for c in columns.choices)


def test_600_000_lines_take_seconds(tmp_path: Path) -> None:
    cells, steps = 200, 500  # a sixth of it here, to keep the suite short
    rows = [f"{START + timedelta(minutes=15 * k):%Y-%m-%d %H:%M:%S},CELL{c:04},{c}.5,{k}" for k in range(steps) for c in range(cells)]
    path = _write(tmp_path, "Time,Cell,DL volume (MB),PRB usage (%)\n" + "\n".join(rows))
    before = time.process_time()

    found = _read(path)

    assert found.records.height == 2 * cells * steps
    assert time.process_time() - before < 5


@pytest.mark.real
def test_every_nab_series_is_read_whole(real_data: Path) -> None:
    files = sorted((real_data / "nab" / "data").rglob("*.csv"))

    found = {f: _read(f) for f in files}

    assert len(files) == 31
    assert [f.name for f, s in found.items() if s.quarantine or s.good != sum(1 for line in f.read_text().splitlines() if line.strip()) - 1] == []
    assert [f.name for f, s in found.items() if (s.records["at"].dt.epoch("s") % s.records["period_s"]).sum()] == []


@pytest.mark.real
def test_the_hourly_cells_are_read_whole(real_data: Path) -> None:
    path = real_data / "lte_traffic_congestion" / "hourly.csv"

    found = _read(path)

    assert (found.lines, found.good, found.records.height) == (27_322, 27_322, 81_966)
    assert found.map.element == ("Cell",)
    assert found.map.every == timedelta(hours=1)


@pytest.mark.real
def test_samples_without_a_date_are_refused_with_what_to_do(real_data: Path) -> None:
    with pytest.raises(BadFile, match=r"'Time' \(10:45\) have no date"):
        series.guess(real_data / "lte_prb_unusual" / "samples.csv")


@pytest.mark.real
def test_the_labels_of_the_walk_tests_are_left_out(real_data: Path) -> None:
    columns = series.guess(real_data / "sutd_5g" / "Lvl6_1RRUOn.csv")

    assert {v.name for v in columns.values}.isdisjoint({"Label", "lab_anom", "lab_bs", "lab_inf", "lab_1rr", "PCI", "C-RNTI"})
