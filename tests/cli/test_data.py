"""Files on the command line: looked at, mapped, taken in, put aside."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Run


def test_a_file_is_checked_without_keeping_anything(run: Run, csv: Path) -> None:
    before = set(Path().iterdir())

    said = run("data", "check", csv, "--json")

    assert said.json["files"][0]["kind"] == "series"
    assert said.json["files"][0]["rows"] == 2 * 4 * 168
    assert {path.name for path in set(Path().iterdir()) - before} <= {"config"}


def test_a_map_that_was_guessed_can_be_edited_and_used(run: Run, csv: Path) -> None:
    guessed = run("data", "map", csv)
    Path("map.toml").write_text(guessed.out.replace('name = "volume"', 'name = "dl_volume"'), encoding="utf-8")
    assert run("workspace", "new").code == 0

    said = run("data", "load", csv, "--map", "map.toml")

    assert guessed.code == said.code == 0, said.err
    assert "1,344 rows kept" in said.err
    assert {row["name"] for row in run("data", "show", "measurements", "--json").json} == {"dl_volume"}


def test_a_file_that_was_refused_is_read_once_what_it_asked_for_is_said(run: Run) -> None:
    Path("bare.csv").write_text("time,element,volume\n" + "".join(f"2026-11-20 {h:02d}:00,a,{h}\n" for h in range(24)), encoding="utf-8")
    run("workspace", "new")

    refused = run("data", "load", "bare.csv")
    read = run("data", "load", "bare.csv", "--zone", "Europe/Rome")

    assert "--zone" in refused.err
    assert "0 rows kept" in refused.err
    assert "24 rows kept" in read.err
    assert run("data", "quarantine", "--json").json == []


def test_loading_is_tried_first_then_done_once(run: Run, csv: Path) -> None:
    run("workspace", "new")

    assert "1,344 rows would be kept" in run("data", "load", csv, "--dry-run").err
    assert run("data", "list", "--json").json == []
    assert "1,344 rows kept" in run("data", "load", csv).err
    assert "0 rows kept" in run("data", "load", csv).err

    assert len(run("data", "list", "--json").json) == 1
    assert run("workspace", "show", "--json").json["tables"]["measurements"] == 1344


def test_what_could_not_be_used_is_shown_with_its_line(run: Run) -> None:
    Path("bad.csv").write_text(
        "time,element,volume\n" + "".join(f"2026-11-20T{h:02d}:00:00Z,a,{h}\n" for h in range(20)) + "2026-11-20T20:00:00Z,a,many\n", encoding="utf-8"
    )
    run("workspace", "new")
    run("data", "load", "bad.csv")

    (aside,) = run("data", "quarantine", "--json").json

    assert (Path(aside["file"]).name, aside["line"]) == ("bad.csv", 22)
    assert aside["reason"]


@pytest.mark.usefixtures("filled")
def test_features_are_shown_as_they_were_known(run: Run) -> None:
    rows = run("feature", "show", "kpi-anomaly", "--element", "a", "--limit", "2", "--json").json

    assert [row["entity"] for row in rows] == ["a", "a"]
    assert rows[0]["at"] > rows[1]["at"]
    assert "0 differ" in run("feature", "check", "kpi-anomaly", "--days", "0.5").err


def test_a_new_workspace_says_what_comes_next_and_where_every_setting_comes_from(run: Run) -> None:
    made = run("workspace", "new", "net")

    found = run("-w", "net", "workspace", "show", "--config", "--json").json

    assert "trunkline data load" in made.err
    assert found["zone"] == {"value": "UTC", "origin": "default"}
    assert Path("net/trunkline.toml").is_file()
