"""One configuration: flag over environment over file over default, and every value knows where it came from.

The file is ``trunkline.toml`` in the workspace. Each setting may also be given as an environment
variable: ``TRUNKLINE_`` and its name in capitals. Keys and secrets are never settings: they lie in
a folder of their own outside the workspace, whose place is one.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from trunkline.core.clock import duration, zone
from trunkline.core.errors import BadInput, UnknownName

FILE = "trunkline.toml"
ARRIVALS = ("file time", "period end")
LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, its default, and what it is for."""

    zone: str = "UTC"
    """IANA zone of elements whose inventory names none."""
    delay: str = "10m"
    """How long after the end of a period its measurements are expected, where a file tells no arrival."""
    shift: str = "8h"
    """Length of a shift of the people who work the queue."""
    operator: str = ""
    """Who acts on the command line; empty means the user of the operating system."""
    region: str = "default"
    """Region of data that name none."""
    windows: str = ""
    """When releases may go live, every week in `zone`: "Tue-Thu 22:00-04:00, Sat 01:00-05:00"; empty means always."""
    freezes: str = ""
    """Days on which nothing goes live: "2026-12-20/2027-01-06: Christmas; 2027-02-01/2027-02-02: final"."""
    keys: str = ""
    """Folder of the signing key; empty means the user's configuration folder. Never inside the workspace."""
    witness: str = ""
    """Where the journal's checkpoints are kept outside: a file on other storage, or a URL to which they are POSTed. Empty: nowhere."""
    database: str = field(default="", repr=False)
    """Where the catalogue and the journal rest: empty means an SQLite file in the workspace; else postgresql://USER@HOST/DATABASE?schema=NAME, its
    password in PGPASSWORD or .pgpass."""
    inbox: str = ""
    """Folder that the service watches for files; several are separated as in PATH. Empty: none."""
    inbox_settles: str = "2s"
    """How long a file in the inbox must not have changed to count as complete; a file renamed in counts at once if it is older."""
    inbox_waiting: str = "10000"
    """How many files of the inbox wait to be read at most; more stay where they are until there is room."""
    inbox_arrival: str = "file time"
    """When a file of the inbox counts as received: "file time", when it was last modified, or "period end" plus the delay, for copies of old files."""
    inbox_taken: str = ""
    """Folder into which files of the inbox are moved once they are kept; empty: they stay."""
    commands_waiting: str = "1000"
    """How many commands wait for the owner of the workspace at most; more are refused."""
    log: str = "info"
    """What the service tells on stderr: debug, info, warning or error."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings in force and the origin of each."""

    settings: Settings
    origins: Mapping[str, str]


def read(folder: Path, *, flags: Mapping[str, str] | None = None, environment: Mapping[str, str] | None = None) -> Configuration:
    """The configuration of the workspace in *folder*.

    >>> read(Path("/nowhere"), flags={"zone": "Europe/Rome"}, environment={"TRUNKLINE_DELAY": "5m"}).origins["delay"]
    'environment TRUNKLINE_DELAY'
    """
    environment = os.environ if environment is None else environment
    path = folder / FILE
    in_file = _from_file(path)
    values: dict[str, str] = {}
    origins: dict[str, str] = {}
    for one in fields(Settings):
        variable = f"TRUNKLINE_{one.name.upper()}"
        for origin, source, key in (("flag", flags or {}, one.name), (f"environment {variable}", environment, variable), (str(path), in_file, one.name)):
            if key in source:
                values[one.name], origins[one.name] = _checked(one.name, source[key], origin), origin
                break
        else:
            origins[one.name] = "default"
    return Configuration(Settings(**values), origins)


def _from_file(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as broken:
        raise BadInput(f"The configuration cannot be read: {broken}.", where=str(path), allowed="TOML") from broken
    known = [one.name for one in fields(Settings)]
    for name in given:
        if name not in known:
            raise UnknownName("setting", name, known, where=str(path))
    return given


def shown(name: str, value: str) -> str:
    """*value* of the setting *name* as it may be shown: without a password.

    >>> shown("database", "postgresql://noc:secret@db/trunkline")
    'postgresql://noc:***@db/trunkline'
    """
    return _SECRET.sub(r"\1***\2", value) if name == "database" else value


_SECRET = re.compile(r"(://[^:/?#@]*:(?=.*@)|[?&]password=)(?:(?<=:).*(?=@)|[^&]*)()")


def _check_database(value: str, origin: str) -> None:
    if value and not value.startswith(("postgresql://", "postgresql+psycopg://")):
        raise BadInput(
            "This is no address of a database.", allowed="empty for an SQLite file in the workspace, or postgresql://USER@HOST:PORT/DATABASE?schema=NAME"
        )
    if shown("database", value) != value and not origin.startswith(("flag", "environment")):
        raise BadInput(
            "The file of the settings holds a password, and goes into every backup.",
            allowed="an address without a password",
            next_step="Take it out, and put it into ~/.pgpass (mode 0600) or PGPASSWORD.",
        )


def _checked(name: str, value: object, origin: str) -> str:
    if not isinstance(value, str):
        raise BadInput(f"The setting '{name}' is {value!r}.", where=f"{name}, from {origin}", allowed="text in quotes")
    try:
        if name in {"delay", "shift", "inbox_settles"}:
            duration(value)
        if name in {"inbox_waiting", "commands_waiting"}:
            _count(value)
        if name == "log" and value not in LEVELS:
            _none_of("level of logs", value, LEVELS)
        if name == "inbox_arrival" and value not in ARRIVALS:
            _none_of("way to tell an arrival", value, ARRIVALS)
        if name == "zone":
            zone(value)
        if name == "database":
            _check_database(value, origin)
    except BadInput as wrong:
        raise BadInput(wrong.what, where=f"{name}, from {origin}", allowed=wrong.allowed, next_step=wrong.next_step) from None
    return value


def _count(value: str) -> None:
    if not (value.isdecimal() and int(value)):
        raise BadInput(f"'{value}' is no number of things that may wait.", allowed="a whole number from 1 on, in quotes")


def _none_of(kind: str, value: str, known: tuple[str, ...]) -> None:
    raise UnknownName(kind, value, known)


TEMPLATE = "# Settings of this workspace. A flag or TRUNKLINE_<NAME> in the environment comes first.\n" + "".join(
    f'# {one.name} = "{one.default}"\n' for one in fields(Settings)
)
"""What a new workspace's file holds: every setting at its default, as comments."""


def line_of_database(given: Configuration) -> str:
    """The line that makes a new workspace remember its database, without a password; empty where it is the SQLite file."""
    address = (
        shown("database", given.settings.database).replace(":***@", "@").replace("&password=***", "").replace("password=***&", "").replace("?password=***", "")
    )
    return f'database = "{address}"\n' if address else ""
