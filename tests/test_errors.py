"""Every error answers: what happened, where, what was allowed, what to do next. The errors here are raised the way users raise them."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import trunkline
from trunkline.core import clock, config, errors, extras, registry
from trunkline.core.errors import BadFile, NotAllowed, TooLittleData, TrunklineError, UnknownName, WorkflowError, WorkspaceError
from trunkline.run import shipped, template, truth
from trunkline.run.load import paths_of

ROOT = Path(trunkline.__file__).parent
CLASSES = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, TrunklineError)]


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = (errors.__doc__ or "").split("The facts travel")[0]

    for one in CLASSES:
        assert f"{one.__name__} " in drawn or f"{one.__name__}\n" in drawn, one.__name__
    assert drawn.count("── ") == len(CLASSES) - 1


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_says_on_its_line_in_the_tree_when_it_is_raised(kind: type[TrunklineError]) -> None:
    line = next(line for line in (errors.__doc__ or "").splitlines() if f"{kind.__name__}" in line)

    assert len(line.split()) > 2 or kind is TrunklineError
    assert kind.__doc__


def test_a_message_shows_what_it_was_told_and_nothing_where_it_was_told_nothing() -> None:
    full = TrunklineError("It broke.", where="a.xml", allowed="b", next_step="c")

    assert str(full) == "It broke.\n  Where: a.xml\n  Allowed: b\n  Next: c"
    assert str(TrunklineError("It broke.")) == "It broke."
    assert (full.what, full.where, full.allowed, full.next_step) == ("It broke.", "a.xml", "b", "c")


def test_a_file_and_its_line_travel_with_the_error() -> None:
    refused = BadFile("It breaks off.", path=Path("a.xml"), line=7)

    assert (refused.path, refused.line, refused.where) == ("a.xml", 7, "a.xml, line 7")
    assert BadFile("It breaks off.", path="a.xml").where == "a.xml"


def test_an_unknown_name_shows_the_closest_and_never_a_page_of_others() -> None:
    many = UnknownName("KPI", "dl_volum", [f"kpi_{n}" for n in range(40)] + ["dl_volume"])

    assert many.next_step == "Did you mean 'dl_volume'?"
    assert "and 29 more" in many.allowed
    assert UnknownName("KPI", "zzzzz", ["dl_volume"]).next_step == ""
    assert UnknownName("KPI", "x", []).allowed == "none is known"


AT = datetime(2026, 11, 20, tzinfo=UTC)

# What a user does -> the error, and which of the four questions it answers beside "what".
RAISED: dict[str, tuple[Callable[[Path], Any], type[TrunklineError], set[str]]] = {
    "a workflow with nothing in it": (lambda _: trunkline.Workflow(name="x"), WorkflowError, {"where", "next_step"}),
    "a workflow nobody knows": (lambda _: shipped.find("kpi-anomoly"), UnknownName, {"allowed", "next_step"}),
    "a workflow's file that is not there": (lambda folder: shipped.find(folder / "x.py"), UnknownName, {"allowed"}),
    "a model nobody knows": (lambda _: registry.load("models", "harmonics"), UnknownName, {"allowed", "next_step"}),
    "a name for a new workflow": (lambda folder: template.files("Busy", folder), TrunklineError, {"allowed"}),
    "a length of time": (lambda _: clock.duration("soon"), TrunklineError, {"allowed"}),
    "a time without zone": (lambda _: clock.utc(AT.replace(tzinfo=None)), TrunklineError, {"allowed", "next_step"}),
    "a zone": (lambda _: clock.zone("Europe/Roma"), TrunklineError, {"allowed"}),
    "a library that is not installed": (lambda _: extras.need("nothing_of_this_name", extra="deep"), errors.MissingExtra, {"next_step"}),
    "files that are not there": (lambda folder: paths_of([folder / "x.csv"]), UnknownName, {"where", "allowed"}),
    "known faults that are not there": (lambda folder: truth.read_truth(folder / "x.csv"), BadFile, {"where", "allowed"}),
    "a workspace that is not there": (lambda folder: trunkline.open(folder / "w", flags={"keys": str(folder / "k")}), WorkspaceError, {"next_step"}),
    "a setting": (lambda folder: config.read(folder, flags={"shift": "long"}), TrunklineError, {"where", "allowed"}),
    "a release that is live going on": (lambda _: trunkline.rollout.next_state("live", verdict="pass"), NotAllowed, {"allowed"}),
    "a release without a verdict": (lambda _: trunkline.rollout.next_state("shadow", verdict=None), NotAllowed, {"next_step"}),
    "a limit that lets nothing through": (lambda _: trunkline.Guardrail(items_per_shift=0), WorkflowError, {"where", "allowed"}),
    "no data": (lambda folder: _workspace(folder).workflows.replay("kpi-anomaly"), TooLittleData, {"next_step"}),
    "a decision that is not there": (lambda folder: _workspace(folder).decisions.show("zz"), UnknownName, {"allowed"}),
    "a way back where there is none": (lambda folder: _workspace(folder).workflows.rollback("kpi-anomaly", by="ann", reason="x"), NotAllowed, {"allowed", "next_step"}),
}  # fmt: skip


def _workspace(folder: Path) -> trunkline.Workspace:
    return trunkline.create(folder / "w", clock=lambda: AT + timedelta(days=1), flags={"keys": str(folder / "keys")})


@pytest.mark.parametrize("what", RAISED)
def test_an_error_answers_the_questions_it_can(what: str, tmp_path: Path) -> None:
    raised, kind, answers = RAISED[what]

    with pytest.raises(kind) as refused:
        raised(tmp_path)

    assert refused.value.what.rstrip().endswith((".", "?", "!"))
    assert {name for name in ("where", "allowed", "next_step") if getattr(refused.value, name)} >= answers
    assert not any(sign in refused.value.what for sign in ("Traceback", "<class", "object at 0x"))


class Raise(NamedTuple):
    """One ``raise SomeError(...)`` of ours in the source."""

    place: str
    name: str
    text: str
    answers: set[str | None]


@cache
def _nodes() -> list[tuple[Path, ast.AST]]:
    trees = ((path.relative_to(ROOT), ast.parse(path.read_text(encoding="utf-8"))) for path in sorted(ROOT.rglob("*.py")))
    return [(path, node) for path, tree in trees for node in ast.walk(tree) if isinstance(node, ast.Raise | ast.Call)]


def _raises() -> Iterator[Raise]:
    names = {one.__name__ for one in CLASSES}
    for path, node in _nodes():
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name) and node.exc.func.id in names:
            yield Raise(f"{path}:{node.lineno}", node.exc.func.id, _first_words(node.exc), {word.arg for word in node.exc.keywords})


def _first_words(call: ast.Call) -> str:
    first = call.args[0] if call.args else None
    parts = first.values if isinstance(first, ast.JoinedStr) else [first]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)


def test_every_error_we_raise_says_more_than_what_happened() -> None:
    """Beside what happened: where, or what was allowed, or what to do next. UnknownName answers them by itself."""
    bare = {one.place.partition(":")[0] for one in _raises() if one.name != "UnknownName" and not one.answers & {"where", "allowed", "next_step", "path", None}}

    assert bare <= set(BARE)


BARE = {
    "run/replay_files.py": "hands on what was said of the first file, whole",
    "data/counter_names.py": "tells the simulator's author of a name that a dialect does not have",
}


def test_what_happened_is_one_sentence_that_ends() -> None:
    wrong = [one for one in _raises() if one.name != "UnknownName" and not one.text.rstrip().endswith((".", "…", "?"))]

    assert wrong == []


def test_we_raise_every_kind_of_error_we_have() -> None:
    assert {one.__name__ for one in CLASSES} - {one.name for one in _raises()} == set()


def test_a_library_never_ends_the_program_and_never_prints() -> None:
    says = {"print", "sys.exit", "exit", "quit", "os._exit"}

    wrong = [f"{path}:{node.lineno}" for path, node in _nodes() if path.parts[0] != "cli" and isinstance(node, ast.Call) and ast.unparse(node.func) in says]

    assert wrong == []
