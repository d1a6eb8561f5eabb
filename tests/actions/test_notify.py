"""Telling another system: where to, how, and what it says when it fails."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trunkline.actions import NotDelivered, Notify
from trunkline.core.errors import WorkflowError
from trunkline.core.values import Decision

AT = datetime(2026, 11, 20, 8, tzinfo=UTC)
ONE = Decision("reset_cell", target="c1", confidence=0.99, id="d1", at=AT, known_at=AT)


@pytest.mark.parametrize(
    "to",
    ["", "tickets.example", "http://tickets.example/new", "ftp://tickets.example", "file:relative", "file://host/path", "https://", "http://10.0.0.1/"],
)
def test_a_place_that_is_not_safe_or_none_is_refused(to: str) -> None:
    with pytest.raises(WorkflowError, match="no place to send a message to"):
        Notify(to=to)


def test_a_secret_in_the_address_is_refused() -> None:
    with pytest.raises(WorkflowError, match="secret"):
        Notify(to="https://me:password@tickets.example/new")


def test_a_file_gets_one_whole_line_a_message(tmp_path: Path) -> None:
    notify = Notify(to=f"file:{tmp_path}/out.jsonl")

    for key in ("d1-act-1", "d1-undo-1"):
        notify.deliver(notify.message(ONE, at=AT), key=key)

    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["key"] for line in lines] == ["d1-act-1", "d1-undo-1"]
    assert stat.S_IMODE((tmp_path / "out.jsonl").stat().st_mode) == 0o600


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotDelivered, match="cannot be written"):
        Notify(to=f"file:{tmp_path}/no/where").deliver({}, key="k")


def test_nobody_there_is_told_and_may_be_tried_again() -> None:
    with pytest.raises(NotDelivered, match="did not get through") as failed:
        Notify(to="http://127.0.0.1:9/", timeout="1s").deliver({}, key="k")

    assert not failed.value.is_final


def test_a_token_that_is_not_there_is_told_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TICKETS_TOKEN", raising=False)

    with pytest.raises(NotDelivered, match="TICKETS_TOKEN"):
        Notify(to="https://tickets.example/new", token_from="TICKETS_TOKEN").deliver({}, key="k")


def test_a_dry_run_shows_the_message() -> None:
    receipt = Notify(to="https://tickets.example/new").act(ONE, at=AT, dry_run=True)

    assert receipt.state == "dry-run"
    assert receipt.detail["message"]["target"] == "c1"
