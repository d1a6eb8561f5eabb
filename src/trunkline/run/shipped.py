"""Find a workflow: by name among the registered ones, or in the user's own file."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from trunkline.core import registry
from trunkline.core.canonical import sha256
from trunkline.core.errors import BadFile, TrunklineError, UnknownName, WorkflowError
from trunkline.core.source import KNOWN_AS, is_foreign
from trunkline.workflow import USER_MODULE, Workflow

_neighbours: set[str] = set()
"""Modules that lie beside the workflow file loaded last, by the name they were imported under."""


def find(name: str | Path) -> Workflow:
    """The workflow called *name*, or the one the file *name* holds as ``workflow``.

    A workflow file is Python and runs with the rights of who loads it.

    Raises
    ------
    UnknownName
        Neither a registered workflow nor a file; shows the closest.
    WorkflowError
        The file holds a workflow that may not load; names what is left out.
    """
    if isinstance(name, Path) or str(name).endswith(".py"):
        return _from_file(Path(name))
    if str(name) not in names():
        raise UnknownName("workflow", str(name), names(), next_step=f"A workflow of your own is named by its file: {name}.py")
    found = registry.load("workflows", str(name))
    if not isinstance(found, Workflow):
        raise WorkflowError(
            f"What is registered as '{name}' is no Workflow but {type(found).__name__}.",
            where=f"entry point {registry.names('workflows')[str(name)].value} in trunkline.workflows",
            allowed="workflow = Workflow(...)",
        )
    return found


def name_of(name: str | Path) -> str:
    """The name of a workflow given by name or file."""
    return find(name).name if str(name).endswith(".py") else str(name)


def names() -> list[str]:
    """Registered workflows."""
    return list(registry.names("workflows"))


def _from_file(path: Path) -> Workflow:
    if not path.is_file():
        raise UnknownName("workflow file", str(path), [str(p) for p in sorted(Path().glob("*.py"))] or names())
    folder = str(path.resolve().parent)
    spec = spec_from_file_location(f"{USER_MODULE}{sha256(str(path.resolve()).encode())[:8]}_{path.stem.replace('-', '_')}", path)
    if spec is None or spec.loader is None:
        raise BadFile("This is no Python file.", path=path)
    module = module_from_spec(spec)
    setattr(module, KNOWN_AS, path.stem)
    _forget_neighbours()
    before = set(sys.modules)
    sys.modules[spec.name] = module
    sys.path.insert(0, folder)  # so that it can import the helper beside it
    try:
        spec.loader.exec_module(module)
        found = _workflow_in(module, path)
    except TrunklineError:
        raise
    except SyntaxError as broken:
        inside = Path(broken.filename or path)
        raise BadFile(f"It is not valid Python: {broken.msg}.", path=inside, line=broken.lineno) from broken
    except SystemExit as left:
        raise BadFile(f"It ends the program when it is read: exit {left.code}.", path=path, allowed="a file that only defines `workflow`") from left
    except Exception as broken:
        raise BadFile(f"It fails when it is run: {type(broken).__name__}: {broken}.", path=path, line=_line(broken, path)) from broken
    finally:
        sys.path.remove(folder)
        _neighbours.update(name for name in set(sys.modules) - before - {spec.name} if _lies_in(sys.modules[name], folder))
    return found


def _workflow_in(module: ModuleType, path: Path) -> Workflow:
    """The workflow of a file; its sources are read now, while the helpers beside it are the ones that were loaded."""
    found = getattr(module, "workflow", None)
    if not isinstance(found, Workflow):
        raise WorkflowError(
            f"{path} defines no `workflow`.", allowed="workflow = Workflow(...)", next_step="trunkline workflow new NAME writes one to start from."
        )
    found.sources  # noqa: B018 - refuses by name what has no source
    return found


def _forget_neighbours() -> None:
    """A second file may have a helper of the same name beside it, and an edited helper is read again."""
    for name in _neighbours:
        sys.modules.pop(name, None)
    _neighbours.clear()


def _lies_in(module: ModuleType, folder: str) -> bool:
    path = getattr(module, "__file__", None)
    return path is not None and not is_foreign(module) and Path(path).resolve().is_relative_to(folder)


def _line(broken: BaseException, path: Path) -> int | None:
    trace, line = broken.__traceback__, None
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename) == path or trace.tb_frame.f_code.co_filename == str(path.resolve()):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
