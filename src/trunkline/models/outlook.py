"""How likely each entity crosses a limit within a horizon, for every week since the model was fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.clock import zone
from trunkline.models.busy_weeks import local_days
from trunkline.models.protocol import Context, Floats
from trunkline.models.rows import segments, values

MOST_WEEKS = 13
"""Weeks after its fit for which a model still judges; an older one has to be fitted again."""

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """``crossed`` (E, 14): the probability of crossing within the horizon that begins so many weeks after *last*.

    ``last`` is the last local day seen, in days since 1970; NaN where too little was seen to judge.
    """

    entities: tuple[str, ...]
    zones: tuple[str, ...]
    last: int
    crossed: Floats

    @classmethod
    def of(cls, entities: tuple[str, ...], context: Context, last: int, crossed: Floats) -> Self:
        """The outlook of *entities*, each in its own zone."""
        return cls(entities=entities, zones=tuple(context.zone_of(e) for e in entities), last=last, crossed=crossed)

    def score(self, rows: pl.DataFrame, column: str) -> Floats:
        """The probability at each row's own day, between the weeks in proportion.

        NaN for an entity never seen, a row without a value, and a row more than a quarter after the fit. A row from
        before the end of the fit is answered as of that end.
        """
        value = values(rows, (column,))[:, 0]
        out = np.full(rows.height, np.nan)
        place = self.places
        weeks = self.weeks_after(rows)
        for part in segments(rows):
            e = place.get(part.entity, -1)
            if e >= 0:
                span = slice(part.start, part.stop)
                out[span] = np.interp(weeks[span], np.arange(MOST_WEEKS + 1), self.crossed[e])
        return np.where(np.isnan(value) | (weeks > MOST_WEEKS), np.nan, out)

    @property
    def places(self) -> dict[str, int]:
        """Where each entity stands."""
        return {e: i for i, e in enumerate(self.entities)}

    def weeks_after(self, rows: pl.DataFrame) -> Floats:
        """How many weeks after the last day seen each row lies, 0 for earlier ones."""
        return np.maximum(local_days(rows, dict(zip(self.entities, self.zones, strict=True))) - self.last, 0) / 7.0

    def day(self, weeks: float) -> date:
        """The local date so many weeks after the last day seen."""
        return _EPOCH + timedelta(days=self.last + round(7 * weeks))

    def begins(self, entity: int, week: int) -> datetime:
        """When the *week*-th week after the last day seen begins at the entity's zone; 1 is the next."""
        first = _EPOCH + timedelta(days=self.last + 7 * (week - 1) + 1)
        return datetime(first.year, first.month, first.day, tzinfo=zone(self.zones[entity])).astimezone(UTC)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything as flat arrays."""
        texts = {"entities": np.array(self.entities, dtype=np.str_), "zones": np.array(self.zones, dtype=np.str_)}
        return texts | {"last": np.array([self.last], dtype=np.int64), "crossed": self.crossed}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """What :meth:`arrays` gave."""
        return cls(
            entities=tuple(str(e) for e in arrays["entities"]),
            zones=tuple(str(z) for z in arrays["zones"]),
            last=int(arrays["last"][0]),
            crossed=arrays["crossed"],
        )
