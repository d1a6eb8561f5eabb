"""The simulated network is plausible, complete and the same for the same seed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.core.errors import BadInput, UnknownName
from trunkline.core.frames import ELEMENTS, RELATIONS, check_frame
from trunkline.simulator.network import Network


@given(seed=st.integers(0, 2**32), sites=st.integers(2, 20))
@settings(deadline=None, max_examples=25)
def test_the_same_seed_makes_the_same_network_and_names_are_unique(seed: int, sites: int) -> None:
    network = Network.make(seed, sites=sites)

    assert network == Network.make(seed, sites=sites)
    names = network.elements()["element"].to_list()
    assert len(set(names)) == len(names)
    dns = [dn for cell in network.cells for dn in cell.dns]
    assert len(set(dns)) == len(dns)


def test_inventory_and_relations_have_the_layouts_that_travel() -> None:
    network = Network.make(3)

    elements, relations = network.elements(), network.relations()

    assert check_frame(elements, ELEMENTS, name="inventory").height == elements.height
    assert check_frame(relations, RELATIONS, name="relations").height == relations.height
    assert set(relations["other"]) <= set(elements["element"])
    assert set(relations["relation"]) == {"neighbours", "sector", "site", "node", "transport", "parent"}


def test_parents_lead_from_every_cell_to_a_link() -> None:
    network = Network.make(3)
    upwards = {a: b for a, relation, b in network.relations().iter_rows() if relation == "parent"}

    for cell in network.cells:
        assert upwards[upwards[upwards[cell.element]]] == cell.site.link


def test_neighbours_share_layer_and_region_and_never_include_the_cell_itself() -> None:
    network = Network.make(5, sites=16)

    for i, near in enumerate(network.neighbours):
        assert i not in near
        assert near
        for j in near:
            assert network.cells[j].layer == network.cells[i].layer
            assert network.cells[j].site.region == network.cells[i].site.region


def test_an_nsa_cell_always_has_an_lte_anchor_in_its_sector() -> None:
    network = Network.make(7)

    for i, cell in enumerate(network.cells):
        if cell.layer.technology == "NR-NSA":
            assert any(network.cells[j].layer.technology == "LTE" for j in network.partners[i])


def test_wrong_arguments_are_refused_with_what_is_allowed() -> None:
    with pytest.raises(BadInput, match="1 sites cannot fill 2 regions"):
        Network.make(1, sites=1)
    with pytest.raises(UnknownName, match="There is no simulated vendor 'nokai'"):
        Network.make(1, vendors=("nokai",))
    with pytest.raises(BadInput, match="Europe/Atlantis"):
        Network.make(1, zones=("Europe/Atlantis",))
    with pytest.raises(UnknownName, match="There is no simulated cell 'X'"):
        Network.make(1).index("X")
