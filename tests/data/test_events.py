"""Alarms, states and planned works: what lasts, and since when it is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.core.errors import BadFile, BadInput
from trunkline.core.frames import EVENTS, check_frame
from trunkline.data import events
from trunkline.data.severity import severities, severity_of

SIX = {"critical", "major", "minor", "warning", "indeterminate", "cleared"}


def _write(tmp_path: Path, text: str, name: str = "events.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _as_known(frame: pl.DataFrame, at: str) -> pl.DataFrame:
    """The newest version of each event that was known at that time."""
    return frame.filter(pl.col("known_at") <= _at(at)).sort("known_at").unique("event_id", keep="last", maintain_order=True)


def test_a_line_with_start_and_end_is_open_until_its_end_was_known(tmp_path: Path) -> None:
    path = _write(
        tmp_path, "Alarm ID;Severity;Cell;Raised;Cleared;Text\n17;MAJOR;A;2026-03-02 10:00;2026-03-02 11:30;VSWR\n18;Critical;B;2026-03-02 10:20;;Power\n"
    )

    found = events.read_alarms(path, zone="UTC")

    assert check_frame(found.events, EVENTS, name="events").height == 3
    assert _as_known(found.events, "2026-03-02 11:00")["end"].to_list() == [None, None]
    ended = _as_known(found.events, "2026-03-02 12:00").sort("element")
    assert ended.select("element", "kind", "severity", "text", "end").rows() == [
        ("A", "alarm", "major", "VSWR", _at("2026-03-02 11:30")),
        ("B", "alarm", "critical", "Power", None),
    ]


def test_a_raise_and_its_clear_are_two_versions_of_one_event(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        "time,element,alarm id,event type,severity,probable cause\n"
        "2026-03-02T10:00:00Z,A,7,raise,minor,Link down\n"
        "2026-03-02T10:05:00Z,A,7,raise,major,Link down\n"
        "2026-03-02T10:06:00Z,A,7,raise,major,Link down\n"
        "2026-03-02T10:30:00Z,A,7,clear,,Link down\n"
        "2026-03-02T12:00:00Z,A,7,raise,minor,Link down\n"
        "2026-03-02T12:10:00Z,B,9,clear,,Link down\n",
    )

    found = events.read_alarms(path)

    assert found.events["event_id"].n_unique() == 2
    assert found.events["severity"].to_list() == ["minor", "major", "major", "minor"]
    assert [q.line for q in found.quarantine] == [7]
    assert "no line raised" in found.quarantine[0].reason
    assert _as_known(found.events, "2026-03-02 10:10")["severity"].to_list() == ["major"]
    assert _as_known(found.events, "2026-03-02 23:00")["end"].to_list() == [_at("2026-03-02 10:30"), None]


def test_a_cleared_severity_clears(tmp_path: Path) -> None:
    path = _write(tmp_path, "eventTime,managedObject,perceivedSeverity,probableCause\n2026-03-02T10:00:00Z,A,2,heat\n2026-03-02T10:30:00Z,A,5,heat\n")

    found = events.read_alarms(path)

    assert found.events["end"].to_list() == [None, _at("2026-03-02 10:30")]
    assert any("X.721" in n for n in found.notes)


def test_a_clear_in_the_next_file_closes_what_the_first_raised(tmp_path: Path) -> None:
    head = "time,element,action,severity,problem\n"
    monday = events.read_alarms(_write(tmp_path, head + "2026-03-02T23:00:00Z,A,raise,major,heat\n", "monday.csv"))
    later = _write(tmp_path, head + "2026-03-03T01:00:00Z,A,clear,major,heat\n2026-03-03T02:00:00Z,A,raise,major,heat\n", "tuesday.csv")

    tuesday = events.read_alarms(later, before=monday.events)

    closed = tuesday.events.filter(pl.col("end").is_not_null())
    assert closed["event_id"].to_list() == monday.events["event_id"].to_list()
    assert closed["start"].to_list() == [_at("2026-03-02 23:00")]


def test_equal_lines_count_once(tmp_path: Path) -> None:
    line = "17,major,A,2026-03-02 10:00,2026-03-02 11:30\n"
    path = _write(tmp_path, f"alarm_id,severity,cell,start,end\n{line}{line}")

    found = events.read_alarms(path, zone="UTC")

    assert found.events.height == 2
    assert "1 lines stood in the file twice and were counted once." in found.notes


@pytest.mark.parametrize(
    ("word", "severity"),
    [("CRITICAL", "critical"), ("Maj.", "major"), ("**", "major"), ("A1", "critical"), ("Warn", "warning"), ("kritisch", "critical"), ("Cleared", "cleared"), ("indeterminate", "indeterminate"), ("purple", None)],
)  # fmt: skip
def test_severities_of_many_spellings_become_the_words_of_x733(word: str, severity: str | None) -> None:
    assert severity_of(word) == severity


@given(st.lists(st.one_of(st.none(), st.text(max_size=10), st.integers(0, 9).map(str))))
def test_any_severity_column_is_understood_or_unknown_but_never_something_else(cells: list[str | None]) -> None:
    table, _ = severities(cells)

    assert set(table.values()) <= {*SIX, None}


def test_an_unknown_severity_is_kept_and_said(tmp_path: Path) -> None:
    path = _write(tmp_path, "severity,cell,start,end\npurple,A,2026-03-02 10:00,2026-03-02 11:00\n")

    found = events.read_alarms(path, zone="UTC")

    assert found.events["severity"].unique().to_list() == ["indeterminate"]
    assert any("purple" in n for n in found.notes)


def test_the_next_state_ends_the_one_before(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        "time,cell,administrative state\n2026-03-02T01:00:00Z,A,UNLOCKED\n2026-03-02T02:00:00Z,A,LOCKED\n2026-03-02T03:00:00Z,A,Energy saving\n2026-03-02T05:00:00Z,A,UNLOCKED\n",
    )

    found = events.read_states(path)

    ended = _as_known(found.events, "2026-03-03 00:00").sort("start")
    assert ended.select("kind", "start", "end").rows() == [
        ("locked", _at("2026-03-02 02:00"), _at("2026-03-02 03:00")),
        ("energy_saving", _at("2026-03-02 03:00"), _at("2026-03-02 05:00")),
    ]


def test_states_with_start_and_end_are_read_too(tmp_path: Path) -> None:
    path = _write(
        tmp_path, "cell,state,start,end\nA,locked,2026-03-02 02:00,2026-03-02 03:00\nA,sleep,2026-03-02 04:00,\nA,unlocked,2026-03-02 03:00,2026-03-02 04:00\n"
    )

    found = events.read_states(path, zone="Europe/Rome")

    assert found.events["kind"].to_list() == ["locked", "locked", "energy_saving"]
    assert found.events["start"][0] == _at("2026-03-02 01:00")
    assert "1 lines of a normal state are no events." in found.notes


def test_planned_work_is_known_with_its_end_when_it_was_announced(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        "work id,elements,start,end,announced,status\nW1,A|B,2026-03-05 00:00,2026-03-05 04:00,2026-03-01 12:00,approved\nW2,C,2026-03-06 00:00,2026-03-06 04:00,2026-03-01 12:00,cancelled\n",
    )

    found = events.read_works(path, zone="UTC")

    assert found.events.select("element", "kind", "start", "end", "known_at").rows() == [
        (e, "planned_work", _at("2026-03-05 00:00"), _at("2026-03-05 04:00"), _at("2026-03-01 12:00")) for e in ("A", "B")
    ]
    assert "1 works are cancelled and left out." in found.notes


def test_planned_work_without_an_announcement_is_known_from_its_start(tmp_path: Path) -> None:
    path = _write(tmp_path, "cell,planned start,planned end\nA,2026-03-05 00:00,2026-03-05 04:00\n")

    found = events.read_works(path, zone="UTC")

    assert found.events["known_at"].to_list() == [_at("2026-03-05 00:00")]
    assert any("known from its start" in n for n in found.notes)


def test_bad_lines_are_set_aside_with_their_reason(tmp_path: Path) -> None:
    good = "".join(f"major,A,2026-03-02 1{h}:00,2026-03-02 1{h}:30\n" for h in range(5))
    path = _write(
        tmp_path,
        f"severity,cell,start,end\n{good}major,,2026-03-02 10:00,\nmajor,A,yesterday,\nmajor,A,2026-03-02 10:00,2026-03-02 09:00\nmajor,A,,2026-03-02 09:00\n",
    )

    found = events.read_alarms(path, zone="UTC")

    assert [(q.line, q.reason[:22]) for q in found.quarantine] == [
        (7, "no element is named"),
        (8, "'yesterday' is no time"),
        (9, "it ends 1:00:00 before"),
        (10, "no start time"),
    ]
    assert (found.lines, found.good) == (9, 5)


def test_alarm_times_without_a_zone_need_one(tmp_path: Path) -> None:
    path = _write(tmp_path, "severity,cell,start,end\nmajor,A,2026-03-02 10:00,2026-03-02 11:00\n")

    with pytest.raises(BadInput, match="--zone UTC"):
        events.read_alarms(path)
    assert any("assumed" in n for n in events.read_alarms(path, assume_zone="UTC").notes)


@settings(max_examples=60, deadline=None)
@given(spans=st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 500), st.one_of(st.none(), st.integers(0, 300))), min_size=1, max_size=15))
def test_no_version_is_known_before_it_happened(spans: list[tuple[str, int, int | None]], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "spans.csv"
    start = _at("2026-03-02 00:00")
    rows = [(e, start + timedelta(minutes=s), None if d is None else start + timedelta(minutes=s + d)) for e, s, d in spans]
    path.write_text(
        "severity,cell,start,end\n" + "\n".join(f"minor,{e},{a:%Y-%m-%dT%H:%M:%SZ},{'' if b is None else f'{b:%Y-%m-%dT%H:%M:%SZ}'}" for e, a, b in rows)
    )

    frame = events.read_alarms(path).events

    assert (frame["known_at"] >= frame["start"]).all()
    ended = frame.drop_nulls("end")
    assert (ended["known_at"] >= ended["end"]).all()
    assert {(e, a) for e, a, _ in rows} == set(frame.select("element", "start").iter_rows())


@pytest.mark.real
def test_alarms_that_count_seconds_from_an_unknown_day_are_refused(real_data: Path) -> None:
    with pytest.raises(BadFile, match=r"No column holds times(?s:.*)another day"):
        events.read_alarms(real_data / "alarm_rca_pcic" / "18V_55N_Wireless" / "Alarm.csv")
