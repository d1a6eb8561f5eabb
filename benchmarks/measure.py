"""How a figure is taken: in CPU time, beside a named peer and a physical limit, in the same run.

Wall time on a shared machine measures the neighbours; CPU time and the ratio to a peer measured a moment earlier do not.
Where waiting is the point (a commit, an acknowledgement) the figure says so in its unit.
"""

from __future__ import annotations

import dataclasses
import gc
import math
import resource
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, ParamSpec, Self, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number, with what it has to be compared to.

    Parameters
    ----------
    name
        What was measured, with its size: "pm: gz to frame, positional, 200 files".
    value, unit
        The number, and of what: "x lxml iterparse", "entries/s", "ms CPU".
    bar
        What it has to reach; None where it is only told.
    better
        Which way is better.
    peer, peer_value
        The named peer measured in the same run, in the same unit as ``value`` unless ``unit`` is a ratio to it: then in ``peer_unit``.
    limit, limit_is
        The physical limit measured in the same run, and what it is.
    n
        How many rows, files or calls.
    simulated
        Whether the data are.
    peak_mb
        Highest memory of the process so far.
    """

    name: str
    value: float
    unit: str
    bar: float | None = None
    better: Literal["higher", "lower"] = "higher"
    peer: str = ""
    peer_value: float | None = None
    limit: float | None = None
    limit_is: str = ""
    n: int = 0
    simulated: bool = True
    peak_mb: float | None = None
    note: str = ""

    @property
    def meets(self) -> bool | None:
        """Whether the bar is met; None where there is none."""
        if self.bar is None:
            return None
        return self.value >= self.bar if self.better == "higher" else self.value <= self.bar

    def plain(self) -> dict[str, Any]:
        """As one JSON object."""
        return {**{one.name: getattr(self, one.name) for one in dataclasses.fields(self)}, "meets": self.meets}


@dataclass(frozen=True, slots=True)
class Timing:
    """The best of several runs of one thing, and what it gave."""

    cpu_s: float
    wall_s: float
    peak_mb: float
    result: Any


def cpu(function: Callable[P, R], *args: P.args, repeat: int = 3, **kwargs: P.kwargs) -> Timing:  # type: ignore[valid-type]
    """The least CPU and wall seconds of *repeat* runs, all threads counted, the collector switched off as ``timeit`` does."""
    cpus, walls, result = [], [], None
    for _ in range(repeat):
        gc.collect()
        gc.disable()
        try:
            wall, used = time.perf_counter(), time.process_time()
            result = function(*args, **kwargs)
            cpus.append(time.process_time() - used)
            walls.append(time.perf_counter() - wall)
        finally:
            gc.enable()
    return Timing(min(cpus), min(walls), peak_mb(), result)


def each(call: Callable[[int], object], count: int, *, warm: int = 200) -> dict[str, float]:
    """Seconds of single calls: ``p50``, ``p99`` and ``p999`` of *count*, after *warm* that are not counted."""
    for i in range(warm):
        call(i)
    took = []
    for i in range(count):
        begun = time.perf_counter_ns()
        call(i)
        took.append(time.perf_counter_ns() - begun)
    took.sort()
    return {name: took[min(int(share * count), count - 1)] / 1e9 for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))}


def growth(seconds: Mapping[int, float]) -> float:
    """The exponent of time over size, by least squares of the logarithms: 1 is linear.

    >>> round(growth({1: 1.0, 3: 3.0, 10: 10.0}), 3)
    1.0
    """
    xs, ys = [math.log(size) for size in seconds], [math.log(max(took, 1e-9)) for took in seconds.values()]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)


def peak_mb() -> float:
    """The highest memory this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class PeakOf:
    """The highest memory while it is open, above what there was at its start: ``with PeakOf() as peak: …; peak.mb``."""

    def __init__(self, every_s: float = 0.02) -> None:
        self._every, self._stop, self.mb = every_s, threading.Event(), 0.0

    def __enter__(self) -> Self:
        self._start = _resident_mb()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._stop.is_set():
            self.mb = max(self.mb, _resident_mb() - self._start)
            self._stop.wait(self._every)


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize() / 2**20


def lines(figures: Iterator[Figure]) -> Iterator[str]:
    """Figures as a table for people, a line at a time."""
    yield f"{'figure':70} {'value':>12} {'unit':26} {'bar':>9} {'peer':>11} {'limit':>11} {'peak MB':>8}"
    for one in figures:
        sign = {True: " ", False: "!", None: " "}[one.meets]
        bar, peer, limit, peak = ("" if v is None else f"{v:,.4g}" for v in (one.bar, one.peer_value, one.limit, one.peak_mb))
        yield f"{one.name + (' (simulated)' if one.simulated else ''):70} {one.value:12,.4g}{sign}{one.unit:26} {bar:>9} {peer:>11} {limit:>11} {peak:>8}"
        for text in (f"peer: {one.peer}" if one.peer else "", f"limit: {one.limit_is}" if one.limit_is else "", one.note):
            if text:
                yield f"    {text}"
