from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.core.errors import BadInput, TrunklineError, UnknownName
from trunkline.models.busy_weeks import Days, came_true, days_of, in_a_row
from trunkline.models.check import check_model
from trunkline.models.crossing import Crossing
from trunkline.models.linear_trend import LinearTrend, straight
from trunkline.models.local_trend import LocalTrend, kalman
from trunkline.models.portable import pack, unpack
from trunkline.models.protocol import Context

DAY = timedelta(days=1)
DAILY = Context(every=DAY, words={"prb": "busy-hour PRB use"})
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


def series(weekly: Any, *, name: str = "cell-1", noise: float = 1.0, seed: int = 0, start: datetime = MONDAY) -> pl.DataFrame:
    """Daily rows whose level goes from week to week through *weekly*."""
    weekly = np.asarray(weekly, dtype=float)
    days = np.interp(np.arange(7 * len(weekly)) / 7.0, np.arange(len(weekly)), weekly)
    values = days + np.random.default_rng(seed).normal(0, noise, len(days))
    at = pl.datetime_range(start, start + (len(days) - 1) * DAY, "1d", time_unit="us", eager=True)
    return pl.DataFrame({"entity": name, "at": at, "prb": pl.Series(values).fill_nan(None)})


def chance(rows: pl.DataFrame, **given: Any) -> float:
    return float(Crossing(daily="usual", **given).fit(rows, context=DAILY).score(rows)[-1])


def test_the_filter_is_the_one_of_the_textbook_step_by_step() -> None:
    random = np.random.default_rng(3)
    y = 50 + np.cumsum(random.normal(0.5, 1, 30))
    y[[0, 7, 8]] = np.nan
    q_level, q_slope, first, damping = 0.3, 0.01, 0.1, 0.95

    done = kalman(y[None, :], np.array([[q_level, q_slope, first, damping], [0.0, 0.0, 1.0, 1.0]]))

    T, Q, Z = np.array([[1, 1], [0, damping]]), np.diag([q_level, q_slope]), np.array([1.0, 0.0])
    a, P, squares, logs = np.array([y[1], 0.0]), np.diag([1.0, first]), 0.0, 0.0
    for value in y[2:]:
        a, P = T @ a, T @ P @ T.T + Q
        if np.isfinite(value):
            error, size = value - Z @ a, Z @ P @ Z + 1
            gain = P @ Z / size
            a, P = a + gain * error, P - np.outer(gain, Z @ P)
            squares, logs = squares + error**2 / size, logs + np.log(size)
    assert np.allclose(done.mean[:, 0, 0], a)
    assert np.allclose(done.spread[:, 0, 0], [P[0, 0], P[0, 1], P[1, 1]])
    assert np.allclose([done.squares[0, 0], done.logs[0, 0], done.count[0]], [squares, logs, 26])


def test_the_first_steps_of_the_filter_can_be_done_by_hand() -> None:
    done = kalman(np.array([[10.0, 13.0]]), np.array([[0.0, 0.0, 1.0, 1.0]]))

    # before the second value: level 10 with variance 1 + 1, so the gain is 2/3 for the level and 1/3 for the slope
    assert np.allclose(done.mean[:, 0, 0], [12.0, 1.0])
    assert np.allclose(done.spread[:, 0, 0], [2 / 3, 1 / 3, 2 / 3])


def test_drawn_paths_scatter_as_the_formula_says() -> None:
    one = np.full((1, 1), 1.0)
    trend = LocalTrend(
        ratios=np.array([0.5, 0.1, 1.0, 1.0])[:, None, None],
        mean=np.array([50.0, 0.5])[:, None, None],
        spread=np.array([0.4, 0.1, 0.2])[:, None, None],
        noise=4.0 * one,
        freedom=np.array([1e6]),
    )

    paths = trend.paths(8, paths=40_000, seed=0)[:, 0]

    T, P = np.array([[1, 1], [0, 1]]), np.array([[0.4, 0.1], [0.1, 0.2]])
    for step in range(8):
        P = T @ P @ T.T + np.diag([0.5, 0.1])
        assert paths[:, step].mean() == pytest.approx(50 + 0.5 * (step + 1), abs=0.02)
        assert paths[:, step].var() == pytest.approx(4.0 * (P[0, 0] + 1), rel=0.03)


@given(st.integers(4, 40), st.floats(-1.0, 1.5), st.integers(0, 5))
@settings(deadline=None, max_examples=12)
def test_a_longer_horizon_never_makes_crossing_less_likely(past: int, growth: float, seed: int) -> None:
    rows = series(60 + growth * np.arange(past + 6), seed=seed)

    found = [chance(rows, horizon=f"{weeks}w", paths=200) for weeks in (4, 13, 26, 40)]

    assert found == sorted(found)


def test_a_flat_cell_below_the_limit_hardly_crosses_and_a_steep_one_does() -> None:
    rows = pl.concat([series(np.full(40, 50.0), name="flat"), series(40 + 0.9 * np.arange(40), name="steep"), series(np.full(40, 95.0), name="there")])

    fitted = Crossing(daily="usual").fit(rows, context=DAILY)
    flat, steep, there = (fitted.score(rows.filter(pl.col("entity") == name))[-1] for name in ("flat", "steep", "there"))

    assert flat < 0.02
    assert steep > 0.9
    assert there > 0.98


def test_the_limit_can_lie_below() -> None:
    rows = series(12 - 0.2 * np.arange(30), noise=0.3)
    falls = Crossing(daily="usual", side="below", limit=3.0, unit="Mbit/s")

    fitted = falls.fit(rows, context=DAILY)

    assert fitted.score(rows)[-1] > 0.9
    assert "falling" in fitted.explain(rows, rows.height - 1)[0].text
    assert "Mbit/s a month" in fitted.explain(rows, rows.height - 1)[0].text


def test_missing_weeks_change_little_and_are_never_filled() -> None:
    rows = series(40 + 0.6 * np.arange(52), noise=2.0)
    gone = rows.filter(~pl.col("at").is_between(MONDAY + 15 * 7 * DAY, MONDAY + 25 * 7 * DAY))

    full, holes = (Crossing(daily="usual").fit(given, context=DAILY) for given in (rows, gone))

    assert np.isnan(days_of(gone, "prb", every=DAY, zones={}, daily="usual", side="above").weeks()).sum() >= 9
    assert holes.score(gone)[-1] == pytest.approx(full.score(rows)[-1], abs=0.15)
    assert holes.trend.expected()[0] == pytest.approx(full.trend.expected()[0], abs=1.0)


def test_a_cell_whose_data_ended_is_less_sure() -> None:
    goes_on = series(np.full(40, 70.0), name="goes-on")
    ended = series(np.full(40, 70.0), name="ended").filter(pl.col("at") < MONDAY + 34 * 7 * DAY)

    fitted = Crossing(daily="usual").fit(pl.concat([ended, goes_on]), context=DAILY)

    widths = [float((f["high"] - f["low"])[10]) for f in (fitted.forecast("ended"), fitted.forecast("goes-on"))]
    assert widths[0] > widths[1]


def test_shares_and_per_cent_say_the_same() -> None:
    percent = series(40 + 0.7 * np.arange(40), noise=1.5)
    share = percent.with_columns(pl.col("prb") / 100)

    of_percent, of_share = (Crossing(daily="usual").fit(rows, context=DAILY) for rows in (percent, share))
    text = of_share.explain(share, share.height - 1)[0].text

    assert np.allclose(of_percent.score(percent), of_share.score(share), atol=0.005)
    assert text.endswith("(values are shares: 80 % is 0.8)")
    assert text.removesuffix(" (values are shares: 80 % is 0.8)").split(";")[0][:40] == of_percent.explain(percent, percent.height - 1)[0].text[:40]
    assert not Crossing(daily="usual", unit="Mbit/s").fit(share, context=DAILY).share


def test_the_reason_tells_where_how_fast_when_and_what_a_line_says() -> None:
    rows = series(40 + 0.45 * np.arange(64), noise=3.0)

    (reason,) = Crossing(daily="usual").fit(rows, context=DAILY).explain(rows, rows.height - 1)

    assert reason.column == "prb"
    assert reason.value == pytest.approx(69, abs=2)
    assert reason.usual == 80.0
    for words in (
        "busy-hour PRB use 6",
        "% and growing 2.",
        "points a month: 80 % is reached about 202",
        "(between 202",
        ", probability 0.",
        "within 26 weeks; a straight line says 202",
    ):
        assert words in reason.text


@pytest.mark.parametrize(
    ("weekly", "words"),
    [
        (np.full(40, 30.0), "80 % is not in sight before"),
        (np.full(40, 90.0), "is beyond 80 % already"),
        (90 - 0.8 * np.arange(60), "a straight line never gets there"),
    ],
)
def test_the_reason_fits_the_case(weekly: Any, words: str) -> None:
    rows = series(weekly)

    assert words in Crossing(daily="usual").fit(rows, context=DAILY).explain(rows, rows.height - 1)[0].text


def test_too_few_weeks_or_an_unknown_cell_are_not_judged_and_the_reason_says_why() -> None:
    rows = pl.concat([series(np.full(5, 79.0), name="new"), series(np.full(30, 50.0), name="old")])
    stranger = rows.filter(pl.col("entity") == "new").with_columns(entity=pl.lit("stranger"))

    fitted = Crossing(daily="usual").fit(rows, context=DAILY)

    assert np.isnan(fitted.score(rows.filter(pl.col("entity") == "new"))).all()
    assert np.isnan(fitted.score(stranger)).all()
    assert "fewer than 6 weeks" in fitted.explain(rows, 3)[0].text
    assert "never seen" in fitted.explain(stranger, 0)[0].text
    assert fitted.forecast("new")["p_crossed"].is_null().all()


def test_a_row_long_after_the_fit_is_not_judged() -> None:
    rows = series(50 + 0.5 * np.arange(52))
    fitted = Crossing(daily="usual").fit(rows.head(30 * 7), context=DAILY)

    scores = fitted.score(rows)

    assert np.isfinite(scores[: 43 * 7]).all()
    assert np.isnan(scores[44 * 7 :]).all()
    assert scores[41 * 7] > scores[30 * 7]  # eleven weeks of growth nearer


def test_the_same_seed_draws_the_same_and_other_cells_do_not_change_the_draws() -> None:
    rows = series(50 + 0.5 * np.arange(30))

    first, again, other = (Crossing(daily="usual").fit(rows, context=DAILY, seed=seed) for seed in (1, 1, 2))

    assert np.array_equal(first.score(rows), again.score(rows))
    assert not np.array_equal(first.score(rows), other.score(rows))
    trend = LocalTrend.fit(days_of(pl.concat([rows, series(np.full(30, 20.0), name="z")]), "prb", every=DAY, zones={}, daily="usual", side="above").weeks())
    assert np.array_equal(trend.paths(5, paths=10, seed=0)[:, :1], trend.of(slice(0, 1)).paths(5, paths=10, seed=0))


def test_saved_and_loaded_it_says_the_same() -> None:
    rows = pl.concat([series(50 + 0.5 * np.arange(30)), series(np.full(30, 20.0), name="z")])
    context = Context(every=DAY, zones={"z": "Europe/Rome"})
    for model in (Crossing(daily="usual"), LinearTrend(daily="usual")):
        fitted: Any = model.fit(rows, context=context)

        again: Any = type(model).from_saved(unpack(pack(fitted.save())))

        assert np.array_equal(fitted.score(rows), again.score(rows))
        assert fitted.explain(rows, 5) == again.explain(rows, 5)
        if isinstance(model, Crossing):
            assert fitted.forecast("z").equals(again.forecast("z"))


def test_the_forecast_never_uncrosses_and_ends_where_the_score_is() -> None:
    rows = series(50 + 0.6 * np.arange(40))
    fitted = Crossing(daily="usual").fit(rows, context=DAILY)

    ahead = fitted.forecast("cell-1")

    assert ahead.columns == ["at", "value", "low", "high", "p_crossed"]
    assert ahead["at"][0] == rows["at"][-1] + DAY
    assert ahead["p_crossed"].diff().drop_nulls().min() >= 0  # type: ignore[operator]
    assert ahead["p_crossed"][25] == fitted.score(rows)[-1]
    assert ((ahead["low"] <= ahead["value"]) & (ahead["value"] <= ahead["high"])).all()
    with pytest.raises(UnknownName):
        fitted.forecast("cell-9")


def test_a_band_is_drawn_after_the_fit_and_only_for_its_own_column() -> None:
    rows = series(50 + 0.6 * np.arange(40)).with_columns(throughput=1.0)
    fitted = Crossing(daily="usual").fit(rows.head(30 * 7), context=DAILY)

    band = fitted.band(rows, "prb")

    assert band["usual"].null_count() == 30 * 7
    told = band.drop_nulls("usual")
    assert ((told["low"] < told["usual"]) & (told["usual"] < told["high"])).all()
    assert float((told["value"] - told["usual"]).mean()) == pytest.approx(0.0, abs=2.0)  # type: ignore[arg-type]
    assert fitted.band(rows, "throughput").is_empty()


def test_the_busiest_slot_makes_the_day_at_the_cells_own_zone() -> None:
    at = pl.datetime_range(MONDAY, MONDAY + 21 * DAY - timedelta(hours=1), "1h", time_unit="us", eager=True)
    rows = pl.DataFrame({"entity": "rome", "at": at, "prb": np.where(at.dt.hour().to_numpy() == 23, 70.0, 10.0)})  # midnight there

    days = days_of(rows, "prb", every=timedelta(hours=1), zones={"rome": "Europe/Rome"}, daily="busiest", side="above")

    assert np.nanmax(days.values[0, 0]) == 10.0  # the first day has no midnight hour of its own
    assert (days.values[0, 1:21] == 70.0).all()
    assert days.values.shape[1] == 21  # the last hour, a day of its own there, covers too little of it


def test_a_week_is_the_median_of_its_days() -> None:
    days = Days(entities=("a",), first=0, values=np.array([[1.0, 2, 3, 4, 5, 6, 90, np.nan, np.nan, 7, np.nan, np.nan, 8, 9]]))

    assert days.weeks().tolist() == [[4.0, 8.0]]
    assert np.isnan(Days(entities=("a",), first=0, values=np.array([[np.nan] * 5 + [1.0, 2.0]])).weeks()).all()


def test_in_a_row_steps_over_unknown_weeks() -> None:
    weekly = np.array([90.0, np.nan, 91.0, 50.0, 92.0])

    assert in_a_row(weekly > 80, 2, known=np.isfinite(weekly)).tolist() == [False, False, True, False, False]


def test_hindsight_is_what_time_itself_said() -> None:
    weekly = np.concatenate([np.full(20, 60.0), np.full(10, 90.0), np.full(10, 60.0)])
    rows = pl.concat([series(np.repeat(weekly, 1), name="rises", noise=0.1), series(np.full(40, 60.0), name="stays", noise=0.1)])

    labels = Crossing(daily="usual", horizon="8w").hindsight(rows, context=DAILY)

    rises, stays = labels[: 40 * 7], labels[40 * 7 :]
    assert (rises[7 : 10 * 7] == 0.0).all()  # ten weeks before, eight weeks of horizon
    assert (rises[15 * 7 : 26 * 7] == 1.0).all()
    assert np.isnan(rises[-8 * 7 :]).all()
    assert (stays[: 31 * 7] == 0.0).all()
    assert np.isnan(stays[-8 * 7 :]).all()


def test_hindsight_does_not_know_the_end_even_where_it_crossed_early() -> None:
    days = Days(entities=("a",), first=0, values=np.full((1, 100), 90.0))

    told = came_true(days, 80.0, "above", weeks=10, needed=2)

    assert (told[0, :30] == 1.0).all()
    assert np.isnan(told[0, 30:]).all()


def test_probabilities_said_come_true_about_as_often_on_what_the_model_believes_in() -> None:
    random = np.random.default_rng(5)
    frames = []
    for i in range(150):
        slope = random.normal(0.4, 0.4) + np.cumsum(random.normal(0, 0.02, 80))
        level = random.uniform(45, 75) + np.cumsum(slope + random.normal(0, 0.5, 80)) - np.cumsum(slope)[53]
        frames.append(series(level, name=f"c{i:03}", noise=2.0, seed=i))
    rows = pl.concat(frames)
    model = Crossing(daily="usual")
    until = MONDAY + 54 * 7 * DAY

    fitted = model.fit(rows.filter(pl.col("at") < until), context=DAILY)
    last = rows.filter(pl.col("at") == until - DAY)
    said, came = fitted.score(last), model.hindsight(rows, context=DAILY)[(rows["at"] == until - DAY).to_numpy()]

    assert np.isfinite(came).all()
    assert said.mean() == pytest.approx(came.mean(), abs=0.08)
    assert np.mean((said - came) ** 2) < 0.6 * came.mean() * (1 - came.mean())


def test_the_contract_of_a_model_holds_where_it_can() -> None:
    """Two promises are about strangeness: a limit has a unit, and an outage does not fill a cell."""
    at = pl.datetime_range(MONDAY, MONDAY + 16 * 7 * DAY - timedelta(hours=1), "1h", time_unit="us", eager=True)
    hour = at.dt.hour().to_numpy()
    frames = [
        pl.DataFrame(
            {
                "entity": f"cell-{e}",
                "at": at,
                "known_at": at + timedelta(minutes=70),
                "prb": 30 + 8 * e + 20 * np.sin(hour / 24 * 6.28) + np.arange(len(at)) / 300 + random,
            }
        )
        for e in range(3)
        for random in [np.random.default_rng(e).normal(0, 2, len(at))]
    ]

    findings = check_model(Crossing(paths=200), rows=pl.concat(frames), labels=None)

    assert [f for f in findings if not f.passed and f.name not in {"an outage scores higher than calm", "the unit of a column does not matter"}] == []


def test_the_line_is_that_of_least_squares() -> None:
    random = np.random.default_rng(0)
    weekly = random.normal(50, 3, (4, 40))
    weekly[2, ::3] = np.nan

    line = straight(weekly, 26)

    for own, (now, growth, scatter) in zip(weekly[:, -26:], line, strict=True):
        known = np.isfinite(own)
        x = np.arange(-25, 1)[known]
        slope, level = np.polyfit(x, own[known], 1)
        assert (now, growth) == (pytest.approx(level), pytest.approx(slope))
        assert scatter == pytest.approx(np.sqrt(((own[known] - level - slope * x) ** 2).sum() / (known.sum() - 2)))


def test_the_dummy_says_yes_or_no_or_how_likely() -> None:
    rows = pl.concat([series(50 + 0.9 * np.arange(30), name="a"), series(np.full(30, 78.0), name="b", noise=3.0)])

    hard, soft = (LinearTrend(daily="usual", spread=spread).fit(rows, context=DAILY).score(rows) for spread in (False, True))

    assert set(np.unique(hard)) <= {0.0, 1.0}
    assert hard[29 * 7] == 1.0
    assert 0.0 < soft[-1] < 1.0


def test_the_straight_line_beside_it_asks_the_same_question() -> None:
    model = Crossing(column="load", limit=70.0, side="below", horizon="13w", daily="usual")

    (line,) = model.beside().values()

    assert (line.column, line.limit, line.side, line.horizon, line.daily) == ("load", 70.0, "below", "13w", "usual")


@pytest.mark.parametrize("given", [{"side": "over"}, {"daily": "mean"}, {"damping": 1.5}, {"horizon": "1d"}, {"in_a_row": 0}, {"paths": 1}])
def test_what_cannot_be_meant_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(TrunklineError):
        Crossing(**given)


def test_wrong_rows_are_refused_by_name() -> None:
    rows = series(np.full(10, 50.0))

    with pytest.raises(UnknownName, match="prb"):
        Crossing().fit(rows.rename({"prb": "volume"}), context=DAILY)
    with pytest.raises(BadInput, match="no rows"):
        Crossing().fit(rows.head(0), context=DAILY)


def test_a_column_without_any_value_gives_no_scores() -> None:
    rows = series(np.full(10, 50.0)).with_columns(prb=pl.lit(None, dtype=pl.Float64))

    assert np.isnan(Crossing().fit(rows, context=DAILY).score(rows)).all()


@pytest.mark.real
def test_real_cells_are_judged_as_shares_and_time_answers(real_data: Path) -> None:
    table = pl.read_csv(real_data / "lte_traffic_congestion" / "hourly.csv", separator=";", try_parse_dates=True)
    rows = table.select(entity="Cell", at=pl.col("Datetime").dt.replace_time_zone("UTC").cast(pl.Datetime("us", "UTC")), prb="PRB_Utilization_Percent").sort(
        "entity", "at"
    )
    context = Context(every=timedelta(hours=1))
    crossing = Crossing(limit=30.0)
    until = datetime(2019, 11, 1, tzinfo=UTC)

    truth = crossing.hindsight(rows, context=context)
    fitted = crossing.fit(rows.filter(pl.col("at") < until), context=context)
    scores = fitted.score(rows.filter(pl.col("at") < until))

    assert fitted.share
    assert np.isfinite(scores).all()
    assert ((scores >= 0) & (scores <= 1)).all()
    known = rows.filter(pl.Series(np.isfinite(truth)))
    assert known["at"].max() < rows["at"].max() - timedelta(weeks=25)  # type: ignore[operator]
    assert set(np.unique(truth[np.isfinite(truth)])) <= {0.0, 1.0}
    assert len(fitted.forecast("cell0001")) == 52
