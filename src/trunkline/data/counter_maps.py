"""Counter maps: which counter of a vendor is which measurement of the standard, keyed by object class and counter.

A map is one TOML file, ``data/vendors/<vendor>-<technology>.toml`` or a file like it in a folder of yours:

    format = 1
    vendor = "ericsson"                  # whose counters
    technology = "NR"                    # or "LTE"
    vendor_names = ["Ericsson"]          # how file headers begin that this map reads; [] reads any vendor's
    [attestations]                       # where names were seen
    oran-ranpm = "O-RAN SC sample file …"
    [aliases]                            # a class with the counters of another
    EUtranCellTDD = "EUtranCellFDD"
    [counters.NRCellCU]                  # one table per object class, one row per counter
    pmRrcConnEstabAtt = { name = "RRC.ConnEstabAtt", unit = "count", attested = "oran-ranpm" }

A row gives the measurement (``name``), the counter's own ``unit``, and the ``scale`` from it to the measurement's unit.
Rows without ``attested`` are assumed. Further keys: ``dimension`` (which part of the total it counts), ``samples`` (the
counter that says over how many samples this one sums), ``per_second`` (divide by the period), ``kind`` ("cc" counts
within the period, "gauge" is a reading, "si" a status inspection, as TS 32.401 has them), ``wrap`` (the size at which a
meter starts again), and ``form``, for values of many numbers: "pairs" (how many, then key and number each), "bins"
(one record per bin), "weighted" (their mean, with ``weights``), "mean". A counter with two meanings has a list of rows.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from trunkline.core.errors import BadFile, BadInput
from trunkline.data.measurements import measurements

FORMAT = 1
SHIPPED = Path(__file__).parent / "vendors"
_KINDS = ("cc", "gauge", "si")
_FORMS = ("number", "pairs", "bins", "weighted", "mean")
_UNITS = {  # in the base unit of their kind
    "bit": ("data", 1.0), "64 bit": ("data", 64.0), "byte": ("data", 8.0), "kbit": ("data", 1e3), "kB": ("data", 8e3),
    "Mbit": ("data", 1e6), "MB": ("data", 8e6), "Gbit": ("data", 1e9), "GB": ("data", 8e9),
    "ms": ("time", 1e-3), "s": ("time", 1.0), "min": ("time", 60.0),
    "Wh": ("energy", 1.0), "kWh": ("energy", 1e3),
    "kbit/s": ("rate", 1e3), "Mbit/s": ("rate", 1e6),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Counter:
    """One row of a map; see the module for the keys."""

    object_class: str
    counter: str
    name: str = ""
    unit: str = ""
    scale: float = 1.0
    kind: Literal["cc", "gauge", "si"] = "cc"
    form: Literal["number", "pairs", "bins", "weighted", "mean"] = "number"
    dimension: str = ""
    key: str = ""
    samples: str = ""
    weights: tuple[float, ...] = ()
    per_second: bool = False
    wrap: float | None = None
    attested: str = ""
    unit_attested: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class CounterMap:
    """One vendor's counters of one technology. ``rows`` is keyed by object class and counter."""

    name: str
    vendor: str
    technology: str
    vendor_names: tuple[str, ...]
    rows: Mapping[tuple[str, str], tuple[Counter, ...]]
    aliases: Mapping[str, str] = field(default_factory=dict)
    any_class: bool = False
    path: str = ""

    def reads(self, vendor: str) -> bool:
        """Whether this map is made for files whose header names *vendor*."""
        return any(vendor.casefold().startswith(name.casefold()) for name in self.vendor_names)

    def find(self, object_class: str, counter: str) -> tuple[Counter, ...]:
        """The rows of a counter in a class; empty where the map does not know it."""
        return self.rows.get((self.aliases.get(object_class, object_class), counter), ())

    def find_anywhere(self, counter: str) -> tuple[Counter, ...]:
        """The rows of a counter whatever object carries it; only for maps whose names speak for themselves."""
        return next((rows for (_, name), rows in self.rows.items() if name == counter), ()) if self.any_class else ()

    @property
    def counters(self) -> tuple[Counter, ...]:
        """Every row, in the order of the file."""
        return tuple(row for rows in self.rows.values() for row in rows)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong in a map, and on which line."""

    line: int
    text: str


def load_maps(*folders: str | Path) -> dict[str, CounterMap]:
    """The maps that come with Trunkline and those in *folders*, by name (the file's name without ``.toml``).

    Raises
    ------
    BadFile
        A map with findings; see :func:`check_counter_map`.
    BadInput
        Two maps of one name; both files are named.

    >>> load_maps()["ericsson-nr"].find("NRCellCU", "pmRrcConnEstabAtt")[0].name
    'RRC.ConnEstabAtt'
    """
    maps: dict[str, CounterMap] = {}
    for folder in (SHIPPED, *map(Path, folders)):
        if not folder.is_dir():
            raise BadInput(f"There is no folder '{folder}' to load counter maps from.", allowed="a folder of .toml files, one for each vendor and technology")
        for path in sorted(folder.glob("*.toml")):
            if path.stem in maps:
                raise BadInput(f"Two counter maps are called '{path.stem}'.", where=f"{maps[path.stem].path} and {path}", next_step="Rename one of the files.")
            maps[path.stem] = load_map(path)
    return maps


def load_map(path: str | Path) -> CounterMap:
    """One map from its file; a BadFile shows its first finding."""
    found, findings = _read(Path(path))
    if findings or found is None:
        first = findings[0]
        raise BadFile(first.text, path=path, line=first.line, next_step=f"{len(findings)} findings in all: check_counter_map(path) lists them.")
    return found


def check_counter_map(path: str | Path) -> list[Finding]:
    """What is wrong with a counter map; empty where nothing is. Run it on a map of your own before you use it."""
    return _read(Path(path))[1]


def _read(path: Path) -> tuple[CounterMap | None, list[Finding]]:
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as bad:
        where = re.search(r"line (\d+)", str(bad))
        return None, [Finding(int(where[1]) if where else 1, f"The map cannot be read: {bad}.")]
    lines = _lines(text)
    findings = list(_header_findings(path, table))
    attestations = table.get("attestations", {})
    rows: dict[tuple[str, str], tuple[Counter, ...]] = {}
    for object_class, counters in table.get("counters", {}).items():
        for counter, given in counters.items():
            line = lines.get((object_class, counter), 1)
            read: list[Counter] = []
            for row in given if isinstance(given, list) else [given]:
                made, wrong = _row(object_class, counter, row, attestations)
                findings += [Finding(line, text) for text in wrong]
                read += [made] if made else []
            rows[object_class, counter] = tuple(read)
    findings += _clashes(rows, lines)
    if findings:
        return None, sorted(findings, key=lambda f: f.line)
    return (
        CounterMap(
            name=path.stem,
            vendor=table["vendor"],
            technology=table["technology"],
            vendor_names=tuple(table["vendor_names"]),
            rows=rows,
            aliases=dict(table.get("aliases", {})),
            any_class=bool(table.get("any_class", False)),
            path=str(path),
        ),
        [],
    )


def _header_findings(path: Path, table: Mapping[str, Any]) -> Iterator[Finding]:
    if table.get("format") != FORMAT:
        yield Finding(1, f"format = {table.get('format')!r} is not {FORMAT}.")
    for key, kind in (("vendor", str), ("technology", str), ("vendor_names", list), ("counters", dict)):
        if not isinstance(table.get(key), kind):
            yield Finding(1, f"'{key}' is missing or no {kind.__name__}.")
    if table.get("technology") not in {"NR", "LTE"}:
        yield Finding(1, f"technology {table.get('technology')!r} is neither 'NR' nor 'LTE'.")
    elif isinstance(table.get("vendor"), str) and path.stem != f"{table['vendor']}-{table['technology'].lower()}":
        yield Finding(1, f"The file should be called '{table['vendor']}-{table['technology'].lower()}.toml'.")
    for alias, meant in table.get("aliases", {}).items():
        if meant not in table.get("counters", {}):
            yield Finding(1, f"The alias '{alias}' leads to '{meant}', a class without counters.")
    known = {"format", "vendor", "technology", "vendor_names", "any_class", "attestations", "aliases", "counters"}
    yield from (Finding(1, f"'{key}' is no key of a counter map.{_closest(key, known)}") for key in table if key not in known)


def _row(object_class: str, counter: str, row: Any, attestations: Mapping[str, str]) -> tuple[Counter | None, list[str]]:
    known = {f.name for f in fields(Counter)} - {"object_class", "counter"}
    what = f"'{counter}' in '{object_class}'"
    if not isinstance(row, dict):
        return None, [f"{what} is no table of keys."]
    unknown = [f"{what} has the key '{key}', which means nothing.{_closest(key, known)}" for key in row if key not in known]
    if unknown:
        return None, unknown
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
    made = Counter(object_class, counter, **values)
    return made, [f"{what} {text}" for text in _row_findings(made, attestations)]


def _row_findings(row: Counter, attestations: Mapping[str, str]) -> Iterator[str]:
    measurement = measurements().get(row.name)
    if measurement is None:
        yield f"names the measurement '{row.name}', which measurements.toml does not have.{_closest(row.name, measurements())}"
    if not row.unit:
        yield "has no unit."
    if isinstance(row.scale, bool) or not isinstance(row.scale, int | float) or not math.isfinite(row.scale) or row.scale == 0:
        yield f"has the scale {row.scale!r}, which is no number other than 0."
    elif measurement is not None and row.unit in _UNITS and measurement.unit in _UNITS and not row.per_second:
        (kind, size), (wanted, base) = _UNITS[row.unit], _UNITS[measurement.unit]
        if kind != wanted:
            yield f"counts {row.unit}, but '{row.name}' is in {measurement.unit}."
        elif not math.isclose(abs(row.scale), size / base, rel_tol=1e-9):
            yield f"needs the scale {size / base:g} from {row.unit} to {measurement.unit}, not {row.scale:g}."
    if row.kind not in _KINDS:
        yield f"has the kind '{row.kind}'; allowed are {', '.join(_KINDS)}."
    if row.form not in _FORMS:
        yield f"has the form '{row.form}'; allowed are {', '.join(_FORMS)}."
    if (row.form == "pairs") != bool(row.key):
        yield "needs a key with the form 'pairs', and only then."
    if (row.form == "weighted") != bool(row.weights):
        yield "needs weights with the form 'weighted', and only then."
    if measurement is not None and (measurement.over_time == "increase") != (row.kind == "gauge" and row.wrap is not None):
        yield "needs kind = 'gauge' and a wrap where the measurement is a meter, and only there."
    for source in (row.attested, row.unit_attested):
        if source and source not in attestations:
            yield f"is attested by '{source}', which [attestations] does not explain."
    if row.dimension and not re.fullmatch(r"[\w-]+=[^,=]+(,[\w-]+=[^,=]+)*", row.dimension):
        yield f"has the dimension '{row.dimension}', which is not written key=value."


def _clashes(rows: Mapping[tuple[str, str], tuple[Counter, ...]], lines: Mapping[tuple[str, str], int]) -> Iterator[Finding]:
    """Two counters of a class that claim to be the same part of the same measurement."""
    seen: dict[tuple[str, str, str], str] = {}
    for (object_class, counter), read in rows.items():
        for row in read:
            claim = (object_class, row.name, row.dimension)
            if claim in seen:
                yield Finding(
                    lines.get((object_class, counter), 1), f"'{counter}' and '{seen[claim]}' in '{object_class}' are both '{row.name}' {row.dimension}."
                )
            seen[claim] = counter


def _lines(text: str) -> dict[tuple[str, str], int]:
    """On which line each counter stands."""
    found: dict[tuple[str, str], int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[counters\.\"?([^\"\]]+)\"?\]", line):
            section = header[1]
        elif key := re.match(r"""\s*["']?([^"'\s=]+)["']?\s*=""", line):
            found.setdefault((section, key[1]), number)
    return found


def _closest(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f" Closest: '{close[0]}'." if close else ""
