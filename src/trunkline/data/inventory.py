"""The inventory from CSV: which elements there are, and who stands how to whom."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from zoneinfo import available_timezones

import polars as pl

from trunkline.core.errors import BadFile
from trunkline.core.frames import ELEMENTS, RELATIONS, empty
from trunkline.data import numbers, table
from trunkline.data.table import Quarantined, Table, excerpt
from trunkline.data.words import element_rank

ATTRIBUTES = {
    "kind": re.compile(r"^(element|object)?[ _-]?(kind|type|class)$", re.IGNORECASE),
    "zone": re.compile(r"time ?_?zone|^tz$|^zone$|zeitzone", re.IGNORECASE),
    "region": re.compile(r"region|province|state$|county|area|market|district", re.IGNORECASE),
    "technology": re.compile(r"techn|^rat$|^tech$|generation|^system$", re.IGNORECASE),
    "role": re.compile(r"^role$|layer|coverage|function", re.IGNORECASE),
    "vendor": re.compile(r"vendor|manufacturer|supplier|hersteller", re.IGNORECASE),
}
OTHER = re.compile(r"neighbou?r|^other|^target|^to([^a-z]|$)|^dest|^b[ _-]?end|^peer|parent|^second|^z[ _-]?end|adjacen|^child", re.IGNORECASE)
FIRST = re.compile(r"^source|^from([^a-z]|$)|^a[ _-]?end|^serving|^first|^element|^cell$|^child", re.IGNORECASE)
RELATION = re.compile(r"relation|^type$|^kind$|link[ _-]?type", re.IGNORECASE)

_KINDS = {5: "cell", 4: "link", 3: "", 2: "node", 1: "site"}  # by element_rank of the header
_TECHNOLOGY = (
    ("NR-NSA", re.compile(r"n\W?sa|en-?dc|non.?stand", re.IGNORECASE)),
    ("NR-SA", re.compile(r"(nr|5g).*sa|^sa$|stand.?alone", re.IGNORECASE)),
    ("LTE", re.compile(r"lte|4g|e-?utran?", re.IGNORECASE)),
    ("UMTS", re.compile(r"umts|3g|wcdma|hspa|^utran?$", re.IGNORECASE)),
    ("GSM", re.compile(r"gsm|2g|geran", re.IGNORECASE)),
)
_RELATIONS = (
    ("neighbours", re.compile(r"neigh|nbr|adjac|handover|peer", re.IGNORECASE)),
    ("parent", re.compile(r"parent|belongs|child", re.IGNORECASE)),
    ("sector", re.compile(r"sector", re.IGNORECASE)),
    ("transport", re.compile(r"transport|backhaul|link|router", re.IGNORECASE)),
    ("site", re.compile(r"site|station|standort", re.IGNORECASE)),
    ("node", re.compile(r"node|gnb|enb|bts", re.IGNORECASE)),
)


@dataclass(frozen=True, slots=True)
class ElementsFile:
    """ELEMENTS of one file with all its further columns, and what was set aside or changed."""

    elements: pl.DataFrame
    quarantine: tuple[Quarantined, ...] = field(kw_only=True)
    notes: tuple[str, ...] = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class RelationsFile:
    """RELATIONS of one file; ``unknown`` are names in it that the inventory does not hold, kept all the same."""

    relations: pl.DataFrame
    unknown: tuple[str, ...] = field(kw_only=True)
    quarantine: tuple[Quarantined, ...] = field(kw_only=True)
    notes: tuple[str, ...] = field(kw_only=True)


def read_elements(path: str | Path) -> ElementsFile:
    """The elements in *path*: one line each, the finest column of names (cell before site) being the element.

    An unknown time zone is left empty and noted with the closest name; the second line of an element
    is set aside. Further columns are kept as text.

    Raises
    ------
    BadFile
        No column names elements.
    """
    path = Path(path)
    found = table.load(path)
    text = _texts(found)
    ranked = sorted((c for c in text.columns if element_rank(c) and not _attribute(c)), key=lambda c: (-element_rank(c), -text[c].n_unique()))
    if not ranked:
        raise _nameless(found, "a column such as 'cell', 'element', 'node' or 'site'")
    own = next((c for c in ranked if c.lower() in ("element", "name", "element_name")), ranked[0])
    taken = {attribute: next((c for c in text.columns if c != own and pattern.search(c)), None) for attribute, pattern in ATTRIBUTES.items()}
    frame = text.select(pl.col(own).alias("element"), *(pl.col(c).alias(a) if c else pl.lit(None, dtype=pl.String).alias(a) for a, c in taken.items()))
    beside = [c for c in text.columns if c != own and c not in taken.values() and c not in ELEMENTS]
    names = _distinct(beside)
    further = list(names.values())
    frame = frame.with_columns(text.select(pl.col(c).alias(name) for c, name in names.items())).with_columns(found.lines)
    if taken["kind"] is None:
        frame = frame.with_columns(kind=pl.lit(_KINDS[element_rank(own)] or "element"))
    frame = frame.with_columns(kind=pl.col("kind").str.to_lowercase())
    frame, bad = _unique_elements(frame)
    frame, notes = _checked(frame)
    kept = frame.drop("line").select([*ELEMENTS, *further]).sort("element")
    return ElementsFile(kept, quarantine=tuple(sorted([*found.quarantine, *bad])), notes=(*found.notes, *notes))


def read_relations(path: str | Path, *, elements: Collection[str] | None = None) -> RelationsFile:
    """The relations in *path*: element, relation, other; or a pair of columns such as cell and neighbour.

    Names that are not among *elements* are kept and listed; an element that is its own neighbour is dropped and counted.
    A cell with several names (``A|B``) is several relations.

    Raises
    ------
    BadFile
        There are no two columns of elements.
    """
    found = table.load(Path(path))
    text = _texts(found)
    relation = next((c for c in text.columns if RELATION.search(c)), None)
    other = next((c for c in text.columns if c != relation and OTHER.search(c)), None)
    rest = [c for c in text.columns if c not in (relation, other)]
    first = next((c for c in rest if FIRST.search(c)), None) or max((c for c in rest if element_rank(c)), key=element_rank, default=None)
    if other is None and first is not None:
        other = next((c for c in rest if c != first and element_rank(c)), None)
    if first is None or other is None:
        raise _nameless(found, "two columns of elements, such as 'element' and 'other', or 'cell' and 'neighbour'")
    said = pl.col(relation) if relation else pl.lit(other)
    frame = text.select(pl.col(first).alias("element"), said.alias("relation"), pl.col(other).alias("other")).with_columns(found.lines)
    bad = [
        Quarantined(n, "one of the two elements is not named", f"{a or ''} | {b or ''}")
        for n, a, b in frame.filter(pl.col("element").is_null() | pl.col("other").is_null()).select("line", "element", "other").iter_rows()
    ]
    frame = frame.drop_nulls(["element", "other"])
    relations, notes = _tidy(frame)
    names = pl.concat([relations["element"], relations["other"]]).unique().sort().to_list()
    unknown = tuple(n for n in names if elements is not None and n not in set(elements))
    if unknown:
        shown = ", ".join(unknown[:5]) + (f" and {len(unknown) - 5:,} more" if len(unknown) > 5 else "")
        notes.append(f"{len(unknown):,} names are not in the inventory and kept all the same: {shown}.")
    return RelationsFile(relations, unknown=unknown, quarantine=tuple(sorted([*found.quarantine, *bad])), notes=(*found.notes, *notes))


def relations_of(elements: pl.DataFrame) -> pl.DataFrame:
    """The RELATIONS that further columns of an inventory tell: each element's sector, node, site and transport.

    >>> inventory = pl.DataFrame({"element": ["A1", "A2"], "site": ["A", "A"]})
    >>> relations_of(inventory).rows()
    [('A1', 'site', 'A'), ('A2', 'site', 'A')]
    """
    parts = [empty(RELATIONS)]
    for column in elements.columns:
        if column in ELEMENTS or column == "line":
            continue
        word = next((w for w, p in _RELATIONS if p.search(column)), None)
        if word is None or not (element_rank(column) or word in ("parent", "transport", "neighbours")):
            continue
        part = elements.select("element", relation=pl.lit(word), other=pl.col(column).cast(pl.String).str.split("|")).explode(
            "other", empty_as_null=True, keep_nulls=True
        )
        parts.append(part.with_columns(pl.col("other").str.strip_chars()).filter(pl.col("other").fill_null("") != ""))
    return pl.concat(parts).filter(pl.col("element") != pl.col("other")).unique(maintain_order=True).sort(list(RELATIONS))


def _texts(found: Table) -> pl.DataFrame:
    """All cells as text, what only says "no value" as null."""
    bare = found.cells.select(pl.all().cast(pl.String).str.strip_chars())
    return bare.select(pl.when(~pl.all().str.to_lowercase().is_in(sorted(numbers.NO_VALUE))).then(pl.all()))


def _distinct(columns: list[str]) -> dict[str, str]:
    """What each further column is called: tables may not have two names that differ by their case alone, nor one of ours."""
    taken = {*ELEMENTS, "line"}
    names: dict[str, str] = {}
    for column in columns:
        name, number = column, 2
        while name.lower() in taken:
            name, number = f"{column} ({number})", number + 1
        taken.add(name.lower())
        names[column] = name
    return names


def _attribute(column: str) -> bool:
    return any(p.search(column) for p in ATTRIBUTES.values())


def _nameless(found: Table, allowed: str) -> BadFile:
    return BadFile(
        f"The columns do not name elements: {', '.join(repr(c) for c in found.cells.columns[:12])}.",
        path=found.path,
        line=found.header_line or None,
        allowed=allowed,
        next_step="Name the columns so in the file's header.",
    )


def _unique_elements(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[Quarantined]]:
    nameless = frame.filter(pl.col("element").is_null())
    bad = [Quarantined(line, "no element is named", "") for line in nameless["line"]]
    frame = frame.drop_nulls("element")
    first = {e: line for line, e in reversed(frame.select("line", "element").rows())}
    again = frame.filter(~pl.col("element").is_first_distinct())
    told = frame.drop("line")
    same = told.is_duplicated()
    equal = set(frame.filter(same)["line"].to_list())
    for line, element in again.select("line", "element").iter_rows():
        how = "with the same cells" if line in equal else "with other cells; the first counts"
        bad.append(Quarantined(line, f"'{element}' stands in line {first[element]} already, {how}", excerpt(element)))
    return frame.filter(pl.col("element").is_first_distinct()), bad


def _checked(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    notes: list[str] = []
    known = available_timezones()
    wrong = frame.filter(pl.col("zone").is_not_null() & ~pl.col("zone").is_in(sorted(known)))
    for zone, part in wrong.group_by("zone", maintain_order=True):
        close = get_close_matches(str(zone[0]), sorted(known), n=1)
        meant = f"; did you mean '{close[0]}'?" if close else ""
        notes.append(f"There is no time zone '{zone[0]}' (line {part['line'][0]}, {part.height:,} elements); it is left empty{meant}")
    without = frame.height - frame["zone"].drop_nulls().len()
    if without == frame.height:
        notes.append("No element names its time zone; UTC is used.")
    return frame.with_columns(
        zone=pl.when(pl.col("zone").is_in(sorted(known))).then("zone"),
        technology=pl.col("technology").map_elements(_technology, return_dtype=pl.String),
        role=pl.col("role").str.to_lowercase(),
    ), notes


def _technology(said: str) -> str:
    return next((word for word, pattern in _TECHNOLOGY if pattern.search(said)), said)


def _tidy(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Standard words, lists taken apart, self-relations dropped, equal lines once."""
    notes: list[str] = []
    said = frame["relation"].fill_null("").unique().to_list()
    words = {s: next((w for w, p in _RELATIONS if p.search(s)), s.lower() or "neighbours") for s in said}
    frame = frame.with_columns(relation=pl.col("relation").fill_null("").replace_strict(words, return_dtype=pl.String))
    frame = (
        frame.with_columns(pl.col("other").str.split("|"))
        .explode("other", empty_as_null=True, keep_nulls=True)
        .with_columns(pl.col("other").str.strip_chars())
        .filter(pl.col("other").fill_null("") != "")
    )
    own = int((frame["element"] == frame["other"]).sum())
    if own:
        notes.append(
            f"{own:,} relations of an element to itself are dropped, the first in line {frame.filter(pl.col('element') == pl.col('other'))['line'][0]}."
        )
    frame = frame.filter(pl.col("element") != pl.col("other")).select(list(RELATIONS))
    once = frame.unique().sort(list(RELATIONS))
    if once.height < frame.height:
        notes.append(f"{frame.height - once.height:,} relations stood in the file twice and were counted once.")
    foreign = sorted(set(once["relation"].unique().to_list()) - {w for w, _ in _RELATIONS})
    if foreign:
        notes.append(f"Relations of other names are kept as they are: {', '.join(foreign[:5])}.")
    return once, notes
