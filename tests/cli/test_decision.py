"""The queue on the command line: look, approve, take back, say how it turned out; every step in the journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Run

pytestmark = pytest.mark.usefixtures("filled")


def journal(run: Run, kind: str) -> list[dict[str, str]]:
    return [entry["body"] for entry in run("audit", "list", "--kind", kind, "--json").json]


def test_what_is_open_is_listed_the_most_confident_first(run: Run) -> None:
    found = run("decision", "list", "--json").json

    assert [one["target"] for one in found] == ["cell-cc", "cell-aa"]
    assert "cell-cc" in run("decision", "list").out
    assert [one["state"] for one in run("decision", "list", "--state", "rejected", "--json").json] == ["rejected"]


def test_a_decision_is_shown_with_its_reasons_and_the_row_it_was_taken_on(run: Run) -> None:
    shown = run("decision", "show", "aa")

    assert "volume 98 % below its usual Friday 12:00" in shown.err
    assert "volume" in shown.out
    assert run("decision", "explain", "aa").out == "volume 98 % below its usual Friday 12:00\n"
    assert run("decision", "show", "aa", "--json").json["row"]["volume"] == 2.0


def test_the_life_of_a_decision(run: Run) -> None:
    assert "would be approved" in run("decision", "approve", "cc", "--reason", "looked", "--dry-run").err
    assert run("decision", "show", "cc", "--json").json["state"] == "open"

    assert "is now approved" in run("decision", "approve", "cc", "--reason", "looked").err
    assert "is now open" in run("decision", "undo", "cc", "--reason", "too early", "--by", "bob").err
    assert "is now rejected" in run("decision", "reject", "cc", "--reason", "planned work").err
    assert "is wrong, says ann" in run("decision", "outcome", "cc", "wrong", "--note", "planned work").err

    assert run("decision", "show", "cc", "--json").json["outcome"] == "wrong"
    assert [(b["by"], b["reason"]) for b in journal(run, "decision.approve")] == [("ann", "looked")]
    assert [(b["by"], b["reason"]) for b in journal(run, "decision.undo")] == [("bob", "too early")]
    assert journal(run, "outcome")[-1]["note"] == "planned work"
    assert "hold together" in run("audit", "verify").err


def test_the_glass_is_broken_by_somebody_for_a_reason_and_it_stays_visible(run: Run) -> None:
    run("decision", "reject", "cc", "--reason", "planned work")

    assert "would be approved" in run("decision", "break-glass", "cc", "--reason", "it burns", "--dry-run").err
    assert "is now approved, against a limit" in run("decision", "break-glass", "cc", "--reason", "it burns").err

    assert "glass broken by ann, though it had been rejected: it burns" in run("decision", "show", "cc").err
    assert [(b["by"], b["limit"]) for b in journal(run, "decision.break_glass")] == [("ann", "it had been rejected")]


def test_a_dry_run_of_an_outcome_changes_nothing(run: Run) -> None:
    before = run("audit", "verify", "--json").json["entries"]

    assert "would be confirmed" in run("decision", "outcome", "cc", "confirmed", "--dry-run").err

    assert run("audit", "verify", "--json").json["entries"] == before


def test_the_journal_is_shown_and_handed_out_to_be_checked_elsewhere(run: Run) -> None:
    (last,) = run("audit", "list", "--limit", "1", "--json").json

    entry = run("audit", "show", last["seq"])
    exported = run("audit", "export", "out")

    assert entry.json["kind"] == last["kind"]
    assert exported.code == 0
    assert {path.name for path in Path("out").iterdir()} >= {"entries.jsonl", "checkpoints.jsonl", "public-key.pem"}
    assert len(run("audit", "list", "--limit", "0", "--json").json) > 1


def test_a_workspace_that_holds_together_has_nothing_to_complain_of(run: Run, filled: Path) -> None:
    assert "Nothing to complain of" in run("workspace", "check").err
    blob = next(path for path in (filled / "blobs").rglob("*") if path.is_file())
    blob.chmod(0o600)
    blob.write_bytes(b"touched")

    said = run("workspace", "check", "--json")

    assert said.code == 1
    assert said.json
