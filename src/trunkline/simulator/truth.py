"""What really happened in the simulated network, and how a list of findings compares with it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import polars as pl

from trunkline.core.errors import BadInput
from trunkline.core.frames import TIME
from trunkline.simulator.incidents import Incident
from trunkline.simulator.kinds import KINDS
from trunkline.simulator.logbook import Layout
from trunkline.simulator.network import Network

TRUTH: Layout = {
    "incident_id": pl.String,
    "kind": pl.String,
    "element": pl.String,  # what it struck: a cell, node or link
    "affected": pl.String,  # the cells under it, joined by spaces
    "start": TIME,
    "end": TIME,
    "is_fault": pl.Boolean,  # false: excused, reporting it is wrong
    "detectable": pl.String,  # KPIs that show it, joined by spaces
    "note": pl.String,
}
"""One row for each thing that happened; the file is ``truth.csv``."""

MATCHES: Layout = {
    "incident_id": pl.String,  # null: a finding that belongs to nothing
    "kind": pl.String,
    "element": pl.String,
    "start": TIME,
    "end": TIME,
    "outcome": pl.String,  # "found", "missed", "excused" (reported though excused), "quiet" (excused and not reported), "false"
    "found_at": TIME,
    "delay_s": pl.Float64,
    "findings": pl.Int64,
}
"""What :func:`match` returns."""


def truth(network: Network, incidents: Iterable[Incident]) -> pl.DataFrame:
    """*incidents* as the TRUTH frame, in order of time."""
    rows = []
    for i in incidents:
        kind = KINDS[i.kind]
        affected = " ".join(network.cells[c].element for c in network.below(i.element))
        rows.append((i.incident_id, i.kind, i.element, affected, i.start, i.end, kind.is_fault, kind.detectable, kind.note))
    return pl.DataFrame(rows, schema=dict(TRUTH), orient="row").sort("start", "element", "incident_id")


def match(findings: pl.DataFrame, truth: pl.DataFrame, tolerance: timedelta = timedelta(minutes=30)) -> pl.DataFrame:
    """Which incidents were found and when, which were missed, and which findings belong to nothing.

    A finding belongs to an incident when its element is the one struck or a cell under it, and its
    time lies between start and end, *tolerance* allowed after the end. It may belong to several;
    a fault is preferred over an excuse, so a fault during planned work is not held against anyone.

    Parameters
    ----------
    findings
        Columns ``element`` and ``at``: what was said to be wrong, and when.
    truth
        A TRUTH frame; rows whose kind starts with ``file_`` are left out, since no cell shows them.
    tolerance
        How long after its end an incident may still be reported.

    Returns
    -------
    pl.DataFrame
        MATCHES: one row for each incident, then one for each false finding (``incident_id`` null).

    >>> from datetime import UTC, datetime
    >>> night = datetime(2026, 11, 20, 1, tzinfo=UTC)
    >>> known = pl.DataFrame([("I1", "cell_outage", "A", "A", night, night.replace(hour=3), True, "", "")], schema=dict(TRUTH), orient="row")
    >>> said = pl.DataFrame({"element": ["A", "B"], "at": [night.replace(hour=2), night]}, schema_overrides={"at": TIME})
    >>> match(said, known).select("incident_id", "outcome", "delay_s").rows()
    [('I1', 'found', 3600.0), (None, 'false', None)]
    """
    missing = [c for c in ("element", "at") if c not in findings.columns]
    if missing:
        raise BadInput(f"The findings lack {' and '.join(missing)}.", allowed="columns element and at")
    known = truth.filter(~pl.col("kind").str.starts_with("file_"))
    said = findings.select("element", pl.col("at").cast(TIME)).with_row_index("finding")
    cells = known.select("incident_id", "start", "end", "is_fault", element=pl.concat_str("element", pl.lit(" "), "affected", ignore_nulls=True).str.split(" "))
    cells = cells.explode("element").filter(pl.col("element") != "").unique(maintain_order=True)
    hits = said.join(cells, on="element").filter(pl.col("at").is_between(pl.col("start"), pl.col("end") + tolerance))
    # A finding during a fault is credited to the fault alone, even where an excuse covers it too.
    hits = hits.filter(pl.col("is_fault") | ~pl.col("is_fault").any().over("finding"))
    found = hits.group_by("incident_id").agg(found_at=pl.col("at").min(), findings=pl.len().cast(pl.Int64))
    told = known.join(found, on="incident_id", how="left").with_columns(pl.col("findings").fill_null(0))
    was_found, is_fault = pl.col("findings") > 0, pl.col("is_fault")
    outcome = (
        pl.when(is_fault & was_found)
        .then(pl.lit("found"))
        .when(is_fault)
        .then(pl.lit("missed"))
        .when(was_found)
        .then(pl.lit("excused"))
        .otherwise(pl.lit("quiet"))
    )
    told = told.with_columns(outcome=outcome, delay_s=(pl.col("found_at") - pl.col("start")).dt.total_seconds().cast(pl.Float64)).select(list(MATCHES))
    false = said.join(hits, on="finding", how="anti").sort("at", "element")
    rows = [(None, None, f["element"], None, None, "false", f["at"], None, 1) for f in false.iter_rows(named=True)]
    return pl.concat([told.cast(pl.Schema(MATCHES)), pl.DataFrame(rows, schema=dict(MATCHES), orient="row")])
