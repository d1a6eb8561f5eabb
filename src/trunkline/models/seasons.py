"""The shared design of a week: where each slot lies in its local day and week, as Fourier terms.

Local wall-clock time is used, so that an hour keeps its meaning through a change to summer time; a public
holiday takes the place of a Sunday.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.clock import zone
from trunkline.models.protocol import Floats

Ints = npt.NDArray[np.int64]

WEEK_HOURS = 168


def hours_of_week(at_us: Ints, zone_name: str, holidays: Iterable[str] = ()) -> Floats:
    """Hours since Monday 00:00 local time of each instant, in [0, 168); a holiday counts as a Sunday.

    Parameters
    ----------
    at_us
        Instants as microseconds since 1970 UTC.
    holidays
        ISO dates of local public holidays.

    Examples
    --------
    >>> winter_and_summer = pl.Series([1767603600_000000, 1783328400_000000])  # Mondays, 10:00 and 11:00 in Rome
    >>> hours_of_week(winter_and_summer.to_numpy(), "Europe/Rome")
    array([10., 11.])
    """
    zone(zone_name)  # an unknown zone is refused in our words
    local = pl.Series(at_us).cast(pl.Datetime("us")).dt.replace_time_zone("UTC").dt.convert_time_zone(zone_name)
    weekday = local.dt.weekday().to_numpy().astype(np.int64) - 1
    days = set(holidays)
    if days:
        weekday = np.where(local.dt.date().cast(pl.String).is_in(list(days)).to_numpy(), 6, weekday)
    hour = local.dt.hour().to_numpy() + local.dt.minute().to_numpy() / 60.0 + local.dt.second().to_numpy() / 3600.0
    return weekday * 24.0 + hour


def design(hours: Floats, *, every: timedelta, daily: int, weekly: int) -> tuple[Floats, Ints]:
    """The Fourier terms of each slot and the rank of each term: 0 level, 1 day, 2 week.

    Harmonics that the grid cannot resolve are left out, and weekly ones that are daily ones too.

    >>> x, rank = design(np.arange(168.0), every=timedelta(hours=1), daily=2, weekly=7)
    >>> x.shape, rank.tolist()
    ((168, 17), [0, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2])
    """
    slot = every.total_seconds() / 3600.0
    days = [k for k in range(1, daily + 1) if k < 12.0 / slot]
    weeks = [k for k in range(1, weekly + 1) if k % 7 and k < WEEK_HOURS / 2 / slot]
    terms = [np.ones_like(hours)]
    for period, harmonics in ((24.0, days), (float(WEEK_HOURS), weeks)):
        for k in harmonics:
            angle = 2.0 * np.pi * k * hours / period
            terms += [np.cos(angle), np.sin(angle)]
    rank = [0] + [1] * (2 * len(days)) + [2] * (2 * len(weeks))
    return np.column_stack(terms), np.array(rank, dtype=np.int64)
