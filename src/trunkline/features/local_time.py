"""The row's place in the local calendar of its element, as features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trunkline.features.language import Expression


@dataclass(frozen=True, slots=True)
class LocalTime(Expression):
    """Hour, weekday or holiday at the start of the slot, at the element's own zone; never null."""

    part: str

    @property
    def is_boolean(self) -> bool:
        return self.part == "holiday"

    def words(self, names: Mapping[str, str] = {}) -> str:  # noqa: ARG002 - read only
        return {"hour": "local hour", "weekday": "weekday", "holiday": "public holiday"}[self.part]


def hour() -> LocalTime:
    """The local hour, 0 to 23.

    >>> hour().words()
    'local hour'
    """
    return LocalTime("hour")


def weekday() -> LocalTime:
    """The local day of the week, Monday being 0."""
    return LocalTime("weekday")


def holiday() -> LocalTime:
    """Whether the local date is a public holiday of the element's zone."""
    return LocalTime("holiday")
