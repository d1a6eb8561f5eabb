"""The disk is full: it says so in words, nothing is half, and with room it goes on."""

from __future__ import annotations

import random

import pytest
from tests.durability import shim
from tests.durability.filling import fill
from tests.durability.killing import Harness, Tally

TIMES = {"create": 3, "load": 3, "decide": 2, "act": 2, "compact": 2, "migrate": 2, "backup": 3, "restore": 2}


@pytest.mark.slow
@pytest.mark.parametrize("name", TIMES)
def test_on_a_full_disk_it_says_so_and_with_room_it_goes_on(harness: Harness, name: str) -> None:
    shim.needed()
    tally = Tally()

    said = fill(harness, name, random.Random(name), tally, times=TIMES[name])

    assert len(said) > 0
    assert [one.trace for one in said if not one.is_told] == []
    assert all("full" in one.text or "room" in one.text or "No space left" in one.text for one in said)
    assert (tally.lost, tally.doubled, tally.wrong) == (0, 0, 0), "\n".join(tally.told)
