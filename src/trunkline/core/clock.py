"""Time: aware UTC instants, durations written as ``"15m"``, and the hours of a week."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from trunkline.core.errors import BadInput

Clock = Callable[[], datetime]
"""Something that tells the time; tests hand in their own."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def now() -> datetime:
    """The present, aware, in UTC."""
    return datetime.now(UTC)


def duration(text: str | timedelta) -> timedelta:
    """A length of time written as a number and one of s, m, h, d, w.

    >>> duration("15m")
    datetime.timedelta(seconds=900)
    """
    if isinstance(text, timedelta):
        return text
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*", text)
    if not found:
        raise BadInput(f"'{text}' is not a length of time.", allowed="a number and one of s, m, h, d, w, such as '15m' or '7d'")
    try:
        return timedelta(**{_UNITS[found[2]]: float(found[1])})
    except OverflowError:
        raise BadInput(f"'{text}' is longer than time is counted.", allowed="less than 2,700,000 years") from None


def duration_text(length: timedelta) -> str:
    """The shortest text that :func:`duration` reads back as *length*.

    >>> duration_text(timedelta(minutes=90)), duration_text(timedelta(days=14))
    ('90m', '2w')
    """
    seconds = length.total_seconds()
    for unit, size in (("w", 604800), ("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s" if seconds == int(seconds) else f"{seconds:.6f}".rstrip("0") + "s"


def utc(at: datetime) -> datetime:
    """*at* in UTC; a time without a zone is refused, never guessed."""
    if at.tzinfo is None:
        raise BadInput(f"The time {at.isoformat()} names no zone.", allowed="a time with an offset or zone", next_step="Name the zone, e.g. --zone Europe/Rome")
    return at.astimezone(UTC)


def utc_text(at: datetime) -> str:
    """*at* as ISO 8601 in UTC with microseconds and ``Z``.

    >>> utc_text(datetime(2026, 11, 20, 14, tzinfo=UTC))
    '2026-11-20T14:00:00.000000Z'
    """
    return utc(at).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def zone(name: str) -> ZoneInfo:
    """The IANA zone called *name*."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as unknown:
        close = next((known for known in sorted(available_timezones()) if known.rpartition("/")[2].lower() == name.lower().replace(" ", "_")), "")
        raise BadInput(
            f"There is no time zone '{name}'.", allowed="an IANA name such as 'Europe/Rome' or 'UTC'", next_step=f"Did you mean '{close}'?" if close else ""
        ) from unknown


def hour_of_week(at: datetime, where: ZoneInfo) -> int:
    """Which of the 168 hours of a week *at* falls in at *where*, Monday 00:00 being 0.

    >>> hour_of_week(datetime(2026, 11, 20, 14, tzinfo=UTC), ZoneInfo("UTC"))
    110
    """
    local = utc(at).astimezone(where)
    return local.weekday() * 24 + local.hour
