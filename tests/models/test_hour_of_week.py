"""The envelope of a whole network: its slot path beside its frame path, and what it calls usual."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from trunkline.core.errors import BadInput
from trunkline.models import Context, HourOfWeek
from trunkline.models.check import sample_rows
from trunkline.models.hour_of_week import FittedHourOfWeek, farthest, typical

HOUR = timedelta(hours=1)
ZONES = {"cell-0": "Asia/Tokyo", "cell-1": "Europe/Rome", "cell-2": "Asia/Tokyo"}
ROWS = sample_rows()[0].drop("alarmed")


@pytest.fixture(scope="module")
def fitted() -> FittedHourOfWeek:
    return HourOfWeek().fit(ROWS, context=Context(every=HOUR, zones=ZONES, holidays={"Europe/Rome": frozenset({"2026-04-05"})}))


@pytest.mark.parametrize("fast", ["0", "1"])
def test_a_slot_scores_as_its_rows_do(fitted: FittedHourOfWeek, fast: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_FAST", fast)
    gone = np.random.default_rng(1).random(ROWS.height) < 0.3
    rows = ROWS.with_columns(pl.when(pl.Series(~gone)).then("users").alias("users"), pl.when(pl.Series(~gone)).then("dl_volume").alias("dl_volume"))
    scores = rows.select("entity", "at").with_columns(score=pl.Series(fitted.score(rows)))

    for at in (ROWS["at"][0], ROWS["at"][500], ROWS["at"][-1]):
        slot = pl.DataFrame({"entity": fitted.entities}).join(rows.filter(pl.col("at") == at), on="entity", maintain_order="left")
        values = np.stack([slot[c].to_numpy() for c in fitted.columns])
        expected = pl.DataFrame({"entity": fitted.entities}).join(scores.filter(pl.col("at") == at), on="entity", maintain_order="left")["score"]
        np.testing.assert_array_equal(fitted.score_slot(values, at), expected.to_numpy())


def test_compiled_and_plain_scores_are_equal_to_the_last_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    values = np.where(random.random((4, 50)) < 0.3, np.nan, random.normal(size=(4, 50)))
    usual = random.normal(size=(4, 50)).astype(np.float32)
    width = np.where(random.random((4, 50)) < 0.1, np.nan, random.random((4, 50))).astype(np.float32)
    compiled = farthest(values, usual, width)
    monkeypatch.setenv("TRUNKLINE_FAST", "0")

    for one, other in zip(compiled, farthest(values, usual, width), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_slot_of_another_shape_is_refused(fitted: FittedHourOfWeek) -> None:
    with pytest.raises(BadInput, match=r"shape \(1, 2\)"):
        fitted.score_slot(np.zeros((1, 2)), datetime(2026, 4, 1, tzinfo=UTC))


def test_a_thin_hour_is_judged_by_its_hour_of_day_and_a_thin_day_by_all() -> None:
    hours = np.arange(48 * 7) % 168
    y = np.tile(np.arange(24.0), 14)[None].copy()
    y[0, hours % 24 == 5] = np.nan

    middle, width = typical(y, hours)  # each hour of the week is seen twice, each hour of the day fourteen times

    assert middle[0, [4, 28, 5]].tolist() == [4.0, 4.0, 12.0]
    assert (width > 0).all()


def test_half_of_all_normal_rows_of_one_column_score_beyond_a_half() -> None:
    scores = HourOfWeek(columns=("users",)).fit(ROWS, context=Context(every=HOUR)).score(ROWS)

    assert 0.4 < float((scores > 0.5).mean()) < 0.6


def test_each_entity_is_fitted_by_itself() -> None:
    context = Context(every=HOUR)
    whole, alone = (HOUR_OF_WEEK.fit(rows, context=context) for rows in (ROWS, ROWS.filter(pl.col("entity") == "cell-2")))

    np.testing.assert_array_equal(whole.usual[:, :, 2:3], alone.usual)
    assert replace(HOUR_OF_WEEK) == HOUR_OF_WEEK


HOUR_OF_WEEK = HourOfWeek()
