"""Masts and what is built on them: where a simulated site stands, its carriers, sectors and managed objects.

Coordinates lie around a real city only so that distances, bearings and time zones are plausible.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trunkline.core.clock import zone as known_zone

Archetype = Literal["residential", "business", "highway", "stadium"]
Technology = Literal["LTE", "NR-SA", "NR-NSA"]
Role = Literal["coverage", "capacity"]

DN_PREFIX = "SubNetwork=simulated"
"""What every distinguished name begins with."""

TECHNOLOGIES: tuple[Technology, ...] = ("LTE", "NR-SA", "NR-NSA")
VENDORS = ("ericsson", "3gpp", "huawei")
"""Whose dialect a node's files are in: Ericsson's names in TS 32.435; the standard's own, or Huawei's, in TS 28.532."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One carrier as it is built at a site: band, bandwidth in PRBs, and what a full PRB grid carries at good radio."""

    carrier: str
    technology: Technology
    role: Role
    prbs: int
    mbps: float


L800 = Layer(carrier="L800", technology="LTE", role="coverage", prbs=50, mbps=36.0)
L1800 = Layer(carrier="L1800", technology="LTE", role="capacity", prbs=100, mbps=80.0)
N28 = Layer(carrier="N28", technology="NR-SA", role="coverage", prbs=52, mbps=48.0)
N78_SA = Layer(carrier="N78", technology="NR-SA", role="capacity", prbs=273, mbps=620.0)
N78_NSA = Layer(carrier="N78", technology="NR-NSA", role="capacity", prbs=273, mbps=620.0)

# What is built where, repeated over the sites of each region so that no region lacks a kind of cell.
_PLANS: tuple[tuple[Archetype, tuple[Layer, ...]], ...] = (
    ("residential", (L800, N78_NSA)),
    ("business", (N28, N78_SA)),
    ("highway", (L800,)),
    ("residential", (L800,)),
    ("stadium", (L800, L1800)),
    ("business", (L800,)),
)
_CENTRES = {"Europe/Rome": (41.90, 12.50), "Europe/Lisbon": (38.72, -9.14), "Europe/Berlin": (52.52, 13.40), "America/New_York": (40.71, -74.01)}
_SPACING_KM = {"residential": 1.6, "business": 1.1, "stadium": 1.3, "highway": 3.2}
_SITES_PER_LINK = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A mast: where it is, who built it, and the transport link that carries it."""

    name: str
    region: str
    zone: str
    archetype: Archetype
    vendor: str
    node: str
    link: str
    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One carrier of one sector; ``dns`` are the full names of the managed objects its counters are kept on."""

    element: str
    site: Site
    sector: int
    azimuth: float
    layer: Layer
    dns: tuple[str, ...]


def build_sites(rng: np.random.Generator, count: int, zones: Sequence[str], vendors: Sequence[str]) -> list[tuple[Site, tuple[Layer, ...]]]:
    """*count* masts, spread evenly over one region for each zone, with the carriers planned for each."""
    repeated = Counter(zones)
    planned: list[tuple[Site, tuple[Layer, ...]]] = []
    for number, name in enumerate(zones):
        known_zone(name)
        here = range(number * count // len(zones), (number + 1) * count // len(zones))
        city = name.rsplit("/", 1)[-1].replace("_", "")
        region = city.lower() if repeated[name] == 1 else f"{city.lower()}-{list(zones[:number]).count(name) + 1}"
        latitude, longitude = _centre(name, number)
        for place, index in enumerate(here):
            archetype, layers = _PLANS[place % len(_PLANS)]
            # A jittered spiral keeps masts a typical spacing apart without a map of streets.
            radius, turn = _SPACING_KM[archetype] * math.sqrt(place + 0.3) * rng.uniform(0.85, 1.15), place * 2.4 + rng.uniform(-0.2, 0.2)
            vendor = vendors[(number + (place == len(here) - 1 and len(here) > 1)) % len(vendors)]
            code = f"{city[:3].upper()}{index + 1:02d}"
            site = Site(
                name=f"{code}-SITE",
                region=region,
                zone=name,
                archetype=archetype,
                vendor=vendor,
                node=code,
                link=f"LINK-{city[:3].upper()}{number + 1}{place // _SITES_PER_LINK + 1:02d}",
                latitude=round(latitude + radius * math.cos(turn) / 111.2, 5),
                longitude=round(longitude + radius * math.sin(turn) / (111.2 * math.cos(math.radians(latitude))), 5),
            )
            planned.append((site, layers))
    return planned


def _centre(name: str, number: int) -> tuple[float, float]:
    latitude, longitude = _CENTRES.get(name, (0.0, 0.0))
    if name not in _CENTRES:
        place = zlib.crc32(name.encode())
        latitude, longitude = place % 900 / 10 - 45, place // 900 % 3600 / 10 - 180
    return latitude + 0.4 * number, longitude


def build_cells(rng: np.random.Generator, site: Site, plan: Sequence[Layer], technologies: Sequence[Technology]) -> list[Cell]:
    """The cells of *site*, sector by sector."""
    turn = float(rng.uniform(0, 120))
    sectors = 2 if site.archetype == "highway" else 3  # a road is covered along its two directions
    layers = tuple(dict.fromkeys(_allowed(layer, technologies) for layer in plan))
    return [
        Cell(
            element=(element := f"{site.node}{'ABC'[sector]}-{layer.carrier}"),
            site=site,
            sector=sector + 1,
            azimuth=round((turn + sector * 360 / sectors) % 360, 1),
            layer=layer,
            dns=_dns(site.node, element, layer.technology),
        )
        for sector in range(sectors)
        for layer in layers
    ]


def _allowed(layer: Layer, technologies: Sequence[Technology]) -> Layer:
    """*layer*, or what is built in its place where its technology is left out."""
    if layer.technology in technologies and (layer.technology != "NR-NSA" or "LTE" in technologies):
        return layer
    if "LTE" in technologies:
        return L800 if layer.role == "coverage" else L1800
    return N28 if layer.role == "coverage" else N78_SA


def _dns(node: str, element: str, technology: Technology) -> tuple[str, ...]:
    root = f"{DN_PREFIX},ManagedElement={node}"
    if technology == "LTE":
        return (f"{root},ENodeBFunction=1,EUtranCellFDD={element}",)
    return (f"{root},GNBCUCPFunction=1,NRCellCU={element}", f"{root},GNBDUFunction=1,NRCellDU={element}")
