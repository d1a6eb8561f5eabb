"""The page "What survives what" names tests that are there."""

from __future__ import annotations

import ast
import re

import pytest
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "what-survives-what.md"
NAMED = sorted(set(re.findall(r"\[(test_\w+)\]\(\.\./(tests/[\w/]+\.py)\)", PAGE.read_text(encoding="utf-8"))))


@pytest.mark.parametrize(("name", "file"), NAMED, ids=[name for name, _ in NAMED])
def test_every_test_it_names_is_there(name: str, file: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))

    assert name in {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}


def test_every_line_of_its_tables_names_one() -> None:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    heads = [number for number, line in enumerate(lines) if line.startswith("|---")]

    told = [line for number, line in enumerate(lines) if number not in heads and number + 1 not in heads]
    assert len(told) >= 20
    assert [line for line in told if "](../tests/" not in line] == []
