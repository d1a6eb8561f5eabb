from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.core.clock import duration, duration_text, hour_of_week, now, utc, utc_text, zone
from trunkline.core.errors import BadInput

ROME = ZoneInfo("Europe/Rome")


def test_now_is_aware_and_in_utc() -> None:
    assert now().utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("text", "length"), [("15m", timedelta(minutes=15)), (" 2 h ", timedelta(hours=2)), ("1.5d", timedelta(hours=36)), ("26w", timedelta(weeks=26))]
)
def test_a_length_of_time_is_a_number_and_a_unit(text: str, length: timedelta) -> None:
    assert duration(text) == length


def test_a_length_of_time_that_is_one_already_stays_it() -> None:
    assert duration(timedelta(hours=3)) == timedelta(hours=3)


@pytest.mark.parametrize("text", ["", "15", "m", "-1h", "1 month", "1h30m", "1e3s", "inf d"])
def test_what_is_no_length_of_time_is_refused_with_what_would_be_one(text: str) -> None:
    with pytest.raises(BadInput, match="is not a length of time") as refused:
        duration(text)

    assert "15m" in refused.value.allowed


def test_a_length_of_time_that_cannot_be_counted_is_refused() -> None:
    with pytest.raises(BadInput, match="longer than time is counted"):
        duration("9999999999999w")


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=4000)))
def test_the_text_of_a_length_of_time_reads_back_as_that_length(length: timedelta) -> None:
    assert duration(duration_text(length)) == length


@given(st.datetimes(min_value=datetime(1980, 1, 1), max_value=datetime(2090, 1, 1)), st.integers(min_value=-14 * 60, max_value=14 * 60))
def test_an_instant_has_one_text_whatever_zone_it_is_told_in(naive: datetime, offset: int) -> None:
    here = naive.replace(tzinfo=timezone(timedelta(minutes=offset)))

    assert utc_text(here) == utc_text(here.astimezone(UTC))
    assert datetime.fromisoformat(utc_text(here)) == here


@given(st.lists(st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)), min_size=2, max_size=20))
def test_texts_of_instants_sort_as_the_instants_do(instants: list[datetime]) -> None:
    assert [utc_text(at) for at in sorted(instants)] == sorted(utc_text(at) for at in instants)


def test_a_time_without_a_zone_is_refused_and_never_guessed() -> None:
    with pytest.raises(BadInput, match="names no zone") as refused:
        utc(datetime(2026, 11, 20, 14))

    assert "--zone Europe/Rome" in refused.value.next_step


@pytest.mark.parametrize("name", ["Europe/Roma", "", "../etc/passwd", "Europe/", "a" * 300])
def test_a_zone_that_does_not_exist_is_refused_by_name(name: str) -> None:
    with pytest.raises(BadInput) as refused:
        zone(name)

    assert refused.value.what == f"There is no time zone '{name}'."


def test_the_hours_of_a_week_begin_on_monday_at_midnight_where_the_element_is() -> None:
    sunday_evening_utc = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)  # Monday 00:30 in Rome

    assert hour_of_week(sunday_evening_utc, ROME) == 0
    assert hour_of_week(sunday_evening_utc, ZoneInfo("UTC")) == 167


def test_the_hour_that_comes_twice_in_autumn_is_the_same_hour_of_the_week() -> None:
    first, second = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)

    assert hour_of_week(first, ROME) == hour_of_week(second, ROME) == 6 * 24 + 2


def test_the_hour_that_is_left_out_in_spring_has_no_slot() -> None:
    before, after = datetime(2026, 3, 29, 0, 30, tzinfo=UTC), datetime(2026, 3, 29, 1, 30, tzinfo=UTC)

    assert (hour_of_week(before, ROME), hour_of_week(after, ROME)) == (6 * 24 + 1, 6 * 24 + 3)
