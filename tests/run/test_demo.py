"""The demonstration, small: every step of a workflow's life on a simulated network leaves its trace."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

import trunkline
from trunkline.core.errors import BadInput
from trunkline.run.demo import NAMES, Demo, demo, says, summary

END = datetime(2026, 11, 20, 14, tzinfo=UTC)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        return demo(folder / "trunkline-demo", at=END, sites=3, weeks=3)


@pytest.mark.slow
def test_every_file_of_the_day_is_read_or_accounted_for(lived: Demo) -> None:
    files = [f for loaded in lived.loaded[1:] for f in loaded.files]

    assert len(files) == lived.written.counts["measurement files"]
    assert {f.state for f in files} <= {"loaded", "seen before", "refused"}
    assert sum(f.rows for f in files if f.state == "loaded") > 50_000


@pytest.mark.slow
def test_both_workflows_are_trained_judged_and_their_verdicts_journaled(lived: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(lived.folder.parent / "config"))

    with trunkline.open(lived.workspace) as workspace:
        verdicts = workspace.audit.list(kind="gates.verdict")

        assert [lived.candidates[name].release.id for name in NAMES] == [v.body["release"] for v in verdicts]
        assert workspace.audit.verify().ok
        assert workspace.check() == []


@pytest.mark.slow
def test_what_is_in_the_queue_is_what_was_found_and_each_item_has_a_reason(lived: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(lived.folder.parent / "config"))
    found = {f.decision.id for findings in lived.findings.values() for f in findings}

    with trunkline.open(lived.workspace) as workspace:
        queued = workspace.decisions.list(state=None)

    assert {d.id for d in queued} == found
    assert all(d.reasons for d in queued)
    assert found, "a simulated day with a dozen faults leaves something to say"


@pytest.mark.slow
def test_the_report_says_that_all_is_simulated_and_tells_the_score(lived: Demo) -> None:
    page = lived.report.read_text(encoding="utf-8")

    assert "Everything here is simulated" in page
    assert all(line.split(":")[0] in page for line in says(lived))
    assert summary(lived)["simulated"] is True
    assert sum(summary(lived)["seconds"].values()) > 0


def test_a_folder_that_no_demonstration_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(BadInput, match="no demonstration made it"):
        demo(tmp_path)

    assert (tmp_path / "mine.txt").read_text() == "mine"
