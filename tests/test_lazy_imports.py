"""What costs seconds to import is imported by whoever needs it, and by nobody else."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("sklearn", "lightgbm", "torch", "matplotlib", "sqlalchemy", "deltalake", "polars", "scipy", "holidays", "jinja2", "cryptography")

SAYS_WHAT_IT_LOADED = """
import json, sys
sys.argv = {argv!r}
if {module!r}:
    __import__({module!r})
if sys.argv:
    from trunkline.cli import main
    try:
        main()
    except SystemExit as done:
        assert not done.code, done.code
print("\\n" + json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""


def loaded(folder: Path, *argv: str, module: str = "") -> set[str]:
    """The top-level modules a process has loaded when it ends."""
    code = SAYS_WHAT_IT_LOADED.format(argv=list(argv), module=module)
    environment = {**os.environ, "XDG_CONFIG_HOME": str(folder / "config")}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, env=environment, check=True)
    return set(json.loads(said.stdout.splitlines()[-1]))


def test_importing_trunkline_loads_nothing_but_itself(tmp_path: Path) -> None:
    found = loaded(tmp_path, module="trunkline")

    assert found & {*HEAVY, "numpy", "click"} == set()


@pytest.mark.parametrize("argv", [("trunkline", "--help"), ("trunkline", "--version")], ids=" ".join)
def test_help_loads_nothing_heavy(argv: tuple[str, ...], tmp_path: Path) -> None:
    found = loaded(tmp_path, *argv)

    assert found & {*HEAVY, "numpy"} == set()
    assert "click" in found


@pytest.mark.parametrize("noun", ["workflow", "data", "feature", "model", "gate", "decision", "audit", "workspace", "simulator"])
def test_the_help_of_a_noun_loads_nothing_heavy(noun: str, tmp_path: Path) -> None:
    assert loaded(tmp_path, "trunkline", noun, "--help") & {*HEAVY, "numpy"} == set()


def test_listing_workflows_in_an_empty_folder_loads_no_learner(tmp_path: Path) -> None:
    found = loaded(tmp_path, "trunkline", "workflow", "list")

    assert found & {"sklearn", "lightgbm", "torch", "matplotlib", "scipy", "deltalake", "holidays", "jinja2"} == set()


def test_help_answers_in_well_under_half_a_second_of_processor_time(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from trunkline.cli import main; main()", "--help"]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)  # compiled once

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)

    spent = (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
    assert spent < 0.5, f"{spent:.2f} s of processor time"
