"""Outcomes as labels, each with the chance it had of being asked for."""

from __future__ import annotations

import polars as pl

from trunkline.core.errors import BadInput


def labelled(decisions: pl.DataFrame, outcomes: pl.DataFrame) -> pl.DataFrame:
    """Decisions with a verdict as labelled rows.

    Parameters
    ----------
    decisions
        Columns ``decision``, ``entity``, ``at``, ``propensity``: the chance, in (0, 1], with which
        this row was put before a person. Items above the level are shown with 1; rows shown for
        exploration with less. Without it a model learns only from what it already believed.
    outcomes
        Columns ``decision``, ``verdict``, ``at``; the last word per decision counts.

    Returns
    -------
    pl.DataFrame
        ``entity``, ``at``, ``label`` (1 confirmed, 0 wrong), ``weight`` = 1 / propensity. Unknown
        verdicts are left out: they are neither.

    >>> d = pl.DataFrame({"decision": ["a"], "entity": ["c1"], "at": [1], "propensity": [0.5]})
    >>> labelled(d, pl.DataFrame({"decision": ["a"], "verdict": ["wrong"], "at": [2]})).row(0)
    ('c1', 1, 0, 2.0)
    """
    if not decisions.filter((pl.col("propensity") <= 0) | (pl.col("propensity") > 1) | pl.col("propensity").is_null()).is_empty():
        raise BadInput("A propensity must lie in (0, 1].", where="labels", next_step="Record with every shown item the chance it had of being shown.")
    last = outcomes.sort("at").group_by("decision", maintain_order=True).last().filter(pl.col("verdict") != "unknown")
    return decisions.join(last.select("decision", "verdict"), on="decision", how="inner").select(
        "entity",
        "at",
        (pl.col("verdict") == "confirmed").cast(pl.Int8).alias("label"),
        (1.0 / pl.col("propensity")).alias("weight"),
    )
