"""Load has the shape of its place and time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from trunkline.core.errors import BadInput
from trunkline.simulator.network import Network
from trunkline.simulator.traffic import Grid, usual

NETWORK = Network.make(11)
WEEKS = Grid.over(datetime(2026, 10, 5, tzinfo=UTC), timedelta(weeks=4))


def _mean_by_hour(archetype: str, *, weekend: bool) -> np.ndarray:
    demand = usual(NETWORK, WEEKS).demand
    rows = [i for i, c in enumerate(NETWORK.cells) if c.site.archetype == archetype and c.site.zone == "Europe/Rome"]
    local = WEEKS.at.dt.convert_time_zone("Europe/Rome")
    frame = pl.DataFrame({"hour": local.dt.hour(), "weekend": local.dt.weekday() >= 6, "load": demand[rows].mean(axis=0)})
    return frame.filter(pl.col("weekend") == weekend).group_by("hour").agg(pl.col("load").mean()).sort("hour")["load"].to_numpy()


def test_homes_are_busy_in_the_evening_and_offices_by_day() -> None:
    assert _mean_by_hour("residential", weekend=False).argmax() in range(19, 24)
    assert _mean_by_hour("business", weekend=False).argmax() in range(9, 17)
    assert _mean_by_hour("highway", weekend=False).argmax() in (7, 8, 17, 18)
    for archetype in ("residential", "business", "highway"):
        assert _mean_by_hour(archetype, weekend=False).argmin() in range(1, 6)


def test_offices_are_empty_at_weekends_and_homes_are_not() -> None:
    assert _mean_by_hour("business", weekend=True).max() < 0.5 * _mean_by_hour("business", weekend=False).max()
    assert _mean_by_hour("residential", weekend=True).sum() > 0.9 * _mean_by_hour("residential", weekend=False).sum()


def test_a_day_follows_the_clocks_of_its_zone_when_they_change() -> None:
    grid = Grid.over(datetime(2026, 10, 19, tzinfo=UTC), timedelta(weeks=2))  # Europe leaves summer time on 25 October
    demand = usual(NETWORK, grid, noise=0).demand[next(i for i, c in enumerate(NETWORK.cells) if c.site.archetype == "residential")]
    peaks = [grid.at[int(np.argmax(demand[d * 96 : (d + 1) * 96])) + d * 96] for d in (2, 9)]

    assert peaks[1].hour * 60 + peaks[1].minute - (peaks[0].hour * 60 + peaks[0].minute) == 60


def test_a_holiday_looks_like_a_sunday() -> None:
    grid = Grid.over(datetime(2026, 12, 7, tzinfo=UTC), timedelta(weeks=1))
    row = next(i for i, c in enumerate(NETWORK.cells) if c.site.archetype == "business" and c.site.zone == "Europe/Rome")

    plain = usual(NETWORK, grid, noise=0).demand[row]
    off = usual(NETWORK, grid, noise=0, holidays={"Europe/Rome": frozenset({"2026-12-08"})}).demand[row]

    tuesday, noon_monday = slice(96 + 4, 192 - 4), 48
    assert off[tuesday].max() < 0.5 * plain[tuesday].max()
    assert off[noon_monday] == plain[noon_monday]


def test_noise_is_autocorrelated_and_has_heavier_tails_than_a_gaussian() -> None:
    noisy, calm = usual(NETWORK, WEEKS), usual(NETWORK, WEEKS, noise=0)
    log = np.log(noisy.demand / calm.demand)
    steps = np.diff(log, axis=1)

    lag1 = [np.corrcoef(row[:-1], row[1:])[0, 1] for row in log]
    assert 0.6 < np.median(lag1) < 0.95
    kurtosis = np.mean((steps - steps.mean()) ** 4) / np.var(steps) ** 2
    assert kurtosis > 3.5


def test_events_fill_the_stadium_only() -> None:
    with_events = usual(NETWORK, WEEKS, noise=0)
    site, start, _ = with_events.events[0]
    slot = WEEKS.slot(start + timedelta(minutes=30))
    stadium = list(NETWORK.below(site))

    day_before = with_events.demand[:, slot - 96 * 7 if slot >= 96 * 7 else slot + 96 * 7]
    assert (with_events.demand[stadium, slot] > 1.5 * np.minimum(day_before[stadium], with_events.demand[stadium].mean(axis=1))).all()
    assert NETWORK.cells[stadium[0]].site.archetype == "stadium"


def test_other_steps_and_spans_work_and_broken_ones_are_refused() -> None:
    hourly = Grid.over(datetime(2026, 11, 20, tzinfo=UTC), timedelta(days=2), step=timedelta(hours=1))

    assert usual(NETWORK, hourly).demand.shape == (len(NETWORK.cells), 48)
    assert hourly.slot(hourly.end) == 48
    with pytest.raises(BadInput, match="whole number of periods"):
        Grid.over(datetime(2026, 11, 20, tzinfo=UTC), timedelta(minutes=50))
    with pytest.raises(BadInput, match="names no zone"):
        Grid.over(datetime(2026, 11, 20), timedelta(days=1))
