from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from tests.conftest import REQUIRE_ALL

from trunkline.core import config
from trunkline.core.errors import NotAllowed
from trunkline.store import owner
from trunkline.store.database import transaction
from trunkline.store.opened import Store, open_store

SERVER = "postgresql+psycopg://root@127.0.0.1:5432/"
Open = Callable[[], Store]


@pytest.fixture(params=["sqlite", "postgresql"])
def another(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the same workspace again, as another process would."""
    flags = {"keys": str(tmp_path / "keys"), "operator": "ann"}
    opened: list[Store] = []
    admin = name = None
    if request.param == "postgresql":
        admin = create_engine(SERVER + "postgres", isolation_level="AUTOCOMMIT")
        name = f"trunkline_test_{uuid.uuid4().hex[:12]}"
        try:
            with admin.connect() as connection:
                connection.execute(text(f"CREATE DATABASE {name}"))
        except (OperationalError, ModuleNotFoundError):
            if REQUIRE_ALL:
                raise
            pytest.skip("no PostgreSQL answers on 127.0.0.1:5432")
        flags["database"] = f"postgresql://root@127.0.0.1:5432/{name}"

    def again() -> Store:
        folder = tmp_path / "w"
        opened.append(open_store(folder, config.read(folder, flags=flags, environment={}), create=not opened))
        return opened[-1]

    again()
    yield again
    for one in opened:
        one.close()
    if admin is not None:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()


def cut_off(ownership: owner.Ownership) -> None:
    """The server gave its session up, and it does not know yet."""
    held = ownership._held
    assert isinstance(held, owner._SessionLock)
    held.connection.invalidate()


def test_one_process_at_a_time_owns_a_workspace(another: Open) -> None:
    first, second = another(), another()

    with owner.take(first, "the first") or pytest.fail("nobody can own it"):
        assert owner.take(second, "the second") is None
        who = owner.owner_of(second)

    assert who is not None
    assert (who.what, who.pid) == ("the first", os.getpid())
    assert owner.owner_of(second) is None
    with owner.take(second, "the second") or pytest.fail("nobody can own it"):
        pass


def test_only_a_thread_inside_acting_acts(another: Open) -> None:
    store = another()

    with owner.take(store, "somebody") or pytest.fail("nobody can own it") as mine:
        assert not owner.acts(store)
        with mine.acting():
            assert owner.acts(store)
            assert owner.is_here(store)
        assert not owner.acts(store)


def test_an_owner_that_is_killed_owns_nothing(tmp_path: Path) -> None:
    flags = {"keys": str(tmp_path / "keys")}
    store = open_store(tmp_path / "w", config.read(tmp_path / "w", flags=flags, environment={}), create=True)
    hold = (
        "import sys, time; from pathlib import Path; from types import SimpleNamespace as S; from trunkline.store import owner;"
        "mine = owner.take(S(folder=Path(sys.argv[1]), engine=S(dialect=S(name='sqlite'))), 'a child'); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", hold, str(tmp_path / "w")], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        assert owner.take(store, "too early") is None
        child.send_signal(signal.SIGKILL)

    with owner.take(store, "the next") or pytest.fail("nobody can own it"):
        assert "the next" in str(owner.owner_of(store))
    store.close()


def test_an_owner_whose_lock_file_was_removed_goes_no_further(tmp_path: Path) -> None:
    flags = {"keys": str(tmp_path / "keys")}
    store = open_store(tmp_path / "w", config.read(tmp_path / "w", flags=flags, environment={}), create=True)

    with owner.take(store, "somebody") or pytest.fail("nobody can own it") as mine:
        mine.check()
        (tmp_path / "w" / owner.LOCK).unlink()

        with pytest.raises(NotAllowed, match="lock file was removed or replaced"):
            mine.check()
    store.close()


@pytest.mark.parametrize("another", ["postgresql"], indirect=True)
def test_an_owner_that_was_cut_off_writes_nothing_any_more(another: Open) -> None:
    away, here = another(), another()
    lost = owner.take(away, "cut off") or pytest.fail("nobody can own it")
    cut_off(lost)

    with owner.take(here, "the next") or pytest.fail("nobody can own it") as mine:
        with lost.acting(), pytest.raises(NotAllowed, match="another one took over"):
            away.journal.append("note", {"text": "from beyond"})
        with mine.acting():
            here.journal.append("note", {"text": "from the owner"})
        with pytest.raises(NotAllowed, match="another one took over"):
            lost.check()

    assert [entry.body["text"] for entry in here.journal.entries("note")] == ["from the owner"]


@pytest.mark.parametrize("another", ["postgresql"], indirect=True)
def test_an_owner_that_was_cut_off_in_the_middle_of_a_transaction_keeps_nothing_of_it(another: Open) -> None:
    away, here = another(), another()
    lost = owner.take(away, "cut off") or pytest.fail("nobody can own it")

    def write() -> None:
        with lost.acting(), away.engine.connect().execution_options(trunkline_begin="IMMEDIATE") as connection, connection.begin():
            connection.execute(text("INSERT INTO meta VALUES ('left', 'behind')"))
            cut_off(lost)
            with owner.take(here, "the next") or pytest.fail("nobody can own it"):
                pass

    with pytest.raises(NotAllowed, match="another one took over"):
        write()

    with transaction(here.engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM meta WHERE key = 'left'")).scalar_one() == 0
