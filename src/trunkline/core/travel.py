"""Values on the way between processes: as plain JSON, and back as what a signature says they are.

Arguments of a command and its answer travel so. What comes back is what was sent: dataclasses, times, paths and
frames included. An error travels as its four answers and is raised again as what it was.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import types
import typing
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from pathlib import Path, PurePath
from typing import Any

import msgspec
import polars as pl

from trunkline.core import errors
from trunkline.core.clock import duration, duration_text, utc_text
from trunkline.core.errors import BadInput, TrunklineError


def pack(value: Any) -> Any:
    """*value* as plain JSON types.

    >>> pack({"files": (Path("/data/a.csv"),), "within": timedelta(hours=1)})
    {'files': ['/data/a.csv'], 'within': '1h'}
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, pl.DataFrame):
        held = io.BytesIO()
        value.write_ipc(held, compression="zstd")
        return base64.b64encode(held.getvalue()).decode()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: pack(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): pack(one) for key, one in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        return [pack(one) for one in value]
    raise BadInput(
        f"A {type(value).__name__} cannot be handed to another process.", allowed="numbers, text, times, paths, frames, dataclasses and lists of them"
    )


def unpack(value: Any, kind: Any) -> Any:
    """*value*, as :func:`pack` made it, as the *kind* an annotation says.

    >>> unpack(["/data/a.csv"], tuple[Path, ...]) == (Path("/data/a.csv"),)
    True
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or isinstance(kind, typing.TypeVar):
        return value
    if isinstance(kind, typing.NewType):
        return unpack(value, kind.__supertype__)
    if origin in {typing.Union, types.UnionType}:
        return _first_that_fits(value, arguments)
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is ...):
        return tuple(unpack(one, of) for one, of in zip(_list(value, kind), arguments, strict=True))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            raise _misfit(value, kind)
        return {unpack(key, arguments[0]): unpack(one, arguments[1]) for key, one in value.items()}
    if isinstance(origin, type) and issubclass(origin, Sequence | set | frozenset):
        items = [unpack(one, arguments[0]) for one in _list(value, kind)]
        return items if origin is Sequence else origin(items)  # type: ignore[call-arg]  # list, tuple, set and frozenset take items
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _dataclass(value, kind)
    return _plain(value, kind)


def _plain(value: Any, kind: Any) -> Any:
    if kind is None or kind is type(None):
        if value is not None:
            raise _misfit(value, kind)
        return None
    if isinstance(kind, type) and issubclass(kind, PurePath) and isinstance(value, str):
        return Path(value)
    if kind is timedelta and isinstance(value, str):
        return duration(value)
    if kind is datetime and isinstance(value, str):
        return datetime.fromisoformat(value)
    if kind is pl.DataFrame and isinstance(value, str):
        return pl.read_ipc(io.BytesIO(base64.b64decode(value)))
    if kind is object or (isinstance(kind, type) and issubclass(kind, Mapping | list | tuple)):
        return value
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, TypeError) as wrong:
        raise _misfit(value, kind) from wrong


def _dataclass(value: Any, kind: Any) -> Any:
    if not isinstance(value, dict):
        raise _misfit(value, kind)
    known = hints(kind)
    unknown = sorted(value.keys() - {one.name for one in dataclasses.fields(kind)})
    if unknown:
        raise BadInput(f"{kind.__name__} has no field '{unknown[0]}'.", allowed=", ".join(one.name for one in dataclasses.fields(kind)))
    return kind(**{name: unpack(one, known[name]) for name, one in value.items()})


@cache
def hints(kind: Any) -> Mapping[str, Any]:
    """The annotations of a class or function, resolved."""
    return typing.get_type_hints(kind)


def _first_that_fits(value: Any, kinds: tuple[Any, ...]) -> Any:
    # Text fits str before Path: a parameter that takes either takes text.
    for kind in sorted(kinds, key=lambda one: (one is not type(None), one is not str)):
        try:
            return unpack(value, kind)
        except (BadInput, ValueError, TypeError):
            continue
    raise _misfit(value, " or ".join(str(kind) for kind in kinds))


def _list(value: Any, kind: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _misfit(value, kind)
    return value


def _misfit(value: Any, kind: Any) -> BadInput:
    return BadInput(f"{str(value)[:80]!r} is no {getattr(kind, '__name__', kind)}.", allowed=str(kind))


def pack_error(error: TrunklineError) -> dict[str, str]:
    """An error as the answer it gives: its kind, what happened, where, what was allowed, what to do next."""
    return {"error": type(error).__name__, "what": error.what, "where": error.where, "allowed": error.allowed, "next_step": error.next_step}


def unpack_error(told: Mapping[str, str]) -> TrunklineError:
    """The error that was packed, of the same kind; raise it.

    >>> type(unpack_error(pack_error(BadInput("It is no number."))))
    <class 'trunkline.core.errors.BadInput'>
    """
    kind = getattr(errors, told["error"], TrunklineError)
    kind = kind if isinstance(kind, type) and issubclass(kind, TrunklineError) else TrunklineError
    error: TrunklineError = kind.__new__(kind)  # some are made of other parts than these four
    TrunklineError.__init__(error, told["what"], where=told["where"], allowed=told["allowed"], next_step=told["next_step"])
    return error
