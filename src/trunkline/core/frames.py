"""The column layouts that travel between the steps.

Inside, Trunkline moves Polars frames. Each layout is a mapping of column to type, checked where a
frame crosses from one package to another with :func:`check_frame`.

Two times everywhere: ``at`` (or ``start``) says when it happened in the network, ``known_at`` when
Trunkline could first have known it. A restatement is a second row of the same key with a later
``known_at``; nothing is overwritten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from trunkline.core.errors import BadInput

TIME = pl.Datetime("us", "UTC")

RECORDS: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "element": pl.String,  # cell, node, link: the name the inventory knows
    "object_class": pl.String,  # 3GPP managed object class (NRCellDU …); "series" for plain series
    "name": pl.String,  # measurement in standard words (RRC.ConnEstabAtt), else the vendor's or the column's own
    "dimension": pl.String,  # "" or the sub-counter: "snssai=01.0003e8", "plmn=226F04", "cause=…"
    "at": TIME,  # start of the measurement period
    "period_s": pl.Int32,  # its length in seconds
    "value": pl.Float64,  # null = the source said "no value"
    "suspect": pl.Boolean,  # the source itself doubts the value
    "known_at": TIME,
    "source": pl.String,  # id of the file or feed the row came from
}
"""One measured number: key is (element, object_class, name, dimension, at, period_s), versions by known_at."""

KPIS: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "element": pl.String,
    "kpi": pl.String,
    "at": TIME,  # start of the slot
    "value": pl.Float64,  # null unless status is "ok"
    "status": pl.String,  # "ok", "too_few", "suspect", "missing"
    "known_at": TIME,
}
"""One KPI of one element in one slot of the grid a workflow works on; versions by known_at."""

EVENTS: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "event_id": pl.String,
    "element": pl.String,
    "kind": pl.String,  # "alarm", "locked", "energy_saving", "planned_work", …
    "severity": pl.String,  # "critical", "major", "minor", "warning", "indeterminate"; null where it has none
    "text": pl.String,
    "start": TIME,
    "end": TIME,  # null = still open, as far as known
    "known_at": TIME,
    "source": pl.String,
}
"""Something that lasts: an alarm, a state, planned work. Raise and clear are two versions of one event_id."""

RELATIONS: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "element": pl.String,
    "relation": pl.String,  # "neighbours", "sector", "site", "node", "transport", "parent"
    "other": pl.String,
}
"""Who stands how to whom; "parent" rows lead upwards (cell -> node -> site -> transport)."""

ELEMENTS: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "element": pl.String,
    "kind": pl.String,  # "cell", "node", "site", "link"
    "zone": pl.String,  # IANA time zone
    "region": pl.String,
    "technology": pl.String,  # "LTE", "NR-SA", "NR-NSA"
    "role": pl.String,  # "coverage", "capacity"
    "vendor": pl.String,
}
"""The inventory a workflow needs to know; further columns are allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything features are computed from: KPIs, and what is known of the elements beside them.

    ``holidays`` maps a local date (ISO text) and country to nothing more than being one: a set of
    ISO dates per zone name, ``{"Europe/Rome": {"2026-12-25"}}``.
    """

    kpis: pl.DataFrame
    events: pl.DataFrame = field(default_factory=lambda: empty(EVENTS))
    relations: pl.DataFrame = field(default_factory=lambda: empty(RELATIONS))
    elements: pl.DataFrame = field(default_factory=lambda: empty(ELEMENTS))
    holidays: Mapping[str, frozenset[str]] = field(default_factory=dict)


def empty(layout: Mapping[str, pl.DataType | type[pl.DataType]]) -> pl.DataFrame:
    """A frame of this layout without rows."""
    return pl.DataFrame(schema=dict(layout))


def check_frame(frame: pl.DataFrame, layout: Mapping[str, pl.DataType | type[pl.DataType]], *, name: str) -> pl.DataFrame:
    """*frame* with the columns of *layout* first and in order; further columns follow.

    Raises
    ------
    BadInput
        A column is missing or of another type; all of them are named at once.
    """
    wrong = [
        f"{column}: {'missing' if column not in frame.columns else f'{frame.schema[column]}, not {kind}'}"
        for column, kind in layout.items()
        if column not in frame.columns or frame.schema[column] != kind
    ]
    if wrong:
        raise BadInput(f"The frame of {name} has wrong columns: {'; '.join(wrong)}.", allowed=", ".join(layout))
    rest = [c for c in frame.columns if c not in layout]
    return frame.select([*layout, *rest])
