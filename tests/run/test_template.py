from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.core.errors import BadInput
from trunkline.run import template
from trunkline.run.shipped import find


@pytest.mark.parametrize("name", ["busy-cells", "x", "class", "a1-b2"])
def test_a_new_workflow_loads_as_it_is_written(name: str, tmp_path: Path) -> None:
    for path, text in template.files(name, tmp_path).items():
        template.write(path, text)

    workflow = find(tmp_path / f"{name}.py")

    assert workflow.name == name
    assert workflow.runbook == tmp_path / f"{name}.md"
    assert workflow.decide is not None
    assert workflow.decide({"element": "c1"}, 0.5) is None  # type: ignore[arg-type]
    said = workflow.decide({"element": "c1"}, 0.995)  # type: ignore[arg-type]
    assert said is not None
    assert said.target == "c1"


def test_the_runbook_names_commands_there_are(tmp_path: Path) -> None:
    from trunkline.cli import trunkline as command_line

    text = template.files("busy-cells", tmp_path)[tmp_path / "busy-cells.md"]
    lines = [part.split() for part in text.split("`") if part.startswith("trunkline ")]

    assert len(lines) >= 4
    for _, noun, verb, *_ in lines:
        group = command_line.get_command(None, noun)  # type: ignore[arg-type]
        assert verb in group.commands, f"{noun} {verb}"  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["Busy", "busy_cells", "-x", "x-", "5g", "", "../x", "a b"])
def test_a_name_that_no_workflow_may_have_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is no name of a workflow") as refused:
        template.files(name, tmp_path)

    assert "busy-cells" in refused.value.allowed


def test_a_file_that_is_there_already_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text("mine", encoding="utf-8")

    with pytest.raises(BadInput, match="is there already"):
        template.write(path, "theirs")

    assert path.read_text(encoding="utf-8") == "mine"
