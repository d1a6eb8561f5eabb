"""The source that a function consists of, so that a changed helper changes the hash.

What counts is the text: of the function, of every function, class and module of the user's that it
reaches by name, and the values of the constants it reads. Trunkline's own code, the standard
library and installed packages are named, not read: their versions are part of a release.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from trunkline.core.canonical import canonical
from trunkline.core.errors import WorkflowError

_INSTALLED = ("site-packages", "dist-packages")
_STANDARD = Path(inspect.__file__).resolve().parent


def source_of(thing: Callable[..., Any]) -> dict[str, str]:
    """Every piece of source that *thing* reaches, by name; line ends are LF.

    Raises
    ------
    WorkflowError
        A global, default or closure that has neither source nor a canonical form; it is named.

    >>> sorted(source_of(textwrap.dedent)) == ["textwrap.dedent"]
    True
    """
    pieces: dict[str, str] = {}
    _reach(thing, _name(thing), pieces)
    return dict(sorted(pieces.items()))


def _reach(thing: Any, name: str, pieces: dict[str, str]) -> None:
    if name in pieces:
        return
    if isinstance(thing, ModuleType):
        pieces[name] = _module(thing)
        for inner, value in _users_own(thing):
            _reach(value, inner, pieces)
        return
    if _is_foreign(thing):
        pieces[_name(thing)] = "named"
        return
    if isinstance(thing, type):
        pieces[name] = _text(thing, name)
        for member in vars(thing).values():
            function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
            if isinstance(function, FunctionType):
                _names_used(function, pieces)
        return
    function = getattr(thing, "__func__", thing)
    if isinstance(function, FunctionType):
        pieces[name] = _text(function, name)
        _names_used(function, pieces)
        return
    try:
        pieces[name] = canonical(thing).decode()
    except TypeError as no_form:
        raise WorkflowError(
            f"'{name}' cannot be part of a workflow's identity: {no_form}.",
            where=f"decide reaches '{name}'",
            allowed="functions, classes and modules with source, and plain values",
            next_step=f"Make '{name}' a plain constant or pass it in as a field of a frozen dataclass.",
        ) from None
    if dataclasses.is_dataclass(thing) and not _is_foreign(type(thing)):
        _reach(type(thing), _name(type(thing)), pieces)


def _names_used(function: FunctionType, pieces: dict[str, str]) -> None:
    """Follow the globals, closure cells and defaults of *function*."""
    closure = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    for name, cell in closure.items():
        _reach(cell.cell_contents, f"{_name(function)}.<closure>.{name}", pieces)
    for position, value in enumerate(function.__defaults__ or ()):
        _reach(value, f"{_name(function)}.<default>.{position}", pieces)
    for name, value in (function.__kwdefaults__ or {}).items():
        _reach(value, f"{_name(function)}.<default>.{name}", pieces)
    for name in _globals_read(function.__code__):
        if name in function.__globals__:  # co_names holds attribute names too; those are not globals
            value = function.__globals__[name]
            is_named = (callable(value) or isinstance(value, ModuleType)) and not _is_value(value)
            _reach(value, _name(value) if is_named else f"{function.__module__}.{name}", pieces)


def _globals_read(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _globals_read(constant)


def _users_own(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Modules of the user's that a user's module imports in turn."""
    for value in vars(module).values():
        if isinstance(value, ModuleType):
            yield value.__name__, value
        elif callable(value) and getattr(value, "__module__", None) not in {None, module.__name__}:
            yield _name(value), value


def _module(module: ModuleType) -> str:
    if _is_foreign(module):
        return "named"
    path = getattr(module, "__file__", None)
    if not path:
        raise WorkflowError(f"The module '{module.__name__}' has no source.", where=f"decide reaches '{module.__name__}'", allowed="modules with a .py file")
    return Path(path).read_text(encoding="utf-8").replace("\r\n", "\n")


def _is_foreign(thing: Any) -> bool:
    """Whether *thing* is a module, class or function of Trunkline, the standard library or an installed package."""
    if not (isinstance(thing, ModuleType | type) or callable(thing)) or _is_value(thing):
        return False
    module = thing if isinstance(thing, ModuleType) else sys.modules.get(getattr(thing, "__module__", None) or type(thing).__module__)
    if module is None or module.__name__ == "__main__":
        return False
    if module.__name__.partition(".")[0] in {"trunkline", *sys.builtin_module_names}:
        return True
    path = getattr(module, "__file__", None)
    resolved = Path(path).resolve() if path else None
    return resolved is not None and (any(part in resolved.parts for part in _INSTALLED) or resolved.is_relative_to(_STANDARD))


def _is_value(thing: Any) -> bool:
    return dataclasses.is_dataclass(thing) and not isinstance(thing, type)


def _text(thing: Any, name: str) -> str:
    try:
        return textwrap.dedent(inspect.getsource(thing)).replace("\r\n", "\n")
    except (OSError, TypeError):
        raise WorkflowError(
            f"The source of '{name}' cannot be read, so a change to it could not be seen.",
            where=f"decide reaches '{name}'",
            allowed="functions defined in a file or a notebook cell",
        ) from None


def _name(thing: Any) -> str:
    if isinstance(thing, ModuleType):
        return thing.__name__
    return f"{getattr(thing, '__module__', '?')}.{getattr(thing, '__qualname__', type(thing).__qualname__)}"
