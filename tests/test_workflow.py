"""What a workflow must not leave out, and what makes it another one."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import Decision, Guardrail, Outcome, Owner, Release, Shadow, Workflow, actions, decisions, feedback, gates, models, rollout
from trunkline.core.errors import BadFile, WorkflowError
from trunkline.features import Features, each_kpi, kpi
from trunkline.run.shipped import find
from trunkline.workflow import FORMAT, diff

WORDS: dict[str, Any] = {
    "Decision": Decision, "Features": Features, "Guardrail": Guardrail, "Outcome": Outcome, "Owner": Owner, "Shadow": Shadow, "Workflow": Workflow,
    "actions": actions, "decisions": decisions, "feedback": feedback, "gates": gates, "models": models, "each_kpi": each_kpi, "kpi": kpi,
}  # fmt: skip
"""What a workflow's file imports: enough to run every line that an error suggests."""

NEEDED = ("owner", "purpose", "outcome", "control", "safe_default", "data", "features", "model", "gates", "decide", "act", "feedback")

GOLDEN = """from trunkline import Decision, Guardrail, Outcome, Owner, Workflow, actions, feedback, gates, models
from trunkline.features import Features, each_kpi
from levels import is_high

FLOOR = 0.5


def decide(row, score):
    if score < FLOOR or not is_high(score):
        return None
    return Decision("investigate", target=row["element"], confidence=score)


workflow = Workflow(
    name="golden",
    owner=Owner(team="a", oncall="b", runbook="golden.md"),
    purpose="network-assurance",
    outcome=Outcome.target("hours", baseline="last 8 weeks", at_least="-50 %"),
    control="approve",
    safe_default="no decision",
    data=("measurements",),
    features=Features(entity="element", every="1h", columns={"kpis": each_kpi()}),
    model=models.Harmonic(),
    gates=(gates.BeatsBaseline(), gates.Latency(p99_ms=50)),
    decide=decide,
    guardrail=Guardrail(items_per_shift=5),
    act=actions.Propose(to="noc", expires="8h"),
    feedback=feedback.QueueOutcome(within="3d"),
)
"""
LEVELS = "LEVEL = 0.9\n\n\ndef is_high(score):\n    return score >= LEVEL\n"

# May change only together with FORMAT, and then releases made before are not found to be of the same
# workflow: deploy asks to train again. A new optional field, here or in any part, must not change it.
GOLDEN_HASH = "4c3bc2434e2f845c73fa59f5efb65c4adb22b782fe0eb3aab540a91fe321edc5"
GOLDEN_RELEASE = "23a3dc59feac5d60"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write a workflow's file, its runbook and its helpers; the same name is written over."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # two versions of one file within a second

    def run(text: str = GOLDEN, *, folder: str = "w", newline: str = "\n", **helpers: str) -> Path:
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        for name, content in {"golden.md": "# Runbook\n", "golden.py": text, "levels.py": LEVELS, **{f"{k}.py": v for k, v in helpers.items()}}.items():
            (place / name).write_bytes(content.replace("\n", newline).encode())
        return place / "golden.py"

    return run


@pytest.fixture
def fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The fields of a workflow that may load; its decide is a ready-made part, so its folder is the one it is written in."""
    monkeypatch.chdir(tmp_path)
    runbook = tmp_path / "runbook.md"
    runbook.write_text("# Runbook\n", encoding="utf-8")
    return {
        "name": "busy-cells",
        "owner": Owner(team="ran", oncall="ran-oncall", runbook=str(runbook)),
        "purpose": "network-assurance",
        "outcome": Outcome.target("hours", baseline="last 8 weeks", at_least="-50 %"),
        "control": "approve",
        "safe_default": "no decision",
        "data": ("measurements",),
        "features": Features(entity="cell", every="1h", columns={"traffic": kpi("dl_volume")}),
        "model": models.Harmonic(),
        "gates": (gates.BeatsBaseline(),),
        "decide": decisions.Above(0.99),
        "act": actions.Propose(to="noc"),
        "feedback": feedback.QueueOutcome(),
    }


def _lines_of(refused: WorkflowError) -> dict[str, str]:
    """The lines an error suggests, by field."""
    lines = [line.strip() for line in refused.next_step.splitlines()[1:]]
    assert all(line.endswith(",") for line in lines), lines
    return {line.partition("=")[0]: line for line in lines}


# --- what may not be left out -------------------------------------------------------------------


@pytest.mark.parametrize("name", NEEDED)
def test_a_field_that_is_left_out_is_named_and_the_line_that_is_shown_works(name: str, fields: dict[str, Any], tmp_path: Path) -> None:
    rest = {key: value for key, value in fields.items() if key != name}
    with pytest.raises(WorkflowError, match="1 thing left out") as refused:
        Workflow(**rest)
    (tmp_path / "runbooks").mkdir()
    (tmp_path / "runbooks" / "sleeping-cell.md").write_text("# Runbook\n", encoding="utf-8")
    text = f"workflow = Workflow(**rest,\n    {_lines_of(refused.value)[name]}\n)"

    scope: dict[str, Any] = {**WORDS, "rest": rest}
    exec(text, scope)  # pasted as it stands

    assert f"{name}: " in refused.value.where
    assert isinstance(scope["workflow"], Workflow)


def test_everything_that_is_left_out_is_named_at_once_and_all_lines_together_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorkflowError, match=f"{len(NEEDED)} things left out") as refused:
        Workflow(name="busy-cells")
    (tmp_path / "runbooks").mkdir()
    (tmp_path / "runbooks" / "sleeping-cell.md").write_text("# Runbook\n", encoding="utf-8")

    scope = dict(WORDS)
    exec("workflow = Workflow(name='busy-cells',\n" + "\n".join(_lines_of(refused.value).values()) + "\n)", scope)

    assert set(_lines_of(refused.value)) == set(NEEDED)
    assert scope["workflow"].name == "busy-cells"


def test_the_fields_that_must_not_be_left_out_are_those_without_a_use_of_their_own_default(fields: dict[str, Any]) -> None:
    optional = {f.name for f in dataclasses.fields(Workflow)} - set(NEEDED) - {"name"}

    assert optional == {"rollout", "guardrail", "regions", "way_back", "review_every"}
    assert Workflow(**fields).rollout == Shadow()


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("name", "Busy Cells", "'Busy Cells' is not lower-case words joined by '-'"),
        ("name", "", "'' is not lower-case words"),
        ("control", "yolo", "'yolo' is none of advise, approve, auto"),
        ("owner", "ran-team", "it is 'ran-team', not an Owner"),
        ("outcome", "less trouble", "not what Outcome.target() makes"),
        ("data", "measurements", "it is 'measurements', not a tuple of names"),
        ("gates", gates.BeatsBaseline(), "not a tuple of gates"),
        ("features", {"traffic": kpi("dl_volume")}, "not Features"),
        ("guardrail", {"items_per_shift": 5}, "not a Guardrail"),
        ("rollout", "shadow", "not a plan such as Shadow"),
        ("regions", "north", "not a tuple of names"),
        ("decide", 0.99, "it is 0.99, not a function of row and score"),
        ("review_every", "now and then", "'now and then' is not a length of time"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_field_that_cannot_be_used_is_named_and_the_line_that_is_shown_works(
    name: str, value: object, why: str, fields: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(WorkflowError) as refused:
        Workflow(**{**fields, name: value})
    (tmp_path / "runbooks").mkdir()
    (tmp_path / "runbooks" / "sleeping-cell.md").write_text("# Runbook\n", encoding="utf-8")

    scope: dict[str, Any] = {**WORDS, "rest": {key: given for key, given in fields.items() if key != name}}
    exec(f"workflow = Workflow(**rest, {_lines_of(refused.value)[name]})", scope)

    assert f"{name}: {why}" in refused.value.where or why in refused.value.where
    assert scope["workflow"] is not None


@pytest.mark.parametrize("part", ["team", "oncall", "runbook"])
def test_an_owner_without_team_route_or_runbook_is_none(part: str, fields: dict[str, Any]) -> None:
    with pytest.raises(WorkflowError, match=f"owner.{part}: it is empty"):
        Workflow(**{**fields, "owner": dataclasses.replace(fields["owner"], **{part: ""})})


@pytest.mark.parametrize("part", ["kpi", "baseline", "at_least"])
def test_an_outcome_without_kpi_baseline_or_aim_is_none(part: str, fields: dict[str, Any]) -> None:
    with pytest.raises(WorkflowError, match=f"outcome.{part}: it is empty"):
        Workflow(**{**fields, "outcome": dataclasses.replace(fields["outcome"], **{part: ""})})


def test_the_runbook_has_to_be_there_and_is_looked_for_beside_the_workflows_file(write: Callable[..., Path]) -> None:
    path = write()
    assert find(path).runbook == path.with_name("golden.md")
    path.with_name("golden.md").unlink()

    with pytest.raises(WorkflowError) as refused:
        find(path)

    assert f"owner.runbook: there is no file {path.with_name('golden.md')}" in refused.value.where


def test_a_workflow_whose_decide_is_a_ready_made_part_also_looks_for_its_runbook_beside_its_file(write: Callable[..., Path]) -> None:
    path = write(GOLDEN.replace("decide=decide,", "decide=decisions.Above(0.99),").replace("import Decision,", "import Decision, decisions,"))

    assert find(path).runbook == path.with_name("golden.md")


class _Reset:
    """An action that cannot be taken back."""

    reversible = False


def test_an_action_that_cannot_undo_itself_needs_a_way_back(fields: dict[str, Any]) -> None:
    with pytest.raises(WorkflowError, match="way_back: _Reset cannot undo itself") as refused:
        Workflow(**{**fields, "act": _Reset()})

    scope: dict[str, Any] = {**WORDS, "rest": {**fields, "act": _Reset()}}
    exec(f"workflow = Workflow(**rest, {_lines_of(refused.value)['way_back']})", scope)
    assert scope["workflow"].way_back == "unlock the cell in the element manager"


def test_a_workflow_cannot_be_changed(fields: dict[str, Any]) -> None:
    workflow = Workflow(**fields)

    with pytest.raises(dataclasses.FrozenInstanceError):
        workflow.control = "auto"  # type: ignore[misc]


def test_a_workflow_prints_as_who_answers_for_what(fields: dict[str, Any]) -> None:
    workflow = Workflow(**fields)

    assert repr(workflow) == f"<Workflow busy-cells of ran, control=approve, {workflow.hash[:12]}>"


# --- what makes it another one ------------------------------------------------------------------


def test_the_golden_workflow_has_the_hash_it_always_had(write: Callable[..., Path]) -> None:
    assert FORMAT == 1
    assert find(write()).hash == GOLDEN_HASH


def test_the_hash_is_the_same_wherever_the_file_lies(write: Callable[..., Path]) -> None:
    assert find(write(folder="here")).hash == find(write(folder="there")).hash


def test_two_files_of_two_folders_each_get_the_helper_beside_them(write: Callable[..., Path]) -> None:
    here = find(write(folder="here"))
    there = find(write(folder="there", levels=LEVELS.replace("0.9", "0.8")))

    assert here.hash != there.hash
    row = {"element": "c1"}
    assert here.decide is not None
    assert there.decide is not None
    assert here.decide(row, 0.85) is None  # type: ignore[arg-type]
    assert there.decide(row, 0.85) is not None  # type: ignore[arg-type]


EDITS: Mapping[str, tuple[dict[str, str], bool]] = {
    "decide": ({"text": GOLDEN.replace("return None", "return")}, True),
    "a constant it reads": ({"text": GOLDEN.replace("FLOOR = 0.5", "FLOOR = 0.6")}, True),
    "a helper's function": ({"levels": LEVELS.replace(">=", ">")}, True),
    "a helper's constant": ({"levels": LEVELS.replace("0.9", "0.8")}, True),
    "the owner": ({"text": GOLDEN.replace('team="a"', 'team="c"')}, True),
    "a limit": ({"text": GOLDEN.replace("items_per_shift=5", "items_per_shift=6")}, True),
    "a bar of a gate": ({"text": GOLDEN.replace("p99_ms=50", "p99_ms=60")}, True),
    "the order of gates": ({"text": GOLDEN.replace("(gates.BeatsBaseline(), gates.Latency(p99_ms=50))", "(gates.Latency(p99_ms=50), gates.BeatsBaseline())")}, True),
    "what it looks at": ({"text": GOLDEN.replace('every="1h"', 'every="30m"')}, True),
    "line ends": ({"newline": "\r\n"}, False),
    "a default written out": ({"text": GOLDEN.replace("    decide=decide,", '    review_every="26w",\n    decide=decide,')}, False),
    "a default of a part written out": ({"text": GOLDEN.replace("items_per_shift=5", 'items_per_shift=5, shift="8h"')}, False),
    "a list instead of a tuple": ({"text": GOLDEN.replace('data=("measurements",)', 'data=["measurements"]')}, False),
    "the order of fields": ({"text": GOLDEN.replace('    control="approve",\n', "").replace("    decide=decide,", '    decide=decide,\n    control="approve",')}, False),
    "a comment beside it": ({"text": GOLDEN + "\n# done\n"}, False),
    "a name nobody reads": ({"text": GOLDEN.replace("FLOOR = 0.5", "FLOOR = 0.5\nROOF = 1")}, False),
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_makes_another_workflow_only_where_it_changes_what_it_does(edit: str, write: Callable[..., Path]) -> None:
    change, is_another = EDITS[edit]

    before = find(write()).hash
    after = find(write(**change)).hash

    assert (after != before) is is_another


def test_a_new_optional_field_leaves_old_hashes_as_they_were(fields: dict[str, Any]) -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class WorkflowOfTomorrow(Workflow):
        quiet_hours: str = ""
        escalate_to: tuple[str, ...] = ()

    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class GuardrailOfTomorrow(Guardrail):
        per_region: int = 0

    GuardrailOfTomorrow.__name__ = "Guardrail"
    today = Workflow(**{**fields, "guardrail": Guardrail(items_per_shift=5)})

    tomorrow = WorkflowOfTomorrow(**{**fields, "guardrail": GuardrailOfTomorrow(items_per_shift=5)})

    assert tomorrow.hash == today.hash
    assert WorkflowOfTomorrow(**fields, quiet_hours="22-6").hash != Workflow(**fields).hash


def test_a_lambda_is_refused_by_name_when_its_hash_is_asked_for(fields: dict[str, Any]) -> None:
    workflow = Workflow(**{**fields, "decide": lambda row, score: None})

    with pytest.raises(WorkflowError, match="<lambda>' is a lambda"):
        workflow.hash  # noqa: B018 - reading it is the test


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (GOLDEN.replace("FLOOR = 0.5", "FLOOR = object()"), "'golden.FLOOR' cannot be part of a workflow's identity"),
        (GOLDEN.replace("decide=decide,", "decide=lambda row, score: None,"), "'golden.<lambda>' is a lambda"),
    ],
    ids=["unhashable", "lambda"],
)
def test_a_file_whose_decide_cannot_be_hashed_does_not_load(text: str, what: str, write: Callable[..., Path]) -> None:
    with pytest.raises(WorkflowError) as refused:
        find(write(text))

    assert what in refused.value.what


def test_on_another_grid_it_is_still_the_same_workflow(write: Callable[..., Path]) -> None:
    workflow = find(write())
    assert workflow.features is not None

    coarser = workflow.on_grid(Features(entity="element", every="2h", columns=workflow.features.columns))

    assert coarser.hash == workflow.hash
    assert coarser.runbook == workflow.runbook
    assert coarser.features is not None
    assert coarser.features.every != workflow.features.every


def test_an_edited_file_that_is_loaded_again_is_another_workflow(write: Callable[..., Path]) -> None:
    first = find(write())
    second = find(write(levels=LEVELS.replace("0.9", "0.95")))

    assert first.hash != second.hash
    assert second.decide is not None
    assert second.decide({"element": "c1"}, 0.92) is None  # type: ignore[arg-type]


def test_a_helper_that_is_not_there_is_told_with_the_line_that_wants_it(write: Callable[..., Path]) -> None:
    path = write(GOLDEN.replace("from levels import", "from lvels import"))

    with pytest.raises(BadFile, match="No module named 'lvels'") as refused:
        find(path)

    assert refused.value.line == 3


# --- releases -----------------------------------------------------------------------------------

RELEASE = Release(
    workflow="golden", hash="a" * 64, model="b" * 64, training={"rows": 5, "columns": ["x", "y"]}, policy={"level": 0.99}, versions={"trunkline": "0.1.0"}
)


def test_the_id_of_a_release_is_its_content_and_nothing_else() -> None:
    again = Release(**{f.name: getattr(RELEASE, f.name) for f in dataclasses.fields(Release)})

    assert again.id == RELEASE.id == GOLDEN_RELEASE
    assert len(RELEASE.id) == 16


@pytest.mark.parametrize("name", ["workflow", "hash", "model", "training", "policy", "versions", "format"])
def test_every_field_of_a_release_is_part_of_its_id(name: str) -> None:
    other: Any = {"x": 1} if isinstance(getattr(RELEASE, name), dict) else 2 if name == "format" else "other"

    assert dataclasses.replace(RELEASE, **{name: other}).id != RELEASE.id


@given(
    st.dictionaries(
        st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=5), st.integers() | st.lists(st.integers(), max_size=3), max_size=5
    ),
    st.data(),
)
def test_a_diff_names_the_fields_that_differ_and_no_others(training: dict[str, Any], data: st.DataObject) -> None:
    old = dataclasses.replace(RELEASE, training=training)
    changed = data.draw(st.sets(st.sampled_from(sorted(training)))) if training else set()
    new = dataclasses.replace(old, training={key: "changed" if key in changed else value for key, value in training.items()})

    assert {path for path, _, _ in diff(old, new)} == {f"training.{key}" for key in changed}
    assert (old.id == new.id) is (not changed)
    assert {(path, after, before) for path, before, after in diff(new, old) if not isinstance(after, list)} == {
        (path, before, after) for path, before, after in diff(old, new) if not isinstance(before, list)
    }


def test_a_field_that_only_one_of_them_has_is_told_as_none() -> None:
    assert diff(RELEASE, dataclasses.replace(RELEASE, policy={"level": 0.99, "waiver": "ann"})) == [("policy.waiver", None, "ann")]


def test_a_canary_goes_by_what_the_features_are_of(fields: dict[str, Any]) -> None:
    canary = rollout.Canary(by="cell", shadow="7d", steps=(0.01, 0.1, 1.0), stop_if=rollout.Worse("drop_rate", by=0.05, confidence=0.95, least_attempts=1000))

    workflow = Workflow(**fields, rollout=canary)
    assert workflow.hash != Workflow(**fields).hash
    assert workflow.hash == Workflow(**fields, rollout=dataclasses.replace(canary)).hash
    with pytest.raises(WorkflowError, match="its canary goes by 'site', and the features are of 'cell'"):
        Workflow(**fields, rollout=dataclasses.replace(canary, by="site"))
