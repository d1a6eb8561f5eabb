"""The judge: what a definition means, in plain Python, for one entity, slot and instant at a time; shares no code with the evaluators."""

# A lambda is a definition here, as on paper; types would hide it.
# ruff: noqa: E731
# mypy: allow-untyped-calls, allow-untyped-defs

from __future__ import annotations

import operator
import statistics as st
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from trunkline.core.frames import Facts
from trunkline.features import Features
from trunkline.features.language import Expression

SEVERITY, STATUS = ["indeterminate", "warning", "minor", "major", "critical"], ["missing", "ok", "too_few", "suspect"]
SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def oracle(features: Features, facts: Facts) -> Callable[[Expression, str, datetime, datetime], Any]:
    """value(expression, entity, at, known_at); None is null."""
    every: timedelta = features.every
    zones, rows, events, rel = (
        defaultdict[Any, str](lambda: "UTC"),
        defaultdict[Any, list[Any]](list),
        defaultdict[Any, list[Any]](list),
        defaultdict[Any, set[str]](set),
    )
    zones.update({e: z or "UTC" for e, z in facts.elements.select("element", "zone").iter_rows()})
    inventory = {r["element"]: r for r in facts.elements.iter_rows(named=True)}
    listed = dict(facts.elements.select("element", "kind").iter_rows())
    entities = sorted({e for e, kind in listed.items() if kind == features.entity} | (set(facts.kpis["element"]) - set(listed)))
    for r in facts.kpis.iter_rows(named=True):
        rows[r["element"], r["kpi"], r["at"]].append(r)
    for r in facts.events.iter_rows(named=True):
        events[r["event_id"]].append(r)
    for e, word, other in facts.relations.iter_rows():
        rel[e, word] |= {other} - {e}
    local = cache(lambda e, at: at.astimezone(ZoneInfo(zones[e])).replace(tzinfo=None))
    bucket = cache(lambda e, at: (local(e, at) - datetime.combine(local(e, at), time())) // every)
    free = lambda e, day: day.isoformat() in facts.holidays.get(zones[e], ())

    def above(e: str) -> set[str]:
        return {p for q in rel[e, "parent"] for p in {q} | above(q)}

    @cache
    def slots_on(e: str, day: Any) -> Any:
        midnight = datetime.combine(day, time(), UTC) - timedelta(days=1)
        return [at for i in range(timedelta(days=3) // every) if local(e, at := midnight + i * every).date() == day]

    def newest(versions: Any, known: Any, age: Any) -> Any:
        return max((r for r in versions if r["known_at"] <= known), key=age, default=None)

    @cache
    def fact(e: str, k: str, at: Any, known: Any) -> Any:
        value = lambda r: r["value"] if r["status"] == "ok" else None
        age = lambda r: (r["known_at"], value(r) is not None, value(r) or 0, STATUS.index(r["status"]))
        return (value(r), r["status"]) if (r := newest(rows.get((e, k, at), ()), known, age)) else (None, "missing")

    @cache
    def newest_events(known: Any) -> Any:
        return [newest(v, known, lambda r: (r["known_at"], r["end"] is not None, r["end"] or r["start"])) for v in events.values()]

    def count(whose: Any, window: Any, at: Any, known: Any, choose: Any) -> int:
        begin, until = at + every - window, at + every
        return sum(
            r["element"] in whose and choose(r) and r["start"] < until and (r["end"] is None or r["end"] > begin or r["start"] == r["end"] >= begin)
            for r in newest_events(known)
            if r
        )

    def stat(name: str, values: Any, of: int = 1, least: float = 0) -> Any:
        there = [v for v in values if v is not None]
        if name == "count" or len(there) < max(least * of - 1e-9, 2 if name == "std" else 1):
            return len(there) if name == "count" else None
        mad = lambda v: st.median(abs(one - st.median(v)) for one in v)
        known_by_name: dict[str, Callable[[Any], Any]] = {
            "sum": lambda v: st.fmean(v) * of,
            "mean": st.fmean,
            "max": max,
            "min": min,
            "std": st.stdev,
            "median": st.median,
            "mad": mad,
        }
        return known_by_name[name](there)

    def busiest(by_hour: Any) -> Any:
        most = max((sum(v is not None for v in hour) for hour in by_hour), default=0)
        hours = [(-st.fmean(there), i) for i, hour in enumerate(by_hour) if (there := [v for v in hour if v is not None]) and 2 * len(there) >= most]
        return min(hours)[1] if hours else None

    @cache
    def network(of: Any, e: str, day: Any, known: Any) -> Any:
        return busiest([[value(of, one, at, known) for one in entities for at in hour] for hour in hours_of(e, day)])

    def hours_of(e: str, day: Any) -> Any:
        slots, size = slots_on(e, day), max(timedelta(hours=1) // every, 1)
        return [slots[i : i + size] for i in range(0, len(slots), size)]

    @cache
    def value(x: Any, e: str, at: Any, known: Any) -> Any:
        inner = lambda of, e=e, at=at: value(of, e, at, known)
        match type(x).__name__:
            case "Kpi":
                return fact(e, x.name, at, known)[0]
            case "Constant":
                return x.value
            case "Over":
                slots = x.window // every
                return stat(x.stat, [inner(x.of, at=at - i * every) for i in range(slots)], slots, x.least)
            case "Lag":
                return inner(x.of, at=at - x.by)
            case "HourOfWeek":
                day = local(e, at).date()
                earlier = [day - timedelta(days=i) for i in range(1, 7 * x.weeks + 1)]
                same = lambda days: [inner(x.of, at=t) for d in days for t in slots_on(e, d) if bucket(e, t) == bucket(e, at)]
                found = same([d for d in earlier if (free(e, d) if free(e, day) else d.weekday() == day.weekday() and not free(e, d))])
                if free(e, day) and all(v is None for v in found):
                    found = same([d for d in earlier if d.weekday() == 6 and not free(e, d)])
                return stat(x.stat, found)
            case "BusyHour":
                day = local(e, at + every).date() - timedelta(days=1)
                own = [[inner(x.of, at=t) for t in hour] for hour in hours_of(e, day)]
                best = busiest(own) if x.scope == "cell" else network(x.of, e, day, known)
                return None if best is None else stat("mean", own[best])
            case "Across":
                return stat(x.stat, [inner(x.of, e=other) for other in rel[e, x.relation]], len(rel[e, x.relation]), x.least)
            case "IsMissing":
                return inner(x.of) is None
            case "Fill":
                return x.value if inner(x.of) is None else inner(x.of)
            case "Arithmetic" | "Comparison":
                a, b = inner(x.left), inner(x.right)
                if a is None or b is None or (x.sign == "/" and b == 0):
                    return None
                return a / b if x.sign == "/" else SIGNS[x.sign](a, b)
            case "AlarmCount":
                whose = set().union(
                    *({e} if w == "self" else above(e) if w == "parents" else set().union(*(rel[o, w] for o in {e} | above(e))) for w in x.scope)
                )
                worst = lambda r: r["kind"] == "alarm" and SEVERITY.index(r["severity"] or "indeterminate") >= SEVERITY.index(x.severity)
                return count(whose, x.window, at, known, worst)
            case "State":
                statuses = [fact(e, k, at, known)[1] for k in features.kpis]
                from_status = {"pm_missing": all(s == "missing" for s in statuses), "suspect": "suspect" in statuses}
                return any(from_status.get(k) for k in x.kinds) or count({e} | above(e), every, at, known, lambda r: r["kind"] in x.kinds) > 0
            case "Attribute":
                return inventory.get(e, {}).get(x.column) in x.values
            case "When":
                return None if (holds := inner(x.condition)) is None else inner(x.then if holds == 1 else x.otherwise)
            case "LocalTime":
                here = local(e, at)
                return {"hour": here.hour, "weekday": here.weekday(), "holiday": free(e, here.date())}[x.part]

    return value
