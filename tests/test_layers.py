"""Who may import whom: downwards only. The order is drawn in the architecture; what it allows beyond is written here with its reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

import trunkline

ROOT = Path(trunkline.__file__).parent

ORDER = (
    ("core",),
    ("store",),
    ("govern",),
    ("data", "features", "models", "gates", "rollout", "decisions", "actions", "feedback", "simulator"),
    ("workflow",),
    ("run",),
    ("workspace", "workflows"),
    ("cli", "north"),
)
LAYER = {part: number for number, parts in enumerate(ORDER) for part in parts}

# (who, whom) inside one layer -> why.
SIDEWAYS = {
    ("cli", "north"): "the command line starts the REST interface",
    ("simulator", "data"): "the simulator writes the names that the counter maps read, so that they are spelled once",
}

# A part of layer 4 never sees the store; (module, import) -> why.
TO_THE_STORE: dict[tuple[str, str], str] = {}


class Arrow(NamedTuple):
    """One import: from a module, to a module, on a line, inside a function or not."""

    source: str
    target: str
    line: int
    is_inside: bool


@cache
def modules() -> dict[str, Path]:
    names = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def _of_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _imports(tree: ast.AST, *, is_inside: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for node in ast.iter_child_nodes(tree):
        if _of_types_only(node):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, is_inside
        else:
            yield from _imports(node, is_inside=is_inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _home(module: str, name: str) -> str:
    """The module that ``from module import name`` reads: a submodule, or what the package hands on."""
    if name.endswith("_kernel"):
        return f"{module}.{name}"
    if f"{module}.{name}" in modules() and isinstance(getattr(import_module(module), name, None), ModuleType):  # not a function of the same name
        return f"{module}.{name}"
    if module == "trunkline":
        home = trunkline._MODULE_OF.get(name)
        return f"trunkline.{home}" if home else f"trunkline.{name}"
    return module


@cache
def arrows() -> list[Arrow]:
    found = []
    for module, path in modules().items():
        for node, is_inside in _imports(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                targets = {alias.name for alias in node.names}
            else:
                assert node.level == 0, f"{path}:{node.lineno}: imports are written out in full"
                targets = {_home(node.module or "", alias.name) for alias in node.names}
            found += [Arrow(module, target, node.lineno, is_inside) for target in targets if target.partition(".")[0] == "trunkline"]
    return found


def part(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_every_part_has_a_layer() -> None:
    parts = {part(module) for module in modules()} - {""}

    assert parts <= set(LAYER), "a new folder needs a place in ORDER, and in the architecture"


def test_imports_point_downwards() -> None:
    wrong = [
        f"{one.source}:{one.line} imports {one.target}"
        for one in arrows()
        if part(one.source) and part(one.target) and part(one.source) != part(one.target) and LAYER[part(one.target)] >= LAYER[part(one.source)]
        if (part(one.source), part(one.target)) not in SIDEWAYS
    ]

    assert wrong == []


def test_every_exception_is_still_needed() -> None:
    taken = {(part(one.source), part(one.target)) for one in arrows()}

    assert set(SIDEWAYS) <= taken
    assert all(SIDEWAYS.values())


def test_only_run_and_what_is_above_it_holds_the_store() -> None:
    below = {name for name, layer in LAYER.items() if LAYER["govern"] < layer < LAYER["run"]}

    wrong = [f"{one.source}:{one.line}" for one in arrows() if part(one.source) in below and part(one.target) == "store"]

    assert wrong == []


def test_a_workflow_is_written_of_values_features_limits_and_a_plan() -> None:
    assert {part(one.target) for one in arrows() if part(one.source) == "workflow"} == {"core", "features", "decisions", "rollout"}


def test_the_package_itself_imports_nothing_before_it_is_asked_for() -> None:
    assert [one for one in arrows() if one.source == "trunkline"] == []


def test_the_workflows_we_ship_are_written_as_a_users_would_be() -> None:
    public = {f"trunkline.{name}" for name in trunkline._PACKAGES} | {f"trunkline.{home}" for home in trunkline._MODULE_OF.values()}

    for one in arrows():
        if one.source.startswith("trunkline.workflows."):
            assert one.target in public, f"{one.source}:{one.line} reaches past the public names: {one.target}"


def test_no_module_imports_itself_in_a_circle_not_even_inside_a_function() -> None:
    graph: dict[str, set[str]] = {name: set() for name in modules()}
    for one in arrows():
        if one.target in graph and one.target != one.source:
            graph[one.source].add(one.target)

    circle = _circle(graph)

    assert circle is None, f"imported in a circle: {' -> '.join(circle or [])}"


def _circle(graph: dict[str, set[str]]) -> list[str] | None:
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> list[str] | None:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return None
        for target in sorted(graph[name]):
            found = visit(target, [*way, name])
            if found:
                return found
        done.add(name)
        return None

    return next((found for found in (visit(name, []) for name in sorted(graph)) if found), None)


@pytest.mark.parametrize("graph", [{"a": {"b"}, "b": {"a"}}, {"a": {"a"}}, {"a": {"b"}, "b": {"c"}, "c": {"b"}}])
def test_the_search_for_circles_finds_one(graph: dict[str, set[str]]) -> None:
    assert _circle({**{name: set() for targets in graph.values() for name in targets}, **graph})


def test_trunkline_is_imported_inside_a_function_only_to_be_light() -> None:
    """A function-level import of ours is fine where the module is heavy or reads the command line; elsewhere it hides something."""
    allowed = {"cli", "north"}  # north: its application imports FastAPI, the process that starts it does not

    hidden = [
        f"{one.source}:{one.line} imports {one.target}"
        for one in arrows()
        if one.is_inside and part(one.source) not in allowed and not one.target.endswith("_kernel")  # kernels import numba
    ]

    assert hidden == []


def test_no_folder_is_empty_and_none_is_called_after_nothing() -> None:
    for folder in {path.parent for path in modules().values()}:
        assert folder.name not in {"utils", "helpers", "common", "misc"}
        assert any(path.stat().st_size for path in folder.glob("*.py")), folder
