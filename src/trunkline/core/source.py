"""The source that a function consists of, so that a changed helper changes the hash.

What counts is the text: of the function, of every function, class and module of the user's that it
reaches by name, and the values of the constants it reads. Trunkline's own code, the standard
library and installed packages are named, not read: their versions are part of a release.

Seen: globals, closures, defaults, attributes of functions, the object a method belongs to, what ``functools.partial`` binds,
base classes, imports (also those inside a function, or by ``import_module("name")``), modules of a package, and what
constants of classes and modules are worth where their text does not tell. Refused: a function that reads a file, runs a text
or imports a name it makes up. Not seen: what is reached through a string (``getattr(module, name)``).
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import re
import sys
import textwrap
import tokenize
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec, resolve_name
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from trunkline.core.canonical import canonical, sha256
from trunkline.core.errors import WorkflowError

_INSTALLED = ("site-packages", "dist-packages")
_STANDARD = Path(inspect.__file__).resolve().parent
_NAMED = "named"
KNOWN_AS = "__known_as__"
"""What a module that was loaded under a made-up name is called in hashes."""


def source_of(thing: Callable[..., Any], *further: Any) -> dict[str, str]:
    """Every piece of source that *thing* reaches, and each of *further* (a class of the user's own), by name; line ends are LF.

    Raises
    ------
    WorkflowError
        A global, default or closure that has neither source nor a canonical form, or a lambda; or a function that reads a file,
        runs a text or imports by a name it makes up: what it reaches could change unseen. It is named.

    >>> sorted(source_of(textwrap.dedent)) == ["textwrap.dedent"]
    True
    """
    walk = _Walk()
    for one in (thing, *further):
        walk.reach(one, _name(one))
    return dict(sorted(walk.pieces.items()))


class _Walk:
    """One walk along names: what was found, and which objects were seen."""

    def __init__(self) -> None:
        self.pieces: dict[str, str] = {}
        self.seen: dict[int, Any] = {}

    def keep(self, name: str, text: str) -> str:
        """Keep *text* as *name*; another text of the same name (two closures of one factory) becomes ``name#2``."""
        free, number = name, 1
        while free in self.pieces:
            number += 1
            free = f"{name}#{number}"
        self.pieces[free] = text
        return free

    def reach(self, thing: Any, name: str) -> None:
        if not _is_plain(thing):
            if id(thing) in self.seen:
                return
            self.seen[id(thing)] = thing
        if isinstance(thing, ModuleType):
            self.module(thing)
        elif isinstance(thing, functools.partial):
            self.partial(thing, name)
        elif isinstance(thing, MethodType) and not is_foreign(thing.__func__):
            self.reach(thing.__func__, _name(thing.__func__))
            self.reach(thing.__self__, f"{_name(thing.__func__)}.<self>")
        elif is_foreign(thing):
            self.pieces[_name(thing)] = _NAMED
        elif isinstance(thing, type):
            self.type(thing, name)
        elif isinstance(thing, FunctionType):
            self.function(thing, name)
        elif callable(thing) and hasattr(thing, "__wrapped__"):  # functools.cache and the like
            self.keep(name, type(thing).__qualname__)
            self.reach(thing.__wrapped__, _name(thing.__wrapped__))
        else:
            self.value(thing, name)

    def module(self, module: ModuleType) -> None:
        if is_foreign(module):
            self.pieces[_name(module)] = _NAMED
            return
        text = _module(module)
        self.keep(_name(module), text)
        if text.count("\n"):
            for made in _reckoned(text):  # read from a file, taken from another module: the text does not tell what it is
                self.told(vars(module).get(made), f"{_name(module)}.{made}")
        self.imports(text, package=module.__spec__.parent if module.__spec__ else None)

    def partial(self, thing: functools.partial[Any], name: str) -> None:
        kept = self.keep(name, "partial")
        self.reach(thing.func, _name(thing.func))
        for key, value in [*enumerate(thing.args), *thing.keywords.items()]:
            self.reach(value, f"{kept}.<argument>.{key}")

    def function(self, function: FunctionType, name: str) -> None:
        if function.__name__ == "<lambda>":
            raise WorkflowError(
                f"'{name}' is a lambda: where its source ends cannot be told for certain, so a change to it could go unseen.",
                where=f"decide reaches '{name}'",
                allowed="functions made with def",
                next_step="Write it as a function: def decide(row, score): …",
            )
        text = _text(function, name)
        _refuse_unseen(text, name)
        kept = self.keep(name, text)
        for key, value in vars(function).items():
            if key != "__wrapped__":  # what a decorator wrapped is followed as its closure
                self.reach(value, f"{kept}.<attribute>.{key}")
        self.imports(text, package=function.__globals__.get("__package__"))
        self.names_used(function, kept)

    def type(self, kind: type, name: str) -> None:
        text = _text(kind, name)
        _refuse_unseen(text, name)
        self.keep(name, text)
        for made in _reckoned(text, inside=kind.__name__):
            self.told(vars(kind).get(made), f"{name}.{made}")
        self.imports(text, package=getattr(sys.modules.get(kind.__module__), "__package__", None))
        for base in kind.__bases__:
            self.reach(base, _name(base))
        for inner, member in vars(kind).items():
            accessors = [member.fget, member.fset] if isinstance(member, property) else [getattr(member, "__func__", member)]
            for function in accessors:
                if isinstance(function, FunctionType):
                    self.method(function, f"{name}.{inner}")
            if isinstance(member, type) and member.__qualname__.startswith(f"{kind.__qualname__}."):
                self.reach(member, _name(member))

    def method(self, function: FunctionType, name: str) -> None:
        if function.__code__.co_filename == "<string>":  # written by dataclass(): only the defaults of fields are the user's
            for position, value in enumerate(function.__defaults__ or ()):
                if type(value).__module__ != "dataclasses":
                    self.reach(value, f"{name}.<default>.{position}")
            return
        if _is_installed(Path(function.__code__.co_filename)):  # put in by a decorator of the standard library
            return
        self.names_used(function, name)

    def told(self, value: Any, name: str) -> None:
        """Keep what a name stands for, where it is plain data; functions, classes and objects are followed from where they are used."""
        if value is None or not _is_plain(value):
            return
        try:
            text = canonical(value).decode()
        except (TypeError, ValueError):
            return
        if name not in self.pieces:
            self.keep(name, text)

    def value(self, thing: Any, name: str) -> None:
        if isinstance(thing, re.Pattern):
            self.keep(name, f"{thing.pattern!r} {thing.flags}")
            return
        is_users_own = dataclasses.is_dataclass(thing) and not is_foreign(type(thing))
        try:  # of a user's own class every field counts: a default may be a constant of another module
            written = {f.name: getattr(thing, f.name) for f in dataclasses.fields(thing)} if is_users_own else thing
            self.keep(name, canonical(written).decode())
        except TypeError as no_form:
            raise WorkflowError(
                f"'{name}' cannot be part of a workflow's identity: {no_form}.",
                where=f"decide reaches '{name}'",
                allowed="functions, classes and modules with source, and plain values",
                next_step=f"Make '{name}' a plain constant or pass it in as a field of a frozen dataclass.",
            ) from None
        if is_users_own:
            self.reach(type(thing), _name(type(thing)))

    def names_used(self, function: FunctionType, name: str) -> None:
        """Follow the globals, closure cells and defaults of *function*."""
        for free, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            if free == "__class__":  # what super() stands on: the class is followed from where it is named
                continue
            try:
                inside = cell.cell_contents
            except ValueError:  # a name that is bound later, or never
                continue
            self.reach(inside, f"{name}.<closure>.{free}")
        for position, value in enumerate(function.__defaults__ or ()):
            self.reach(value, f"{name}.<default>.{position}")
        for key, value in (function.__kwdefaults__ or {}).items():
            self.reach(value, f"{name}.<default>.{key}")
        for read in dict.fromkeys(_globals_read(function.__code__)):
            if read in function.__globals__:  # co_names holds attribute names too; those are not globals
                value = function.__globals__[read]
                if isinstance(value, ModuleType) and not is_foreign(value):
                    self.through(value, function.__code__)
                as_global = f"{_known_as(function.__module__)}.{read}"
                if not _is_plain(value):
                    is_named = (callable(value) or isinstance(value, ModuleType)) and not _is_value(value) and not isinstance(value, functools.partial)
                    self.reach(value, _name(value) if is_named else as_global)
                elif as_global not in self.pieces:  # read by two functions, it is still one constant
                    self.reach(value, as_global)

    def through(self, module: ModuleType, code: CodeType) -> None:
        """Follow what *code* reads of a module of the user's: modules below it, and whether its functions do what cannot be seen."""
        for read in dict.fromkeys(_globals_read(code)):
            below = sys.modules.get(f"{module.__name__}.{read}")
            if below is not None and below is not module and id(below) not in self.seen:
                self.reach(below, _name(below))
                self.through(below, code)
            function = vars(module).get(read)
            if isinstance(function, FunctionType) and not is_foreign(function) and function.__name__ != "<lambda>":
                _refuse_unseen(_text(function, _name(function)), _name(function))

    def imports(self, text: str, *, package: str | None) -> None:
        """Follow the user's own modules that *text* imports anywhere, also inside a function."""
        for name in _imported(text, package):
            module = _users_module(name)
            if module is not None:
                self.reach(module, name)


def _imported(text: str, package: str | None) -> Iterator[str]:
    try:
        tree = ast.parse(text)
    except SyntaxError:  # a cell with shell lines, a method cut out of its class: what it imports is seen by its globals
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) in _IMPORTS and node.args and isinstance(node.args[0], ast.Constant):
            yield str(node.args[0].value)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            dots = "." * node.level
            if dots and not package:
                continue
            base = resolve_name(dots + (node.module or ""), package) if dots else node.module or ""
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


_IMPORTS = frozenset({"import_module", "__import__"})
_UNSEEN = frozenset({"exec", "eval", "compile", "open", "read_text", "read_bytes", "runpy", "run_path", "run_module"})


def _called(node: ast.Call) -> str:
    """The last word of what is called: ``read_text`` of ``Path(a).read_text()``."""
    function = node.func
    return function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""


def _refuse_unseen(text: str, name: str) -> None:
    """Refuse a function that reads a file, runs a text or imports a name it makes up."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = _called(node)
        is_made_up = called in _IMPORTS and not (node.args and isinstance(node.args[0], ast.Constant))
        is_method = isinstance(node.func, ast.Attribute)
        if is_made_up or (called in _UNSEEN and not (is_method and called in {"compile", "eval", "exec"})):  # re.compile, frame.eval
            raise WorkflowError(
                f"'{name}' calls {called}(): what it reads could change unseen.",
                where=f"decide reaches '{name}', line {node.lineno} of it",
                allowed="functions whose source says all they do",
                next_step="Read it once when the file is loaded, into a constant: its value then belongs to the hash.",
            )


def _reckoned(text: str, *, inside: str = "") -> Iterator[str]:
    """Names that *text* gives values it does not spell out; of a class's body with *inside*."""
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return
    if inside:
        body = next((node.body for node in body if isinstance(node, ast.ClassDef) and node.name == inside), [])
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) and node.value else []
        if targets and not _is_spelled_out(node.value):  # type: ignore[attr-defined]
            yield from (name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name))


def _is_spelled_out(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def _users_module(name: str) -> ModuleType | None:
    """The user's own module *name*; one that a function will only import when it runs is imported now, to be read."""
    module = sys.modules.get(name)
    if module is None:
        parent, _, _ = name.rpartition(".")
        if parent and _users_module(parent) is None:
            return None
        try:
            spec = find_spec(name)
        except (ImportError, ValueError, AttributeError):  # no package, or no such module: deciding will say so where it matters
            return None
        if spec is None or not spec.has_location or not spec.origin or _is_installed(Path(spec.origin)):
            return None
        module = import_module(name)
    return module if not is_foreign(module) and getattr(module, "__file__", None) else None


def _globals_read(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _globals_read(constant)


def _module(module: ModuleType) -> str:
    path = getattr(module, "__file__", None)
    if not path:
        raise WorkflowError(f"The module '{module.__name__}' has no source.", where=f"decide reaches '{module.__name__}'", allowed="modules with a .py file")
    if not path.endswith(".py"):
        return sha256(Path(path).read_bytes())
    with tokenize.open(path) as file:  # heeds the encoding a file declares; line ends become LF
        return file.read()


def is_foreign(thing: Any) -> bool:
    """Whether *thing* is a module, class or function of Trunkline, the standard library or an installed package."""
    if not (isinstance(thing, ModuleType | type) or callable(thing)) or _is_value(thing):
        return False
    module = thing if isinstance(thing, ModuleType) else sys.modules.get(getattr(thing, "__module__", None) or type(thing).__module__)
    if module is None or module.__name__ == "__main__":
        return False
    path = getattr(module, "__file__", None)
    top = module.__name__.partition(".")[0]
    if top in {"trunkline", *sys.builtin_module_names} or (not path and top in sys.stdlib_module_names):
        return True
    return path is not None and _is_installed(Path(path))


def is_as_written(kind: type, method: str) -> bool:
    """Whether *method* of *kind* is the one a class definition of its module wrote, not one that was put there since.

    It tells an exchange made while a program runs; it is no defence against who can change the program itself.
    """
    function = next((vars(base)[method] for base in kind.__mro__ if method in vars(base)), None)
    home = next((base for base in kind.__mro__ if method in vars(base)), kind)
    if not isinstance(function, FunctionType):
        return False
    path = getattr(sys.modules.get(home.__module__), "__file__", None)
    is_there = function.__module__ == home.__module__ and function.__qualname__ == f"{home.__qualname__}.{method}"
    return is_there and (path is None or Path(function.__code__.co_filename).resolve() == Path(path).resolve())


def _is_installed(path: Path) -> bool:
    resolved = path.resolve()
    return any(part in resolved.parts for part in _INSTALLED) or resolved.is_relative_to(_STANDARD)


def _is_value(thing: Any) -> bool:
    return dataclasses.is_dataclass(thing) and not isinstance(thing, type)


def _is_plain(thing: Any) -> bool:
    """A value without identity of its own: the same 0.9 may stand behind many names."""
    return not (isinstance(thing, ModuleType | type) or callable(thing) or _is_value(thing))


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
    """Module and qualified name; a file loaded by its path goes by its stem, so that a hash is the same wherever the file lies."""
    if isinstance(thing, ModuleType):
        return _known_as(thing.__name__)
    return f"{_known_as(getattr(thing, '__module__', '?'))}.{getattr(thing, '__qualname__', type(thing).__qualname__)}"


def _known_as(module: str) -> str:
    return str(getattr(sys.modules.get(module), KNOWN_AS, module))
