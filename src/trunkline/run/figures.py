"""Pictures people read faster than numbers: a KPI against its usual band, with the finding shaded."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHARE = 0.9
"""Share of the past's values that the band is drawn to hold."""
INK, BAND, USUAL, FOUND = "#1f4e79", "#9fb8d1", "#6b7b8c", "#d1495b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One KPI of one element around a finding: ``at``, ``value``, ``usual``, ``low``, ``high``."""

    element: str
    words: str
    frame: pl.DataFrame
    begin: datetime
    end: datetime
    zone: str = "UTC"


def usual_band(rows: pl.DataFrame, column: str, fitted: Any = None) -> pl.DataFrame:
    """The band of *column* in *rows* (one entity): the model's own where it has one, else by hour of week."""
    if fitted is not None and hasattr(fitted, "band"):
        band = fitted.band(rows, column, level=SHARE)
        if not band.is_empty():
            return pl.DataFrame(band).select("at", "value", "usual", "low", "high")
    value = pl.col(column).cast(pl.Float64)
    hour = (pl.col("at").dt.weekday() * 24 + pl.col("at").dt.hour()).alias("_hour")
    by_hour = rows.group_by(hour).agg(usual=value.median(), low=value.quantile((1 - SHARE) / 2), high=value.quantile((1 + SHARE) / 2))
    return rows.with_columns(hour).join(by_hour, on="_hour").sort("at").select("at", value.alias("value"), "usual", "low", "high")


def short(value: float) -> str:
    """A number as an axis shows it.

    >>> short(2_500_000), short(75), short(0.05)
    ('2.5 M', '75', '0.05')
    """
    for size, sign in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * (10 if sign == "k" else 1):
            return f"{value / size:g} {sign}"
    return f"{value:.6g}"


def finding_png(bands: list[Band], *, title: str) -> bytes:
    """One panel per KPI, the finding shaded, times in the element's own zone; PNG bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height = 0.8 + 1.8 * len(bands)
    figure = Figure(figsize=(9.0, height), dpi=110)
    FigureCanvasAgg(figure)
    figure.subplots_adjust(left=0.09, right=0.985, top=1 - 0.3 / height, bottom=0.5 / height, hspace=0.12)  # four times cheaper than a solved layout
    axes = figure.subplots(len(bands), 1, squeeze=False, sharex=True)[:, 0]
    for axis, band in zip(axes, bands, strict=True):
        _panel(axis, band)
    axes[0].set_title(title, loc="left", fontsize=10)
    axes[-1].set_xlabel(f"local time, {bands[0].zone}", fontsize=8)
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


def _panel(axis: Axes, band: Band) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    local = band.frame["at"].dt.convert_time_zone(band.zone).dt.replace_time_zone(None)
    times = local.to_numpy()
    values = [band.frame[name].cast(pl.Float64).to_numpy() for name in ("value", "usual", "low", "high")]
    value, usual, low, high = (np.where(v is None, np.nan, v).astype(float) for v in values)
    axis.fill_between(times, low, high, color=BAND, alpha=0.45, linewidth=0, label=f"usual band ({SHARE:.0%})")
    axis.plot(times, usual, color=USUAL, linewidth=0.9, linestyle="--", label="usual")
    axis.plot(times, value, color=INK, linewidth=1.3, label=band.words)
    zone = pl.Series([band.begin, band.end + timedelta(0)]).dt.convert_time_zone(band.zone).dt.replace_time_zone(None).to_list()
    axis.axvspan(zone[0], zone[1], color=FOUND, alpha=0.18, linewidth=0, label="finding")
    axis.set_ylabel(band.words, fontsize=8)
    axis.margins(x=0)
    axis.grid(alpha=0.25)
    axis.tick_params(labelsize=8)
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axis.yaxis.set_major_formatter(lambda value, _place: short(value))
    axis.legend(fontsize=7, loc="upper left", ncols=4, frameon=False)
