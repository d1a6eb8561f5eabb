"""Who may do what over the network: the whole matrix, deny by default, and keys that end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.north.conftest import Served

import trunkline
from trunkline.core.clock import now
from trunkline.core.errors import AccessDenied, BadInput, UnknownName
from trunkline.govern.access import ROLES, Principal
from trunkline.north.routes import ROUTES, Route
from trunkline.north.server import Binding
from trunkline.workspace import Workspace

SOMEBODY = ("operator", "engineer", "approver", "auditor", "administrator", "privacy-officer", "monitor", "viewer")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with trunkline.create(tmp_path / "w") as made:
        yield made


def path_of(route: Route) -> str:
    return route.path.format(name="no-such-workflow", id_="ffff", decision="ffff", old="ffff", new="fffe", product="nothing", entry=0, size=0)


@pytest.mark.parametrize("role", SOMEBODY)
def test_a_role_may_do_what_it_names_and_nothing_else(served: Served, role: str) -> None:
    with served.client(role) as client:
        for route in ROUTES:
            if route.verb in {"workspace.check", "audit.witness", "data.compact"} and route.verb in ROLES[role]:
                continue  # allowed, and they would work on the whole workspace
            status = client.request(route.method, path_of(route), json={} if route.method == "POST" else None).status_code

            assert (status == 403) == (route.verb not in ROLES[role]), f"{role} {route.verb}: {status}"


def test_without_a_key_only_health_and_the_description_answer(served: Served) -> None:
    with served.client() as anybody:
        open_ = [path for path in ("/health/live", "/health/ready", "/openapi.json") if anybody.get(path).status_code == 200]
        closed = {anybody.request(route.method, path_of(route), json={}).status_code for route in ROUTES}
        stream, metrics = anybody.get("/v1/decisions/stream"), anybody.get("/metrics")

    assert len(open_) == 3
    assert closed == {401}
    assert stream.status_code == metrics.status_code == 401
    assert stream.headers["www-authenticate"].startswith("Bearer")


def test_every_verb_of_the_table_is_a_role_s(served: Served) -> None:
    known = {verb for verbs in ROLES.values() for verb in verbs}

    assert {route.verb for route in ROUTES} <= known
    assert set(SOMEBODY) == set(ROLES)


@pytest.mark.parametrize("spoilt", ["", "tl", "tl_", "tl_ffff_x", "Bearer", "tl_%s_", "\N{SNOWMAN}"])
def test_a_key_that_is_none_opens_nothing(workspace: Workspace, spoilt: str) -> None:
    key = workspace.access.new("desk", ["operator"])
    id_ = key.split("_")[1]

    for one in (spoilt, spoilt.replace("%s", id_), key[:-1], key + "x", key.replace(id_, id_[::-1])):
        if one != key:
            with pytest.raises(AccessDenied, match="opens nothing"):
                workspace.access.principal(one)
    assert workspace.access.principal(key) == Principal(name="desk", roles=("operator",), key=id_)


def test_a_revoked_and_an_expired_key_open_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    time = [now()]
    with trunkline.create(tmp_path / "w", clock=lambda: time[0]) as workspace:
        short, gone = workspace.access.new("a", ["viewer"], lasts="1h"), workspace.access.new("b", ["viewer"])
        workspace.access.revoke(gone.split("_")[1], by="admin", reason="left")
        time[0] += timedelta(hours=1)

        for key in (short, gone):
            with pytest.raises(AccessDenied):
                workspace.access.principal(key)


def test_a_key_rests_nowhere(workspace: Workspace) -> None:
    key = workspace.access.new("desk", ["operator"])
    secret = key.split("_", 2)[2].encode()

    for path in workspace.store.folder.rglob("*"):
        if path.is_file():
            assert secret not in path.read_bytes(), path
    assert secret not in repr(workspace.audit.list()).encode()
    assert key not in repr(workspace.access.list())


def test_making_and_revoking_a_key_are_in_the_journal(workspace: Workspace) -> None:
    id_ = workspace.access.new("desk", ["operator"], by="admin").split("_")[1]
    workspace.access.revoke(id_, by="admin", reason="left")

    told = {e.kind: e.body for e in workspace.audit.list() if e.kind.startswith("access.")}
    assert told["access.new"]["by"] == told["access.revoke"]["by"] == "admin"
    assert told["access.revoke"]["key"] == id_


def test_a_key_needs_a_name_and_a_role_that_there_is(workspace: Workspace) -> None:
    with pytest.raises(UnknownName, match="operator"):
        workspace.access.new("desk", ["operater"])
    with pytest.raises(BadInput):
        workspace.access.new("desk", [])
    assert workspace.access.new("desk", ["viewer"], dry_run=True) == ""
    assert workspace.access.list() == []


def test_keys_never_travel_in_the_clear_to_another_machine() -> None:
    with pytest.raises(trunkline.core.errors.NotAllowed, match="in the clear"):
        Binding(address="0.0.0.0")
    assert Binding(address="::1").names[-1] == "[::1]"
    assert Binding(address="10.1.2.3", behind_proxy=True, hosts=("trunkline.example",)).names == ("10.1.2.3", "trunkline.example")
