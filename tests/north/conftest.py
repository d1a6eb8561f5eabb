"""A workspace with a few decisions, served on a free port of this machine, and clients with the keys of each role."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

import trunkline
from trunkline.core.values import Decision, Reason
from trunkline.govern.access import ROLES
from trunkline.north.server import Binding, Server
from trunkline.run import queue, shipped
from trunkline.run.deciding import Finding
from trunkline.workspace import Workspace

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Served:
    """The workspace as its owner holds it, and its interface."""

    workspace: Workspace
    server: Server
    keys: dict[str, str]

    def client(self, role: str | None = None, **headers: str) -> httpx.Client:
        """A client with the key of *role*; with none, without a key."""
        given = {"Authorization": f"Bearer {self.keys[role]}"} if role else {}
        return httpx.Client(base_url=self.server.url, headers={**given, **headers}, timeout=60)

    def propose(self, name: str, *, target: str = "c1", confidence: float = 0.99) -> str:
        """Put one decision into the queue; gives its id."""
        workflow = shipped.find("kpi-anomaly")
        at = self.workspace.store.clock()
        reason = Reason(column="volume", text="volume 98 % below its usual Friday 12:00", weight=1.0)
        decision = Decision(
            "investigate",
            target=target,
            confidence=confidence,
            reasons=(reason,),
            id=f"{name}{'0' * (16 - len(name))}",
            workflow=workflow.name,
            release="r1",
            at=at,
            known_at=at,
            mode="live",
        )
        queue.record(self.workspace.store, workflow, [Finding(decision, at + timedelta(hours=1))], rows={decision.id: {"volume": 3.0}}, counts={"none": 7})
        return decision.id


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("rest")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        with trunkline.create(folder / "w") as workspace:
            keys = {role: workspace.access.new(f"the {role}", [role]) for role in ROLES}
            keys["everything"] = workspace.access.new("everybody", list(ROLES))
            server = Server(workspace.store.folder, Binding(port=0))
            try:
                _wait(server)
                yield Served(workspace, server, keys)
            finally:
                server.stop()


def _wait(server: Server) -> None:
    for _ in range(600):
        try:
            assert httpx.get(f"{server.url}/health/ready").status_code == 200
        except httpx.TransportError:
            assert server.is_alive, "the server ended before it answered"
            time.sleep(0.1)
        else:
            return
    pytest.fail("the server did not answer within a minute")


Until = Callable[[Callable[[], Any]], Any]
