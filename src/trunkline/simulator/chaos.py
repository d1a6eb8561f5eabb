"""What a network does to data on their way, done on purpose to a copy of them: lost, doubled, late and out of order.

A pilot is run on curated files and the network sends others. Here a reader's own records are spoilt as a bad feed spoils
them, by a seed, and it is said what was done to which period, so that whoever looks at the result can tell what may differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from trunkline.core.errors import BadInput

PERIOD = ("element", "at", "period_s")
"""What arrives together, or not at all: everything about one element and one period comes in one message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chaos:
    """How badly a feed behaves.

    Parameters
    ----------
    loss
        Share of periods that never come.
    duplicates
        Share of periods that come twice, the second time after the first and no later than *late*.
    late
        The longest a period comes late; how late is drawn evenly.
    late_share
        Share of periods that come late.
    reorder
        Files are handed over in no order at all.
    seed
        The same seed does the same to the same periods.

    >>> Chaos(loss=1.5)
    Traceback (most recent call last):
    trunkline.core.errors.BadInput: 'loss' is 1.5.
      Where: chaos
      Allowed: a share from 0 to 1
    """

    loss: float = 0.1
    duplicates: float = 0.05
    late: timedelta = timedelta(hours=6)
    late_share: float = 0.2
    reorder: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("loss", "duplicates", "late_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadInput(f"'{name}' is {getattr(self, name)}.", where="chaos", allowed="a share from 0 to 1")
        if self.late < timedelta(0):
            raise BadInput(f"'late' is {self.late}.", where="chaos", allowed="a length of time such as '6h'")


def fates(periods: pl.DataFrame, chaos: Chaos) -> pl.DataFrame:
    """What happens to each of *periods*: ``lost``, ``late_s`` (0 where it comes in time), ``again_s`` (null where it comes once).

    The draw hangs on the seed and on which periods there are, not on their order.
    """
    each = periods.unique(maintain_order=False).sort(periods.columns)
    draw = np.random.default_rng([chaos.seed, 41])
    most = max(int(chaos.late.total_seconds()), 1)
    lost = draw.random(each.height) < chaos.loss
    late = np.where((draw.random(each.height) < chaos.late_share) & (chaos.late > timedelta(0)), draw.integers(1, most + 1, each.height), 0)
    twice = ~lost & (draw.random(each.height) < chaos.duplicates)
    again = 1 + np.floor(draw.random(each.height) * (most - late)).astype(np.int64)
    told = each.with_columns(lost=pl.Series(lost), late_s=pl.Series(np.where(lost, 0, late)), again_s=pl.Series(again))
    return told.with_columns(again_s=pl.when(pl.Series(twice)).then("again_s"))


def spoil(records: pl.DataFrame, fate: pl.DataFrame) -> pl.DataFrame:
    """*records* as they arrive: without the lost ones, known when they came, in the order in which they did.

    Parameters
    ----------
    records
        RECORDS, or any frame with the columns of :data:`PERIOD` (or those *fate* shares with it) and ``known_at``.
    fate
        What :func:`fates` said.
    """
    key = [name for name in fate.columns if name not in {"lost", "late_s", "again_s"}]
    found = records.join(fate, on=key, how="left", maintain_order="left").filter(~pl.col("lost"))
    late, again = (pl.duration(seconds=pl.col(name)) for name in ("late_s", "again_s"))
    first = found.with_columns(known_at=pl.col("known_at") + late)
    second = found.filter(pl.col("again_s").is_not_null()).with_columns(known_at=pl.col("known_at") + late + again)
    return pl.concat([first, second]).sort("known_at", maintain_order=True).select(records.columns)


def order(count: int, chaos: Chaos) -> list[int]:
    """In which order *count* files are handed over: as they came, or in none."""
    return np.random.default_rng([chaos.seed, 43]).permutation(count).tolist() if chaos.reorder else list(range(count))
