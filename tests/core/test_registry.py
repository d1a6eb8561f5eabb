from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from trunkline.core import registry
from trunkline.core.errors import TrunklineError, UnknownName
from trunkline.models import Harmonic


@pytest.fixture
def fresh() -> Iterator[None]:
    registry.names.cache_clear()
    yield
    registry.names.cache_clear()


def _installed(folder: Path, package: str, points: str) -> Path:
    """A package as pip would leave it: metadata with entry points, and nothing else."""
    metadata = folder / f"{package}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(points, encoding="utf-8")
    return folder


def test_our_own_parts_are_found_as_a_strangers_would_be() -> None:
    assert registry.load("models", "harmonic") is Harmonic
    assert {"beats-baseline", "recall-at", "latency"} <= set(registry.names("gates"))
    assert set(registry.names("actions")) == {"notify", "propose"}


@pytest.mark.usefixtures("fresh")
def test_a_strangers_part_needs_an_entry_point_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "strange_models.py").write_text("class Guess:\n    pass\n", encoding="utf-8")
    monkeypatch.syspath_prepend(_installed(tmp_path, "strange", "[trunkline.models]\nguess = strange_models:Guess\n"))

    assert registry.load("models", "guess").__name__ == "Guess"
    assert "harmonic" in registry.names("models")


@pytest.mark.usefixtures("fresh")
def test_two_parts_of_one_name_are_refused_and_both_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(_installed(tmp_path, "strange", "[trunkline.models]\nharmonic = strange_models:Harmonic\n"))

    with pytest.raises(TrunklineError) as refused:
        registry.names("models")

    assert "'harmonic' by strange_models:Harmonic and by trunkline.models.harmonic:Harmonic" in refused.value.what
    assert "uninstall" in refused.value.next_step


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("value", ["no_such_module:Guess", "json:Guess"])
def test_a_part_that_cannot_be_loaded_says_which_and_who_registered_it(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(_installed(tmp_path, "strange", f"[trunkline.models]\nguess = {value}\n"))

    with pytest.raises(TrunklineError, match="The model 'guess' is registered and cannot be loaded") as refused:
        registry.load("models", "guess")

    assert value in refused.value.where


def test_an_unknown_part_shows_the_closest_known_one() -> None:
    with pytest.raises(UnknownName, match="There is no model 'harmonics'") as refused:
        registry.load("models", "harmonics")

    assert refused.value.next_step == "Did you mean 'harmonic'?"


def test_every_part_we_register_can_be_loaded() -> None:
    for kind in ("models", "gates", "actions"):
        for name in registry.names(kind):
            assert callable(registry.load(kind, name)), name
