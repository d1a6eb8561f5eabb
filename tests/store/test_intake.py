from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from trunkline.core.errors import BadInput
from trunkline.store import Arrival, Blobs, Intake, open_database, transaction

AT = datetime(2026, 11, 20, 14, tzinfo=UTC)


@pytest.fixture
def intake(engine: Engine, tmp_path: Path, clock: Callable[[], datetime]) -> Intake:
    return Intake(engine, Blobs(tmp_path / "blobs"), clock)


def test_an_accepted_file_is_numbered_kept_and_read_back(intake: Intake, tmp_path: Path) -> None:
    file = tmp_path / "A20261120.xml"
    file.write_bytes(b"<measData/>")

    arrival = intake.accept("pm", file, AT)
    file.unlink()

    assert (arrival.sequence, arrival.source, arrival.name, arrival.received_at, arrival.size, arrival.is_new) == (1, "pm", str(file), AT, 11, True)
    assert intake.read(arrival) == b"<measData/>"
    assert list(intake.after(0)) == [arrival]
    assert list(intake.after(1)) == []


def test_the_same_content_again_is_the_first_arrival_counted_and_its_other_name_kept(intake: Intake) -> None:
    first = intake.accept("pm", b"content", AT, name="a.xml")

    same = intake.accept("pm", b"content", AT + timedelta(hours=1), name="a.xml")
    renamed = intake.accept("pm", b"content", AT + timedelta(hours=2), name="copy of a.xml")
    intake.accept("other", b"content", AT + timedelta(hours=3), name="copy of a.xml")
    other = intake.accept("pm", b"other", AT, name="a.xml")

    assert (first.is_new, same.is_new, renamed.is_new, other.is_new) == (True, False, False, True)
    assert first.sequence == same.sequence == renamed.sequence != other.sequence
    assert (renamed.name, renamed.received_at) == ("a.xml", AT)
    assert intake.duplicates() == 3
    assert intake.names(first.sequence) == ("a.xml", "copy of a.xml")
    assert [a.sequence for a in intake.after()] == [first.sequence, other.sequence]


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=st.lists(st.binary(max_size=2), max_size=25), groups=st.integers(1, 5))
def test_numbers_grow_in_the_order_of_first_arrival(contents: list[bytes], groups: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("intake")
    engine = open_database(folder / "trunkline.db")
    intake = Intake(engine, Blobs(folder / "blobs"))

    got: list[Arrival] = []
    for n in range(0, len(contents), groups):
        got += intake.accept_many([("events", content, AT, None) for content in contents[n : n + groups]])

    firsts = list(dict.fromkeys(contents))
    assert [intake.read(a) for a in intake.after()] == firsts
    assert [a.sequence for a in got if a.is_new] == sorted({a.sequence for a in got})
    assert [intake.read(a) for a in got] == contents
    assert intake.duplicates() == len(contents) - len(firsts)
    engine.dispose()


def test_what_was_acknowledged_survives_the_death_of_the_process(tmp_path: Path) -> None:
    child = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from trunkline.store import Blobs, Intake, open_database
folder = Path(sys.argv[1])
intake = Intake(open_database(folder / "trunkline.db"), Blobs(folder / "blobs"))
for n in range(3):
    print(intake.accept("events", b"event %d" % n, datetime(2026, 11, 20, n, tzinfo=UTC)).sequence, flush=True)
os._exit(9)
"""
    ended = subprocess.run([sys.executable, "-c", child, str(tmp_path)], check=False, env=os.environ, capture_output=True, text=True)

    engine = open_database(tmp_path / "trunkline.db")
    intake = Intake(engine, Blobs(tmp_path / "blobs"))
    assert ended.stdout.split() == ["1", "2", "3"]
    assert [(a.sequence, intake.read(a)) for a in intake.after()] == [(1, b"event 0"), (2, b"event 1"), (3, b"event 2")]
    assert not intake.accept("events", b"event 1", AT).is_new
    engine.dispose()


def test_a_time_without_zone_is_refused_and_nothing_numbered(intake: Intake) -> None:
    with pytest.raises(BadInput, match="names no zone"):
        intake.accept("pm", b"content", datetime(2026, 11, 20))

    assert list(intake.after()) == []


def test_bad_records_are_listed_by_line_and_counted_by_reason(intake: Intake) -> None:
    arrival = intake.accept("alarms", b"...", AT, name="alarms.csv")

    intake.quarantine(arrival, reason="no time", line=7, excerpt="cell-1,,major")
    intake.quarantine(arrival, reason="no time", line=3, excerpt=b"\xff" * 9)
    intake.quarantine("broken.gz", reason="not a gzip file")

    assert [(q.file, q.line, q.reason, q.sequence) for q in intake.quarantined()] == [
        ("broken.gz", None, "not a gzip file", None),
        ("alarms.csv", 3, "no time", 1),
        ("alarms.csv", 7, "no time", 1),
    ]
    assert intake.quarantine_reasons() == {"no time": 2, "not a gzip file": 1}
    assert [q.line for q in intake.quarantined(reason="no time", limit=1)] == [3]
    assert [q.excerpt for q in intake.quarantined(sequence=1)] == ["\\xff" * 9, "cell-1,,major"]
    assert intake.quarantined()[0].at == AT + timedelta(seconds=2)


def test_reading_a_bad_file_again_does_not_count_its_faults_again(intake: Intake, engine: Engine) -> None:
    arrival = intake.accept("alarms", b"...", AT, name="alarms.csv")

    with transaction(engine) as connection:
        first = [intake.quarantine(arrival, reason="no time", line=n, excerpt="x" * 10_000, connection=connection) for n in range(5)]
    second = [intake.quarantine(arrival, reason="no time", line=n, excerpt="x" * 10_000) for n in range(5)]

    assert (first, second) == ([True] * 5, [False] * 5)
    assert intake.quarantine_reasons() == {"no time": 5}
    assert len(intake.quarantined()[0].excerpt) == 500
