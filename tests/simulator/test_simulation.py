"""Time passes over a network the same way each time, and an event at a stadium is no fault."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from trunkline.simulator.network import Network
from trunkline.simulator.simulation import simulate
from trunkline.simulator.traffic import Grid

NETWORK = Network.make(11)
GRID = Grid.over(datetime(2026, 11, 30, tzinfo=UTC), timedelta(weeks=2))


def test_the_same_seed_counts_the_same_and_another_seed_does_not() -> None:
    one, again, other = simulate(NETWORK, GRID), simulate(NETWORK, GRID), simulate(NETWORK, GRID, seed=99)

    for word, values in one.counted.values.items():
        np.testing.assert_array_equal(values, again.counted.values[word])
    assert not np.array_equal(one.counted.values["volume_dl_kbit"], other.counted.values["volume_dl_kbit"])


def test_events_are_told_in_the_truth_as_excused_with_the_coming_and_going() -> None:
    simulation = simulate(NETWORK, GRID)
    events = simulation.truth.filter(pl.col("kind") == "event")
    assert events.height > 0

    row = events.row(0, named=True)
    assert not events["is_fault"].any()
    i = NETWORK.below(row["element"])[0]
    inside = slice(max(GRID.slot(row["start"]), 0), GRID.slot(row["end"]))
    volume = simulation.counted.values["volume_dl_kbit"][i]
    week_apart = np.roll(volume, 96 * 7 if inside.start >= 96 * 7 else -96 * 7)
    assert volume[inside].max() > week_apart[inside].mean()


def test_holidays_of_the_zones_are_known() -> None:
    assert "2026-12-08" in simulate(NETWORK, GRID).holidays["Europe/Rome"]


def test_a_part_of_the_time_holds_the_same_numbers() -> None:
    counted = simulate(NETWORK, GRID).counted

    day = counted.between(GRID.start + timedelta(days=2), GRID.start + timedelta(days=3))

    assert day.grid.slots == 96
    assert day.grid.start == GRID.start + timedelta(days=2)
    np.testing.assert_array_equal(day.values["drops"], counted.values["drops"][:, 192:288])
