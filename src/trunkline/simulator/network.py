"""A simulated operator's network: regions, sites, cells, neighbours, nodes and the transport they share. Nothing in it exists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from trunkline.core.errors import BadInput, UnknownName
from trunkline.core.frames import ELEMENTS, RELATIONS
from trunkline.simulator.sites import DN_PREFIX, TECHNOLOGIES, VENDORS, Cell, Site, Technology, build_cells, build_sites

_NEIGHBOURS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A simulated network, the same for the same seed.

    ``neighbours[i]`` are the indices of the cells next to cell *i* of the same layer, nearest first;
    ``partners[i]`` are the other carriers of its sector.

    >>> network = Network.make(7)
    >>> network
    Network(simulated, seed=7: 12 sites, 52 cells, 4 links)
    >>> network.cells[0].element, network.cells[0].dns
    ('ROM01A-L800', ('SubNetwork=simulated,ManagedElement=ROM01,ENodeBFunction=1,EUtranCellFDD=ROM01A-L800',))
    """

    seed: int
    sites: tuple[Site, ...]
    cells: tuple[Cell, ...]
    neighbours: tuple[tuple[int, ...], ...]
    partners: tuple[tuple[int, ...], ...]

    @classmethod
    def make(
        cls,
        seed: int,
        *,
        sites: int = 12,
        zones: Sequence[str] = ("Europe/Rome", "Europe/Lisbon"),
        technologies: Sequence[Technology] = TECHNOLOGIES,
        vendors: Sequence[str] = ("ericsson", "3gpp"),
    ) -> Network:
        """A network of *sites* masts spread over one region for each zone.

        Parameters
        ----------
        seed
            Same seed and arguments, same network.
        sites
            Masts in all; about 4.2 cells each.
        zones
            IANA time zone of each region; a zone named twice makes two regions.
        technologies
            What may be built; a site planned with a technology that is left out gets LTE, and one
            planned with LTE gets NR-SA where LTE is left out.
        vendors
            One per region in turn; the last site of each region is the next vendor's.

        Raises
        ------
        BadInput
            Fewer sites than regions, an unknown zone, technology or vendor.
        """
        if not zones or sites < len(zones):
            raise BadInput(f"{sites} sites cannot fill {len(zones)} regions.", allowed="at least one site for each zone, and one zone")
        for kind, names, known in (("technology", technologies, TECHNOLOGIES), ("simulated vendor", vendors, VENDORS)):
            for name in names:
                if name not in known:
                    raise UnknownName(kind, name, known)
        if not technologies or not vendors:
            raise BadInput("A network needs a technology and a vendor.", allowed=f"any of {', '.join(TECHNOLOGIES)}; any of {', '.join(VENDORS)}")
        rng = np.random.default_rng([seed, 1])
        planned = build_sites(rng, sites, zones, vendors)
        cells = [cell for site, plan in planned for cell in build_cells(rng, site, plan, technologies)]
        partners = tuple(tuple(j for j, b in enumerate(cells) if j != i and b.site is a.site and b.sector == a.sector) for i, a in enumerate(cells))
        return cls(seed=seed, sites=tuple(site for site, _ in planned), cells=tuple(cells), neighbours=_neighbours(cells), partners=partners)

    def __repr__(self) -> str:
        return f"Network(simulated, seed={self.seed}: {len(self.sites)} sites, {len(self.cells)} cells, {len(self.links)} links)"

    @property
    def links(self) -> tuple[str, ...]:
        """The transport links, each shared by several sites."""
        return tuple(dict.fromkeys(site.link for site in self.sites))

    def index(self, element: str) -> int:
        """The position of the cell called *element*."""
        for i, cell in enumerate(self.cells):
            if cell.element == element:
                return i
        raise UnknownName("simulated cell", element, [c.element for c in self.cells])

    def below(self, element: str) -> tuple[int, ...]:
        """The cells that hang on *element*: itself, or those of a site, node or link."""
        return tuple(i for i, c in enumerate(self.cells) if element in (c.element, c.site.name, c.site.node, c.site.link))

    def elements(self) -> pl.DataFrame:
        """The inventory: the ELEMENTS layout, then ``dn`` (several joined by ``|``), site, sector, carrier and place."""
        rows = [_cell_row(c) for c in self.cells]
        for site in self.sites:
            rows += [_site_row(site, site.node, "node"), _site_row(site, site.name, "site")]
        first = {site.link: site for site in reversed(self.sites)}
        rows += [_site_row(first[link], link, "link") for link in self.links]
        schema = {**ELEMENTS, "dn": pl.String, "site": pl.String, "sector": pl.String, "carrier": pl.String}
        return pl.DataFrame(rows, schema={**schema, "latitude": pl.Float64, "longitude": pl.Float64, "azimuth": pl.Float64}, orient="row")

    def relations(self) -> pl.DataFrame:
        """Who stands how to whom, as RELATIONS.

        ``neighbours`` and ``sector`` lead to other cells, ``site``, ``node`` and ``transport`` to
        what carries a cell; ``parent`` climbs one step: cell to node, node to site, site to link.
        """
        rows: list[tuple[str, str, str]] = []
        for i, cell in enumerate(self.cells):
            rows += [(cell.element, "neighbours", self.cells[j].element) for j in self.neighbours[i]]
            rows += [(cell.element, "sector", self.cells[j].element) for j in self.partners[i]]
            rows += [(cell.element, "site", cell.site.name), (cell.element, "node", cell.site.node), (cell.element, "transport", cell.site.link)]
            rows += [(cell.element, "parent", cell.site.node)]
        for site in self.sites:
            rows += [(site.node, "transport", site.link), (site.node, "parent", site.name), (site.name, "parent", site.link)]
        return pl.DataFrame(rows, schema=dict(RELATIONS), orient="row")


def _neighbours(cells: Sequence[Cell]) -> tuple[tuple[int, ...], ...]:
    """For each cell the nearest of its layer, those it looks at counting as nearer."""
    latitude, longitude = np.array([c.site.latitude for c in cells]), np.array([c.site.longitude for c in cells])
    north = (latitude[None] - latitude[:, None]) * 111.2
    east = (longitude[None] - longitude[:, None]) * 111.2 * np.cos(np.radians(latitude))[:, None]
    kilometres = np.hypot(north, east)
    bearing = np.degrees(np.arctan2(east, north)) % 360
    azimuth = np.array([c.azimuth for c in cells])
    off = np.abs((bearing - azimuth[:, None] + 180) % 360 - 180)
    facing_back = np.abs((bearing + 180 - azimuth[None] + 180) % 360 - 180)
    # A neighbour behind one's back or facing away is worth up to three times the distance.
    seen = np.where(kilometres > 0.01, kilometres * (1 + off / 180 + facing_back / 180), 0.3)
    kind = np.array([f"{c.site.region} {c.layer.carrier} {c.layer.technology}" for c in cells])
    seen[kind[:, None] != kind[None]] = np.inf
    np.fill_diagonal(seen, np.inf)
    order = np.argsort(seen, axis=1, kind="stable")[:, :_NEIGHBOURS]
    return tuple(tuple(int(j) for j in row if np.isfinite(seen[i, j])) for i, row in enumerate(order))


def _cell_row(cell: Cell) -> tuple[object, ...]:
    site, layer = cell.site, cell.layer
    return (
        *(cell.element, "cell", site.zone, site.region, layer.technology, layer.role, site.vendor),
        *("|".join(cell.dns), site.name, f"{site.node}{'ABC'[cell.sector - 1]}", layer.carrier, site.latitude, site.longitude, cell.azimuth),
    )


def _site_row(site: Site, element: str, kind: str) -> tuple[object, ...]:
    dn = f"{DN_PREFIX},ManagedElement={site.node}" if kind == "node" else None
    place = (None, None) if kind == "link" else (site.latitude, site.longitude)
    return (
        element,
        kind,
        site.zone,
        site.region,
        None,
        None,
        None if kind == "link" else site.vendor,
        dn,
        None if kind == "link" else site.name,
        None,
        None,
        *place,
        None,
    )
