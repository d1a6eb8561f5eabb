"""What an older release wrote is opened, brought forward once and whole; what a newer one wrote is refused."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sqlalchemy import Column, MetaData, String, Table, text
from tests.fixtures.write_workspace import volumes

from trunkline import workspace as workspaces
from trunkline.core.errors import WorkspaceError
from trunkline.features import history
from trunkline.run import gather, releases, shipped
from trunkline.store import catalogue, migrations, open_database, prepare, reading, transaction
from trunkline.workspace import Workspace

FIXTURES = Path(__file__).parents[1] / "fixtures"
ARCHIVES = sorted(FIXTURES.glob("workspace-format-*.tar.gz"))
LATER = datetime(2026, 10, 14, 13, tzinfo=UTC)

Open = Callable[..., Workspace]


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.name.split(".")[0])
def written(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of what an older release wrote."""
    with tarfile.open(request.param) as tar:
        tar.extractall(tmp_path, filter="data")
    (tmp_path / "keys" / "journal.key").chmod(0o600)
    (tmp_path / "keys").chmod(0o700)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def opened(written: Path) -> Iterator[Workspace]:
    with _open(written) as workspace:
        yield workspace


def _open(folder: Path) -> Workspace:
    return workspaces.open(folder / "workspace", flags={"keys": str(folder / "keys"), "operator": "ann"}, clock=lambda: LATER)


@pytest.fixture
def expected(written: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((written / "expected.json").read_text())
    return found


def test_there_is_a_workspace_of_every_older_format() -> None:
    assert [int(path.name.split("-")[2].split(".")[0]) for path in ARCHIVES] == list(range(1, catalogue.FORMAT))
    assert sorted(migrations.STEPS) == list(range(1, catalogue.FORMAT))
    assert all(path.stat().st_size < 300_000 for path in ARCHIVES)


def test_it_is_opened_listed_verified_and_nothing_in_it_is_wrong(opened: Workspace, expected: dict[str, Any]) -> None:
    assert opened.show()["format"] == catalogue.FORMAT
    assert opened.data.list()["file"].to_list() == expected["files"]
    assert opened.store.lake.read("measurements").collect().height == expected["measurements"]
    assert sorted([one.id, one.state, one.outcome] for one in opened.decisions.list(state=None)) == expected["decisions"]
    assert opened.audit.verify().ok
    assert opened.store.journal.root(expected["journal"]).hex() == expected["root"]
    assert opened.check() == []


def test_its_releases_score_as_they_did(opened: Workspace, expected: dict[str, Any]) -> None:
    (row,) = catalogue.rows(opened.store.engine, catalogue.releases, catalogue.releases.c.id == expected["release"])
    found = gather.gather(opened.store, shipped.find("strange.py"))
    rows = history(gather.bound(found), found.facts).sort("entity", "at").tail(len(expected["scores"]))

    scores = releases.fitted(opened.store, row).score(rows)

    wanted = np.array([np.nan if score is None else score for score in expected["scores"]])
    np.testing.assert_allclose(scores, wanted, rtol=0, atol=1e-9)


def test_it_takes_in_more_and_its_live_release_decides_on_it(opened: Workspace, written: Path) -> None:
    _hours(written / "more.csv")

    loaded = opened.data.load([written / "more.csv"])
    worked = opened.workflows.run("strange.py")

    assert loaded.rows == 48
    assert [one.mode for one in worked] == ["live"]
    assert sum(one.rows for one in worked) > 0
    assert opened.audit.verify().ok
    assert opened.check() == []


def test_it_moves_to_postgresql_and_works_on_there(opened: Workspace, written: Path, expected: dict[str, Any], postgres: str) -> None:
    opened.backup(written / "backup")
    flags = {"keys": str(written / "keys"), "operator": "ann", "database": f"{postgres}?schema=moved"}
    workspaces.restore(written / "backup", written / "moved", nothing_erased=True, by="ann", reason="it grew", flags=flags, clock=lambda: LATER)

    with workspaces.open(written / "moved", flags=flags, clock=lambda: LATER) as moved:
        _hours(written / "more.csv")
        moved.data.load([written / "more.csv"])
        (worked,) = moved.workflows.run("strange.py")
        (said, *_) = moved.decisions.list()
        moved.decisions.approve(said.id, reason="seen on site")
        moved.decisions.outcome(said.id, "confirmed", note="power was out")
        moved.workflows.train("strange.py", seed=4)
        moved.workflows.deploy("strange.py", reason="newer")

        assert worked.rows > 0
        assert sorted(one.outcome for one in moved.decisions.list(state=None)) == ["", "", "", "confirmed", "confirmed"]
        assert moved.store.journal.root(expected["journal"]).hex() == expected["root"]
        assert moved.workflows.releases("strange.py")["state"].to_list() == ["shadow", "live"]
        assert moved.check() == []


def _hours(path: Path) -> None:
    """The day after the fixture's last, calm until its last four hours."""
    found = volumes(876, 900).with_row_index("n").with_columns(volume=pl.col("volume") * pl.when(pl.col("n") % 24 >= 20).then(0.02).otherwise(1.0))
    found.drop("n").write_csv(path)


def test_it_is_brought_forward_once_told_and_a_copy_is_kept(written: Path) -> None:
    for _ in range(2):
        with _open(written) as workspace:
            told = [entry.body for entry in workspace.audit.list(kind="workspace.migrated")]

    kept = list((written / "workspace").glob("trunkline.db.format-*"))
    assert told == [{"from": 1, "to": catalogue.FORMAT}]
    assert [path.name for path in kept] == ["trunkline.db.format-1"]
    assert _format(kept[0]) == "1"


def test_a_step_that_fails_leaves_it_as_it_was(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(connection: Any) -> None:
        connection.execute(text("UPDATE meta SET value = 'half' WHERE key = 'loaded'"))
        raise RuntimeError

    monkeypatch.setattr(migrations, "STEPS", dict.fromkeys(migrations.STEPS, fails))
    with pytest.raises(RuntimeError):
        _open(written)

    engine = open_database(written / "workspace" / "trunkline.db")
    assert catalogue.told(engine, "format") == "1"
    assert catalogue.told(engine, "loaded") != "half"
    engine.dispose()
    monkeypatch.undo()
    monkeypatch.chdir(written)
    with _open(written) as workspace:
        assert workspace.check() == []


def test_without_room_for_a_copy_nothing_is_migrated(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __init__(self, *_: object) -> None: ...

        def backup(self, _: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        def close(self) -> None: ...

    monkeypatch.setattr(sqlite3, "connect", Full)

    with pytest.raises(WorkspaceError, match="was not migrated: database or disk is full") as refused:
        _open(written)

    assert "Make room" in refused.value.next_step
    assert _format(written / "workspace" / "trunkline.db") == "1"


def test_what_a_newer_release_wrote_is_refused_and_left_alone(written: Path) -> None:
    with _open(written) as workspace, transaction(workspace.store.engine) as connection:
        connection.execute(text("UPDATE meta SET value = '99' WHERE key = 'format'"))
    before = sorted(path.name for path in (written / "workspace").iterdir())

    with pytest.raises(WorkspaceError, match="format 99, which a newer release of Trunkline wrote") as refused:
        _open(written)

    assert refused.value.allowed == f"formats 1 to {catalogue.FORMAT}"
    assert "pip install --upgrade trunkline" in refused.value.next_step
    assert sorted(path.name for path in (written / "workspace").iterdir()) == before


def _format(path: Path) -> str | None:
    shutil.copy(path, path.with_suffix(".looked"))
    engine = open_database(path.with_suffix(".looked"))
    try:
        return catalogue.told(engine, "format")
    finally:
        engine.dispose()


@pytest.mark.parametrize("where", ["sqlite", "postgresql"])
def test_a_column_that_may_be_empty_is_added_and_another_is_a_fault(where: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    engine = open_database(tmp_path / "a.db" if where == "sqlite" else f"{request.getfixturevalue('postgres')}?schema=columns")
    name = "tried_columns"
    before, after, wrong = (Table(name, MetaData(), Column("id", String, primary_key=True)) for _ in range(3))
    after.append_column(Column("order", String, index=True))
    wrong.append_column(Column("must", String, nullable=False))
    try:
        with transaction(engine) as connection:
            before.create(connection) if where == "sqlite" else connection.execute(text(f"CREATE SCHEMA columns; CREATE TABLE {name} (id text PRIMARY KEY)"))
            connection.execute(before.insert().values(id="old"))

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("trunkline.store.database.metadata", after.metadata)
            prepare(engine, after)
            prepare(engine, after)

        with reading(engine) as connection:
            assert connection.execute(after.select()).all() == [("old", None)]
        with pytest.MonkeyPatch.context() as patched, pytest.raises(WorkspaceError, match="lacks the column 'must'"):
            patched.setattr("trunkline.store.database.metadata", wrong.metadata)
            prepare(engine, wrong)
    finally:
        engine.dispose()
