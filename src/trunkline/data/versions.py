"""Rows that are said again: which version of each was known when.

A key's rows are its versions, ordered by ``known_at``. Sums over several keys change whenever one of them does, so a
sum has a version for every time at which something about it became known.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl


def newest(rows: pl.DataFrame, key: Sequence[str], *, at_once: Sequence[str] = ()) -> pl.DataFrame:
    """*rows* with one version per key and instant; of two said at the same instant the one last by *at_once* stands."""
    ordered = rows.sort([*key, "known_at", *at_once], nulls_last=False)
    return ordered.unique([*key, "known_at"], keep="last", maintain_order=True)


def changes(rows: pl.DataFrame, key: Sequence[str], what: Sequence[str]) -> pl.DataFrame:
    """*rows* without versions that say again what the one before said; sorted by key and time."""
    ordered = rows.sort([*key, "known_at"])
    same = pl.all_horizontal(*(pl.col(k).eq_missing(pl.col(k).shift()) for k in (*key, *what)))
    return ordered.filter(~same.fill_null(value=False) | (pl.int_range(pl.len()) == 0))


def as_known(rows: pl.DataFrame, *, key: Sequence[str], group: Sequence[str]) -> pl.DataFrame:
    """For each group and each instant ``as_of`` at which one of its keys changed: every key's newest version by then.

    *key* includes *group*.
    """
    times = rows.select(*group, pl.col("known_at").alias("as_of")).unique()
    asked = rows.select(*key).unique().join(times, on=list(group)).sort("as_of")
    known = rows.sort("known_at")
    return asked.join_asof(known, left_on="as_of", right_on="known_at", by=list(key), strategy="backward", check_sortedness=False).filter(
        pl.col("known_at").is_not_null()
    )


def without_early_gaps(rows: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """*rows* without "missing" versions before the first of another status.

    While a slot's parts are still coming in, "not yet" and "missing" look alike; only what stays missing is said.
    """
    first = pl.col("known_at").filter(pl.col("status") != "missing").min().over(list(key))
    return rows.filter((pl.col("status") != "missing") | first.is_null() | (pl.col("known_at") > first))
