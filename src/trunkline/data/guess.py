"""Look at a series file and say how it is to be read, each choice with its reason and how sure it is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

import polars as pl

from trunkline.core.clock import duration_text
from trunkline.core.errors import BadFile
from trunkline.data import numbers, table, times
from trunkline.data.column_map import Aggregate, Choice, ColumnMap, Layout, ValueColumn
from trunkline.data.words import (
    IDENTIFIER,
    INTEGRITY,
    KPI_COLUMN,
    LABEL,
    PERIOD,
    UNTIL,
    VALUE_COLUMN,
    aggregate_of,
    element_rank,
    name_and_unit,
    speaks_of_kpi,
)

_SAMPLE = 3000
_NICE = [1, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 14400, 21600, 28800, 43200, 86400, 604800]


class _Roles(NamedTuple):
    """What each column was taken for."""

    time: tuple[str, ...]
    until: str
    element: tuple[str, ...]
    numeric: list[str]
    text: list[str]
    unused: dict[str, str]  # column: why


def guess(path: str | Path) -> ColumnMap:
    """How to read the series in *path*: CSV with any separator, TSV or Parquet, plain or gzipped.

    Nothing is asked and nothing is hidden: every choice stands in ``choices`` with its reason and a
    confidence between 0 and 1. ``zone`` stays None where the times carry no offset; the choice then
    says that UTC would be assumed.

    Raises
    ------
    BadFile
        No column holds times, the times lack a date, or no column holds numbers; and as
        :func:`trunkline.data.table.load`.
    """
    path = Path(path)
    return guess_from(table.load(path))


def guess_from(found: table.Table) -> ColumnMap:
    """As :func:`guess`, for a table that is loaded already."""
    sample = _sample(found.cells)
    decimal, sure, why = _decimal(sample, found.separator)
    choices = [Choice("separator", taken=repr(found.separator), confidence=0.95, why=found.why_separator)] if found.separator else []
    choices += [Choice("encoding", taken=found.encoding, confidence=0.95, why="it reads every byte")] if found.encoding else []
    choices.append(Choice("decimal", taken=f"'{decimal}'", confidence=sure, why=why))
    time, time_guess, time_choices, time_unused = _time(found, sample)
    choices += time_choices
    until, stamp, period_choices, period_unused = _period(sample, time, found, time_guess.format)
    choices += period_choices
    taken = {*time, *([until] if until else []), *time_unused, *period_unused}
    roles = _roles(sample, time, until, taken, decimal, time_unused | period_unused)
    layout, element, kpi, value, values, value_choices, unused = _layout(found, sample, roles, decimal)
    choices += value_choices
    every, every_choice = _every(found.cells, time, time_guess.format, (*element, *([kpi] if kpi else [])))
    choices.append(every_choice)
    zone = "UTC" if "%z" in time_guess.format or time_guess.format.startswith("epoch") or _aware(found.cells, time) else None
    choices.append(
        Choice("zone", taken="UTC", confidence=1.0, why="each time carries its offset from UTC, or counts from 1970 in UTC")
        if zone
        else Choice("zone", taken="not known; UTC would be assumed", confidence=0.3, why="the times carry no offset, and nothing in the file names a zone")
    )
    choices += [Choice("left out", taken=f"'{column}'", confidence=0.8, why=reason) for column, reason in unused.items()]
    return ColumnMap(
        time=time,
        time_format=time_guess.format,
        values=values,
        layout=layout,
        zone=zone,
        stamp=stamp,
        until=until,
        element=element,
        kpi=kpi,
        value=value,
        every=every,
        separator=found.separator or ",",
        decimal=decimal,
        encoding=found.encoding or "utf-8",
        choices=tuple(choices),
    )


def _sample(cells: pl.DataFrame) -> pl.DataFrame:
    """Rows spread over the whole file, and the first ones as they stand."""
    if cells.height <= _SAMPLE:
        return cells
    spread = cells.gather_every(cells.height // (_SAMPLE * 2 // 3))
    return pl.concat([cells.head(_SAMPLE // 3), spread])


def _decimal(sample: pl.DataFrame, separator: str) -> tuple[Literal[".", ","], float, str]:
    if not separator:
        return ".", 1.0, "the file has a number type"
    cells: list[str] = []
    for name in sample.columns:
        column = sample[name].drop_nulls().str.strip_chars()
        some = column.head(50).to_list() + column.tail(50).to_list()
        told = [c for c in some if not numbers.is_no_value(c)]
        if told and sum(1 for c in told if numbers.is_number(c) and not times.looks_like_time(c)) > 0.6 * len(told):
            cells += column.filter(column.str.contains("[.,]")).head(1000).to_list()
    return numbers.guess_decimal(cells, separator=separator)


def _time(found: table.Table, sample: pl.DataFrame) -> tuple[tuple[str, ...], times.TimeGuess, list[Choice], dict[str, str]]:
    guesses = {c: g for c in sample.columns if (g := times.guess_format(sample[c], called=c)) is not None and g.share > 0.5}
    clocks = [c for c in sample.columns if c not in guesses and _share(sample[c], times.is_time_of_day) > 0.6]
    if not guesses:
        _refuse_without_time(found, sample, clocks)
    dates_only = [c for c, g in guesses.items() if not any(code in g.format for code in ("%H", "%I", "epoch", "excel", "typed"))]
    column = min(guesses, key=lambda c: (-_time_worth(c), -guesses[c].share, sample.columns.index(c)))
    unused = {c: "a second column of times" for c in guesses if c != column and not UNTIL.search(c)}
    names: tuple[str, ...] = (column,)
    taken = guesses[column]
    beside = clocks or [
        c for c in sample.columns if re.fullmatch(r"hour|hr|hh|stunde|hora|heure|ora|time", c, re.IGNORECASE) and _share(sample[c], _is_hour) > 0.9
    ]
    if column in dates_only and beside:
        names = (column, beside[0])
        unused.pop(beside[0], None)
        both = _joined(found.cells, names)
        better = times.guess_format(both.gather_every(max(1, len(both) // 2000)), called=column)
        taken = better or taken
    else:
        # The order of day and month may show only late in the file: all distinct times are looked at.
        taken = times.guess_format(found.cells[column].unique(maintain_order=True), called=column) or taken
        unused |= dict.fromkeys(clocks, "a time of day beside the full time")
    choices = [Choice("time", taken=f"{' + '.join(repr(n) for n in names)} as {taken.format}", confidence=taken.confidence, why=taken.why)]
    if taken.day_first is not None:
        sure = 0.5 if taken.ambiguous else max(taken.confidence, 0.9)
        choices.append(Choice("day first", taken="yes" if taken.day_first else "no", confidence=sure, why=taken.why))
    return names, taken, choices, unused


def _time_worth(name: str) -> int:
    """How much a header speaks for being *the* time: the start of the period before its end, both before when a row was written."""
    low = name.lower()
    if re.search(r"insert|creat|updat|load|export|report|generat|modif|received|ingest", low):
        return 0
    if re.search(r"start|begin|from", low):
        return 3
    if UNTIL.search(name):
        return 1
    return 2


def _share(column: pl.Series, test: Any) -> float:
    if column.dtype != pl.String:
        return 0.0
    told = [c for c in column.drop_nulls().str.strip_chars().head(400).to_list() if not numbers.is_no_value(c)]
    return sum(1 for c in told if test(c)) / len(told) if told else 0.0


def _is_hour(cell: str) -> bool:
    return bool(re.fullmatch(r"\d{1,2}", cell)) and int(cell) <= 24


def _joined(cells: pl.DataFrame, names: tuple[str, ...]) -> pl.Series:
    return cells[names[0]] if len(names) == 1 else times.side_by_side(cells, names)


def _aware(cells: pl.DataFrame, time: tuple[str, ...]) -> bool:
    dtype = cells.schema[time[0]]
    return isinstance(dtype, pl.Datetime) and dtype.time_zone is not None


def _refuse_without_time(found: table.Table, sample: pl.DataFrame, clocks: list[str]) -> None:
    shown = ", ".join(f"'{c}' ({table.excerpt(str(sample[c][0]))[:20]})" for c in sample.columns[:8]) + (" …" if sample.width > 8 else "")
    if clocks:
        example = next((c for c in sample[clocks[0]].to_list() if c), "")
        raise BadFile(
            f"The times in column '{clocks[0]}' ({example}) have no date, so nobody can tell which day a line belongs to.",
            path=found.path,
            line=int(found.lines[0]),
            allowed="a date with the time, such as 2026-11-20 10:45, or a column with the date beside it",
            next_step="Export again with the date. Without one the rows can train a classifier, but they are no series and cannot be replayed.",
        )
    raise BadFile(
        f"No column holds times. The columns are {shown}.",
        path=found.path,
        allowed="a column of dates with times, such as 2026-11-20 10:45 or 20.11.2026 10:45, or of epoch seconds under a header that says time",
        next_step="Export again with the time of each value, or name column and format in a column map.",
    )


def _period(sample: pl.DataFrame, time: tuple[str, ...], found: table.Table, fmt: str) -> tuple[str, Literal["start", "end"], list[Choice], dict[str, str]]:
    """A column with the period's end, or the news that the only time is an end."""
    if len(time) == 1 and UNTIL.search(time[0]) and not re.search(r"start|begin|from", time[0], re.IGNORECASE):
        return "", "end", [Choice("stamp", taken="end of the period", confidence=0.8, why=f"the header '{time[0]}' speaks of an end")], {}
    for column in sample.columns:
        if column in time or not UNTIL.search(column):
            continue
        ends = times.read(sample[column], fmt) if sample[column].dtype == pl.String or sample[column].dtype.is_temporal() else None
        if ends is None or ends.wrong.null_count() < 0.5 * sample.height:
            continue
        return column, "start", [Choice("until", taken=repr(column), confidence=0.9, why="the header speaks of an end, and it holds times like the start")], {}
    _ = found
    return "", "start", [], {}


def _roles(sample: pl.DataFrame, time: tuple[str, ...], until: str, taken: set[str], decimal: Literal[".", ","], unused: dict[str, str]) -> _Roles:
    numeric, text = [], []
    for column in sample.columns:
        if column in taken:
            continue
        cells = sample[column]
        values, wrong = numbers.parse(cells, decimal) if cells.dtype == pl.String or cells.dtype.is_numeric() else (None, None)
        if values is None or wrong is None:
            if cells.dtype != pl.Boolean:
                text.append(column)
            continue
        told = len(values) - values.null_count()
        if told and told >= 0.6 * (told + int(wrong.sum())):
            numeric.append(column)
        elif int(wrong.sum()):
            text.append(column)
        else:
            unused[column] = "it never holds a value"
    return _Roles(time, until, (), numeric, text, unused)


_Laid = tuple[Layout, tuple[str, ...], str, str, tuple[ValueColumn, ...], list[Choice], dict[str, str]]


def _layout(found: table.Table, sample: pl.DataFrame, roles: _Roles, decimal: Literal[".", ","]) -> _Laid:
    unused = dict(roles.unused)
    element, element_choice = _element(found, sample, roles)
    numeric = [c for c in roles.numeric if c not in element]
    kpi = next((c for c in roles.text if c not in element and KPI_COLUMN.search(c)), "")
    if kpi and numeric:
        value = next((c for c in numeric if VALUE_COLUMN.search(c)), numeric[0] if len(numeric) == 1 else "")
        if value:
            return _long(found, kpi, value, element, element_choice, unused | {c: "" for c in (*roles.time, roles.until) if c})
    kept, left = _without_identifiers(sample, numeric, decimal)
    unused |= left | {c: "text" for c in roles.text if c not in element}
    if not kept:
        raise BadFile(
            "No column holds numbers to watch.",
            path=found.path,
            allowed="at least one column of numbers beside the times",
            next_step=f"The columns are {', '.join(repr(c) for c in found.cells.columns[:12])}. If numbers have a decimal comma, separate columns by ';'."
            + _units_in(sample, roles.text)
            + (f" Left out: {'; '.join(f'{c!r}, {why}' for c, why in list(left.items())[:4])}." if left else ""),
        )
    wide = _wide(found, kept) if not element else None
    if wide:
        values, why = wide
        shown = f"{len({v.element for v in values})} columns of elements, such as '{values[0].element}'"
        choices = [Choice("layout", taken="wide: a column per element", confidence=0.75, why=why), Choice("element", taken=shown, confidence=0.75, why=why)]
        return "wide", (), "", "", values, [*choices, *_value_choices(values[:1], found)], unused
    shared = _shared_names(kept)
    values = tuple(_not_percent(_value_column(c, found, shared), sample, decimal) for c in kept)
    choices = [Choice("layout", taken="plain: a column per KPI", confidence=0.9, why="the headers name measurements"), element_choice]
    return "plain", element, "", "", values, [*choices, *_value_choices(values, found)], unused


def _units_in(sample: pl.DataFrame, columns: list[str]) -> str:
    """What to say where numbers carry their units: scaled ones (kb/s here, Mb/s there) would be read wrong."""
    for column in columns:
        told = sample[column].drop_nulls().head(50).to_list() if sample[column].dtype == pl.String else []
        example = next((c for c in told if re.fullmatch(r"[+-]?[\d.,]+ ?[A-Za-z][A-Za-z/]{0,6}", c.strip())), "")
        if example:
            return f" Numbers carry units ('{example}' in '{column}'): export them raw."
    return ""


def _without_identifiers(sample: pl.DataFrame, numeric: list[str], decimal: Literal[".", ","]) -> tuple[list[str], dict[str, str]]:
    kept, left = [], {}
    for column in numeric:
        values = numbers.parse(sample[column], decimal)[0].drop_nulls()
        if LABEL.search(column) and values.n_unique() <= (20 if column.lower() in ("label", "class") else 3):
            left[column] = "the header and its few values speak of a label; watching the answer would be cheating"
        elif INTEGRITY.search(column):
            left[column] = "the header speaks of how whole the data are, not of the network"
        elif IDENTIFIER.search(column):
            left[column] = "the header speaks of an identifier or a place, not of a measurement"
        elif PERIOD.search(column) and values.n_unique() <= 3:
            left[column] = "the header speaks of the length of the period"
        elif (
            re.fullmatch(r"column 1|unnamed: 0|index|#|no\.?|nr\.?", column, re.IGNORECASE)
            and bool((values.head(500).diff().drop_nulls() == 1).all())
            and len(values) > 1
        ):
            left[column] = "it counts the rows"
        else:
            kept.append(column)
    return kept, left


def _element(found: table.Table, sample: pl.DataFrame, roles: _Roles) -> tuple[tuple[str, ...], Choice]:
    """The columns that name the element: by their header, then by whether they make element and time unique."""
    stem = Choice("element", taken=f"'{element_from(found.path)}' (the file's name)", confidence=0.7, why="no column names elements")
    whole = [c for c in roles.numeric if _whole_numbers(sample[c]) and not speaks_of_kpi(c)]
    candidates = [(c, worth) for c in roles.text + whole if (worth := 2 * element_rank(c) + (c in roles.text)) > 1 and not KPI_COLUMN.search(c)]
    if not candidates:
        repeated = [c for c in roles.text if not KPI_COLUMN.search(c) and 1 < sample[c].n_unique() <= max(2, sample.height // 2)]
        if not repeated:
            return (), stem
        best = max(repeated, key=lambda c: sample[c].n_unique())
        if sample[best].n_unique() < 2 or not _makes_unique(found.cells, roles.time, (best,)):
            return (), stem
        return (best,), Choice("element", taken=repr(best), confidence=0.6, why="with it, each time occurs once")
    candidates.sort(key=lambda item: (-item[1], -sample[item[0]].n_unique()))
    best = candidates[0][0]
    kpi = next((c for c in roles.text if KPI_COLUMN.search(c) and c != best), "")
    key = (kpi,) if kpi else ()
    if _makes_unique(found.cells, roles.time, (best, *key)):
        return (best,), Choice(
            "element", taken=repr(best), confidence=0.95, why=f"the header says so and with it each time occurs once ({sample[best].n_unique():,} seen)"
        )
    for column, _ in candidates[1:]:
        if _makes_unique(found.cells, roles.time, (column, best, *key)):
            order = (column, best)
            return order, Choice(
                "element", taken=" + ".join(map(repr, order)), confidence=0.8, why="one alone leaves several lines per time, together each time occurs once"
            )
    return (best,), Choice("element", taken=repr(best), confidence=0.7, why="the header says so; some times occur more than once")


def _whole_numbers(cells: pl.Series) -> bool:
    """Whether a column of numbers could be one of identifiers: whole, and some of them again and again (or all the same)."""
    if cells.dtype.is_float():
        return False
    text = cells.cast(pl.String).drop_nulls().str.strip_chars()
    return bool(len(text)) and bool(text.str.contains(r"^\d*$").all()) and text.n_unique() <= max(1, len(text) // 2)


def _makes_unique(cells: pl.DataFrame, time: tuple[str, ...], names: tuple[str, ...]) -> bool:
    keys = cells.select({*time, *names}).head(200_000)
    return keys.n_unique() >= 0.98 * keys.height


def element_from(path: Path) -> str:
    """The name of a file without its endings: what a file without an element column is about.

    >>> element_from(Path("kpi/cell_17.csv.gz"))
    'cell_17'
    """
    return re.sub(r"(\.(csv|tsv|txt|gz|parquet|pq|dat|xlsx?))+$", "", path.name, flags=re.IGNORECASE) or path.name


def _long(found: table.Table, kpi: str, value: str, element: tuple[str, ...], element_choice: Choice, unused: dict[str, str]) -> _Laid:
    names = [n for n in found.cells[kpi].cast(pl.String).str.strip_chars().unique().sort().to_list() if n]
    shared = _shared_names(names)
    values = tuple(_value_column(n, found, shared) for n in names)
    used = {kpi, value, *element}
    unused |= {c: "not needed in a long file" for c in found.cells.columns if c not in used and c not in unused}
    unused = {c: why for c, why in unused.items() if why}
    choices = [Choice("layout", taken="long: a line per element and KPI", confidence=0.9, why=f"'{kpi}' names the KPI and '{value}' its value"), element_choice]
    return "long", element, kpi, value, values, [*choices, *_value_choices(values, found)], unused


def _shared_names(columns: Iterable[str]) -> frozenset[str]:
    """KPI names that several columns would bear without their units."""
    return frozenset(name for name, count in Counter(name_and_unit(c)[0] for c in columns).items() if count > 1)


def _value_column(column: str, found: table.Table, shared: frozenset[str]) -> ValueColumn:
    name, unit = name_and_unit(column)
    if name in shared:
        name = column
    unit = unit or found.units.get(column, "")
    group = found.groups.get(column, "")
    name = f"{group} {name}" if group else name
    return ValueColumn(column, name=name, unit=unit, aggregate=_aggregate(name, unit, found)[0])


_RARE = re.compile(r"drop|loss|lost|fail|error|bler|abort|abnormal|block|reject|cadut|perd|ausf|verlust|chute|échec|caíd", re.IGNORECASE)
"""Words for what should hardly ever happen, in the languages headers are written in."""


def _not_percent(value: ValueColumn, sample: pl.DataFrame, decimal: Literal[".", ","]) -> ValueColumn:
    """A header that says percent above values that never pass 1: they are shares."""
    if value.unit != "%" or (sample[value.column].dtype == pl.String and sample[value.column].str.contains("%", literal=True).any()):
        return value
    told = numbers.parse(sample[value.column], decimal)[0].drop_nulls()
    if _RARE.search(value.column):
        return value  # a healthy drop rate is below one per cent: its header is believed
    is_share = len(told) >= 50 and bool(told.is_between(0, 1).all()) and told.n_unique() > 10
    return replace(value, unit="1") if is_share else value


def _aggregate(name: str, unit: str, found: table.Table) -> tuple[Aggregate, str]:
    if re.fullmatch(r"values?|wert|val", name, re.IGNORECASE):
        kind, why = aggregate_of(element_from(found.path), unit)
        return kind, f"'{name}' says nothing; of the file's name: {why}"
    return aggregate_of(name, unit)


def _value_choices(values: tuple[ValueColumn, ...], found: table.Table) -> list[Choice]:
    out = []
    for v in values:
        why = _aggregate(v.name, v.unit, found)[1]
        if v.unit == "1" and name_and_unit(v.column)[1] == "%":
            why += "; the header says percent, but no value passes 1: they are shares of 1"
        out.append(Choice("value", taken=f"{v.name}{f' [{v.unit}]' if v.unit else ''}, {v.aggregate}", confidence=0.6 if "nothing" in why else 0.85, why=why))
    return out


def _wide(found: table.Table, columns: list[str]) -> tuple[tuple[ValueColumn, ...], str] | None:
    """The columns as elements, where their headers look like names of elements."""
    if found.groups and len(set(found.groups.values()) - {""}) > 1:
        bare = {c: re.sub(r" \(\d+\)$", "", c) for c in columns}
        grouped = tuple(_of(c, found.groups[c], bare[c], found.units.get(c, "")) for c in columns if found.groups.get(c))
        if len(grouped) == len(columns):
            return grouped, "a second header line names the elements above the KPIs"
    for sign in (":", "|", " - ", "/"):
        split = [c.split(sign) for c in columns]
        if all(len(s) == 2 for s in split):
            elements, kpis = {s[0].strip() for s in split}, {s[1].strip() for s in split}
            if len(elements) > 1 and len(elements) * len(kpis) == len(columns) and all(re.search(r"\d", e) for e in elements):
                return tuple(_of(c, e.strip(), k.strip(), "") for c, (e, k) in zip(columns, split, strict=True)), f"the headers are all 'element{sign}KPI'"
    shapes = {re.sub(r"\d+", "#", re.sub(r"(?<=\d)[A-Za-z]$", "@", c)) for c in columns}
    like_elements = len(columns) >= 2 and len(shapes) <= max(1, len(columns) // 10) and all(re.search(r"\d", c) and not speaks_of_kpi(c) for c in columns)
    if like_elements and not any(re.fullmatch(r"(p|q|column |col|v|x|y|kpi|value)_?#@?", s, re.IGNORECASE) for s in shapes):
        called, unit = name_and_unit(re.sub(r"[\d\W_]+$", "", element_from(found.path)) or "value")
        kind = aggregate_of(called, unit)[0]
        return tuple(
            ValueColumn(c, name=called, unit=unit, aggregate=kind, element=c) for c in columns
        ), f"all headers have the shape '{min(shapes)}' and none names a measurement"
    return None


def _of(column: str, element: str, kpi: str, unit: str) -> ValueColumn:
    name, own = name_and_unit(kpi)
    return ValueColumn(column, name=name, unit=own or unit, aggregate=aggregate_of(name, own or unit)[0], element=element)


def _every(cells: pl.DataFrame, time: tuple[str, ...], fmt: str, keys: tuple[str, ...]) -> tuple[timedelta | None, Choice]:
    read = times.read(_joined(cells, time), fmt)
    at = read.instant.dt.replace_time_zone(None) if fmt.startswith("epoch") or "%z" in fmt or read.local.null_count() == len(read.local) else read.local
    frame = cells.select(pl.col(k).cast(pl.String).alias(f"key {i}") for i, k in enumerate(keys)) if keys else pl.DataFrame()
    frame = frame.with_columns(at.alias("at")) if keys else pl.DataFrame({"at": at})
    frame = frame.drop_nulls("at").unique().sort([*(c for c in frame.columns if c != "at"), "at"])
    step = pl.col("at").diff().over([c for c in frame.columns if c != "at"]) if keys else pl.col("at").diff()
    steps = frame.select(step.alias("step")).to_series().drop_nulls().dt.total_microseconds() / 1e6
    steps = steps.filter(steps > 0)
    if not len(steps):
        return None, Choice("every", taken="not known", confidence=0.0, why="no element has two different times")
    rounded = _rounded(steps)
    counts = rounded.value_counts(sort=True)
    count = int(counts["count"][0])
    most = counts.filter(pl.col("count") == count).sort("step")["step"][0]
    share = count / len(steps)
    every = timedelta(seconds=max(1.0, float(most)))
    return every, Choice(
        "every", taken=duration_text(every), confidence=round(min(0.99, share), 3), why=f"{share:.0%} of the steps between two times are so long"
    )


def _rounded(steps: pl.Series) -> pl.Series:
    """Steps with seconds of jitter become the round length they were meant to be."""
    out = steps.round()
    for nice in _NICE:
        near = (steps - nice).abs() <= min(0.1 * nice, 60)
        out = pl.select(pl.when(near).then(pl.lit(float(nice))).otherwise(out)).to_series()
    return out.rename("step")
