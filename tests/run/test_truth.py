from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from trunkline.core.errors import BadFile, BadInput
from trunkline.core.frames import TIME
from trunkline.run.truth import read_truth


def written(folder: Path, *lines: str) -> Path:
    path = folder / "known.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "start",
    [
        "2026-11-20T13:00:00Z",
        "2026-11-20T14:00+01:00",
        "2026-11-20 14:00:00+0100",
        " 2026-11-20T13:00:00.000+00:00 ",
        "2026-11-20 13:00",
        "2026-11-20T13:00:00",
    ],
)
def test_a_time_is_read_however_it_is_commonly_written(start: str, tmp_path: Path) -> None:
    found = read_truth(written(tmp_path, "element,start,end", f"c1,{start},2026-11-21"))

    assert found["start"].to_list() == [datetime(2026, 11, 20, 13, tzinfo=UTC)]
    assert found["end"].to_list() == [datetime(2026, 11, 21, tzinfo=UTC)]
    assert found.schema["start"] == TIME


def test_times_without_an_offset_are_read_in_the_zone_that_is_given(tmp_path: Path) -> None:
    path = written(tmp_path, "element,start,end", "c1,2026-11-20 14:00,2026-11-20T14:00:00Z")

    assert read_truth(path, zone="Europe/Rome")["start"].to_list() == [datetime(2026, 11, 20, 13, tzinfo=UTC)]
    with pytest.raises(BadInput, match="There is no time zone 'Europe/Roma'"):
        read_truth(path, zone="Europe/Roma")


def test_kind_is_read_where_it_is_told_and_further_columns_do_not_matter(tmp_path: Path) -> None:
    told = read_truth(written(tmp_path, "start,kind,element,end,ticket", "2026-11-20,outage,c1,2026-11-21,INC-1"))
    untold = read_truth(written(tmp_path, "element,start,end", "c1,2026-11-20,2026-11-21"))

    assert (told.columns, told["kind"].to_list()) == (["entity", "start", "end", "kind"], ["outage"])
    assert untold["kind"].to_list() == ["fault"]


def test_a_list_of_no_faults_is_a_list(tmp_path: Path) -> None:
    assert read_truth(written(tmp_path, "element,start,end")).is_empty()


@pytest.mark.parametrize(
    ("lines", "line", "what"),
    [
        (["cell,from,to", "c1,2026-11-20,2026-11-21"], 1, "have no column element, start, end"),
        (["element,start,end", "c1,2026-11-20,2026-11-21", "c2,yesterday,2026-11-21"], 3, "needs a start and a later end"),
        (["element,start,end", "c1,2026-11-21,2026-11-20"], 2, "needs a start and a later end"),
        (["element,start,end", "c1,2026-11-20,2026-11-20"], 2, "needs a start and a later end"),
        (["element,start,end", "c1,2026-11-20,"], 2, "needs a start and a later end"),
    ],
    ids=["columns", "no-time", "backwards", "no-length", "no-end"],
)
def test_what_cannot_be_read_is_told_with_its_line(lines: list[str], line: int, what: str, tmp_path: Path) -> None:
    path = written(tmp_path, *lines)

    with pytest.raises(BadFile, match=what) as refused:
        read_truth(path)

    assert (refused.value.line, refused.value.path) == (line, str(path))
    assert refused.value.allowed


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00\x01"])
def test_a_file_that_is_not_there_or_no_csv_is_told_by_its_path(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "known.csv"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(BadFile) as refused:
        read_truth(path)

    assert refused.value.path == str(path)
