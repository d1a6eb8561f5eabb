"""The cells of a delimited file, each with the line it came from; what is no row is set aside, never dropped.

Found by looking: the separator, the header among title lines, a units line, a two-level header,
quotes, trailing separators. A row is good when it has as many cells as the header; the others go
to the quarantine with their line and the reason.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import polars as pl

from trunkline.core.errors import BadFile
from trunkline.data import numbers
from trunkline.data.plain_text import PARQUET, read_bytes, read_text
from trunkline.data.times import looks_like_time

SEPARATORS = (";", "\t", ",", "|")
LINE = "\x00line"  # cannot be a header cell
MOST_CELLS = 60_000_000
"""Of a Parquet file: about what fits into the largest CSV that is read."""
MOST_COLUMNS = 20_000
"""Of a table: each costs some milliseconds to be understood."""
_HEAD = 200  # lines looked at to find separator and header
_QUOTED_LINES = 20  # physical lines one quoted cell may span before its quote is taken as never closed

_UNIT = re.compile(
    r"[(\[{]?\s*(%|percent|kb|mb|gb|tb|kib|mib|gib|bytes?|bits?|[kmg]?bit/s|[kmg]?bps|[kmg]b/s|ms|s|sec|secs|seconds?|min|h|hours?|dbm?|dbw|w|kw|wh|kwh|erl|"
    r"erlangs?|hz|khz|mhz|ghz|c|°c|k|v|a|m|km|km/h|count|counts|number|#|-|1|unit|none|\d*)\s*[)\]}]?",
    re.IGNORECASE,
)


class Quarantined(NamedTuple):
    """One line that was set aside: where, why, and what it looks like."""

    line: int
    reason: str
    excerpt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The rows of one file.

    Attributes
    ----------
    cells
        One column per header cell, unique names; text, or typed where the file is Parquet.
    lines
        The line of each row in the file, counted from 1 (Parquet: the row).
    units, groups
        By column: what the units line and the upper header line say, where there are such lines.
    asked
        How many lines should have been rows: the good ones and the quarantined.
    """

    path: Path
    cells: pl.DataFrame
    lines: pl.Series
    quarantine: tuple[Quarantined, ...] = ()
    notes: tuple[str, ...] = ()
    units: dict[str, str]
    groups: dict[str, str]
    separator: str
    why_separator: str
    encoding: str
    header_line: int

    @property
    def asked(self) -> int:
        return self.cells.height + len(self.quarantine)


def load(path: str | Path, *, separator: str | None = None, encoding: str | None = None, most: int | None = None) -> Table:
    """The table in *path*: CSV with any separator, TSV, or Parquet; plain or gzipped.

    Parameters
    ----------
    separator, encoding
        As the column map says; None looks.
    most
        Read only this many bytes: enough to say what a file is.

    Raises
    ------
    BadFile
        It is no table: no text, one column only, a header without rows, or lines that do not fit the header.
    """
    path = Path(path)
    if _starts_with(path, PARQUET):
        return _parquet(path)
    text = read_text(path, encoding=encoding, most=most)
    lines = text.text.split("\n")
    if most is not None and len(lines) > 1:
        lines.pop()  # the last one may be cut
    elif most is not None and len(lines[0]) > most // 4:
        raise BadFile(
            f"The first line goes on for more than {len(lines[0]):,} signs.",
            path=path,
            allowed="a header and lines of data",
            next_step="Look what the file is.",
        )
    told = re.fullmatch(r'"?sep=(.)"?', lines[0].strip() if lines[0] != "sep=\t" else lines[0])
    first = 1 if told else 0
    separator = separator or (told[1] if told else None)
    head = [(n, line) for n, line in enumerate(lines[first : first + 4 * _HEAD], start=first + 1) if line.strip() and not _is_comment(line)][:_HEAD]
    if not head:
        raise BadFile("The file holds only comments.", path=path, allowed="a header and lines of data", next_step="Look whether the export failed.")
    why = "the column map says so" if separator else ""
    if not separator:
        separator, why = _guess_separator([line for _, line in head], path)
    header = _find_header(head, separator, path)
    return _rows(path, lines, header, separator, why, text.encoding, replaced=text.replaced)


def _starts_with(path: Path, magic: bytes) -> bool:
    try:
        return read_bytes(path, most=4096)[0].startswith(magic)
    except BadFile:
        return False


def read_parquet(path: Path) -> pl.DataFrame:
    """The frame in a Parquet file, plain or gzipped.

    Raises
    ------
    BadFile
        It cannot be read, or says that it holds more than :data:`MOST_CELLS`: a small file can hold a very large nothing.
    """
    raw, compressed = read_bytes(path)
    where = io.BytesIO(raw)
    try:
        rows, columns = pl.scan_parquet(where).select(pl.len()).collect().item(), len(pl.read_parquet_schema(where))
        if rows * columns <= MOST_CELLS:
            return pl.read_parquet(where if compressed else path)
    except BaseException as broken:  # a damaged page makes Polars panic, which is no Exception
        if isinstance(broken, KeyboardInterrupt | SystemExit):
            raise
        raise BadFile(
            f"The Parquet file cannot be read: {str(broken)[:200]}.", path=path, allowed="a whole Parquet file", next_step="Transfer the file again."
        ) from broken
    raise BadFile(
        f"The Parquet file holds {rows:,} rows of {columns} columns.",
        path=path,
        allowed=f"at most {MOST_CELLS:,} cells a file",
        next_step="Split the file by day.",
    )


def _parquet(path: Path) -> Table:
    frame = read_parquet(path)
    nested = [name for name, kind in frame.schema.items() if kind.is_nested() or kind in (pl.Binary, pl.Object)]
    frame = frame.drop(nested)
    if not frame.height or not frame.width:
        raise BadFile("The Parquet file holds no rows.", path=path, allowed="at least one row", next_step="Look whether the export failed.")
    notes = (f"Columns of nested or binary type are left out: {', '.join(nested)}.",) if nested else ()
    lines = pl.Series("line", range(1, frame.height + 1), dtype=pl.Int64)
    return Table(
        path=path, cells=frame, lines=lines, notes=notes, units={}, groups={}, separator="", why_separator="Parquet has columns", encoding="", header_line=0
    )


def _is_comment(line: str) -> bool:
    return line.startswith("#") and not any(s in line for s in SEPARATORS)


def _split(line: str, separator: str) -> list[str]:
    if '"' not in line:
        return [cell.strip() for cell in line.split(separator)]
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator))]
    except (csv.Error, StopIteration):
        return [line]


def _kind(cell: str) -> str:
    """T a time, N a number, X a text, "" no value."""
    if numbers.is_no_value(cell):
        return ""
    if looks_like_time(cell):
        return "T"
    return "N" if numbers.is_number(cell) else "X"


def _guess_separator(head: Sequence[str], path: Path) -> tuple[str, str]:
    best: tuple[float, str, int, float] | None = None
    for separator in SEPARATORS:
        rows = [_split(line, separator) for line in head]
        width, count = max(Counter(len(_trimmed(r)) for r in rows if len(r) > 1).items(), key=lambda item: (item[1], item[0]), default=(0, 0))
        if width < 2:
            continue
        share = count / len(rows)
        cells = [c for r in rows if len(_trimmed(r)) == width for c in _trimmed(r)]
        others = [s for s in SEPARATORS if s != separator]
        worth = sum(1.0 if _kind(c) in "TN" else 0.0 if any(o in c for o in others) else 0.6 for c in cells) / len(cells)
        rating = (share * worth, separator, width, share)
        if best is None or rating[0] > best[0] + 1e-9:
            best = rating
    if best is None:
        raise BadFile(
            f"No separator splits the lines: the first reads '{head[0][:60]}'.",
            path=path,
            allowed="columns separated by ';', tab, ',' or '|'",
            next_step=f"If the columns are separated by another sign, name it: trunkline data map '{path}' > map.toml, then correct `separator` in map.toml.",
        )
    _, separator, width, share = best
    shown = {"\t": "tab"}.get(separator, f"'{separator}'")
    return separator, f"{shown} splits {share:.0%} of the first lines into {width} cells"


def _trimmed(row: list[str]) -> list[str]:
    """*row* without the empty cells at its end."""
    end = len(row)
    while end > 1 and not row[end - 1]:
        end -= 1
    return row[:end]


class _Header(NamedTuple):
    names: list[str]
    units: dict[str, str]
    groups: dict[str, str]
    line: int  # of the names; 0 where the file has no header
    data_from: int  # first line of data
    notes: list[str]


def _find_header(head: Sequence[tuple[int, str]], separator: str, path: Path) -> _Header:
    rows = [(n, _split(line, separator)) for n, line in head]
    body = rows[len(rows) // 3 :] if len(rows) > 2 else rows
    lengths = [len(_trimmed(r)) for _, r in body]
    width = max(Counter(lengths).items(), key=lambda item: (item[1], item[0]))[0]
    if width > MOST_COLUMNS:
        raise BadFile(
            f"The file has {width:,} columns.", path=path, allowed=f"at most {MOST_COLUMNS:,}", next_step="Split it, or export a line per element and time."
        )
    fitting = [r for (_, r), length in zip(body, lengths, strict=True) if length <= width]
    kinds = [_majority([_kind(r[i]) for r in fitting if i < len(r)]) for i in range(width)]
    start = next((i for i, (_, r) in enumerate(rows) if _is_data(r, kinds)), None)
    if start is None:  # no times, no numbers (an inventory): the first full line is the header
        start = next((i for i, (_, r) in enumerate(rows) if len(_trimmed(r)) >= width), 0) + 1
        if start >= len(rows):
            raise BadFile(
                "The file holds a header and nothing below it.",
                path=path,
                allowed="at least one line of data",
                next_step="Look whether the export was filtered empty.",
            )
    above = [(n, r) for n, r in rows[max(0, start - 4) : start] if sum(1 for c in r if c) >= min(2, width)]
    return _name_columns(above, width, rows[start][0], path)


def _majority(kinds: list[str]) -> str:
    told = Counter(k for k in kinds if k)
    return told.most_common(1)[0][0] if told else ""


def _is_data(row: list[str], kinds: list[str]) -> bool:
    times = [i for i, k in enumerate(kinds) if k == "T"]
    wanted = times or [i for i, k in enumerate(kinds) if k == "N"]
    given = [(row[i], kinds[i]) for i in wanted if i < len(row) and row[i]]
    return bool(given) and 2 * sum(1 for cell, kind in given if _kind(cell) == kind) >= len(given)


def _name_columns(above: list[tuple[int, list[str]]], width: int, data_from: int, path: Path) -> _Header:
    notes: list[str] = []
    if not above:
        notes.append("The file has no header; its columns are called 'column 1', 'column 2', ….")
        return _Header([f"column {i + 1}" for i in range(width)], {}, {}, 0, data_from, notes)
    below: list[str] = []
    if len(above) > 1 and all(_UNIT.fullmatch(c) for c in above[-1][1]):
        below = above.pop()[1]
    # The first line that names every column once is the header; what follows it and is no data yet are bad lines.
    whole = next((i for i, (_, r) in enumerate(above) if len(_trimmed(r)) == width and all(r[1:width]) and len(set(r[:width])) == width), None)
    if whole is not None and whole < len(above) - 1:
        data_from = above[whole + 1][0]
        above = above[: whole + 1]
    line, raw = above[-1]
    raw = [c.replace("\x00", "") for c in raw]
    raw[0] = raw[0].removeprefix("#").strip()
    if len(_trimmed(raw)) < width:
        raw += [""] * (width - len(raw))
        missing = sum(1 for c in raw if not c)
        if missing > 1 or raw[0]:  # one name missing in front is a row number without a name
            raise BadFile(
                f"The header names {width - missing} columns, the lines below have {width} cells.",
                path=path,
                line=line,
                allowed="as many names as cells",
                next_step="If the numbers have a decimal comma, export with ';' as separator or with quotes around the numbers.",
            )
    names = _unique(raw, notes)
    units = {names[i]: unit.strip("()[]{} ") for i, unit in enumerate(below[: len(names)]) if unit.strip("()[]{} ")}
    groups: dict[str, str] = {}
    if len(above) > 1 and len(set(raw)) < len(raw):  # names occur twice: the line above tells them apart
        upper, last = above[-2][1], ""
        for i, name in enumerate(names):
            last = (upper[i] if i < len(upper) else "") or last
            groups[name] = last
        notes = [n for n in notes if not n.startswith("The header names")]
    return _Header(names, units, groups, line, data_from, notes)


def _unique(raw: list[str], notes: list[str]) -> list[str]:
    seen: Counter[str] = Counter()
    taken = {" ".join(n.split()) for n in raw}
    names: list[str] = []
    for i, cell in enumerate(raw):
        bare = " ".join(cell.split()) or f"column {i + 1}"
        seen[bare] += 1
        name, k = bare, seen[bare]
        if k > 1:
            while (name := f"{bare} ({k})") in taken:
                k += 1
            taken.add(name)
        names.append(name)
    twice = [f"'{n}'" for n, k in seen.items() if k > 1]
    if twice:
        notes.append(f"The header names {', '.join(twice)} more than once; the later ones are called '… (2)' and so on.")
    return names


def _rows(path: Path, lines: list[str], header: _Header, separator: str, why: str, encoding: str, *, replaced: bool) -> Table:
    width = len(header.names)
    bad: list[Quarantined] = []
    texts = lines[header.data_from - 1 :]
    numbered = pl.DataFrame(
        {LINE: pl.int_range(header.data_from, header.data_from + len(texts), dtype=pl.Int64, eager=True), "text": pl.Series(texts, dtype=pl.String)}
    )
    blank = numbered["text"].str.strip_chars(f" {separator}\t\u00a0\ufeff\x1a") == ""
    comment = numbered["text"].str.starts_with("#") & ~numbered["text"].str.contains(separator, literal=True)
    numbered = _set_aside_unreadable(numbered.filter(~blank & ~comment), bad, replaced=replaced)
    has_quotes = bool(numbered["text"].str.contains('"', literal=True).any())
    joined: list[tuple[int, str]] = []
    if has_quotes:
        numbered, joined = _join_open_quotes(numbered, separator, bad)
    quoted = numbered["text"].str.contains('"', literal=True)
    plain = numbered.filter(~quoted)
    fits = plain["text"].str.count_matches(separator, literal=True) == width - 1
    parts = [_split_plain(plain.filter(fits), separator, header.names)]
    careful = [*joined, *plain.filter(~fits).iter_rows()]
    if has_quotes:
        simple, rest = _quotes_to_spare(numbered.filter(quoted), separator, width)
        parts.append(_split_plain(simple, separator, header.names))
        careful += [*rest.iter_rows()]
    parts.append(_split_carefully(sorted(careful), separator, header.names, bad))
    filled = [p for p in parts if p.height] or parts[:1]
    rows = pl.concat(filled).sort(LINE) if len(filled) > 1 else filled[0]
    rows = _without_repeated_header(rows, header, lines, bad)
    _refuse_if_mostly_bad(path, rows.height, bad, width, header)
    return Table(
        path=path,
        cells=rows.drop(LINE),
        lines=rows[LINE].rename("line"),
        quarantine=tuple(sorted(bad)),
        notes=tuple(header.notes),
        units=header.units,
        groups=header.groups,
        separator=separator,
        why_separator=why,
        encoding=encoding,
        header_line=header.line,
    )


def _without_repeated_header(rows: pl.DataFrame, header: _Header, lines: list[str], bad: list[Quarantined]) -> pl.DataFrame:
    """Files put together with ``cat`` hold their header again and again."""
    if not header.line:
        return rows
    hit = rows.select(pl.all_horizontal(pl.col(n).str.strip_chars() == n for n in header.names)).to_series()
    bad += [Quarantined(n, "the header again", excerpt(lines[n - 1])) for n in rows.filter(hit)[LINE].to_list()]
    return rows.filter(~hit)


def excerpt(text: str) -> str:
    """The first 100 signs of a line, with what cannot be printed shown as such."""
    shown = "".join(c if c.isprintable() else "\N{OPEN BOX}" if c == "\t" else "\ufffd" for c in text[:100])
    return f"{shown}…" if len(text) > 100 else shown


def _set_aside_unreadable(numbered: pl.DataFrame, bad: list[Quarantined], *, replaced: bool) -> pl.DataFrame:
    for sign, reason, look in (("\x00", "holds NUL bytes", True), ("\ufffd", "holds bytes that are no UTF-8", replaced)):
        if not look:
            continue
        hit = numbered["text"].str.contains(sign, literal=True)
        if hit.any():
            bad += [Quarantined(n, reason, excerpt(t)) for n, t in numbered.filter(hit).iter_rows()]
            numbered = numbered.filter(~hit)
    return numbered


def _split_plain(numbered: pl.DataFrame, separator: str, names: list[str]) -> pl.DataFrame:
    """Rows whose separators are all real: one vectorised split, 600,000 lines of five cells in 0.1 s."""
    split = numbered["text"].str.split_exact(separator, len(names) - 1).struct.unnest()
    split.columns = [f"cell {i}" for i in range(len(names))]
    return _named(numbered[LINE], split, names)


def _named(lines: pl.Series, split: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    return split.rename(dict(zip(split.columns, names, strict=True))).insert_column(0, lines.rename(LINE))


def _quotes_to_spare(numbered: pl.DataFrame, separator: str, width: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Lines whose quotes hold no separator and no quote need no quotes at all; the others come second."""
    sep = re.escape(separator)
    text = pl.col("text")
    simple = (
        (text.str.count_matches(separator, literal=True) == width - 1)
        & ~text.str.contains('""', literal=True)
        & ~text.str.contains(rf'(?:^|{sep})"[^"]*{sep}[^"]*"(?:{sep}|$)')
        & ~text.str.contains(rf'[^{sep}"]"[^{sep}"]')
        & (text.str.count_matches(rf'(?:^|{sep})"') == text.str.count_matches(rf'"(?:{sep}|$)'))
    )
    marked = numbered.with_columns(simple.alias("simple"))
    return marked.filter("simple").select(LINE, text.str.replace_all('"', "", literal=True)), marked.filter(~pl.col("simple")).select(LINE, "text")


def _join_open_quotes(numbered: pl.DataFrame, separator: str, bad: list[Quarantined]) -> tuple[pl.DataFrame, list[tuple[int, str]]]:
    """A cell whose quote is open goes on in the next lines; those become one row under the first line's number."""
    opens = re.compile(rf'(?:^|{re.escape(separator)})\s*"(?:[^"]|"")*$')
    odd = numbered.with_row_index("row").filter(pl.col("text").str.count_matches('"', literal=True) % 2 == 1)
    texts, joined, used, free_from = numbered["text"], [], [], 0
    for row, line, text in odd.iter_rows():
        if row < free_from or not opens.search(text):
            continue
        whole, end = text, row + 1
        while opens.search(whole) and end < numbered.height and end - row < _QUOTED_LINES:
            whole, end = f"{whole}\n{texts[end]}", end + 1
        if opens.search(whole):
            bad.append(Quarantined(line, "a quote opens and never closes", excerpt(text)))
            used.append(row)
            continue
        joined.append((line, whole))
        used += range(row, end)
        free_from = end
    return numbered.with_row_index("row").filter(~pl.col("row").is_in(pl.Series(used, dtype=pl.UInt32).implode())).drop("row"), joined


def _split_carefully(careful: list[tuple[int, str]], separator: str, names: list[str], bad: list[Quarantined]) -> pl.DataFrame:
    width = len(names)
    kept: list[int] = []
    rows: list[list[str]] = []
    for (line, text), row in zip(careful, _quoted_rows([text for _, text in careful], separator), strict=True):
        if isinstance(row, str):
            bad.append(Quarantined(line, row, excerpt(text)))
            continue
        while len(row) > width and not row[-1].strip():
            row.pop()
        if len(row) != width:
            bad.append(Quarantined(line, f"{len(row)} cells instead of {width}", excerpt(text)))
            continue
        kept.append(line)
        rows.append(row)
    columns = list(zip(*rows, strict=True)) if rows else [()] * width
    split = pl.DataFrame([pl.Series(f"cell {i}", column, dtype=pl.String).str.replace_all("\n", " ", literal=True) for i, column in enumerate(columns)])
    return _named(pl.Series(LINE, kept, dtype=pl.Int64), split, names)


def _quoted_rows(texts: list[str], separator: str) -> list[list[str] | str]:
    """Each text as its cells, or the reason why it has none; 600,000 quoted lines take half a second."""
    if not any("\n" in t for t in texts):
        try:
            rows = list(csv.reader(texts, delimiter=separator, strict=True))
        except csv.Error:
            rows = []
        if len(rows) == len(texts):  # no quote reached into the next line
            return [*rows]
    out: list[list[str] | str] = []
    for text in texts:
        try:
            out.append(next(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)) if '"' in text else text.split(separator))
        except (csv.Error, StopIteration) as wrong:
            out.append(f"the quotes do not fit: {wrong}")
    return out


def _refuse_if_mostly_bad(path: Path, good: int, bad: list[Quarantined], width: int, header: _Header) -> None:
    if not good and not bad:
        raise BadFile(
            "The file holds a header and nothing below it.",
            path=path,
            allowed="at least one line of data",
            next_step="Look whether the export was filtered empty.",
        )
    if len(bad) <= good:
        return
    reasons = Counter(q.reason for q in bad)
    most, count = reasons.most_common(1)[0]
    first = min(q for q in bad if q.reason == most)
    raise BadFile(
        f"{len(bad):,} of {good + len(bad):,} lines cannot be used; {count:,} of them for one reason: {most}. The first reads '{first.excerpt}'.",
        path=path,
        line=first.line,
        allowed=f"lines of {width} cells, as {'the header in line ' + str(header.line) if header.line else 'most lines'} has; at most half of them bad",
        next_step="Probably the separator is wrong, or numbers have a decimal comma in a file separated by commas: export with ';', "
        f"or correct `separator` in the map that `trunkline data map '{path}'` writes.",
    )
