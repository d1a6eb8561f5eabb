"""What a user gets with pip is whole: every map, report and runbook is in it, and it runs in an empty folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

import trunkline

ROOT = Path(__file__).resolve().parents[1]
SOURCE = Path(trunkline.__file__).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the source, so that nothing is left in the checkout."""
    copy = tmp_path_factory.mktemp("copy")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(SOURCE, copy / "src" / "trunkline", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(copy / "dist"), str(copy)], check=True, capture_output=True, timeout=300
    )
    (built,) = (copy / "dist").glob("*.whl")
    return built


def test_every_file_beside_the_source_is_in_the_wheel(wheel: Path) -> None:
    inside = {name.removeprefix("trunkline/") for name in zipfile.ZipFile(wheel).namelist() if name.startswith("trunkline/")}
    beside = {path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}

    assert inside == beside


@pytest.mark.parametrize(
    "kind", ["data/vendors/*.toml", "data/kpi_sets/*.toml", "data/measurements.toml", "run/report.html", "workflows/runbooks/*.md", "py.typed"]
)
def test_what_is_read_at_run_time_is_there_to_be_packed(kind: str, wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    found = list(SOURCE.glob(kind))

    assert found
    assert {f"trunkline/{path.relative_to(SOURCE).as_posix()}" for path in found} <= names


def test_nothing_else_is_packed(wheel: Path) -> None:
    others = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}

    assert others == {"trunkline", f"trunkline-{version('trunkline')}.dist-info"}
    assert wheel.stat().st_size < 1_000_000


def test_the_wheel_carries_its_licence_its_command_and_its_parts(wheel: Path) -> None:
    archive, folder = zipfile.ZipFile(wheel), f"trunkline-{version('trunkline')}.dist-info"

    points = archive.read(f"{folder}/entry_points.txt").decode()
    metadata = archive.read(f"{folder}/METADATA").decode()

    assert f"{folder}/licenses/LICENSE" in archive.namelist()
    assert "trunkline = trunkline.cli:main" in points
    for kind in ("workflows", "models", "gates", "actions"):
        assert f"[trunkline.{kind}]" in points
    assert f"Version: {PROJECT['version']}" in metadata
    assert "License-Expression: Apache-2.0" in metadata


def test_every_entry_point_names_something_there_is() -> None:
    from trunkline.core import registry

    for kind in ("workflows", "models", "gates", "actions"):
        declared = PROJECT["entry-points"][f"trunkline.{kind}"]
        assert set(registry.names(kind)) >= set(declared), f"installed before pyproject.toml was changed: pip install -e . again ({kind})"
        for name in declared:
            assert registry.load(kind, name) is not None


def test_only_what_is_needed_is_required() -> None:
    required = {line.partition(">")[0] for line in PROJECT["dependencies"]}
    listed = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")

    for name in required:
        assert name in listed, f"docs/dependencies.md says nothing of {name}"
    assert not required & {"torch", "mlflow", "feast", "evidently", "pyarrow"}


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel alone; the libraries it needs are lent by this one."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(folder, with_pip=False)
    site = next(folder.glob("lib/python*/site-packages"))
    lent = tmp_path_factory.mktemp("lent")
    for path in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if "trunkline" not in path.name.lower():  # neither this checkout nor its entry points
            (lent / path.name).symlink_to(path)
    (site / "lent.pth").write_text(f"{lent}\n", encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--no-deps", "--no-index", "--quiet", str(wheel)],
        check=True,
        timeout=120,
    )
    return folder / "bin" / "trunkline"


@pytest.fixture
def run(installed: Path, tmp_path: Path) -> object:
    def typed(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "XDG_CONFIG_HOME": str(tmp_path / "config")}
        place = tmp_path / "empty"
        place.mkdir(exist_ok=True)
        return subprocess.run([str(installed), *words], capture_output=True, text=True, cwd=place, env=environment, timeout=300, check=False)

    return typed


@pytest.mark.slow
def test_installed_from_the_wheel_it_runs_in_an_empty_folder(run: object, installed: Path, tmp_path: Path) -> None:
    typed = run
    assert callable(typed)
    where = subprocess.run(
        [str(installed.with_name("python")), "-c", "import trunkline; print(trunkline.__file__)"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert str(installed.parents[1]) in where.stdout

    assert typed("--version").stdout.strip().endswith(PROJECT["version"])
    listed = typed("workflow", "list", "--json")
    assert {one["workflow"] for one in json.loads(listed.stdout)} >= {"kpi-anomaly", "sleeping-cell", "capacity"}
    assert all(one["owner"] for one in json.loads(listed.stdout)), "every shipped workflow loads, with its runbook"
    assert typed("workflow", "new", "x").returncode == 0
    checked = typed("workflow", "check", "x.py")
    assert checked.returncode == 0, checked.stderr
    assert "x may load" in checked.stderr


@pytest.mark.slow
def test_installed_from_the_wheel_it_replays_a_file(run: object, tmp_path: Path) -> None:
    typed = run
    assert callable(typed)
    typed("--version")
    random = np.random.default_rng(1)
    lines = [
        f"2026-09-{day:02d}T{hour:02d}:00:00Z,a,{(100 + 50 * np.sin(hour / 4)) * random.normal(1, 0.05):.2f}" for day in range(1, 29) for hour in range(24)
    ]
    (tmp_path / "empty" / "cells.csv").write_text("time,element,volume\n" + "\n".join(lines) + "\n", encoding="utf-8")

    said = typed("workflow", "replay", "kpi-anomaly", "cells.csv", "--no-self-test", "--json")

    assert said.returncode == 0, said.stderr
    page = tmp_path / "empty" / json.loads(said.stdout)["report"]
    assert page.read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")


@pytest.mark.slow
def test_what_is_installed_is_small(installed: Path) -> None:
    package = next(installed.parents[1].glob("lib/python*/site-packages/trunkline"))

    size = sum(path.stat().st_size for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)

    print(f"trunkline itself, installed: {size / 1e6:.2f} MB")
    assert size < 3_000_000
