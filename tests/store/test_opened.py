from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trunkline.core import config
from trunkline.core.errors import TrunklineError, WorkspaceError
from trunkline.core.frames import ELEMENTS, EVENTS, RECORDS, RELATIONS
from trunkline.store.opened import DATABASE, LAYOUTS, Store, key_folder, open_store


def settings(tmp_path: Path, **flags: str) -> config.Configuration:
    return config.read(tmp_path / "w", flags={"keys": str(tmp_path / "keys"), **flags}, environment={})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "w", settings(tmp_path), clock=lambda: datetime(2026, 11, 20, 14, tzinfo=UTC), create=True)


def test_a_store_that_was_made_can_be_opened_again_with_the_same_key(store: Store, tmp_path: Path) -> None:
    store.journal.append("note", {"text": "hello"})
    store.close()

    again = open_store(tmp_path / "w", settings(tmp_path))

    assert again.signer.id == store.signer.id
    assert [entry.body for entry in again.journal.entries()] == [{"text": "hello"}]
    assert again.journal.verify().ok
    again.close()


def test_where_there_is_none_it_says_how_to_make_one_and_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="There is no workspace in") as refused:
        open_store(tmp_path / "w", settings(tmp_path))

    assert refused.value.next_step == f"trunkline workspace new {tmp_path / 'w'}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_file_that_is_no_database_is_told_by_its_path(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / DATABASE).write_bytes(content)

    with pytest.raises(WorkspaceError) as refused:
        open_store(tmp_path / "w", settings(tmp_path))

    assert str(tmp_path / "w" / DATABASE) in refused.value.where
    assert "backup" in refused.value.next_step


def test_the_signing_key_lies_outside_and_only_its_owner_reads_it(store: Store, tmp_path: Path) -> None:
    private = [path for path in (tmp_path / "keys").rglob("*") if path.is_file() and b"PRIVATE" in path.read_bytes()]

    assert len(private) == 1
    assert stat.S_IMODE(private[0].stat().st_mode) & 0o077 == 0
    assert not [path for path in store.folder.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]


def test_a_key_folder_inside_the_workspace_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrunklineError):
        open_store(tmp_path / "w", settings(tmp_path, keys=str(tmp_path / "w" / "keys")), create=True)


def test_keys_lie_where_it_is_said_else_with_the_users_own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    assert key_folder(config.read(tmp_path, environment={})) == tmp_path / "config" / "trunkline" / "keys"
    assert key_folder(settings(tmp_path)) == tmp_path / "keys"


def test_every_table_keeps_the_layout_that_travels_and_the_region_of_each_row() -> None:
    for name, layout in (("measurements", RECORDS), ("events", EVENTS), ("relations", RELATIONS), ("elements", ELEMENTS)):
        assert set(layout) <= set(LAYOUTS[name].columns), name
        assert "region" in LAYOUTS[name].columns
        assert set(LAYOUTS[name].key) <= set(LAYOUTS[name].columns)
