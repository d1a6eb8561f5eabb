"""A seeded simulated operator that writes the files a real network does, with the truth beside them; always called simulated."""

from trunkline.simulator.files import A_WEEK, TODAY, FileFaults, Written, write
from trunkline.simulator.incidents import Incident, draw
from trunkline.simulator.kinds import KINDS, Kind
from trunkline.simulator.names import records
from trunkline.simulator.network import Network
from trunkline.simulator.presets import PRESETS, Preset, write_preset
from trunkline.simulator.simulation import Simulation, simulate
from trunkline.simulator.sites import Cell, Site
from trunkline.simulator.traffic import Grid
from trunkline.simulator.truth import MATCHES, TRUTH, match, truth

__all__ = [
    "A_WEEK",
    "KINDS",
    "MATCHES",
    "PRESETS",
    "TODAY",
    "TRUTH",
    "Cell",
    "FileFaults",
    "Grid",
    "Incident",
    "Kind",
    "Network",
    "Preset",
    "Simulation",
    "Site",
    "Written",
    "draw",
    "match",
    "records",
    "simulate",
    "truth",
    "write",
    "write_preset",
]
