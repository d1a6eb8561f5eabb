"""A workflow on the command line: shown, written new, replayed on one's own file, trained, deployed."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline import workspace
from trunkline.store import catalogue

from .conftest import Run


def test_in_an_empty_folder_it_lists_what_is_shipped(run: Run) -> None:
    said = run("workflow", "list", "--json")

    assert {"kpi-anomaly", "sleeping-cell", "capacity"} <= {one["workflow"] for one in said.json}
    assert list(Path().iterdir()) == [], "looking leaves nothing behind"


def test_a_new_workflow_passes_its_check_as_it_is_written(run: Run) -> None:
    written = run("workflow", "new", "busy-cells")
    checked = run("workflow", "check", "busy-cells.py", "--json")

    assert written.code == checked.code == 0, checked.err
    assert Path("busy-cells.py").is_file()
    assert Path("busy-cells.md").is_file()
    assert checked.json["name"] == "busy-cells"
    assert checked.json["sources"] == ["busy-cells.decide", "trunkline.core.values.Decision"]


def test_a_new_workflow_in_a_dry_run_is_shown_and_not_written(run: Run) -> None:
    said = run("workflow", "new", "busy-cells", "--dry-run")

    assert "workflow = Workflow(" in said.out
    assert list(Path().iterdir()) == []


def test_a_new_workflow_is_not_written_over_an_old_one(run: Run) -> None:
    run("workflow", "new", "busy-cells")
    Path("busy-cells.py").write_text("mine", encoding="utf-8")

    again = run("workflow", "new", "busy-cells")

    assert again.code == 2
    assert "is there already" in again.err
    assert Path("busy-cells.py").read_text(encoding="utf-8") == "mine"


def test_what_is_left_out_of_a_workflow_is_named_with_the_line_to_write(run: Run) -> None:
    run("workflow", "new", "busy-cells")
    text = Path("busy-cells.py").read_text(encoding="utf-8")
    Path("busy-cells.py").write_text("\n".join(line for line in text.splitlines() if not line.startswith("    purpose=")), encoding="utf-8")

    said = run("workflow", "check", "busy-cells.py")

    assert said.code == 2
    assert "purpose: data may only be used for a stated purpose" in said.err
    assert "purpose='network-assurance'," in said.err


def test_a_replay_of_ones_own_file_finds_the_outage_and_leaves_a_report(run: Run, csv: Path) -> None:
    said = run("workflow", "replay", "kpi-anomaly", csv, "--json")

    assert said.code == 0, said.err
    found = said.json
    assert found["elements"] == 2
    assert found["every"] == "1h"
    during = [f for f in found["findings"] if f["element"] == "a" and "2026-09-30T09" <= f["at"] < "2026-09-30T19"]
    assert during
    assert "below its usual" in during[0]["reasons"][0]
    page = Path(found["report"])
    assert page.read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")
    assert set(found["dummies"]) == {"last week", "chance"}


def test_the_same_replay_says_the_same_and_a_workflow_of_ones_own_works_as_ours(run: Run, csv: Path) -> None:
    run("workflow", "new", "mine")
    quick = ("--no-self-test", "--json", "--from", "2026-09-21")

    first = run("workflow", "replay", "mine.py", csv, *quick)
    again = run("workflow", "replay", "mine.py", csv, *quick)

    assert first.code == 0, first.err
    assert {**first.json, "notes": None} == {**again.json, "notes": None}
    assert first.json["judged_from"].startswith("2026-09-21")
    assert first.json["self_test"] == []


def test_a_replay_against_faults_one_knows_of_counts_them(run: Run, csv: Path) -> None:
    Path("known.csv").write_text("element,start,end\na,2026-09-30T09:00Z,2026-09-30T19:00Z\n", encoding="utf-8")

    said = run("workflow", "replay", "kpi-anomaly", csv, "--truth", "known.csv", "--no-self-test", "--json")

    assert said.code == 0, said.err
    own, *dummies = said.json["against_truth"]
    assert (own["speaker"], own["found"], own["of"]) == ("kpi-anomaly", 1, 1)
    assert [one["speaker"] for one in dummies] == ["last week", "chance"]
    assert 0 < own["interval"][0] < own["interval"][1] <= 1


def test_words_for_people_go_to_stderr_and_the_table_to_stdout(run: Run, csv: Path) -> None:
    said = run("workflow", "replay", "kpi-anomaly", csv, "--no-self-test")

    assert said.code == 0
    assert "acted on by nobody" in said.err
    assert "Report with pictures:" in said.err
    assert "confidence" in said.out or "by itself" in said.out


@pytest.mark.usefixtures("filled")
def test_a_trained_release_is_shown_with_what_every_gate_said(run: Run) -> None:
    shown = run("workflow", "show", "kpi-anomaly", "--json").json
    (release,) = shown["releases"]

    card = run("gate", "show", release["id"][:6], "--json").json

    assert release["state"] == "candidate"
    assert {gate["gate"] for one in card["contenders"].values() for gate in one["gates"]} >= {"Parity", "BeatsBaseline"}
    assert run("workflow", "diff", release["id"], release["id"], "--json").json == []
    assert "They are the same" in run("workflow", "diff", release["id"], release["id"]).err
    assert run("gate", "show", release["id"]).code == 0


def test_a_deploy_is_tried_first_then_done_and_names_who_answers(run: Run, filled: Path) -> None:
    with workspace.open(filled) as opened, opened.store.engine.begin() as connection:
        (row,) = catalogue.rows(opened.store.engine, catalogue.releases)
        catalogue.change(connection, catalogue.releases, row["id"], verdict="cannot tell")
    waiver = ("--waiver", "ann: a small past")

    refused = run("workflow", "deploy", "kpi-anomaly", "--reason", "first")
    tried = run("workflow", "deploy", "kpi-anomaly", "--reason", "first", "--dry-run", *waiver)
    before = run("workflow", "list", "--json").json
    done = run("workflow", "deploy", "kpi-anomaly", "--reason", "first", "--by", "bob", *waiver)

    assert refused.code == 2
    assert "--waiver" in refused.err
    assert "would be shadow" in tried.err
    assert next(one for one in before if one["workflow"] == "kpi-anomaly")["shadow"] == ""
    assert "is now shadow" in done.err
    (entry,) = run("audit", "list", "--kind", "release.deploy", "--json").json
    assert (entry["body"]["by"], entry["body"]["reason"]) == ("bob", "first")
