"""Alarms, states and planned works from CSV, as EVENTS: what lasts, from when to when, and since when we know.

Alarms and states come in two forms, both read: one line with start and end, or one line for the raise
and one for the clear. Either way a raise is a first version that is open, known when it was raised,
and the clear a later version of the same event, known when it was cleared; so a replay never sees an
end before it happened. The end of planned work is known with its announcement.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

import polars as pl

from trunkline.core.errors import BadFile
from trunkline.core.frames import EVENTS, empty
from trunkline.data import numbers, table, times
from trunkline.data.severity import severities
from trunkline.data.table import Quarantined, Table, excerpt
from trunkline.data.words import element_rank

EventKind = Literal["alarms", "states", "works"]

START = re.compile(r"start|begin|rais|occur|open|from|first|^time|time$|timestamp|^date|^at$|event.?time", re.IGNORECASE)
END = re.compile(r"(^|[^a-z])(end|until|to|till|ende|fine|fin|stop|finish)([^a-z]|$)|end_?time|clear|ceas|cancel|clos|(?<=[a-z])End", re.IGNORECASE)
KNOWN = re.compile(r"known|announc|receiv|creat|insert|notified|logged|publish|registered|submitted", re.IGNORECASE)
SEVERITY = re.compile(r"sever|priority|perceived|criticality|^level$|^class$|schwere", re.IGNORECASE)
STATE = re.compile(r"(^|[^a-z])(state|status|mode|zustand|stato|estado)([^a-z]|$)|(?<=[a-z])State$", re.IGNORECASE)
ID = re.compile(
    r"^id$|(alarm|event|notification|ticket|work|change|order|record|fault)[ _-]?(id|no|nr|number|key)$|serial|correlat|sequence|^csn$", re.IGNORECASE
)
TEXT = re.compile(r"text|cause|problem|alarm.?(name|type)|descr|specific|title|summary|reason|subject|additional|^alarm$|comment|what", re.IGNORECASE)
ACTION = re.compile(r"action|type|operation|status|state|notification|event|transition|change", re.IGNORECASE)
ELEMENTS = re.compile(r"affected|elements|cells|objects|source|location|^ne|nodes|sites|where", re.IGNORECASE)

_CLEARS = re.compile(r"clear|ceas|close|reset|end|off|stop|resolv|terminat|notifyclearedalarm|recover", re.IGNORECASE)
_RAISES = re.compile(r"rais|new|set|start|open|begin|activ|on|alarm|occur|notifynewalarm|fault|change|update|ack", re.IGNORECASE)
_STATES: tuple[tuple[str | None, re.Pattern[str]], ...] = (
    (None, re.compile(r"unlock|normal|enabled|^active$|in.?service|^on.?air$|^up$|^on$|available|^none$|^idle$|unblock|operational", re.IGNORECASE)),
    ("energy_saving", re.compile(r"energy|sleep|power.?sav|eco|carrier.?shut|symbol.?shut|dtx|dormant", re.IGNORECASE)),
    ("locked", re.compile(r"lock|block|shut|disabl|deactiv|out.?of.?service|oos|barred|^down$|^off$|off.?air", re.IGNORECASE)),
    ("planned_work", re.compile(r"plan|mainten|work", re.IGNORECASE)),
)
_CANCELLED = re.compile(r"cancel|reject|withdrawn|annul|storn", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class EventFile:
    """What one file of events said: EVENTS sorted by start, event_id, known_at; and what was set aside."""

    events: pl.DataFrame
    quarantine: tuple[Quarantined, ...] = field(kw_only=True)
    notes: tuple[str, ...] = field(kw_only=True)
    lines: int = field(kw_only=True)
    good: int = field(kw_only=True)


class _Line(NamedTuple):
    line: int
    element: str
    start: datetime | None
    end: datetime | None
    known: datetime | None
    severity: str | None
    text: str
    id: str
    action: str
    cells: str


class _Columns(NamedTuple):
    start: str
    end: str
    known: str
    element: tuple[str, ...]
    severity: str
    state: str
    text: str
    id: str
    action: str


def read_alarms(path: str | Path, *, zone: str | None = None, assume_zone: str | None = None, before: pl.DataFrame | None = None) -> EventFile:
    """Alarms: one line per alarm with start and end, or one per raise and one per clear.

    Parameters
    ----------
    zone
        IANA zone of times without an offset.
    assume_zone
        The same, but assumed: a note says so.
    before
        EVENTS of earlier files: a clear in this file closes what was raised there.

    Raises
    ------
    BadInput
        The times name no zone and none is given.
    BadFile
        No column names the element or the time, or more than half of the lines cannot be used.
    """
    return _read(Path(path), "alarms", zone, assume_zone, before)


def read_states(path: str | Path, *, zone: str | None = None, assume_zone: str | None = None, before: pl.DataFrame | None = None) -> EventFile:
    """States such as locked and energy_saving: with start and end, or as a log in which the next state ends the one before.

    Parameters and errors as :func:`read_alarms`. The ``kind`` of the events is the state.
    """
    return _read(Path(path), "states", zone, assume_zone, before)


def read_works(path: str | Path, *, zone: str | None = None, assume_zone: str | None = None) -> EventFile:
    """Planned works: elements (one, or a list such as ``A|B``), start, end, and when they were announced.

    Without a column of announcements a work is known from its start on. Cancelled works are left out.
    Parameters and errors as :func:`read_alarms`.
    """
    return _read(Path(path), "works", zone, assume_zone, None)


def read(path: str | Path, kind: EventKind, *, zone: str | None = None, assume_zone: str | None = None) -> EventFile:
    """The events in *path*, which :func:`trunkline.data.sniff.look` took for *kind*."""
    return _read(Path(path), kind, zone, assume_zone, None)


def _read(path: Path, kind: EventKind, zone: str | None, assume_zone: str | None, before: pl.DataFrame | None) -> EventFile:
    found = table.load(path)
    columns, formats = _columns(found, kind)
    notes = [*found.notes]
    if zone is None and assume_zone and not all("%z" in f or f.startswith("epoch") for f in formats.values()):
        notes.append(f"The times name no zone; they were read as {assume_zone}, which is assumed, not known. Say --zone to settle it.")
    lines, bad = _lines(found, columns, formats, zone or assume_zone)
    if columns.severity:
        lines, said = _with_severity(lines)
        notes += said
    source = path.name
    if kind == "works":
        events, more, said = _works(lines, columns, source)
    elif columns.end:
        events, more, said = _spans(lines, kind, columns, source)
    else:
        events, more, said = _log(lines, kind, columns, source, before)
    quarantine = tuple(sorted([*found.quarantine, *bad, *more]))
    good = found.asked - len({q.line for q in quarantine})
    if found.asked - good > good:
        first = quarantine[0]
        raise BadFile(
            f"{found.asked - good:,} of {found.asked:,} lines cannot be used, such as: {first.reason}.",
            path=path,
            line=first.line,
            allowed="an element and a time on each line; at most half of the lines bad",
            next_step="Look at that line: the separator or the time format may be another.",
        )
    frame = pl.DataFrame(events, schema=dict(EVENTS), orient="row") if events else empty(EVENTS)
    return EventFile(
        frame.sort("start", "event_id", "known_at", maintain_order=True), quarantine=quarantine, notes=tuple(notes + said), lines=found.asked, good=good
    )


def _columns(found: Table, kind: EventKind) -> tuple[_Columns, dict[str, str]]:
    names = found.cells.columns
    formats = {n: g.format for n in names if (g := times.guess_format(_told(found.cells[n]), called=n)) is not None and g.share > 0.5}
    start = next((n for p in (START, re.compile("")) for n in formats if p.search(n) and not END.search(n) and not KNOWN.search(n)), "")
    start = start or next(iter(formats), "")
    if not start:
        clocks = [n for n in names if found.cells[n].dtype == pl.String and any(times.is_time_of_day(c) for c in found.cells[n].drop_nulls().head(20))]
        shown = ", ".join(f"'{n}' ({excerpt(str(found.cells[n][0]))[:20]})" for n in names[:8])
        raise BadFile(
            f"The times in column '{clocks[0]}' have no date." if clocks else f"No column holds times. The columns are {shown}.",
            path=found.path,
            allowed="a start such as 2026-11-20 10:45 or epoch seconds; numbers that count from another day are no times",
            next_step="Export again with date and time.",
        )
    end = next((n for n in formats if n != start and END.search(n)), "")
    end = end or next((n for n in names if n != start and n not in formats and END.search(n) and not _told(found.cells[n]).drop_nulls().len()), "")
    known = next((n for n in formats if n not in (start, end) and KNOWN.search(n)), "")
    rest = [n for n in names if n not in formats and n != end]
    severity = next((n for n in rest if SEVERITY.search(n)), "") if kind == "alarms" else ""
    id_ = next((n for n in rest if ID.search(n) and n != severity), "")
    ranked = sorted((n for n in rest if n not in (severity, id_) and (element_rank(n) or ELEMENTS.search(n))), key=lambda n: -element_rank(n))
    element = tuple(n for n in ranked if not STATE.search(n) and not TEXT.search(n))
    if not element:
        raise BadFile(
            f"No column names the element. The columns are {', '.join(repr(n) for n in names[:12])}.",
            path=found.path,
            allowed="a column such as 'cell', 'node', 'element' or 'managed object'",
            next_step="Name the column so, or export it too.",
        )
    if kind == "works":
        element = element[:1]
    text = next((n for n in rest if TEXT.search(n) and n not in (severity, id_, *element)), "")
    state = next((n for n in rest if STATE.search(n) and n not in (severity, id_, *element)), "")
    action = next((n for n in rest if ACTION.search(n) and n not in (severity, id_, text, *element) and _tells_clear(found.cells[n])), "")
    return _Columns(start, end, known, element, severity, state, text, id_, action), {n: f for n, f in formats.items() if n in (start, end, known)}


def _told(cells: pl.Series) -> pl.Series:
    """The column without what only says "no value"."""
    if cells.dtype != pl.String:
        return cells
    return cells.set(cells.str.strip_chars().str.to_lowercase().is_in(sorted(numbers.NO_VALUE)), None)


def _tells_clear(cells: pl.Series) -> bool:
    seen = [str(c) for c in cells.drop_nulls().unique().head(50).to_list()]
    return any(_CLEARS.search(c) for c in seen) and len(seen) <= 20


def _lines(found: Table, columns: _Columns, formats: Mapping[str, str], zone: str | None) -> tuple[list[_Line], list[Quarantined]]:
    def text(name: str) -> list[str]:
        return found.cells[name].cast(pl.String).fill_null("").str.strip_chars().to_list() if name else [""] * found.cells.height

    parts = [text(n) for n in columns.element]
    element = [next((p for p in some if p and not numbers.is_no_value(p)), "") for some in zip(*parts, strict=True)]
    of = pl.Series("of", [""] * len(element), dtype=pl.String)
    at: dict[str, list[datetime | None]] = {}
    wrong: dict[str, list[str | None]] = {}
    for name in dict.fromkeys(n for n in (columns.start, columns.end, columns.known) if n):
        cells = _told(found.cells[name])
        if name not in formats:
            at[name], wrong[name] = [None] * len(element), [None] * len(element)
            continue
        instant, reason = times.instants(cells, formats[name], of=of, zone=zone, path=found.path, lines=found.lines)
        at[name] = instant.to_list()
        blank = cells.is_null() | (cells.cast(pl.String).str.strip_chars() == "")
        wrong[name] = reason.set(blank, None).to_list()
    nothing: list[datetime | None] = [None] * len(element)
    rows: Iterable[tuple[Any, ...]] = zip(
        found.lines, element, at[columns.start], at.get(columns.end, nothing), at.get(columns.known, nothing),
        text(columns.severity), text(columns.text), text(columns.id), text(columns.action or columns.state), found.cells.iter_rows(), strict=True,
    )  # fmt: skip
    good: list[_Line] = []
    bad: list[Quarantined] = []
    for i, (number, name, start, end_at, known, severity, said, id_, action, cells) in enumerate(rows):
        shown = excerpt(" | ".join(str(c) for c in cells if c is not None))
        line = _Line(number, name, start, end_at, known, severity or None, said, id_, action, shown)
        why = next((w[i] for w in wrong.values() if w[i]), None)
        if why is None and not name:
            why = "no element is named"
        if why is None and start is None:
            why = "no start time"
        if why is None and end_at and start and end_at < start:
            why = f"it ends {start - end_at} before it starts"
        if why is None:
            good.append(line)
        else:
            bad.append(Quarantined(number, why, shown))
    return good, bad


def _with_severity(lines: list[_Line]) -> tuple[list[_Line], list[str]]:
    table_of, scheme = severities(line.severity for line in lines)
    unknown = sorted(word for word, severity in table_of.items() if severity is None)
    notes = [f"The {scheme}."] if scheme else []
    if unknown:
        count = sum(1 for line in lines if line.severity and table_of[line.severity.strip()] is None)
        notes.append(f"{count:,} alarms have a severity that X.733 does not know ({', '.join(unknown[:5])}); they are kept as indeterminate.")
    return [line._replace(severity=(table_of[line.severity.strip()] or "indeterminate") if line.severity else None) for line in lines], notes


_Row = tuple[str, str, str, str | None, str, datetime, datetime | None, datetime, str]


def _kind_of(kind: EventKind, word: str) -> str | None:
    """The event's kind; for a state None where it is the normal one."""
    if kind == "alarms":
        return "alarm"
    for state, pattern in _STATES:
        if pattern.search(word):
            return state
    return re.sub(r"\W+", "_", word.strip().lower()).strip("_") or "locked"


def _key(line: _Line, kind: str) -> str:
    return f"{line.element}/{line.id or line.text or kind}"


def _event_id(key: str, start: datetime) -> str:
    return f"{key}@{start:%Y-%m-%dT%H:%M:%S}Z"


def _spans(lines: list[_Line], kind: EventKind, columns: _Columns, source: str) -> tuple[list[_Row], list[Quarantined], list[str]]:
    """One line per event: a version when it began and one when it ended."""
    seen: dict[tuple[str, datetime | None], int] = {}
    rows: list[_Row] = []
    bad: list[Quarantined] = []
    twice = normal = 0
    for line in lines:
        if line.start is None:
            bad.append(Quarantined(line.line, "no start time", line.cells))
            continue
        word = line.action or (line.text if not columns.state else "")
        what = _kind_of(kind, word)
        if what is None:
            normal += 1
            continue
        event = _event_id(_key(line, what), line.start)
        if (event, line.end) in seen:
            twice += 1
            continue
        seen[event, line.end] = line.line
        known = max(line.start, line.known) if line.known else line.start
        if line.end is None or line.end > known:
            rows.append((event, line.element, what, line.severity, line.text, line.start, None, known, source))
        if line.end is not None:
            rows.append((event, line.element, what, line.severity, line.text, line.start, line.end, max(line.end, known), source))
    # A line that still shows an event open, and a later one that shows its end, are one event: its opening counts once.
    rows = list(dict.fromkeys(rows))
    notes = [f"{twice:,} lines stood in the file twice and were counted once."] if twice else []
    notes += [f"{normal:,} lines of a normal state are no events."] if normal else []
    return rows, bad, notes


def _log(lines: list[_Line], kind: EventKind, columns: _Columns, source: str, before: pl.DataFrame | None) -> tuple[list[_Row], list[Quarantined], list[str]]:
    """A line per raise, change and clear, put together in the order of their times."""
    rows: list[_Row] = []
    bad: list[Quarantined] = []
    open_now = _open(before)
    again = 0
    for line in sorted(lines, key=lambda one: (one.start is None, one.start, one.line)):
        at = line.start
        if at is None:
            continue
        known = max(at, line.known) if line.known else at
        what = _kind_of(kind, line.action or line.text)
        clears = what is None if kind == "states" else (line.severity == "cleared" or bool(line.action and _is_clear(line.action)))
        key = f"{line.element}/state" if kind == "states" else _key(line, "alarm")
        was = open_now.get(key)
        if was and (clears or (kind == "states" and was[2] != what)):
            rows.append((*was[:6], at, max(known, was[7] + timedelta(microseconds=1)), source))
            del open_now[key]
            was = None
        elif clears:
            if kind == "alarms":
                bad.append(Quarantined(line.line, "it clears an alarm that no line raised", line.cells))
            continue
        if clears or what is None:
            continue
        if was and was[3] == line.severity:
            again += 1
            continue
        start, event = (was[5], was[0]) if was else (at, _event_id(key, at))
        row: _Row = (event, line.element, what, line.severity, line.text, start, None, known, source)
        rows.append(row)
        open_now[key] = row
    notes = [f"{again:,} alarms were raised again while open; they are still one."] if again else []
    if lines and not any(r[6] for r in rows):
        notes.append("No line ends anything: every event of this file is still open.")
    _ = columns
    return rows, bad, notes


def _is_clear(action: str) -> bool:
    found = _CLEARS.search(action)
    return bool(found) and not (_RAISES.match(action) and not action.lower().startswith(("off", "end", "stop")) and "clear" not in action.lower())


def _open(before: pl.DataFrame | None) -> dict[str, _Row]:
    """The events that the newest version of each still shows open, by their key."""
    if before is None or not before.height:
        return {}
    newest = before.sort("known_at").unique("event_id", keep="last", maintain_order=True).filter(pl.col("end").is_null())
    return {str(row[0]).rsplit("@", 1)[0]: row for row in newest.select(list(EVENTS)).iter_rows()}


def _works(lines: list[_Line], columns: _Columns, source: str) -> tuple[list[_Row], list[Quarantined], list[str]]:
    rows: list[_Row] = []
    notes: list[str] = []
    cancelled = 0
    for line in lines:
        if line.start is None:
            continue
        if _CANCELLED.search(line.action):
            cancelled += 1
            continue
        for element in dict.fromkeys(e.strip() for e in re.split(r"[;,|\n]", line.element) if e.strip()):
            event = _event_id(f"{element}/{line.id or line.text or 'planned_work'}", line.start)
            rows.append((event, element, "planned_work", None, line.text, line.start, line.end, line.known or line.start, source))
    if not columns.known:
        notes.append("No column says when works were announced; each is known from its start on.")
    if cancelled:
        notes.append(f"{cancelled:,} works are cancelled and left out.")
    if endless := sum(1 for r in rows if r[6] is None):
        notes.append(f"{endless:,} works have no end: they are open.")
    return list(dict.fromkeys(rows)), [], notes
