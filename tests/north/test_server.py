"""The interface beside the service: changes reach the owner, and each process survives the other in the way that was meant."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

import trunkline

TRUNKLINE = str(Path(sys.executable).with_name("trunkline"))


@dataclass
class Service:
    """A service with its interface, in processes of their own."""

    process: subprocess.Popen[bytes]
    client: httpx.Client
    log: Path

    def answers(self) -> bool:
        try:
            return self.client.get("/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def http_pid(self) -> int:
        children = [pid for task in Path(f"/proc/{self.process.pid}/task").iterdir() for pid in (task / "children").read_text().split()]
        return next(int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes())


def until(true: Callable[[], bool], within_s: float = 60) -> None:
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with trunkline.create(tmp_path / "w") as workspace:
        key = workspace.access.new("desk", ["engineer", "operator", "administrator"])
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    log = tmp_path / "log"
    command = [TRUNKLINE, "-w", str(tmp_path / "w"), "workspace", "serve", "--http", "--port", str(port)]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stderr=file, stdout=file)
    found = Service(process, httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {key}"}, timeout=60), log)
    try:
        until(lambda: found.answers() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield found
    finally:
        found.client.close()
        process.kill()
        process.wait()


def test_a_file_sent_over_http_is_loaded_by_the_owner_and_a_term_signal_ends_both(service: Service) -> None:
    day = "time,cell,volume\n" + "".join(f"2026-11-20T{h:02d}:00:00Z,c1,{h}\n" for h in range(24))

    loaded = service.client.post("/v1/data/files", params={"name": "day.csv"}, content=day.encode())
    owner = service.client.get("/v1/workspace").json()["answer"]["owner"]
    child = service.http_pid()
    service.process.send_signal(signal.SIGTERM)

    assert loaded.json()["answer"]["files"][0]["rows"] == 24
    assert str(service.process.pid) in str(owner)
    assert service.process.wait(20) == 0
    until(lambda: not is_running(child), 10)


def test_an_interface_that_was_killed_comes_back(service: Service) -> None:
    first = service.http_pid()

    os.kill(first, signal.SIGKILL)
    until(lambda: not service.answers() or service.http_pid() != first)
    until(service.answers)

    assert service.process.poll() is None
    assert service.http_pid() != first


def test_an_interface_whose_owner_was_killed_ends_by_itself(service: Service) -> None:
    child = service.http_pid()

    service.process.kill()
    service.process.wait()

    until(lambda: not is_running(child), 20)


def test_a_port_that_is_taken_is_told_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    trunkline.create(tmp_path / "w").close()
    with socket.create_server(("127.0.0.1", 0)) as held:
        command = [TRUNKLINE, "-w", str(tmp_path / "w"), "workspace", "serve", "--http", "--port", str(held.getsockname()[1])]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 2
    assert "Nothing can listen on 127.0.0.1 port" in ended.stderr
    assert "Traceback" not in ended.stderr
