"""Is the candidate better than doing something simple, and not worse than what is live?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np

from trunkline.core.errors import UnknownName
from trunkline.gates.ground import Ground, figure, gaps, ground, within
from trunkline.gates.protocol import Array, Evidence, Verdict
from trunkline.gates.ranking import MEASURES, WORDS, Measure, rank
from trunkline.gates.resample import interval


@dataclass(frozen=True, slots=True)
class BeatsBaseline:
    """Better than every baseline for sure, and no worse than the version now live.

    A dummy that scores at random is always among the baselines. "For sure": the lower end of the interval of the
    difference, both measured on the same draws of whole groups, lies above the margin.

    Parameters
    ----------
    metric
        ``"average_precision"``, ``"auc"`` or ``"f1"`` (rows scoring .5 and more).
    margin
        How much better it has to be.
    confidence
        Of the interval.
    worse
        How much the metric may fall below the live version's before that counts as worse.

    >>> BeatsBaseline(margin=0.02).metric
    'average_precision'
    """

    metric: str = "average_precision"
    margin: float = field(default=0.0, kw_only=True)
    confidence: float = field(default=0.95, kw_only=True)
    worse: float = field(default=0.02, kw_only=True)

    judges: ClassVar[Literal["scores"]] = "scores"

    def __post_init__(self) -> None:
        if self.metric not in MEASURES:
            raise UnknownName("metric", self.metric, MEASURES, where="BeatsBaseline.metric")

    def check(self, evidence: Evidence) -> Verdict:
        """Compare with each baseline, then with the champion; the hardest comparison is the verdict's figure."""
        found = ground("BeatsBaseline", evidence, bar=self.margin)
        if isinstance(found, Verdict):
            return found
        measure, used = MEASURES[self.metric], found.evidence
        dummy = np.random.default_rng([used.seed, 1]).random(used.rows.height)
        verdicts = [self._against(name, scores, found, measure) for name, scores in {"dummy": dummy, **used.baselines}.items()]
        if found.champion is not None and len(found.champion.scores) == len(found.truth):
            verdicts.append(self._champion(found.champion.scores, found, measure))
        elif evidence.champion is not None:
            why = f"The live version was not scored on these {len(found.truth)} rows, so the bar of {-self.worse:g} against it cannot be checked."
            next_step = "Score the live version on the same rows."
            verdicts.append(Verdict(gate="BeatsBaseline", result="cannot tell", bar=-self.worse, n=len(found.truth), why=why, next_step=next_step))
        severity = {"fail": 0, "cannot tell": 1, "pass": 2}
        return min(verdicts, key=lambda v: (severity[v.result], (v.value or 0.0) - (v.bar or 0.0)))

    def _against(self, name: str, other: Array, found: Ground, measure: Measure) -> Verdict:
        verdict = self._difference(other, found, measure, bar=self.margin)
        value, interval_, own = verdict.value or 0.0, verdict.interval, (verdict.value or 0.0) + (verdict.baseline_value or 0.0)
        words = f"{WORDS[self.metric]} {figure(own)} against {figure(verdict.baseline_value or 0.0)} by the baseline '{name}'"
        if interval_ and interval_[0] > self.margin:
            return replace(verdict, result="pass", why=f"{words}: better by {figure(value)}{within(interval_)}, more than {self.margin:g}{self._on(found)}")
        if interval_ and value > self.margin:
            return replace(
                verdict,
                why=f"{words}: better by {figure(value)}{within(interval_)}, which may be chance; sure of more than {self.margin:g} was asked{self._on(found)}",
                next_step="Hold out more groups or a longer time.",
            )
        chance = " It is worse than chance." if name == "dummy" and interval_ and interval_[1] < 0 else ""
        return replace(
            verdict,
            result="fail" if interval_ else "cannot tell",
            why=f"{words}: a difference of {figure(value)}{within(interval_)}, where more than {self.margin:g} was asked{self._on(found)}{chance}",
            next_step=f"Use '{name}' instead, or a model that sees what it does not.",
        )

    def _champion(self, other: Array, found: Ground, measure: Measure) -> Verdict:
        verdict = self._difference(other, found, measure, bar=-self.worse)
        value, interval_ = verdict.value or 0.0, verdict.interval
        base = verdict.baseline_value or 0.0
        words = f"{WORDS[self.metric]} {figure(base + value)} against {figure(base)} by the live version (difference {figure(value)}{within(interval_)}, bar {-self.worse:g})"
        if interval_ and interval_[0] >= -self.worse:
            return replace(verdict, result="pass", why=f"{words}: not worse{self._on(found)}")
        if interval_ and value >= -self.worse:
            return replace(verdict, why=f"{words}: it may be worse{self._on(found)}", next_step="Hold out more groups or a longer time.")
        return replace(
            verdict, result="fail" if interval_ else "cannot tell", why=f"{words}: worse than what is live{self._on(found)}", next_step="Keep the live version."
        )

    def _difference(self, other: Array, found: Ground, measure: Measure, *, bar: float) -> Verdict:
        mine, theirs = rank(found.evidence.scores, found.truth), rank(other, found.truth)
        base = measure(theirs, None)
        value = measure(mine, None) - base
        around = interval(value, lambda w: measure(mine, w) - measure(theirs, w), found.cluster, seed=found.evidence.seed, confidence=self.confidence)
        return Verdict(gate="BeatsBaseline", result="cannot tell", value=value, bar=bar, interval=around, n=len(found.truth), baseline_value=base)

    @staticmethod
    def _on(found: Ground) -> str:
        return f", on {len(found.truth)} {'rows with ' if found.on == 'injected faults' else ''}{found.on}.{gaps(found.unjudged)}"
