"""Who is in which team, and who left: a workflow nobody answers for any more must not go on alone.

The file ``roster.toml`` in the workspace, kept by hand or written by the operator's directory::

    [teams]
    ran-assurance = ["ann", "bob"]
    ran-oncall = ["bob"]

    [left]
    ann = "2026-11-18T09:00:00Z"
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from trunkline.core.clock import utc
from trunkline.core.errors import BadFile

FILE = "roster.toml"


@dataclass(frozen=True, slots=True)
class Roster:
    """Teams with their people, and who left when.

    >>> roster = Roster({"ran": ("ann", "bob")}, {"ann": datetime(2026, 11, 18, tzinfo=UTC)})
    >>> roster.gone("ran"), roster.gone("ann"), roster.gone("fraud")
    (None, datetime.datetime(2026, 11, 18, 0, 0, tzinfo=datetime.timezone.utc), True)
    """

    teams: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left: Mapping[str, datetime] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Roster | None:
        """The roster in the file at *path*; None where there is none.

        Raises
        ------
        BadFile
            It is not as the module shows it.
        """
        if not path.is_file():
            return None
        try:
            given = tomllib.loads(path.read_text(encoding="utf-8"))
            teams = {str(team): tuple(map(str, people)) for team, people in given.get("teams", {}).items()}
            left = {str(who): _instant(at) for who, at in given.get("left", {}).items()}
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValueError, TypeError, AttributeError) as broken:
            raise BadFile(
                f"The roster cannot be read: {broken}.", path=path, allowed='[teams] NAME = ["person", …] and [left] person = "2026-11-18"'
            ) from broken
        return cls(teams, left)

    def gone(self, name: str) -> datetime | bool | None:
        """Since when nobody of the team (or person) *name* is there; True where the roster does not know it at all, None where somebody is."""
        if name in self.teams:
            people = self.teams[name]
            away = [self.left[one] for one in people if one in self.left]
            if len(away) < len(people):
                return None
            return max(away) if away else True
        if name in self.left:
            return self.left[name]
        return None if any(name in people for people in self.teams.values()) else True


def _instant(at: Any) -> datetime:
    if isinstance(at, str):
        at = datetime.fromisoformat(at)
    if isinstance(at, date) and not isinstance(at, datetime):
        at = datetime.combine(at, time(0), UTC)
    return utc(at if at.tzinfo else at.replace(tzinfo=UTC))
