from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trunkline.core.config import Configuration
from trunkline.run.inbox import Inbox
from trunkline.store.opened import Store

Make = Callable[..., Inbox]
LONG_AGO = 1_000_000.0


@pytest.fixture
def seconds() -> list[float]:
    return [2_000_000_000.0]


@pytest.fixture
def inbox(store: Store, seconds: list[float]) -> Make:
    def make(**settings: str) -> Inbox:
        chosen = replace(store.configuration.settings, inbox="in", inbox_settles="2s", **settings)
        (store.folder / "in").mkdir(exist_ok=True)
        return Inbox(replace(store, configuration=Configuration(chosen, {})), seconds=lambda: seconds[0])

    return make


def write(store: Store, name: str, hours: int = 24, *, modified: float | None = None, now: float = 2_000_000_000.0) -> Path:
    path = store.folder / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("time,element,volume\n" + "".join(f"2026-09-07T{h:02}:00:00Z,{name},{h}\n" for h in range(hours)), encoding="utf-8")
    at = now if modified is None else modified
    os.utime(path, (at, at))
    return path


def names(found: list[Any]) -> list[str]:
    return [path.name for path, _ in found]


def test_a_file_that_grows_is_left_until_it_stands_still(store: Store, inbox: Make, seconds: list[float]) -> None:
    watched = inbox()
    write(store, "a.csv", 10)
    assert watched.complete() == []
    seconds[0] += 1.5
    write(store, "a.csv", 20, now=seconds[0])
    assert watched.complete() == []
    seconds[0] += 1.5
    assert watched.complete() == []
    seconds[0] += 1

    assert names(watched.complete()) == ["a.csv"]


def test_a_file_that_was_renamed_in_is_complete_at_once(store: Store, inbox: Make) -> None:
    watched = inbox()
    write(store, "a.csv", modified=LONG_AGO)

    assert names(watched.complete()) == ["a.csv"]


@pytest.mark.parametrize("name", [".a.csv", "a.csv.tmp", "a.csv.part", "a.csv.FILEPART", "a.csv~"])
def test_a_transfer_that_goes_on_is_left_alone(store: Store, inbox: Make, name: str) -> None:
    watched = inbox()
    write(store, name, modified=LONG_AGO)

    assert watched.complete() == []


def test_what_was_taken_is_not_taken_again_not_even_after_a_restart(store: Store, inbox: Make) -> None:
    watched = inbox()
    write(store, "a.csv", modified=LONG_AGO)
    assert watched.take(watched.complete()).rows == 24

    assert watched.complete() == []
    assert inbox().complete() == []
    assert (store.folder / "in" / "a.csv").is_file()


def test_a_kill_before_it_was_remembered_takes_it_in_once_all_the_same(store: Store, inbox: Make) -> None:
    write(store, "a.csv", modified=LONG_AGO)
    killed = inbox()
    files = killed.complete()
    killed.take(files)
    with store.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM inbox_files")
    again = inbox()

    assert again.take(again.complete()).files[0].state == "seen before"
    assert store.lake.read("measurements").collect().height == 24


def test_a_file_that_changed_is_read_again(store: Store, inbox: Make) -> None:
    watched = inbox()
    write(store, "a.csv", 10, modified=LONG_AGO)
    watched.take(watched.complete())
    write(store, "a.csv", 24, modified=LONG_AGO + 1)

    watched.take(watched.complete())

    assert store.lake.read("measurements").select("at").unique().collect().height == 24


def test_what_is_no_data_goes_to_the_quarantine_and_stops_nothing(store: Store, inbox: Make) -> None:
    watched = inbox(inbox_taken="done")
    write(store, "a.csv", modified=LONG_AGO)
    bad = store.folder / "in" / "b.bin"
    bad.write_bytes(bytes(range(256)) * 10)
    os.utime(bad, (LONG_AGO, LONG_AGO))

    done = watched.take(watched.complete())

    assert sorted(one.state for one in done.files) == ["loaded", "refused"]
    assert store.intake.quarantined()[0].file.endswith("b.bin")
    assert bad.is_file()
    assert watched.complete() == []


def test_taken_files_move_where_the_setting_says_without_losing_one_of_the_same_name(store: Store, inbox: Make) -> None:
    watched = inbox(inbox_taken="done")
    for hours in (10, 24):
        write(store, "a.csv", hours, modified=LONG_AGO)
        watched.take(watched.complete())

    assert sorted(path.name for path in (store.folder / "done").iterdir()) == ["a.2.csv", "a.csv"]
    assert list((store.folder / "in").iterdir()) == []


def test_no_more_files_wait_than_allowed_the_oldest_first(store: Store, inbox: Make) -> None:
    watched = inbox(inbox_waiting="2")
    for number, name in enumerate(("c.csv", "a.csv", "b.csv")):
        write(store, name, modified=LONG_AGO + number)

    assert names(watched.complete()) == ["c.csv", "a.csv"]
