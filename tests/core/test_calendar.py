from __future__ import annotations

from zoneinfo import available_timezones

import pytest

from trunkline.core.calendar import country_of, holidays_of


@pytest.mark.parametrize(("zone", "country"), [("Europe/Rome", "IT"), ("America/New_York", "US"), ("UTC", None), ("Etc/GMT+3", None), ("No/Where", None)])
def test_a_zone_lies_in_a_country_or_in_none(zone: str, country: str | None) -> None:
    assert country_of(zone) == country


def test_holidays_are_those_of_the_zones_own_country_in_the_years_asked_for() -> None:
    found = holidays_of(["Europe/Rome", "Europe/Lisbon", "UTC"], [2025, 2026])

    assert {"2025-12-25", "2026-12-25", "2026-04-25", "2026-04-06"} <= found["Europe/Rome"]
    assert "2026-06-02" in found["Europe/Rome"]
    assert "2026-06-02" not in found["Europe/Lisbon"]
    assert found["UTC"] == frozenset()
    assert {day[:4] for days in found.values() for day in days} == {"2025", "2026"}


def test_no_zone_and_no_year_have_no_holidays() -> None:
    assert holidays_of([], [2026]) == {}
    assert holidays_of(["Europe/Rome"], []) == {"Europe/Rome": frozenset()}


def test_every_zone_can_be_asked_for() -> None:
    zones = sorted(available_timezones())[::12]

    found = holidays_of(zones, [2026])

    assert set(found) == set(zones)
    assert all(day.startswith("2026-") for days in found.values() for day in days)
    assert sum(bool(days) for days in found.values()) > len(zones) / 4
