"""The contract of a store, as checks anyone can run on theirs: ``check_store(make)``.

Each check is one small function with one promise, and leaves what it wrote: run it on a store made for it. The last one
lets writers and readers of several processes at it at once (:mod:`trunkline.store.check_together`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import polars as pl
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.exc import IntegrityError

from trunkline.core.errors import BadInput, Tampered, TrunklineError, WorkspaceError
from trunkline.store import catalogue, check_together, erasures, postgres
from trunkline.store.check_together import Make
from trunkline.store.database import reading, transaction
from trunkline.store.opened import LAYOUTS, Store

AT = datetime(2026, 11, 20, 14, tzinfo=UTC)
_WRITER_MS = 3_000


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether a store keeps one promise, and what was seen where it does not."""

    name: str
    passed: bool
    message: str = ""


def check_store(make: Make, *, writers: int = 4, readers: int = 8, steps: int = 25) -> tuple[Finding, ...]:
    """What a store must keep for the rest of Trunkline to rely on it; one finding for each promise.

    Parameters
    ----------
    make
        Opens the store, making it the first time: always the same one, in any process. It is called in processes of its own
        (spawn), so it is a function of a module, or a ``functools.partial`` of one.
    writers, readers, steps
        How many processes write and read at once, and how many steps each writer takes; 0 writers leaves that out.

    Examples
    --------
    >>> import tempfile
    >>> from functools import partial
    >>> from trunkline.store.check_together import make_in
    >>> [f.name for f in check_store(partial(make_in, tempfile.mkdtemp()), writers=0) if not f.passed]
    []
    """
    store = make()
    try:
        found = [_run(check, Bench(make, store)) for check in CHECKS]
    finally:
        store.close()
    if writers:
        wrong = check_together.run(make, writers=writers, readers=readers, steps=steps)
        found.append(Finding("writers and readers of several processes at once", not wrong, "; ".join(wrong)))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Bench:
    """A store, and how it is opened again."""

    make: Make
    store: Store

    @contextmanager
    def again(self) -> Iterator[Store]:
        """The store, opened a second time."""
        opened = self.make()
        try:
            yield opened
        finally:
            opened.close()


class _Broken(Exception):
    pass


def _run(check: Callable[[Bench], None], bench: Bench) -> Finding:
    name = check.__name__.replace("_", " ")
    try:
        check(bench)
    except _Broken as seen:
        return Finding(name, passed=False, message=str(seen))
    except Exception as raised:  # noqa: BLE001 - whatever it raises is the finding
        return Finding(name, passed=False, message=f"{type(raised).__name__}: {raised}")
    return Finding(name, passed=True)


def _expect(claim: bool, message: str) -> None:
    if not claim:
        raise _Broken(message)


def _refuses(kind: type[BaseException] | tuple[type[BaseException], ...], action: Callable[[], object], what: str) -> BaseException:
    try:
        action()
    except kind as refused:
        return refused
    raise _Broken(f"{what} is not refused")


def _new() -> str:
    return uuid4().hex


def _key(store: Store, key: str) -> str | None:
    return catalogue.told(store.engine, key)


def _put(store: Store, key: str, value: str = "1") -> None:
    with transaction(store.engine) as connection:
        catalogue.add(connection, catalogue.meta, key=key, value=value)


def _release(id_: str, **changed: Any) -> dict[str, Any]:
    plain = {"workflow": "w", "state": "candidate", "made_at": AT, "changed_at": AT, "model": "0" * 64, "body": {"n": 1}, "card": {}}
    return {"id": id_, **plain, **changed}


def what_was_committed_survives_a_kill(bench: Bench) -> None:
    key = _new()

    check_together.killed_after(bench.make, key, committed=True)

    _expect(_key(bench.store, key) == "1", "a row that was committed is gone")


def what_was_not_committed_is_gone_and_holds_nobody_up(bench: Bench) -> None:
    key, after = _new(), _new()

    check_together.killed_after(bench.make, key, committed=False)
    _put(bench.store, after)

    _expect(_key(bench.store, key) is None, "half a transaction is there")


def a_transaction_that_fails_leaves_nothing(bench: Bench) -> None:
    key = _new()

    def twice() -> None:
        with transaction(bench.store.engine) as connection:
            for _ in range(2):
                connection.execute(catalogue.meta.insert().values(key=key, value="1"))

    _refuses(IntegrityError, twice, "a key given twice")

    _expect(_key(bench.store, key) is None, "the first of two equal keys is there")


def a_reader_sees_one_state(bench: Bench) -> None:
    key = _new()
    query = select(func.count()).select_from(catalogue.meta)

    with reading(bench.store.engine) as reader:
        before = reader.execute(query).scalar_one()
        _put(bench.store, key)
        during = reader.execute(query).scalar_one()

    _expect(before == during, f"a reader saw {before} rows, then {during}")
    _expect(_key(bench.store, key) == "1", "a writer was held up by a reader")


def what_a_writer_read_is_true_when_it_commits(bench: Bench) -> None:
    key, threads = _new(), 3
    _put(bench.store, key, "0")

    def count() -> None:
        for _ in range(10):
            with transaction(bench.store.engine) as connection:
                n = int(connection.execute(select(catalogue.meta.c.value).where(catalogue.meta.c.key == key)).scalar_one())
                connection.execute(update(catalogue.meta).where(catalogue.meta.c.key == key).values(value=str(n + 1)))

    running = [threading.Thread(target=count) for _ in range(threads)]
    for one in running:
        one.start()
    for one in running:
        one.join()

    _expect(_key(bench.store, key) == str(10 * threads), f"of {10 * threads} updates {_key(bench.store, key)} are left")


def the_same_content_is_one_arrival(bench: Bench) -> None:
    content, intake = _new().encode(), bench.store.intake
    before = intake.duplicates()

    first, again, renamed = (intake.accept("check", content, AT + timedelta(hours=n), name=name) for n, name in enumerate(["a", "a", "b"]))

    _expect((first.is_new, again.is_new, renamed.is_new) == (True, False, False), "an arrival that came before counts as new")
    _expect(first.sequence == again.sequence == renamed.sequence, "one content has two numbers")
    _expect(intake.duplicates() == before + 2, "arrivals that came before are not counted")
    _expect(intake.names(first.sequence) == ("a", "b"), f"its names are {intake.names(first.sequence)}")


def arrivals_are_numbered_in_order_and_read_back(bench: Bench) -> None:
    intake, contents = bench.store.intake, [_new().encode() for _ in range(5)]

    taken = intake.accept_many([("check", content, AT, "ü") for content in contents])

    numbers = [one.sequence for one in taken]
    _expect(numbers == sorted(set(numbers)), f"the numbers are {numbers}")
    _expect([one.sequence for one in intake.after(numbers[0] - 1)] == numbers, "after(n) does not give what came after")
    with bench.again() as other:
        _expect([other.intake.read(one) for one in taken] == contents, "a content is not what was taken in")


def a_group_of_arrivals_is_taken_in_whole_or_not_at_all(bench: Bench) -> None:
    intake, content = bench.store.intake, _new().encode()

    _refuses(TrunklineError, lambda: intake.accept_many([("check", content, AT, "a"), ("check", b"x", AT.replace(tzinfo=None), "b")]), "a time without a zone")

    _expect(intake.accept("check", content, AT).is_new, "half a group was taken in")


def quarantine_counts_a_fault_once(bench: Bench) -> None:
    intake, reason = bench.store.intake, _new()
    arrival = intake.accept("check", _new().encode(), AT, name="f")

    told = [intake.quarantine(arrival, reason=reason, line=7, excerpt=b"\xff\x00 bad") for _ in range(2)]

    _expect(told == [True, False], f"a fault told twice is new {told}")
    _expect(intake.quarantine_reasons()[reason] == 1, "a fault is counted twice")
    _expect(intake.quarantined(reason=reason)[0].line == 7, "the line is lost")


def a_refused_file_can_be_readmitted(bench: Bench) -> None:
    intake = bench.store.intake
    arrival = intake.accept("check", _new().encode(), AT, name="f")

    intake.refuse(arrival, reason="no zone")
    was_refused = intake.refused(arrival)
    intake.readmit(arrival)

    _expect(was_refused and not intake.refused(arrival), "a refused file is not told from one that was read after all")


def an_erased_content_does_not_come_back(bench: Bench) -> None:
    intake, content = bench.store.intake, _new().encode()
    arrival = intake.accept("check", content, AT, name="f")

    told = [intake.erase(arrival.sequence) for _ in range(2)]
    again = intake.accept("check", content, AT, name="g")

    _expect(told == [True, False], "an erasure done twice counts twice")
    _expect(not again.is_new and arrival.id not in bench.store.blobs, "the same file brought an erased content back")


def rows_come_back_as_they_were(bench: Bench) -> None:
    id_ = _new()
    body = {"text": "日本 \u202e ü \x01 \x00 '\"\\", "big": 2**53, "small": -1.5e-300, "none": None, "list": [True, False, []], "long": "x" * 1_000_000}
    given = _release(id_, verdict=None, waiver="ä", body=body, made_at=AT + timedelta(microseconds=1))

    with transaction(bench.store.engine) as connection:
        catalogue.add(connection, catalogue.releases, **given)

    with bench.again() as other:
        (found,) = catalogue.rows(other.engine, catalogue.releases, catalogue.releases.c.id == id_)
    _expect(dict(found) == given, f"differing: {[name for name in given if found[name] != given[name]]}")


def a_key_is_added_once(bench: Bench) -> None:
    id_ = _new()

    with transaction(bench.store.engine) as connection:
        told = [catalogue.add(connection, catalogue.releases, **_release(id_)) for _ in range(2)]

    _expect(told == [True, False], f"added twice: {told}")


def a_row_is_changed_and_deleted(bench: Bench) -> None:
    id_, releases = _new(), catalogue.releases
    with transaction(bench.store.engine) as connection:
        catalogue.add(connection, releases, **_release(id_))

    with transaction(bench.store.engine) as connection:
        catalogue.change(connection, releases, id_, state="live")
    (changed,) = catalogue.rows(bench.store.engine, releases, releases.c.id == id_)
    with transaction(bench.store.engine) as connection:
        connection.execute(delete(releases).where(releases.c.id == id_))

    _expect(changed["state"] == "live", "a change is lost")
    _expect(not catalogue.rows(bench.store.engine, releases, releases.c.id == id_), "a deleted row is there")


def numbers_that_are_not_finite_are_refused(bench: Bench) -> None:
    row = {"workflow": "w", "release": "r", "mode": "live", "state": "open", "action": "a", "target": "t", "propensity": 1.0}
    times = {"at": AT, "until": AT, "known_at": AT}

    def put(confidence: float) -> None:
        with transaction(bench.store.engine) as connection:
            catalogue.add(connection, catalogue.decisions, id=_new(), confidence=confidence, route="", body={}, **row, **times)

    for value in (float("nan"), float("inf")):
        _refuses(BadInput, lambda value=value: put(value), str(value))  # type: ignore[misc]
    put(5e-324)
    _refuses((TrunklineError, TypeError), lambda: bench.store.journal.append("check", {"n": float("nan")}), "NaN in the journal")


def texts_sort_by_code_point(bench: Bench) -> None:
    given = [_new()[:8] + end for end in ("B", "a", "_", "ä", "Z", "10", "9")]
    with transaction(bench.store.engine) as connection:
        for one in given:
            catalogue.add(connection, catalogue.meta, key=f"sort {one[8:]} {given[0]}", value="1")

    with reading(bench.store.engine) as connection:
        query = select(catalogue.meta.c.key).where(catalogue.meta.c.key.like(f"sort % {given[0]}")).order_by(catalogue.meta.c.key)
        found = list(connection.execute(query).scalars())

    _expect(found == sorted(found), f"sorted as {found}")


def decide_state_is_replaced_not_added(bench: Bench) -> None:
    id_, states = _new(), catalogue.states

    for n in range(3):
        with transaction(bench.store.engine) as connection:
            connection.execute(delete(states).where(states.c.release == id_, states.c.mode == "live"))
            catalogue.add(connection, states, release=id_, mode="live", body={"n": n})

    with bench.again() as other:
        found = [row["body"] for row in catalogue.rows(other.engine, states, states.c.release == id_)]
    _expect(found == [{"n": 2}], f"the state is {found}")


def how_far_loading_came_never_goes_back(bench: Bench) -> None:
    before = catalogue.loaded_through(bench.store.engine)

    for number in (before + 5, before + 2):
        catalogue.set_loaded_through(bench.store.engine, number)

    _expect(catalogue.loaded_through(bench.store.engine) == before + 5, "it went back")


def the_journal_is_appended_verified_and_proven(bench: Bench) -> None:
    journal = bench.store.journal
    kind = "check.note"

    first = journal.append(kind, {"text": "日本\x00", "at": AT})
    group = journal.append_many([(kind, {"n": n, "id": _new()}) for n in range(20)])

    _expect([one.seq for one in group] == list(range(first.seq + 1, first.seq + 21)), "the numbers have gaps")
    verified = journal.verify()
    _expect(verified.ok, verified.why)
    _expect(journal.inclusion_proof(first.seq).holds(journal.entry(first.seq), journal.root()), "an entry cannot be proven")
    with bench.again() as other:
        _expect(other.journal.append(kind, {"n": -1}).seq == group[-1].seq + 1, "another process does not go on where this one stopped")
    _expect(journal.append(kind, {"n": -2}).seq == group[-1].seq + 2, "what another process appended is not seen")


def the_journal_rolls_back_with_its_transaction(bench: Bench) -> None:
    journal, key = bench.store.journal, _new()
    before = journal.size

    def fails() -> None:
        with transaction(bench.store.engine) as connection:
            journal.append("check.note", {"n": 1}, connection)
            catalogue.add(connection, catalogue.meta, key=key, value="1")
            raise RuntimeError

    _refuses(RuntimeError, fails, "an error in a transaction")
    journal.append("check.note", {"n": 2})

    _expect(journal.size == before + 1 and _key(bench.store, key) is None, "an entry or its row stayed")
    _expect(journal.verify().ok, "the journal does not verify after a rollback")


def an_entry_changed_by_hand_is_found(bench: Bench) -> None:
    seq = bench.store.journal.append("check.note", {"n": 1}).seq
    body = bench.store.journal.entry(seq)

    for content, is_ok in ((body.replace(b"1", b"2"), False), (body, True)):
        with transaction(bench.store.engine) as connection:
            connection.execute(text("UPDATE journal_entries SET entry = :entry WHERE seq = :seq"), {"entry": content, "seq": seq})
        with bench.again() as other:
            verified = other.journal.verify()
        _expect(verified.ok == is_ok, f"an entry {'put back' if is_ok else 'changed'} by hand: {verified}")


def an_append_to_the_lake_happens_once(bench: Bench) -> None:
    lake, id_ = bench.store.lake, _new()
    frame = _event(id_)

    told = [lake.append("events", frame, transaction=(f"check {id_}", n)) for n in (1, 1, 2)]

    with bench.again() as other:
        found = other.lake.read("events", where=pl.col("event_id") == id_).collect()
    _expect(told == [True, False, True] and found.height == 2, f"appended {told}, {found.height} rows are there")
    _expect(not lake.torn() and not lake.damage(), "a table that was written is not whole")


def compaction_changes_nothing_that_is_read(bench: Bench) -> None:
    lake, id_ = bench.store.lake, _new()
    for n in range(3):
        lake.append("events", _event(id_, hours=n), transaction=(f"check {id_}", n + 1))
    read = lake.read("events", as_known_at=AT + timedelta(hours=1), where=pl.col("event_id") == id_)
    before = lake.read("events", as_known_at=AT + timedelta(hours=1)).collect()

    lake.compact("events")

    _expect(lake.read("events", as_known_at=AT + timedelta(hours=1)).collect().equals(before), "what is read differs")
    _expect(read.collect().height == 1, "who was reading no longer can")
    _expect(lake.transaction("events", f"check {id_}") == 3, "how far an application came is lost")


def erased_rows_leave_every_version(bench: Bench) -> None:
    lake, id_ = bench.store.lake, _new()
    lake.append("events", _event(id_))
    lake.append("events", _event(_new()))

    one, rows = erasures.erase(bench.store, "events", {"event_id": id_}, by="check", reason="contract")

    _expect(rows == 1 and lake.read("events", where=pl.col("event_id") == id_).collect().height == 0, "a row is still there")
    left = [path.name for path in lake.folder.rglob("*") if path.is_file() and id_.encode() in path.read_bytes()]
    _expect(not left, f"its bytes are in {left}")
    _expect(not any(id_ in str(entry.body) for entry in bench.store.journal.entries("erasure")), "the journal tells what was erased")
    _expect([e.done for e in erasures.listed(bench.store) if e.id == one.id] == [True], "the list does not have it")


def a_content_that_was_changed_is_found(bench: Bench) -> None:
    blobs = bench.store.blobs
    blob = blobs.put(_new().encode())
    whole = blobs.path(blob).read_bytes()

    blobs.path(blob).write_bytes(whole[:-1])
    _refuses(Tampered, lambda: blobs.get(blob), "a content that was cut")
    blobs.path(blob).write_bytes(whole)

    _expect(blobs.get(blob) == whole, "a content that was put back is refused")


def errors_are_told_in_words_of_ours(bench: Bench) -> None:
    def ask() -> None:
        with reading(bench.store.engine) as connection:
            connection.execute(text("SELECT 1 FROM there_is_no_such_table"))

    refused = _refuses(WorkspaceError, ask, "a table that is not there")

    _expect(isinstance(refused, WorkspaceError) and bool(refused.where and refused.next_step), "it does not say where, or what to do next")


def a_connection_that_was_dropped_is_made_anew(bench: Bench) -> None:
    engine, key = bench.store.engine, _new()
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            backend = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with bench.again() as other, transaction(other.engine) as connection:
            connection.execute(text("SELECT pg_terminate_backend(:backend)"), {"backend": backend})
    else:
        engine.dispose()

    _put(bench.store, key)

    _expect(_key(bench.store, key) == "1", "a row is lost")


def a_connection_dropped_in_a_transaction_is_told_and_keeps_nothing(bench: Bench) -> None:
    engine, key = bench.store.engine, _new()
    if engine.dialect.name != "postgresql":
        return

    def cut_off() -> None:
        with transaction(engine) as connection:
            catalogue.add(connection, catalogue.meta, key=key, value="1")
            backend = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            with bench.again() as other, reading(other.engine) as killer:
                killer.execute(text("SELECT pg_terminate_backend(:backend)"), {"backend": backend})
            catalogue.add(connection, catalogue.meta, key=f"{key} 2", value="1")

    _refuses(WorkspaceError, cut_off, "a connection that is cut in a transaction")

    _expect(_key(bench.store, key) is None, "half a transaction is there")


def a_writer_waits_for_another_one(bench: Bench) -> None:
    key, order = _new(), []
    begun = threading.Event()

    def second() -> None:
        begun.wait()
        _put(bench.store, f"{key} 2")
        order.append("second")

    waiting = threading.Thread(target=second)
    waiting.start()
    with transaction(bench.store.engine) as connection:
        begun.set()
        waiting.join(timeout=0.2)
        catalogue.add(connection, catalogue.meta, key=key, value="1")
        order.append("first")
    waiting.join(timeout=_WRITER_MS / 1000)

    _expect(order == ["first", "second"], f"the order of two writers was {order}")


def every_commit_is_on_the_disk(bench: Bench) -> None:
    with reading(bench.store.engine) as connection:
        if bench.store.engine.dialect.name == "sqlite":
            said = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("journal_mode", "synchronous")}
            _expect(said == {"journal_mode": "wal", "synchronous": 2}, f"{said}")
        else:
            postgres.check_durable(connection)
            said = {"synchronous_commit": connection.execute(text("SHOW synchronous_commit")).scalar_one()}
            _expect(said["synchronous_commit"] in {"on", "remote_apply"}, f"{said}")


def _event(id_: str, hours: float = 0) -> pl.DataFrame:
    at = AT + timedelta(hours=hours)
    row = {"event_id": id_, "element": "e", "kind": "alarm", "severity": None, "text": "日本", "start": AT, "end": None, "known_at": at, "source": "c"}
    return pl.DataFrame([{**row, "region": "default"}], schema=dict(LAYOUTS["events"].columns))


CHECKS: tuple[Callable[[Bench], None], ...] = (
    every_commit_is_on_the_disk,
    what_was_committed_survives_a_kill,
    what_was_not_committed_is_gone_and_holds_nobody_up,
    a_transaction_that_fails_leaves_nothing,
    a_reader_sees_one_state,
    what_a_writer_read_is_true_when_it_commits,
    a_writer_waits_for_another_one,
    the_same_content_is_one_arrival,
    arrivals_are_numbered_in_order_and_read_back,
    a_group_of_arrivals_is_taken_in_whole_or_not_at_all,
    quarantine_counts_a_fault_once,
    a_refused_file_can_be_readmitted,
    an_erased_content_does_not_come_back,
    rows_come_back_as_they_were,
    a_key_is_added_once,
    a_row_is_changed_and_deleted,
    numbers_that_are_not_finite_are_refused,
    texts_sort_by_code_point,
    decide_state_is_replaced_not_added,
    how_far_loading_came_never_goes_back,
    the_journal_is_appended_verified_and_proven,
    the_journal_rolls_back_with_its_transaction,
    an_entry_changed_by_hand_is_found,
    an_append_to_the_lake_happens_once,
    compaction_changes_nothing_that_is_read,
    erased_rows_leave_every_version,
    a_content_that_was_changed_is_found,
    errors_are_told_in_words_of_ours,
    a_connection_that_was_dropped_is_made_anew,
    a_connection_dropped_in_a_transaction_is_told_and_keeps_nothing,
)
