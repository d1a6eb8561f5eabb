"""Counters the other way round: from a standard's measurement to what a vendor would write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from trunkline.core.errors import BadInput, UnknownName
from trunkline.data.counter_maps import Counter, CounterMap

Written = dict[tuple[str, str], float | tuple[float, ...]]
"""What to write by object class and counter: one number, or many to be parted by commas."""

_SAMPLE_EVERY_S = 5  # how often a vendor that sums samples takes one
_KEY = 9.0  # the bearer class all of a total is written under: best effort


class Spelling(NamedTuple):
    """How a vendor writes a measurement: the vendor's number is the measurement's divided by *scale*."""

    object_class: str
    counter: str
    scale: float


def write_name(counter_map: CounterMap, name: str) -> Spelling:
    """The object class and counter that carry the measurement *name*, and the scale between the two.

    Raises
    ------
    UnknownName
        The map has no counter for it.

    >>> from trunkline.data.counter_maps import load_maps
    >>> write_name(load_maps()["huawei-lte"], "DRB.IPTimeDl")
    Spelling(object_class='EUtranCellFDD', counter='L.Thrp.Time.DL.RmvLastTTI', scale=1.0)
    """
    first = _rows(counter_map, name)[0]
    return Spelling(first.object_class, first.counter, float(first.scale))


def write_values(counter_map: CounterMap, values: Mapping[str, float], *, period_s: int) -> Written:
    """Every counter a vendor would write for one cell whose measurements are *values* in one period.

    Reading the result with the same map gives *values* back. Where a measurement is the sum of several counters,
    the first takes what the others have not already; counters of many numbers get the total under one key.

    Raises
    ------
    UnknownName
        The map has no counter for one of the measurements.
    BadInput
        The values contradict each other in this dialect: a counter would be negative.

    >>> from trunkline.data.counter_maps import load_maps
    >>> write_values(load_maps()["ericsson-lte"], {"RRC.ConnMean": 12.5, "HO.ExeAtt": 3}, period_s=900)  # doctest: +NORMALIZE_WHITESPACE
    {('EUtranCellFDD', 'pmRrcConnLevSum'): 2250.0, ('EUtranCellFDD', 'pmRrcConnLevSamp'): 180.0,
     ('EUtranCellFDD', 'pmCellHoExeAttLteIntraF'): 3.0, ('EUtranCellFDD', 'pmCellHoExeAttLteInterF'): 0.0}
    """
    written: Written = {}
    amounts: dict[tuple[str, str], float] = {}
    # Measurements of fewer counters first: they settle what the others have in common with them.
    for name in sorted(values, key=lambda n: len(_rows(counter_map, n))):
        rows = _rows(counter_map, name)
        rest = float(values[name]) - sum(_scale(r, period_s) * amounts[r.object_class, r.counter] for r in rows if (r.object_class, r.counter) in amounts)
        for row in [r for r in rows if (r.object_class, r.counter) not in amounts]:
            amount = rest / _scale(row, period_s)
            rest = 0.0
            if amount < 0:
                if amount < -1e-6 * abs(values[name] / row.scale):
                    raise BadInput(f"'{row.counter}' would be {amount:g}: '{name}' is more than the whole it is part of.", where=f"map '{counter_map.name}'")
                amount = 0.0
            amounts[row.object_class, row.counter] = amount
            written[row.object_class, row.counter] = _form(row, amount)
            if row.samples:
                written[row.object_class, row.samples] = float(_samples(period_s))
    return written


def _rows(counter_map: CounterMap, name: str) -> list[Counter]:
    """The rows to write a measurement with: the one that counts all of it, else all its parts; added parts before taken ones."""
    rows = [row for row in counter_map.counters if row.name == name]
    if not rows:
        raise UnknownName("measurement", name, sorted({r.name for r in counter_map.counters}), where=f"counter map '{counter_map.name}'")
    if any(row.form in {"bins", "weighted"} for row in rows):
        raise BadInput(f"'{name}' is a distribution in the map '{counter_map.name}': one number cannot be written for it.")
    rows = [row for row in rows if row.object_class == rows[0].object_class]
    whole = [row for row in rows if not row.dimension]
    return whole[:1] or sorted(rows, key=lambda row: row.scale < 0)


def _scale(row: Counter, period_s: int) -> float:
    if row.samples:
        return row.scale / _samples(period_s)
    return row.scale / period_s if row.per_second else row.scale


def _samples(period_s: int) -> int:
    return max(1, period_s // _SAMPLE_EVERY_S)


def _form(row: Counter, amount: float) -> float | tuple[float, ...]:
    if row.form == "pairs":
        return (1.0, _KEY, amount) if amount else 0.0
    return amount
