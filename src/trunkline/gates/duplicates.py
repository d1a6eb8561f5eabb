"""Are the same rows on both sides of the split, or many times within one side?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import polars as pl

from trunkline.gates.protocol import Array, Evidence, Finding, Part, Verdict, features
from trunkline.gates.resample import clusters, interval

BY_CHANCE = 0.05
"""A row counts as repeated only if fewer twins than this were expected from how common each of its values is."""

NEAR = 200
"""Near-identical: all numbers in the same of so many steps between the 1st and 99th percentile of their column."""


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Share of held-out rows that are also in the training part, and of rows repeated within the held-out part.

    Rows are the same when every feature is; near-identical when every number falls into the same of 200 steps of its
    column. Rows that are alike by chance (one column of whole numbers, a cell at night with zeros throughout) do not
    count: a twin has to be surprising, judged from how common each of its values is.

    Parameters
    ----------
    across
        Share of the held-out rows that may have an identical twin in training.
    inside
        Share of the held-out rows that may repeat an earlier one.
    near
        Share of the held-out rows that may have a near-identical twin in training.

    >>> Duplicates(across=0.005).across
    0.005
    """

    across: float = field(default=0.01, kw_only=True)
    inside: float = field(default=0.05, kw_only=True)
    near: float = field(default=0.1, kw_only=True)

    judges: ClassVar[Literal["rows"]] = "rows"

    def check(self, evidence: Evidence) -> Verdict:
        """Compare the rows with one another and with the training part."""
        rows, train = evidence.rows, evidence.train
        if rows.height == 0 or not features(rows):
            return Verdict(
                gate="Duplicates",
                result="cannot tell",
                bar=self.across,
                next_step="Hand in the held-out rows with their features.",
                why=f"There are no rows with features to compare, so the bar of {self.across:g} cannot be checked.",
            )
        inside = repeated(rows)
        across = twins(rows, train) if train is not None else np.zeros(rows.height, dtype=bool)
        near = twins(stepped(rows, rows), Part(stepped(train.rows, rows))) if train is not None else across
        value = float(across.mean()) if train is not None else float(inside.mean())
        shares = (
            ("across the split", float(across.mean()), self.across, "of the held-out rows are in the training part, every feature alike"),
            ("near-identical across the split", float(near.mean()), self.near, "of the held-out rows have a near-identical twin in the training part"),
            ("within the held-out part", float(inside.mean()), self.inside, "of the held-out rows repeat an earlier one"),
        )
        over = tuple(
            Finding(column="", kind=kind, figure=share, text=f"{share:.1%} {text}; {bar:.1%} are allowed") for kind, share, bar, text in shares if share > bar
        )
        cluster = clusters(evidence)
        hit = (across if train is not None else inside).astype(np.float64)
        around = interval(value, lambda w: float(np.sum(hit * w) / np.sum(w)), cluster, seed=evidence.seed)
        bar = self.across if train is not None else self.inside
        words = "; ".join(f"{share:.1%} {text}" for _, share, _, text in (shares if train is not None else shares[2:]))
        if over:
            return self._verdict(
                "fail",
                value,
                bar,
                around,
                rows.height,
                ". ".join(f.text for f in over) + f". (Bar {bar:g}, share {value:.3g}.)",
                "Drop the repeats, or split by what repeats.",
                over,
            )
        if train is None:
            return self._verdict(
                "cannot tell",
                value,
                bar,
                around,
                rows.height,
                f"{words} (share {value:.3g}, bar {bar:g}); the training part was not handed in, so twins across the split could not be looked for.",
                "Hand in train.",
                (),
            )
        return self._verdict("pass", value, bar, around, rows.height, f"{words} (share {value:.3g}, bar {bar:g}).", "", ())

    @staticmethod
    def _verdict(
        result: Literal["pass", "fail", "cannot tell"],
        value: float,
        bar: float,
        around: tuple[float, float] | None,
        n: int,
        why: str,
        next_step: str,
        findings: tuple[Finding, ...],
    ) -> Verdict:
        return Verdict(gate="Duplicates", result=result, value=value, bar=bar, interval=around, n=n, why=why, next_step=next_step, findings=findings)


def twins(rows: pl.DataFrame, other: Part) -> Array:
    """True for each of *rows* whose features all equal those of a row of *other*, where that is no coincidence."""
    shared = [c for c in features(rows) if c in other.rows.columns]
    if not shared or other.rows.height == 0:
        return np.zeros(rows.height, dtype=bool)
    own, theirs = _keys(rows, shared), _keys(other.rows, shared)
    return np.asarray(own.is_in(theirs.implode()).to_numpy()) & (expected_twins(rows, other.rows, shared) < BY_CHANCE)


def repeated(rows: pl.DataFrame) -> Array:
    """True for each row whose features all equal those of an earlier row, where that is no coincidence."""
    shared = list(features(rows))
    again = ~_keys(rows, shared).is_first_distinct().to_numpy()
    return np.asarray(again) & (expected_twins(rows, rows, shared) < BY_CHANCE)


def alike_elsewhere(part: Part) -> float:
    """Share of the rows of *part* that have an identical twin in another group of the same part: how alike such rows are by nature."""
    shared = list(features(part.rows))
    if part.rows.height == 0 or not shared:
        return 0.0
    groups = part.rows["entity"] if part.groups is None else pl.Series(part.groups.astype(str))
    frame = pl.DataFrame({"key": _keys(part.rows, shared), "group": groups, "odd": expected_twins(part.rows, part.rows, shared) < BY_CHANCE})
    return float(frame.select((pl.col("odd") & (pl.col("group").n_unique().over("key") > 1)).mean()).item())


def expected_twins(rows: pl.DataFrame, other: pl.DataFrame, columns: list[str]) -> Array:
    """How many twins each row would find in *other* were its columns independent: rows times the share of each of its values.

    Gaps count as certain: a row of gaps is like any other row of gaps.
    """
    log = np.full(rows.height, np.log(max(other.height, 1)))
    for column in columns:
        share = other.select(pl.col(column).alias("value")).group_by("value").len().with_columns(share=pl.col("len") / other.height)
        found = rows.select(pl.col(column).alias("value")).join(share, on="value", how="left", maintain_order="left")["share"]
        value = rows[column]
        known = value.is_not_null().to_numpy()
        log += np.where(known, np.log(found.fill_null(1.0).to_numpy()), 0.0)
    return np.asarray(np.exp(log))


def stepped(rows: pl.DataFrame, like: pl.DataFrame) -> pl.DataFrame:
    """*rows* with every number replaced by its step of 200 between the 1st and 99th percentile of *like*."""
    changes = []
    for column in features(rows):
        if column not in like.columns or not rows.schema[column].is_numeric():
            continue
        low, high = like[column].quantile(0.01), like[column].quantile(0.99)
        if low is not None and high is not None and np.isfinite(high - low) and high > low:
            changes.append(((pl.col(column) - low) / ((high - low) / NEAR)).round().cast(pl.Float64).alias(column))
    return rows.with_columns(changes)


def _keys(rows: pl.DataFrame, columns: list[str]) -> pl.Series:
    return rows.select(pl.struct(pl.col(c).cast(pl.Float64) if rows.schema[c].is_numeric() else pl.col(c).cast(pl.String) for c in columns).alias("key"))["key"]
