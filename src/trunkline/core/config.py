"""One configuration: flag over environment over file over default, and every value knows where it came from.

The file is ``trunkline.toml`` in the workspace. Each setting may also be given as an environment
variable: ``TRUNKLINE_`` and its name in capitals. Keys and secrets are never settings: they lie in
a folder of their own outside the workspace, whose place is one.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from trunkline.core.clock import duration, zone
from trunkline.core.errors import BadInput, UnknownName

FILE = "trunkline.toml"


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
    keys: str = ""
    """Folder of the signing key; empty means the user's configuration folder. Never inside the workspace."""


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


def _checked(name: str, value: object, origin: str) -> str:
    if not isinstance(value, str):
        raise BadInput(f"The setting '{name}' is {value!r}.", where=f"{name}, from {origin}", allowed="text in quotes")
    try:
        if name in {"delay", "shift"}:
            duration(value)
        if name == "zone":
            zone(value)
    except BadInput as wrong:
        raise BadInput(wrong.what, where=f"{name}, from {origin}", allowed=wrong.allowed) from None
    return value


TEMPLATE = "# Settings of this workspace. A flag or TRUNKLINE_<NAME> in the environment comes first.\n" + "".join(
    f'# {one.name} = "{one.default}"\n' for one in fields(Settings)
)
"""What a new workspace's file holds: every setting at its default, as comments."""
