"""What each expression means, once for both evaluators: history hands in a bitemporal world, the stream its present one."""

from __future__ import annotations

import numpy as np

from trunkline.core.errors import BadInput
from trunkline.features.alarms import FROM_STATUS, AlarmCount, State
from trunkline.features.attribute import Attribute, When
from trunkline.features.busy_hour import busy_hour
from trunkline.features.calendar import HOUR_US, MICROSECOND
from trunkline.features.language import Across, Arithmetic, BusyHour, Comparison, Constant, Expression, Fill, HourOfWeek, IsMissing, Kpi, Lag, Over
from trunkline.features.local_time import LocalTime
from trunkline.features.reduce import Floats, present, statistic
from trunkline.features.rows import MISSING, SUSPECT, Rows, World


def evaluate(expression: Expression, world: World, rows: Rows) -> Floats:
    """The value of *expression* for each of *rows*; NaN is null, true and false are 1 and 0."""
    if 0 in rows.shape:  # nobody there: no neighbours, no entities yet
        return np.zeros(rows.shape)
    if expression not in rows.values:
        with np.errstate(all="ignore"):
            found = np.broadcast_to(_compute(expression, world, rows), rows.shape)
        rows.values[expression] = found if rows.real is None else np.where(rows.real, found, np.nan)
    return rows.values[expression]


def breadth(expression: Expression, world: World) -> int:
    """About how many look-ups one row of *expression* takes."""
    match expression:
        case Over(of, window):
            return (window // MICROSECOND // world.every) * breadth(of, world)
        case HourOfWeek(of, weeks):
            return 2 * weeks * breadth(of, world)
        case Across(of, relation):
            return max(int(world.related.direct(relation).shape[1]), 1) * breadth(of, world)
        case BusyHour(of):
            return max(25 * HOUR_US // world.every, 1) * breadth(of, world)
        case Arithmetic(_, left, right) | Comparison(_, left, right):
            return max(breadth(left, world), breadth(right, world))
        case When(condition, then, otherwise):
            return max(breadth(part, world) for part in (condition, then, otherwise))
        case Lag(of) | IsMissing(of) | Fill(of):
            return breadth(of, world)
    return 1


def _compute(expression: Expression, world: World, rows: Rows) -> Floats:
    match expression:
        case Kpi(name):
            return world.value(name, rows)
        case Constant(value):
            return np.full(rows.shape, value)
        case Over(of, window, stat, least):
            slots = window // MICROSECOND // world.every
            return statistic(stat, evaluate(of, world, _window(rows, slots)), of=slots, least=least)
        case Lag(of, by):
            back = by // MICROSECOND // world.every
            return evaluate(of, world, rows.derive(("lag", back), lambda: Rows(rows.element, rows.slot - back, rows.known, after_emission=rows.after_emission)))
        case HourOfWeek(of, weeks, stat):
            return statistic(stat, _compared(of, weeks, world, rows), of=1, least=1.0)
        case BusyHour(of, scope):
            return busy_hour(of, scope, world, rows, evaluate)
        case Across(of, relation, stat, least):
            table = world.related.direct(relation)
            others = rows.derive(("across", relation), lambda: rows.of_elements(np.moveaxis(table[rows.element], -1, 0)))
            return statistic(stat, evaluate(of, world, others), of=(table >= 0).sum(1)[rows.element], least=least)
        case Arithmetic(sign, left, right):
            return _arithmetic(sign, evaluate(left, world, rows), evaluate(right, world, rows))
        case Comparison(sign, left, right):
            return _compare(sign, evaluate(left, world, rows), evaluate(right, world, rows))
        case IsMissing(of):
            return np.isnan(evaluate(of, world, rows)).astype(np.float64)
        case Fill(of, value):
            found = evaluate(of, world, rows)
            return np.where(np.isnan(found), value, found)
        case Attribute(column, values):
            return np.broadcast_to(world.inventory.has(column, values)[rows.element], rows.shape)
        case When(condition, then, otherwise):
            holds = evaluate(condition, world, rows)
            chosen = np.where(holds == 1.0, evaluate(then, world, rows), evaluate(otherwise, world, rows))
            return np.where(np.isnan(holds), np.nan, chosen)
        case AlarmCount():
            return world.active(expression, rows)
        case State():
            return _state(expression, world, rows)
        case LocalTime(part):
            zones = world.zones[rows.element]
            place = {"hour": world.calendar.hour, "weekday": world.calendar.weekday, "holiday": world.calendar.is_holiday}[part]
            return np.asarray(place(zones, rows.slot), np.float64)
    raise BadInput(f"'{expression.words()}' cannot be computed.", next_step="Bind the features to KPI names first: features.bind(names)")


def _window(rows: Rows, slots: int) -> Rows:
    back = np.arange(slots - 1, -1, -1).reshape(-1, *[1] * len(rows.shape))
    return rows.derive(("window", slots), lambda: Rows(rows.element, rows.slot - back, rows.known, after_emission=rows.after_emission))


def _compared(of: Expression, weeks: int, world: World, rows: Rows) -> Floats:
    """What this slot of the week is compared with, of shape (candidates, rows' shape)."""
    key = ("compared", of, weeks)
    if key not in rows.values:
        zones = world.zones[rows.element]
        first = rows.derive(("same time of week", weeks), lambda: rows.at_slots(world.calendar.comparable(zones, rows.slot, weeks)[0]))
        values = evaluate(of, world, first)
        lonely = (present(values) == 0) & world.calendar.is_holiday(zones, rows.slot)
        if lonely.any():
            some = rows.chosen(lonely)
            sundays = evaluate(of, world, some.at_slots(world.calendar.comparable(world.zones[some.element], some.slot, weeks)[1]))
            values = np.concatenate([values, np.full((max(len(sundays) - len(values), 0), *rows.shape), np.nan)])
            values[: len(sundays), lonely] = sundays
        rows.values[key] = values
    return rows.values[key]


def _arithmetic(sign: str, left: Floats, right: Floats) -> Floats:
    match sign:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
    return np.where(right == 0, np.nan, left / right)


def _compare(sign: str, left: Floats, right: Floats) -> Floats:
    answers = {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}
    return np.where(np.isnan(left) | np.isnan(right), np.nan, answers[sign])


def _state(expression: State, world: World, rows: Rows) -> Floats:
    holds = np.zeros(rows.shape, bool)
    if any(kind not in FROM_STATUS for kind in expression.kinds):
        holds |= world.active(expression, rows) > 0
    if set(expression.kinds) & set(FROM_STATUS):
        statuses = [world.status(kpi, rows) for kpi in world.kpis]
        if "pm_missing" in expression.kinds:
            holds |= np.logical_and.reduce([status <= MISSING for status in statuses])
        if "suspect" in expression.kinds:
            holds |= np.logical_or.reduce([status == SUSPECT for status in statuses])
    return holds.astype(np.float64)
