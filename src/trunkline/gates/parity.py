"""Does what was saved score like what was trained? Converters can be silently wrong, so every candidate is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from trunkline.gates.protocol import Evidence, Verdict


@dataclass(frozen=True, slots=True)
class Parity:
    """Scores after saving and loading differ from those before by no more than *at_most* on any held-out row.

    A row judged by one and not by the other (NaN) is a difference of 1.

    >>> Parity(at_most=1e-9).at_most
    1e-09
    """

    at_most: float = field(default=1e-9, kw_only=True)

    judges: ClassVar[Literal["copy"]] = "copy"

    def check(self, evidence: Evidence) -> Verdict:
        """Score again with the reloaded candidate and compare row by row."""
        if evidence.reload is None or evidence.rows.height == 0 or bool(np.isnan(evidence.scores).all()):
            what = "No reloaded candidate was handed in" if evidence.reload is None else "The candidate judged no row"
            return Verdict(
                gate="Parity",
                result="cannot tell",
                bar=self.at_most,
                n=evidence.rows.height,
                next_step="Hand in reload, and rows the candidate can judge.",
                why=f"{what}, so the bar of {self.at_most:g} cannot be checked.",
            )
        again = evidence.reload()
        if len(again) != len(evidence.scores):
            return Verdict(
                gate="Parity",
                result="fail",
                value=1.0,
                bar=self.at_most,
                interval=(1.0, 1.0),
                n=len(evidence.scores),
                next_step="Mend save and load of this model.",
                why=f"The reloaded candidate gave {len(again)} scores for {len(evidence.scores)} rows: a difference of 1, at most {self.at_most:g} was asked.",
            )
        one_sided = np.isnan(again) != np.isnan(evidence.scores)
        apart = np.where(one_sided, 1.0, np.nan_to_num(np.abs(again - evidence.scores), nan=0.0))
        value, worst = float(apart.max()), int(apart.argmax())
        ok = value <= self.at_most
        where = f", at row {worst} (entity '{evidence.rows['entity'][worst]}')" if not ok else ""
        return Verdict(
            gate="Parity",
            result="pass" if ok else "fail",
            value=value,
            bar=self.at_most,
            interval=(value, value),
            n=len(apart),
            why=f"The largest difference between saved and reloaded scores is {value:.3g}{where}, over {len(apart)} rows; at most {self.at_most:g} was asked.",
            next_step="" if ok else "Mend save and load of this model.",
        )
