"""The power goes at random moments: what was acknowledged is on whatever disk that leaves, and the rest can be done again."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest
from tests.durability import shim
from tests.durability.cutting import cut_power
from tests.durability.home import Home
from tests.durability.killing import Harness, Tally
from tests.durability.power import Change, Disk
from tests.durability.steps import Tell, do_load

from trunkline.core.errors import WorkspaceError

CUTS = {"create": 4, "load": 4, "decide": 2, "act": 2, "compact": 4, "migrate": 2, "backup": 4, "restore": 2}


@pytest.mark.slow
@pytest.mark.parametrize("name", CUTS)
def test_after_a_power_cut_what_was_acknowledged_is_there(harness: Harness, name: str) -> None:
    shim.needed()
    tally = Tally()

    cut_power(harness, name, random.Random(name), tally, cuts=CUTS[name])

    assert tally.kills == CUTS[name]
    assert (tally.lost, tally.doubled, tally.wrong) == (0, 0, 0), "\n".join(tally.told)


def unsynced(home: Home, tell: Tell) -> None:
    """A load that never asks the disk to keep what it writes (SQLite still does)."""
    with patch.object(os, "fsync", lambda _: None):
        do_load(home, tell)


def test_the_harness_finds_what_was_never_asked_to_be_kept(harness: Harness) -> None:
    shim.needed()
    harness.steps["unsynced"] = replace(harness.steps["load"], name="unsynced", work=unsynced)
    tally = Tally()

    with pytest.raises((AssertionError, WorkspaceError), match="worker failed|cannot be opened|was lost"):
        cut_power(harness, "unsynced", random.Random(1), tally, cuts=6)
        assert tally.lost == 0, "something was lost"


def change(what: str, first: Path | str = "", second: Path | str = "", *, file: int = 0, at: int = 0, content: bytes = b"") -> Change:
    return Change(what, file, at, str(first), str(second), content)


def left(disk: Disk, to: Path, kind: str, seed: int = 1) -> dict[str, bytes]:
    disk.cut(to, kind, random.Random(seed))  # type: ignore[arg-type]
    return {str(path.relative_to(to)): path.read_bytes() for path in sorted(to.rglob("*")) if path.is_file()}


def test_a_forgetful_disk_keeps_only_what_it_was_asked_to_keep(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "old").write_bytes(b"old")
    disk, at = Disk(tmp_path / "d"), tmp_path / "d"
    steps = partial(map, disk.apply)
    list(steps([change("C", at / "new", file=7), change("W", file=7, content=b"content"), change("R", at / "old", at / "older")]))
    assert left(disk, tmp_path / "1", "forgetful") == {"old": b"old"}

    list(steps([change("F", at / "new", file=7)]))
    assert left(disk, tmp_path / "2", "forgetful") == {"old": b"old"}

    list(steps([change("F", at)]))
    assert left(disk, tmp_path / "3", "forgetful") == {"new": b"content", "older": b"old"}

    list(steps([change("W", file=7, at=3, content=b"!"), change("T", file=7, at=5), change("U", at / "older")]))
    assert left(disk, tmp_path / "4", "forgetful") == {"new": b"content", "older": b"old"}


def test_a_torn_disk_keeps_any_part_of_what_it_was_not_asked_to_keep(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    disk, at = Disk(tmp_path / "d"), tmp_path / "d"
    pages = b"".join(bytes([n]) * 4096 for n in (1, 2, 3))
    for one in (change("C", at / "a", file=7), change("W", file=7, content=pages), change("R", at / "a", at / "b")):
        disk.apply(one)

    found = [left(disk, tmp_path / str(seed), "torn", seed) for seed in range(60)]

    assert {name for one in found for name in one} == {"a", "b"}
    assert all(len(one) <= 1 for one in found)
    kept = {bytes(content[::4096]) for one in found for content in one.values()}
    assert {b"", b"\x01\x02\x03"} < kept
    assert any(content.startswith(b"\x00") for content in kept)
