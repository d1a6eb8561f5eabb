"""Walk forward through time: learn from what was known, score what came next, again and again.

No score here has seen its own row or a later one. This is how a past is replayed honestly, how a
candidate is judged on held-out weeks, and what a live workflow does a day at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, is_dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.clock import duration
from trunkline.core.errors import BadInput, TooLittleData
from trunkline.core.values import Reason
from trunkline.models import Context, Fitted

LEAST_SLOTS = 48
"""Fewer slots of history than this and nothing is judged."""

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows ``[begin, end)`` in time, scored by one fit that knew only what came before."""

    begin: datetime
    end: datetime
    fitted: Fitted


@dataclass(frozen=True, slots=True)
class Scored:
    """Rows with their scores, and the fits that gave them.

    ``rows`` are all rows, sorted by (entity, at); ``scores`` has one value a row, NaN before
    ``judged_from`` and where the model could not judge.
    """

    rows: pl.DataFrame
    scores: npt.NDArray[np.float64]
    judged_from: datetime
    stretches: tuple[Stretch, ...]

    @property
    def frame(self) -> pl.DataFrame:
        """``entity``, ``at``, ``confidence`` of every judged row."""
        return self.rows.select("entity", "at").with_columns(confidence=pl.Series(self.scores)).filter(pl.col("at") >= self.judged_from)

    def explain(self, entity: str, at: datetime) -> tuple[Reason, ...]:
        """Why the row of *entity* at *at* scored as it did, by the fit that scored it."""
        return explained(self.fit_of(entity, at), self.rows, entity, at)

    def fit_of(self, entity: str, at: datetime) -> Fitted:  # noqa: ARG002 - where elements are judged apart, each has its own
        """The fit that scored the row of *entity* at *at*."""
        return next(s for s in self.stretches if s.begin <= at < s.end).fitted

    def pieces(self) -> Iterator[pl.DataFrame]:
        """All rows, in as many frames as they were judged in: here one."""
        yield self.rows


class Judged(Protocol):
    """What was scored, and by which fits; in memory (:class:`Scored`) or on the disk where there are very many elements."""

    @property
    def judged_from(self) -> datetime:
        """Since when."""
        ...

    @property
    def frame(self) -> pl.DataFrame:
        """``entity``, ``at``, ``confidence`` of every judged row."""
        ...

    def explain(self, entity: str, at: datetime) -> tuple[Reason, ...]:
        """Why the row of *entity* at *at* scored as it did, by the fit that scored it."""
        ...

    def fit_of(self, entity: str, at: datetime) -> Fitted:
        """The fit that scored the row of *entity* at *at*."""
        ...

    def pieces(self) -> Iterator[pl.DataFrame]:
        """All rows, in as many frames as they were judged in; together they are sorted by (entity, at)."""
        ...


def explained(fitted: Fitted, rows: pl.DataFrame, entity: str, at: datetime) -> tuple[Reason, ...]:
    """Why *fitted* scores the row of *entity* at *at* as it does."""
    context = rows.filter((pl.col("entity") == entity) & (pl.col("at") <= at) & (pl.col("at") >= at - fitted.lookback))
    return fitted.explain(context, context.height - 1)


def judged_from(rows: pl.DataFrame, *, every: timedelta, asked: datetime | None = None) -> datetime:
    """Where judging may begin: after a quarter of the span, at least two days, at most six weeks.

    Raises
    ------
    TooLittleData
        Fewer than 48 slots of history before it; says what was read.
    BadInput
        *asked* lies outside of what the data allow.
    """
    first, last = _bounds(rows)
    kpis = sum(kind.is_numeric() for kind in rows.schema.values())
    return judging_from(first, last, every=every, asked=asked, slots=rows["at"].n_unique(), of=f"{kpis} KPI{'s' * (kpis != 1)} of {rows['entity'].n_unique()}")


def judging_from(first: datetime, last: datetime, *, every: timedelta, asked: datetime | None, slots: int, of: str) -> datetime:
    """:func:`judged_from` by the first slot and the last alone; *of* says what was read."""
    span = last - first + every
    start = asked or first + max(min(span / 4, timedelta(weeks=6)), min(timedelta(days=2), span / 2), LEAST_SLOTS * every)
    if asked and slots >= 2 * LEAST_SLOTS and not first + LEAST_SLOTS * every <= asked < last:
        raise BadInput(
            f"Judging cannot begin at {asked:%Y-%m-%d %H:%M} UTC: the data reach from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}.",
            where="--from",
            allowed=f"a time from {first + LEAST_SLOTS * every:%Y-%m-%d %H:%M} on: what is usual has to be seen before anything is unusual",
        )
    if slots < 2 * LEAST_SLOTS or start >= last or (start - first) < LEAST_SLOTS * every:
        raise TooLittleData(
            f"{of} element(s) read, {slots} period{'s' * (slots != 1)}, too little to judge.",
            allowed=f"at least {2 * LEAST_SLOTS} periods: what is usual has to be seen before anything is unusual",
            next_step="Give more files of the same elements. Nothing is claimed about these.",
        )
    return start


def walk(
    model: Any,
    rows: pl.DataFrame,
    *,
    context: Context,
    start: datetime,
    labels: npt.NDArray[Any] | None = None,
    window: timedelta | None = None,
    emitted_after: timedelta = timedelta(minutes=10),
    seed: int = 0,
    progress: Progress | None = None,
) -> Scored:
    """Score *rows* from *start* on, refitting every ``model.refit`` on the *window* before (``model.window``, else ten weeks).

    A fit at time t uses rows emitted by t: slots that ended *emitted_after* earlier.
    """
    if getattr(model, "interval", None) is not None and is_dataclass(model):
        model = replace(model, interval=None)  # type: ignore[type-var] # a forecast's interval changes no score, and takes half of a fit
    refit = duration(getattr(model, "refit", "7d"))
    window = window or duration(getattr(model, "window", "10w"))
    first, last = _bounds(rows)
    scores = np.full(rows.height, np.nan)
    numbered = rows.with_row_index("_n")
    stretches = []
    for begin, end in _stretches(first, start, last + context.every, refit):
        known = numbered.filter((pl.col("at") + context.every + emitted_after <= begin) & (pl.col("at") >= begin - window))
        fitted = model.fit(known.drop("_n"), labels=None if labels is None else labels[known["_n"].to_numpy()], context=context, seed=seed)
        part = numbered.filter((pl.col("at") >= begin - fitted.lookback) & (pl.col("at") < end))
        mine = (part["at"] >= begin).to_numpy()
        scores[part["_n"].to_numpy()[mine]] = fitted.score(part.drop("_n"))[mine]
        stretches.append(Stretch(begin, end, fitted))
        if progress:
            progress((end - start) / (last + context.every - start))
    return Scored(rows, scores, start, tuple(stretches))


def _stretches(first: datetime, start: datetime, stop: datetime, step: timedelta) -> Iterator[tuple[datetime, datetime]]:
    """Stretches of *step*; shorter while the past is short, because a day more then teaches much."""
    while start < stop:
        length = min(step, max(timedelta(days=1), (start - first) / 2))
        yield start, min(start + length, stop)
        start += length


def _bounds(rows: pl.DataFrame) -> tuple[datetime, datetime]:
    if rows.is_empty():
        raise TooLittleData("No row was read, so there is nothing to judge.", next_step="Look at what was read: trunkline data check FILES")
    first, last = rows["at"].min(), rows["at"].max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    return first, last
