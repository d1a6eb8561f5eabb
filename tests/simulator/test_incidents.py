"""Incidents happen where and when the truth says, and never two on one cell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.core.errors import BadInput, UnknownName
from trunkline.simulator.incidents import draw, overlap
from trunkline.simulator.network import Network
from trunkline.simulator.traffic import Grid

NETWORK = Network.make(11)
GRID = Grid.over(datetime(2026, 11, 9, tzinfo=UTC), timedelta(weeks=2))
START = datetime(2026, 11, 18, 9, tzinfo=UTC)


@given(seed=st.integers(0, 10_000), difficulty=st.floats(0, 1))
@settings(deadline=None, max_examples=20)
def test_drawn_incidents_lie_in_the_grid_and_never_share_a_cell(seed: int, difficulty: float) -> None:
    drawn = draw(
        NETWORK, GRID, {"sleeping_cell": 4, "transport_failure": 1, "load_third": 2, "pm_missing": 2, "energy_saving": 3}, seed=seed, difficulty=difficulty
    )

    assert len(drawn) == 12
    assert [i.incident_id for i in drawn] == [f"I{n:04d}" for n in range(1, 13)]
    for n, one in enumerate(drawn):
        assert GRID.start <= one.start < one.end <= GRID.end
        assert 0 <= one.depth <= 1
        for other in drawn[:n]:
            if one.start < other.end and other.start < one.end:
                assert not set(NETWORK.below(one.element)) & set(NETWORK.below(other.element))
    assert all(NETWORK.cells[NETWORK.index(i.element)].layer.role == "capacity" for i in drawn if i.kind == "energy_saving")


def test_drawing_is_seeded_and_says_when_there_is_no_room() -> None:
    counts = {"cell_outage": 2, "locked": 1}

    assert draw(NETWORK, GRID, counts, seed=1) == draw(NETWORK, GRID, counts, seed=1)
    assert draw(NETWORK, GRID, counts, seed=1) != draw(NETWORK, GRID, counts, seed=2)
    with pytest.raises(UnknownName, match="There is no kind of incident 'sleping_cell'"):
        draw(NETWORK, GRID, {"sleping_cell": 1})
    with pytest.raises(BadInput, match="no room for another 'transport_failure'"):
        draw(NETWORK, Grid.over(START, timedelta(hours=6)), {"transport_failure": 30})


@given(begin=st.integers(-300, 1500), length=st.integers(1, 900))
@settings(deadline=None)
def test_shares_of_periods_add_up_to_the_time_within_the_grid(begin: int, length: int) -> None:
    grid = Grid.over(START, timedelta(days=1))
    start, end = START + timedelta(minutes=begin), START + timedelta(minutes=begin + length)

    slots, share = overlap(grid, start, end)

    inside = max(timedelta(0), min(end, grid.end) - max(start, grid.start))
    assert share.sum() * grid.step.total_seconds() == pytest.approx(inside.total_seconds(), abs=1e-6)
    assert len(range(*slots.indices(grid.slots))) == len(share)
