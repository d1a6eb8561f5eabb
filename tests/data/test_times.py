"""Times as exports write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.data import times

FORMATS = [
    "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y/%m/%d %H:%M", "%d.%m.%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d-%m-%y %H:%M", "%m/%d/%Y %I:%M:%S %p",
    "%d-%b-%Y %H:%M:%S", "%b %d, %Y %H:%M", "%Y%m%d %H%M%S", "%Y%m%d%H%M", "%Y%m%d%H", "%Y-%m-%d %H", "%d/%m/%Y %H.%M",
]  # fmt: skip


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_month_of_times_in_any_format_is_recognised_and_read(fmt: str) -> None:
    at = [datetime(2026, 3, 1) + timedelta(hours=7 * k) for k in range(100)]
    cells = pl.Series("time", [a.strftime(fmt) for a in at])

    guess = times.guess_format(cells, called="time")

    assert guess is not None
    assert guess.share == 1
    assert times.read(cells, guess.format).local.to_list() == at


@pytest.mark.parametrize("offset", ["Z", "+00:00", " +0000", "+00", " UTC"])
def test_an_offset_is_read_in_every_spelling(offset: str) -> None:
    cells = pl.Series("time", [f"2026-03-02 1{k}:00:00{offset}" for k in range(5)])

    guess = times.guess_format(cells)

    assert guess is not None
    assert times.read(cells, guess.format).instant.to_list() == [datetime(2026, 3, 2, 10 + k, tzinfo=UTC) for k in range(5)]


@settings(max_examples=60, deadline=None)
@given(
    second=st.integers(631_152_001, 1_893_455_999),
    unit=st.sampled_from([("epoch s", 1), ("epoch ms", 1_000), ("epoch us", 1_000_000), ("epoch ns", 1_000_000_000)]),
)
def test_epochs_of_every_unit_are_exact(second: int, unit: tuple[str, int]) -> None:
    cells = pl.Series("timestamp", [str(second * unit[1]), str((second - 1) * unit[1])])

    guess = times.guess_format(cells, called="timestamp")

    assert guess is not None
    assert guess.format == unit[0]
    assert times.read(cells, guess.format).instant[0] == datetime.fromtimestamp(second, UTC)


def test_excel_days_are_read_with_either_decimal_sign() -> None:
    for cells in (pl.Series("Date", ["46083.5", "46084"]), pl.Series("Date", ["46083,5", "46084"])):
        guess = times.guess_format(cells, called="Date")

        assert guess is not None
        assert times.read(cells, guess.format).local.to_list() == [datetime(2026, 3, 2, 12), datetime(2026, 3, 3)]


def test_numbers_are_no_times_unless_the_header_says_so() -> None:
    assert times.guess_format(pl.Series("volume", ["1772409600", "1772409700"]), called="volume") is None


@given(text=st.text(max_size=40))
def test_no_text_makes_the_recognition_fall(text: str) -> None:
    assert times.looks_like_time(text) in (True, False)


def test_midnight_without_its_time_and_24_00_are_read() -> None:
    cells = pl.Series("time", ["2026-03-01 23:00", "2026-03-02", "2026-03-02 24:00", "2026-03-03 25:00"])

    told = times.read(cells, "%Y-%m-%d %H:%M")

    assert told.local.to_list() == [datetime(2026, 3, 1, 23), datetime(2026, 3, 2), datetime(2026, 3, 3), None]
    assert told.wrong.to_list()[3] == "'2026-03-03 25:00' is no time written as %Y-%m-%d %H:%M"


def test_the_repeated_hour_is_told_by_order_for_each_element_and_direction() -> None:
    minutes = [datetime(2026, 10, 25, 2, m) for m in (0, 30, 0, 30)]
    local = pl.Series("local", [datetime(2026, 10, 25, 1), *minutes, datetime(2026, 10, 25, 3)] * 2)
    backwards = local.head(6).reverse()
    of = pl.Series("of", ["A"] * 6 + ["B"] * 6)

    at, wrong = times.to_utc(pl.concat([local.head(6), backwards]), "Europe/Rome", of=of)

    hours = [datetime(2026, 10, 24, 23, tzinfo=UTC) + timedelta(minutes=m) for m in (0, 60, 90, 120, 150, 180)]
    assert at.to_list() == hours + hours[::-1]
    assert wrong.null_count() == 12
