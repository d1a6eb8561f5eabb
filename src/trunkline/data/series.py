"""KPI series from CSV, TSV and Parquet files, read as a column map says.

``guess`` looks at a file and proposes the map; ``read`` follows it. A gap stays a gap: no row is
invented and none is filled. A line that cannot be used goes to the quarantine with its number and
the reason, and the rest of the file is used; only a file that is mostly bad is refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from difflib import get_close_matches
from pathlib import Path

import polars as pl

from trunkline.core import clock
from trunkline.core.errors import BadFile, BadInput
from trunkline.core.frames import RECORDS, TIME
from trunkline.data import numbers, table, times
from trunkline.data.column_map import LONGEST_PERIOD, ColumnMap, ValueColumn
from trunkline.data.grid import to_grid
from trunkline.data.guess import element_from, guess, guess_from
from trunkline.data.table import Quarantined, Table, excerpt
from trunkline.data.words import aggregate_of, name_and_unit

__all__ = ["Quarantined", "SeriesFile", "guess", "read"]

_TOTALS = re.compile(r"\b(grand )?(total|totals|sum|summe|gesamt|average|mittelwert|totale|total general|somme|moyenne|suma|promedio|media)\b", re.IGNORECASE)
_AHEAD = timedelta(days=1)  # clocks differ and zones are guessed; a day is neither


@dataclass(frozen=True, slots=True)
class SeriesFile:
    """What one file said.

    Attributes
    ----------
    records
        RECORDS, and ``aggregate``: how values of one KPI become one in a longer slot. Sorted by
        name, element, at, known_at.
    quarantine
        The lines, or single cells of them, that could not be used: line, reason, excerpt.
    notes
        What was done that is not plain from the map: a zone assumed, times moved to the grid, restatements.
    map
        The map it was read with.
    lines
        How many lines of data the file has; ``good`` of them gave at least one value or "no value".
    """

    records: pl.DataFrame
    quarantine: tuple[Quarantined, ...] = field(kw_only=True)
    notes: tuple[str, ...] = field(kw_only=True)
    map: ColumnMap = field(kw_only=True)
    lines: int = field(kw_only=True)
    good: int = field(kw_only=True)


def read(path: str | Path, columns: ColumnMap | None = None, *, assume_zone: str | None = None, now: datetime | None = None) -> SeriesFile:
    """The records in *path*, read as *columns* says.

    Parameters
    ----------
    columns
        The column map; None guesses one.
    assume_zone
        The zone of times that name none, where the map names none either. It is assumed aloud: a note says so.
    now
        The present; a line more than a day after it is set aside. None asks the clock.

    Returns
    -------
    SeriesFile
        A record is known at the end of its period. A time that occurs twice with the same value is counted once; with
        another value the later line is a restatement, known a microsecond after the earlier one.

    Raises
    ------
    BadInput
        The times name no zone and none is given, or the step is not known; the flag to add is shown.
    BadFile
        More than half of the lines cannot be used, or the file does not have the map's columns.
    """
    path = Path(path)
    if columns is None:
        found = table.load(path)
        columns = guess_from(found)
    else:
        found = table.load(path, separator=columns.separator, encoding=None)
    _check_columns(found, columns)
    notes = [*found.notes]
    values, layout_notes = _values_of(found, columns)
    notes += layout_notes
    rows, bad, time_notes = _times_of(found, columns, path, assume_zone, now or clock.now())
    notes += time_notes
    wide, bad_cells, spoilt = _numbers_of(found, columns, values)
    good = rows["at"].is_not_null() & ~spoilt
    bad += _bad_cells(found, bad_cells, rows["at"].is_not_null())
    quarantine = tuple(sorted([*found.quarantine, *bad]))
    _refuse_if_mostly_bad(path, found, int(good.sum()), quarantine, columns)
    use = rows["at"].is_not_null() & ~spoilt
    order = _order(rows.with_columns(wide), use, columns)
    kept = rows.with_columns(wide)[order]
    records, more = _records(kept, [c.gather(order) for c in bad_cells], columns, values, path)
    return SeriesFile(_laid_out(records, path), quarantine=quarantine, notes=tuple(notes + more), map=columns, lines=found.asked, good=int(good.sum()))


def _check_columns(found: Table, columns: ColumnMap) -> None:
    needed = [*columns.time, *columns.element, *(c for c in (columns.until, columns.kpi, columns.value) if c)]
    if columns.layout != "long" and not any(v.column in found.cells.columns for v in columns.values):
        needed += [v.column for v in columns.values]
    missing = [n for n in dict.fromkeys(needed) if n not in found.cells.columns]
    if not missing:
        return
    close = {m: get_close_matches(m, found.cells.columns, n=1) for m in missing}
    meant = "; ".join(f"'{m}' may be '{c[0]}' here" for m, c in close.items() if c)
    raise BadFile(
        f"The file has no column {', '.join(repr(m) for m in missing[:6])}{' …' if len(missing) > 6 else ''} that the column map names.",
        path=found.path,
        line=found.header_line or None,
        allowed=f"its columns are {', '.join(repr(c) for c in found.cells.columns[:12])}{' …' if found.cells.width > 12 else ''}",
        next_step=(f"{meant}. " if meant else "") + f"Correct the map, or write a new one: trunkline data map '{found.path}' > map.toml",
    )


def _values_of(found: Table, columns: ColumnMap) -> tuple[tuple[ValueColumn, ...], list[str]]:
    """The map's values that this file has, and what to say of the others."""
    if columns.layout != "long":
        there = tuple(v for v in columns.values if v.column in found.cells.columns)
        lost = [v.column for v in columns.values if v.column not in found.cells.columns]
        return there, [f"Columns of the map that this file does not have: {', '.join(lost)}."] if lost else []
    known = {v.column for v in columns.values}
    said = found.cells[columns.kpi].cast(pl.String).str.strip_chars().unique().drop_nulls().sort().to_list()
    new = [s for s in said if s and s not in known]
    added = tuple(ValueColumn(s, name=name_and_unit(s)[0], unit=name_and_unit(s)[1], aggregate=aggregate_of(*name_and_unit(s))[0]) for s in new)
    shown = ", ".join(new[:5]) + (f" and {len(new) - 5} more" if len(new) > 5 else "")
    return (*columns.values, *added), [f"KPIs that the map does not list were read all the same: {shown}."] if new else []


def _times_of(found: Table, columns: ColumnMap, path: Path, assume_zone: str | None, now: datetime) -> tuple[pl.DataFrame, list[Quarantined], list[str]]:
    """Per line its element, start (``at``, null where it cannot be used) and end."""
    notes: list[str] = []
    zone = columns.zone or assume_zone
    element = _element_of(found, columns, path)
    at, wrong = _instants(found, columns, columns.time, element, zone)
    if columns.zone is None and columns.needs_zone and assume_zone:
        notes.append(f"The times name no zone; they were read as {assume_zone}, which is assumed, not known. Say --zone to settle it.")
    notes += [f"Day and month: {c.why}; taken day first: {c.taken}." for c in columns.choices if c.what == "day first" and c.confidence <= 0.7]
    if columns.every is None and not columns.until:
        raise BadInput(
            "The length of a period is not known: no element has two different times.",
            where=str(path),
            allowed="a length of time such as '15m'",
            next_step="Add --every 15m, or `every` to the column map.",
        )
    every = columns.every or timedelta(seconds=1)
    if columns.until:
        end, end_wrong = _instants(found, columns, (columns.until,), element, zone)
        negative = pl.select(
            pl.when(end <= at).then(pl.format("the period is not positive: it ends {} after it starts", (end - at).dt.total_seconds().cast(pl.String) + "s"))
        ).to_series()
        endless = pl.select(
            pl.when(end - at > LONGEST_PERIOD).then(
                pl.format("the period is longer than {} days: it ends {}", LONGEST_PERIOD.days, end.dt.strftime("%Y-%m-%d"))
            )
        ).to_series()
        unreadable = pl.when(end_wrong.is_not_null()).then(pl.lit("the end of the period: ") + end_wrong)
        wrong = pl.select(pl.coalesce(wrong, unreadable, negative, endless)).to_series()
    elif columns.stamp == "end":
        end, at = at, at - every
    else:
        end = at + every
    later = pl.select(pl.when(at > now + _AHEAD).then(pl.format("{} is in the future", at.dt.strftime("%Y-%m-%d %H:%M")))).to_series()
    nameless = pl.select(pl.when(element.fill_null("") == "").then(pl.lit("no element is named"))).to_series()
    wrong = pl.select(pl.coalesce(wrong, later, nameless)).to_series()
    fine = wrong.is_null()
    rows = pl.DataFrame({"line": found.lines, "element": element, "at": at.cast(TIME), "end": end.cast(TIME)}).with_columns(
        at=pl.when(fine).then("at"), end=pl.when(fine).then("end")
    )
    return rows, _bad_lines(found, wrong), notes


def _element_of(found: Table, columns: ColumnMap, path: Path) -> pl.Series:
    if not columns.element:
        return pl.repeat(element_from(path), found.cells.height, eager=True).rename("element")
    parts = [pl.col(c).cast(pl.String).str.strip_chars() for c in columns.element]
    return found.cells.select(pl.concat_str(parts, separator="/").alias("element")).to_series()


def _instants(found: Table, columns: ColumnMap, names: Sequence[str], element: pl.Series, zone: str | None) -> tuple[pl.Series, pl.Series]:
    cells = found.cells[names[0]] if len(names) == 1 else times.side_by_side(found.cells, names)
    of = element
    if columns.layout == "long":
        of = found.cells.select(pl.concat_str([pl.lit(element), pl.col(columns.kpi).cast(pl.String)], separator="\x00")).to_series()
    return times.instants(cells, columns.time_format, of=of, zone=zone, path=found.path, lines=found.lines)


def _bad_lines(found: Table, wrong: pl.Series) -> list[Quarantined]:
    if wrong.null_count() == len(wrong):
        return []
    places = wrong.is_not_null()
    out = []
    for line, reason, cells in zip(found.lines.filter(places), wrong.filter(places), found.cells.filter(places).iter_rows(), strict=True):
        told = [str(c) for c in cells if c is not None]
        is_total = any(_TOTALS.search(c) for c in told[:3])
        out.append(Quarantined(line, "a totals line" if is_total and ("no time" in reason) else reason, excerpt(" | ".join(told))))
    return out


def _numbers_of(found: Table, columns: ColumnMap, values: tuple[ValueColumn, ...]) -> tuple[list[pl.Series], list[pl.Series], pl.Series]:
    """The numbers by column, which cells are none, and the lines on which no number could be read at all."""
    names = [columns.value] if columns.layout == "long" else [v.column for v in values]
    read_as = [numbers.parse(found.cells[n], columns.decimal) for n in names]
    out = [v.rename(f"value {i}") for i, (v, _) in enumerate(read_as)]
    wrong = [w.rename(n) for n, (_, w) in zip(names, read_as, strict=True)]
    if columns.layout == "long":
        out.append(found.cells[columns.kpi].cast(pl.String).str.strip_chars().rename("kpi"))
    none_right = pl.DataFrame(wrong).select(pl.all_horizontal(pl.all())).to_series() if len({*names}) == len(names) else wrong[0]
    return out, wrong, none_right


def _bad_cells(found: Table, wrong: list[pl.Series], timed: pl.Series) -> list[Quarantined]:
    """One entry per line with cells that are no numbers; lines without a time are listed already."""
    by_line: dict[int, list[str]] = {}
    shown: dict[int, str] = {}
    for cells in wrong:
        places = cells & timed
        if not places.any():
            continue
        hit = found.cells[cells.name].filter(places).cast(pl.String)
        for line, cell in zip(found.lines.filter(places), hit, strict=True):
            by_line.setdefault(line, []).append(cells.name)
            shown.setdefault(line, str(cell))
    return [
        Quarantined(
            line,
            f"'{names[0]}' is no number: '{excerpt(shown[line])[:40]}'" + (f", and {len(names) - 1} more cells" if len(names) > 1 else ""),
            excerpt(shown[line]),
        )
        for line, names in by_line.items()
    ]


def _refuse_if_mostly_bad(path: Path, found: Table, good: int, quarantine: tuple[Quarantined, ...], columns: ColumnMap) -> None:
    bad = found.asked - good
    if good and bad <= good:
        return
    if not quarantine:
        raise BadFile("The file holds no value.", path=path, allowed="at least one line with a time", next_step="Look whether the export failed.")
    kinds = Counter(re.sub(r"'[^']*'|\d+", "…", q.reason) for q in quarantine)
    kind, count = kinds.most_common(1)[0]
    first = next(q for q in quarantine if re.sub(r"'[^']*'|\d+", "…", q.reason) == kind)
    raise BadFile(
        f"{bad:,} of {found.asked:,} lines cannot be used; {count:,} of them for one reason, such as: {first.reason}.",
        path=path,
        line=first.line,
        allowed=f"times as {columns.time_format}, decimal sign '{columns.decimal}', separator {columns.separator!r}; at most half of the lines bad",
        next_step="Probably the separator, the decimal sign or the time format is another: "
        f"look at `trunkline data map '{path}'`, correct it and pass it with --map.",
    )


def _order(rows: pl.DataFrame, use: pl.Series, columns: ColumnMap) -> pl.Series:
    """The lines to use, by KPI, element and time: sorted once here, 600,000 lines instead of millions of records later."""
    keys = ["kpi", "element"] if columns.layout == "long" else ["element"]
    ranks = [pl.col(k).cast(pl.Enum(rows[k].drop_nulls().unique().sort())) for k in keys]
    return rows.select(*ranks, "at", "line", index=pl.int_range(pl.len(), dtype=pl.UInt32)).filter(use).sort(*keys, "at", "line")["index"]


def _records(kept: pl.DataFrame, wrong: list[pl.Series], columns: ColumnMap, values: tuple[ValueColumn, ...], path: Path) -> tuple[pl.DataFrame, list[str]]:
    """Records of the good lines: once each, restated in order, one per slot."""
    notes: list[str] = []
    every = columns.every
    kept = kept.with_columns(slot="at", known_at="end", version=pl.lit(0, dtype=pl.Int64))
    if columns.align and every is not None and not columns.until:
        kept, moved = to_grid(kept, every)
        notes += moved
    key = ["element", "kpi"] if columns.layout == "long" else ["element"]
    crowded = kept.select(pl.struct([*key, "slot"]).is_duplicated()).to_series() if kept.height else pl.Series([], dtype=pl.Boolean)
    if not crowded.any():
        return _melted(kept, wrong, columns, values), notes
    single = _melted(kept.filter(~crowded), [w.filter(~crowded) for w in wrong], columns, values)
    many = _melted(kept.filter(crowded), [w.filter(crowded) for w in wrong], columns, values)
    versions, said = _restated(many, path, all_keys=single.height)
    notes += said
    merged, said = _merged(versions, every)
    return pl.concat([single, merged]).sort("name", "element", "slot", "known_at", "version"), notes + said


def _melted(kept: pl.DataFrame, wrong: list[pl.Series], columns: ColumnMap, values: tuple[ValueColumn, ...]) -> pl.DataFrame:
    """One row per line and KPI; cells that are no numbers give none."""
    index = ["line", "element", "at", "end", "slot", "known_at", "version"]
    names = pl.DataFrame(
        {"key": [v.column if columns.layout == "long" else f"value {i}" for i, v in enumerate(values)], "name": [v.name for v in values]}
        | {"aggregate": [v.aggregate for v in values], "of": [v.element for v in values]},
        schema=dict.fromkeys(("key", "name", "aggregate", "of"), pl.String),
    ).unique("key", keep="first", maintain_order=True)
    if columns.layout == "long":
        whole = kept.filter(~wrong[0]).select(*index, key="kpi", value="value 0")
        return whole.join(names, on="key", how="inner").drop("key", "of")
    parts = []
    for i, (bad, value) in sorted(enumerate(zip(wrong, values, strict=True)), key=lambda item: (item[1][1].name, item[1][1].element)):
        part = kept.filter(~bad) if bad.any() else kept
        told = pl.lit(value.element) if columns.layout == "wide" else pl.col("element")
        parts.append(
            part.select(
                *(c if c != "element" else told.alias("element") for c in index),
                pl.col(f"value {i}").alias("value"),
                name=pl.lit(value.name),
                aggregate=pl.lit(str(value.aggregate)),
            )
        )
    return pl.concat(parts)


def _restated(many: pl.DataFrame, path: Path, *, all_keys: int) -> tuple[pl.DataFrame, list[str]]:
    """Lines of one element and time: equal ones count once, another value restates the earlier one."""
    key = ["element", "name", "at"]
    many = many.sort("line").with_columns(first=pl.struct(key).is_first_distinct())
    many = many.with_columns(changed=pl.col("first") | pl.col("value").ne_missing(pl.col("value").shift(1).over(key)))
    once = int((~many["changed"]).sum())
    many = many.filter("changed").with_columns(version=(pl.col("changed").cast(pl.Int64).cum_sum().over(key) - 1))
    restated = many.filter(pl.col("version") > 0)
    keys = int(many["first"].sum()) + all_keys
    contradicted = restated.select(pl.struct(key).n_unique()).item() if restated.height else 0
    if contradicted > 0.5 * keys:
        raise BadFile(
            f"{contradicted:,} of {keys:,} values occur several times with different numbers, such as {restated['element'][0]}, {restated['name'][0]} at {restated['at'][0]:%Y-%m-%d %H:%M}.",
            path=path,
            line=int(restated["line"][0]),
            allowed="one value per element, KPI and time; a few restatements",
            next_step="Probably a further column tells the elements apart (a carrier, a sector): name it in `element` of the column map.",
        )
    notes = [f"{once:,} values stood in the file twice and were counted once."] if once else []
    if restated.height:
        notes.append(f"{restated.height:,} values were restated by a later line of the file, the first in line {restated['line'].sort()[0]}.")
    return many.drop("first", "changed"), notes


def _merged(versions: pl.DataFrame, every: timedelta | None) -> tuple[pl.DataFrame, list[str]]:
    """Several samples in one slot become one value, as the KPI's aggregate says."""
    slot = ["element", "name", "slot"]
    several = versions.select((pl.col("at").n_unique().over(slot) > 1).alias("several")).to_series()
    alone = versions.filter(~several)
    if not several.any() or every is None:
        return versions, []
    last = versions.filter(several).sort("line").unique(["element", "name", "at"], keep="last", maintain_order=True).sort("at")
    value = pl.col("value")
    by_kind = {"mean": value.mean(), "sum": value.sum(), "min": value.min(), "max": value.max(), "last": value.drop_nulls().last()}
    kind = pl.col("aggregate").first()
    chosen = pl.lit(None, dtype=pl.Float64)
    for word, expression in by_kind.items():
        chosen = pl.when(kind == word).then(expression).otherwise(chosen)
    merged = last.group_by(slot, maintain_order=True).agg(
        pl.col("line").max(),
        pl.col("at").min(),
        (pl.col("at").min() + every).alias("end"),
        pl.col("known_at").max(),
        pl.lit(0, dtype=pl.Int64).alias("version"),
        pl.when(value.count() > 0).then(chosen).alias("value"),
        pl.col("aggregate").first(),
    )
    step = clock.duration_text(every)
    note = f"{last.height:,} values fell into {merged.height:,} slots of {step} with several each; they were put together by mean, sum, min or max as the map says."
    return pl.concat([alone, merged.select(alone.columns)]), [note]


def _laid_out(records: pl.DataFrame, path: Path) -> pl.DataFrame:
    return (
        records.select(
            "element",
            object_class=pl.lit("series"),
            name="name",
            dimension=pl.lit(""),
            at="slot",
            period_s=(pl.col("end") - pl.col("at")).dt.total_seconds().cast(pl.Int32),
            value="value",
            suspect=pl.lit(value=False),
            known_at=pl.col("known_at") + pl.duration(microseconds=pl.col("version")),
            source=pl.lit(path.name),
            aggregate="aggregate",
        ).cast(dict(RECORDS))  # type: ignore[arg-type]
    )
