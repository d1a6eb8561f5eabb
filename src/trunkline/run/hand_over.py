"""Changing verbs: carried out by the process that owns the workspace, whoever asks.

A method that changes something wears :func:`changes`. Called where nobody owns the workspace, its process becomes owner for
as long as it takes. Called while another process owns it (a service, another command), it puts a command row, waits for the
answer and gives back, or raises, what the method itself would have.

A new changing verb: a method of a sub-object of Workspace, typed, whose arguments and result :mod:`trunkline.core.travel`
can carry, with ``@changes("noun.verb")`` above it. A dry run changes nothing and is never handed over.
"""

from __future__ import annotations

import getpass
import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, is_dataclass, replace
from functools import cache, wraps
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar, cast

from trunkline.core import log
from trunkline.core.errors import NotAllowed, TrunklineError, UnknownName, WorkspaceError
from trunkline.core.trace import span
from trunkline.core.travel import hints, pack, unpack
from trunkline.core.typed import check_typed
from trunkline.store import commands, owner
from trunkline.store.commands import Command
from trunkline.store.opened import Store

_log = log.logger("commands")
P = ParamSpec("P")
R = TypeVar("R")
Line = Literal["now", "keep", "decide"]
"""Commands of one line are carried out in the order in which they were asked; a long load does not hold up a rollback."""

PATIENCE_S = 30.0
"""How long a command waits to be taken before it is withdrawn."""
_STAYS_HERE = "progress"  # a parameter that tells the caller how far it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Changing:
    """One changing verb: its name, its method, and how it is carried out."""

    verb: str
    method: Callable[..., Any]
    line: Line
    at_once: bool

    @property
    def reads_files(self) -> tuple[str, ...]:
        """Parameters that may name files."""
        return tuple(name for name, kind in hints(self.method).items() if name != "return" and ("Path" in str(kind) or "Options" in str(kind)))


CHANGING: dict[str, Changing] = {}
"""Every changing verb by name; :func:`changes` fills it."""


def changes(verb: str, *, line: Line = "now", at_once: bool = True) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Have the owner of the workspace carry this method out.

    Parameters
    ----------
    verb
        "noun.verb", as on the command line.
    line
        "now" for what must answer within a second, "keep" for loading, "decide" for what runs workflows.
    at_once
        Everything it changes lies in the database: it becomes one transaction with the command's answer. False for a method
        that takes long or writes elsewhere; such a one must change nothing when it is repeated.
    """

    def mark(method: Callable[P, R]) -> Callable[P, R]:
        if verb in CHANGING and CHANGING[verb].method.__qualname__ != method.__qualname__:
            raise TypeError(f"Two methods are called '{verb}': {CHANGING[verb].method.__qualname__} and {method.__qualname__}.")
        CHANGING[verb] = changing = Changing(verb=verb, method=method, line=line, at_once=at_once)

        @wraps(method)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            return cast("R", _called(changing, *args, **kwargs))

        return called

    return mark


@contextmanager
def under(key: str) -> Iterator[None]:
    """Give the next changing verb called inside an idempotency key: called again with the same key, it answers again and changes nothing.

    Interfaces that repeat requests use it; the key is the command's id.
    """
    token = _key.set(key)
    try:
        yield
    finally:
        _key.reset(token)


def asked_under() -> str:
    """The idempotency key that this is asked under; empty without one."""
    return _key.get()


_key: ContextVar[str] = ContextVar("trunkline_key", default="")


def _called(changing: Changing, *args: Any, **kwargs: Any) -> Any:
    bound = _signature(changing.method).bind(*args, **kwargs)
    bound.apply_defaults()
    sub, given = bound.args[0], dict(list(bound.arguments.items())[1:])
    store: Store = sub._store  # noqa: SLF001 - every sub-object of Workspace has one
    if "by" in given:
        given["by"] = " ".join(who(store, given["by"]).split())  # of whoever asks, not of the service
    if isinstance(given.get("reason"), str):
        given["reason"] = given["reason"].strip()  # blanks are no reason
    for name in given.keys() - set(changing.reads_files):
        check_typed(name, given[name])
    if given.get("dry_run") or owner.acts(store):
        return changing.method(sub, **given)
    key = _key.get()
    if not key:
        mine = owner.take(store, changing.verb)
        if mine is not None:
            with mine, mine.acting():
                carry_out_waiting(store)
                return changing.method(sub, **given)
    return _asked(store, changing, given, key or commands.new_id())


def _asked(store: Store, changing: Changing, given: dict[str, Any], key: str) -> Any:
    """Put a command and wait for its answer, or carry it out where nobody else does."""
    arguments = {name: pack(_absolute(value) if name in changing.reads_files else value) for name, value in given.items() if name != _STAYS_HERE}
    most = int(store.configuration.settings.commands_waiting)
    asked = commands.ask(store, changing.verb, arguments, by=str(given.get("by") or who(store)), reason=str(given.get("reason", "")), id=key, most=most)
    ring(store)
    return unpack(_answered(store, asked).result(), hints(changing.method).get("return", Any))


def _answered(store: Store, command: Command) -> Command:
    try:
        return _waited_for(store, command)
    except KeyboardInterrupt:
        if commands.withdraw(store, command.id):
            raise
        raise WorkspaceError(
            f"The owner had begun with {command.verb} and will finish it.",
            where=f"command {command.id}",
            next_step="Look at what it changed; trunkline audit list",
        ) from None


def _waited_for(store: Store, command: Command) -> Command:
    began = tries_at = time.monotonic()
    bell = commands.Bell(store.engine)
    try:
        while not command.is_over:
            if time.monotonic() >= tries_at:
                tries_at = time.monotonic() + (0.05 if bell.is_cheap else 0.5)  # a session of its own costs more than a file
                _take_over(store, command.verb)
            if bell.rings():
                found = commands.get(store, command.id)
                if found is None:
                    raise WorkspaceError(f"The command {command.id} is gone from the workspace.", where=command.verb, next_step="trunkline workspace check")
                command = found
            waited = time.monotonic() - began
            if command.state == "asked" and waited > PATIENCE_S and commands.withdraw(store, command.id):
                raise WorkspaceError(
                    f"Nobody answered within {PATIENCE_S:g} s. The command was withdrawn: nothing was changed, and nothing will be.",
                    where=f"{command.verb}; the workspace is owned by {owner.owner_of(store) or 'nobody'}",
                    next_step="Look whether that process still works (trunkline workspace show); stop it, and ask again.",
                )
            if not command.is_over:
                time.sleep(min(0.05, 0.005 + waited / (50 if bell.is_cheap else 10)))
    finally:
        bell.close()
    return command


def _take_over(store: Store, verb: str) -> None:
    """Carry out what waits, this one included, where nobody owns the workspace any more."""
    mine = owner.take(store, verb)
    if mine is not None:
        with mine, mine.acting():
            carry_out_waiting(store)


def carry_out_waiting(store: Store) -> int:
    """Carry out, in order, what was asked and is not over; only while acting as owner. Says how many."""
    commands.ready(store)
    found = commands.waiting(store)
    for command in found:
        carry_out(store, command)
    return len(found)


def carry_out(store: Store, command: Command) -> Command:
    """Carry out one command, through the method that a direct call uses; an unknown verb or an unfit argument refuses it."""
    changing = CHANGING.get(command.verb)
    with span(command.verb, command=command.id):
        return commands.carry_out(store, command, lambda: _performed(store, command), at_once=changing is None or changing.at_once)


def _performed(store: Store, command: Command) -> Any:
    changing = CHANGING.get(command.verb)
    if changing is None:
        raise UnknownName("changing verb", command.verb, sorted(CHANGING), where=f"command {command.id}")
    known = hints(changing.method)
    unknown = sorted(command.arguments.keys() - _signature(changing.method).parameters.keys())
    if unknown or "self" in command.arguments:
        raise NotAllowed(f"{command.verb} takes no '{(unknown or ['self'])[0]}'.", where=f"command {command.id}")
    given = {name: unpack(value, known[name]) for name, value in command.arguments.items()}
    if any(str(given.get(name, told)) != told for name, told in (("by", command.by), ("reason", command.reason))):
        raise NotAllowed("The command names one person or reason and its arguments another.", where=f"command {command.id}")
    try:
        return pack(changing.method(_home(changing.method)(store), **given))
    except TrunklineError:
        raise
    except Exception as broken:  # a fault of ours must not come back as a command that is tried for ever
        _log.exception("The command %s failed inside.", command.verb, extra={"command": command.id})
        raise TrunklineError(f"{command.verb} failed inside: {type(broken).__name__}: {broken}.", where=f"command {command.id}") from broken


def tend(store: Store, chore: Callable[[Store], object]) -> None:
    """Do a chore of the owner's where nobody owns the workspace; else it sees to that itself."""
    if owner.acts(store):
        chore(store)
        return
    mine = owner.take(store, "a look")
    if mine is not None:
        with mine, mine.acting():
            chore(store)


def line_of(command: Command) -> Line:
    """Which line carries *command* out."""
    changing = CHANGING.get(command.verb)
    return "now" if changing is None else changing.line


def ring(store: Store) -> None:
    """Wake a service in this very process; one in another process looks for itself."""
    wake = _wakes.get(str(store.folder))
    if wake is not None:
        wake()


def on_ring(store: Store, wake: Callable[[], None] | None) -> None:
    """What wakes this process's service of *store*; None when it ends."""
    if wake is None:
        _wakes.pop(str(store.folder), None)
    else:
        _wakes[str(store.folder)] = wake


_wakes: dict[str, Callable[[], None]] = {}


def who(store: Store, by: str = "") -> str:
    """Who acts: as said, else as configured, else the user of the operating system."""
    return by or store.configuration.settings.operator or getpass.getuser()


@cache
def _signature(method: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(method)


def _home(method: Callable[..., Any]) -> Callable[[Store], Any]:
    """The class that *method* was written in."""
    found: Callable[[Store], Any] = getattr(import_module(method.__module__), method.__qualname__.partition(".")[0])
    return found


def _absolute(value: Any, *, among: bool = False) -> Any:
    """Files named from where the caller stands, named from the root: the owner stands elsewhere. Text is a file where it looks like one."""
    if isinstance(value, Path) or (isinstance(value, str) and (among or value.endswith(".py")) and Path(value).exists()):
        return str(Path(value).absolute())
    if isinstance(value, list | tuple):
        return [_absolute(one, among=True) for one in value]
    if is_dataclass(value) and not isinstance(value, type):
        files = [name for name, kind in hints(type(value)).items() if "Path" in str(kind)]
        return replace(value, **{name: _absolute(getattr(value, name), among=True) for name in files})
    return value
