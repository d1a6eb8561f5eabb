from __future__ import annotations

import sys
from pathlib import Path

import pytest

from trunkline import Workflow
from trunkline.core.errors import BadFile, UnknownName, WorkflowError
from trunkline.run import shipped, template


@pytest.mark.parametrize("name", shipped.names())
def test_every_workflow_we_ship_loads_with_its_runbook(name: str) -> None:
    workflow = shipped.find(name)

    assert workflow.name == name
    assert workflow.runbook.read_text(encoding="utf-8").startswith("# ")
    assert len(workflow.hash) == 64
    assert shipped.find(name) is workflow


def test_three_are_shipped() -> None:
    assert {"kpi-anomaly", "sleeping-cell"} <= set(shipped.names())


@pytest.mark.parametrize(("name", "close"), [("kpi-anomoly", "kpi-anomaly"), ("sleepingcell", "sleeping-cell")])
def test_an_unknown_name_shows_the_closest(name: str, close: str) -> None:
    with pytest.raises(UnknownName, match=f"There is no workflow '{name}'") as refused:
        shipped.find(name)

    assert refused.value.next_step == f"Did you mean '{close}'?"


def test_a_file_that_is_not_there_shows_those_that_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "busy.py").touch()

    with pytest.raises(UnknownName, match="There is no workflow file 'bsuy.py'") as refused:
        shipped.find("bsuy.py")

    assert refused.value.next_step == "Did you mean 'busy.py'?"


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for path, text in template.files("mine", tmp_path).items():
        template.write(path, text)
    return tmp_path / "mine.py"


def test_a_file_is_found_by_path_or_text_and_goes_by_its_own_name(mine: Path) -> None:
    assert shipped.find(mine).hash == shipped.find(str(mine)).hash
    assert shipped.name_of(mine) == "mine"
    assert shipped.name_of("kpi-anomaly") == "kpi-anomaly"


@pytest.mark.parametrize(
    ("change", "shown", "what"),
    [
        (("def decide(", "def decide(("), "def decide((", "is not valid Python"),
        (("import annotations", "import annotations, barry"), "import annotations, barry", "is not valid Python"),
        (('name="mine",', 'name="mine", nmae="x",'), "workflow = Workflow(", "unexpected keyword argument 'nmae'"),
        (("model=models.Harmonic()", "model=models.Harmonics()"), "model=models.Harmonics()", "has no attribute 'Harmonics'"),
        (("elements = Features", "1 / 0\nelements = Features"), "1 / 0", "ZeroDivisionError: division by zero"),
    ],
    ids=["syntax", "future", "field", "model", "error"],
)
def test_a_file_that_fails_says_on_which_line_and_shows_no_trace(change: tuple[str, str], shown: str, what: str, mine: Path) -> None:
    mine.write_text(mine.read_text(encoding="utf-8").replace(*change), encoding="utf-8")

    with pytest.raises(BadFile, match=what) as refused:
        shipped.find(mine)

    assert refused.value.path == str(mine)
    assert refused.value.line is not None
    assert shown in mine.read_text(encoding="utf-8").splitlines()[refused.value.line - 1]


def test_a_broken_helper_is_told_by_its_own_path(mine: Path) -> None:
    mine.with_name("levels.py").write_text("LEVEL = = 1\n", encoding="utf-8")
    mine.write_text("import levels\n" + mine.read_text(encoding="utf-8").replace("from __future__ import annotations\n", ""), encoding="utf-8")

    with pytest.raises(BadFile, match="is not valid Python") as refused:
        shipped.find(mine)

    assert (Path(refused.value.path).name, refused.value.line) == ("levels.py", 1)


@pytest.mark.parametrize("text", ["", "workflow = 5\n", "flow = 1\n"])
def test_a_file_without_a_workflow_says_what_is_missing(text: str, mine: Path) -> None:
    mine.write_text(text, encoding="utf-8")

    with pytest.raises(WorkflowError, match="defines no `workflow`") as refused:
        shipped.find(mine)

    assert "trunkline workflow new" in refused.value.next_step


def test_loading_leaves_the_path_for_imports_as_it_was(mine: Path) -> None:
    before = list(sys.path)

    assert isinstance(shipped.find(mine), Workflow)
    mine.write_text("1 / 0", encoding="utf-8")
    with pytest.raises(BadFile):
        shipped.find(mine)

    assert sys.path == before


def test_trunkline_itself_is_never_loaded_twice_even_from_a_file_beside_it(mine: Path) -> None:
    from trunkline import models

    shipped.find(mine)
    shipped.find(mine)

    assert sys.modules["trunkline.models"] is models
    assert isinstance(shipped.find(mine).model, models.Harmonic)
