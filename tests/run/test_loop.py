from __future__ import annotations

import threading

from trunkline.run import loop
from trunkline.run.loop import Loop


def test_a_loop_that_fails_says_so_tries_again_and_says_when_it_works(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(loop, "_FIRST_PAUSE_S", 0.01)
    answers, told, done = iter([OSError("no room"), KeyError("k")]), list[tuple[str, ...]](), threading.Event()

    def work(_stop: threading.Event) -> None:
        for broken in answers:
            raise broken
        done.set()

    made = Loop("x", 60, work, failed=lambda *words: told.append(words), recovered=lambda name: told.append((name,)))
    made.start()
    assert done.wait(10)
    made.stop()
    assert made.join(10)

    assert told == [("x", "OSError: no room"), ("x", "KeyError: 'k'"), ("x",)]


def test_a_failure_that_cannot_be_written_down_stops_nothing(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(loop, "_FIRST_PAUSE_S", 0.001)
    tries, enough = iter(range(100)), threading.Event()

    def work(_stop: threading.Event) -> None:
        if next(tries) > 2:
            enough.set()
        raise OSError("no room")

    def failed(*_words: str) -> None:
        raise OSError("no room either")

    made = Loop("x", 60, work, failed=failed)
    made.start()
    assert enough.wait(10)
    made.stop()
    assert made.join(10)


def test_a_loop_that_is_woken_works_at_once_and_one_that_is_stopped_leaves_off() -> None:
    rounds, seen = threading.Semaphore(0), list[bool]()

    def work(stop: threading.Event) -> None:
        seen.append(stop.is_set())
        rounds.release()

    made = Loop("x", 3600, work)
    made.start()
    assert rounds.acquire(timeout=10)
    made.wake()
    assert rounds.acquire(timeout=10)
    made.stop()
    assert made.join(10)

    assert seen == [False, False]


def test_a_loop_that_failed_tries_at_once_when_what_it_works_on_is_another() -> None:
    rounds = threading.Semaphore(0)

    def work(_stop: threading.Event) -> None:
        rounds.release()
        raise OSError("no room")

    made = Loop("x", 0, work, longest_pause=3600)
    made.start()
    for _ in range(20):  # by itself it would take twelve days
        assert rounds.acquire(timeout=10)
        made.again()
    made.stop()
    assert made.join(10)
