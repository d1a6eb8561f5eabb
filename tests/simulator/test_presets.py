"""Presets are written as they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.core.errors import UnknownName
from trunkline.simulator.network import Network
from trunkline.simulator.presets import PRESETS, write_preset


def test_the_tiny_preset_is_written_and_counted(tmp_path: Path) -> None:
    said: list[str] = []

    written = write_preset("tiny", tmp_path / "tiny", progress=said.append)

    assert written.counts["faults"] >= 1
    assert written.counts["bytes"] == sum(f.stat().st_size for f in written.folder.rglob("*") if f.is_file())
    assert all("simulated" in line for line in said)
    assert set(PRESETS) == {"demo", "tiny"}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_the_sites_and_cells_its_text_says(name: str) -> None:
    preset = PRESETS[name]
    network = Network.make(7, sites=preset.sites, zones=preset.zones)

    assert preset.text.startswith(f"{len(network.sites)} sites, {len(network.cells)} cells")


def test_an_unknown_preset_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="There is no preset 'dmo'"):
        write_preset("dmo", tmp_path)


@pytest.mark.slow
def test_the_demo_preset_holds_faults_and_excuses_of_many_kinds(tmp_path: Path) -> None:
    written = write_preset("demo", tmp_path / "demo")

    assert written.counts["history rows"] > 5_000_000
    assert 1_100 < written.counts["measurement files"] <= 12 * 96 + 20
    assert written.counts["faults"] >= 10
