"""Public holidays of a time zone's country: days that do not look like their weekday."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import resources


@cache
def country_of(zone: str) -> str | None:
    """The ISO country that an IANA zone lies in, None for UTC and the like.

    >>> country_of("Europe/Rome"), country_of("UTC")
    ('IT', None)
    """
    table = resources.files("tzdata").joinpath("zoneinfo", "zone.tab").read_text(encoding="utf-8")
    for line in table.splitlines():
        if not line.startswith("#"):
            country, _, name = line.split("\t")[:3]
            if name == zone:
                return country
    return None


def holidays_of(zones: Iterable[str], years: Iterable[int]) -> dict[str, frozenset[str]]:
    """Public holidays as ISO dates, for each zone whose country is known.

    >>> "2026-12-25" in holidays_of(["Europe/Rome"], [2026])["Europe/Rome"]
    True
    """
    span = sorted(set(years))
    return {zone: _dates(zone, tuple(span)) for zone in sorted(set(zones))}


@cache
def _dates(zone: str, years: tuple[int, ...]) -> frozenset[str]:
    import holidays

    country = country_of(zone)
    if country is None or not years:
        return frozenset()
    try:
        days = holidays.country_holidays(country, years=list(years))
    except NotImplementedError:  # a country the library does not know has no holidays to tell of
        return frozenset()
    return frozenset(day.isoformat() for day in days)
