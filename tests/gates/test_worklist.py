from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.gates.worklist import alarms, events, worklist

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def hours(cells: int, count: int) -> pl.DataFrame:
    at = [MONDAY + timedelta(hours=h) for h in range(count)] * cells
    return pl.DataFrame({"entity": np.repeat([f"cell-{c}" for c in range(cells)], count), "at": pl.Series(at, dtype=pl.Datetime("us", "UTC"))})


def test_runs_of_positive_rows_are_events_and_entities_are_kept_apart() -> None:
    rows = hours(2, 4)

    found = events(rows, np.array([0, 1, 1, 1, 1, 0, 1, 1], dtype=bool))

    assert found.tolist() == [0, 1, 1, 1, 2, 0, 3, 3]


def test_event_numbers_are_taken_as_they_stand_even_across_cells() -> None:
    rows = hours(2, 3)

    assert events(rows, np.array([0, 7, 7, 7, 0, 9])).tolist() == [0, 7, 7, 7, 0, 9]


def test_events_are_found_in_rows_of_any_order() -> None:
    rows, labels = hours(2, 4), np.array([0, 1, 1, 0, 1, 0, 1, 1])
    order = np.random.default_rng(0).permutation(8)

    shuffled = events(rows[order], labels[order])

    assert len(np.unique(shuffled[shuffled > 0])) == 3


def test_an_alarm_silences_its_cell_for_the_hold_off() -> None:
    rows, up = hours(2, 30), np.zeros(60, dtype=bool)
    up[[0, 5, 11, 12, 13, 40]] = True

    assert alarms(rows, up, hold_off=timedelta(hours=12)).tolist() == [0, 12, 40]


def test_a_shift_gets_its_highest_scores_once_per_cell() -> None:
    rows = hours(3, 8)
    scores = np.concatenate([np.linspace(0.6, 0.9, 8), np.full(8, 0.95), np.full(8, 0.7)])

    kept = worklist(rows, scores, scores > 0, per_shift=2, shift=timedelta(hours=8), hold_off=timedelta(hours=12))

    assert kept.tolist() == [8, 7]


def test_a_fraction_of_an_item_is_carried_over() -> None:
    rows, scores = hours(4, 32), np.random.default_rng(0).random(128)

    kept = worklist(rows, scores, scores > 0, per_shift=0.5, shift=timedelta(hours=8), hold_off=timedelta(hours=1))

    assert len(kept) == 2


@given(st.integers(1, 5), st.integers(1, 3), st.sampled_from([1, 8, 12, 24]), st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_no_shift_gets_more_than_its_budget_and_no_cell_twice_within_the_hold_off(cells: int, budget: int, hold: int, seed: int) -> None:
    rows = hours(cells, 72)
    scores = np.random.default_rng(seed).random(rows.height)
    scores[::9] = np.nan

    kept = worklist(rows, scores, np.nan_to_num(scores) > 0.3, per_shift=budget, shift=timedelta(hours=8), hold_off=timedelta(hours=hold))

    chosen = rows[kept].with_columns(shift=pl.col("at").dt.truncate("8h"))
    assert chosen.group_by("shift").len()["len"].max() <= budget  # type: ignore[operator]
    gaps = chosen.sort("entity", "at").select(pl.col("at").diff().over("entity"))["at"].drop_nulls()
    assert (gaps >= timedelta(hours=hold)).all()
    assert not np.isnan(scores[kept]).any()


def test_nothing_raised_gives_an_empty_list() -> None:
    rows = hours(2, 5)

    for found in (
        alarms(rows, np.zeros(10, dtype=bool), hold_off=timedelta(hours=1)),
        worklist(rows, np.zeros(10), np.zeros(10, dtype=bool), per_shift=5, shift=timedelta(hours=8), hold_off=timedelta(hours=1)),
    ):
        assert found.tolist() == []


@pytest.mark.parametrize("labels", [np.zeros(10, dtype=bool), np.zeros(10, dtype=np.int64)])
def test_no_label_is_no_event(labels: np.ndarray) -> None:
    assert not events(hours(2, 5), labels).any()
