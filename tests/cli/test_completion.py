"""What a shell is given when somebody presses tab."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trunkline import workspace
from trunkline.cli.completion import SHELLS

TRUNKLINE = str(Path(sys.executable).with_name("trunkline"))


def completed(words: str) -> list[str]:
    environment = {**os.environ, "_TRUNKLINE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    done = subprocess.run([TRUNKLINE], env=environment, capture_output=True, text=True, check=True, timeout=60)
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_gets_a_script_that_names_the_program(shell: str) -> None:
    done = subprocess.run([TRUNKLINE, "completion", shell], capture_output=True, text=True, check=True, timeout=60)

    assert "_TRUNKLINE_COMPLETE" in done.stdout


def test_nouns_verbs_and_workflows_are_completed() -> None:
    assert "workflow" in completed("trunkline work")
    assert {"approve", "list"} <= set(completed("trunkline decision "))
    assert "kpi-anomaly" in completed("trunkline workflow show kpi")


def test_open_decisions_of_the_workspace_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    workspace.create(tmp_path / "w").close()

    assert completed(f"trunkline -w {tmp_path / 'w'} decision approve ") == []
