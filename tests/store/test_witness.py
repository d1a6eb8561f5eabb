"""Checkpoints kept outside: given once each, waiting while the witness is away, and compared one and all."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from trunkline.core.errors import BadFile, BadInput, WorkspaceError
from trunkline.store import Journal, SigningKey, open_database, open_key, transaction
from trunkline.store.witness import read


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "elsewhere" / "witness.jsonl"


@pytest.fixture
def watched(engine: Engine, signer: SigningKey, clock: Any, file: Path) -> Journal:
    journal = Journal(engine, signer, clock, str(file))
    for group in (3, 1, 5):
        journal.append_many([("note", {"n": n}) for n in range(group)])
    return journal


def cut_to(engine: Engine, size: int) -> None:
    with transaction(engine) as connection:
        connection.execute(text("DELETE FROM journal_entries WHERE seq >= :size"), {"size": size})
        connection.execute(text("DELETE FROM journal_checkpoints WHERE size > :size"), {"size": size})


def test_a_witness_is_given_each_checkpoint_once(watched: Journal, file: Path) -> None:
    before = watched.witness()

    first = watched.send_witness()
    watched.append("note", {"n": 9})
    second = watched.send_witness()
    third = watched.send_witness()

    assert (before.size, before.waiting, before.at) == (0, 3, None)
    assert (first.size, first.waiting) == (9, 0)
    assert (second.size, third.size) == (10, 10)
    assert [one.size for one in read(file)] == [3, 4, 9, 10]
    assert len(file.read_bytes().splitlines()) == 4
    assert read(file)[-1] == watched.checkpoint()


def test_with_a_witness_verification_says_how_far_it_was_confirmed(watched: Journal, engine: Engine, signer: SigningKey) -> None:
    unsent = watched.verify()
    watched.send_witness()
    watched.append("note", {"n": 9})

    assert (unsent.ok, unsent.witnessed) == (True, None)
    assert (watched.verify().ok, watched.verify().witnessed, watched.verify().entries) == (True, 9, 10)
    assert Journal(engine, signer).verify().witnessed is None


@pytest.mark.parametrize("cut", [3, 4])
def test_a_journal_cut_back_is_found_out_and_the_entries_that_are_gone_are_named(watched: Journal, engine: Engine, signer: SigningKey, cut: int) -> None:
    watched.send_witness()
    cut_to(engine, cut)

    found = watched.verify()

    assert Journal(engine, signer).verify().ok  # what cannot be told without a witness
    assert (found.ok, found.first_bad, found.last_bad, found.witnessed) == (False, cut, 8, cut)
    assert "cut short" in found.why


def test_a_journal_written_anew_with_the_key_is_found_out_at_the_first_group_that_differs(watched: Journal, engine: Engine, signer: SigningKey) -> None:
    watched.send_witness()
    cut_to(engine, 3)
    forger = Journal(engine, signer)
    forger.append("note", {"n": "another"})
    forger.append_many([("note", {"n": n}) for n in range(5)])

    found = watched.verify()

    assert forger.verify().ok
    assert (found.ok, found.first_bad, found.last_bad) == (False, 3, 3)
    assert "another one" in found.why


def test_a_fork_that_has_other_groups_is_found_out(watched: Journal, engine: Engine, signer: SigningKey) -> None:
    watched.send_witness()
    cut_to(engine, 3)
    Journal(engine, signer).append_many([("note", {"n": n}) for n in range(9)])

    found = watched.verify()

    assert (found.ok, found.first_bad, found.last_bad) == (False, 3, 3)


def test_a_witness_that_is_away_holds_up_nothing_and_is_told_later(watched: Journal, file: Path) -> None:
    shutil.rmtree(file.parent)

    with pytest.raises(WorkspaceError, match="witness cannot be told"):
        watched.send_witness()
    watched.append("note", {"n": 9})
    waiting = watched.witness().waiting
    file.parent.mkdir()

    assert waiting == 4
    assert watched.send_witness().waiting == 0
    assert len(read(file)) == 4


def test_a_witness_that_lost_its_file_says_so_and_is_begun_again_only_when_asked(watched: Journal, file: Path) -> None:
    watched.send_witness()
    file.unlink()

    with pytest.raises(WorkspaceError, match="witness is gone"):
        watched.send_witness()
    with pytest.raises(BadFile, match="witness cannot be read"):
        watched.verify()

    assert watched.send_witness(again=True).waiting == 0
    assert watched.verify().witnessed == 9


def test_a_line_that_a_crash_cut_in_two_is_passed_over_when_it_was_written_again(watched: Journal, engine: Engine, file: Path) -> None:
    watched.send_witness()
    whole = file.read_bytes()
    file.write_bytes(whole[:-40])
    with transaction(engine) as connection:
        connection.execute(text("UPDATE journal_witnesses SET size = 4"))

    assert [one.size for one in read(file)] == [3, 4]
    watched.send_witness()

    assert [one.size for one in read(file)] == [3, 4, 9]
    assert watched.verify().witnessed == 9


def test_a_line_that_is_no_checkpoint_is_told_with_its_number(watched: Journal, file: Path) -> None:
    watched.send_witness()
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([lines[0], b"scribble\n", *lines[1:]]))

    with pytest.raises(BadFile, match="no checkpoint") as told:
        watched.verify()

    assert told.value.line == 2


def test_a_checkpoint_of_another_key_is_a_fault_of_the_witness(watched: Journal, tmp_path: Path, file: Path) -> None:
    watched.send_witness()
    engine = open_database(tmp_path / "other" / "trunkline.db")
    other = Journal(engine, open_key(tmp_path / "other-keys"))
    other.append("note", {})
    with file.open("a") as lines:
        lines.write(json.dumps(other.checkpoint().plain()) + "\n")
    engine.dispose()

    with pytest.raises(BadInput, match="signature is of another key"):
        watched.verify()
    with pytest.raises(BadInput, match="signature is of another key"):
        watched.verify([replace(watched.checkpoint(), size=8)])


def test_a_witness_inside_the_workspace_is_refused(engine: Engine, signer: SigningKey, tmp_path: Path) -> None:
    journal = Journal(engine, signer, witness=str(tmp_path / "data" / "witness.jsonl"))
    journal.append("note", {})

    with pytest.raises(WorkspaceError, match="inside the workspace"):
        journal.send_witness()


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    class Kept(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answers: list[int] = self.server.answers  # type: ignore[attr-defined]
            status = answers.pop(0) if answers else 204
            if status == 204:
                self.server.kept += body  # type: ignore[attr-defined]
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    made: Any = HTTPServer(("127.0.0.1", 0), Kept)
    made.kept, made.answers = b"", []
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def test_a_url_is_posted_each_checkpoint_and_what_it_kept_is_a_witness_file(engine: Engine, signer: SigningKey, server: Any, file: Path) -> None:
    journal = Journal(engine, signer, witness=f"http://127.0.0.1:{server.server_port}/checkpoints")
    for n in range(3):
        journal.append("note", {"n": n})

    sent = journal.send_witness()
    journal.append("note", {"n": 3})
    journal.send_witness()
    file.write_bytes(server.kept)

    assert (sent.size, sent.waiting) == (3, 0)
    assert journal.verify().witnessed is None  # it cannot be read back
    assert journal.verify(read(file)).witnessed == 4


@pytest.mark.parametrize("status", [500, 302, 404])
def test_a_url_that_does_not_say_yes_has_not_kept_it(engine: Engine, signer: SigningKey, server: Any, status: int) -> None:
    journal = Journal(engine, signer, witness=f"http://127.0.0.1:{server.server_port}/checkpoints")
    journal.append("note", {"n": 0})
    server.answers = [status]

    with pytest.raises(WorkspaceError, match=str(status)):
        journal.send_witness()

    assert journal.witness().waiting == 1
    assert journal.send_witness().waiting == 0


def test_without_a_witness_there_is_nothing_to_send(journal: Journal) -> None:
    journal.append("note", {})

    assert journal.send_witness().where == ""
    assert journal.verify().witnessed is None


@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_witness_that_somebody_shortened_confirms_nothing_silently(watched: Journal, file: Path, left: int) -> None:
    watched.send_witness()
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:left]))

    found = watched.verify()

    assert not found.ok
    assert "shortened or emptied" in found.why
    assert (found.first_bad, found.last_bad) == ([0, 3, 4][left], 8)
