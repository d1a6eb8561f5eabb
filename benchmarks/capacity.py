"""When is a cell full? Probability and date of crossing a limit, beside a straight line and the base rate.

Two parts. Real: two LTE cells over 82 weeks, an origin every four weeks, limits at quantiles of the whole record,
cases that stand beyond the limit already left out. Simulated: cells of five kinds in equal shares (a drifting
trend, growth that levels off, a pattern of the year on growth, carriers added, no growth at all), one origin each,
a limit of 80 %; none of the kinds but the first is what the model believes in.

Figures: the Brier score of "crossed within 26 weeks" (two weeks in a row beyond the limit), reliability in five
bins, the error of the date in weeks where the limit was crossed and both gave a date, and how often the date lay
in the interval meant to hold four in five. Intervals resample whole cells; two real cells have none.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trunkline.models.busy_weeks import Days, beyond, days_of, in_a_row
from trunkline.models.crossing import Crossing
from trunkline.models.linear_trend import LinearTrend, reaches
from trunkline.models.protocol import Context, Floats

DAY = timedelta(days=1)
HORIZON, LOOKED = 26, 52  # weeks asked for; weeks within which a date can be told
LIMITS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
KINDS = ("drifting trend", "levels off", "pattern of the year", "carriers added", "no growth")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One entity at one origin against one limit: what was said and what came."""

    unit: str  # what an interval resamples
    kind: str
    crossed: float
    chance: float
    line: float
    line_chance: float
    date: tuple[float, float, float]  # weeks: 10, 50, 90 %; infinite where later than was looked
    line_date: float
    came: float  # weeks; infinite where not by the end of what is known
    meant: float  # probability the interval was meant to hold
    known: int  # weeks of future that are known


def judge(rows: pl.DataFrame, future: Days, limit: float, *, every: timedelta, daily: Any, kinds: dict[str, str], units: dict[str, str]) -> Iterator[Case]:
    """Fit on *rows*, compare with the weekly values of *future*, for each entity that does not stand beyond already."""
    context = Context(every=every)
    model = Crossing(column="prb", limit=limit, unit="", daily=daily)
    fitted = model.fit(rows, context=context)
    last = rows.group_by("entity", maintain_order=True).last()
    lines = {s: LinearTrend(column="prb", limit=limit, unit="", daily=daily, spread=s).fit(rows, context=context) for s in (False, True)}
    chances, (hard, soft) = fitted.score(last), (lines[s].score(last) for s in (False, True))
    past = days_of(rows, "prb", every=every, zones={}, daily=daily, side="above").weeks()
    weekly = future.values
    hits = in_a_row(beyond(weekly, limit, "above"), 2, known=np.isfinite(weekly))
    for i, entity in enumerate(last["entity"].to_list()):
        e = fitted.outlook.places[entity]
        if (past[e, -2:] > limit).all() or not np.isfinite(chances[i]):
            continue
        begins = hits[e].argmax() if hits[e].any() else np.inf  # hit completes in week index + 1; its run began a week before
        line = reaches(float(lines[False].line[e, 0]), float(lines[False].line[e, 1]), limit)
        early, middle, late = fitted.passage[e]
        yield Case(
            unit=units.get(entity, entity),
            kind=kinds.get(entity, "real"),
            crossed=float(hits[e, :HORIZON].any()),
            chance=float(chances[i]),
            line=float(hard[i]),
            line_chance=float(soft[i]),
            date=(float(early), float(middle), float(late)),
            line_date=np.inf if line is None else line + 0.5,
            came=float(begins),
            meant=0.8 if np.isfinite(late) else 0.9 if np.isfinite(early) else 1.0 - float(fitted.forecast(entity)["p_crossed"][LOOKED - 1]),
            known=weekly.shape[1],
        )


def real_cases(data: Path, *, step: int = 4) -> list[Case]:
    """Two cells, origins every *step* weeks, limits at quantiles of each cell's record."""
    table = pl.read_csv(data / "lte_traffic_congestion" / "hourly.csv", separator=";", try_parse_dates=True)
    real = table.select(
        entity="Cell", at=pl.col("Datetime").dt.replace_time_zone("UTC").cast(pl.Datetime("us", "UTC")), prb=pl.col("PRB_Utilization_Percent").cast(pl.Float64)
    ).sort("entity", "at")
    out: list[Case] = []
    for (name,), cell in real.group_by("entity", maintain_order=True):
        days = days_of(cell, "prb", every=timedelta(hours=1), zones={}, daily="busiest", side="above")
        trailing = days.trailing()
        for origin in range(26 * 7, trailing.shape[1] - HORIZON * 7, step * 7):
            until = datetime(1970, 1, 1, tzinfo=UTC) + (days.first + origin) * DAY
            future = Days(entities=days.entities, first=0, values=trailing[:, origin - 1 + 7 :: 7][:, :LOOKED])
            for quantile in LIMITS:
                limit = float(np.nanquantile(days.weeks(), quantile))
                out += judge(
                    cell.filter(pl.col("at") < until), future, limit, every=timedelta(hours=1), daily="busiest", kinds={}, units={str(name): str(name)}
                )
    return out


def simulated(count: int, *, past: int, seed: int) -> tuple[pl.DataFrame, Days, dict[str, str]]:
    """Daily busy-hour PRB use in per cent of *count* cells: rows of the past weeks, and the weekly values to come."""
    random = np.random.default_rng([seed, past])
    weeks = past + LOOKED
    kinds = [KINDS[i % len(KINDS)] for i in range(count)]
    names = [f"cell-{i:04d}" for i in range(count)]
    values = np.stack([_series(kind, weeks, past, random) for kind in kinds])
    first = datetime(2024, 1, 1, tzinfo=UTC)
    at = pl.datetime_range(first, first + (7 * past - 1) * DAY, "1d", time_unit="us", eager=True)
    rows = pl.concat([pl.DataFrame({"entity": n, "at": at, "prb": values[i, : 7 * past]}) for i, n in enumerate(names)]).with_columns(
        pl.col("prb").fill_nan(None)
    )
    weekly = Days(entities=tuple(names), first=0, values=values).trailing()[:, 7 * past + 6 :: 7]
    return rows, Days(entities=tuple(names), first=0, values=weekly), dict(zip(names, kinds, strict=True))


def _series(kind: str, weeks: int, past: int, random: np.random.Generator) -> Floats:
    t = np.arange(weeks * 7) / 7.0
    now, growth = random.uniform(35, 78), random.normal(0.5, 0.5)  # per cent at the origin, points a week
    if kind == "drifting trend":
        slope = growth + np.cumsum(random.normal(0, 0.02, weeks * 7) / np.sqrt(7))
        level = np.cumsum(slope) / 7 + np.cumsum(random.normal(0, 0.7, weeks * 7) / np.sqrt(7))
        level += now - level[past * 7]
    elif kind == "levels off":
        top, pace = now + random.uniform(2, 30), random.uniform(10, 40)
        level = top - (top - now) * np.exp(-(t - past) / pace)
        level = np.maximum(level, 5 + 0.1 * t)
    elif kind == "pattern of the year":
        level = now + growth * (t - past) + random.uniform(2, 8) * np.sin(2 * np.pi * (t / 52.18 + random.uniform()))
    elif kind == "carriers added":
        level = now + abs(growth) * (t - past)
        for at in random.uniform(0, weeks, random.poisson(weeks / 60)):
            level = np.where(t >= at, level * random.uniform(0.6, 0.85), level)
    else:
        level = np.full(len(t), now)
    noise = np.zeros(len(t))
    drawn, keep = random.normal(0, random.uniform(1.0, 4.0), len(t)), random.uniform(0.0, 0.8)
    for day in range(1, len(t)):
        noise[day] = keep * noise[day - 1] + np.sqrt(1 - keep**2) * drawn[day]
    weekend = np.where(np.arange(len(t)) % 7 >= 5, -random.uniform(0, 8), 0.0)
    series: Floats = np.clip(level + noise + weekend, 0.0, 100.0)
    series[random.random(len(t)) < 0.03] = np.nan
    return series


def simulated_cases(count: int, *, seed: int = 0) -> list[Case]:
    """A third of the cells with half a year of past, a third with a year, a third with two."""
    out: list[Case] = []
    for past in (26, 52, 104):
        rows, future, kinds = simulated(count // 3, past=past, seed=seed)
        out += judge(rows, future, 80.0, every=DAY, daily="usual", kinds=kinds, units={e: f"{past}/{e}" for e in kinds})
    return out


def brier(cases: list[Case], said: Floats) -> float:
    """Mean squared error of a probability."""
    return float(np.mean((said - np.array([c.crossed for c in cases])) ** 2))


def interval(cases: list[Case], measure: Any, *, draws: int = 500, seed: int = 0) -> tuple[float, float] | None:
    """95 % interval of *measure* (a function of indices), whole units drawn again; None for fewer than ten units."""
    units = sorted({c.unit for c in cases})
    if len(units) < 10:
        return None
    of = {u: [i for i, c in enumerate(cases) if c.unit == u] for u in units}
    random = np.random.default_rng(seed)
    found = [measure(np.concatenate([of[units[k]] for k in random.integers(0, len(units), len(units))])) for _ in range(draws)]
    low, high = np.nanquantile(found, (0.025, 0.975))
    return float(low), float(high)


def figures(cases: list[Case], *, name: str, split: str, is_simulated: bool) -> list[dict[str, Any]]:
    """The rows of one part."""
    truth = np.array([c.crossed for c in cases])
    said = {who: np.array([getattr(c, who) for c in cases]) for who in ("chance", "line", "line_chance")}
    common = {"split": split, "simulated": is_simulated}
    errors = (said["chance"] - truth) ** 2
    around = interval(cases, lambda i: float(errors[i].mean()))
    base = float(truth.mean() * (1 - truth.mean()))
    out = [
        {
            "name": f"{name}: Brier score, crossing within 26 weeks, beside {who}",
            "value": brier(cases, said["chance"]),
            "dummy": value,
            "beside": who,
            "interval": around,
            "n": len(cases),
            "bar": None,
            **common,
        }
        for who, value in (
            ("straight line, yes or no", brier(cases, said["line"])),
            ("straight line with scatter", brier(cases, said["line_chance"])),
            ("base rate, known afterwards", base),
        )
    ]
    edges = np.linspace(0, 1, 6)
    bins = np.clip(np.digitize(said["chance"], edges[1:-1]), 0, 4)
    gap = 0.0
    for b in range(5):
        inside = bins == b
        if inside.any():
            gap += inside.mean() * abs(said["chance"][inside].mean() - truth[inside].mean())
            units = interval([c for c, i in zip(cases, inside, strict=True) if i], lambda i, t=truth[inside]: float(t[i].mean()))
            out.append(
                {
                    "name": f"{name}: came true where {edges[b]:.1f} to {edges[b + 1]:.1f} was said",
                    "value": float(truth[inside].mean()),
                    "dummy": float(said["chance"][inside].mean()),
                    "beside": "mean of what was said",
                    "interval": units,
                    "n": int(inside.sum()),
                    "bar": None,
                    **common,
                }
            )
    out.append(
        {
            "name": f"{name}: expected calibration error, five bins",
            "value": float(gap),
            "dummy": None,
            "beside": "",
            "interval": None,
            "n": len(cases),
            "bar": None,
            **common,
        }
    )
    dated = [c for c in cases if np.isfinite(c.came) and np.isfinite(c.date[1])]
    both = [c for c in dated if np.isfinite(c.line_date)]
    own, line = (
        np.array([abs(d - (c.came - 0.5)) for c, d in zip(both, said_, strict=True)]) for said_ in ([c.date[1] for c in both], [c.line_date for c in both])
    )
    came = sum(np.isfinite(c.came) for c in cases)
    out.append(
        {
            "name": f"{name}: median error of the date, weeks",
            "value": float(np.median(own)),
            "dummy": float(np.median(line)),
            "beside": "straight line",
            "interval": interval(both, lambda i: float(np.median(own[i]))),
            "n": len(both),
            "bar": None,
            **common,
        }
    )
    out.append(
        {
            "name": f"{name}: crossings for which a date was told",
            "value": len(dated) / max(came, 1),
            "dummy": sum(np.isfinite(c.line_date) for c in cases if np.isfinite(c.came)) / max(came, 1),
            "beside": "straight line",
            "interval": None,
            "n": came,
            "bar": None,
            **common,
        }
    )
    told = [c for c in cases if np.isfinite(c.came) or c.known >= LOOKED]
    held = np.array([c.date[0] < c.came <= c.date[2] or (np.isinf(c.came) and np.isinf(c.date[2])) for c in told])
    out.append(
        {
            "name": f"{name}: date inside the interval of four in five",
            "value": float(held.mean()),
            "dummy": float(np.mean([c.meant for c in told])),
            "beside": "what is meant, open ends counted",
            "interval": interval(told, lambda i: float(held[i].mean())),
            "n": len(told),
            "bar": None,
            **common,
        }
    )
    closed = [c for c in told if np.isfinite(c.date[2])]
    shut = np.array([c.date[0] < c.came <= c.date[2] for c in closed])
    out.append(
        {
            "name": f"{name}: the same where the interval has an end",
            "value": float(shut.mean()) if closed else float("nan"),
            "dummy": 0.8,
            "beside": "what is meant",
            "interval": interval(closed, lambda i: float(shut[i].mean())),
            "n": len(closed),
            "bar": None,
            **common,
        }
    )
    return out


def rows(real_data: Path, quick: bool = False) -> list[dict[str, Any]]:
    """Every figure: name, value, dummy (and what it is, *beside*), interval, n, split, bar, simulated."""
    real = real_cases(real_data, step=8 if quick else 4)
    made = simulated_cases(150 if quick else 900)
    out = figures(real, name="2 LTE cells", split="rolling origins, 26 weeks or more before each", is_simulated=False)
    out += figures(made, name="simulated cells", split="one origin a cell, half a year to two years before it", is_simulated=True)
    for kind in KINDS:
        own = [c for c in made if c.kind == kind]
        truth = np.array([c.crossed for c in own])
        errors = (np.array([c.chance for c in own]) - truth) ** 2
        out.append(
            {
                "name": f"simulated cells, {kind}: Brier score",
                "value": float(errors.mean()),
                "dummy": brier(own, np.array([c.line_chance for c in own])),
                "beside": "straight line with scatter",
                "interval": interval(own, lambda i, e=errors: float(e[i].mean())),
                "n": len(own),
                "split": "one origin a cell",
                "bar": None,
                "simulated": True,
            }
        )
    return out


def main() -> None:
    """Print the figures."""
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    given.add_argument("data", type=Path)
    given.add_argument("--quick", action="store_true")
    chosen = given.parse_args()
    for row in rows(chosen.data, chosen.quick):
        around = "" if row["interval"] is None else "  [{:.3f}, {:.3f}]".format(*row["interval"])
        beside = "" if row["dummy"] is None else f"  {row['dummy']:.3f} ({row['beside']})"
        print(f"{row['name']:75s} {row['value']:.3f}{around}{beside}  n={row['n']}")


if __name__ == "__main__":
    main()
