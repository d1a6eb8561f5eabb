"""Baselines as ONNX: look up what is usual, measure how far a value is from it, and how strange that is."""

from __future__ import annotations

import numpy as np

from trunkline.models.baseline import FittedBaseline
from trunkline.models.calibration import Tail
from trunkline.models.crossing import FittedCrossing
from trunkline.models.hour_of_week import HOURS, FittedHourOfWeek
from trunkline.models.onnx_graph import Graph, Value
from trunkline.models.onnx_series import at_hour, finite, number_of, transformed
from trunkline.models.onnx_tail import p
from trunkline.models.outlook import MOST_WEEKS
from trunkline.models.protocol import Floats
from trunkline.models.seasons import design
from trunkline.models.strangeness import _surprise

_PER_LOG10 = -1.0 / float(np.log(10.0))


def baseline(graph: Graph, fitted: FittedBaseline, given: dict[str, Value]) -> Value:
    """The score of :class:`~trunkline.models.baseline.FittedBaseline`."""
    columns, entities = len(fitted.columns), len(fitted.entities)
    entity = number_of(graph, fitted.entities, given["entity"])
    of = graph.op("Max", entity, graph.whole([0]))
    order = np.arange(columns * entities).reshape(columns, entities).T  # the series of each entity and column
    series = graph.op("Add", of.wider(1), graph.constant(order[0][None, :]))  # (N, C): column after column
    own = transformed(graph, fitted.transforms, order, given["values"], of)
    scale = at_hour(np.ascontiguousarray(fitted.scale[order].transpose(0, 2, 1)), of, _hour_of_day(graph, given["hour"]))
    scaled = finite(graph, (own - _usual(graph, fitted, given["hour"], order, of)) / scale)
    scaled = _one_sided(graph, fitted.direction, scaled)
    scaled = graph.where(graph.op("GreaterOrEqual", entity, graph.whole([0])).wider(1, 2), scaled, np.nan)
    strange = fitted.strangeness
    each = [_window(graph, tail, scaled, window, series) for window, tail in zip(strange.windows, strange.window_tails, strict=True)]
    mean = each[0]
    for further in each[1:]:
        mean += further
    by_column = _of_surprise(graph, strange.column_tail, mean / float(len(each)), series)
    if columns == 1:
        return 1.0 - by_column.shaped(-1)
    least = graph.op("ReduceMin", graph.where(by_column.is_nan(), 2.0, by_column), graph.whole([1]), keepdims=0)
    return 1.0 - _of_surprise(graph, strange.row_tail, graph.where(least > 1.0, np.nan, least), of)


def hour_of_week(graph: Graph, fitted: FittedHourOfWeek, given: dict[str, Value]) -> Value:
    """The score of :class:`~trunkline.models.hour_of_week.FittedHourOfWeek`."""
    entity = number_of(graph, fitted.entities, given["entity"])
    of, hour = graph.op("Max", entity, graph.whole([0])), given["hour"].whole()
    place = graph.op("Add", graph.op("Mul", hour, graph.whole([len(fitted.entities)])), of)
    usual, width = (place.rows_of(table.transpose(0, 2, 1).reshape(HOURS * len(fitted.entities), -1)).number() for table in (fitted.usual, fitted.width))
    far = graph.op("Abs", given["values"] - usual) / width
    far = graph.where(graph.op("GreaterOrEqual", entity, graph.whole([0])).wider(1), far, np.nan)
    there = far >= 0.0
    known = there.number().total(1)
    most = graph.op("ReduceMax", graph.where(there, far, -1.0), graph.whole([1]), keepdims=0)
    near = 1.0 - graph.constant(np.array(2.0)) ** -(most.at_least(1e-12))
    return graph.where(known > 0.0, near**known, np.nan)


def crossing(graph: Graph, fitted: FittedCrossing, given: dict[str, Value]) -> Value:
    """The score of :class:`~trunkline.models.crossing.FittedCrossing`: what was drawn when it was fitted, between the weeks in proportion."""
    outlook = fitted.outlook
    entity = number_of(graph, outlook.entities, given["entity"])
    of = graph.op("Max", entity, graph.whole([0]))
    weeks = (given["day"].number() - float(outlook.last)).at_least(0.0) / 7.0
    first = weeks.at_most(MOST_WEEKS - 1.0).whole()
    place = graph.op("Add", graph.op("Mul", of, graph.whole([MOST_WEEKS + 1])), first)
    flat = outlook.crossed.reshape(-1)
    before, after = place.rows_of(flat), graph.op("Add", place, graph.whole([1])).rows_of(flat)
    found = before + (after - before) * (weeks - first.number())
    gap = given["values"].is_nan().number().total(1) > 0.0
    unknown = graph.op("Less", entity, graph.whole([0])) | (weeks > float(MOST_WEEKS)) | gap
    return graph.where(unknown, np.nan, found)


def _usual(graph: Graph, fitted: FittedBaseline, hour: Value, order: np.ndarray[tuple[int, int], np.dtype[np.int64]], of: Value) -> Value:
    """(N, W, C) what is usual at these hours, on the scale of each series."""
    level = of.rows_of(fitted.level[order]).wider(1)
    table = np.ascontiguousarray(fitted.coefficients[order].transpose(0, 2, 1))  # (E, P, C)
    if fitted.harmonics is None:
        return at_hour(table, of, hour.whole()) + level
    return _terms(graph, fitted, hour) @ of.rows_of(table) + level


def _terms(graph: Graph, fitted: FittedBaseline, hour: Value) -> Value:
    """(N, W, P) the Fourier terms of ``seasons.design``: which multiples of the hour it takes, it says itself."""
    assert fitted.harmonics is not None
    daily, weekly = fitted.harmonics
    slot = fitted.every.total_seconds() / 3600.0
    days = [k / 24.0 for k in range(1, daily + 1) if k < 12.0 / slot]
    weeks = [k / 168.0 for k in range(1, weekly + 1) if k % 7 and k < 84.0 / slot]
    pace = 2.0 * np.pi * np.array([*days, *weeks])
    assert design(np.zeros(1), every=fitted.every, daily=daily, weekly=weekly)[0].shape[1] == 1 + 2 * len(pace)
    ones = graph.where(hour.is_nan(), np.nan, 1.0).wider(2)
    if not len(pace):
        return ones
    angle = hour.wider(2) * graph.constant(pace)
    both = graph.together([graph.op("Cos", angle).wider(3), graph.op("Sin", angle).wider(3)], 3)
    return graph.together([ones, both.shaped(0, 0, 2 * len(pace))], 2)


def _hour_of_day(graph: Graph, hour: Value) -> Value:
    return graph.op("Mod", hour.whole(), graph.whole([24]))


def _one_sided(graph: Graph, direction: str, scaled: Value) -> Value:
    if direction == "both":
        return scaled
    return graph.where(scaled > 0.0 if direction == "low" else scaled < 0.0, 0.0, scaled)


def _window(graph: Graph, tail: Tail, scaled: Value, window: int, series: Value) -> Value:
    """(N, C) the tail probability of the size of the newest error, or of the sum of the last *window* of them."""
    newest = scaled.newest()
    total = newest
    if window > 1:
        near = graph.where(scaled.is_nan(), 0.0, scaled).slots(-window, np.iinfo(np.int64).max)
        total = graph.where(newest.is_nan(), np.nan, near.total(1))
    size = graph.op("Abs", total)
    rounded = graph.op("Round", size * 1e6) / 1e6
    return p(graph, tail, size, rounded, series, rises=_six_digits, near=lambda levels: levels + 0.5e-6)


def _of_surprise(graph: Graph, tail: Tail, chance: Value, of: Value) -> Value:
    """The tail probability of the surprise of a tail probability."""
    surprise = graph.op("Round", graph.op("Log", chance) * _PER_LOG10 * 1e9) / 1e9
    return p(graph, tail, -chance, surprise, of, rises=lambda u: _surprise(-u), near=lambda levels: -(10.0 ** -(levels + 0.5e-9)))


def _six_digits(size: Floats) -> Floats:
    return np.asarray(np.round(np.maximum(size, 0.0), 6), dtype=np.float64)
