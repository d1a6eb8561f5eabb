"""A key opens only what the signed journal says: whoever writes the table by hand gets nowhere, and is found out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

import trunkline
from trunkline.core.errors import AccessDenied, BadInput, NotAllowed
from trunkline.run import access
from trunkline.run.hand_over import under
from trunkline.store import transaction
from trunkline.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with trunkline.create(tmp_path / "w") as made:
        yield made


def write(workspace: Workspace, statement: str) -> None:
    with transaction(workspace.store.engine) as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        ("""UPDATE api_keys SET roles = '["administrator"]'""", "its row was changed"),
        ("UPDATE api_keys SET name = 'chief'", "its row was changed"),
        ("UPDATE api_keys SET expires_at = '2099-01-01T00:00:00.000000Z'", "its row was changed"),
    ],
)
def test_a_key_whose_row_was_edited_opens_nothing_and_the_check_names_it(workspace: Workspace, edit: str, why: str) -> None:
    key = workspace.access.new("desk", ["viewer"])

    write(workspace, edit)

    with pytest.raises(AccessDenied, match="opens nothing"):
        workspace.access.principal(key)
    [(what, told)] = workspace.check()
    assert what.startswith(f"key {key.split('_')[1]} of ")
    assert why in told


def test_a_key_that_was_written_into_the_table_opens_nothing(workspace: Workspace) -> None:
    key = workspace.access.new("desk", ["viewer"])
    id_ = key.split("_")[1]
    copied = f"INSERT INTO api_keys SELECT 'ffffffffffff', name, roles, hash, made_at, made_by, expires_at, revoked_at FROM api_keys WHERE id = '{id_}'"

    write(workspace, copied)

    with pytest.raises(AccessDenied):
        workspace.access.principal(key.replace(id_, "ffffffffffff"))
    assert workspace.access.principal(key).name == "desk"
    assert workspace.check() == [("key ffffffffffff of desk", "the journal knows nothing of it")]


def test_a_revoked_key_that_somebody_calls_good_again_opens_nothing(workspace: Workspace) -> None:
    key = workspace.access.new("desk", ["viewer"])
    asked = workspace.access.principal(key)
    id_ = key.split("_")[1]
    assert access.holds(workspace.store, asked)

    workspace.access.revoke(id_, by="admin", reason="left")
    assert workspace.check() == []
    write(workspace, "UPDATE api_keys SET revoked_at = NULL")

    with pytest.raises(AccessDenied):
        workspace.access.principal(key)
    assert not access.holds(workspace.store, asked)
    assert workspace.check() == [(f"key {id_} of desk", access.REVOKED)]


def test_a_key_that_is_gone_or_revoked_by_hand_is_found(workspace: Workspace) -> None:
    kept, gone = (workspace.access.new(name, ["viewer"]).split("_")[1] for name in ("kept", "gone"))

    write(workspace, f"DELETE FROM api_keys WHERE id = '{gone}'")
    write(workspace, f"UPDATE api_keys SET revoked_at = '2026-01-01T00:00:00.000000Z' WHERE id = '{kept}'")

    assert dict(workspace.check()) == {
        f"key {gone}": "the journal tells of it, and it is gone",
        f"key {kept} of kept": "it is revoked, and the journal does not say so",
    }


def test_a_key_for_longer_than_there_are_years_is_refused(workspace: Workspace) -> None:
    for lasts in ("999999w", "99999999999w"):
        with pytest.raises(BadInput):
            workspace.access.new("desk", ["viewer"], lasts=lasts)


def test_asked_twice_under_one_idempotency_key_one_key_is_made(workspace: Workspace) -> None:
    with under("desk-0001"):
        workspace.access.new("desk", ["viewer"])
    with under("desk-0001"), pytest.raises(NotAllowed, match="was made and shown"):
        workspace.access.new("desk", ["viewer"])

    assert [one.name for one in workspace.access.list()] == ["desk"]
