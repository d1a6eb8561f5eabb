"""The present values of one KPI, packed, beside a plain dictionary of the same facts."""

from __future__ import annotations

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import SOAK

from trunkline.features.intake import KpiFacts
from trunkline.features.ring import Ring
from trunkline.features.rows import ABSENT, MISSING, OK, SUSPECT, Rows
from trunkline.features.snapshot import SavedRing

ELEMENTS, LENGTH, STATUSES = 4, 6, 2
VALUES = st.sampled_from([1.0, 7.0, 0.1, 1e300, float("nan")])
FACT = st.tuples(st.integers(0, ELEMENTS - 1), st.integers(-5, 0), st.integers(0, 400), VALUES)
STEP = st.tuples(st.integers(0, 3), st.lists(FACT, max_size=12))


def facts_of(some: list[tuple[int, int, int, float]], head: int) -> KpiFacts:
    element, back, known, value = (list(column) for column in zip(*some, strict=True)) if some else ([], [], [], [])
    status = [(OK if v == v else MISSING if k % 2 else SUSPECT) for v, k in zip(value, known, strict=True)]
    slots = np.array(back, np.int64) + head
    return KpiFacts(np.array(element, np.int64), slots, np.array(known, np.int64), np.array(value, float), np.array(status, np.uint8))


def everything(head: int) -> Rows:
    element, slot = np.meshgrid(np.arange(ELEMENTS), np.arange(head - LENGTH - 1, head + 1), indexing="ij")
    return Rows(element.ravel(), slot.ravel(), np.zeros(element.size, np.int64))


@settings(max_examples=100 * SOAK, deadline=None)
@given(st.lists(STEP, max_size=8))
def test_a_ring_holds_the_newest_version_of_each_slot_and_its_copy_from_bytes_too(steps: list[tuple[int, list[tuple[int, int, int, float]]]]) -> None:
    head, newest = 100, dict[tuple[int, int], tuple[int, float, float, int]]()
    ring = Ring(LENGTH, head=head, statuses=STATUSES)
    for turned, some in steps:
        head += turned
        ring.turn(head)
        facts = facts_of(some, head)
        ring.put(facts)
        for element, slot, known, value, status in zip(facts.element, facts.slot, facts.known, facts.value, facts.status, strict=True):
            version = (int(known), -np.inf if np.isnan(value) else float(value), float(value), int(status))
            if (element, slot) not in newest or version[:2] > newest[element, slot][:2]:
                newest[element, slot] = version
    rows = everything(head)
    gone = (0, 0.0, float("nan"), ABSENT)
    there = [newest.get((e, s), gone) if s > head - LENGTH else gone for e, s in zip(rows.element.tolist(), rows.slot.tolist(), strict=True)]

    restored = msgspec.msgpack.decode(msgspec.msgpack.encode(SavedRing.of(ring)), type=SavedRing).ring(np.arange(ELEMENTS), statuses=STATUSES)

    for one in (ring, restored):
        np.testing.assert_array_equal(one.values(rows), [value for _, _, value, _ in there])
        recent = rows.slot > head - STATUSES
        np.testing.assert_array_equal(one.statuses(rows)[recent] > ABSENT, np.array([status > ABSENT for *_, status in there])[recent])


def test_counts_take_five_bytes_of_a_slot_and_measured_numbers_nine() -> None:
    counts, shares = Ring(1000, head=1000, statuses=1), Ring(1000, head=1000, statuses=1)
    slots = np.arange(1, 1001)
    for ring, value in ((counts, slots.astype(float)), (shares, slots / 7)):
        ring.put(KpiFacts(np.zeros(1000, np.int64), slots, slots * 10**9, value.astype(np.float64), np.full(1000, OK, np.uint8)))

    assert round(counts.bytes_per_slot) == 5
    assert round(shares.bytes_per_slot) == 9


def test_a_slot_restated_more_often_than_a_byte_can_count_stays_right() -> None:
    ring = Ring(2, head=1)
    everyone = np.arange(700)
    for known in range(300):
        some = everyone[: 700 - 2 * known]
        ring.put(KpiFacts(some, np.ones_like(some), some * 0 + known, (some + known).astype(np.float64), np.full(len(some), OK, np.uint8)))

    rows = Rows(everyone, np.ones_like(everyone), everyone)
    last = np.minimum((699 - everyone) // 2, 299)
    np.testing.assert_array_equal(ring.values(rows), everyone + last)
    np.testing.assert_array_equal(ring.known(ring._row[everyone], 1), last)
    assert ring.code.itemsize == 2


def test_a_ring_saved_in_the_first_format_is_read() -> None:
    value, known = np.array([[np.nan] * 3, [1.5, np.nan, 3.5]]), np.array([[np.iinfo(np.int64).min] * 3, [5, 6, 7]])
    old = SavedRing(3, 10, [2], value.tobytes(), known.tobytes(), np.array([[ABSENT] * 3, [OK, MISSING, OK]], np.uint8).tobytes())

    ring = old.ring(np.arange(4), statuses=3)

    rows = Rows(np.full(3, 2), np.array([8, 9, 10]), np.zeros(3, np.int64))
    np.testing.assert_array_equal(ring.values(rows), [3.5, 1.5, np.nan])
    np.testing.assert_array_equal(ring.statuses(rows), [OK, OK, MISSING])
