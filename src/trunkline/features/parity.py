"""Do the rows that went out live equal the history computed afterwards, as known at the same instants?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from trunkline.core.errors import BadInput
from trunkline.core.frames import Facts
from trunkline.features.definition import Features
from trunkline.features.history import history

TOLERANCE = 1e-9
"""Relative; the two evaluators agree to the last bit on one machine, other machines may round otherwise."""
_EXAMPLES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """One value that differs; None stands for null."""

    entity: str
    at: datetime
    known_at: datetime
    column: str
    live: float | bool | None
    history: float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityReport:
    """How far live rows and history agree.

    Parameters
    ----------
    pairs
        Number of (entity, slot) compared.
    values
        Number of values compared.
    mismatches
        Number of values that differ.
    repeated
        Number of rows that went out more than once.
    examples
        The first few that differ.
    """

    pairs: int
    values: int
    mismatches: int
    repeated: int
    examples: tuple[Mismatch, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether every row went out once and every value is the same."""
        return not self.mismatches and not self.repeated


def check(features: Features, facts: Facts, rows: pl.DataFrame, *, tolerance: float = TOLERANCE) -> ParityReport:
    """Compare live *rows* with history as known at each row's own ``known_at``.

    Parameters
    ----------
    features
        The definition; ``each_kpi()`` is bound to the KPIs found in the facts.
    facts
        All facts, with every version; among them those the stream was given.
    rows
        What ``advance`` returned, in any order.
    """
    features = features.bind(facts.kpis["kpi"].unique().drop_nulls()) if not features.is_bound else features
    if lacking := [name for name in ("entity", "at", "known_at", *features.columns) if name not in rows.columns]:
        raise BadInput(f"The live rows lack the columns {', '.join(lacking)}.", allowed="rows of the same definition")
    once = rows.unique(["entity", "at"], keep="first").sort("entity", "at", "known_at")
    then = history(features, facts, slots=once.select("entity", "at", "known_at"))
    count = 0
    examples: list[Mismatch] = []
    for name in features.columns:
        ours, theirs = (frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for frame in (once, then))
        with np.errstate(invalid="ignore"):
            same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs)) | (np.abs(ours - theirs) <= tolerance * np.maximum(np.abs(ours), np.abs(theirs)))
        differing = np.flatnonzero(~same)
        count += len(differing)
        for index in differing[: _EXAMPLES - len(examples)].tolist():
            entity, at, known = once.row(index)[:3]
            examples.append(Mismatch(entity=entity, at=at, known_at=known, column=name, live=once[name][index], history=then[name][index]))
    return ParityReport(pairs=len(once), values=len(once) * len(features.columns), mismatches=count, repeated=len(rows) - len(once), examples=tuple(examples))
