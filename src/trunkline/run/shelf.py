"""What was worked out of each partition of elements, resting on the disk: rows, scores and the fits that gave them.

A replay of ten thousand elements keeps its findings in memory and nothing else; reasons, pictures and records ask for
the rows and the fit of one element, and get them from here. The folder goes when nobody asks any more.
"""

from __future__ import annotations

import weakref
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.values import Reason
from trunkline.models import Fitted
from trunkline.models.portable import load, pack, unpack
from trunkline.run.forward import Scored, Stretch, explained

Names = tuple[str, ...]
IN_HAND = 4
"""Fits, and partitions' rows, that stay in memory after they were asked for."""


class Scratch:
    """A folder of one's own that is gone when nothing refers to it any more."""

    def __init__(self) -> None:
        self.folder = Path(mkdtemp(prefix="trunkline-"))
        weakref.finalize(self, rmtree, self.folder, ignore_errors=True)


class Shelf:
    """A folder of partitions' rows, scores and fits. Each of *parts* are some elements, all of them sorted."""

    def __init__(self, parts: Sequence[Names]) -> None:
        self.parts = tuple(parts)
        self._first = [part[0] for part in self.parts]
        self._scratch = Scratch()
        self.folder = self._scratch.folder
        self.fit = lru_cache(IN_HAND)(self._fit)
        self.rows = lru_cache(IN_HAND)(self._rows)

    def part_of(self, entity: str) -> int:
        """Which partition *entity* is in."""
        return max(bisect_right(self._first, entity) - 1, 0)

    def put_rows(self, part: int, word: str, rows: pl.DataFrame) -> None:
        """Keep *rows* of a partition as *word*."""
        rows.write_parquet(self.folder / f"{word}-{part:05}.parquet", compression="lz4")

    def put_fits(self, part: int, word: str, scored: Scored) -> tuple[tuple[datetime, datetime], ...]:
        """Keep the fits of *scored* as *word*; the stretches they scored."""
        for number, stretch in enumerate(scored.stretches):
            (self.folder / f"{word}-{part:05}-{number:03}.npz").write_bytes(pack(stretch.fitted.save()))
        return tuple((one.begin, one.end) for one in scored.stretches)

    def has(self, part: int, word: str) -> bool:
        """Whether rows of a partition are kept as *word*."""
        return (self.folder / f"{word}-{part:05}.parquet").exists()

    def _rows(self, part: int, word: str) -> pl.DataFrame:
        return pl.read_parquet(self.folder / f"{word}-{part:05}.parquet")

    def _fit(self, part: int, word: str, number: int) -> Fitted:
        return load(unpack((self.folder / f"{word}-{part:05}-{number:03}.npz").read_bytes()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelved:
    """What was scored, a partition at a time: see :class:`trunkline.run.forward.Judged`."""

    shelf: Shelf
    word: str
    judged_from: datetime
    stretches: tuple[tuple[datetime, datetime], ...] = field(repr=False)

    @property
    def frame(self) -> pl.DataFrame:
        """``entity``, ``at``, ``confidence`` of every judged row."""
        kept = [self.shelf.rows(part, self.word) for part in range(len(self.shelf.parts)) if self.shelf.has(part, self.word)]
        return pl.concat(kept) if kept else pl.DataFrame(schema={"entity": pl.String, "at": pl.Datetime("us", "UTC"), "confidence": pl.Float64})

    def explain(self, entity: str, at: datetime) -> tuple[Reason, ...]:
        """Why the row of *entity* at *at* scored as it did, by the fit that scored it."""
        return explained(self.fit_of(entity, at), self.of(entity), entity, at)

    def fit_of(self, entity: str, at: datetime) -> Fitted:
        """The fit that scored the row of *entity* at *at*."""
        number = next(n for n, (begin, end) in enumerate(self.stretches) if begin <= at < end)
        return self.shelf.fit(self.shelf.part_of(entity), self.word, number)

    def of(self, entity: str) -> pl.DataFrame:
        """All rows of *entity*."""
        return self.shelf.rows(self.shelf.part_of(entity), "rows").filter(pl.col("entity") == entity)

    def pieces(self) -> Iterator[pl.DataFrame]:
        """All rows, a partition a frame."""
        return (self.shelf.rows(part, "rows") for part in range(len(self.shelf.parts)))

    def again(self, rows: pl.DataFrame, part: int) -> npt.NDArray[np.float64]:
        """The scores of *rows*, all rows of a partition, by its fits as they were saved."""
        loaded = (Stretch(begin, end, self.shelf.fit(part, self.word, n)) for n, (begin, end) in enumerate(self.stretches))
        return rescored(rows, loaded)


def rescored(rows: pl.DataFrame, stretches: Iterator[Stretch]) -> npt.NDArray[np.float64]:
    """The scores that the fits of *stretches* give their rows."""
    scores = np.full(rows.height, np.nan)
    numbered = rows.with_row_index("_n")
    for one in stretches:
        near = numbered.filter((pl.col("at") >= one.begin - one.fitted.lookback) & (pl.col("at") < one.end))
        mine = (near["at"] >= one.begin).to_numpy()
        scores[near["_n"].to_numpy()[mine]] = one.fitted.score(near.drop("_n"))[mine]
    return scores
