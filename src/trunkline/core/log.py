"""What a service tells while it works: lines for a person on a terminal, one JSON object a line for a machine.

The standard library's logging underneath, below the name "trunkline", so that a host application routes it as its own.
What a line is about (workflow, release, decision, command) is named once, around the work, by :func:`about`.
Secrets never: fields and URL parts that hold one are blotted out before a line is written.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, TextIO

ROOT = "trunkline"
_SECRET = re.compile(r"pass(word|phrase)?|secret|token|api_?key|private|authorization|credential", re.IGNORECASE)
_IN_TEXT = (
    (re.compile(r"(://[^:/@\s]+:)[^@\s]+(@)"), r"\1…\2"),  # user:password@host
    (re.compile(r"((?:password|passphrase|secret|token|api[_-]?key|authorization)\s*[=:]\s*)(?:bearer\s+)?[^\s,;]+", re.IGNORECASE), r"\1…"),
)
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_about: ContextVar[Mapping[str, Any]] = ContextVar("trunkline_about", default=MappingProxyType({}))


def logger(name: str) -> logging.Logger:
    """The logger of one part; more facts about a line go into ``extra``.

    >>> logger("serve").name
    'trunkline.serve'
    """
    return logging.getLogger(f"{ROOT}.{name}")


@contextmanager
def about(**facts: Any) -> Iterator[None]:
    """Name what the lines inside are about: ``about(workflow="capacity", release="3f…")``."""
    token = _about.set({**_about.get(), **facts})
    try:
        yield
    finally:
        _about.reset(token)


def set_up(level: str = "info", *, stream: TextIO | None = None, as_json: bool | None = None) -> logging.Handler:
    """Write what is told to *stream* (stderr); JSON unless that is a terminal. Calling it again replaces the first."""
    stream = sys.stderr if stream is None else stream
    root = logging.getLogger(ROOT)
    for old in [one for one in root.handlers if isinstance(one, _Ours)]:
        root.removeHandler(old)
    handler = _Ours(stream)
    is_json = not stream.isatty() if as_json is None else as_json
    handler.setFormatter(_Json() if is_json else _Words())
    root.addHandler(handler)
    root.setLevel(level.upper())
    root.propagate = False
    return handler


class _Ours(logging.StreamHandler[TextIO]):
    """The handler that :func:`set_up` made."""


def facts(record: logging.LogRecord) -> dict[str, Any]:
    """What a line is about: what was named around it, and what it brings itself; secrets blotted out."""
    given = {**_about.get(), **{name: value for name, value in vars(record).items() if name not in _OWN}}
    return {name: "…" if _SECRET.search(name) else clean(value) if isinstance(value, str) else value for name, value in given.items()}


def clean(text: str) -> str:
    """*text* without the secrets one can see in it.

    >>> clean("postgresql://ann:hunter2@db/x refused token=abc")
    'postgresql://ann:…@db/x refused token=…'
    """
    for pattern, blot in _IN_TEXT:
        text = pattern.sub(blot, text)
    return text


class _Json(logging.Formatter):
    """One object a line: at, level, part, message, then what it is about."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "part": record.name.removeprefix(f"{ROOT}."),
            "message": clean(record.getMessage()),
            **facts(record),
        }
        if record.exc_info:
            told["trace"] = clean(self.formatException(record.exc_info))
        return json.dumps(told, ensure_ascii=False, default=str)


class _Words(logging.Formatter):
    """Local time, the message, then what it is about."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone()
        level = "" if record.levelno <= logging.INFO else f"{record.levelname}: "
        about_it = "  ".join(f"{name}={value}" for name, value in facts(record).items())
        trace = f"\n{clean(self.formatException(record.exc_info))}" if record.exc_info else ""
        return f"{at:%H:%M:%S} {level}{clean(record.getMessage())}{'  ' if about_it else ''}{about_it}{trace}"
