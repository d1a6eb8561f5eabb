from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from trunkline.gates import Evidence, Latency
from trunkline.gates.check import sample_evidence


class Watch:
    """A clock that a pretended call moves on."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now

    def taking(self, *ms: float) -> Callable[[int], object]:
        calls = iter(range(10**9))
        return lambda _: setattr(self, "now", self.now + int(ms[next(calls) % len(ms)] * 1e6))


def timed(watch: Watch, **changes: Any) -> Evidence:
    return dataclasses.replace(sample_evidence(), timer=watch, **changes)


def test_the_99th_percentile_is_held_against_the_bar() -> None:
    watch = Watch()

    def slow_on_one_row_in_ten(row: int) -> None:
        watch.now += 80_000_000 if row % 10 == 0 else 1_000_000

    verdict = Latency(p99_ms=50).check(timed(watch, time_one=slow_on_one_row_in_ten))

    assert verdict.result == "fail"
    assert verdict.value == pytest.approx(80.0)
    assert "50 ms are allowed" in verdict.why


def test_what_another_process_held_up_now_and_then_is_asked_again_and_does_not_count() -> None:
    watch = Watch()
    held_up_one_call_in_fifty = [1.0] * 49 + [80.0]

    verdict = Latency(p99_ms=50).check(timed(watch, time_one=watch.taking(*held_up_one_call_in_fifty)))

    assert verdict.result == "pass"
    assert verdict.value == pytest.approx(1.0)


def test_a_candidate_within_the_bar_but_slower_than_what_is_live_is_refused() -> None:
    watch = Watch()
    live = timed(watch, time_one=watch.taking(4.0))

    slower = Latency(p99_ms=50).check(timed(watch, time_one=watch.taking(9.0), champion=live))
    as_fast = Latency(p99_ms=50).check(timed(watch, time_one=watch.taking(5.0), champion=live))

    assert slower.result == "fail"
    assert "2.2 times slower" in slower.why
    assert as_fast.result == "pass"
    assert as_fast.baseline_value == pytest.approx(4.0)


def test_without_a_way_to_score_one_row_nothing_is_said() -> None:
    verdict = Latency().check(dataclasses.replace(sample_evidence(), time_one=None))

    assert (verdict.result, verdict.value) == ("cannot tell", None)


def test_it_measures_real_time_on_this_machine() -> None:
    evidence = dataclasses.replace(sample_evidence(), time_one=lambda _: time.sleep(0.002), timer=time.perf_counter_ns)

    verdict = Latency(p99_ms=1.0, replays=100).check(evidence)

    assert verdict.result == "fail"
    assert verdict.value is not None
    assert verdict.value >= 2.0
    assert verdict.n == 100


def test_rows_replayed_are_spread_over_the_held_out_part() -> None:
    seen: list[int] = []
    evidence = dataclasses.replace(sample_evidence(), time_one=seen.append)

    Latency(replays=400).check(evidence)

    assert np.std(seen) > evidence.rows.height / 5
