"""May this candidate go on? Each gate answers pass, fail or cannot tell, with the figure, its interval and the reason."""

from __future__ import annotations

from trunkline.gates.accuracy import F1, Auc, AveragePrecision, PrecisionAt, RecallAt
from trunkline.gates.baseline import BeatsBaseline
from trunkline.gates.check import check_gate
from trunkline.gates.duplicates import Duplicates
from trunkline.gates.false_alarms import FalseAlarmsPer
from trunkline.gates.latency import Latency
from trunkline.gates.leakage import Leakage
from trunkline.gates.parity import Parity
from trunkline.gates.protocol import Evidence, Finding, Gate, Part, Result, Verdict, joint, run_gates

__all__ = [
    "F1",
    "Auc",
    "AveragePrecision",
    "BeatsBaseline",
    "Duplicates",
    "Evidence",
    "FalseAlarmsPer",
    "Finding",
    "Gate",
    "Latency",
    "Leakage",
    "Parity",
    "Part",
    "PrecisionAt",
    "RecallAt",
    "Result",
    "Verdict",
    "check_gate",
    "joint",
    "run_gates",
]
