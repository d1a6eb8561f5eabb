"""Work shared out: same answers as one after the other, in order, bounded, and a failure names its partition."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.core.errors import BadInput, WorkflowError
from trunkline.run.engine import Engine, Local, Serial, blocks

ENGINES: list[Engine] = [Serial(), Local(1), Local(3), Local(2, ahead=0)]


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_answers_come_in_the_order_asked(engine: Engine) -> None:
    def slow_at_first(number: int) -> int:
        time.sleep(0.01 if number == 0 else 0)
        return number * number

    told: list[int] = []

    assert list(engine.map(slow_at_first, range(7), progress=told.append)) == [n * n for n in range(7)]
    assert told == list(range(1, 8))
    assert list(engine.map(slow_at_first, [])) == []


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_a_failure_names_its_partition_after_what_came_before_it(engine: Engine) -> None:
    def refuse(names: tuple[str, ...]) -> int:
        if "c" in names:
            raise ValueError("no value")
        return len(names)

    answers = engine.map(refuse, blocks(["a", "b", "c", "d", "e"], of=2))

    assert next(answers) == 2
    with pytest.raises(WorkflowError, match=r"Partition c … d \(2 elements\) failed: ValueError: no value") as told:
        next(answers)
    assert isinstance(told.value.__cause__, ValueError)


def test_no_more_is_under_way_than_was_agreed() -> None:
    lock, under_way, most = threading.Lock(), 0, 0
    begun: list[int] = []

    def watch(number: int) -> int:
        nonlocal under_way, most
        with lock:
            begun.append(number)
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.002)
        with lock:
            under_way -= 1
        return number

    for answer in Local(2, ahead=1).map(watch, range(12)):
        assert max(begun) <= answer + 3

    assert most <= 2


def test_processes_give_the_same_answers() -> None:
    assert list(Local(2, by="processes").map(len, [("a",), ("b", "c")])) == [1, 2]


@settings(max_examples=50)
@given(names=st.lists(st.text(), max_size=30), of=st.integers(1, 7))
def test_blocks_hold_every_name_once_and_in_order(names: list[str], of: int) -> None:
    found = blocks(names, of=of)

    assert [name for block in found for name in block] == names
    assert all(len(block) == of for block in found[:-1])


def test_an_engine_that_cannot_work_is_refused() -> None:
    with pytest.raises(BadInput, match="-1 workers"):
        list(Local(-1).map(len, [""]))
    with pytest.raises(BadInput, match="partition of 0"):
        blocks(["a"], of=0)
