"""Rows that are said again: which version of each was known when.

A key's rows are its versions, ordered by ``known_at``. Sums over several keys change whenever one of them does, so a
sum has a version for every instant at which something about it became known.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl


def newest(rows: pl.DataFrame, key: Sequence[str], *, at_once: Sequence[str] = ()) -> pl.DataFrame:
    """*rows* with one version per key and instant; of two said at the same instant the one last by *at_once* stands."""
    ordered = rows.sort([*key, "known_at", *at_once], nulls_last=False)
    return _last_of(ordered, (*key, "known_at"))


def changes(rows: pl.DataFrame, key: Sequence[str], what: Sequence[str]) -> pl.DataFrame:
    """*rows* without versions that say again what the one before said; *rows* are sorted by key and time."""
    says_again = pl.all_horizontal(*(pl.col(k).eq_missing(pl.col(k).shift()) for k in (*key, *what)))
    return rows.filter(~says_again | (pl.int_range(pl.len()) == 0))


def _last_of(rows: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """The last of each run of equal keys."""
    goes_on = pl.all_horizontal(*(pl.col(k).eq_missing(pl.col(k).shift(-1)) for k in key))
    return rows.filter(~goes_on | (pl.int_range(pl.len()) == pl.len() - 1))


def known_by_slot_end(rows: pl.DataFrame, key: Sequence[str], over: pl.Expr) -> pl.DataFrame:
    """*rows*, sorted by key and time, with what became known before the instant *over* known at it: the last of it stands."""
    return _last_of(rows.with_columns(known_at=pl.max_horizontal("known_at", over)), (*key, "known_at"))


def as_known(rows: pl.DataFrame, *, key: Sequence[str], group: Sequence[str]) -> pl.DataFrame:
    """For each group and each instant ``as_of`` at which one of its keys changed: every key's newest version by then.

    *key* includes *group*; a key has one version per instant.
    """
    # Where all keys of a group changed at the same instants nothing has to be searched: the counters of a cell come in one file.
    others = [k for k in key if k not in group]
    how_many = (pl.col(others[0]) if len(others) == 1 else pl.struct(others)).n_unique() * pl.col("known_at").n_unique()
    lots = rows.with_columns(at_once=pl.len().over(group) == how_many.over(group))
    together = lots.filter("at_once").drop("at_once").with_columns(as_of=pl.col("known_at"))
    apart = lots.filter(~pl.col("at_once")).drop("at_once")
    if apart.is_empty():
        return together
    times = apart.select(*group, pl.col("known_at").alias("as_of")).unique()
    asked = apart.select(*key).unique().join(times, on=list(group)).sort("as_of")
    found = asked.join_asof(apart.sort("known_at"), left_on="as_of", right_on="known_at", by=list(key), strategy="backward", check_sortedness=False)
    return pl.concat([together, found.filter(pl.col("known_at").is_not_null()).select(together.columns)])
