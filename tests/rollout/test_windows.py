"""Change windows and freezes, also on the nights when clocks are changed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.core.errors import BadInput, NotAllowed
from trunkline.rollout.windows import Calendar, Freeze, Window, read_freezes, read_windows

ROME = ZoneInfo("Europe/Rome")
WINDOW = Window.read("Tue-Thu 22:00-04:00")


def at(text: str, zone: ZoneInfo = ROME) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


@pytest.mark.parametrize(
    ("when", "is_open"),
    [
        ("2026-11-17T21:59", False),  # Tuesday
        ("2026-11-17T22:00", True),
        ("2026-11-18T03:59", True),
        ("2026-11-18T04:00", False),
        ("2026-11-20T03:00", True),  # Friday, of Thursday's window
        ("2026-11-20T22:30", False),
        ("2026-11-17T02:00", False),  # Tuesday early, of Monday's that does not exist
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_it_begins_on(when: str, is_open: bool) -> None:
    assert WINDOW.holds(at(when), ROME) is is_open


@pytest.mark.parametrize(
    ("text", "days"),
    [("Sat 01:00-05:00", (5,)), ("Fri-Mon 01:00-05:00", (4, 5, 6, 0)), ("Mon-Sun 00:00-24:00", (0, 1, 2, 3, 4, 5, 6)), ("Mon-Mon 01:00-02:00", (0,))],
)
def test_days_may_go_over_the_end_of_the_week(text: str, days: tuple[int, ...]) -> None:
    assert Window.read(text).days == days


@pytest.mark.parametrize("text", ["", "Tue", "Tue 22-04", "Die 22:00-04:00", "Tue-Die 22:00-04:00", "Tue 25:00-04:00", "Tue 22:00-04:00 UTC", "22:00-04:00"])
def test_what_is_no_window_is_refused_with_one_that_is(text: str) -> None:
    with pytest.raises(BadInput, match="is no change window") as refused:
        Window.read(text)

    assert "Tue-Thu 22:00-04:00" in refused.value.allowed


@pytest.mark.parametrize("text", ["", "Christmas", "2026-12-20", "2026-12-20/", "2026-13-01/2026-13-02", "2027-01-06/2026-12-20"])
def test_what_is_no_freeze_is_refused_with_one_that_is(text: str) -> None:
    with pytest.raises(BadInput, match="is no freeze"):
        Freeze.read(text)


@pytest.mark.parametrize(("night", "hours"), [("2026-03-29", 3), ("2026-10-25", 5), ("2026-11-01", 4)])
def test_on_the_nights_when_clocks_are_changed_a_window_is_an_hour_shorter_or_longer(night: str, hours: int) -> None:
    stretch = Window.read("Sun 00:30-04:30").on(date.fromisoformat(night), ROME)

    assert stretch is not None
    assert stretch[1] - stretch[0] == timedelta(hours=hours)


def test_a_window_that_ends_in_the_hour_that_comes_twice_is_open_in_both() -> None:
    window = Window.read("Sun 01:00-02:30")

    assert window.holds(datetime(2026, 10, 25, 0, 15, tzinfo=UTC), ROME)  # 02:15 summer time
    assert window.holds(datetime(2026, 10, 25, 1, 15, tzinfo=UTC), ROME)  # 02:15 again
    assert not window.holds(datetime(2026, 10, 25, 1, 45, tzinfo=UTC), ROME)


def test_a_freeze_holds_from_the_begin_of_its_first_to_the_end_of_its_last_local_day() -> None:
    freeze = Freeze.read("2026-12-20/2027-01-06: Christmas")

    assert not freeze.holds(at("2026-12-19T23:59"), ROME)
    assert freeze.holds(at("2026-12-20T00:00"), ROME)
    assert freeze.holds(at("2027-01-06T23:59"), ROME)
    assert not freeze.holds(at("2027-01-07T00:00"), ROME)
    assert str(freeze) == "2026-12-20/2027-01-06: Christmas"


def test_what_has_to_wait_is_told_until_when() -> None:
    calendar = Calendar(ROME, (WINDOW,), read_freezes("2026-12-20/2027-01-06: Christmas"))

    calendar.check(at("2026-11-17T23:00"), workflow="w", what="It")
    with pytest.raises(NotAllowed, match="It has to wait for a change window") as closed:
        calendar.check(at("2026-11-18T12:00"), workflow="w", what="It")
    with pytest.raises(NotAllowed, match="it is frozen, 2026-12-20/2027-01-06: Christmas") as frozen:
        calendar.check(at("2026-12-22T23:00"), workflow="w", what="It")

    assert "opens Wednesday 2026-11-18 22:00 (Europe/Rome)" in closed.value.next_step
    assert "it is Wednesday 2026-11-18 12:00 in Europe/Rome" in closed.value.where
    assert "opens Thursday 2027-01-07 00:00" in frozen.value.next_step  # of Wednesday's window
    assert "A rollback needs none." in frozen.value.next_step


def test_a_freeze_of_one_workflow_does_not_hold_up_another() -> None:
    calendar = Calendar(ROME, (), (Freeze.read("2026-12-20/2026-12-21: final", workflow="mine"),))

    calendar.check(at("2026-12-20T12:00"), workflow="yours", what="It")
    with pytest.raises(NotAllowed, match="frozen"):
        calendar.check(at("2026-12-20T12:00"), workflow="mine", what="It")


def test_without_windows_every_time_is_open() -> None:
    Calendar(ROME).check(at("2026-12-20T12:00"), workflow="w", what="It")

    assert read_windows(" ") == () == read_freezes("")


instants = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(lambda one: one.replace(tzinfo=UTC))


@given(instants, st.sampled_from(["Tue-Thu 22:00-04:00", "Sun 00:30-04:30", "Sat 23:00-01:00, Mon 02:00-03:00"]), st.booleans())
def test_the_next_window_is_open_and_nothing_is_between(now: datetime, text: str, is_frozen: bool) -> None:
    freezes = read_freezes("2026-12-20/2027-01-06: Christmas; 2026-03-28/2026-03-30") if is_frozen else ()
    calendar = Calendar(ROME, read_windows(text), freezes)

    opens = calendar.next_open(now, "w")

    assert opens is not None
    calendar.check(opens, workflow="w", what="It")
    if opens > now:
        for share in (0.0, 0.3, 0.999):
            with pytest.raises(NotAllowed):
                calendar.check(now + (opens - now) * share, workflow="w", what="It")
