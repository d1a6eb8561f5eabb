"""What the KPIs are: sums of measurements over sums of measurements, with the words people use for them.

One TOML file per technology in ``data/kpi_sets``; a folder of yours may hold further ones. See ``kpi_sets/nr.toml`` for
the keys.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from trunkline.core.errors import BadFile, BadInput
from trunkline.data.measurements import measurements

SHIPPED = Path(__file__).parent / "kpi_sets"
PERIOD = "period"
"""The part that is no measurement: the seconds which the formula's first measurement covers."""

Group = Literal["accessibility", "retainability", "mobility", "integrity", "availability", "utilisation", "energy"]
_GROUPS = ("accessibility", "retainability", "mobility", "integrity", "availability", "utilisation", "energy")
_BETTER = ("higher", "lower", "none")
_ELEMENTS = ("sum", "mean", "max")


@dataclass(frozen=True, slots=True)
class Part:
    """A measurement and what it is multiplied with before it is added."""

    name: str
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Formula:
    """*parts* summed, over *over* summed where that is given; ``elements`` is how values without *over* add up over elements."""

    parts: tuple[Part, ...]
    over: tuple[Part, ...] = ()
    elements: Literal["sum", "mean", "max"] = "sum"

    @property
    def names(self) -> tuple[str, ...]:
        """The measurements it needs, each once."""
        return tuple(dict.fromkeys(part.name for part in (*self.parts, *self.over) if part.name != PERIOD))


@dataclass(frozen=True, slots=True)
class Kpi:
    """One KPI.

    Parameters
    ----------
    words, unit
        For people.
    better
        Which direction is good; "none" for volumes and attempts.
    formulas
        The first whose measurements an element has is the one reckoned with.
    scale
        What the quotient is multiplied with: 100 for percentages.
    least
        The denominator below which there is too little to judge.
    clause
        Where it is defined.
    """

    name: str
    words: str
    group: Group
    unit: str
    better: Literal["higher", "lower", "none"]
    formulas: tuple[Formula, ...]
    scale: float = 1.0
    least: float = 0.0
    clause: str = ""


@dataclass(frozen=True, slots=True)
class KpiSet:
    """The KPIs of one technology, by name."""

    name: str
    technology: Literal["NR", "LTE"]
    kpis: Mapping[str, Kpi] = field(default_factory=dict)
    path: str = ""


def load_sets(*folders: str | Path) -> dict[str, KpiSet]:
    """The KPI sets that come with Trunkline and those in *folders*, by file name.

    Raises
    ------
    BadFile
        A set that names unknown measurements or lacks a key; all findings are in the message.
    BadInput
        Two sets of one name, or two sets of one technology with a KPI of one name.

    >>> load_sets()["nr"].kpis["rrc_setup_success"].words
    'RRC set-up success'
    """
    sets: dict[str, KpiSet] = {}
    for folder in (SHIPPED, *map(Path, folders)):
        for path in sorted(folder.glob("*.toml")):
            new = load_set(path)
            for old in sets.values():
                twice = [] if old.technology != new.technology else sorted(set(old.kpis) & set(new.kpis))
                if old.name == new.name or twice:
                    what = f"KPI sets are called '{new.name}'" if old.name == new.name else f"KPIs are called '{twice[0]}' for {new.technology}"
                    raise BadInput(f"Two {what}.", where=f"{old.path} and {path}", next_step="Rename one of them.")
            sets[new.name] = new
    return sets


def load_set(path: str | Path) -> KpiSet:
    """One KPI set from its file."""
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as bad:
        raise BadFile(f"The KPI set cannot be read: {bad}.", path=path) from bad
    findings = list(_findings(table))
    if findings:
        raise BadFile(
            f"The KPI set has {len(findings)} findings: {' '.join(findings)}", path=path, next_step="Compare with the KPI sets that come with Trunkline."
        )
    kpis = {name: _kpi(name, row) for name, row in table["kpis"].items()}
    return KpiSet(path.stem, table["technology"], kpis, str(path))


def words(sets: Mapping[str, KpiSet] | None = None) -> dict[str, str]:
    """Every KPI's name with its words and unit, for reports and reasons.

    >>> words()["dl_volume"]
    'downlink volume [MB]'
    """
    return {kpi.name: f"{kpi.words} [{kpi.unit}]" for kpi_set in (sets or load_sets()).values() for kpi in kpi_set.kpis.values()}


def _kpi(name: str, row: Mapping[str, Any]) -> Kpi:
    return Kpi(
        name=name,
        words=row["words"],
        group=row["group"],
        unit=row["unit"],
        better=row["better"],
        formulas=(_formula(row), *(_formula(other) for other in row.get("else", ()))),
        scale=float(row.get("scale", 1)),
        least=float(row.get("least", 0)),
        clause=row["clause"],
    )


def _formula(row: Mapping[str, Any]) -> Formula:
    parts, over = (tuple(Part(p["name"], float(p.get("scale", 1))) for p in row.get(key, ())) for key in ("parts", "over"))
    known = measurements().get(parts[0].name)
    return Formula(parts, over, row.get("elements") or (known.over_elements if known else "sum"))


def _findings(table: Mapping[str, Any]) -> Iterator[str]:
    if table.get("format") != 1:
        yield f"format = {table.get('format')!r} is not 1."
    if table.get("technology") not in {"NR", "LTE"}:
        yield f"technology = {table.get('technology')!r} is neither 'NR' nor 'LTE'."
    if not isinstance(table.get("kpis"), dict):
        yield "there is no table [kpis]."
        return
    for name, row in table["kpis"].items():
        yield from (f"'{name}' has no {key}." for key in ("words", "group", "unit", "better", "parts", "clause") if not row.get(key))
        allowed = {"words", "group", "unit", "better", "parts", "over", "scale", "least", "else", "elements", "clause"}
        yield from (f"'{name}' has the key '{key}', which means nothing." for key in row if key not in allowed)
        for key, words_allowed in (("group", _GROUPS), ("better", _BETTER), ("elements", _ELEMENTS)):
            if key in row and row[key] not in words_allowed:
                yield f"'{name}' has {key} = '{row[key]}'; allowed are {', '.join(words_allowed)}."
        for formula in (row, *row.get("else", ())):
            named = [part.get("name", "") for key in ("parts", "over") for part in formula.get(key, ())]
            if not [n for n in named if n != PERIOD]:
                yield f"'{name}' has a formula without measurements."
            for missing in (n for n in named if n != PERIOD and n not in measurements()):
                close = get_close_matches(missing, measurements(), n=1)
                yield f"'{name}' needs '{missing}', which is no known measurement{f'; closest is {close[0]!r}' if close else ''}."
