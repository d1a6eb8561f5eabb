"""What an exported model asks of its caller: raw values, the hour of the local week, the name. Everything else lies in the graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.errors import BadInput
from trunkline.models.autoencoder import FittedAutoencoder
from trunkline.models.baseline import FittedBaseline
from trunkline.models.busy_weeks import local_days
from trunkline.models.crossing import FittedCrossing
from trunkline.models.forest import FittedForest
from trunkline.models.grid import lay
from trunkline.models.hour_of_week import FittedHourOfWeek
from trunkline.models.onnx_series import week_of
from trunkline.models.protocol import Fitted
from trunkline.models.rows import values
from trunkline.models.seasons import hours_of_week
from trunkline.models.trees import FittedTrees

Ints = npt.NDArray[np.int64]
WHAT = {
    "values": "the feature columns in their order, as the features give them: no scaling; NaN where there is no value, never infinite",
    "hour": "hours since Monday 00:00 local time, minutes as parts of an hour, in [0, 168); a public holiday counts as a Sunday; needed without a value, too",
    "entity": "the name of the element; one that was not learned has no score where the model learns each element",
    "day": "the local date of the row, in days since 1970-01-01",
}
_TYPES = {"values": "float64", "hour": "float64", "entity": "string", "day": "int64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """The inputs of an exported model.

    Parameters
    ----------
    columns
        Feature columns in the order of the last axis of ``values``.
    asks
        Names of the inputs: values, hour, entity, day.
    slots
        How many slots of length *every*, the newest last, one row of input holds; 0: the row alone, without that axis.
    zones, holidays
        Time zone of each entity whose hour is asked for, and the ISO dates of public holidays of each zone.
    """

    columns: tuple[str, ...]
    asks: tuple[str, ...]
    slots: int = 0
    every: timedelta = timedelta(hours=1)
    zones: Mapping[str, str] = field(default_factory=dict)
    holidays: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def shape(self, name: str) -> tuple[str | int, ...]:
        """The shape of an input; "rows" is as many as one likes."""
        window = (self.slots,) if self.slots else ()
        return {"values": ("rows", *window, len(self.columns)), "hour": ("rows", *window)}.get(name, ("rows",))

    def type(self, name: str) -> str:
        """The type of an input."""
        return _TYPES[name]

    def plain(self) -> list[dict[str, Any]]:
        """As a list of inputs for people and programs."""
        return [{"name": name, "type": self.type(name), "shape": list(self.shape(name)), "what": WHAT[name]} for name in self.asks]


def contract(fitted: Fitted) -> Contract:
    """What *fitted* asks for once it is exported.

    Raises
    ------
    BadInput
        There is no writer for such a model.
    """
    if isinstance(fitted, FittedTrees):
        return Contract(columns=fitted.columns, asks=("values",))
    if isinstance(fitted, FittedForest) and fitted.usual is None:
        return Contract(columns=fitted.columns, asks=("values", "entity"))
    if isinstance(fitted, FittedForest | FittedAutoencoder):
        assert fitted.usual is not None
        last = fitted.model.slots if isinstance(fitted, FittedAutoencoder) else max(1, *fitted.windows, 0)
        slots, usual = week_of(fitted.every) + last, fitted.usual
        return Contract(columns=fitted.columns, asks=("values", "hour", "entity"), slots=slots, every=fitted.every, zones=usual.zones, holidays=usual.holidays)
    if isinstance(fitted, FittedBaseline):
        known, slots = fitted.calendar, max(fitted.strangeness.windows)
        return Contract(columns=fitted.columns, asks=("values", "hour", "entity"), slots=slots, every=fitted.every, zones=known.zones, holidays=known.holidays)
    if isinstance(fitted, FittedHourOfWeek):
        known = fitted.calendar
        return Contract(columns=fitted.columns, asks=("values", "hour", "entity"), every=known.every, zones=known.zones, holidays=known.holidays)
    if isinstance(fitted, FittedCrossing):
        outlook = fitted.outlook
        return Contract(columns=fitted.columns, asks=("values", "entity", "day"), zones=dict(zip(outlook.entities, outlook.zones, strict=True)))
    raise BadInput(f"No writer of ONNX graphs is known for {type(fitted).__name__}.", allowed="models that trunkline.models.onnx_export.exports() says True of")


def inputs(asked: Contract, rows: pl.DataFrame, chosen: npt.ArrayLike | None = None) -> dict[str, npt.NDArray[Any]]:
    """The inputs of the *chosen* rows (numbers; all where left out), each with the past it asks for out of *rows*.

    >>> from datetime import UTC, datetime
    >>> at = [datetime(2026, 1, 5, h, tzinfo=UTC) for h in (0, 1, 3)]
    >>> rows = pl.DataFrame({"entity": "a", "at": at, "x": [1.0, 2.0, 4.0]})
    >>> given = inputs(Contract(columns=("x",), asks=("values", "hour", "entity"), slots=2), rows, [2])
    >>> given["values"].tolist(), given["hour"].tolist()
    ([[[nan], [4.0]]], [[2.0, 3.0]])
    """
    picked = np.arange(rows.height) if chosen is None else np.asarray(chosen, dtype=np.int64)
    near = rows[picked]
    given: dict[str, npt.NDArray[Any]] = {}
    if asked.slots:
        given["values"], given["hour"] = _windows(asked, rows, picked)
    else:
        given["values"] = values(near, asked.columns)
        if "hour" in asked.asks:
            given["hour"] = _hours(asked, near["entity"], near["at"].dt.timestamp("us").to_numpy()[:, None])[:, 0]
    if "entity" in asked.asks:
        given["entity"] = np.array(near["entity"].cast(pl.String).to_list(), dtype=object)
    if "day" in asked.asks:
        given["day"] = local_days(near, asked.zones).astype(np.int64)
    return given


def on_every_slot(rows: pl.DataFrame, every: timedelta) -> tuple[pl.DataFrame, Ints]:
    """*rows* with a row without values wherever an entity lacks one between its first and its last, and where the given ones lie now.

    Rows off the grid are left as they are, all of them.
    """
    numbered = rows.with_row_index("_n").with_columns(pl.col("entity").cast(pl.String))
    slots = numbered.group_by("entity", maintain_order=True).agg(pl.datetime_range(pl.col("at").min(), pl.col("at").max(), every)).explode("at")
    whole = slots.join(numbered, on=["entity", "at"], how="left", maintain_order="left")
    place = np.flatnonzero(whole["_n"].is_not_null().to_numpy())
    if len(place) != rows.height:
        return rows, np.arange(rows.height)
    return whole.drop("_n"), place


def _windows(asked: Contract, rows: pl.DataFrame, picked: Ints) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(N, slots, C) values and (N, slots) hours of the slots that end with each picked row."""
    grid = lay(rows, asked.columns, asked.every)
    place = grid.slot_of[picked][:, None] + np.arange(1 - asked.slots, 1)
    there = place >= 0
    found = grid.values[:, grid.entity_of[picked][:, None], np.maximum(place, 0)]
    step = asked.every // timedelta(microseconds=1)
    first = int(grid.at_us[0]) if len(grid.at_us) else 0
    window = np.where(there, found, np.nan).transpose(1, 2, 0)
    return np.ascontiguousarray(window), _hours(asked, rows["entity"][picked], first + step * place)


def _hours(asked: Contract, entity: pl.Series, at_us: Ints) -> npt.NDArray[np.float64]:
    """Hours of the local week (N, W) of each instant at the zone of each row's entity."""
    out = np.zeros(at_us.shape)
    names = np.array([asked.zones.get(name, "UTC") for name in entity.cast(pl.String).to_list()], dtype=np.str_)
    for zone in np.unique(names):
        here = names == zone
        instants, back = np.unique(at_us[here], return_inverse=True)
        out[here] = hours_of_week(instants, str(zone), asked.holidays.get(str(zone), ()))[back].reshape(out[here].shape)
    return out
