"""Rows as a grid of series: one line for each (entity, column), one place for each slot."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.clock import duration_text
from trunkline.core.errors import BadInput
from trunkline.models.protocol import Floats
from trunkline.models.rows import segments, times, values

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Values (C, E, T) of C columns and E entities in T slots, NaN where there is none.

    ``entity_of`` and ``slot_of`` say where each row lies; ``at_us`` (T,) when each slot starts.
    """

    entities: tuple[str, ...]
    values: Floats
    entity_of: Ints
    slot_of: Ints
    at_us: Ints

    def rows(self, grid: Floats) -> Floats:
        """The (…, E, T) *grid* as one value per row."""
        return grid[..., self.entity_of, self.slot_of]


def lay(rows: pl.DataFrame, columns: tuple[str, ...], every: timedelta) -> Grid:
    """Lay *rows* on a grid of slots of length *every*.

    Raises
    ------
    BadInput
        Two rows of one entity fall into one slot.
    """
    matrix = values(rows, columns)
    parts = segments(rows)
    at = times(rows)
    step = every // timedelta(microseconds=1)
    first = int(at.min()) if len(at) else 0
    slot_of = (at - first + step // 2) // step  # the nearest: days that begin at local midnight move by an hour twice a year
    entity_of = np.zeros(len(at), dtype=np.int64)
    for e, part in enumerate(parts):
        entity_of[part.start : part.stop] = e
        falling = np.flatnonzero(np.diff(slot_of[part.start : part.stop]) == 0)
        if falling.size:
            row = part.start + int(falling[0]) + 1
            raise BadInput(
                f"Two rows of entity '{part.entity}' fall into one slot of {duration_text(every)}.",
                where=f"at {rows['at'][row - 1]} and {rows['at'][row]}",
                allowed="one row for each entity and slot",
            )
    slots = int(slot_of.max()) + 1 if len(at) else 0
    grid = np.full((len(columns), len(parts), slots), np.nan)
    grid[:, entity_of, slot_of] = matrix.T
    return Grid(
        entities=tuple(p.entity for p in parts), values=grid, entity_of=entity_of, slot_of=slot_of, at_us=first + step * np.arange(slots, dtype=np.int64)
    )
