"""What was known of each entity at each instant: a point-in-time join of many frames, in which no wanted row is ever lost.

A row wanted for an entity at an instant gets, from every frame, the newest row of that entity which had happened
by then. Where a frame says when each of its rows became known, rows that were not known yet are passed over: a
restated or late value never reaches back into a past that could not have seen it.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trunkline.core.clock import duration
from trunkline.core.errors import BadInput, UnknownName
from trunkline.core.extras import is_fast
from trunkline.core.frames import TIME
from trunkline.features.calendar import MICROSECOND, Ints

BLOCK = 64
_NOBODY = np.zeros(0, np.int64)
_DENSE = 4  # a table of all numbers between the least and the largest entity, while it is no more than so many times their count
_MOST_ROWS = 2**32 - 2


class Timeline:
    """One frame of facts about entities over time, put in order once and asked many times.

    :func:`asof` makes one of every frame it is given; make it yourself where several calls ask the same frame.
    Of rows with the same entity, instant and ``known_at`` the last one counts.

    Parameters
    ----------
    frame
        A column of entities (text or whole numbers), a column of instants with a time zone, and values of any
        type. With a column *known_at* the frame is bitemporal. A frame already in the order (entity, at, known_at)
        is taken as it is, without a copy.

    Raises
    ------
    BadInput
        An entity or an instant is missing, or an instant has no time zone.

    >>> from datetime import UTC, datetime
    >>> noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    >>> len(Timeline(pl.DataFrame({"entity": ["B", "A"], "at": [noon, noon], "load": [0.7, 0.4]})))
    2
    """

    def __init__(self, frame: pl.DataFrame, *, entity: str = "entity", at: str = "at", known_at: str = "known_at") -> None:
        for column in (entity, at):
            if column not in frame.columns:
                raise UnknownName("column", column, frame.columns, where="a frame of facts")
        self.is_bitemporal = known_at in frame.columns
        times = [at, known_at] if self.is_bitemporal else [at]
        for column in (entity, *times):
            if missing := frame[column].null_count():
                raise BadInput(f"{missing} rows of a frame of facts have no '{column}'.", next_step="Drop them, or send them to quarantine.")
        if frame.height > _MOST_ROWS:
            raise BadInput(f"A frame of {frame.height:,} facts is too long for one timeline.", allowed=f"{_MOST_ROWS:,} rows", next_step="Split it by entity.")
        frame = frame.rechunk()
        entities, starts, order = _in_order(_keys(frame[entity]), *(_instants(frame[column], "a frame of facts") for column in times))
        if order is not None:
            frame = frame[order]
        self.entities = entities
        """Each entity once, as text or 64-bit number, in the order of the rows."""
        self._starts = starts
        self._at = _instants(frame[at], "")
        self._known = _instants(frame[known_at], "") if self.is_bitemporal else _NOBODY
        self._lowest = _lowest(self._known)
        self.values = frame.drop(entity, *times)
        """What the wanted rows get, in the order of the timeline."""

    def __len__(self) -> int:
        return len(self._at)

    def seen(self, entity: pl.Series, when: Ints, by: Ints, *, within: int | None = None) -> pl.DataFrame:
        """For each wanted entity and instant (microseconds UTC) the values it sees, nulls where it sees none.

        Parameters
        ----------
        by
            Until when a row must have been known.
        within
            The oldest a row may be, in microseconds.
        """
        if not len(self._at):
            return self.values.clear(len(entity))
        run = _run_of(entity, self.entities)
        if is_fast():
            from trunkline.features.asof_kernel import newest as search

            row = search(self._starts, self._at, self._known, self._lowest, run, when, by)
        else:
            row = newest(self._starts, self._at, self._known, self._lowest, run, when, by)
        nothing = row == len(self._at)
        row[nothing] = 0
        if within is not None:
            nothing |= self._at[row] < when - within
        found = self.values.select(pl.all().gather(pl.Series(row)))  # by numbers without a null: half the time of numbers with some
        return found.select(pl.when(pl.Series(~nothing)).then(pl.all())) if nothing.any() else found


def asof(
    wanted: pl.DataFrame,
    *facts: pl.DataFrame | Timeline,
    entity: str = "entity",
    at: str = "at",
    known_at: str = "known_at",
    within: str | timedelta | None = None,
) -> pl.DataFrame:
    """*wanted* with, for each row, the newest values of its entity in each of *facts*, as known at the row's instant.

    Parameters
    ----------
    wanted
        Columns *entity* and *at*, in any order; further columns stay. With a column *known_at* each row says
        itself until when things must have been known; without, that is its own *at*.
    facts
        Frames with the same columns *entity* and *at*, in any order; see :class:`Timeline`. A frame that has
        *known_at* is bitemporal: the newest instant counts of which a version was known by then, and of that
        instant the newest such version.
    within
        The oldest a value may be ("1d"); older ones count as none. No limit where left out.

    Returns
    -------
    polars.DataFrame
        As many rows as *wanted*, in its order, with all value columns. An entity nobody knows, an instant before
        the first fact, or a missing entity or instant has nulls; no row is dropped. A null in the newest fact is
        that fact's word and is not filled from an older one.

    Raises
    ------
    BadInput
        An instant has no time zone, entities are text here and numbers there, or two columns have one name.

    Examples
    --------
    The value of 10:00 is corrected at 13:00; at noon nobody could know:

    >>> from datetime import UTC, datetime
    >>> def hour(h: int) -> datetime:
    ...     return datetime(2026, 11, 20, h, tzinfo=UTC)
    >>> load = pl.DataFrame({"entity": ["A", "A", "A"], "at": [hour(9), hour(10), hour(10)], "known_at": [hour(9), hour(11), hour(13)], "load": [0.4, 0.7, 0.6]})
    >>> tilt = pl.DataFrame({"entity": ["A"], "at": [hour(1)], "tilt": [4]})
    >>> asof(pl.DataFrame({"entity": ["A", "A", "A", "new"], "at": [hour(10), hour(12), hour(14), hour(12)]}), load, tilt).select("load", "tilt").rows()
    [(0.4, 4), (0.7, 4), (0.6, 4), (None, None)]
    """
    for column in (entity, at):
        if column not in wanted.columns:
            raise UnknownName("column", column, wanted.columns, where="the frame of wanted rows")
    timelines = [one if isinstance(one, Timeline) else Timeline(one, entity=entity, at=at, known_at=known_at) for one in facts]
    _names_differ(wanted, timelines)
    oldest = None if within is None else duration(within) // MICROSECOND
    of, when = _keys(wanted[entity]), _instants(wanted[at].fill_null(_NEVER) if wanted[at].null_count() else wanted[at], "the frame of wanted rows")
    by = when
    lost = wanted[at].is_null()
    if known_at in wanted.columns:
        lost |= wanted[known_at].is_null()
        by = _instants(wanted[known_at].fill_null(_NEVER) if wanted[known_at].null_count() else wanted[known_at], "the frame of wanted rows")
    if lost.any():
        of = of.set(lost, None)
    together = [wanted]
    for timeline in timelines:
        if (timeline.entities.dtype == pl.String) != (of.dtype == pl.String) and wanted.height and len(timeline):
            raise BadInput(
                "Entities are text in one frame and numbers in another.",
                where=f"column '{entity}': {of.dtype} is wanted, {timeline.entities.dtype} is known",
                next_step=f'Cast one of them: frame.with_columns(pl.col("{entity}").cast(pl.String))',
            )
        together.append(timeline.seen(of, when, by, within=oldest))
    return pl.concat(together, how="horizontal")


_NEVER = pl.Series([0]).cast(TIME)[0]


def newest(starts: Ints, at: Ints, known: Ints, lowest: Ints, run: Ints, when: Ints, by: Ints) -> NDArray[np.uint32]:
    """The row each wanted one sees, ``len(at)`` where there is none: a binary search for all at once, then a walk back.

    Parameters
    ----------
    starts
        Where each entity's rows begin, and the end of the last; they rise by (at, known).
    known, lowest
        When each row became known and the least of each block of 64; both empty where that is not said.
    run
        Which entity each wanted row is of, -1 for none.
    """
    if not len(at):
        return np.zeros(len(run), np.uint32)
    first = np.where(run >= 0, starts[np.maximum(run, 0)], 0)
    low, high = first.copy(), np.where(run >= 0, starts[np.maximum(run, 0) + 1], 0)
    while (open_ := low < high).any():
        middle = (low + high) >> 1
        is_by_then = at[np.minimum(middle, len(at) - 1)] <= when
        low, high = np.where(open_ & is_by_then, middle + 1, low), np.where(open_ & ~is_by_then, middle, high)
    row = low - 1
    if len(known):
        while (later := np.flatnonzero((row >= first) & (known[np.maximum(row, 0)] > by))).size:
            here, limit = row[later], by[later]
            row[later] -= np.where(((here + 1) % BLOCK == 0) & (lowest[here // BLOCK] > limit), BLOCK, 1)
    return np.where((row >= first) & (run >= 0), row, len(at)).astype(np.uint32)


def _names_differ(wanted: pl.DataFrame, timelines: list[Timeline]) -> None:
    seen = set(wanted.columns)
    for number, timeline in enumerate(timelines, 1):
        for column in timeline.values.columns:
            if column in seen:
                raise BadInput(f"Two columns are called '{column}'.", where=f"frame {number} of the facts", next_step="Rename one of them.")
            seen.add(column)


def _keys(entities: pl.Series) -> pl.Series:
    """Entities as text or as 64-bit numbers."""
    kind = entities.dtype
    if kind.is_integer() and kind != pl.UInt64:
        return entities.cast(pl.Int64)
    if kind in (pl.String, pl.Categorical, pl.Enum):
        return entities.cast(pl.String)
    if kind == pl.Null:
        return entities.cast(pl.String)
    raise BadInput(f"Entities of type {kind} cannot be told apart.", where=f"column '{entities.name}'", allowed="text or whole numbers")


def _instants(times: pl.Series, where: str) -> Ints:
    if not isinstance(times.dtype, pl.Datetime) or times.dtype.time_zone is None:
        raise BadInput(
            f"Column '{times.name}' is {times.dtype}, which is no instant.",
            where=where,
            allowed="times with a time zone",
            next_step=f'Say which zone is meant: pl.col("{times.name}").dt.replace_time_zone("Europe/Rome")',
        )
    return times.cast(TIME).cast(pl.Int64).to_numpy()


def _in_order(entities: pl.Series, at: Ints, known: Ints = _NOBODY) -> tuple[pl.Series, Ints, pl.Series | None]:
    """Each entity once, where its rows start, and the order that brings the rows there; None where they stand so."""
    starts = _starts(entities, at, known)
    order = None
    if not len(starts):
        columns = {"entity": entities, "at": at} | ({"known": known} if len(known) else {})
        keys = pl.DataFrame(columns).with_row_index("row").sort(*columns, maintain_order=True)
        order, entities = keys["row"], keys["entity"]
        starts = np.append(entities.rle().struct.field("len").cast(pl.Int64).cum_sum().shift(1, fill_value=0).to_numpy(), len(entities))
    return entities.gather(starts[:-1]), starts, order


def _starts(entities: pl.Series, at: Ints, known: Ints) -> Ints:
    """Where each entity starts if the rows are in order; empty where they are not."""
    if not len(entities):
        return np.zeros(1, np.int64)
    if entities.dtype != pl.String and is_fast():
        from trunkline.features.asof_kernel import runs

        return runs(entities.to_numpy(), at, known)
    lengths = entities.rle()
    names = lengths.struct.field("value")
    starts = np.append(0, lengths.struct.field("len").cast(pl.Int64).cum_sum().to_numpy())
    falls = (at[1:] < at[:-1]) | ((at[1:] == at[:-1]) & (known[1:] < known[:-1]) if len(known) else False)
    falls[starts[1:-1] - 1] = False
    return _NOBODY if falls.any() or not names.is_sorted() else starts


def _lowest(known: Ints) -> Ints:
    if not len(known):
        return _NOBODY
    return np.minimum.reduceat(known, np.arange(0, len(known), BLOCK))


def _run_of(wanted: pl.Series, entities: pl.Series) -> Ints:
    """Which of *entities* (rising) each wanted one is; -1 where it is none."""
    if wanted.dtype == pl.String or not len(entities):
        known = pl.DataFrame({"entity": entities, "run": np.arange(len(entities))}, schema_overrides={"entity": wanted.dtype})
        return pl.DataFrame({"entity": wanted}).join(known, on="entity", how="left", maintain_order="left")["run"].fill_null(-1).to_numpy()
    numbers = entities.to_numpy()
    given = wanted.fill_null(int(numbers[0])).to_numpy()
    least, most = int(numbers[0]), int(numbers[-1])
    if most - least < _DENSE * len(numbers) + 1024:
        table = np.full(most - least + 1, -1)
        table[numbers - least] = np.arange(len(numbers))
        run = np.where((given >= least) & (given <= most), table[np.clip(given, least, most) - least], -1)
    else:
        place = np.minimum(np.searchsorted(numbers, given), len(numbers) - 1)
        run = np.where(numbers[place] == given, place, -1)
    return np.where(wanted.is_null().to_numpy(), -1, run) if wanted.null_count() else run
