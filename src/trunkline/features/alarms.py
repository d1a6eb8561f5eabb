"""What an element and those it depends on were going through: alarms counted, states asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from trunkline.core.clock import duration, duration_text
from trunkline.core.errors import BadInput, UnknownName
from trunkline.features.language import Expression

SEVERITIES = ("indeterminate", "warning", "minor", "major", "critical")
"""Rising; ITU-T X.733 leaves "indeterminate" unranked, here it is the lowest, and an alarm without a severity stands with it."""

FROM_STATUS = ("pm_missing", "suspect")
"""States that are read from the status of the slot's KPIs instead of from events."""


@dataclass(frozen=True, slots=True)
class Alarms:
    """A choice of alarms; say over which window they are counted with :meth:`over`."""

    severity: str = "major"
    scope: tuple[str, ...] = ("self",)

    def over(self, window: str | timedelta, stat: str = "count") -> AlarmCount:
        """How many of them were active at any moment of the trailing *window* that ends with the row's slot."""
        if stat != "count":
            raise UnknownName("aggregation of alarms", stat, ("count",))
        return AlarmCount(self.severity, self.scope, duration(window))


@dataclass(frozen=True, slots=True)
class AlarmCount(Expression):
    """Number of alarms active at any moment of a trailing window; never null."""

    severity: str
    scope: tuple[str, ...]
    window: timedelta

    def words(self, names: Mapping[str, str] = {}) -> str:  # noqa: ARG002 - read only
        worse = "" if self.severity == "critical" else " or worse"
        return f"{self.severity}{worse} alarms in the last {duration_text(self.window)} ({', '.join(self.scope)})"


@dataclass(frozen=True, slots=True)
class State(Expression):
    """Whether any of some states held during the row's slot; never null."""

    kinds: tuple[str, ...]

    @property
    def is_boolean(self) -> bool:
        return True

    def words(self, names: Mapping[str, str] = {}) -> str:  # noqa: ARG002 - read only
        return " or ".join({"pm_missing": "PM missing"}.get(kind, kind.replace("_", " ")) for kind in self.kinds)


def alarms(severity: str = "major", scope: str = "self") -> Alarms:
    """Alarms at least as severe as *severity* on the elements *scope* names.

    Parameters
    ----------
    severity
        One of :data:`SEVERITIES`; "indeterminate" takes every alarm.
    scope
        Words with commas between: "self"; "parents" (the relation "parent", followed upwards to the
        top); any other relation ("transport", "node", "site" …) of the element or of its parents.

    >>> alarms("major", "self, parents").over("1h", "count").words()
    'major or worse alarms in the last 1h (self, parents)'
    """
    if severity not in SEVERITIES:
        raise UnknownName("severity", severity, SEVERITIES)
    words = tuple(dict.fromkeys(word.strip() for word in scope.split(",") if word.strip()))
    if not words:
        raise BadInput("alarms() has an empty scope.", allowed="'self', 'parents', or relations such as 'transport', with commas between")
    return Alarms(severity, words)


def state(*kinds: str) -> State:
    """Whether the element was in any of these states during the slot.

    "pm_missing": of the KPIs this definition reads, none came for the slot. "suspect": one of them
    is marked suspect. Any other word is a kind of event, active on the element or on its parents.

    >>> state("locked", "pm_missing").words()
    'locked or PM missing'
    """
    if not kinds:
        raise BadInput("state() names no state.", allowed="kinds of events such as 'locked', 'planned_work', or 'pm_missing', 'suspect'")
    return State(kinds)
