"""Killed at any moment, deciding goes on as if it had not been: nothing lost, nothing doubled."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import event
from tests.conftest import SOAK
from tests.run import at_work_case as cases

from trunkline.run.work import work
from trunkline.store.opened import Store


class Killed(BaseException):
    """What a process does not live to see: nothing of it can be caught by code that looks for errors."""


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> cases.Case:
    """One release live and one in shadow, and three and a half days to decide."""
    made = cases.make(tmp_path_factory.mktemp("killed"), shadow=1)
    store = made.open(made.folder)
    cases.put(store, made.folder.parent, "data", cases.days(made, 0, 3.5))
    store.close()
    return made


@pytest.fixture(scope="module")
def ended(case: cases.Case, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, int]:
    """What a run says that nobody stops, and how many statements it makes."""
    store = case.copy(tmp_path_factory.mktemp("whole") / "w")
    with killed_after(store, sys.maxsize) as seen:
        work(store, case.workflow)
    return store, len(seen)


@pytest.fixture(scope="module")
def whole(ended: tuple[Store, int]) -> Store:
    return ended[0]


@contextmanager
def killed_after(store: Store, statements: int) -> Iterator[list[str]]:
    """The process ends before its database statement of this number."""
    left, seen = statements, list[str]()

    def before(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        nonlocal left
        seen.append(statement)
        left -= 1
        if left < 0:
            raise Killed

    event.listen(store.engine, "before_cursor_execute", before)
    try:
        yield seen
    finally:
        event.remove(store.engine, "before_cursor_execute", before)


def live(store: Store) -> list[tuple[str, str]]:
    """What the journal says of live deciding: its order is that of time. A shadow's is its own, and is compared apart."""
    return [one for one in cases.said(store) if "'mode': 'shadow'" not in one[1] and "dry-run" not in one[1]]


def shadow(store: Store) -> list[tuple[str, str]]:
    return [one for one in cases.said(store) if one not in live(store)]


@pytest.mark.parametrize("seed", range(3 * SOAK))
def test_killed_at_any_statement_it_ends_as_if_it_had_not_been(case: cases.Case, ended: tuple[Store, int], tmp_path: Path, seed: int) -> None:
    chance, folder, (whole, statements) = random.Random(seed), tmp_path / "w", ended
    store = case.copy(folder)
    for _ in range(4):
        with suppress(Killed), killed_after(store, chance.randrange(statements // 3)):
            work(store, case.workflow)
        store.close()
        store = case.open(folder)  # what a new process does
    work(store, case.workflow)

    assert live(store) == live(whole)
    assert shadow(store) == shadow(whole)
    assert cases.remembered(store) == cases.remembered(whole)
    assert cases.decisions(store) == cases.decisions(whole) != []
    assert cases.decisions(store, "shadow") == cases.decisions(whole, "shadow")
    assert store.journal.verify().ok


CHILD = """
import sys
from datetime import timedelta
from pathlib import Path
from tests.run import at_work_case as cases
from trunkline.run import shipped
from trunkline.run.work import work
folder, keys, workflow = map(Path, sys.argv[1:4])
found = shipped.find(workflow)
store = cases.Case(folder, keys, found, ()).open(folder)
print("open", flush=True)
work(store, found)
store.close()
"""


@pytest.mark.parametrize("seed", range(1 * SOAK))
def test_killed_by_the_operating_system_it_ends_as_if_it_had_not_been(case: cases.Case, whole: Store, tmp_path: Path, seed: int) -> None:
    chance, folder = random.Random(seed), tmp_path / "w"
    case.copy(folder).close()
    command = [sys.executable, "-c", CHILD, str(folder), str(case.keys), str(case.workflow.called)]
    for wait in [*(chance.uniform(0.0, 1.5) for _ in range(2)), None]:
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], env={**os.environ, "PYTHONPATH": "."}) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"open\n"
            try:
                child.wait(wait)
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL)
        assert child.returncode in {0, -signal.SIGKILL}

    store = case.open(folder)
    assert live(store) == live(whole)
    assert cases.remembered(store) == cases.remembered(whole)
    assert cases.decisions(store) == cases.decisions(whole)
    assert store.journal.verify().ok
