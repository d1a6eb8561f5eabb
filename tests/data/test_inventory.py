"""Elements and relations from CSV."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.core.errors import BadFile
from trunkline.core.frames import ELEMENTS, RELATIONS, check_frame
from trunkline.data import inventory


def _write(tmp_path: Path, text: str, name: str = "inventory.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_elements_get_their_attributes_and_keep_further_columns(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        "Cell;Site;Time zone;Region;RAT;Vendor;Role;Height\nA1;A;Europe/Rome;North;4G;Nokia;Coverage;30\nB1;B;Europe/Rome;South;5G NSA;Ericsson;capacity;25\n",
    )

    found = inventory.read_elements(path)

    assert check_frame(found.elements, ELEMENTS, name="elements").rows() == [
        ("A1", "cell", "Europe/Rome", "North", "LTE", "coverage", "Nokia", "A", "30"),
        ("B1", "cell", "Europe/Rome", "South", "NR-NSA", "capacity", "Ericsson", "B", "25"),
    ]
    assert found.elements.columns[7:] == ["Site", "Height"]
    assert found.quarantine == ()


def test_an_unknown_zone_is_left_empty_and_named_with_the_closest(tmp_path: Path) -> None:
    path = _write(tmp_path, "cell,zone\nA,Europe/Roma\nB,Europe/Paris\n")

    found = inventory.read_elements(path)

    assert found.elements["zone"].to_list() == [None, "Europe/Paris"]
    assert any("'Europe/Roma' (line 2, 1 elements)" in n and "'Europe/Rome'" in n for n in found.notes)


def test_the_second_line_of_an_element_is_set_aside(tmp_path: Path) -> None:
    path = _write(tmp_path, "cell,zone,region\nA,UTC,North\nB,UTC,North\nA,UTC,North\nB,UTC,South\n,UTC,South\n")

    found = inventory.read_elements(path)

    assert found.elements["region"].to_list() == ["North", "North"]
    assert [(q.line, q.reason) for q in found.quarantine] == [
        (4, "'A' stands in line 2 already, with the same cells"),
        (5, "'B' stands in line 3 already, with other cells; the first counts"),
        (6, "no element is named"),
    ]


def test_an_inventory_without_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"do not name elements: 'colour', 'zone'(?s:.*)'cell', 'element'"):
        inventory.read_elements(_write(tmp_path, "colour,zone\nred,UTC\n"))


def test_relations_of_both_forms_become_one_layout(tmp_path: Path) -> None:
    long = _write(tmp_path, "element,relation,other\nA,neighbour,B\nA,site,S1\nA,parent,N1\n", "long.csv")
    pair = _write(tmp_path, "Serving cell;Neighbour cell\nA;B\nB;A|C\n", "pair.csv")

    assert check_frame(inventory.read_relations(long).relations, RELATIONS, name="relations").rows() == [
        ("A", "neighbours", "B"),
        ("A", "parent", "N1"),
        ("A", "site", "S1"),
    ]
    assert inventory.read_relations(pair).relations.rows() == [("A", "neighbours", "B"), ("B", "neighbours", "A"), ("B", "neighbours", "C")]


def test_unknown_neighbours_are_kept_and_listed_and_own_ones_dropped(tmp_path: Path) -> None:
    path = _write(tmp_path, "cell,neighbour\nA,B\nA,A\nA,X\nA,B\nA,\n")

    found = inventory.read_relations(path, elements=["A", "B"])

    assert found.relations["other"].to_list() == ["B", "X"]
    assert found.unknown == ("X",)
    assert [(q.line, q.reason) for q in found.quarantine] == [(6, "one of the two elements is not named")]
    assert [n for n in found.notes if "line 3" in n or "twice" in n or "not in the inventory" in n] == list(found.notes)


def test_columns_of_an_inventory_tell_relations(tmp_path: Path) -> None:
    found = inventory.read_elements(_write(tmp_path, "cell,node,site,zone\nA1,N1,S1,UTC\nA2,N1,S1,UTC\n"))

    relations = inventory.relations_of(found.elements)

    assert relations.rows() == [("A1", "node", "N1"), ("A1", "site", "S1"), ("A2", "node", "N1"), ("A2", "site", "S1")]


def test_a_file_with_one_column_of_elements_holds_no_relations(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="two columns of elements"):
        inventory.read_relations(_write(tmp_path, "cell,height\nA,3\n"))
