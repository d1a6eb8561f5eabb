from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError, OperationalError

from trunkline.core.errors import WorkspaceError
from trunkline.store import open_database, reading, transaction


def test_it_is_opened_so_that_commits_survive_a_power_cut(engine: Engine) -> None:
    with reading(engine) as connection:
        said = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")}

    assert said == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}


def test_a_path_and_a_url_open_the_same_file(tmp_path: Path) -> None:
    by_path = open_database(tmp_path / "new folder" / "a.db")
    with transaction(by_path) as connection:
        connection.execute(text("CREATE TABLE t (n INTEGER)"))
    by_path.dispose()

    by_url = open_database(f"sqlite:///{tmp_path / 'new folder' / 'a.db'}")

    with reading(by_url) as connection:
        assert connection.execute(text("SELECT count(*) FROM t")).scalar_one() == 0
    by_url.dispose()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"This is a letter, and no database at all." * 100)

    with pytest.raises(WorkspaceError, match="cannot be opened") as refused:
        open_database(tmp_path / "a.db")

    assert str(tmp_path / "a.db") in str(refused.value)


def test_a_transaction_that_fails_leaves_nothing(engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.execute(text("CREATE TABLE t (n INTEGER PRIMARY KEY)"))

    def insert_twice() -> None:
        with transaction(engine) as connection:
            connection.execute(text("INSERT INTO t VALUES (1)"))
            connection.execute(text("INSERT INTO t VALUES (1)"))

    with pytest.raises(IntegrityError):
        insert_twice()

    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM t")).scalar_one() == 0


def test_writers_take_turns_and_lose_no_update(engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.execute(text("CREATE TABLE t (n INTEGER)"))
        connection.execute(text("INSERT INTO t VALUES (0)"))

    def count() -> None:
        for _ in range(25):
            with transaction(engine) as connection:
                n = connection.execute(text("SELECT n FROM t")).scalar_one()
                connection.execute(text("UPDATE t SET n = :n"), {"n": n + 1})

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with reading(engine) as connection:
        assert connection.execute(text("SELECT n FROM t")).scalar_one() == 75


def test_a_reader_sees_one_state_while_a_writer_goes_on(engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.execute(text("CREATE TABLE t (n INTEGER)"))

    with reading(engine) as reader:
        before = reader.execute(text("SELECT count(*) FROM t")).scalar_one()
        with transaction(engine) as writer:
            writer.execute(text("INSERT INTO t VALUES (1)"))
        during = reader.execute(text("SELECT count(*) FROM t")).scalar_one()
        with pytest.raises(OperationalError, match="locked"):
            reader.execute(text("INSERT INTO t VALUES (2)"))  # what it read is no longer true, so it may not write

    assert (before, during) == (0, 0)
