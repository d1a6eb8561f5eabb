"""Whom some elements look at: what has to be known of others so that their rows come out right without all the rest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from trunkline.features.alarms import AlarmCount, State
from trunkline.features.definition import Features
from trunkline.features.episodes import scope_of
from trunkline.features.language import Across, BusyHour, Expression, children, parts


@dataclass(frozen=True, slots=True)
class Around:
    """The elements a definition's rows of some elements depend on."""

    kpis: frozenset[str]
    """Whose KPIs are read: themselves, and whom ``across(...)`` looks at."""
    events: frozenset[str]
    """Whose events count, and all of the above."""


def looks_at_all(features: Features) -> bool:
    """Whether a row depends on every element there is: the network's busy hour.

    >>> from trunkline.features import Features, kpi
    >>> looks_at_all(Features(entity="cell", every="1h", columns={"busy": kpi("prb").busy_hour("network")}))
    True
    """
    return any(isinstance(part, BusyHour) and part.scope != "cell" for column in features.columns.values() for part in parts(column))


def around(features: Features, relations: pl.DataFrame, elements: Iterable[str]) -> Around:
    """Whom the rows of *elements* depend on.

    >>> from trunkline.core.frames import RELATIONS
    >>> from trunkline.features import Features, kpi
    >>> cells = Features(entity="cell", every="1h", columns={"near": kpi("prb").across("neighbours", "mean")})
    >>> relations = pl.DataFrame({"element": ["a", "b"], "relation": "neighbours", "other": ["b", "c"]}, schema=dict(RELATIONS))
    >>> sorted(around(cells, relations, ["a"]).kpis)
    ['a', 'b']
    """
    every = [part for column in features.columns.values() for part in parts(column)]
    ways = {part.relation for part in every if isinstance(part, Across)}
    near = frozenset(elements)
    for _ in range(max((_depth(column) for column in features.columns.values()), default=0)):
        near |= _others(relations, near, ways)
    chosen = [part for part in every if isinstance(part, AlarmCount | State)]
    if not chosen:
        return Around(near, near)
    above, found = near, near
    while new := _others(relations, above, {"parent"}) - found:
        found |= new
        above = new
    words = {word for part in chosen for word in scope_of(part)} - {"self", "parents"}
    return Around(near, found | _others(relations, found, words))


def _others(relations: pl.DataFrame, of: frozenset[str], ways: set[str]) -> frozenset[str]:
    if not ways:
        return frozenset()
    return frozenset(relations.filter(pl.col("relation").is_in(list(ways)) & pl.col("element").is_in(list(of)))["other"].drop_nulls())


def _depth(expression: Expression) -> int:
    return isinstance(expression, Across) + max((_depth(inner) for inner in children(expression)), default=0)
