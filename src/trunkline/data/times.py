"""Times as exports write them: which format it is, and the UTC instant each one means.

A format is a ``strptime`` text (``%d.%m.%Y %H:%M``), or ``epoch s``, ``epoch ms``, ``epoch us``,
``epoch ns``, ``excel days`` (days since 1899-12-30), or ``typed`` (the file itself has a time type).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import polars as pl

from trunkline.core import clock
from trunkline.core.errors import BadInput
from trunkline.core.frames import TIME

LOCAL = pl.Datetime("us")
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
"""Nothing an operator measures is older; an earlier time was read wrong."""

_DATE = re.compile(
    r"(?P<iso>(?P<iy>(?:19|20)\d\d)(?P<is>[-/.])\d{1,2}(?P=is)\d{1,2})"
    r"|(?P<num>(?P<n1>\d{1,2})(?P<ns>[-/.])(?P<n2>\d{1,2})(?P=ns)(?P<ny>(?:19|20)\d\d|\d\d))(?!\d)"
    r"|(?P<dmy>\d{1,2}(?P<ds>[- /.]?)(?:[A-Za-z]{3,9})(?P=ds)(?P<dy>(?:19|20)\d\d|\d\d))(?!\d)"
    r"|(?P<mdy>[A-Za-z]{3,9} \d{1,2}(?P<mc>,?) (?:19|20)\d\d)"
    r"|(?P<compact>(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))"
)
_CLOCK = re.compile(
    r"(?P<join>T|_|-|,? {0,2})"
    r"(?:(?P<colon>\d{1,2}:\d\d(?P<sec>:\d\d(?P<frac>[.,]\d{1,9})?)?)(?P<ap> ?[AaPp][Mm])?"
    r"|(?P<dotted>\d\d\.\d\d(?P<dsec>\.\d\d)?)"
    r"|(?P<tight>\d{6}|\d{4}|\d{2})|(?P<hour>\d))"
    r"(?P<zone> ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d|[+-]\d\d))?"
)
_TIME_OF_DAY = re.compile(r"\d{1,2}:\d\d(:\d\d([.,]\d+)?)?( ?[AaPp][Mm])?")
_EPOCHS = {"epoch s": 1, "epoch ms": 1_000, "epoch us": 1_000_000, "epoch ns": 1_000_000_000}
_EPOCH_FROM, _EPOCH_TO = 631_152_000, 4_102_444_800  # 1990 and 2100 in seconds
_MIDNIGHT = re.compile(r"(?<=[ T_])24((?::00){0,2}(?:[.,]0+)?)(?=$| ?[ZUG+-])")


class TimeGuess(NamedTuple):
    """One format that reads a column, how much of it, and why it was taken."""

    format: str
    share: float
    confidence: float
    why: str
    day_first: bool | None = None  # None: the format leaves no doubt
    ambiguous: bool = False


class Times(NamedTuple):
    """A column of times: per row a local time, or an instant, or the reason why neither."""

    local: pl.Series
    instant: pl.Series
    wrong: pl.Series


def looks_like_time(cell: str) -> bool:
    """Whether *cell* is a date, a time of day, or both.

    >>> [looks_like_time(c) for c in ("2026-11-20", "20.11.26 14:00", "14:15", "20261120T1415", "3.5", "12345678")]
    [True, True, True, True, False, False]
    """
    return is_time_of_day(cell) or bool(formats_of(cell))


def is_time_of_day(cell: str) -> bool:
    """Whether *cell* is a time of day without a date."""
    return bool(_TIME_OF_DAY.fullmatch(cell))


def formats_of(cell: str) -> list[str]:
    """Every format that could read *cell*, day-first before month-first.

    >>> formats_of("01/02/2026 10:15"), formats_of("2026-11-20T14:15:00.5Z"), formats_of("20-Nov-26"), formats_of("7")
    (['%d/%m/%Y %H:%M', '%m/%d/%Y %H:%M'], ['%Y-%m-%dT%H:%M:%S%.f%z'], ['%d-%B-%y'], [])
    """
    if not 6 <= len(cell) <= 40:
        return []
    date = _DATE.match(cell)
    if not date:
        return []
    rest = cell[date.end() :]
    tail = ""
    if rest:
        found = _CLOCK.fullmatch(rest)
        tail = _clock_format(found, compact=bool(date["compact"])) if found else ""
        if not tail:
            return []
    return [d + tail for d in _date_formats(date)]


def _date_formats(date: re.Match[str]) -> list[str]:
    if date["iso"]:
        return [f"%Y{date['is']}%m{date['is']}%d"]
    if date["compact"]:
        return ["%Y%m%d"]
    if date["mdy"]:
        return [f"%B %d{date['mc']} %Y"]
    if date["dmy"]:
        return [f"%d{date['ds']}%B{date['ds']}{'%Y' if len(date['dy']) == 4 else '%y'}"]
    sep, year = date["ns"], "%Y" if len(date["ny"]) == 4 else "%y"
    if year == "%y" and int(date["n1"]) > 31:
        return [f"%y{sep}%m{sep}%d"]
    both = [f"%d{sep}%m{sep}{year}", f"%m{sep}%d{sep}{year}"]
    return both[:1] if int(date["n1"]) > 12 else both[1:] if int(date["n2"]) > 12 else both


def _clock_format(found: re.Match[str], *, compact: bool) -> str:
    join = found["join"]
    zone = "%z" if found["zone"] else ""
    if found["colon"]:
        hour = "%I" if found["ap"] else "%H"
        seconds = (":%S" + ("%.f" if found["frac"] else "")) if found["sec"] else ""
        half = "" if not found["ap"] else " %p" if found["ap"].startswith(" ") else "%p"
        return f"{join}{hour}:%M{seconds}{half}{zone}"
    if found["dotted"]:
        return "" if not join else f"{join}%H.%M{'.%S' if found['dsec'] else ''}{zone}"
    if found["hour"] or (found["tight"] and len(found["tight"]) == 2):
        return f"{join}%H{zone}" if join or (compact and not found["hour"]) else ""
    if not join and not compact:
        return ""
    return f"{join}{'%H%M%S' if len(found['tight']) == 6 else '%H%M'}{zone}"


def guess_format(cells: pl.Series, *, called: str = "") -> TimeGuess | None:
    """The format of a column of times, None if it holds none.

    Parameters
    ----------
    cells
        The column, or a sample spread over the whole of it: a sample of the first day cannot tell day from month.
    called
        The header: plain numbers are only taken for times where it speaks of time.
    """
    if cells.dtype.is_temporal():
        return TimeGuess("typed", 1.0, 1.0, "the file has a time type") if cells.dtype in (pl.Datetime, pl.Date) else None
    if cells.dtype.is_numeric():
        return _guess_epoch(cells.cast(pl.Float64), called)
    if cells.dtype != pl.String:
        return None
    text = cells.drop_nulls().str.strip_chars().unique(maintain_order=True)
    text = text.filter(text != "")
    if not len(text):
        return None
    sample = text.gather_every(max(1, len(text) // 300))
    counted: Counter[str] = Counter(f for t in sample.to_list() for f in formats_of(t))
    if not counted:
        return _guess_epoch(text.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False), called)
    read = {f: 1 - strptime(text, f).null_count() / len(text) for f, _ in counted.most_common(6)}
    best = max(read, key=lambda f: (read[f], counted[f]))
    share = read[best]
    if share < 0.3:
        return None
    other = _swapped(best)
    if other == best or other not in read:
        order = None if other == best else best.index("%d") < best.index("%m")
        why = f"reads {share:.1%} of the values" + ("" if order is None else "; some day is above 12, so the order is plain")
        return TimeGuess(best, share, round(min(share, 0.99), 3), why, order)
    return _day_or_month_first(text, best, other, share, read[other])


def _swapped(fmt: str) -> str:
    if fmt.startswith(("%d", "%m")) and "%m" in fmt:
        return fmt.replace("%d", "\0").replace("%m", "%d").replace("\0", "%m")
    return fmt


def swap_day_and_month(fmt: str) -> str:
    """The format with day and month in the other order; itself where there is no doubt.

    >>> swap_day_and_month("%d/%m/%Y %H:%M"), swap_day_and_month("%Y-%m-%d")
    ('%m/%d/%Y %H:%M', '%Y-%m-%d')
    """
    return _swapped(fmt)


def _day_or_month_first(text: pl.Series, best: str, other: str, share: float, other_share: float) -> TimeGuess:
    day, month = (best, other) if best.index("%d") < best.index("%m") else (other, best)
    shares = {best: share, other: other_share}
    if shares[day] != shares[month]:
        taken = best
        return TimeGuess(taken, share, 0.98, f"reads {share:.1%} of the values, the other order of day and month only {other_share:.1%}", taken == day)
    breaks = {f: _breaks(strptime(text, f)) for f in (day, month)}
    if breaks[day] != breaks[month]:
        taken = min(breaks, key=lambda f: breaks[f])
        why = f"read so, the times break their step {breaks[taken]:,} times, in the other order of day and month {max(breaks.values()):,} times"
        return TimeGuess(taken, share, 0.9, why, taken == day)
    if "." in day[:4]:
        return TimeGuess(day, share, 0.9, "no day is above 12, but dates with points are written day first", day_first=True)
    if "%p" in day:
        return TimeGuess(
            month, share, 0.7, "no day is above 12 and both orders fit; times with AM and PM are mostly written month first", day_first=False, ambiguous=True
        )
    return TimeGuess(day, share, 0.5, "no day is above 12 and both orders fit; day first is what most of the world writes", day_first=True, ambiguous=True)


def _breaks(times: pl.Series) -> int:
    """How often the sorted times leave their most common step."""
    steps = times.drop_nulls().unique().sort().diff().drop_nulls()
    if not len(steps):
        return 0
    return len(steps) - int(steps.value_counts(sort=True)["count"][0])


def _guess_epoch(numbers: pl.Series, called: str) -> TimeGuess | None:
    told = numbers.drop_nulls()
    if not len(told) or len(told) < 0.5 * len(numbers):
        return None
    about_time = bool(re.search(r"time|date|stamp|epoch|utc|zeit|datum|fecha|hora|begin|start|end|^ts$|^at$", called, re.IGNORECASE))
    for name, per_second in _EPOCHS.items():
        fits = int(told.is_between(_EPOCH_FROM * per_second, _EPOCH_TO * per_second).sum()) / len(told)
        varies = told.n_unique() > 1
        if fits > 0.5 and (about_time or (varies and fits > 0.95 and not called)):
            return TimeGuess(name, fits, 0.95, f"{fits:.0%} of the numbers are between 1990 and 2100 as {name.split()[1]} since 1970")
    fits = int(told.is_between(32_874, 73_051).sum()) / len(told)
    if about_time and fits > 0.9:
        return TimeGuess("excel days", fits, 0.7, "the numbers are between 1990 and 2100 as Excel's days since 1900")
    return None


def side_by_side(cells: pl.DataFrame, names: Sequence[str]) -> pl.Series:
    """A column of dates and one of times of day as one column of texts."""
    return cells.select(pl.concat_str([pl.col(n).cast(pl.String).str.strip_chars() for n in names], separator=" ").alias(" + ".join(names))).to_series()


def strptime(text: pl.Series, fmt: str) -> pl.Series:
    """Local or aware times of *text* read with one format; null where it does not fit."""
    if "%H" in fmt and "%M" not in fmt:  # an hour alone: the parser wants minutes
        text, fmt = text.str.replace(r"(\d)( ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?$", "${1}:00${2}"), fmt.replace("%H", "%H:%M")
    if "%.f" in fmt:
        text = text.str.replace(r"(:\d\d),(\d+)", "${1}.${2}")
    if "%z" in fmt:
        text = (
            text.str.replace(r"\s*(Z|UTC|GMT)$", "+00:00")
            .str.replace(r"(:\d\d(?:\.\d+)?)\s*([+-]\d\d)$", "${1}${2}:00")
            .str.replace(r"\s+([+-]\d\d:?\d\d)$", "${1}")
        )
    try:
        return text.str.to_datetime(fmt, strict=False, time_unit="us", exact=True)
    except pl.exceptions.PolarsError:
        return pl.repeat(None, len(text), dtype=LOCAL, eager=True)


def read(cells: pl.Series, fmt: str) -> Times:
    """The times in *cells*, written as *fmt*.

    ``24:00`` is the midnight that ends its day. A cell that lacks the seconds, the fraction or, at
    midnight, the time of day (Excel writes so) is read all the same; so is one that carries its own offset.
    """
    n = len(cells)
    local, instant = pl.repeat(None, n, dtype=LOCAL, eager=True), pl.repeat(None, n, dtype=TIME, eager=True)
    if fmt == "typed" or cells.dtype.is_temporal():
        local, instant = _typed(cells, local, instant)
    elif fmt in _EPOCHS:
        instant = _from_epoch(cells, fmt)
    elif fmt == "excel days":
        days = cells.cast(pl.String).str.strip_chars().str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
        days = pl.select(pl.when(days.is_between(1, 200_000)).then(days)).to_series()
        seconds = ((days - 25_569) * 86_400).round().cast(pl.Int64, strict=False)  # 25,569 days lie between Excel's day 0 and 1970
        local = (seconds * 1_000_000).cast(LOCAL)
    else:
        local, instant = _text(cells.cast(pl.String).fill_null("").str.strip_chars(), fmt)
    return _judged(cells, local.rename("local"), instant.rename("instant"), fmt)


def _typed(cells: pl.Series, local: pl.Series, instant: pl.Series) -> tuple[pl.Series, pl.Series]:
    if isinstance(cells.dtype, pl.Datetime) and cells.dtype.time_zone:
        return local, cells.dt.convert_time_zone("UTC").cast(TIME)
    return cells.cast(LOCAL), instant


def _from_epoch(cells: pl.Series, fmt: str) -> pl.Series:
    per_second = _EPOCHS[fmt]
    numbers = cells if cells.dtype.is_numeric() else cells.str.strip_chars().str.replace(",", ".", literal=True)
    seconds = numbers.cast(pl.Float64, strict=False) / per_second
    # Whole numbers stay whole: a float has no room for nanoseconds since 1970.
    whole = pl.repeat(None, len(cells), dtype=pl.Int64, eager=True) if numbers.dtype.is_float() else numbers.cast(pl.Int64, strict=False)
    micro = pl.select(
        pl.when(seconds.is_between(-_EPOCH_TO, 2 * _EPOCH_TO)).then(
            pl.coalesce(whole * (1_000_000 // per_second) if per_second <= 1_000_000 else whole // 1_000, (seconds * 1e6).round().cast(pl.Int64, strict=False))
        )
    ).to_series()
    return micro.cast(TIME)


def _text(text: pl.Series, fmt: str) -> tuple[pl.Series, pl.Series]:
    n = len(text)
    local, instant = pl.repeat(None, n, dtype=LOCAL, eager=True), pl.repeat(None, n, dtype=TIME, eager=True)
    parsed = strptime(text, fmt)
    if "%z" in fmt:
        instant = parsed.cast(TIME)
    else:
        local = parsed.cast(LOCAL)
    left = parsed.is_null()
    if not left.any():
        return local, instant
    # What the file's own format does not read: a few lines, each looked at by itself.
    rest = text.filter(left)
    unique = rest.unique().to_list()
    found: dict[str, tuple[datetime | None, datetime | None]] = {}
    by_format: dict[str, list[str]] = {}
    for cell in unique:
        for other in formats_of(cell):
            if _same_order(fmt, other):
                by_format.setdefault(other, []).append(cell)
                break
    for other, members in by_format.items():
        ends_day = [bool(_MIDNIGHT.search(m)) for m in members]
        read_as = [_MIDNIGHT.sub(lambda found: f"00{found[1]}", m) for m in members]
        shift = pl.Series(ends_day).cast(pl.Int64).cast(pl.Duration("us")) * 86_400_000_000
        got = strptime(pl.Series(read_as, dtype=pl.String), other) + shift
        aware = "%z" in other
        for cell, at in zip(members, got.to_list(), strict=True):
            found[cell] = (None, at) if aware else (at, None)
    table = pl.DataFrame(
        {"text": list(found), "local": [a for a, _ in found.values()], "instant": [b for _, b in found.values()]},
        schema={"text": pl.String, "local": LOCAL, "instant": TIME},
    )
    joined = pl.DataFrame({"text": rest}).join(table, on="text", how="left", maintain_order="left")
    places = left.arg_true()
    return local.scatter(places, joined["local"]), instant.scatter(places, joined["instant"])


def _same_order(fmt: str, other: str) -> bool:
    """Whether day, month and year stand in the same order: 03/04 is never read two ways in one file."""
    order = [c for c in fmt.replace("%B", "%m").replace("%y", "%Y") if c in "Ymd"]
    return order == [c for c in other.replace("%B", "%m").replace("%y", "%Y") if c in "Ymd"]


def _judged(cells: pl.Series, local: pl.Series, instant: pl.Series, fmt: str) -> Times:
    earliest = pl.lit(EARLIEST, dtype=TIME)
    frame = pl.DataFrame({"cell": cells.cast(pl.String), "local": local, "instant": instant})
    naive = pl.col("local").is_not_null() & pl.lit("%z" in fmt)
    short = pl.col("cell").fill_null("").str.slice(0, 40)
    old = (pl.col("local").dt.replace_time_zone("UTC") < earliest) | (pl.col("instant") < earliest)
    frame = frame.with_columns(
        pl.when(pl.col("local").is_null() & pl.col("instant").is_null())
        .then(pl.when(short.str.strip_chars() == "").then(pl.lit("no time")).otherwise(pl.format("'{}' is no time written as {}", short, pl.lit(fmt))))
        .when(naive)
        .then(pl.format("'{}' has no offset, where the other times have one", short))
        .when(old.fill_null(value=False))
        .then(pl.format("'{}' is before 1990", short))
        .otherwise(pl.lit(None, dtype=pl.String))
        .alias("wrong")
    )
    fine = pl.col("wrong").is_null()
    frame = frame.with_columns(pl.when(fine).then("local").alias("local"), pl.when(fine).then("instant").alias("instant"))
    return Times(frame["local"], frame["instant"], frame["wrong"])


def instants(cells: pl.Series, fmt: str, *, of: pl.Series, zone: str | None, path: Path, lines: pl.Series) -> tuple[pl.Series, pl.Series]:
    """The UTC instants in *cells*, and the reason where there is none.

    Parameters
    ----------
    of
        What the lines are about; within one, order tells the two passes of a repeated hour apart.
    zone
        The zone of times without an offset; None = not known.
    path, lines
        The file and the line of each cell, for the message.

    Raises
    ------
    BadInput
        Some time names no zone and *zone* is None; the message shows the flag to add.
    """
    told = read(cells, fmt)
    naive = told.local.is_not_null()
    if not naive.any():
        return told.instant, told.wrong
    if zone is None:
        example = cells.filter(naive).cast(pl.String)[0]
        raise BadInput(
            f"The times in column '{cells.name}' name no zone: '{example}'.",
            where=f"{path}, line {lines.filter(naive)[0]}",
            allowed="times with an offset such as 2026-11-20T10:45+01:00, or the IANA name of the zone they are written in",
            next_step="Add --zone UTC if they are UTC, else the operator's zone, e.g. --zone Europe/Rome.",
        )
    at, wrong = to_utc(told.local, zone, of=of)
    return pl.select(pl.coalesce(at, told.instant)).to_series(), pl.select(pl.coalesce(told.wrong, wrong)).to_series()


def to_utc(local: pl.Series, zone: str, *, of: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Local wall times as UTC, and the reason where there is none.

    The hour that spring skips does not exist. The hour that autumn repeats is told apart by the order of
    the lines of each element (*of*): where its times step back once, what stands before is the first
    pass; where each time stands twice in a row, the first is. One pass alone cannot be told.
    """
    clock.zone(zone)
    frame = pl.DataFrame({"local": local, "of": of}).with_row_index("row")
    frame = frame.with_columns(
        first=pl.col("local").dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC"),
        second=pl.col("local").dt.replace_time_zone(zone, ambiguous="latest", non_existent="null").dt.convert_time_zone("UTC"),
    )
    skipped = pl.col("local").is_not_null() & pl.col("first").is_null()
    frame = frame.with_columns(twice=(pl.col("first") != pl.col("second")).fill_null(value=False))
    frame = frame.with_columns(
        at=pl.when(~pl.col("twice")).then("first"),
        wrong=pl.when(skipped).then(pl.format("{} did not exist in {}: the clocks went forward", pl.col("local").dt.strftime("%Y-%m-%d %H:%M"), pl.lit(zone))),
    )
    if not frame["twice"].any():
        return frame["at"].cast(TIME), frame["wrong"]
    at, wrong = frame["at"], frame["wrong"]
    unclear = frame.filter("twice")
    directions = _directions(frame.filter(pl.col("of").is_in(unclear["of"].unique().implode())))
    rows: list[int] = []
    values: list[datetime | None] = []
    reasons: list[str | None] = []
    for (element, _), part in unclear.group_by("of", pl.col("local").dt.date(), maintain_order=True):
        ordered = part if directions.get(element, True) else part.reverse()
        passes = _passes(ordered["local"].to_list())
        for row, at_local, first, second, second_pass in zip(ordered["row"], ordered["local"], ordered["first"], ordered["second"], passes, strict=True):
            rows.append(row)
            values.append(None if second_pass is None else second if second_pass else first)
            reasons.append(
                f"{at_local:%Y-%m-%d %H:%M} happened twice in {zone} and the order of the lines does not tell which" if second_pass is None else None
            )
    places = pl.Series(rows, dtype=pl.UInt32)
    return at.scatter(places, pl.Series(values, dtype=at.dtype)).cast(TIME), wrong.scatter(places, pl.Series(reasons, dtype=pl.String))


def _directions(frame: pl.DataFrame) -> dict[object, bool]:
    """By element: whether its lines go forward in time."""
    steps = frame.drop_nulls("local").with_columns(step=pl.col("local").diff().over("of").dt.total_microseconds().sign())
    told = steps.group_by("of").agg(pl.col("step").sum())
    return {of: step >= 0 for of, step in told.iter_rows()}


def _passes(times: list[datetime]) -> list[bool | None]:
    """For local times of one repeated hour in order: False first pass, True second, None not to be told.

    >>> [_passes([datetime(2026, 10, 25, 2, m) for m in minutes]) for minutes in ((0, 30, 0, 30), (0, 0, 30, 30), (0, 30))]
    [[False, False, True, True], [False, True, False, True], [None, None]]
    """
    back = [i for i in range(1, len(times)) if times[i] < times[i - 1]]
    same = [i for i in range(1, len(times)) if times[i] == times[i - 1]]
    if len(back) == 1 and not same:
        return [i >= back[0] for i in range(len(times))]
    if not back and len(same) * 2 == len(times) and all(count == 2 for count in Counter(times).values()):
        return [i % 2 == 1 for i in range(len(times))]
    return [None] * len(times)
