"""Which column of a series file means what: a frozen value, kept as TOML that people read and correct.

A map is guessed once (:func:`trunkline.data.series.guess`), looked at, corrected where it is wrong, and
then used for every later file of the same export.
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, cast, get_args

from trunkline.core import clock
from trunkline.core.errors import BadFile, BadInput, UnknownName
from trunkline.data import times

FORMAT = 1
"""Of the TOML file; a later release reads the one before."""

Aggregate = Literal["mean", "sum", "min", "max", "last"]
LONGEST_PERIOD = timedelta(days=366)
"""Of one measurement. What says it lasted longer was read wrong."""

_ONE_LINE = dict.fromkeys((*range(32), 127), " ")  # what a TOML comment may not hold

Layout = Literal["plain", "wide", "long"]
"""plain: a column per KPI. wide: a column per element. long: a line per element and KPI."""


@dataclass(frozen=True, slots=True)
class ValueColumn:
    """One KPI and where it stands.

    Parameters
    ----------
    column
        The header cell; in a long file the KPI's name as the lines write it.
    name, unit
        What the KPI is called from here on, and its unit ("" = unknown).
    aggregate
        How several values of one slot become one: mean for ratios and gauges, sum for volumes and counts.
    element
        In a wide file: the element this column belongs to.
    """

    column: str
    name: str = field(kw_only=True)
    unit: str = field(default="", kw_only=True)
    aggregate: Aggregate = field(default="mean", kw_only=True)
    element: str = field(default="", kw_only=True)


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that was guessed: what, how sure (0 to 1), and why."""

    what: str
    taken: str = field(kw_only=True)
    confidence: float = field(kw_only=True)
    why: str = field(kw_only=True)

    def __str__(self) -> str:
        return f"{self.what:<11} {self.taken:<40} {self.confidence:4.2f}  {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnMap:
    """How to read one kind of series file.

    Attributes
    ----------
    time
        The column of times, or two of them (a date and a time of day) that are read as one.
    time_format
        See :mod:`trunkline.data.times`.
    zone
        IANA zone the times are written in; None = not known. Times with an offset, and epochs, need none.
    stamp
        Whether a time names the start or the end of its period.
    until
        A column with the end of the period, "" if there is none; then each line says its own length.
    element
        Columns that name the element together; none = the file's name is the element.
    kpi, value
        Long files: the columns with the KPI's name and with the number.
    every
        The step of the grid; None = not known.
    align
        Whether times that stand off the grid are moved to their slot.
    choices
        What was guessed and why; empty where a person wrote the map.
    """

    time: tuple[str, ...]
    time_format: str
    values: tuple[ValueColumn, ...]
    layout: Layout = "plain"
    zone: str | None = None
    stamp: Literal["start", "end"] = "start"
    until: str = ""
    element: tuple[str, ...] = ()
    kpi: str = ""
    value: str = ""
    every: timedelta | None = None
    align: bool = True
    separator: str = ","
    decimal: Literal[".", ","] = "."
    encoding: str = "utf-8"
    choices: tuple[Choice, ...] = field(default=(), compare=False)

    @property
    def needs_zone(self) -> bool:
        """Whether the times mean nothing until somebody names their zone."""
        return self.zone is None and "%z" not in self.time_format and not self.time_format.startswith("epoch")

    @property
    def day_first(self) -> bool | None:
        """Whether dates are read day before month; None where the format leaves no choice."""
        swapped = times.swap_day_and_month(self.time_format)
        return None if swapped == self.time_format else self.time_format.index("%d") < self.time_format.index("%m")

    def explain(self) -> tuple[str, ...]:
        """One line per choice, for people: what, taken as, how sure, why."""
        if not self.choices:
            return (f"The column map was given, not guessed: time {' + '.join(self.time)}, {len(self.values)} KPI columns, zone {self.zone or 'not named'}.",)
        return tuple(str(choice) for choice in self.choices)

    def save(self, path: str | Path) -> None:
        """Write the map as TOML; the reasons stand beside it as comments."""
        Path(path).write_text(to_toml(self), encoding="utf-8")

    @staticmethod
    def load(path: str | Path) -> ColumnMap:
        """Read a map from TOML.

        Raises
        ------
        BadFile
            It is no TOML, of another format, or says something a map cannot say; the message names the line or the key.
        """
        return load(path)


def to_toml(columns: ColumnMap) -> str:
    """The map as TOML text.

    >>> print(to_toml(ColumnMap(time=("at",), time_format="%Y-%m-%d", values=(ValueColumn("v", name="volume", aggregate="sum"),))))
    # A Trunkline column map: which column of a series file means what. Correct what is wrong.
    format = 1
    time = ["at"]
    time_format = "%Y-%m-%d"
    # zone = "Europe/Rome"  # not known: name the zone the times are written in
    <BLANKLINE>
    [[values]]
    column = "v"
    name = "volume"
    aggregate = "sum"
    <BLANKLINE>
    """
    lines = ["# A Trunkline column map: which column of a series file means what. Correct what is wrong.", f"format = {FORMAT}"]
    lines += [f"# {c.what}: {c.taken} ({c.confidence:.2f}) because {c.why}".translate(_ONE_LINE) for c in columns.choices]
    for f in fields(ColumnMap):
        given = getattr(columns, f.name)
        if f.name in ("values", "choices"):
            continue
        if f.name == "zone" and given is None and columns.needs_zone:
            lines.append('# zone = "Europe/Rome"  # not known: name the zone the times are written in')
        elif given != f.default and given is not None:
            lines.append(f"{f.name} = {_written(given)}")
    for value in columns.values:
        lines += ["", "[[values]]"]
        lines += [f"{f.name} = {_written(given)}" for f in fields(ValueColumn) if (given := getattr(value, f.name)) or f.name in ("column", "name")]
    return "\n".join(lines) + "\n"


def _written(value: object) -> str:
    if isinstance(value, timedelta):
        return _written(clock.duration_text(value))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(_written(v) for v in value)}]"
    # A JSON text is a TOML text but for the delete sign and lone surrogates.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f").encode("utf-8", errors="replace").decode()


def load(path: str | Path) -> ColumnMap:
    """Read a map from TOML; see :meth:`ColumnMap.load`."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as failed:
        raise BadFile(f"The column map cannot be read: {failed}.", path=path, allowed="a TOML file", next_step="trunkline data map FILE > map.toml") from failed
    try:
        said = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as wrong:
        raise BadFile(f"The column map is no TOML: {wrong}.", path=path, allowed="TOML", next_step="trunkline data map FILE > map.toml writes one") from wrong
    return from_mapping(said, where=str(path))


def from_mapping(said: Mapping[str, Any], *, where: str) -> ColumnMap:
    """The map that plain keys and values describe; *where* is named in errors."""
    said = dict(said)
    if (version := said.pop("format", FORMAT)) != FORMAT:
        raise BadInput(
            f"The column map has format {version}.", where=where, allowed=f"format = {FORMAT}", next_step="Write it anew: trunkline data map FILE > map.toml"
        )
    known = {f.name for f in fields(ColumnMap)} - {"choices"}
    for key in said:
        if key not in known:
            raise UnknownName("key of a column map", str(key), sorted(known), where=where)
    missing = [k for k in ("time", "time_format", "values") if not said.get(k)]
    if missing:
        raise BadInput(
            f"The column map says nothing about {' and '.join(f'`{m}`' for m in missing)}.",
            where=where,
            allowed="`time`, `time_format` and at least one [[values]]",
            next_step="trunkline data map FILE > map.toml writes a whole one",
        )
    for name in ("time_format", "layout", "zone", "stamp", "until", "kpi", "value", "separator", "decimal", "encoding"):
        if name in said and not isinstance(said[name], str):
            raise _wrong(name, said[name], "a text", where)
    for name in ("time", "element"):
        said[name] = _names(name, said.get(name, ()), where)
    if not isinstance(said.get("align", True), bool):
        raise _wrong("align", said["align"], "true or false", where)
    for name, words in (("layout", get_args(Layout)), ("stamp", ("start", "end")), ("decimal", (".", ","))):
        if name in said and said[name] not in words:
            raise _wrong(name, said[name], " or ".join(f'"{w}"' for w in words), where)
    if len(said.get("separator", ",")) != 1:
        raise _wrong("separator", said["separator"], "one sign, such as ';' or '\\t'", where)
    if "every" in said:
        said["every"] = _every(said["every"], where)
    if said.get("zone") is not None:
        clock.zone(said["zone"])
    said["values"] = tuple(_value(v, i, where) for i, v in enumerate(_list("values", said["values"], where), start=1))
    columns = ColumnMap(**said)
    if twice := sorted(name for (name, _), count in Counter((v.name, v.element) for v in columns.values).items() if count > 1):
        raise BadInput(
            f"Two [[values]] are called '{twice[0]}'.", where=where, allowed="each name once (wide files: once per element)", next_step="Rename one of them."
        )
    nameless = next((v.column for v in columns.values if columns.layout == "wide" and not v.element), None)
    if nameless is not None:
        raise BadInput(
            f"A wide file needs the element of each column; '{nameless}' has none.",
            where=where,
            allowed='layout = "wide" with `element` in each [[values]]',
            next_step='Add element = "…" there, or say layout = "plain".',
        )
    if columns.layout == "long" and not (columns.kpi and columns.value):
        raise BadInput(
            "A long file needs the columns of the KPI's name and of its value.",
            where=where,
            allowed='layout = "long" with `kpi` and `value`',
            next_step='Add kpi = "…" and value = "…".',
        )
    return columns


def _wrong(name: str, given: object, allowed: str, where: str) -> BadInput:
    return BadInput(f"`{name}` is {given!r}.", where=where, allowed=allowed, next_step=f"Correct `{name}` in the column map.")


def _list(name: str, given: object, where: str) -> list[Any]:
    if not isinstance(given, list | tuple):
        raise _wrong(name, given, "a list", where)
    return list(given)


def _names(name: str, given: object, where: str) -> tuple[str, ...]:
    given = (given,) if isinstance(given, str) else tuple(_list(name, given, where))
    if not all(isinstance(g, str) and g for g in given):
        raise _wrong(name, given, "a column name or a list of them", where)
    return cast("tuple[str, ...]", given)


def _every(given: object, where: str) -> timedelta:
    if not isinstance(given, str):
        raise _wrong("every", given, "a length of time such as '15m'", where)
    try:
        every = clock.duration(given)
    except (BadInput, OverflowError) as wrong:
        raise _wrong("every", given, "a positive length of time such as '15m'", where) from wrong
    if not timedelta(seconds=1) <= every <= LONGEST_PERIOD:
        raise _wrong("every", given, f"a second or more, at most {LONGEST_PERIOD.days} days", where)
    return every


def _value(given: object, number: int, where: str) -> ValueColumn:
    place = f"{where}, [[values]] number {number}"
    if not isinstance(given, dict):
        raise _wrong("values", given, "tables: [[values]]", place)
    known = [f.name for f in fields(ValueColumn)]
    for key, said in given.items():
        if key not in known:
            raise UnknownName("key of [[values]]", str(key), known, where=place)
        if not isinstance(said, str):
            raise _wrong(key, said, "a text", place)
    if not given.get("column"):
        raise BadInput("A [[values]] names no column.", where=place, allowed='column = "…"', next_step="Name the column.")
    if not given.get("name", "unnamed").strip():
        raise BadInput("A [[values]] has an empty name.", where=place, allowed='name = "…", or none: then the column\'s', next_step="Name the KPI.")
    if given.get("aggregate", "mean") not in get_args(Aggregate):
        raise _wrong("aggregate", given["aggregate"], ", ".join(get_args(Aggregate)), place)
    return ValueColumn(**{"name": given["column"], **given})
