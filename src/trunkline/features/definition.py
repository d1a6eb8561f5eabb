"""A feature definition: which rows there are, what each column means, how far back it looks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from trunkline.core.canonical import canonical, content_hash
from trunkline.core.clock import duration, duration_text
from trunkline.core.errors import BadInput, UnknownName
from trunkline.features.alarms import FROM_STATUS, AlarmCount, Alarms, State
from trunkline.features.language import BusyHour, EachKpi, Expression, HourOfWeek, Kpi, Lag, Over, children, parts, put_in_place

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, init=False, eq=False)
class Features:
    """What a workflow knows of one entity in one slot.

    The row of the slot that starts at ``at`` is emitted at ``at + every + delay``; that instant is
    its ``known_at``.

    Parameters
    ----------
    entity
        The kind of element a row is about ("cell"), as the inventory calls it. Elements that bring
        KPIs and are not in the inventory are taken for entities too.
    every
        The grid, which divides a day: "15m", "1h".
    columns
        Name of each column and its expression.
    delay
        How long after the end of its slot a row waits for facts.

    Raises
    ------
    BadInput
        The grid does not divide a day, a window or lag is no multiple of it, or a column cannot be used.

    >>> from trunkline.features import kpi
    >>> cells = Features(entity="cell", every="15m", columns={"traffic": kpi("dl_volume").over("1h", "mean")})
    >>> cells.kpis, cells.words()
    (('dl_volume',), {'traffic': 'mean dl volume over 1h'})
    """

    entity: str
    every: timedelta
    columns: Mapping[str, Expression]
    delay: timedelta = timedelta(minutes=10)

    def __init__(self, *, entity: str, every: str | timedelta, columns: Mapping[str, Expression], delay: str | timedelta = "10m") -> None:
        for name, value in (("entity", entity), ("every", duration(every)), ("columns", dict(columns)), ("delay", duration(delay))):
            object.__setattr__(self, name, value)
        _check(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Features) and canonical(self) == canonical(other)

    def __hash__(self) -> int:
        return hash(canonical(self))

    @property
    def hash(self) -> str:
        """Hex SHA-256 of the definition."""
        return content_hash(self)

    @property
    def is_bound(self) -> bool:
        """Whether every column is about KPIs named one by one."""
        return not any(isinstance(part, EachKpi) for column in self.columns.values() for part in parts(column))

    @property
    def kpis(self) -> tuple[str, ...]:
        """The KPIs it reads, sorted; without those ``each_kpi()`` has yet to bring."""
        return tuple(sorted({part.name for column in self.columns.values() for part in parts(column) if isinstance(part, Kpi)}))

    @property
    def lookback(self) -> timedelta:
        """How far before its own slot a row can look."""
        return max((max(reach(column).values(), default=timedelta()) for column in self.columns.values()), default=timedelta())

    def emission(self, at: datetime) -> datetime:
        """When the row of the slot that starts at *at* is emitted."""
        return at + self.every + self.delay

    def words(self, names: Mapping[str, str] | None = None) -> dict[str, str]:
        """What each column is, for people; *names* gives a KPI's own words."""
        return {name: column.words(names or {}) for name, column in self.columns.items()}

    def bind(self, names: Iterable[str]) -> Features:
        """The definition with one column per KPI wherever it said ``each_kpi()``.

        A column ``key: each_kpi()`` becomes one called like the KPI; any other expression with
        ``each_kpi()`` in it becomes ``<kpi>_<key>``.

        Raises
        ------
        UnknownName
            A KPI the definition names is not among *names*.
        """
        known = sorted(set(names))
        for name in self.kpis:
            if name not in known:
                raise UnknownName("KPI", name, known, where="the features' columns")
        columns: dict[str, Expression] = {}
        for key, column in self.columns.items():
            for name, bound in _bound(key, column, known):
                if name in columns:
                    raise BadInput(f"Two columns are called '{name}'.", where=f"column '{key}'", next_step="Rename one of them.")
                columns[name] = bound
        return Features(entity=self.entity, every=self.every, columns=columns, delay=self.delay)


def reach(expression: Expression) -> dict[str, timedelta]:
    """How far before the row's slot *expression* reads each KPI; under "" how far it reads anything else.

    Under "*" stands how far it reads the status of all KPIs of its definition.

    >>> from trunkline.features import kpi
    >>> reach(kpi("calls").over("1h", "sum").lag("1d"))
    {'calls': datetime.timedelta(days=1, seconds=3600)}
    """
    if isinstance(expression, Kpi):
        return {expression.name: timedelta()}
    if isinstance(expression, AlarmCount):
        return {"": expression.window}
    if isinstance(expression, State):
        return {"*" if set(expression.kinds) & set(FROM_STATUS) else "": timedelta()}
    own = timedelta()
    if isinstance(expression, Over):
        own = expression.window
    elif isinstance(expression, Lag):
        own = expression.by
    elif isinstance(expression, HourOfWeek):
        own = timedelta(weeks=expression.weeks, days=1)  # a day for the clock change and the grid's edge
    elif isinstance(expression, BusyHour):
        own = timedelta(days=3)  # a row late in the day reads the whole day before; a day of 25 hours and the grid's edge
    furthest: dict[str, timedelta] = {}
    for inner in children(expression):
        for name, back in reach(inner).items():
            furthest[name] = max(furthest.get(name, timedelta()), own + back)
    return furthest or {"": timedelta()}


def _bound(key: str, column: Expression, known: list[str]) -> list[tuple[str, Expression]]:
    places = {part for part in parts(column) if isinstance(part, EachKpi)}
    if not places:
        return [(key, column)]
    if len(places) > 1:
        raise BadInput(f"Column '{key}' says each_kpi() with different choices.", allowed="the same include and exclude within one column")
    (place,) = places
    for wanted in (*place.include, *place.exclude):
        if not place.optional and not any(sign in wanted for sign in "*?[") and wanted not in known:
            raise UnknownName("KPI", wanted, known, where=f"each_kpi() of column '{key}'")
    chosen = [name for name in known if (not place.include or _matches(name, place.include)) and not _matches(name, place.exclude)]
    if not chosen and not place.optional:
        raise BadInput(f"each_kpi() of column '{key}' finds no KPI.", allowed=", ".join(known) or "none is known")
    is_bare = isinstance(column, EachKpi)
    return [(name if is_bare else f"{name}_{key}", put_in_place(column, name)) for name in chosen]


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _check(features: Features) -> None:
    every = features.every
    if every <= timedelta() or _DAY % every:
        raise BadInput(f"every='{duration_text(every)}' does not divide a day.", allowed="lengths such as '5m', '15m', '1h', '1d'")
    if features.delay < timedelta():
        raise BadInput(f"The delay {features.delay} is negative.", allowed="'0s' or more")
    if not features.columns:
        raise BadInput("The features have no columns.", next_step='Add one: columns={"traffic": kpi("dl_volume")}')
    for name, column in features.columns.items():
        where = f"column '{name}'"
        if name in ("entity", "at", "known_at", features.entity):
            raise BadInput(f"A column cannot be called '{name}': every row has that already.", where=where)
        _check_kind(column, where)
        _check_lengths(column, every, where)
    if features.is_bound and not features.kpis:
        for name, column in features.columns.items():
            if any(isinstance(part, State) and set(part.kinds) & set(FROM_STATUS) for part in parts(column)):
                raise BadInput("'pm_missing' and 'suspect' speak of the KPIs the definition reads, and it reads none.", where=f"column '{name}'")


def _check_kind(column: object, where: str) -> None:
    if isinstance(column, Alarms):
        raise BadInput("alarms(...) alone is no value.", where=where, next_step="Say over which window: alarms(...).over('1h', 'count')")
    if not isinstance(column, Expression):
        raise BadInput(f"{column!r} is no feature.", where=where, allowed="expressions such as kpi('dl_volume').over('1h', 'sum')")


def _check_lengths(column: Expression, every: timedelta, where: str) -> None:
    for part in parts(column):
        if isinstance(part, Over | AlarmCount):
            kind, length = "window", part.window
        elif isinstance(part, Lag):
            kind, length = "lag", part.by
        else:
            continue
        if length <= timedelta() or length % every:
            raise BadInput(f"The {kind} '{duration_text(length)}' is no multiple of every='{duration_text(every)}'.", where=where)
