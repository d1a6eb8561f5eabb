"""Numbers as people say them: how far a value is from its usual one, and when that is."""

from __future__ import annotations

from datetime import datetime, timedelta

from trunkline.core.clock import utc, zone

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def number(value: float) -> str:
    """*value* with the digits that matter.

    >>> number(10.724), number(1234567.0), number(0.00123), number(0.0)
    ('10.7', '1,230,000', '0.00123', '0')
    """
    if value == 0.0:
        return "0"
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 1000 else f"{rounded:.3g}"


def moment(at: datetime, zone_name: str) -> str:
    """Weekday and local time of *at*.

    >>> from datetime import UTC
    >>> moment(datetime(2026, 11, 24, 13, tzinfo=UTC), "Europe/Rome")
    'Tuesday 14:00'
    """
    local = utc(at).astimezone(zone(zone_name))
    return f"{_DAYS[local.weekday()]} {local:%H:%M}"


def against_usual(word: str, value: float, usual: float, when: str) -> str:
    """How far *value* is from its *usual* one.

    >>> against_usual("downlink volume", 3.1, 10.7, "Tuesday 14:00")
    'downlink volume 71 % below its usual Tuesday 14:00 (3.1 against 10.7)'
    >>> against_usual("dropped calls", 4.0, 0.0, "Tuesday 14:00")
    'dropped calls above its usual Tuesday 14:00 (4 against 0)'
    >>> against_usual('dropped calls', 40.0, 2.0, 'Tuesday 14:00')
    'dropped calls 20 times its usual Tuesday 14:00 (40 against 2)'
    """
    side = "above" if value > usual else "below"
    share = abs(value - usual) / abs(usual) if usual else float("inf")
    against = f"({number(value)} against {number(usual)})"
    if share < 0.005:
        return f"{word} at its usual {when} {against}"
    if 10 <= share < float("inf") and value / usual > 0:
        return f"{word} {value / usual:.0f} times its usual {when} {against}"
    far = f"{share:.0%} ".replace("%", " %") if share < 10 else ""
    return f"{word} {far}{side} its usual {when} {against}"


def over_usual(word: str, value: float, usual: float, over: timedelta) -> str:
    """How far the mean of the last hours is from its usual one.

    >>> over_usual("downlink volume", 7.0, 10.0, timedelta(hours=6))
    'downlink volume 30 % below its usual over the last 6 hours (7 against 10)'
    """
    hours = over.total_seconds() / 3600
    length = f"{hours:g} hours" if hours >= 1 else f"{over.total_seconds() / 60:g} minutes"
    return against_usual(word, value, usual, "\0").replace(" \0", f" over the last {length}")
