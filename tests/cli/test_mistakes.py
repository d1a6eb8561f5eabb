"""A user's mistake is a message with what, where, what was allowed and what to do next; never a stack trace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .conftest import Run


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("wrokflow list", "Did you mean 'workflow'?"),
        ("workflow lsit", "No such command 'lsit'"),
        ("workflow list --jsn", "No such option"),
        ("workflow show", "Missing argument 'NAME'"),
        ("workflow show kpi-anomoly", "Did you mean 'kpi-anomaly'?"),
        ("workflow check nothing.py", "There is no workflow file 'nothing.py'"),
        ("workflow new Busy", "'Busy' is no name of a workflow"),
        ("workflow replay kpi-anomaly nothing.csv", "There is no file 'nothing.csv'"),
        ("workflow replay kpi-anomoly cells.csv", "Did you mean 'kpi-anomaly'?"),
        ("workflow replay kpi-anomaly cells.csv --zone Europe/Roma", "There is no time zone 'Europe/Roma'"),
        ("workflow replay kpi-anomaly cells.csv --every often", "'often' is not a length of time"),
        ("workflow replay kpi-anomaly cells.csv --every 15m", "The data come every 1h"),
        ("workflow replay kpi-anomaly cells.csv --kpi volume", "is not WANTED=GIVEN"),
        ("workflow replay kpi-anomaly cells.csv --kpi dl_volume=volum", "Did you mean 'volume'?"),
        ("workflow replay kpi-anomaly cells.csv --from soon", "is no date or time"),
        ("workflow replay kpi-anomaly cells.csv --from 2030-01-01", "Judging cannot begin at 2030-01-01"),
        ("workflow replay kpi-anomaly cells.csv --truth nothing.csv", "The known faults cannot be read"),
        ("workflow replay kpi-anomaly cells.csv --map nothing.toml", "nothing.toml"),
        ("workflow replay kpi-anomaly", "Which files?"),
        ("workflow replay cells.csv", "Which workflow?"),
        ("workflow train kpi-anomaly", "There is no workspace in trunkline-workspace"),
        ("workflow run kpi-anomaly", "There is no workspace in trunkline-workspace"),
        ("workflow deploy kpi-anomaly --reason x", "There is no workspace in trunkline-workspace"),
        ("workflow deploy kpi-anomaly", "Missing option '--reason'"),
        ("workflow rollback kpi-anomaly --reason x", "There is no workspace"),
        ("workflow diff a b", "There is no workspace"),
        ("data load nothing.csv", "There is no workspace"),
        ("data load", "Missing argument 'FILES...'"),
        ("data check nothing.csv", "There is no file 'nothing.csv'"),
        ("data map nothing.csv", "does not exist"),
        ("data list", "trunkline workspace new trunkline-workspace"),
        ("data show planets", "'planets' is not one of"),
        ("feature list kpi-anomoly", "Did you mean 'kpi-anomaly'?"),
        ("feature show kpi-anomaly", "There is no workspace"),
        ("model show harmonics", "Did you mean 'harmonic'?"),
        ("model check nothing", "There is no model 'nothing'"),
        ("gate show r1", "There is no workspace"),
        ("gate run kpi-anomaly", "There is no workspace"),
        ("decision list", "There is no workspace"),
        ("decision approve d1", "Missing option '--reason'"),
        ("decision outcome d1 maybe", "'maybe' is not one of"),
        ("audit verify", "There is no workspace"),
        ("audit show first", "'first' is not a valid integer"),
        ("workspace show", "There is no workspace"),
        ("workspace check", "There is no workspace"),
        ("simulator make net --preset huge", "'huge' is not one of"),
        ("-w cells.csv workspace show", "is a file"),
    ],
)
@pytest.mark.usefixtures("csv")
def test_a_mistake_is_a_message_and_exit_code_2(line: str, says: str, run: Run) -> None:
    said = run(*line.split())

    assert says in said.err
    assert said.code == 2
    assert said.out == ""


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("decision show zz", "There is no decision 'zz'"),
        ("decision approve bb --reason x", "is rejected"),
        ("decision undo aa --reason x", "undo follows approved or rejected"),
        ("gate show zz", "There is no release 'zz'"),
        ("workflow diff zz zz", "There is no release 'zz'"),
        ("workflow deploy sleeping-cell --reason x", "trunkline workflow train sleeping-cell"),
        ("workflow rollback kpi-anomaly --reason x", "has no earlier release to go back to"),
        ("workflow train kpi-anomaly --against harmonics", "Did you mean 'harmonic'?"),
        ("workflow train sleeping-cell", "rrc_attempts"),
        ("workspace new", "There is a workspace in trunkline-workspace already"),
        ("audit show 9999", "9999"),
    ],
)
def test_a_step_that_may_not_be_taken_says_what_may(line: str, says: str, run: Run) -> None:
    said = run(*line.split())

    assert says in said.err
    assert said.code == 2


def test_a_wrong_setting_is_told_before_anything_is_done(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_ZONE", "Europe/Roma")

    said = run("workspace", "new")

    assert said.code == 2
    assert "There is no time zone 'Europe/Roma'" in said.err
    assert "environment TRUNKLINE_ZONE" in said.err


def test_a_broken_workspace_is_told_by_its_file(run: Run) -> None:
    folder = Path("trunkline-workspace")
    folder.mkdir()
    (folder / "trunkline.db").write_bytes(b"no database" * 500)

    said = run("workspace", "show")

    assert said.code == 2
    assert "trunkline.db" in said.err
    assert "backup" in said.err


def test_too_little_data_is_said_and_nothing_is_claimed(run: Run) -> None:
    Path("one.csv").write_text("time,element,volume\n2026-11-20T14:00:00Z,a,5\n2026-11-20T15:00:00Z,a,6\n", encoding="utf-8")

    said = run("workflow", "replay", "kpi-anomaly", "one.csv")

    assert said.code == 2
    assert "TooLittleData: 1 counter read. 1 KPI of 1 element(s) read, 2 periods, too little to judge." in said.err
    assert "Nothing is claimed" in said.err
    assert not Path("trunkline-replay/report.html").exists()


def test_one_period_is_said_to_be_one_and_what_it_asks_for_helps(run: Run) -> None:
    Path("one.csv").write_text("time,element,volume\n2026-11-20T14:00:00Z,a,5\n2026-11-20T14:00:00Z,b,6\n", encoding="utf-8")

    asked = run("workflow", "replay", "kpi-anomaly", "one.csv")
    answered = run("workflow", "replay", "kpi-anomaly", "one.csv", "--every", "1h")

    assert asked.code == answered.code == 2
    assert "The length of a period is not known: no element has two different times" in asked.err
    assert "Add --every 15m" in asked.err
    assert "1 period, too little to judge" in answered.err


def test_an_error_carries_its_name_so_that_it_can_be_looked_up(run: Run) -> None:
    assert run("workflow", "show", "nothing").err.startswith("UnknownName: There is no workflow 'nothing'.\n  Allowed: ")


@pytest.mark.usefixtures("csv")
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("data map pipe", "'pipe' is a pipe or a device"),
        ("audit check-proof pipe", "'pipe' is a pipe or a device"),
        ("audit check-proof /dev/zero", "'/dev/zero' is a pipe or a device"),
        ("workflow replay kpi-anomaly pipe", "This is a pipe or a device"),
        ("workflow replay kpi-anomaly /dev/zero", "This is a pipe or a device"),
        ("workflow check leaves.py", "It ends the program when it is read: exit 3"),
        ("data check " + "x" * 5000, "No file can have this name"),
        ("data show measurements --limit -1", "is not in the range"),
        ("workspace serve --http --port 65536", "is not in the range"),
        ("feature check kpi-anomaly --days 0", "is not in the range"),
    ],
)
def test_what_would_hang_end_the_program_or_never_end_is_refused(line: str, says: str, run: Run) -> None:
    os.mkfifo("pipe")
    Path("leaves.py").write_text("import sys\nsys.exit(3)\n")

    said = run(*line.split())

    assert says in said.err
    assert said.code == 2


def test_what_the_system_refuses_is_a_message(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error", "cells.csv")

    monkeypatch.setattr("trunkline.workspace.open", refuses)
    said = run("workspace", "show")

    assert said.code == 2
    assert said.err.splitlines()[:2] == ["The system refused: Input/output error.", "  Where: 'cells.csv'"]


@pytest.mark.usefixtures("filled")
def test_a_blank_reason_is_none(run: Run) -> None:
    said = run("decision", "undo", "bb", "--reason", "   ")

    assert "It needs a reason" in said.err
    assert said.code == 2
