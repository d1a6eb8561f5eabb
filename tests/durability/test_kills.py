"""Killed at random moments, whatever it is doing: nothing is lost and nothing is doubled. ``make soak`` does a thousand kills and more."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.durability.home import Home
from tests.durability.killing import Harness, Tally
from tests.durability.soak import table
from tests.durability.steps import Tell, _series, counted

KILLS = {"create": 2, "load": 3, "decide": 1, "act": 3, "compact": 2, "migrate": 2, "backup": 3, "restore": 2, "serve": 2}
"""Twenty in all."""


@pytest.fixture(scope="module")
def tallies() -> Iterator[dict[str, Tally]]:
    found: dict[str, Tally] = {}
    yield found
    print("\n" + table(found))


@pytest.mark.slow
@pytest.mark.parametrize("name", KILLS)
def test_killed_and_begun_again_it_ends_as_if_nobody_had_stopped_it(harness: Harness, tallies: dict[str, Tally], name: str) -> None:
    tally, chance = tallies.setdefault(name, Tally()), random.Random(name)
    while tally.kills < KILLS[name]:
        harness.try_once(name, chance, tally)

    assert (tally.lost, tally.doubled, tally.wrong) == (0, 0, 0), "\n".join(tally.told)


def careless_load(home: Home, tell: Tell) -> None:
    """What a load would be that acknowledges before it keeps, and does not know what it kept."""
    with home.opened() as opened:
        for name in ("a", "b", "c"):
            tell(name)
            opened.data.load([_series(home.folder / f"{name}.csv", name)])
            opened.store.journal.append("delivery.careless", {"name": name})


def test_the_harness_finds_what_is_lost_and_what_is_doubled(harness: Harness) -> None:
    harness.steps["careless"] = replace(harness.steps["load"], name="careless", work=careless_load, count=counted)
    tally, chance = Tally(), random.Random(3)
    for _ in range(4):
        harness.try_once("careless", chance, tally)

    assert tally.doubled > 0
    assert any("delivery.careless" in one and one.startswith("doubled") for one in tally.told)
