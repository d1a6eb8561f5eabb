"""The words a feature is written in: one definition that history and the live stream both obey.

An expression is a frozen value; nothing is computed here. What every expression means is fixed by
these rules, which both evaluators and the judge in the tests follow:

* A row belongs to one element and one slot and is *known at* one instant. It uses exactly the facts
  known by then, of each key the newest version. Of versions with the same ``known_at`` one with a
  value goes before one without, and the larger value goes before the smaller.
* A slot without a value is null, whether no row came, the value was null, or its status is not "ok".
  A gap is never 0 unless :meth:`Expression.fill` says so.
* No expression reads a slot later than its row's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any, Literal, get_args

from trunkline.core.clock import duration, duration_text
from trunkline.core.errors import BadInput, UnknownName

Window = Literal["sum", "mean", "max", "min", "count", "std", "median"]
Usual = Literal["median", "mad", "mean", "count"]
Related = Literal["mean", "sum", "max", "min", "median", "count"]
Scope = Literal["cell", "network"]

_NO_NAMES: Mapping[str, str] = {}


class Expression:
    """Something a row can hold; made with :func:`kpi`, :func:`each_kpi`, ``alarms`` and ``state``.

    >>> (kpi("drops") / kpi("calls").over("1h", "mean")).words()
    'drops / mean calls over 1h'
    """

    __slots__ = ()

    @property
    def is_boolean(self) -> bool:
        """Whether its column holds true and false instead of numbers."""
        return False

    def words(self, names: Mapping[str, str] = _NO_NAMES) -> str:
        """What it is, for people; *names* gives a KPI's own words."""
        raise NotImplementedError

    def over(self, window: str | timedelta, stat: Window, *, least: float = 0.5) -> Over:
        """The statistic of the trailing *window* that ends with the row's own slot.

        Parameters
        ----------
        window
            A multiple of the grid, such as "1h".
        stat
            "sum" of a window with gaps is the mean of what is there times the number of slots, so a
            gap counts as an average slot and never as 0. "std" is that of a sample (n - 1). "count"
            is the number of slots that have a value; it is never null.
        least
            Share of the slots that must have a value, else the result is null.
        """
        return Over(self, duration(window), _one_of("aggregation", stat, get_args(Window)), _share(least))

    def lag(self, by: str | timedelta) -> Lag:
        """Its value the length *by* earlier, as known at the row's instant."""
        return Lag(self, duration(by))

    def hour_of_week(self, *, weeks: int = 8, stat: Usual = "median") -> HourOfWeek:
        """What is usual at this slot of the local week: the statistic of the same wall time in the last *weeks* weeks.

        The row's own day is not among them. Public holidays are a class of their own: they are left
        out for an ordinary day, and a holiday is compared with the holidays of the last *weeks*
        weeks; where none of those has a value, with the Sundays. On the day of 25 hours both slots
        of the repeated hour count; on the day of 23 hours the lost hour has none.

        "mad" is the median absolute deviation from the median, not scaled. "count" says how many
        values there were and is never null; the others are null where it is 0.
        """
        if weeks < 1:
            raise BadInput(f"hour_of_week() cannot look back {weeks} weeks.", allowed="1 or more")
        return HourOfWeek(self, weeks, _one_of("aggregation", stat, get_args(Usual)))

    def busy_hour(self, scope: Scope = "cell") -> BusyHour:
        """Its mean per slot in the busy hour of the most recent complete local day.

        Scope "cell" takes the element's own hour with the largest mean; "network" the hour in which
        the mean over all entities (so their sum, gaps aside) is largest. The day is cut into hours
        from its first slot on, 23 or 25 of them where the clocks change. Only hours count that have
        at least half as many values as the best covered hour of that day; of equals the earliest.
        """
        return BusyHour(self, _one_of("scope", scope, get_args(Scope)))

    def across(self, relation: str, stat: Related, *, least: float = 0.5) -> Across:
        """The statistic over the related elements ("neighbours", "sector", "site" …) at the same slot.

        They are read as known at the row's own instant. Null where fewer than *least* of them have
        a value; "sum" counts a missing one as an average one; "count" is never null.
        """
        return Across(self, relation, _one_of("aggregation", stat, get_args(Related)), _share(least))

    def is_missing(self) -> IsMissing:
        """Whether there is no value."""
        return IsMissing(self)

    def fill(self, value: float) -> Fill:
        """*value* where there is none; the only way a gap becomes a number."""
        return Fill(self, float(value))

    def __add__(self, other: Expression | float) -> Arithmetic:
        return Arithmetic("+", self, _expression(other))

    def __radd__(self, other: float) -> Arithmetic:
        return Arithmetic("+", _expression(other), self)

    def __sub__(self, other: Expression | float) -> Arithmetic:
        return Arithmetic("-", self, _expression(other))

    def __rsub__(self, other: float) -> Arithmetic:
        return Arithmetic("-", _expression(other), self)

    def __mul__(self, other: Expression | float) -> Arithmetic:
        return Arithmetic("*", self, _expression(other))

    def __rmul__(self, other: float) -> Arithmetic:
        return Arithmetic("*", _expression(other), self)

    def __truediv__(self, other: Expression | float) -> Arithmetic:
        return Arithmetic("/", self, _expression(other))

    def __rtruediv__(self, other: float) -> Arithmetic:
        return Arithmetic("/", _expression(other), self)

    def __lt__(self, other: Expression | float) -> Comparison:
        return Comparison("<", self, _expression(other))

    def __le__(self, other: Expression | float) -> Comparison:
        return Comparison("<=", self, _expression(other))

    def __gt__(self, other: Expression | float) -> Comparison:
        return Comparison(">", self, _expression(other))

    def __ge__(self, other: Expression | float) -> Comparison:
        return Comparison(">=", self, _expression(other))


@dataclass(frozen=True, slots=True)
class Kpi(Expression):
    """A KPI's value in the row's slot."""

    name: str

    def words(self, names: Mapping[str, str] = _NO_NAMES) -> str:
        return names.get(self.name, self.name.replace("_", " "))


@dataclass(frozen=True, slots=True)
class EachKpi(Expression):
    """A place that every KPI found takes in turn; see :meth:`Features.bind`."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    optional: bool = False

    def words(self, names: Mapping[str, str] = _NO_NAMES) -> str:  # noqa: ARG002 - same call for all
        return "each KPI"


@dataclass(frozen=True, slots=True)
class Constant(Expression):
    """A number."""

    value: float

    def words(self, names: Mapping[str, str] = _NO_NAMES) -> str:  # noqa: ARG002 - same call for all
        return f"{self.value:g}"


@dataclass(frozen=True, slots=True)
class Over(Expression):
    """A statistic of a trailing window."""

    of: Expression
    window: timedelta
    stat: str
    least: float = 0.5

    def words(self, names: Mapping[str, str] = _NO_NAMES) -> str:
        return f"{self.stat} {_part(self.of, names)} over {duration_text(self.window)}"


@dataclass(frozen=True, slots=True)
class Lag(Expression):
    """An earlier value."""

    of: Expression
    by: timedelta

    @property
    def is_boolean(self) -> bool:
        return self.of.is_boolean

    def words(self, names: Mapping[str, str] = _NO_NAMES) -> str:
        return f"{_part(self.of, names)} {duration_text(self.by)} before"


@dataclass(frozen=True, slots=True)
class HourOfWeek(Expression):
    """What is usual at this time of the local week."""

    of: Expression
    weeks: int = 8
    stat: str = "median"

    def words(self, names: Mapping[str, str] = _NO_NAMES) -> str:
        said = {"median": "usual {0}", "mean": "average {0}", "mad": "usual spread of {0}", "count": "number of earlier {0}"}[self.stat]
        return f"{said.format(_part(self.of, names))} at this time of the week ({self.weeks} weeks)"


@dataclass(frozen=True, slots=True)
class BusyHour(Expression):
    """The value in the last complete local day's busy hour."""

    of: Expression
    scope: str = "cell"

    def words(self, names: Mapping[str, str] = _NO_NAMES) -> str:
        whose = "own" if self.scope == "cell" else "the network's"
        return f"{_part(self.of, names)} in {whose} busy hour"


@dataclass(frozen=True, slots=True)
class Across(Expression):
    """A statistic over related elements."""

    of: Expression
    relation: str
    stat: str
    least: float = 0.5

    def words(self, names: Mapping[str, str] = _NO_NAMES) -> str:
        return f"{self.stat} {_part(self.of, names)} across {self.relation}"


@dataclass(frozen=True, slots=True)
class IsMissing(Expression):
    """Whether a value is missing."""

    of: Expression

    @property
    def is_boolean(self) -> bool:
        return True

    def words(self, names: Mapping[str, str] = _NO_NAMES) -> str:
        return f"{_part(self.of, names)} missing"


@dataclass(frozen=True, slots=True)
class Fill(Expression):
    """A value, or a stand-in where it is missing."""

    of: Expression
    value: float

    @property
    def is_boolean(self) -> bool:
        return self.of.is_boolean and self.value in (0.0, 1.0)

    def words(self, names: Mapping[str, str] = _NO_NAMES) -> str:
        return f"{_part(self.of, names)} ({self.value:g} where missing)"


@dataclass(frozen=True, slots=True)
class Arithmetic(Expression):
    """Two numbers added, subtracted, multiplied or divided; null where either is, and when divided by 0."""

    sign: str
    left: Expression
    right: Expression

    def words(self, names: Mapping[str, str] = _NO_NAMES) -> str:
        return f"{_part(self.left, names)} {self.sign} {_part(self.right, names)}"


@dataclass(frozen=True, slots=True)
class Comparison(Expression):
    """Two numbers compared; null where either is."""

    sign: str
    left: Expression
    right: Expression

    @property
    def is_boolean(self) -> bool:
        return True

    def words(self, names: Mapping[str, str] = _NO_NAMES) -> str:
        return f"{_part(self.left, names)} {self.sign} {_part(self.right, names)}"


def kpi(name: str) -> Kpi:
    """The KPI *name* in the row's slot; null where it has no value.

    >>> kpi("dl_volume").hour_of_week(weeks=4).words()
    'usual dl volume at this time of the week (4 weeks)'
    """
    return Kpi(name)


def each_kpi(include: Iterable[str] = (), exclude: Iterable[str] = (), *, optional: bool = False) -> EachKpi:
    """Every KPI found in the facts, one column each; names or patterns such as ``"dl_*"`` choose among them.

    A name that is not found, or no KPI at all, is an error; with *optional* there is just no column.

    >>> each_kpi(exclude=["*_raw"]).over("1h", "mean").words()
    'mean each KPI over 1h'
    """
    return EachKpi(_names(include), _names(exclude), optional)


def parts(expression: Expression) -> Iterator[Expression]:
    """*expression* and everything inside it, the outermost first."""
    yield expression
    for inner in children(expression):
        yield from parts(inner)


def children(expression: Expression) -> list[Expression]:
    """The expressions directly inside *expression*."""
    found = (getattr(expression, f.name) for f in fields(expression))  # type: ignore[arg-type] # every kind is a dataclass
    return [inner for inner in found if isinstance(inner, Expression)]


def put_in_place(expression: Expression, name: str) -> Expression:
    """*expression* with the KPI *name* wherever it says "each KPI"."""
    if isinstance(expression, EachKpi):
        return Kpi(name)
    changed: dict[str, Any] = {}
    for f in fields(expression):  # type: ignore[arg-type] # every kind is a dataclass
        inner = getattr(expression, f.name)
        if isinstance(inner, Expression):
            changed[f.name] = put_in_place(inner, name)
    return replace(expression, **changed) if changed else expression  # type: ignore[type-var]


def _part(inner: Expression, names: Mapping[str, str]) -> str:
    return f"({inner.words(names)})" if isinstance(inner, Arithmetic | Comparison) else inner.words(names)


def _expression(given: Expression | float) -> Expression:
    if isinstance(given, Expression):
        return given
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise BadInput(f"{given!r} cannot be part of a feature.", allowed="a number or an expression such as kpi('dl_volume')")
    return Constant(float(given))


def _one_of(kind: str, given: str, allowed: tuple[str, ...]) -> str:
    if given not in allowed:
        raise UnknownName(kind, given, allowed)
    return given


def _share(least: float) -> float:
    if not 0 < least <= 1:
        raise BadInput(f"least={least} is no share.", allowed="more than 0, up to 1")
    return float(least)


def _names(given: Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
