"""What time series models share as ONNX: the number of an entity, the scale of its KPIs, and how far they are from usual."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from trunkline.models.onnx_graph import ML, Graph, Value
from trunkline.models.protocol import Floats
from trunkline.models.residuals import LEVEL, Usual
from trunkline.models.transforms import Transforms

_LEAST_KNOWN = 24  # as residuals._level asks for

MOST_SLOTS = 4_096
"""Slots of the past a row may ask for; a median of more of them at every row is no work for an edge."""


def number_of(graph: Graph, entities: Sequence[str], entity: Value) -> Value:
    """The place of each entity's name among *entities*, -1 where it is none of them."""
    return graph.op("LabelEncoder", entity, domain=ML, keys_strings=list(entities), values_int64s=list(range(len(entities))), default_int64=-1)


def transformed(graph: Graph, transforms: Transforms, order: npt.NDArray[np.int64], values: Value, of: Value) -> Value:
    """``Transforms.forward`` of (N, W, C) *values*; *order* (E, C) is the series of each entity and column."""
    kind, offset, ceiling, unit = (part[order] for part in (transforms.kind, transforms.offset, transforms.ceiling, transforms.unit))

    def fact(table: npt.NDArray[Any]) -> Value:
        return of.rows_of(table).wider(1)

    plain = values / fact(unit)
    if (kind == 0).all():
        return plain
    size = values if not (kind == 2).any() else graph.where(fact(kind == 2), fact(ceiling) - values, values)
    logged = graph.op("Log", size.at_least(0.0) + fact(offset))
    logged = logged if not (kind == 2).any() else graph.where(fact(kind == 2), -logged, logged)
    return graph.where(values.is_nan(), np.nan, logged if not (kind == 0).any() else graph.where(fact(kind == 0), plain, logged))


def at_hour(table: Floats, of: Value, hour: Value) -> Value:
    """(N, W, C): of a table (E, H, C) what each entity has at these (N, W) whole hours."""
    entities, hours, columns = table.shape
    place = of.graph.op("Add", of.graph.op("Mul", of, of.graph.whole([hours])).wider(1), hour)
    return place.rows_of(table.reshape(entities * hours, columns))


def finite(graph: Graph, values: Value) -> Value:
    """NaN in the place of what is infinite."""
    return graph.where(graph.op("IsInf", values), np.nan, values)


def week_of(every: timedelta) -> int:
    """Slots over which a series may have moved away from its medians; 0 where they are too few to tell."""
    slots = LEVEL // every
    return slots if slots >= _LEAST_KNOWN else 0


def residuals(graph: Graph, usual: Usual, values: Value, hour: Value, entity: Value, *, last: int, every: timedelta) -> Value:
    """(N, last, C): ``Usual.residuals`` of the *last* slots of (N, W, C) *values*, W being those and the week before them."""
    week, columns = week_of(every), len(usual.columns)
    of = entity.graph.op("Max", entity, graph.whole([0]))
    order = np.arange(len(usual.entities) * columns).reshape(len(usual.entities), columns)
    own = transformed(graph, usual.transforms, order, values, of)
    expected = at_hour(usual.median, of, hour.whole())
    newest = (-last, np.iinfo(np.int64).max)
    level = _level(graph, own - expected, last=last, week=week)
    here = expected.slots(*newest)
    apart = (own.slots(*newest) - (here if level is None else here + level)) / of.rows_of(usual.scale).wider(1)
    known = graph.op("GreaterOrEqual", entity, graph.whole([0])).wider(1, 2)
    return graph.where(known, apart, np.nan)


def _level(graph: Graph, apart: Value, *, last: int, week: int) -> Value | None:
    """(N, last, C) medians of the *week* of slots before each of the *last* ones, 0 until 24 of them are known.

    All slots are sorted once; each week then picks its middle out of those of its own, counted in that order. Sorting every
    week by itself took 20 times as long.
    """
    if week == 0:
        return None
    slots = week + last
    line = graph.op("Transpose", apart, perm=[0, 2, 1])  # (N, C, W)
    unknown = line.is_nan()
    places = graph.where(unknown, np.inf, line), graph.whole([slots])
    ordered, place = graph.both("TopK", *places, axis=2, largest=0, sorted=1)
    ordered, place = ordered.wider(2), place.wider(2)
    begin = np.arange(last, dtype=np.int64)[:, None]
    own = graph.op("GreaterOrEqual", place, graph.constant(begin)) & graph.op("Less", place, graph.constant(begin + week)) & (ordered < np.inf)
    number = graph.op("CumSum", own.number(), graph.constant(np.array(3, dtype=np.int64)))  # (N, C, last, W): the how-maniest of its week
    count = own.number().total(3, keep=True)
    low, high = graph.op("Floor", (count + 1.0) / 2.0), graph.op("Floor", count / 2.0) + 1.0
    two = [graph.where(own & graph.op("Equal", number, which), ordered, 0.0).total(3) for which in (low, high)]
    enough = graph.op("Squeeze", count, graph.whole([3])) >= float(_LEAST_KNOWN)
    return graph.op("Transpose", graph.where(enough, (two[0] + two[1]) / 2.0, 0.0), perm=[0, 2, 1])
