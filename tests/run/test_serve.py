"""The service, the command line and a notebook on one workspace at once, and what a kill leaves."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import SOAK

from trunkline import gates, workspace
from trunkline.core.config import Configuration
from trunkline.core.errors import NotAllowed, TrunklineError, WorkspaceError
from trunkline.core.values import Decision
from trunkline.run import gather, load, queue, releases, serve, shipped, steps
from trunkline.run.deciding import Finding
from trunkline.run.train import train
from trunkline.store import catalogue, commands, owner, troubles
from trunkline.store.opened import Store
from trunkline.workflow import Workflow
from trunkline.workspace import Workspace

CLI = (sys.executable, "-c", "from trunkline.cli import main; main()")
PATIENT_S = 30.0


def put(opened: Workspace, *names: str) -> None:
    at = datetime.now(UTC) - timedelta(hours=1)
    taken = [
        Decision("investigate", target=name, confidence=0.99, id=name.ljust(16, "0"), workflow="kpi-anomaly", release="r1", at=at, known_at=at)
        for name in names
    ]
    queue.record(opened.store, shipped.find("kpi-anomaly"), [Finding(one, at) for one in taken], rows={}, counts={})


def series(path: Path, element: str, hours: int = 48) -> Path:
    lines = [f"2026-09-{7 + h // 24:02}T{h % 24:02}:00:00Z,{element},{h}" for h in range(hours)]
    path.write_text("time,element,volume\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def until(holds: Callable[[], object], seconds: float = PATIENT_S) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.02)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace that processes find by their environment."""
    monkeypatch.setenv("TRUNKLINE_KEYS", str(tmp_path / "keys"))
    monkeypatch.setenv("TRUNKLINE_OPERATOR", "ann")
    workspace.create(tmp_path / "w").close()
    return tmp_path / "w"


@contextmanager
def started(home: Path) -> Iterator[subprocess.Popen[str]]:
    with (home.parent / "service.log").open("a", encoding="utf-8") as told:
        process = subprocess.Popen([*CLI, "-w", str(home), "workspace", "serve"], stderr=told, stdout=subprocess.DEVNULL, text=True)
    try:
        with workspace.open(home) as opened:
            until(lambda: (who := owner.owner_of(opened.store)) is not None and who.pid == process.pid)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@contextmanager
def serving(opened: Workspace) -> Iterator[threading.Event]:
    """A service in a thread of this process."""
    stop, ready = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(opened.serve, stop=stop, ready=ready.set)
        assert ready.wait(PATIENT_S)
        try:
            yield stop
        finally:
            stop.set()
            assert running.result(PATIENT_S)


def approvals(opened: Workspace) -> list[str]:
    return sorted(entry.body["decision"].rstrip("0") for entry in opened.audit.list(kind="decision.approve"))


@pytest.mark.slow
def test_a_service_the_command_line_and_a_notebook_at_once_and_kills_lose_nothing_and_double_nothing(home: Path) -> None:
    kills = min(SOAK, 20)
    names = [f"n{number:x}x" for number in range(12 * kills)]
    with workspace.open(home) as opened:
        put(opened, "ccx", *names)
        waited: list[float] = []

        def approve_all() -> None:
            with workspace.open(home) as mine:
                for name in names:
                    began = time.monotonic()
                    mine.decisions.approve(name, reason="seen")
                    waited.append(time.monotonic() - began)

        def typed(*words: str) -> subprocess.Popen[bytes]:
            return subprocess.Popen([*CLI, "-w", str(home), *words], stderr=subprocess.DEVNULL)

        with ThreadPoolExecutor(1) as notebook:
            shell, at_it = list[subprocess.Popen[bytes]](), None
            for kill in range(kills):
                with started(home) as service:
                    if at_it is None:
                        shell = [
                            typed("decision", "approve", "ccx", "--reason", "seen"),
                            typed("data", "load", str(series(home.parent / "a.csv", "a"))),
                        ]
                        at_it = notebook.submit(approve_all)
                    until(lambda kill=kill: len(waited) >= min(12 * kill + 3, len(names)))  # type: ignore[misc]
                    service.send_signal(signal.SIGKILL)
            with started(home) as last:
                assert at_it is not None
                at_it.result(PATIENT_S)
                assert [one.wait(PATIENT_S) for one in shell] == [0, 0]
                last.terminate()
                assert last.wait(5) == 0

        assert approvals(opened) == sorted(["ccx", *names])
        assert {one.state for one in opened.decisions.list(state=None)} == {"approved"}
        assert opened.show()["tables"] == {"measurements": 48}
        assert opened.audit.verify().ok
        assert opened.check() == []
        assert opened.show()["owner"] == "nobody"
        assert max(waited) < 10


def test_a_file_in_the_inbox_is_taken_in_once_and_stays(home: Path, tmp_path: Path) -> None:
    (home / "trunkline.toml").write_text('inbox = "in"\ninbox_settles = "0.1s"\n', encoding="utf-8")
    (home / "in").mkdir()
    with workspace.open(home) as opened:
        with serving(opened):
            series(tmp_path / "a.csv", "a").rename(home / "in" / "a.csv")
            until(lambda: opened.show()["tables"].get("measurements") == 48)
        with serving(opened):
            series(home / "in" / "b.csv", "b")
            until(lambda: opened.show()["tables"].get("measurements") == 96)

        assert (home / "in" / "a.csv").is_file()
        assert opened.store.intake.duplicates() == 0


def test_one_failing_workflow_stops_neither_another_nor_the_commands(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stepped = threading.Event()

    def step(store: Store, workflow: Workflow, **_how: object) -> list[object]:
        if workflow.name == "capacity":
            raise ValueError("it is broken")
        stepped.set()
        return []

    monkeypatch.setattr(steps, "step", step)
    monkeypatch.setattr(serve.Service, "_find", lambda _self, name: shipped.find(name))
    with workspace.open(home) as opened:
        put(opened, "aax")
        with opened.store.engine.begin() as connection:
            for name in ("capacity", "kpi-anomaly", "unheard-of"):
                values = {"state": "live", "made_at": datetime.now(UTC), "changed_at": datetime.now(UTC), "model": "m", "body": {}, "card": {}}
                catalogue.add(connection, catalogue.releases, id=name, workflow=name, **values)
        with serving(opened):
            assert stepped.wait(PATIENT_S)
            until(lambda: {"workflow capacity", "workflow unheard-of"} <= opened.show()["troubles"].keys())

            assert opened.decisions.approve("aax", reason="seen") == "approved"

            told = opened.show()["troubles"]
            assert "it is broken" in told["workflow capacity"]
            assert "There is no workflow 'unheard-of'" in told["workflow unheard-of"]


def test_what_fails_is_tried_again_and_forgotten_when_it_works(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([OSError("the disk is away")])

    def expire(store: Store) -> int:
        for broken in answers:
            raise broken
        return 0

    monkeypatch.setattr(queue, "expire", expire)
    with workspace.open(home) as opened, serving(opened):
        until(lambda: "the disk is away" in str(opened.show()["troubles"]))
        until(lambda: not opened.show()["troubles"])


def test_there_is_one_service_a_workspace(home: Path) -> None:
    with workspace.open(home) as opened, serving(opened), workspace.open(home) as another, pytest.raises(WorkspaceError, match="owns the workspace"):
        another.serve()


def test_a_service_whose_lock_was_taken_from_it_ends(home: Path) -> None:
    ready, told = threading.Event(), list[TrunklineError]()
    with workspace.open(home) as opened:

        def run() -> None:
            try:
                opened.serve(ready=ready.set)
            except NotAllowed as lost:
                told.append(lost)

        thread = threading.Thread(target=run)
        thread.start()
        assert ready.wait(PATIENT_S)
        (home / owner.LOCK).unlink()
        thread.join(PATIENT_S)

        assert "no longer owns" in told[0].what
        with owner.take(opened.store, "the next one") or pytest.fail("nobody can own it now"):
            pass


def test_what_runs_beside_the_service_changes_things_through_it(home: Path) -> None:
    said: list[str] = []

    def beside(opened: Workspace, stop: threading.Event) -> None:
        said.append(opened.decisions.approve("aax", reason="seen", by="rest"))
        stop.set()

    with workspace.open(home) as opened:
        put(opened, "aax")

        assert opened.serve(beside=[beside])

        assert said == ["approved"]
        assert [entry.body["by"] for entry in opened.audit.list(kind="command")] == ["rest"]


def test_a_command_left_by_a_dead_owner_is_carried_out_once_by_the_next(home: Path) -> None:
    with workspace.open(home) as opened:
        put(opened, "aax")
        left = commands.ask(opened.store, "decision.approve", {"decision": "aax", "by": "ann", "reason": "seen"}, by="ann", reason="seen", id="left")
        with serving(opened):
            until(lambda: (now := commands.get(opened.store, left.id)) is not None and now.is_over)
        with serving(opened):
            pass

        assert approvals(opened) == ["aax"]


def test_system_is_told_when_the_service_is_ready(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    address = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as system:
        system.bind(address)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        with workspace.open(home) as opened, serving(opened):
            assert system.recv(100) == b"READY=1"


def test_troubles_of_the_service_before_are_forgotten(home: Path) -> None:
    with workspace.open(home) as opened:
        troubles.note(opened.store.engine, "workflow x", "it was broken", at=datetime.now(UTC))
        with serving(opened):
            assert opened.show()["troubles"] == {}


HOW: dict[str, Any] = {"release": None, "by": "ann", "reason": "looked at it", "waiver": "", "dry_run": False}


def test_a_service_decides_on_what_its_inbox_brings_and_nothing_twice(
    store: Store, workflow: Workflow, write_csv: Callable[..., Path], present: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fair = replace(workflow, gates=(gates.Parity(),))
    monkeypatch.setattr(serve.Service, "_find", lambda *_of: fair)
    monkeypatch.setattr(shipped, "find", lambda _name: fair)
    load.load(store, [write_csv("history.csv", weeks=4)])
    found = gather.gather(store, fair)
    releases.keep(store, train(found.workflow, found.facts, context=found.context, signer=store.signer, at=store.clock(), seed=3))
    for _ in range(2):
        releases.forward(store, fair, **HOW)
        present.at += timedelta(days=7)
    settings = replace(store.configuration.settings, inbox="in", inbox_settles="0.1s", inbox_arrival="period end")  # a backlog
    (store.folder / "in").mkdir()
    opened = Workspace(replace(store, configuration=Configuration(settings, {})))

    with serving(opened):
        write_csv("more.csv", weeks=4.5).rename(store.folder / "in" / "more.csv")
        until(lambda: opened.decisions.list(state=None))
        asked = opened.workflows.run("strange")
    said = [(one.id, one.target, one.at) for one in opened.decisions.list(state=None)]
    with serving(opened):
        again = opened.workflows.run("strange")

    assert len(said) == len(set(said)) > 0
    assert [(one.id, one.target, one.at) for one in opened.decisions.list(state=None)] == said
    assert [one.mode for one in asked] == [one.mode for one in again] == ["live"]
    assert sum(one.rows for one in again) == 0
    assert opened.show()["troubles"] == {}
