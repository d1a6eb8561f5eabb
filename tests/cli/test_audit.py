"""What an auditor types: a witness beside the journal, and proofs that are checked without it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from tests.cli.conftest import Run

pytestmark = pytest.mark.usefixtures("filled")


def test_a_journal_cut_back_is_told_only_with_a_witness(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_WITNESS", "kept.jsonl")
    tried, sent = run("audit", "witness", "--dry-run", "--json"), run("audit", "witness")
    monkeypatch.delenv("TRUNKLINE_WITNESS")
    whole = run("audit", "verify", "--witness", "kept.jsonl", "--json").json
    database = sqlite3.connect("trunkline-workspace/trunkline.db")
    with database:
        database.execute("delete from journal_checkpoints where size > 1")
        database.execute("delete from journal_entries where seq >= (select max(size) from journal_checkpoints)")
    database.close()

    alone, found = run("audit", "verify"), run("audit", "verify", "--witness", "kept.jsonl")

    assert tried.json["waiting"] > 0
    assert "0 checkpoints wait" in sent.err
    assert whole["witnessed"] == whole["entries"]
    assert alone.code == 0
    assert "Internally consistent only: no outside witness" in alone.err
    assert found.code == 1
    assert "cut short" in found.err


def test_without_a_witness_it_says_how_to_have_one(run: Run) -> None:
    said = run("audit", "witness")

    assert said.code == 0
    assert "setting 'witness'" in said.err
    assert run("audit", "verify", "--json").json["witnessed"] is None


def test_a_proof_is_checked_without_the_workspace_and_a_changed_one_is_refused(run: Run) -> None:
    proof = run("audit", "prove", "0", "--json").json
    Path("proof.json").write_text(json.dumps(proof))
    Path("changed.json").write_text(json.dumps({**proof, "seq": 1}))
    Path("key.pem").write_text(proof["public_key"])

    good, bad = run("-w", "nowhere", "audit", "check-proof", "proof.json", "--key", "key.pem", "--json"), run("audit", "check-proof", "changed.json")

    assert (good.code, good.json["ok"], good.json["is_own_key"]) == (0, True, False)
    assert bad.code == 1
    assert "not shown" in bad.err


def test_what_cannot_be_proven_or_checked_is_refused_in_words(run: Run) -> None:
    Path("text.json").write_text("no proof")

    assert "Name an entry, or --since" in run("audit", "prove").err
    assert "Name an entry, or --since" in run("audit", "prove", "0", "--since", "1").err
    assert "no entry 9999" in run("audit", "prove", "9999").err
    assert "no proof" in run("audit", "check-proof", "text.json").err
