"""Simulated operators of known size, for demonstrations and tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from trunkline.core.errors import UnknownName
from trunkline.simulator.files import TODAY, Written, write
from trunkline.simulator.network import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How large a simulated operator is, for how long, and what happens to it once the measurement files begin."""

    text: str
    sites: int
    zones: tuple[str, ...]
    history_weeks: int
    days: float
    incidents: Mapping[str, int]
    begins: datetime = datetime(2026, 11, 20, tzinfo=UTC)


PRESETS: Mapping[str, Preset] = {
    "demo": Preset(
        text="12 sites, 52 cells, two countries, 8 weeks of history and one day of measurement files",
        sites=12,
        zones=("Europe/Rome", "Europe/Lisbon"),
        history_weeks=8,
        days=1.0,
        incidents=TODAY,
    ),
    "tiny": Preset(
        text="2 sites, 12 cells, one week of history and six hours of measurement files",
        sites=2,
        zones=("Europe/Rome",),
        history_weeks=1,
        days=0.25,
        incidents={"sleeping_cell": 1},
        begins=datetime(2026, 11, 20, 8, tzinfo=UTC),
    ),
}
"""Presets by name."""


def write_preset(name: str, folder: Path | str, *, seed: int = 7, progress: Callable[[str], None] | None = None) -> Written:
    """Write the simulated operator called *name* to *folder*; see :func:`~trunkline.simulator.files.write`."""
    if name not in PRESETS:
        raise UnknownName("preset", name, PRESETS)
    preset = PRESETS[name]
    network = Network.make(seed, sites=preset.sites, zones=preset.zones)
    return write(
        network,
        folder,
        start=preset.begins,
        history_weeks=preset.history_weeks,
        days=preset.days,
        incidents=preset.incidents,
        progress=progress,
    )
