from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.core.errors import BadInput, UnknownName
from trunkline.models.check import check_model, sample_rows
from trunkline.models.harmonic import Harmonic, slots_of
from trunkline.models.portable import load
from trunkline.models.protocol import Context, Fitted

HOUR = timedelta(hours=1)
CONTEXT = Context(every=HOUR, zones={"cell-1": "Europe/Rome"}, words={"traffic": "downlink volume"})


def cell(
    days: int = 70, *, every: timedelta = HOUR, noise: float = 0.1, seed: int = 0, entity: str = "cell-1", first: datetime = datetime(2026, 1, 5, tzinfo=UTC)
) -> pl.DataFrame:
    """Traffic with a day and a quiet weekend."""
    count = int(timedelta(days=days) / every)
    at = pl.datetime_range(first, first + (count - 1) * every, every, time_unit="us", eager=True)
    hours = np.arange(count) * (every / HOUR)
    weekend = (hours // 24) % 7 >= 5
    shape = np.exp(np.sin((hours % 24 - 8) / 24 * 2 * np.pi) - 0.5 * weekend)
    traffic = 20.0 * shape * np.random.default_rng(seed).lognormal(0, noise, count)
    return pl.DataFrame({"entity": entity, "at": at, "traffic": traffic})


def change(rows: pl.DataFrame, start: int, stop: int, factor: float) -> pl.DataFrame:
    place = pl.int_range(pl.len())
    return rows.with_columns(pl.when((place >= start) & (place < stop)).then(pl.col("traffic") * factor).otherwise("traffic").alias("traffic"))


def test_the_contract_of_a_model_is_kept() -> None:
    assert [f for f in check_model(Harmonic()) if not f.passed] == []


def test_a_fitted_harmonic_is_a_fitted_model() -> None:
    assert isinstance(Harmonic().fit(cell(21), context=CONTEXT), Fitted)


@pytest.mark.parametrize("minutes", [5, 15, 30, 60, 180, 360, 1440])
def test_any_grid_will_do(minutes: Any) -> None:
    every = timedelta(minutes=minutes)
    rows = cell(63, every=every)

    fitted = Harmonic().fit(rows, context=Context(every=every))
    down = change(rows, rows.height - 3, rows.height, 0.0)

    assert fitted.score(down)[-1] > 0.97
    assert fitted.baseline_used == {("cell-1", "traffic"): "week"}


def test_an_outage_a_loss_and_a_surge_stand_out_and_calm_does_not() -> None:
    rows = cell(84, entity="cell-2")
    fitted = Harmonic().fit(rows[:-168], context=CONTEXT)
    calm = fitted.score(rows)[-168:]

    for factor, hours in ((0.0, 2), (0.6, 8), (1.6, 8)):
        scores = fitted.score(change(rows, rows.height - hours, rows.height, factor))
        assert scores[-1] > 0.99
    assert (calm > 0.99).mean() < 0.05


def test_scores_of_a_quiet_future_are_uniform() -> None:
    rows = pl.concat([cell(98, seed=s, entity=f"cell-{s}") for s in range(8)])
    past = rows.filter(pl.col("at") < datetime(2026, 3, 16, tzinfo=UTC))
    fitted = Harmonic().fit(past, context=CONTEXT)

    new = fitted.score(rows.filter(pl.col("at") >= datetime(2026, 3, 16, tzinfo=UTC)))

    for level, least, most in ((0.5, 0.4, 0.6), (0.9, 0.06, 0.16), (0.98, 0.008, 0.045)):
        assert least < (new > level).mean() < most


def test_the_score_is_judged_at_local_time() -> None:
    rows = cell(98, noise=0.02, first=datetime(2026, 1, 4, 23, tzinfo=UTC))  # through the change to summer time
    local = rows.with_columns(hour=pl.col("at").dt.convert_time_zone("Europe/Rome").dt.hour())
    by_clock = local.with_columns(traffic=10.0 + 5.0 * (pl.col("hour") >= 8).cast(pl.Float64) * (1 + 0.001 * pl.col("traffic"))).drop("hour")
    change_of_time = datetime(2026, 3, 29, 1, tzinfo=UTC)
    fitted = Harmonic(daily=11).fit(by_clock.filter(pl.col("at") < change_of_time), context=CONTEXT)

    usual = fitted.band(by_clock, "traffic").filter(pl.col("at") >= change_of_time)
    apart = np.abs((usual["value"] - usual["usual"]).to_numpy())

    assert apart.mean() < 1.0
    in_utc = (
        Harmonic(daily=11)
        .fit(by_clock.filter(pl.col("at") < change_of_time), context=Context(every=HOUR))
        .band(by_clock, "traffic")
        .filter(pl.col("at") >= change_of_time)
    )
    assert np.abs((in_utc["value"] - in_utc["usual"]).to_numpy()).max() > 2 * apart.max()


def test_a_holiday_is_expected_to_be_a_sunday() -> None:
    rows = cell(70)
    context = Context(every=HOUR, holidays={"UTC": frozenset({"2026-03-17"})})  # a Tuesday after the rows
    fitted = Harmonic().fit(rows, context=context)

    week = fitted.forecast("cell-1", "traffic", timedelta(days=7))
    by_day = week.group_by(pl.col("at").dt.date().cast(pl.String).alias("day")).agg(pl.col("value").mean()).sort("day")["value"].to_list()

    assert by_day[1] < 0.8 * by_day[2]
    assert np.isclose(by_day[1], by_day[6], rtol=0.05)


@pytest.mark.parametrize(("days", "used"), [(1, "level"), (5, "day"), (13, "day"), (20, "week")])
def test_a_short_past_is_compared_with_less_and_says_so(days: Any, used: Any) -> None:
    fitted = Harmonic().fit(cell(days), context=CONTEXT)

    assert fitted.baseline_used == {("cell-1", "traffic"): used}
    scores = fitted.score(cell(days + 1))
    assert scores.shape == ((days + 1) * 24,)


def test_two_entities_with_pasts_of_different_length_are_told_apart() -> None:
    late = cell(70, entity="cell-2").filter(pl.col("at") >= datetime(2026, 3, 6, tzinfo=UTC))
    fitted = Harmonic().fit(pl.concat([cell(70), late]), context=CONTEXT)

    assert fitted.baseline_used == {("cell-1", "traffic"): "week", ("cell-2", "traffic"): "day"}


def test_a_series_without_values_has_no_baseline_and_no_score() -> None:
    rows = pl.concat([cell(30), cell(30, entity="cell-2").with_columns(traffic=pl.lit(None, dtype=pl.Float64))])
    fitted = Harmonic().fit(rows, context=CONTEXT)

    assert fitted.baseline_used["cell-2", "traffic"] is None
    assert np.isnan(fitted.score(rows)[30 * 24 :]).all()


def test_a_past_with_outages_teaches_no_outage() -> None:
    rows = cell(84)
    faulty = rows
    for day in range(30, 77, 6):
        faulty = change(faulty, day * 24, day * 24 + 10, 0.02)
    fitted = Harmonic().fit(faulty[: 77 * 24], context=CONTEXT)

    scores = fitted.score(change(faulty, 80 * 24, 80 * 24 + 10, 0.02))

    assert scores[80 * 24 + 2] > 0.99


def test_only_what_is_asked_for_is_judged() -> None:
    rows = cell(63)
    low = Harmonic(direction="low").fit(rows[:-24], context=CONTEXT)

    assert low.score(change(rows, rows.height - 4, rows.height, 3.0))[-1] < 0.9
    assert low.score(change(rows, rows.height - 4, rows.height, 0.1))[-1] > 0.99


def test_a_reason_says_how_far_below_and_when_in_local_time() -> None:
    rows = change(cell(63), 63 * 24 - 1, 63 * 24, 0.29)
    fitted = Harmonic().fit(rows[:-24], context=CONTEXT)

    reason = fitted.explain(rows, rows.height - 1)[0]

    assert reason.text.startswith("downlink volume 7")
    assert "below its usual Monday 00:00" in reason.text  # Sunday 23:00 UTC
    assert reason.value == pytest.approx(rows["traffic"][-1])
    assert reason.value is not None
    assert reason.usual == pytest.approx(reason.value / 0.29, rel=0.3)


def test_the_scale_chosen_for_a_column_is_recorded() -> None:
    rows = cell(30).with_columns(ratio=pl.Series(1.0 - 0.01 * np.random.default_rng(0).random(30 * 24)), power=pl.lit(-90.0) + pl.col("traffic"))

    fitted = Harmonic().fit(rows, context=CONTEXT)

    assert fitted.transforms_used == {"power": "as it is", "ratio": "logarithm of the shortfall", "traffic": "logarithm"}


def test_the_intervals_of_a_forecast_hold_what_they_promise() -> None:
    inside, hours = 0, 0
    for seed in range(6):
        rows = cell(84, seed=seed, noise=0.2)
        fitted = Harmonic().fit(rows[: 77 * 24], context=CONTEXT)
        said = fitted.forecast("cell-1", "traffic", timedelta(days=7))
        truth = rows["traffic"][77 * 24 :]
        assert said["at"].to_list() == rows["at"][77 * 24 :].to_list()
        inside += int(((truth >= said["low"]) & (truth <= said["high"])).sum())
        hours += len(truth)

    assert 0.87 < inside / hours < 0.97


def test_a_forecast_of_an_unknown_entity_or_level_is_refused() -> None:
    fitted = Harmonic().fit(cell(21), context=CONTEXT)

    with pytest.raises(UnknownName, match="Did you mean 'cell-1'"):
        fitted.forecast("cell-l", "traffic", timedelta(days=1))
    with pytest.raises(BadInput, match="level"):
        fitted.forecast("cell-1", "traffic", timedelta(days=1), level=0.5)


def test_the_band_holds_the_usual_and_most_values() -> None:
    rows = cell(63)
    band = Harmonic().fit(rows, context=CONTEXT).band(rows, "traffic")

    assert band.columns == ["entity", "at", "value", "usual", "low", "high"]
    assert ((band["low"] <= band["usual"]) & (band["usual"] <= band["high"])).all()
    inside = ((band["value"] >= band["low"]) & (band["value"] <= band["high"])).to_numpy()
    assert 0.95 < inside.mean() <= 1.0


def test_saved_and_loaded_it_forecasts_the_same() -> None:
    fitted = Harmonic().fit(cell(40), context=CONTEXT)

    again = load(fitted.save())

    assert again.forecast("cell-1", "traffic", timedelta(days=2)).equals(fitted.forecast("cell-1", "traffic", timedelta(days=2)))  # type: ignore[attr-defined]


def test_rows_without_numbers_are_refused() -> None:
    with pytest.raises(BadInput, match="no feature column"):
        Harmonic().fit(cell(2).drop("traffic"), context=CONTEXT)


def test_windows_are_slots_of_the_grid() -> None:
    assert slots_of(("3h", "6h"), timedelta(hours=6)) == (1,)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(0.0, 0.6))
def test_holes_of_any_pattern_leave_every_present_value_judged(seed: Any, share: Any) -> None:
    gone = np.random.default_rng(seed).random(30 * 24) < share
    rows = cell(30).with_columns(pl.when(pl.Series(gone)).then(None).otherwise("traffic").alias("traffic"))

    scores = Harmonic().fit(rows, context=CONTEXT).score(rows)

    assert (np.isnan(scores) == gone).all()


def test_a_fleet_is_fitted_in_little_time() -> None:
    rows = pl.concat([cell(84, seed=s % 5, entity=f"cell-{s:03}") for s in range(60)])

    began = time.process_time()
    Harmonic().fit(rows, context=CONTEXT)
    spent = time.process_time() - began

    assert spent / (60 * 84) < 1e-3  # seconds a series-day; measured 0.1 ms


@pytest.mark.real
def test_seven_days_of_real_cells_are_forecast_better_than_by_last_week(real_data: Path) -> None:
    from benchmarks.kpi_anomaly import forecasting

    found = forecasting(real_data, weeks=12)
    ours = [r for r in found if r["model"] == "harmonic"]

    assert np.mean([r["mase"] for r in ours]) <= 0.90
    assert 0.85 <= np.mean([r["inside"] for r in ours]) <= 0.97


def test_sample_rows_are_the_same_for_the_same_seed() -> None:
    assert sample_rows(seed=3)[0].equals(sample_rows(seed=3)[0])
