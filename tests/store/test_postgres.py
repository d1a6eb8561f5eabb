"""A workspace whose catalogue and journal rest in PostgreSQL, and what is said where that cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError

import trunkline
from trunkline.core import config, extras
from trunkline.core.errors import BadInput, MissingExtra, WorkspaceError
from trunkline.store import database_faults, open_database, postgres, transaction
from trunkline.store.opened import BOUND, Store, is_workspace, open_store

Make = Callable[..., Store]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(database: str, folder: str = "w", *, create: bool = True) -> Store:
        where = tmp_path / folder
        return open_store(where, config.read(where, flags={"keys": str(tmp_path / "keys"), "database": database}, environment={}), create=create)

    return made


def test_a_folder_without_a_file_is_a_workspace_and_is_found_again(make: Make, postgres: str, tmp_path: Path) -> None:
    store = make(f"{postgres}?schema=found")
    store.journal.append("note", {"n": 1})
    store.close()

    again = make(f"{postgres}?schema=found", create=False)

    assert is_workspace(tmp_path / "w")
    assert sorted(path.name for path in (tmp_path / "w").iterdir()) == ["blobs", "lake", BOUND]
    assert again.journal.size == 1
    again.close()


def test_two_workspaces_share_a_database_by_schema_and_not_a_schema(make: Make, postgres: str) -> None:
    one, two = make(f"{postgres}?schema=one"), make(f"{postgres}?schema=two", "v")
    one.journal.append("note", {})

    with pytest.raises(WorkspaceError, match="this folder is not the one it belongs to") as refused:
        make(f"{postgres}?schema=one", "u")

    assert (one.journal.size, two.journal.size) == (1, 0)
    assert "?schema=NAME" in refused.value.next_step
    one.close()
    two.close()


def test_a_new_workspace_remembers_where_its_database_is_and_never_the_password(postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    given = postgres.replace("//root@", "//root:geheim@") + "?schema=remembers"
    with trunkline.create(tmp_path / "w", flags={"database": given}) as made:
        made.audit.verify()

    with trunkline.open(tmp_path / "w") as again:
        assert again.configuration.origins["database"].endswith("trunkline.toml")
        assert again.check() == []

    assert "geheim" not in "".join(path.read_text() for path in (tmp_path / "w").iterdir() if path.is_file())
    assert "geheim" not in repr(made.configuration)


@pytest.mark.parametrize(
    ("address", "said", "next_"),
    [
        ("postgresql://root:geheim@127.0.0.1:1/x", "does not answer", "server runs"),
        ("SERVER/there_is_no_such_database", "There is no such database", "createdb there_is_no_such_database"),
    ],
)
def test_what_is_wrong_is_told_without_the_password(make: Make, postgres: str, address: str, said: str, next_: str) -> None:
    server = postgres.rpartition("/")[0].replace("//root@", "//root:geheim@")

    with pytest.raises(WorkspaceError, match=said) as refused:
        make(address.replace("SERVER", server))

    assert next_ in refused.value.next_step
    shown = str(refused.value) + repr(refused.value.__cause__) + str(refused.value.__context__)
    assert "geheim" not in shown


def test_without_the_library_the_pip_line_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: str) -> None:
        raise ModuleNotFoundError(name="psycopg")

    monkeypatch.setattr(extras, "import_module", absent)

    with pytest.raises(MissingExtra, match="psycopg") as refused:
        postgres.connect("postgresql://u@h/d", wait_ms=1)

    assert refused.value.next_step == "pip install 'trunkline[postgres]'"


@pytest.mark.parametrize("schema", ["Upper", "pg_temp", "a-b", "1a", "a" * 64, 'a"b'])
def test_a_schema_has_a_plain_name(schema: str) -> None:
    with pytest.raises(BadInput, match="no name for the schema"):
        postgres.connect(f"postgresql://u@h/d?schema={schema}", wait_ms=1)


@pytest.mark.parametrize("address", ["postgresql://u:geheim@h", "postgresql+asyncpg://u:geheim@h/d", "postgresql://u:geheim@h:port/d"])
def test_what_is_no_address_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(BadInput) as refused:
        postgres.connect(address, wait_ms=1)

    assert "geheim" not in str(refused.value)


def test_a_server_that_forgets_is_refused(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = text

    def lying(query: str) -> object:
        return real(query.replace("current_setting(:name)", "coalesce(nullif(:name, 'fsync'), 'off')").replace("'full_page_writes'", "'on'"))

    monkeypatch.setattr("trunkline.store.postgres.text", lying)

    with pytest.raises(WorkspaceError, match=r"loses what it acknowledged.*fsync"):
        open_database(postgres)


def test_commits_wait_for_the_disk_whatever_the_server_says(postgres: str) -> None:
    engine = open_database(f"{postgres}?schema=durable&options=-csynchronous_commit%3Doff")

    with engine.connect() as connection:
        assert connection.execute(text("SHOW synchronous_commit")).scalar_one() == "on"
    engine.dispose()


def test_a_file_and_an_address_contradict_each_other(make: Make, postgres: str) -> None:
    make("").close()

    with pytest.raises(WorkspaceError, match=r"keeps its catalogue in trunkline.db"):
        make(postgres, create=False)


def test_a_bound_folder_without_its_address_says_what_is_wanting(make: Make, postgres: str) -> None:
    make(f"{postgres}?schema=wanting").close()

    with pytest.raises(WorkspaceError, match="nothing says where"):
        make("", create=False)


def test_a_schema_that_was_lost_is_told(make: Make, postgres: str) -> None:
    make(f"{postgres}?schema=lost").close()

    with pytest.raises(WorkspaceError, match="no workspace in the schema 'elsewhere'"):
        make(f"{postgres}?schema=elsewhere", create=False)


@pytest.mark.parametrize(
    ("sqlstate", "said", "expected"),
    [
        ("53100", "could not extend file", "The disk of the database is full"),
        ("55P03", "canceling statement due to lock timeout", "has been writing for too long"),
        ("42501", "permission denied for schema", "may not do this"),
        ("53300", "sorry, too many clients already", "takes no more connections"),
        ("25006", "cannot execute INSERT in a read-only transaction", "may not be written"),
        ("28P01", 'FATAL: password authentication failed for user "noc"', "does not let this user in"),
        ("57P01", "terminating connection due to administrator command", "went away during this step"),
        ("XX000", "something else", "cannot be used"),
    ],
)
def test_each_fault_of_a_server_has_a_meaning(sqlstate: str, said: str, expected: str) -> None:
    engine = postgres.connect("postgresql://u:geheim@h/d", wait_ms=1)
    raised = Exception(f"{said} (geheim)")
    raised.sqlstate = sqlstate  # type: ignore[attr-defined]

    def fails() -> None:
        with database_faults.told(engine):
            raise OperationalError("SELECT", {}, raised)

    with pytest.raises(WorkspaceError, match=expected) as refused:
        fails()

    assert refused.value.next_step
    assert "geheim" not in str(refused.value)
    assert not isinstance(refused.value.__cause__, DBAPIError)


def test_a_writer_that_waits_too_long_is_told(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.store.database.BUSY_MS", 50)
    one, two = open_database(f"{postgres}?schema=busy"), open_database(f"{postgres}?schema=busy")

    with transaction(one), pytest.raises(WorkspaceError, match="has been writing for too long"), transaction(two):
        pass

    one.dispose()
    two.dispose()
