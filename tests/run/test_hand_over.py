"""Changing verbs, asked for where another process owns the workspace."""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trunkline import workspace
from trunkline.core.errors import BadInput, NotAllowed, TrunklineError, UnknownName, WorkspaceError
from trunkline.core.travel import hints
from trunkline.core.values import Decision
from trunkline.run import hand_over, load, queue, shipped
from trunkline.run.deciding import Finding
from trunkline.store import commands, owner
from trunkline.workspace import Workspace


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Workspace]:
    with workspace.create(tmp_path / "w", flags={"keys": str(tmp_path / "keys"), "operator": "ann"}) as made:
        at = datetime.now(UTC) - timedelta(hours=1)
        taken = [
            Decision("look", target=n, confidence=0.99, id=n.ljust(16, "0"), workflow="kpi-anomaly", release="r1", at=at, known_at=at) for n in ("aa", "bb")
        ]
        queue.record(made.store, shipped.find("kpi-anomaly"), [Finding(one, at) for one in taken], rows={}, counts={})
        yield made


@contextmanager
def owned(opened: Workspace) -> Iterator[None]:
    """Somebody else owns the workspace and carries out what is asked."""
    stop, mine = threading.Event(), owner.take(opened.store, "somebody else")
    assert mine is not None

    def work() -> None:
        with mine.acting():
            while not stop.wait(0.005):
                hand_over.carry_out_waiting(opened.store)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        mine.release()


def csv(folder: Path) -> Path:
    path = folder / "a.csv"
    path.write_text("time,element,volume\n" + "".join(f"2026-09-07T{h:02}:00:00Z,a,{h}\n" for h in range(24)), encoding="utf-8")
    return path


def handed_over(opened: Workspace) -> list[str]:
    return [entry.body["verb"] for entry in opened.audit.list(kind=commands.KIND)]


def test_with_nobody_there_a_command_is_the_owner_for_its_duration(opened: Workspace) -> None:
    assert opened.decisions.approve("aa", reason="seen") == "approved"

    assert handed_over(opened) == []
    assert opened.show()["owner"] == "nobody"


def test_where_another_process_owns_it_the_answer_is_that_of_a_direct_call(opened: Workspace) -> None:
    with owned(opened):
        assert opened.decisions.approve("aa", reason="seen") == "approved"
        said = opened.decisions.outcome("aa", "wrong", note="planned work")

    assert handed_over(opened) == ["decision.approve", "decision.outcome"]
    assert (said.by, said.verdict, said.note) == ("ann", "wrong", "planned work")
    assert opened.store.lake.read("events").collect()["text"].to_list() == ["wrong"]


def test_where_another_process_owns_it_the_error_is_that_of_a_direct_call(opened: Workspace) -> None:
    with pytest.raises(TrunklineError) as direct:
        opened.decisions.approve("zz", reason="seen")
    with owned(opened), pytest.raises(TrunklineError) as handed:
        opened.decisions.approve("zz", reason="seen")

    assert type(handed.value) is type(direct.value) is UnknownName
    assert str(handed.value) == str(direct.value)


def test_a_check_of_the_verb_is_a_check_of_the_command(opened: Workspace) -> None:
    opened.decisions.reject("aa", reason="known")

    with owned(opened), pytest.raises(NotAllowed, match="is rejected"):
        opened.decisions.approve("aa", reason="seen")


def test_a_load_that_was_handed_over_gives_back_what_it_found(opened: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    csv(tmp_path)
    monkeypatch.chdir(tmp_path)

    with owned(opened):
        done = opened.data.load(["a.csv"], options=load.Options(zone="Europe/Rome"))
    again = opened.data.load([tmp_path / "a.csv"])

    assert isinstance(done, load.Loaded)
    assert (done.rows, done.files[0].path) == (24, str(tmp_path / "a.csv"))
    assert done.unmapped.columns == ["object_class", "counter", "values"]
    assert again.files[0].state == "seen before"


def test_a_dry_run_is_never_handed_over(opened: Workspace) -> None:
    with owned(opened):
        assert opened.decisions.approve("aa", reason="seen", dry_run=True) == "approved"

    assert handed_over(opened) == []
    assert opened.decisions.show("aa").state == "open"


def test_under_one_key_it_happens_once(opened: Workspace) -> None:
    for _ in range(3):
        with hand_over.under("request-1"):
            assert opened.decisions.approve("aa", reason="seen") == "approved"
    with hand_over.under("request-1"), pytest.raises(BadInput, match="Another command has the id"):
        opened.decisions.approve("bb", reason="seen")

    assert handed_over(opened) == ["decision.approve"]


def test_who_waits_takes_over_from_an_owner_that_went_away(opened: Workspace) -> None:
    mine = owner.take(opened.store, "about to end")
    assert mine is not None
    threading.Timer(0.2, mine.release).start()

    assert opened.decisions.approve("aa", reason="seen") == "approved"
    assert handed_over(opened) == ["decision.approve"]


def test_where_nobody_answers_one_is_told_so_and_nothing_happens(opened: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hand_over, "PATIENCE_S", 0.1)

    with (
        owner.take(opened.store, "asleep") or pytest.fail("nobody can own it"),
        pytest.raises(WorkspaceError, match="nothing was changed, and nothing will be") as told,
    ):
        opened.decisions.approve("aa", reason="seen")

    assert f"asleep, process {os.getpid()}" in told.value.where
    with owned(opened):
        assert commands.waiting(opened.store) == []
    assert opened.decisions.show("aa").state == "open"


@pytest.mark.parametrize(
    ("verb", "arguments", "said"),
    [
        ("decision.forge", {}, "There is no changing verb 'decision.forge'"),
        ("data.list", {}, "There is no changing verb 'data.list'"),
        ("decision.approve", {"decision": "aa", "by": "ann", "reason": "seen", "force": True}, "takes no 'force'"),
        ("decision.approve", {"decision": "aa", "by": "the boss", "reason": "seen"}, "names one person or reason"),
        ("decision.approve", {"decision": 7, "by": "ann", "reason": "seen"}, "'7' is no str"),
        ("decision.approve", {"by": "ann", "reason": "seen"}, "failed inside"),
        ("decision.approve", {"decision": "aa", "by": "ann", "reason": ""}, "It needs a reason"),
    ],
)
def test_a_command_that_is_no_proper_call_is_refused(opened: Workspace, verb: str, arguments: dict[str, object], said: str) -> None:
    reason = str(arguments.get("reason", ""))
    asked = commands.ask(opened.store, verb, arguments, by="ann", reason=reason, id="c1")

    with owner.take(opened.store, "the owner") or pytest.fail("nobody can own it") as mine, mine.acting():
        hand_over.carry_out_waiting(opened.store)

    done = commands.get(opened.store, asked.id)
    assert done is not None
    with pytest.raises(TrunklineError, match=said):
        done.result()
    assert opened.decisions.show("aa").state == "open"


def test_the_list_of_verbs_holds_every_changing_one(opened: Workspace) -> None:
    verbs = opened.verbs()

    assert set(hand_over.CHANGING) <= set(verbs)
    assert {"data.load", "workflow.deploy", "workflow.rollback", "decision.approve"} <= set(hand_over.CHANGING)
    for verb, changing in hand_over.CHANGING.items():
        assert inspect.signature(verbs[verb]).parameters.keys() == inspect.signature(changing.method).parameters.keys() - {"self"}
        assert hints(changing.method).keys() >= inspect.signature(changing.method).parameters.keys() - {"self"}
        assert "return" in hints(changing.method)


def test_two_methods_of_one_verb_are_refused() -> None:
    with pytest.raises(TypeError, match="Two methods are called 'decision.approve'"):

        @hand_over.changes("decision.approve")
        def approve(self: object) -> None: ...
