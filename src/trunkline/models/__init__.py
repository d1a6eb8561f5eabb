"""Rows to scores: models that fit, score, explain, and travel as flat signed arrays."""

from __future__ import annotations

from trunkline.models.calibration import Tail
from trunkline.models.dummies import Constant, LastWeek, RandomAlarm, RangeNovelty
from trunkline.models.envelope import Envelope
from trunkline.models.harmonic import Harmonic
from trunkline.models.protocol import Context, Fitted, Model, Saved

__all__ = ["Constant", "Context", "Envelope", "Fitted", "Harmonic", "LastWeek", "Model", "RandomAlarm", "RangeNovelty", "Saved", "Tail"]
