"""How often would people be called for nothing?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import polars as pl

from trunkline.core.clock import duration
from trunkline.core.errors import BadInput
from trunkline.gates.ground import figure, within
from trunkline.gates.protocol import Array, Evidence, Verdict
from trunkline.gates.resample import FEWEST_CLUSTERS, clusters, interval
from trunkline.gates.worklist import alarms, raised


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseAlarmsPer:
    """Alarms outside every labelled event, per element and week or per shift, stay within the budget.

    An alarm is the first raised row of an entity; after it that entity is silent for *hold_off*. It is false if the
    row belongs to no event and none of the entity's events began or ended within *slack* of it. A candidate that raises
    nothing gets "cannot tell": silence shows nothing.

    Parameters
    ----------
    element_week
        False alarms allowed per entity and week.
    shift
        Instead: false alarms allowed per shift of *shift_length*, all entities together.
    threshold
        Score from which a row raises an alarm. None: what the workflow's own ``decide`` raised; if it was not asked,
        the score that an unremarkable row reaches as often as the budget allows (scores are 1 minus a tail probability).

    >>> FalseAlarmsPer(element_week=1.0).element_week
    1.0
    """

    element_week: float | None = None
    shift: float | None = None
    shift_length: str = "8h"
    threshold: float | None = None
    hold_off: str = "12h"
    slack: str = "0m"

    judges: ClassVar[Literal["scores"]] = "scores"

    def __post_init__(self) -> None:
        if (self.element_week is None) == (self.shift is None):
            raise BadInput(
                "Exactly one budget is needed.", where="FalseAlarmsPer", allowed="element_week=… or shift=…", next_step="FalseAlarmsPer(element_week=1)"
            )

    def check(self, evidence: Evidence) -> Verdict:
        """Count the alarms that no event explains."""
        bar = self.element_week if self.element_week is not None else self.shift
        used, on = (evidence, "labelled rows") if evidence.labels is not None else (evidence.injected, "injected faults")
        if used is None or used.labels is None:
            return self._cannot(
                bar, 0, "There are no labels and no injected faults to tell a false alarm from a right one", "Label some rows, or inject faults."
            )
        entity_slots = int((~np.isnan(used.scores)).sum())
        cluster = clusters(used)
        exposure_each = self._exposure(used)
        exposure = float(exposure_each.sum())
        if entity_slots == 0 or exposure <= 0 or int(cluster.max()) + 1 < FEWEST_CLUSTERS:
            return self._cannot(bar, entity_slots, f"{entity_slots} rows could be judged, in too few groups", "Hold out a longer time.")
        limit = self._limit(used)
        begun = alarms(used.rows, raised(used, threshold=limit), hold_off=duration(self.hold_off))
        if len(begun) == 0:
            return self._cannot(bar, 0, "No alarm was raised: a silent candidate shows nothing", "Lower the threshold.")
        false = begun[~self._explained(used)[begun]]
        count = np.bincount(false, minlength=len(used.scores)).astype(np.float64)
        value, asked = len(false) / exposure, bar or 0.0
        around = interval(value, lambda w: float(np.sum(count * w) / max(float(np.sum(exposure_each * w)), 1e-12)), cluster, seed=used.seed)
        unit = "element and week" if self.element_week is not None else f"shift of {self.shift_length}"
        ok = value <= asked
        said = "" if limit is None else f", raised from a score of {limit:.6g}"
        if ok and self._no_better_than_chance(used, begun, len(false)):
            return Verdict(
                gate="FalseAlarmsPer",
                result="cannot tell",
                value=value,
                bar=asked,
                interval=around,
                n=len(begun),
                next_step="Lower the threshold or ask for less.",
                why=f"{figure(value)}{within(around)} false alarms per {unit}, within the {asked:g} allowed, but of {len(begun)} alarms no more are right than at random (on {on}).",
            )
        return Verdict(
            gate="FalseAlarmsPer",
            result="pass" if ok else "fail",
            value=value,
            bar=asked,
            interval=around,
            n=len(begun),
            why=f"{figure(value)}{within(around)} false alarms per {unit}, {asked:g} allowed: {len(false)} of {len(begun)} alarms match no event (on {on}{said}).",
            next_step="" if ok else "Raise the threshold, or lengthen the hold-off.",
        )

    def _limit(self, used: Evidence) -> float | None:
        """The score alarms are raised from; None where the workflow's own decisions say."""
        if self.threshold is not None or used.decided is not None:
            return self.threshold
        if self.element_week is not None:
            return 1.0 - self.element_week * (used.every / duration("1w"))
        watched = max(used.entities or used.rows["entity"].n_unique(), 1)
        return 1.0 - (self.shift or 0.0) / watched * (used.every / duration(self.shift_length))

    def _exposure(self, used: Evidence) -> Array:
        """What each judged row adds to the denominator: element-weeks, or shifts shared among the entities."""
        judged = (~np.isnan(used.scores)).astype(np.float64)
        if self.element_week is not None:
            return judged * (used.every / duration("1w"))
        entities = used.rows["entity"].n_unique()
        watched = max(used.entities or entities, 1)
        return judged * (used.every / duration(self.shift_length)) / watched

    def _explained(self, used: Evidence) -> Array:
        """Rows that belong to an event, or are near one of the same entity."""
        labels = used.labels if used.labels is not None else np.zeros(len(used.scores))
        near = pl.when(pl.col("truth")).then(pl.col("at"))
        frame = used.rows.select("entity", "at").with_columns(truth=pl.Series(labels > 0), place=pl.int_range(pl.len()))
        frame = frame.sort("entity", "at").with_columns(
            before=near.forward_fill().over("entity"), after=near.backward_fill().over("entity"), slack=pl.lit(duration(self.slack))
        )
        close = ((pl.col("at") - pl.col("before")) <= pl.col("slack")) | ((pl.col("after") - pl.col("at")) <= pl.col("slack"))
        return frame.with_columns(close=pl.col("truth") | close.fill_null(value=False)).sort("place")["close"].to_numpy()

    def _no_better_than_chance(self, used: Evidence, begun: Array, false: int) -> bool:
        """Whether as many right alarms would be expected from raising as many rows blindly (binomial, 3 standard deviations)."""
        share = float(self._explained(used).mean())
        right, expected = len(begun) - false, share * len(begun)
        return right <= expected + 3 * float(np.sqrt(max(expected * (1 - share), 0.0)))

    @staticmethod
    def _cannot(bar: float | None, n: int, why: str, next_step: str) -> Verdict:
        return Verdict(gate="FalseAlarmsPer", result="cannot tell", bar=bar, n=n, why=f"{why}; the budget of {bar:g} cannot be checked.", next_step=next_step)
