from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.core.errors import BadInput, UnknownName
from trunkline.simulator.faults import KINDS, Injection, inject, inject_all, plan

DAY = 100.0 * (1.2 + np.sin(np.arange(24 * 7 * 10) / 24 * 2 * np.pi))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.25, 0.5, 1.0, 1.6]), st.sampled_from([1, 4]))
def test_faults_are_planned_in_equal_shares_and_do_not_overlap(seed: Any, per_week: Any, per_hour: Any) -> None:
    slots, first = 168 * per_hour * 26, 168 * per_hour * 10
    found = plan(slots, seed=seed, per_week=per_week, per_hour=per_hour, first=first)

    shares = [sum(i.kind == k for i in found) for k in KINDS]
    assert max(shares) - min(shares) <= 1
    assert len(found) == int(16 * per_week)
    assert all(first <= i.start < i.stop <= slots for i in found)
    assert all(a.stop < b.start for a, b in pairwise(found))
    assert all(i.stop - i.start == KINDS[i.kind].hours * per_hour for i in found)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_changes_its_own_slots_and_leaves_the_given_series_alone(kind: Any) -> None:
    start = 24 * 20
    before = DAY.copy()
    now = inject(DAY, Injection(kind=kind, start=start, stop=start + KINDS[kind].hours), seed=1)

    changed = np.flatnonzero(now != DAY)
    assert changed.size > 0
    assert changed.min() >= start
    assert changed.max() < start + KINDS[kind].hours
    assert np.array_equal(DAY, before)


def test_each_kind_has_its_shape() -> None:
    def ratio(kind: str, start: int = 240) -> float:
        stop = start + KINDS[kind].hours
        return float(inject(DAY, Injection(kind=kind, start=start, stop=stop))[start:stop].mean() / DAY[start:stop].mean())

    assert ratio("outage") == 0
    assert ratio("sleeping") < 0.05
    assert ratio("half") == pytest.approx(0.5)
    assert ratio("third") == pytest.approx(0.7)
    assert ratio("spike") == pytest.approx(2.0)
    assert ratio("surge") == pytest.approx(1.35)
    assert ratio("busy-night", start=24 * 10 + 16) > 2
    flat = inject(DAY, Injection(kind="flat", start=240, stop=258))[240:258]
    assert (flat == DAY[239]).all()


def test_a_missing_value_stays_missing_and_a_share_stays_below_its_ceiling() -> None:
    use = np.array([0.5, np.nan, 0.8, 0.9])

    assert np.array_equal(inject(use, Injection(kind="spike", start=0, stop=4), most=1.0), [1.0, np.nan, 1.0, 1.0], equal_nan=True)


def test_the_seed_decides() -> None:
    assert plan(5000, seed=1) == plan(5000, seed=1)
    assert plan(5000, seed=1) != plan(5000, seed=2)
    faults = plan(5000, seed=1)
    assert np.array_equal(inject_all(np.resize(DAY, 5000), faults, seed=3), inject_all(np.resize(DAY, 5000), faults, seed=3))


def test_too_many_faults_and_unknown_kinds_are_refused() -> None:
    with pytest.raises(BadInput, match="no room"):
        plan(5000, seed=0, per_week=10)
    with pytest.raises(UnknownName, match="Did you mean 'outage'"):
        plan(5000, seed=0, kinds=("outtage",))
