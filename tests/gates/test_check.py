from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, ClassVar, Literal

import numpy as np
import pytest

from trunkline.gates import (
    F1,
    Auc,
    AveragePrecision,
    BeatsBaseline,
    Duplicates,
    Evidence,
    FalseAlarmsPer,
    Latency,
    Leakage,
    Parity,
    PrecisionAt,
    RecallAt,
    Verdict,
    check_gate,
)
from trunkline.gates.ground import ground

OURS = [
    BeatsBaseline(),
    BeatsBaseline("auc", margin=0.05),
    RecallAt(items_per_shift=20, least=0.6),
    PrecisionAt(items_per_shift=20, least=0.3),
    AveragePrecision(least=0.5),
    Auc(least=0.8),
    F1(least=0.8),
    FalseAlarmsPer(element_week=1),
    FalseAlarmsPer(shift=5, threshold=0.98),
    Latency(p99_ms=50),
    Parity(),
    Leakage(),
    Duplicates(),
]


@pytest.mark.parametrize("gate", OURS, ids=[f"{type(gate).__name__}-{number}" for number, gate in enumerate(OURS)])
def test_our_gates_keep_the_contract(gate: Any) -> None:
    check_gate(gate)


def test_every_registered_gate_is_tried_here() -> None:
    registered = {entry.value.split(":")[1] for entry in entry_points(group="trunkline.gates") if entry.value.startswith("trunkline.")}

    assert registered
    assert registered <= {type(gate).__name__ for gate in OURS}


@dataclass(frozen=True, slots=True)
class Generous:
    """Passes whatever it is shown."""

    least: float = field(default=0.5, kw_only=True)
    judges: ClassVar[Literal["scores"]] = "scores"

    def check(self, evidence: Evidence) -> Verdict:
        found = ground("Generous", evidence, bar=self.least)
        return found if isinstance(found, Verdict) else Verdict(gate="Generous", result="pass", value=1.0, bar=self.least, why="1 of 1, 0.5 asked")


@dataclass(frozen=True, slots=True)
class Blind:
    """Passes without labels."""

    judges: ClassVar[Literal["scores"]] = "scores"

    def check(self, evidence: Evidence) -> Verdict:
        return Verdict(gate="Blind", result="pass", value=float(len(evidence.scores)), bar=0.0, why="0 problems")


@dataclass(frozen=True, slots=True)
class Vandal:
    """Changes the scores it is shown."""

    judges: ClassVar[Literal["scores"]] = "scores"

    def check(self, evidence: Evidence) -> Verdict:
        evidence.scores[0] += 1
        return Verdict(gate="Vandal", result="pass", value=1.0, bar=0.0, why="1 against 0")


@dataclass(frozen=True, slots=True)
class Mute:
    """Gives no figure in its reason."""

    judges: ClassVar[Literal["scores"]] = "scores"

    def check(self, evidence: Evidence) -> Verdict:
        return Verdict(gate="Mute", result="pass", value=float(np.nanmax(evidence.scores)), bar=0.0, why="looks good to me")


@pytest.mark.parametrize(
    ("gate", "complaint"),
    [
        (Generous(), "a random candidate must never pass"),
        (Blind(), "no labels must never pass"),
        (Vandal(), "must not change its evidence"),
        (Mute(), "must name the figures"),
    ],
)
def test_a_gate_that_breaks_the_contract_is_named(gate: Any, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_gate(gate)
