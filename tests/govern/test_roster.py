"""Who is in which team, and who left."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from trunkline.core.errors import BadFile
from trunkline.govern.roster import Roster

TEXT = """
[teams]
ran = ["ann", "bob"]
empty = []

[left]
ann = "2026-11-18T10:00:00+01:00"
carl = 2026-11-01
"""


def test_a_roster_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "roster.toml").write_text(TEXT, encoding="utf-8")

    roster = Roster.read(tmp_path / "roster.toml")

    assert roster is not None
    assert roster.gone("ran") is None
    assert roster.gone("bob") is None
    assert roster.gone("ann") == datetime(2026, 11, 18, 9, tzinfo=UTC)
    assert roster.gone("carl") == datetime(2026, 11, 1, tzinfo=UTC)
    assert roster.gone("empty") is roster.gone("unheard of") is True


def test_a_team_is_gone_when_the_last_of_it_left() -> None:
    left = {"ann": datetime(2026, 11, 1, tzinfo=UTC), "bob": datetime(2026, 11, 3, tzinfo=UTC)}

    assert Roster({"ran": ("ann", "bob")}, left).gone("ran") == left["bob"]


def test_without_a_file_nobody_is_missed(tmp_path: Path) -> None:
    assert Roster.read(tmp_path / "roster.toml") is None


@pytest.mark.parametrize("text", ["[teams", "teams = 3", "[left]\nann = 'yesterday'", "[left]\nann = 3", "[teams]\nran = 3"])
def test_what_cannot_be_read_is_refused_with_how_it_looks(text: str, tmp_path: Path) -> None:
    (tmp_path / "roster.toml").write_text(text, encoding="utf-8")

    with pytest.raises(BadFile, match="The roster cannot be read"):
        Roster.read(tmp_path / "roster.toml")
