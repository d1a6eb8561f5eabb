"""The texts in a measurement file that mean something: positions, numbers, lengths of time, instants."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

_LONGEST_NUMBER = 400  # the longest plain decimal of a double has 325 digits
_NUMBER = r"^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
_NOTHING = ["", "nil", "null", "nan", "n/a", "none"]
_DURATION = re.compile(r"(-)?P(?:(\d{1,9})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9}(?:\.\d{1,9})?)S)?)?", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2})?", re.ASCII)
_LONGEST_PERIOD = timedelta(days=31)
_EARLIEST, _LATEST = datetime(1980, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def place(position: str | None) -> int | None:
    """A position as a number: a positive integer of at most nine digits."""
    if position and len(position) <= 9 and position.isascii() and position.isdigit() and int(position) > 0:
        return int(position)
    return None


def numbers(texts: list[str]) -> tuple[pl.Series, pl.Series, list[int]]:
    """Results as one number each, or as the numbers between their commas; and which of them cannot be read.

    All together, not one by one: of 2,667 real results 409 hold some 20 numbers each.
    """
    parted = pl.Series(texts, dtype=pl.String).str.split(",")
    size = parted.list.len().to_numpy()
    part = parted.explode(empty_as_null=True).str.strip_chars()
    row = np.repeat(np.arange(len(texts), dtype=np.uint32), size)
    is_number = (part.str.len_bytes() <= _LONGEST_NUMBER) & part.str.contains(_NUMBER)
    number = part.set(~is_number, None).cast(pl.Float64, strict=False)
    readable = (is_number & number.is_finite().fill_null(value=False)) | part.str.to_lowercase().is_in(_NOTHING)
    bad = np.unique(row[~readable.to_numpy()]).tolist()
    is_one = size == 1
    one = pl.DataFrame({"row": np.flatnonzero(is_one).astype(np.uint32), "value": number.filter(pl.Series(is_one[row]))})
    several = pl.DataFrame({"row": row, "values": number}).filter(pl.Series(~is_one[row])).group_by("row", maintain_order=True).agg("values")
    every = pl.DataFrame({"row": np.arange(len(texts), dtype=np.uint32)}).join(one, on="row", how="left", maintain_order="left")
    every = every.join(several, on="row", how="left", maintain_order="left")
    return every["value"], every["values"], bad


def seconds(text: str | None) -> int | str:
    """Seconds of an XML duration, or what is wrong with it."""
    found = _DURATION.fullmatch((text or "").strip())
    if not found or not any(found.groups()[1:]):
        return f"the duration '{(text or '')[:40]}' cannot be read"
    days, hours, minutes = (int(found[n] or 0) for n in (2, 3, 4))
    seconds = days * 86400 + hours * 3600 + minutes * 60 + float(found[5] or 0)
    if found[1] or seconds <= 0:
        return f"the duration '{text}' is not positive"
    if seconds > _LONGEST_PERIOD.total_seconds() or seconds != int(seconds):
        return f"the duration '{text}' is not a whole number of seconds of at most {_LONGEST_PERIOD.days} days"
    return int(seconds)


def instant(text: str | None, zone: ZoneInfo | None) -> datetime | str:
    """UTC of an XML time, or what is wrong with it."""
    given = (text or "").strip()
    if not _INSTANT.fullmatch(given):
        return f"the time '{given[:40]}' cannot be read"
    midnight = given[11:19] == "24:00:00"  # XML's way to end a day
    try:
        at = datetime.fromisoformat(given[:11] + "00" + given[13:] if midnight else given)
        if at.tzinfo is None:
            if zone is None:
                return f"the time '{given}' names no zone"
            at = at.replace(tzinfo=zone)
        at = at.astimezone(UTC) + timedelta(days=midnight)
    except (ValueError, OverflowError):
        return f"the time '{given[:40]}' does not exist"
    return at if _EARLIEST <= at <= _LATEST else f"the time '{given}' makes no sense"
