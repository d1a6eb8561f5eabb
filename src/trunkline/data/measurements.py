"""The measurements Trunkline reckons with, by the names of TS 28.552 and TS 32.425: units, and how each adds up."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

OverTime = Literal["sum", "mean", "max", "last", "increase"]
OverElements = Literal["sum", "mean", "max"]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement: its standard name, its unit here, how it adds up over time and over elements.

    ``over_time`` "mean" weighs by the length of the periods; "increase" is a meter that keeps counting.
    ``over_dimensions`` says how slices or networks make the total where the source gives none; as over elements if "".
    """

    name: str
    unit: str
    over_time: OverTime = "sum"
    over_elements: OverElements = "sum"
    over_dimensions: Literal["", "sum", "mean", "max"] = ""
    clause: str = ""


@cache
def measurements() -> Mapping[str, Measurement]:
    """Every measurement by its name, as ``measurements.toml`` lists them.

    >>> measurements()["RRU.PrbUsedDl"].over_time
    'mean'
    """
    with (Path(__file__).parent / "measurements.toml").open("rb") as file:
        rows = tomllib.load(file)["measurements"]
    return {name: Measurement(name, **row) for name, row in rows.items()}
