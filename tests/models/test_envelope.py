from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from trunkline.models.check import check_model
from trunkline.models.envelope import Envelope
from trunkline.models.protocol import Context

CONTEXT = Context(every=timedelta(hours=1))


def cell(days: int, *, growth: float = 0.0) -> pl.DataFrame:
    at = pl.datetime_range(
        datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 5, tzinfo=UTC) + timedelta(hours=days * 24 - 1), "1h", time_unit="us", eager=True
    )
    hour = np.arange(days * 24)
    users = (50.0 + 20.0 * (hour % 24 >= 8)) * np.exp(growth * hour / 24) * np.random.default_rng(0).lognormal(0, 0.05, len(hour))
    return pl.DataFrame({"entity": "cell-1", "at": at, "users": users})


def test_the_contract_of_a_model_is_kept() -> None:
    assert [f for f in check_model(Envelope()) if not f.passed] == []


def test_one_outage_does_not_move_a_median() -> None:
    rows = cell(56)
    place = pl.int_range(pl.len())
    hit = rows.with_columns(users=pl.when((place >= 40 * 24) & (place < 41 * 24)).then(0.0).otherwise("users"))

    plain, after = (Envelope().fit(r, context=CONTEXT).band(rows, "users")["usual"].to_numpy() for r in (rows, hit))

    assert (np.abs(plain - after) / plain).max() < 0.1


def test_growth_is_followed_by_the_level() -> None:
    rows = cell(84, growth=0.01)
    fitted = Envelope().fit(rows[:-24], context=CONTEXT)

    band = fitted.band(rows, "users").tail(24)

    assert band["usual"].to_numpy().mean() > 0.85 * band["value"].to_numpy().mean()


def test_an_hour_never_seen_has_the_usual_of_its_hour_of_day() -> None:
    rows = cell(10).filter(pl.col("at").dt.weekday() != 7)
    fitted = Envelope().fit(rows, context=CONTEXT)
    sunday = cell(14).filter(pl.col("at").dt.weekday() == 7)

    band = fitted.band(sunday, "users")
    usual, value = band["usual"].to_numpy(), band["value"].to_numpy()

    assert (np.abs(usual - value) / value).mean() < 0.1
