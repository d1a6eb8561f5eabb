"""Facts → Rows: one definition, two evaluators, and a check that they agree."""

from trunkline.features.alarms import alarms, state
from trunkline.features.asof import Timeline, asof
from trunkline.features.attribute import attribute, when
from trunkline.features.definition import Features
from trunkline.features.history import history
from trunkline.features.language import each_kpi, kpi
from trunkline.features.live import Live, live
from trunkline.features.local_time import holiday, hour, weekday
from trunkline.features.parity import ParityReport

__all__ = [
    "Features",
    "Live",
    "ParityReport",
    "Timeline",
    "alarms",
    "asof",
    "attribute",
    "each_kpi",
    "history",
    "holiday",
    "hour",
    "kpi",
    "live",
    "state",
    "weekday",
    "when",
]
