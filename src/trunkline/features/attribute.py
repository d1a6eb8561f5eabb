"""What an element is, as the inventory says, and columns that mean one thing for some elements and another for others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trunkline.core.errors import BadInput
from trunkline.features.language import Expression, _expression

_NO_NAMES: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Attribute(Expression):
    """Whether the inventory gives the element one of some values in a column; false where it gives none."""

    column: str
    values: tuple[str, ...]

    @property
    def is_boolean(self) -> bool:
        return True

    def words(self, names: Mapping[str, str] = _NO_NAMES) -> str:  # noqa: ARG002 - same call for all
        return f"{self.column} is {' or '.join(self.values)}"


@dataclass(frozen=True, slots=True)
class When(Expression):
    """One expression where a condition holds, another where it does not; null where the condition is."""

    condition: Expression
    then: Expression
    otherwise: Expression

    @property
    def is_boolean(self) -> bool:
        return self.then.is_boolean and self.otherwise.is_boolean

    def words(self, names: Mapping[str, str] = _NO_NAMES) -> str:
        return f"{self.then.words(names)} where {self.condition.words(names)}, else {self.otherwise.words(names)}"


def attribute(column: str, *values: str) -> Attribute:
    """Whether the inventory's *column* ("role", "technology", "vendor" …) holds one of *values* for the element.

    >>> attribute("role", "capacity").words()
    'role is capacity'
    """
    if not values:
        raise BadInput(f"attribute('{column}') names no value.", allowed=f"one or more: attribute('{column}', 'VALUE')")
    return Attribute(column, values)


def when(condition: Expression, then: Expression | float, otherwise: Expression | float) -> When:
    """*then* where *condition* holds, else *otherwise*.

    >>> from trunkline.features import kpi
    >>> when(attribute("role", "capacity"), kpi("scell_volume"), kpi("rrc_attempts")).words()
    'scell volume where role is capacity, else rrc attempts'
    """
    if not condition.is_boolean:
        raise BadInput(f"'{condition.words()}' is no condition.", allowed="true or false: a comparison, state(), attribute(), is_missing()")
    return When(condition, _expression(then), _expression(otherwise))
