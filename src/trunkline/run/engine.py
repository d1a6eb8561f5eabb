"""Work shared out: the same function over many partitions, a few at a time, their answers in the order asked.

Threads come first: Polars and our compiled kernels let go of the interpreter while they work, so that threads use all
cores without copying anything. Work that stays in Python (a workflow's own ``decide`` over millions of rows) runs in
processes instead, started afresh and never forked. What is under way is bounded, and with it the memory.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from trunkline.core.errors import BadInput, TrunklineError, WorkflowError

A = TypeVar("A")
R = TypeVar("R")
Progress = Callable[[int], None]
"""Told after each partition how many are done."""


class Engine(Protocol):
    """Where partitions are worked on. Ours are :class:`Serial` and :class:`Local`; one that spans machines fits in here."""

    def map(self, function: Callable[[A], R], partitions: Iterable[A], *, progress: Progress | None = None) -> Iterator[R]:
        """*function* of each partition, in the order of *partitions*, however many are worked on at once.

        Raises
        ------
        WorkflowError
            *function* failed on a partition; says on which. Nothing new is begun after that.
        """
        ...


@dataclass(frozen=True, slots=True)
class Serial:
    """One partition after the other, in the thread that asks: what every other engine must agree with.

    >>> list(Serial().map(len, ["a", "bb"]))
    [1, 2]
    """

    def map(self, function: Callable[[A], R], partitions: Iterable[A], *, progress: Progress | None = None) -> Iterator[R]:
        """See :class:`Engine`."""
        for done, partition in enumerate(partitions, 1):
            try:
                answer = function(partition)
            except Exception as broken:
                raise _failed(partition, broken) from broken
            yield answer
            if progress:
                progress(done)


@dataclass(frozen=True, slots=True)
class Local:
    """The cores of this machine.

    Parameters
    ----------
    workers
        Partitions worked on at once; as many as there are cores where left out. Each holds its own memory.
    ahead
        Finished answers that may wait for the one that asks.
    by
        "threads", or "processes" for work that stays in Python; then function, partitions and answers must be such
        as can be sent (defined in a module, made of plain values and arrays).

    >>> list(Local(2).map(str.upper, ["a", "b", "c"]))
    ['A', 'B', 'C']
    """

    workers: int | None = None
    ahead: int = 1
    by: Literal["threads", "processes"] = "threads"

    def map(self, function: Callable[[A], R], partitions: Iterable[A], *, progress: Progress | None = None) -> Iterator[R]:
        """See :class:`Engine`."""
        workers = self.workers or os.cpu_count() or 1
        if workers < 1 or self.ahead < 0:
            raise BadInput(f"{workers} workers with {self.ahead} answers ahead cannot work.", allowed="workers 1 or more, ahead 0 or more")
        waiting: deque[tuple[A, Future[R]]] = deque()
        coming = iter(partitions)
        done = 0
        with self._executor(workers) as executor:
            try:
                for partition in coming:
                    waiting.append((partition, executor.submit(function, partition)))
                    if len(waiting) < workers + self.ahead:
                        continue
                    yield _answer(*waiting.popleft())
                    done += 1
                    if progress:
                        progress(done)
                while waiting:
                    yield _answer(*waiting.popleft())
                    done += 1
                    if progress:
                        progress(done)
            finally:
                for _, future in waiting:
                    future.cancel()

    def _executor(self, workers: int) -> Executor:
        if self.by == "threads":
            return ThreadPoolExecutor(workers, thread_name_prefix="trunkline")
        return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


def blocks(names: Sequence[str], *, of: int) -> list[tuple[str, ...]]:
    """*names* in partitions of at most so many, each in its order; the same names give the same partitions.

    >>> blocks(["a", "b", "c"], of=2)
    [('a', 'b'), ('c',)]
    """
    if of < 1:
        raise BadInput(f"A partition of {of} elements holds nothing.", allowed="1 or more")
    return [tuple(names[begin : begin + of]) for begin in range(0, len(names), of)]


def _answer(partition: object, future: Future[R]) -> R:
    try:
        return future.result()
    except Exception as broken:
        raise _failed(partition, broken) from broken


def _failed(partition: object, broken: Exception) -> WorkflowError:
    name = _name(partition)
    said = str(broken) if isinstance(broken, TrunklineError) else f"{type(broken).__name__}: {broken}"
    return WorkflowError(f"Partition {name} failed: {said}", where=name, next_step="The partitions before it are done; mend the cause and run again.")


def _name(partition: object) -> str:
    if isinstance(partition, tuple) and len(partition) > 1 and all(isinstance(part, str) for part in partition):
        return f"{partition[0]} … {partition[-1]} ({len(partition)} elements)"
    text = partition[0] if isinstance(partition, tuple) and len(partition) == 1 else partition
    return str(text) if len(str(text)) <= 80 else f"{str(text)[:77]}..."
