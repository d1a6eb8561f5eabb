"""Times that stand off the grid of their period, moved to the slot they belong to.

Three cases, told apart for each element by itself:

* *jitter*: the times stand a few seconds around the grid; each moves to its nearest slot;
* *a constant offset*: 14:27, 14:32, …; up to five minutes they move back to the start of their slot and
  stay known at their own end, more than that they move on to the next slot, so that no slot is known
  before its values are;
* *irregular*: 14:24, 14:38, 14:48: each is a sample of the slot it falls in.
"""

from __future__ import annotations

import math
from datetime import timedelta

import polars as pl

from trunkline.core.clock import duration_text

_WEEK = timedelta(days=7)
_MONDAY = 4 * 86_400_000_000  # 1970-01-05, the first Monday: weeks start there
_BACK = 300_000_000  # five minutes, half of the usual delay after which a row is emitted


def to_grid(rows: pl.DataFrame, every: timedelta) -> tuple[pl.DataFrame, list[str]]:
    """*rows* with ``slot`` on the grid of *every* (UTC, weeks from Monday) and ``known_at`` not before the data were.

    Steps longer than a week have no grid and stay as they are. The notes say how many times moved and how far.
    """
    step = every // timedelta(microseconds=1)
    if every > _WEEK or not rows.height:
        return rows, []
    origin = _MONDAY if every % _WEEK == timedelta(0) else 0
    since = pl.col("at").dt.timestamp("us") - origin
    rows = rows.with_columns(off=since.mod(step))
    moved = int((rows["off"] != 0).sum())
    if not moved:
        return rows.drop("off"), []
    near = min(step // 10, 60_000_000)
    angle = pl.col("off") * (2 * math.pi / step)
    phase = (pl.arctan2(angle.sin().mean(), angle.cos().mean()).mod(2 * math.pi) * (step / (2 * math.pi))).round().cast(pl.Int64).mod(step)
    rows = rows.with_columns(phase.over("element").alias("phase"))
    from_phase = (pl.col("off") - pl.col("phase") + step // 2).mod(step) - step // 2
    rows = rows.with_columns(steady=((from_phase.abs() <= near).mean() >= 0.9).over("element"), aside=from_phase)
    around_zero = (pl.col("phase") <= near) | (pl.col("phase") >= step - near)
    nearest = (since + step // 2).floordiv(step) * step
    base = since - pl.col("aside") - pl.col("phase")  # the slot before the constant offset
    shifted = base + pl.when(pl.col("phase") <= _BACK).then(0).otherwise(step)
    sampled = (since + near).floordiv(step) * step
    slot = (pl.when(pl.col("steady") & around_zero).then(nearest).when("steady").then(shifted).otherwise(sampled) + origin).cast(pl.Datetime("us", "UTC"))
    rows = rows.with_columns(slot=slot)
    slot_end = pl.col("slot") + every
    backwards = pl.col("steady") & ~around_zero & (pl.col("phase") <= _BACK)
    rows = rows.with_columns(
        known_at=pl.when(backwards).then(pl.max_horizontal("end", slot_end)).otherwise(slot_end),
        how_far=(pl.col("slot") - pl.col("at")).dt.total_microseconds().abs(),
    )
    farthest = timedelta(microseconds=int(rows["how_far"].max() or 0))  # type: ignore[arg-type]
    kind = "regular, with an offset or some jitter" if bool(rows["steady"].all()) else "irregular"
    note = f"{moved:,} of {rows.height:,} times stood off the grid of {duration_text(every)} ({kind}) and were moved to their slot, by at most {farthest}."
    return rows.drop("off", "phase", "steady", "aside", "how_far"), [note]
