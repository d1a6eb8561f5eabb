"""What is this file? Said from its content, never from its name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from trunkline.core.errors import BadFile, BadInput
from trunkline.data import events, guess, inventory, numbers, records, table, times
from trunkline.data.plain_text import PARQUET, read_bytes
from trunkline.data.words import element_rank

FileKind = Literal["pm_xml", "records", "series", "alarms", "works", "states", "elements", "relations", "unknown"]

_HEAD = 1 << 18
_FIRST_LINES = 4096
_HEAD_OF_LONG_LINES = 1 << 23  # a wide file of 10,000 cells has a header of half a megabyte
_PM_ROOT = re.compile(rb"<\s*(?:[\w.-]+:)?(measCollecFile|measDataFile|MeasDataCollection|mdc|pmSetup|OMeS|measDataCollection)\b")
_WORK = re.compile(r"planned|mainten|work|window|change|announc|crew|intervention", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sniffed:
    """One file, what it was taken for, and why; ``error`` holds what stood in the way where it is unknown."""

    path: Path
    kind: FileKind = field(kw_only=True)
    why: str = field(kw_only=True)
    error: BadInput | None = field(default=None, kw_only=True, compare=False)


def kind(path: str | Path) -> FileKind:
    """What *path* is; :func:`look` says why, too."""
    return look(path).kind


def files(paths: Iterable[str | Path]) -> tuple[Sniffed, ...]:
    """Every file named, and every file in every folder named, with its kind; sorted within a folder, each once.

    Files whose name starts with a point, and those that are no data at all (a licence, a readme) come as "unknown".

    Raises
    ------
    BadFile
        A path does not exist.
    """
    found: dict[Path, Sniffed] = {}
    for given in paths:
        path = Path(given)
        if not path.exists():
            raise BadFile("There is no such file or folder.", path=path, next_step="Check the name.")
        members = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith(".")) if path.is_dir() else [path]
        for member in members:
            found.setdefault(member.resolve(), look(member))
    return tuple(found.values())


def look(path: str | Path) -> Sniffed:
    """What *path* is and why, from its first 256 kB. Never raises for what a file holds."""
    path = Path(path)
    try:
        raw, _ = read_bytes(path, most=_FIRST_LINES)  # enough for measurement files, of which there are many
        root = _PM_ROOT.search(raw)
        if root and root.end() < len(raw) and b"\x00" not in raw:
            return Sniffed(path, kind="pm_xml", why=f"its root element is <{root[1].decode()}>")
        raw, _ = read_bytes(path, most=_HEAD)
        root = _PM_ROOT.search(raw.replace(b"\x00", b"")[:8192])
        if root:
            return Sniffed(path, kind="pm_xml", why=f"its root element is <{root[1].decode()}>")
        if raw.startswith(PARQUET) and records.is_records(path):
            return Sniffed(path, kind="records", why="it is a Parquet file with every column of a measurement record")
        if raw.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"<?xml", b"{", b"[")):
            raise BadFile(
                "The file is XML or JSON of another kind.",
                path=path,
                allowed="3GPP measurement XML, CSV, TSV or Parquet",
                next_step="Export it as one of these.",
            )
        has_lines = len(raw) < _HEAD or raw.count(b"\n") + raw.count(b"\r") > 2
        found = table.load(path, most=_HEAD if has_lines else _HEAD_OF_LONG_LINES)
        return _judge(found)
    except BadInput as error:
        return Sniffed(path, kind="unknown", why=error.what, error=error)


def _judge(found: table.Table) -> Sniffed:
    path, names = found.path, found.cells.columns
    timed = [n for n in names if (g := times.guess_format(_told(found.cells[n]), called=n)) is not None and g.share > 0.5]
    named = [n for n in names if n not in timed and (element_rank(n) or events.ELEMENTS.search(n))]
    severity = next((n for n in names if events.SEVERITY.search(n) and n not in timed), None)
    alarm = next((n for n in names if re.search(r"alarm|fault|problem|perceived", n, re.IGNORECASE)), None)
    if named and severity and timed and (alarm or not _has_measurements(found, timed, named)):
        return Sniffed(path, kind="alarms", why=f"columns '{severity}', '{named[0]}' and the time '{timed[0]}'")
    if (
        alarm
        and named
        and any(events.START.search(n) for n in names)
        and (timed or any(events.END.search(n) for n in names))
        and not _measured(found, timed, named, alarm)
    ):
        return Sniffed(path, kind="alarms", why=f"columns '{alarm}' and '{named[0]}' beside a start")
    if not timed:
        return _without_times(found)
    state = next((n for n in names if events.STATE.search(n) and n not in timed and _holds_states(found.cells[n])), None)
    ends = [n for n in timed if events.END.search(n)]
    working = [n for n in names if _WORK.search(n)]
    if state and named and not (working and ends) and not _has_measurements(found, timed, named):
        return Sniffed(path, kind="states", why=f"column '{state}' holds states of '{named[0]}'")
    if named and ends and len(timed) >= 2 and (working or not _has_measurements(found, timed, named)):
        return Sniffed(path, kind="works", why=f"'{named[0]}' with a start and an end ('{ends[0]}'), no severity and no measurement")
    try:
        columns = guess.guess_from(found)
    except BadInput as error:
        return Sniffed(path, kind="unknown", why=error.what, error=error)
    return Sniffed(path, kind="series", why=f"times in '{columns.time[0]}' and {len(columns.values)} columns of numbers, such as '{columns.values[0].column}'")


def _told(cells: pl.Series) -> pl.Series:
    if cells.dtype != pl.String:
        return cells
    return cells.set(cells.str.strip_chars().str.to_lowercase().is_in(sorted(numbers.NO_VALUE)), None)


def _has_measurements(found: table.Table, timed: list[str], named: list[str]) -> bool:
    return _measured(found, timed, named, "")


def _measured(found: table.Table, timed: list[str], named: list[str], besides: str) -> bool:
    """Whether some column of numbers is neither a time, a name, an identifier nor a severity."""
    for n in found.cells.columns:
        if (
            n in (*timed, *named, besides)
            or events.ID.search(n)
            or events.SEVERITY.search(n)
            or re.search(r"(^|[^a-z])id([^a-z]|$)", n, re.IGNORECASE)
            or events.START.search(n)
            or events.END.search(n)
        ):
            continue
        cells = found.cells[n].cast(pl.String).drop_nulls().str.strip_chars().head(200).to_list()
        told = [c for c in cells if not numbers.is_no_value(c)]
        if told and sum(1 for c in told if numbers.is_number(c)) > 0.6 * len(told):
            return True
    return False


def _holds_states(cells: pl.Series) -> bool:
    seen = [str(c) for c in cells.drop_nulls().unique().head(40).to_list() if str(c).strip()]
    return bool(seen) and sum(
        1 for c in seen if re.search(r"lock|sav|sleep|normal|enabl|disabl|activ|servic|shut|up$|down$|air$|block", c, re.IGNORECASE)
    ) >= 0.5 * len(seen)


def _without_times(found: table.Table) -> Sniffed:
    path, names = found.path, found.cells.columns
    ranked = [n for n in names if element_rank(n)]
    others = [n for n in names if inventory.OTHER.search(n)]
    relation = [n for n in names if inventory.RELATION.search(n)]
    firsts = [n for n in names if inventory.FIRST.search(n)]
    attributes = [n for n in names if any(p.search(n) for p in inventory.ATTRIBUTES.values())]
    if others and (ranked or firsts) and (relation or len(names) <= 4) and {*others} != {*firsts, *ranked}:
        return Sniffed(path, kind="relations", why=f"'{(firsts or ranked)[0]}' stands beside '{others[0]}', and no column holds times")
    if ranked and attributes:
        return Sniffed(path, kind="elements", why=f"'{ranked[0]}' with {', '.join(repr(a) for a in attributes[:3])}, and no column holds times")
    if ranked and len(ranked) >= 2 and len(names) <= 6:
        return Sniffed(path, kind="elements", why=f"names of elements ({', '.join(repr(r) for r in ranked[:3])}), and no column holds times")
    try:
        guess.guess_from(found)
    except BadInput as error:
        return Sniffed(path, kind="unknown", why=error.what, error=error)
    return Sniffed(path, kind="unknown", why=f"the columns {', '.join(repr(n) for n in names[:6])} fit no kind")
