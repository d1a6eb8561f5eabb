"""What is built where: every region has every kind of cell, and distances are plausible."""

from __future__ import annotations

import math

import pytest

from trunkline.simulator.network import Network


def test_every_region_has_both_vendors_and_all_technologies_and_links_are_shared() -> None:
    network = Network.make(7)

    for region in {s.region for s in network.sites}:
        cells = [c for c in network.cells if c.site.region == region]
        assert {c.site.vendor for c in cells} == {"ericsson", "3gpp"}
        assert {c.layer.technology for c in cells} == {"LTE", "NR-SA", "NR-NSA"}
        assert {c.layer.role for c in cells} == {"coverage", "capacity"}
    assert all(sum(s.link == link for s in network.sites) > 1 for link in network.links)


@pytest.mark.parametrize(("technologies", "expected"), [(("LTE",), {"LTE"}), (("NR-SA",), {"NR-SA"}), (("LTE", "NR-SA"), {"LTE", "NR-SA"})])
def test_only_the_technologies_asked_for_are_built(technologies: tuple[str, ...], expected: set[str]) -> None:
    network = Network.make(7, technologies=technologies)  # type: ignore[arg-type]

    assert {c.layer.technology for c in network.cells} == expected


def test_masts_of_a_region_stand_apart_but_within_reach() -> None:
    sites = [s for s in Network.make(7).sites if s.region == "rome"]
    apart = [
        math.hypot((a.latitude - b.latitude) * 111.2, (a.longitude - b.longitude) * 111.2 * math.cos(math.radians(a.latitude)))
        for n, a in enumerate(sites)
        for b in sites[:n]
    ]

    assert min(apart) > 0.3
    assert max(apart) < 30


def test_the_two_objects_of_an_nr_cell_carry_its_name_and_lte_has_one() -> None:
    for cell in Network.make(7).cells:
        assert len(cell.dns) == (1 if cell.layer.technology == "LTE" else 2)
        assert all(dn.rsplit("=", 1)[1] == cell.element for dn in cell.dns)
