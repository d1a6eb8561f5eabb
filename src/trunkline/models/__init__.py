"""Rows to scores: models that fit, score, explain, and travel as flat signed arrays."""

from __future__ import annotations

from trunkline.models.autoencoder import Autoencoder
from trunkline.models.calibration import Tail
from trunkline.models.crossing import Crossing
from trunkline.models.dummies import Constant, LastWeek, RandomAlarm, RangeNovelty
from trunkline.models.envelope import Envelope
from trunkline.models.forest import IsolationForest
from trunkline.models.harmonic import Harmonic
from trunkline.models.hour_of_week import HourOfWeek
from trunkline.models.linear_trend import LinearTrend
from trunkline.models.protocol import Context, Fitted, Model, Saved
from trunkline.models.trees import Trees

__all__ = [
    "Autoencoder",
    "Constant",
    "Context",
    "Crossing",
    "Envelope",
    "Fitted",
    "Harmonic",
    "HourOfWeek",
    "IsolationForest",
    "LastWeek",
    "LinearTrend",
    "Model",
    "RandomAlarm",
    "RangeNovelty",
    "Saved",
    "Tail",
    "Trees",
]
