"""Is the candidate fast enough on this machine, one row at a time as the live service asks?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from trunkline.gates.protocol import Array, Evidence, Verdict

WARM = 20
"""Calls before the clock counts: first calls build caches that later ones use."""

AGAIN = 2
"""How often a row that took too long is asked again."""

FEWEST = 100
"""Replays below which a 99th percentile is the slowest call."""


@dataclass(frozen=True, slots=True)
class Latency:
    """The 99th percentile of scoring one row with its context, replayed here, and no slowdown against the live version.

    Candidate and live version take turns row by row, so that a busy machine is unfair to both alike. A row that took longer
    than is allowed is asked twice more and its fastest answer counts: what is slow by itself stays slow, what another process
    held up does not.

    Parameters
    ----------
    p99_ms
        Milliseconds within which 99 of 100 replays have to answer.
    replays
        Rows replayed, drawn from the held-out part with the evidence's seed.
    slower
        How many times the live version's median the candidate's median may be.

    >>> Latency(p99_ms=50).replays
    500
    """

    p99_ms: float = field(default=50.0, kw_only=True)
    replays: int = field(default=500, kw_only=True)
    slower: float = field(default=1.5, kw_only=True)

    judges: ClassVar[Literal["speed"]] = "speed"

    def check(self, evidence: Evidence) -> Verdict:
        """Replay rows and time them."""
        score, live = evidence.time_one, evidence.champion.time_one if evidence.champion is not None else None
        if score is None or evidence.rows.height == 0 or self.replays < FEWEST:
            why = "No way to score one row was handed in" if score is None else f"{min(self.replays, evidence.rows.height)} rows can be replayed"
            return Verdict(
                gate="Latency",
                result="cannot tell",
                bar=self.p99_ms,
                next_step="Hand in time_one and rows, and replay at least 100.",
                why=f"{why}, so the bar of {self.p99_ms:g} ms cannot be checked.",
            )
        rows = np.random.default_rng([evidence.seed, 3]).integers(0, evidence.rows.height, self.replays)
        own, other = _replay(score, live, rows, evidence.timer, self.p99_ms)
        p50, p99 = (float(np.quantile(own, q)) for q in (0.5, 0.99))
        around = _quantile_interval(own, 0.99)
        words = f"Over {self.replays} replays here half of the rows take {p50:.3g} ms or less, 99 of 100 {p99:.3g} ms [{around[0]:.3g}, {around[1]:.3g}]; {self.p99_ms:g} ms are allowed"
        base = float(np.median(other)) if len(other) else None
        if p99 > self.p99_ms:
            return self._verdict("fail", p99, around, f"{words}.", "Use fewer or shorter features, or a smaller model.", base)
        if base is not None and p50 > self.slower * base:
            return self._verdict(
                "fail",
                p99,
                around,
                f"{words}. The live version's median is {base:.3g} ms: {p50 / base:.2g} times slower, {self.slower:g} allowed.",
                "Keep the live version.",
                base,
            )
        live_words = f" The live version's median is {base:.3g} ms." if base is not None else ""
        return self._verdict("pass", p99, around, f"{words}.{live_words}", "", base)

    def _verdict(self, result: Literal["pass", "fail"], value: float, around: tuple[float, float], why: str, next_step: str, base: float | None) -> Verdict:
        return Verdict(
            gate="Latency", result=result, value=value, bar=self.p99_ms, interval=around, n=self.replays, why=why, next_step=next_step, baseline_value=base
        )


def _replay(
    score: Callable[[int], object], live: Callable[[int], object] | None, rows: Array, timer: Callable[[], int], allowed_ms: float
) -> tuple[Array, Array]:
    """Milliseconds per row of the candidate and of the live version."""
    for row in rows[:WARM].tolist():
        score(row)
        if live is not None:
            live(row)
    own, other = [], []
    for row in rows.tolist():
        took = _time(score, row, timer)
        own.append(took if took <= allowed_ms else min(took, *(_time(score, row, timer) for _ in range(AGAIN))))
        if live is not None:
            other.append(_time(live, row, timer))
    return np.array(own), np.array(other)


def _time(score: Callable[[int], object], row: int, timer: Callable[[], int]) -> float:
    begin = timer()
    score(row)
    return (timer() - begin) / 1e6


def _quantile_interval(sample: Array, q: float) -> tuple[float, float]:
    """95 % interval of a quantile from order statistics (normal approximation of the binomial rank)."""
    ordered, n = np.sort(sample), len(sample)
    spread = 1.96 * np.sqrt(n * q * (1 - q))
    low, high = int(np.clip(np.floor(n * q - spread), 0, n - 1)), int(np.clip(np.ceil(n * q + spread), 0, n - 1))
    value = float(np.quantile(sample, q))
    return min(float(ordered[low]), value), max(float(ordered[high]), value)
