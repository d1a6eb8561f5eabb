"""When will a cell be full? The probability that its busy hour crosses a limit, and the date.

Each entity's rows become one value a week; a local linear trend follows level and growth; the weeks to come are
drawn many times, and the share of draws that cross the limit is the probability. Two weeks in a row beyond the
limit count as crossing, in the draws as in what is later held against them, so that neither a fair nor a storm does.
A pattern of the year is not learned: it would take years of the same cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.clock import duration
from trunkline.core.errors import BadInput, UnknownName
from trunkline.core.frames import TIME
from trunkline.core.values import Reason
from trunkline.models.busy_weeks import Daily, Side, beyond, days_of, in_a_row, share_of
from trunkline.models.linear_trend import MIDDLE, WEEK, LinearTrend, growing, plain_word, reaches, straight, told_by_time, with_unit
from trunkline.models.local_trend import LocalTrend
from trunkline.models.outlook import MOST_WEEKS, Outlook
from trunkline.models.portable import parameters
from trunkline.models.protocol import Context, Floats, Saved
from trunkline.models.rows import feature_columns, values

BETWEEN = (0.1, 0.5, 0.9)
"""The dates told: with four in five, the limit is crossed between the first and the last."""
_FURTHEST = 2
"""Dates are looked for within so many horizons."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """A local linear trend of the busy hour against a limit.

    Parameters
    ----------
    column
        The feature that fills up.
    limit, side
        What must not be crossed, and on which side of it trouble lies. Where no value ever exceeds 1 and the limit in
        ``unit`` "%" does, the values are shares and the limit is taken as one.
    horizon
        The time within which crossing is asked for; whole weeks.
    unit
        What stands behind numbers told to people.
    daily
        "busiest": rows are slots, and the worst one is its day. "usual": rows carry the busy hour already, as a
        feature made with ``busy_hour()`` does.
    in_a_row
        So many weeks in a row beyond the limit are a crossing.
    damping
        What a week leaves of the growth; 1 lets it go on for good, 0.98 halves it within 34 weeks. Where left out, each
        entity's own past weighs 1 against 0.96.
    least_weeks
        Weeks with values below which an entity is not judged.
    line_weeks
        Past of the straight line told beside.
    paths
        Draws; the probability is a multiple of one over their number.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> at = pl.datetime_range(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 9, 6, tzinfo=UTC), "1d", time_unit="us", eager=True)
    >>> busy = 40.0 + np.arange(len(at)) * 0.12 + np.random.default_rng(1).normal(0, 2, len(at))
    >>> rows = pl.DataFrame({"entity": "cell-1", "at": at, "prb": busy})
    >>> fitted = Crossing().fit(rows, context=Context(every=timedelta(days=1), words={"prb": "busy-hour PRB use"}))
    >>> bool(fitted.score(rows)[-1] > 0.9)
    True
    >>> print(fitted.explain(rows, len(rows) - 1)[0].text)  # doctest: +ELLIPSIS
    busy-hour PRB use 68.7 % and growing 3.61 points a month: 80 % is reached about 2026-12-... (between 2026-... and 2026-12-...), probability above 0.99 within 26 weeks; a straight line says 2026-12-09
    """

    column: str = "prb"
    limit: float = 80.0
    side: Side = "above"
    horizon: str = "26w"
    unit: str = "%"
    daily: Daily = "busiest"
    in_a_row: int = 2
    damping: float | None = None
    least_weeks: int = 6
    line_weeks: int = 26
    paths: int = 1000

    refit: ClassVar[str] = "7d"
    window: ClassVar[str] = "104w"

    def __post_init__(self) -> None:
        if self.side not in ("above", "below"):
            raise UnknownName("side", self.side, ("above", "below"), where="Crossing")
        if self.daily not in ("busiest", "usual"):
            raise UnknownName("daily", self.daily, ("busiest", "usual"), where="Crossing")
        if self.damping is not None and not 0.0 < self.damping <= 1.0:
            raise BadInput(f"damping={self.damping:g} is no share of the growth.", where="Crossing", allowed="more than 0, up to 1")
        if self.weeks < max(self.in_a_row, 1) or self.in_a_row < 1 or self.paths < 2 or self.least_weeks < 2:
            raise BadInput(
                f"A horizon of {self.horizon}, in_a_row={self.in_a_row}, paths={self.paths}, least_weeks={self.least_weeks} cannot be used.",
                where="Crossing",
                allowed="a horizon of at least in_a_row weeks, in_a_row from 1, paths and least_weeks from 2",
            )

    @property
    def weeks(self) -> int:
        """The horizon in weeks."""
        return round(duration(self.horizon) / WEEK)

    def fit(self, rows: pl.DataFrame, *, labels: npt.NDArray[Any] | None = None, context: Context, seed: int = 0) -> FittedCrossing:
        """Learn level and growth of each entity from *rows*, and draw what may come; labels are not needed.

        Raises
        ------
        BadInput
            There are no rows, or the column is missing or holds no numbers.
        """
        del labels
        (column,) = feature_columns(rows, (self.column,))
        if rows.height == 0:
            raise BadInput("There are no rows to fit on.", allowed="weeks of them for each entity")
        days = days_of(rows, column, every=context.every, zones=context.zones, daily=self.daily, side=self.side)
        share = share_of(days, self.limit, self.unit)
        limit = self.limit / 100.0 if share else self.limit
        weekly = days.weeks()
        trend = LocalTrend.fit(weekly, damping=self.damping, least_noise=(1e-4 * abs(limit)) ** 2)
        enough = np.isfinite(weekly).sum(axis=1) >= self.least_weeks
        crossed, passage = np.full((len(weekly), MOST_WEEKS + 1), np.nan), np.full((len(weekly), len(BETWEEN)), np.nan)
        for part, piece in trend.pieces():
            hits = self._hits(piece.paths(self._steps, paths=self.paths, seed=seed), limit)
            crossed[part] = windows(hits, self.weeks, self.in_a_row)
            passage[part] = dates(hits, self.in_a_row)
        crossed[~enough], passage[~enough] = np.nan, np.nan
        return FittedCrossing(
            model=self,
            word=plain_word(context.word(column), self.unit),
            share=share,
            seed=seed,
            trend=trend,
            line=straight(weekly, self.line_weeks),
            passage=passage,
            outlook=Outlook.of(days.entities, context, days.last, crossed),
        )

    def hindsight(self, rows: pl.DataFrame, *, context: Context) -> Floats:
        """What time itself said: one label per row.

        1.0 where the limit was crossed within the horizon after the row's day, 0.0 where not. NaN where the entity's
        data end before the horizon does, even if it crossed by then: keeping only the early crossings of the last
        months would make it look as if everything crossed.
        """
        return told_by_time(
            rows, self.column, self.limit, context=context, side=self.side, horizon=self.horizon, unit=self.unit, daily=self.daily, needed=self.in_a_row
        )

    def beside(self) -> dict[str, LinearTrend]:
        """The simple rule to stand beside it: a straight line through the last weeks."""
        line = LinearTrend(
            column=self.column, limit=self.limit, side=self.side, horizon=self.horizon, unit=self.unit, daily=self.daily, weeks=self.line_weeks, spread=True
        )
        return {"straight line": line}

    @classmethod
    def from_saved(cls, saved: Saved) -> FittedCrossing:
        """The fitted model *saved* holds."""
        m, a = saved.manifest, saved.arrays
        return FittedCrossing(
            model=cls(**m["parameters"]),
            word=m["word"],
            share=m["share"],
            seed=m["seed"],
            trend=LocalTrend.from_arrays(a),
            line=a["line"],
            passage=a["passage"],
            outlook=Outlook.from_arrays(a),
        )

    @property
    def _steps(self) -> int:
        return max(_FURTHEST * self.weeks, self.weeks + MOST_WEEKS)

    def _hits(self, paths: Floats, limit: float) -> npt.NDArray[np.bool_]:
        return in_a_row(beyond(paths, limit, self.side), self.in_a_row)


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedCrossing:
    """Level and growth of each entity at the last day seen, and the crossings drawn from there.

    ``passage`` (E, 3) is after how many weeks the limit is crossed with 10, 50 and 90 %; infinite where later than
    was looked. ``line`` (E, 3) is the straight line.
    """

    model: Crossing
    word: str
    share: bool
    seed: int
    trend: LocalTrend
    line: Floats
    passage: Floats
    outlook: Outlook

    @property
    def columns(self) -> tuple[str, ...]:
        """The one column it reads."""
        return (self.model.column,)

    @property
    def lookback(self) -> timedelta:
        """Nothing: all it says was drawn when it was fitted."""
        return timedelta(0)

    def score(self, rows: pl.DataFrame) -> Floats:
        """The probability of crossing within the horizon after each row's day, as known when the model was fitted.

        NaN for an entity never seen or seen for too few weeks, for a row without a value, and for one more than 13
        weeks after the fit.
        """
        return self.outlook.score(rows, self.model.column)

    def explain(self, rows: pl.DataFrame, index: int) -> tuple[Reason, ...]:
        """Where it stands, how fast it moves, when it is there, and what a straight line says."""
        if not -rows.height <= index < rows.height:
            raise BadInput(f"There is no row {index}.", allowed=f"0 to {rows.height - 1}")
        e = self.outlook.places.get(str(rows["entity"][index]), -1)
        if e < 0 or np.isnan(self.passage[e, 0]):
            why = "never seen when the model was fitted" if e < 0 else f"fewer than {self.model.least_weeks} weeks seen"
            return (Reason(column=self.model.column, text=f"{self.word} cannot be judged: {why}", weight=1.0),)
        probability = float(self.outlook.score(rows[index], self.model.column)[0])
        level, slope = self.trend.expected()[:, e]
        text = self._told(e, float(level) * self._size, float(slope) * self._size, probability)
        return (Reason(column=self.model.column, text=text, weight=1.0, value=float(level), usual=self.model.limit / self._size),)

    def forecast(self, entity: str, *, level: float = 0.8) -> pl.DataFrame:
        """The weeks after the last day seen: *at*, *value*, *low* and *high* (a share *level* lies between), *p_crossed*.

        ``p_crossed`` is the probability that the limit was crossed by the end of that week; it never falls, and after
        the horizon's weeks it is the score of a row of the last day seen.
        """
        if entity not in self.outlook.places:
            raise UnknownName("entity", entity, self.outlook.entities, where="the fitted model")
        e = self.outlook.places[entity]
        paths = self.trend.of(slice(e, e + 1)).paths(self.model._steps, paths=self.model.paths, seed=self.seed)  # noqa: SLF001 - its own model
        hits = self.model._hits(paths, self.model.limit / self._size)[:, 0]  # noqa: SLF001
        low, value, high = np.quantile(paths[:, 0], ((1 - level) / 2, 0.5, (1 + level) / 2), axis=0)
        p = np.maximum.accumulate(hits, axis=1).mean(axis=0)
        judged = not np.isnan(self.passage[e, 0])
        return pl.DataFrame(
            {
                "at": pl.Series([self.outlook.begins(e, week) for week in range(1, len(p) + 1)], dtype=TIME),
                **{name: one if judged else np.full(len(p), np.nan) for name, one in (("value", value), ("low", low), ("high", high), ("p_crossed", p))},
            }
        ).fill_nan(None)

    def band(self, rows: pl.DataFrame, column: str, *, level: float = 0.8) -> pl.DataFrame:
        """For a plot: the week's value of *column* forecast for each row, and within what a share *level* of weeks lie.

        Null for rows from before, which the level was learned from; no rows for another column.
        """
        if column != self.model.column:
            return pl.DataFrame(schema={"entity": pl.String, "at": TIME, "value": pl.Float64, "usual": pl.Float64, "low": pl.Float64, "high": pl.Float64})
        week = np.ceil(self.outlook.weeks_after(rows)).astype(np.int64)
        lines = np.full((3, rows.height), np.nan)
        for entity in rows["entity"].unique(maintain_order=True).to_list():
            if entity not in self.outlook.places:
                continue
            ahead = self.forecast(entity, level=level).select("value", "low", "high").cast(pl.Float64).to_numpy().T
            here = (rows["entity"] == entity).to_numpy() & (week >= 1) & (week <= ahead.shape[1])
            lines[:, here] = ahead[:, week[here] - 1]
        named = {name: pl.Series(line, nan_to_null=True) for name, line in zip(("usual", "low", "high"), lines, strict=True)}
        return rows.select("entity", "at", value=pl.Series(values(rows, (column,))[:, 0], nan_to_null=True)).with_columns(**named)

    def save(self) -> Saved:
        """Everything as JSON values and flat arrays."""
        manifest = {
            "model": "crossing",
            "parameters": parameters(self.model),
            "columns": list(self.columns),
            "word": self.word,
            "share": self.share,
            "seed": self.seed,
        }
        return Saved(manifest=manifest, arrays={"line": self.line, "passage": self.passage} | self.trend.arrays() | self.outlook.arrays())

    @property
    def _size(self) -> float:
        """Values times this are in the unit of the limit."""
        return 100.0 if self.share else 1.0

    def _told(self, e: int, level: float, slope: float, probability: float) -> str:
        model, unit = self.model, self.model.unit
        limit = with_unit(model.limit, unit)
        now = f"{self.word} {with_unit(level, unit)}"
        chance = "" if np.isnan(probability) else f", probability {said(probability)} within {model.weeks} weeks"
        share = f" (values are shares: {limit} is {model.limit / 100:g})" if self.share else ""
        if bool(beyond(np.array(level), model.limit, model.side)):
            return f"{now} is beyond {limit} already, {growing(slope, unit)}{chance}{share}"
        early, middle, late = (None if np.isinf(w) else self.outlook.day(w) for w in self.passage[e])
        furthest = self.outlook.day(model._steps)  # noqa: SLF001 - its own model
        if middle is not None:
            when = f"{limit} is reached about {middle} (between {early} and {late or f'later than {furthest}'})"
        elif early is not None:
            when = f"{limit} is hardly reached before {furthest} (at the earliest about {early})"
        else:
            when = f"{limit} is not in sight before {furthest}"
        return f"{now} and {growing(slope, unit)}: {when}{chance}; {self._line(e)}{share}"

    def _line(self, e: int) -> str:
        weeks = reaches(float(self.line[e, 0]) * self._size, float(self.line[e, 1]) * self._size, self.model.limit)
        return "a straight line never gets there" if weeks is None else f"a straight line says {self.outlook.day(weeks - MIDDLE)}"


def windows(hits: npt.NDArray[np.bool_], weeks: int, needed: int) -> Floats:
    """(E, 14): the share of the (paths, E, steps) draws that cross within *weeks* from each week after the fit on.

    A run of weeks beyond the limit counts where it lies within the window as a whole.
    """
    out = np.empty((hits.shape[1], MOST_WEEKS + 1))
    for after in range(MOST_WEEKS + 1):
        out[:, after] = hits[..., after + needed - 1 : after + weeks].any(axis=-1).mean(axis=0)
    return out


def dates(hits: npt.NDArray[np.bool_], needed: int) -> Floats:
    """(E, 3): after how many weeks 10, 50 and 90 % of the draws have begun their first crossing; infinite if none of these by the end.

    The first of the three is told as the beginning of its week, the middle as the middle, the last as the end.
    """
    crossing = hits.any(axis=-1)
    begins = np.where(crossing, hits.argmax(axis=-1) + 1 - (needed - 1), np.inf)  # the week, from 1, in which the run begins
    found = np.quantile(begins, BETWEEN, axis=0, method="inverted_cdf")
    return np.asarray((found + np.array([-1.0, -0.5, 0.0])[:, None]).T)


def said(probability: float) -> str:
    """A probability as people read it; never certainty.

    >>> said(0.734), said(1.0), said(0.0)
    ('0.73', 'above 0.99', 'below 0.01')
    """
    return "above 0.99" if probability > 0.99 else "below 0.01" if probability < 0.01 else f"{probability:.2f}"
