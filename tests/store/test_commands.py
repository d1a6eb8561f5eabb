from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from trunkline.core import config
from trunkline.core.errors import BadInput, NotAllowed, TrunklineError, UnknownName
from trunkline.store import commands
from trunkline.store.commands import Command
from trunkline.store.database import afterwards, reading, together, transaction
from trunkline.store.opened import Store, open_store


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def now() -> list[datetime]:
    return [datetime(2026, 11, 20, 14, tzinfo=UTC)]


@pytest.fixture
def store(tmp_path: Path, now: list[datetime]) -> Iterator[Store]:
    flags = {"keys": str(tmp_path / "keys")}
    opened = open_store(tmp_path / "w", config.read(tmp_path / "w", flags=flags, environment={}), clock=lambda: now[0], create=True)
    yield opened
    opened.close()


def ask(store: Store, id_: str = "c1", **arguments: Any) -> Command:
    return commands.ask(store, "note.write", arguments or {"text": "hello"}, by="ann", reason="why not", id=id_)


def note(store: Store) -> Any:
    store.journal.append("note", {"text": "hello"})
    return "noted"


def notes(store: Store) -> int:
    return len(list(store.journal.entries("note")))


@pytest.mark.parametrize("at_once", [True, False])
def test_a_command_is_carried_out_once_and_answers_ever_after(store: Store, at_once: bool) -> None:
    command = ask(store)

    done = [commands.carry_out(store, command, lambda: note(store), at_once=at_once) for _ in range(3)]

    assert {one.state for one in done} == {"done"}
    assert ask(store).result() == "noted"
    assert notes(store) == 1
    (told,) = store.journal.entries(commands.KIND)
    assert (told.body["by"], told.body["reason"], told.body["verb"]) == ("ann", "why not", "note.write")


def test_what_it_changed_and_that_it_is_done_are_one_transaction(store: Store) -> None:
    command = ask(store)

    def killed() -> Any:
        note(store)
        raise Killed

    with pytest.raises(Killed):
        commands.carry_out(store, command, killed, at_once=True)

    assert notes(store) == 0
    assert [one.id for one in commands.waiting(store)] == ["c1"]
    assert commands.carry_out(store, command, lambda: note(store), at_once=True).result() == "noted"
    assert notes(store) == 1


def test_a_refusal_is_the_same_error_and_leaves_nothing_behind(store: Store) -> None:
    def refused() -> Any:
        note(store)
        raise UnknownName("cell", "cell-a", ["cell-b"])

    command = commands.carry_out(store, ask(store), refused, at_once=True)

    with pytest.raises(TrunklineError, match="There is no cell 'cell-a'") as told:
        command.result()
    assert type(told.value) is UnknownName
    assert told.value.next_step == "Did you mean 'cell-b'?"
    assert notes(store) == 0
    assert next(iter(store.journal.entries(commands.KIND))).body["why"] == "There is no cell 'cell-a'."


def test_an_id_stands_for_one_command(store: Store) -> None:
    ask(store, text="one")

    with pytest.raises(BadInput, match="Another command has the id 'c1'"):
        ask(store, text="another")


@pytest.mark.parametrize(
    "change",
    [{"arguments": {"text": "something else"}}, {"verb": "workflow.deploy"}, {"by": "bob"}, {"reason": "none"}, {"id": "c2"}, {"signature": b"x" * 64}],
    ids=lambda change: next(iter(change)),
)
def test_a_row_that_somebody_wrote_or_changed_by_hand_is_refused_and_journaled(store: Store, change: dict[str, Any]) -> None:
    ask(store)
    with transaction(store.engine) as connection:
        connection.execute(update(commands.commands).values(**change))
    (forged,) = commands.waiting(store)

    done = commands.carry_out(store, forged, lambda: note(store), at_once=True)

    with pytest.raises(NotAllowed, match="not signed with this workspace's key"):
        done.result()
    assert notes(store) == 0
    assert next(iter(store.journal.entries(commands.KIND))).body["state"] == "refused"


@pytest.mark.parametrize("at_once", [True, False])
def test_a_done_row_put_back_by_hand_is_not_carried_out_again(store: Store, at_once: bool) -> None:
    command = ask(store)
    with reading(store.engine) as connection:
        row = dict(connection.execute(select(commands.commands)).mappings().one())
    commands.carry_out(store, command, lambda: note(store), at_once=at_once)
    with transaction(store.engine) as connection:
        connection.execute(delete(commands.commands))
        connection.execute(insert(commands.commands).values(row))

    again = commands.carry_out(store, command, lambda: note(store), at_once=at_once)

    with pytest.raises(NotAllowed, match="was carried out before"):
        again.result()
    assert notes(store) == 1


@pytest.mark.parametrize("by", [commands.VALID + timedelta(seconds=1), -commands.VALID - timedelta(seconds=1)])
def test_what_was_asked_too_long_ago_or_in_the_future_is_not_done(store: Store, now: list[datetime], by: timedelta) -> None:
    command = ask(store)
    now[0] += by

    with pytest.raises(NotAllowed, match="within 15 minutes"):
        commands.carry_out(store, command, lambda: note(store), at_once=True).result()

    assert notes(store) == 0


def test_a_command_can_be_taken_back_until_it_is_taken(store: Store) -> None:
    first, second = ask(store, "c1"), ask(store, "c2")
    commands.take(store, second)

    assert commands.withdraw(store, first.id)
    assert not commands.withdraw(store, second.id)
    with pytest.raises(NotAllowed, match="was withdrawn before anybody took it"):
        commands.carry_out(store, first, lambda: note(store), at_once=True).result()
    assert notes(store) == 0


def test_no_more_commands_wait_than_allowed(store: Store) -> None:
    commands.ask(store, "note.write", {}, by="ann", reason="", id="c1", most=1)

    with pytest.raises(NotAllowed, match="1 commands wait already"):
        commands.ask(store, "note.write", {}, by="ann", reason="", id="c2", most=1)


def test_commands_wait_in_the_order_in_which_they_were_asked(store: Store) -> None:
    for name in ("c3", "c1", "c2"):
        ask(store, name)

    assert [one.id for one in commands.waiting(store)] == ["c3", "c1", "c2"]


def test_old_answers_are_forgotten_and_their_ids_are_not(store: Store, now: list[datetime]) -> None:
    commands.carry_out(store, ask(store), lambda: note(store), at_once=True)
    now[0] += commands.KEPT + timedelta(days=1)

    assert commands.tidy(store) == 1
    assert commands.tidy(store) == 0
    assert commands.get(store, "c1") is None


def test_the_bell_rings_once_for_what_another_connection_committed(store: Store) -> None:
    commands.ready(store)
    bell = commands.Bell(store.engine)

    assert bell.rings()
    assert not bell.rings()
    ask(store)
    assert bell.rings()
    assert not bell.rings()
    bell.close()


def test_what_waits_for_the_commit_is_done_after_it_or_not_at_all(store: Store) -> None:
    seen: list[int] = []

    def look() -> None:
        seen.append(notes(store))

    with together(store.engine):
        store.journal.append("note", {})
        afterwards(store.engine, look)
        assert seen == []
    with pytest.raises(Killed), together(store.engine):
        afterwards(store.engine, look)
        raise Killed

    assert seen == [1]


def test_a_forged_done_row_is_no_answer_to_a_repeated_request(store: Store) -> None:
    asked = ask(store)
    with transaction(store.engine) as connection:
        connection.execute(update(commands.commands).where(commands.commands.c.id == asked.id).values(state="done", answer="approved", signature=b"x" * 64))

    with pytest.raises(NotAllowed, match="not signed with this workspace's key"):
        ask(store)
