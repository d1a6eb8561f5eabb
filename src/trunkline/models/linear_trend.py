"""The dummy of a capacity forecast: a straight line through the last weeks, as a spreadsheet draws it."""

from __future__ import annotations

from dataclasses import dataclass
from math import erf, sqrt
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.clock import duration
from trunkline.core.values import Reason
from trunkline.models.busy_weeks import Daily, Side, came_true, days_of, local_days, share_of
from trunkline.models.outlook import MOST_WEEKS, Outlook
from trunkline.models.portable import parameters
from trunkline.models.protocol import Context, Floats, Saved
from trunkline.models.reasons import number
from trunkline.models.rows import feature_columns, segments

WEEK = duration("1w")
MIDDLE = 3 / 7
"""A week stands for its middle day, so many weeks before its end."""


@dataclass(frozen=True, slots=True)
class LinearTrend:
    """A least-squares line through the last weeks, and when it reaches a limit.

    Parameters
    ----------
    column, limit, side, horizon, unit, daily
        As of :class:`~trunkline.models.crossing.Crossing`.
    weeks
        The past the line is drawn through.
    spread
        Give the chance that a value scattered around the line as the past was is beyond the limit by the end of the
        horizon. Without, the answer is yes or no.

    Examples
    --------
    >>> from datetime import UTC, datetime, timedelta
    >>> at = pl.datetime_range(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 6, 28, tzinfo=UTC), "1d", time_unit="us", eager=True)
    >>> rows = pl.DataFrame({"entity": "cell-1", "at": at, "prb": 40.0 + np.arange(len(at)) * 0.1})
    >>> fitted = LinearTrend().fit(rows, context=Context(every=timedelta(days=1)))
    >>> fitted.explain(rows, len(rows) - 1)[0].text
    'prb 57.1 % and growing 3.04 points a month on a straight line: 80 % on 2027-02-09'
    """

    column: str = "prb"
    limit: float = 80.0
    side: Side = "above"
    horizon: str = "26w"
    unit: str = "%"
    daily: Daily = "busiest"
    weeks: int = 26
    spread: bool = False

    refit: ClassVar[str] = "7d"
    window: ClassVar[str] = "104w"

    def fit(self, rows: pl.DataFrame, *, labels: npt.NDArray[Any] | None = None, context: Context, seed: int = 0) -> FittedLinearTrend:
        """Draw the line of each entity; labels and seed are not needed."""
        del labels, seed
        (column,) = feature_columns(rows, (self.column,))
        days = days_of(rows, column, every=context.every, zones=context.zones, daily=self.daily, side=self.side)
        share = share_of(days, self.limit, self.unit)
        line = straight(days.weeks(), self.weeks)
        limit = self.limit / 100.0 if share else self.limit
        horizon = round(duration(self.horizon) / WEEK)
        begin, end = (line[:, 0, None] + line[:, 1, None] * (np.arange(MOST_WEEKS + 1) + step) for step in (1, horizon))
        furthest = np.maximum(begin, end) - limit if self.side == "above" else limit - np.minimum(begin, end)
        yes = (furthest > 0).astype(np.float64)
        if self.spread:
            away = np.divide(furthest, line[:, 2, None], out=np.where(furthest > 0, np.inf, -np.inf), where=line[:, 2, None] > 0)
            yes = 0.5 * (1.0 + np.vectorize(erf, otypes=[np.float64])(away / sqrt(2.0)))
        yes = np.where(np.isfinite(line[:, 0, None]), yes, np.nan)
        return FittedLinearTrend(
            parameters=parameters(self),
            word=plain_word(context.word(column), self.unit),
            share=share,
            line=line,
            outlook=Outlook.of(days.entities, context, days.last, yes),
        )

    def hindsight(self, rows: pl.DataFrame, *, context: Context) -> Floats:
        """What time itself said about each row; see :meth:`trunkline.models.crossing.Crossing.hindsight`."""
        return told_by_time(rows, self.column, self.limit, context=context, side=self.side, horizon=self.horizon, unit=self.unit, daily=self.daily, needed=2)

    @classmethod
    def from_saved(cls, saved: Saved) -> FittedLinearTrend:
        """The fitted dummy *saved* holds."""
        return FittedLinearTrend(
            parameters=saved.manifest["parameters"],
            word=saved.manifest["word"],
            share=saved.manifest["share"],
            line=saved.arrays["line"],
            outlook=Outlook.from_arrays(saved.arrays),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedLinearTrend:
    """Lines (E, 3): value at the last day seen, growth a week, scatter around it."""

    parameters: dict[str, Any]
    word: str
    share: bool
    line: Floats
    outlook: Outlook

    @property
    def columns(self) -> tuple[str, ...]:
        """The one column it reads."""
        return (str(self.parameters["column"]),)

    @property
    def lookback(self) -> Any:
        """Nothing: the line was drawn when it was fitted."""
        return 0 * WEEK

    def score(self, rows: pl.DataFrame) -> Floats:
        """Whether, or how likely, the line is beyond the limit within the horizon of each row."""
        return self.outlook.score(rows, self.columns[0])

    def explain(self, rows: pl.DataFrame, index: int) -> tuple[Reason, ...]:
        """The line and when it reaches the limit."""
        column, unit = self.columns[0], str(self.parameters["unit"])
        e = self.outlook.places.get(str(rows["entity"][index]), -1)
        if e < 0 or not np.isfinite(self.line[e, 0]):
            return (Reason(column=column, text=f"{self.word}: too few weeks for a line", weight=1.0),)
        size = 100.0 if self.share else 1.0
        limit = float(self.parameters["limit"])
        now, growth = float(self.line[e, 0]) * size, float(self.line[e, 1]) * size
        weeks = reaches(now, growth, limit)
        there = now > limit if self.parameters["side"] == "above" else now < limit
        when = "already beyond" if there else "never" if weeks is None else f"on {self.outlook.day(weeks - MIDDLE)}"
        text = f"{self.word} {with_unit(now, unit)} and {growing(growth, unit)} on a straight line: {with_unit(limit, unit)} {when}"
        return (Reason(column=column, text=text, weight=1.0, value=now / size, usual=limit / size),)

    def save(self) -> Saved:
        """Everything as JSON values and flat arrays."""
        manifest = {"model": "linear-trend", "parameters": self.parameters, "columns": list(self.columns), "word": self.word, "share": self.share}
        return Saved(manifest=manifest, arrays={"line": self.line} | self.outlook.arrays())


def straight(weekly: Floats, weeks: int) -> Floats:
    """(E, 3): the least-squares line through the last *weeks* of (E, W) values, at the last one; its growth; its scatter.

    NaN where fewer than three weeks are known.

    >>> straight(np.array([[1.0, 2.0, np.nan, 4.0]]), 26).round(9).tolist()
    [[4.0, 1.0, 0.0]]
    """
    y = weekly[:, -weeks:]
    known = np.isfinite(y)
    count = known.sum(axis=1)
    x = np.where(known, np.arange(1 - y.shape[1], 1), 0.0)
    filled = np.where(known, y, 0.0)
    least = np.maximum(count, 1)
    x_mean, y_mean = x.sum(axis=1) / least, filled.sum(axis=1) / least
    dx, dy = np.where(known, x - x_mean[:, None], 0.0), np.where(known, filled - y_mean[:, None], 0.0)
    growth = (dx * dy).sum(axis=1) / np.maximum((dx**2).sum(axis=1), 1e-300)
    scatter = np.sqrt(((dy - growth[:, None] * dx) ** 2).sum(axis=1) / np.maximum(count - 2, 1))
    return np.where((count >= 3)[:, None], np.stack([y_mean - growth * x_mean, growth, scatter], axis=1), np.nan)


def reaches(now: float, growth: float, limit: float, *, most: float = 520.0) -> float | None:
    """After how many weeks a line is at *limit*; None where it moves away or takes ten years.

    >>> reaches(60.0, 1.0, 80.0), reaches(60.0, -1.0, 80.0)
    (20.0, None)
    """
    weeks = (limit - now) / growth if growth else np.inf
    return float(weeks) if 0 <= weeks <= most else None


def growing(a_week: float, unit: str) -> str:
    """What a change per week is in a month.

    >>> growing(0.7, "%"), growing(-0.1, "Mbit/s"), growing(0.0, "%")
    ('growing 3.04 points a month', 'falling 0.435 Mbit/s a month', 'steady')
    """
    a_month = a_week * 365.25 / 12 / 7
    if abs(a_month) < (0.05 if unit == "%" else 1e-12):
        return "steady"
    of = "points a month" if unit == "%" else f"{unit} a month".strip()
    return f"{'growing' if a_month > 0 else 'falling'} {number(abs(a_month))} {of}"


def plain_word(word: str, unit: str) -> str:
    """What people call a column, without the unit that stands behind each number anyway.

    >>> plain_word("downlink PRB use [%] in own busy hour", "%")
    'downlink PRB use in own busy hour'
    """
    return word.replace(f" [{unit}]", "")


def with_unit(value: float, unit: str) -> str:
    """A value as people say it."""
    return f"{number(value)} {unit}".strip()


def told_by_time(rows: pl.DataFrame, column: str, limit: float, *, context: Context, side: Side, horizon: str, unit: str, daily: Daily, needed: int) -> Floats:
    """One label per row: was the limit crossed within the horizon after it? See :func:`~trunkline.models.busy_weeks.came_true`."""
    days = days_of(rows, column, every=context.every, zones=context.zones, daily=daily, side=side)
    in_data = limit / 100.0 if share_of(days, limit, unit) else limit
    told = came_true(days, in_data, side, weeks=round(duration(horizon) / WEEK), needed=needed)
    out, day = np.full(rows.height, np.nan), local_days(rows, context.zones) - days.first
    for e, part in enumerate(segments(rows)):
        own = day[part.start : part.stop]
        inside = (own >= 0) & (own < told.shape[1])
        out[part.start : part.stop][inside] = told[e, own[inside]]
    return out
