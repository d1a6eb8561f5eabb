"""A spoilt feed beside a clean one, on real cells: are the features the same where the data exist, and what does quality cost?

A tenth of the periods is lost, a twentieth comes twice, a fifth comes up to six hours late, so in no order. Both runs go
through the product: records, KPIs, features as known at their emission, a model fitted again as it walks forward. What a
late value misses is not made up for: its row went out without it.

The rule for features: a row equals the clean one, to the last bit, wherever each value that it looks at and the clean run
had is there, and was known by then. Quality is recall of injected faults as :mod:`benchmarks.kpi_anomaly` takes it, at the
same budget of false alarms; its loss is relative, and its interval draws whole real series again, the same for both runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks import kpi_anomaly
from benchmarks.kpi_anomaly import KPIS, Scored, Tally
from benchmarks.measure import Figure
from trunkline.core.frames import ELEMENTS, RECORDS, TIME, Facts
from trunkline.data import kpis
from trunkline.features import Features, history, kpi
from trunkline.features.language import Expression
from trunkline.features.parity import check
from trunkline.simulator.chaos import Chaos, fates, spoil
from trunkline.simulator.faults import Injection

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
HOUR = timedelta(hours=1)
HOW = Chaos(loss=0.1, duplicates=0.05, late=timedelta(hours=6), late_share=0.2, seed=1)
WORST = 0.10
"""The most that recall may fall, relatively."""
MODEL = "harmonic"

# Feature -> what it is, and how many hours back each value lies that a row of it looks at.
LOOKS: Mapping[str, tuple[Expression, tuple[int, ...]]] = {
    "now": (kpi("prb_use"), (0,)),
    "yesterday": (kpi("prb_use").lag("1d"), (24,)),
    "last_week": (kpi("dl_volume").lag("1w"), (168,)),
    "six_hours": (kpi("dl_volume").over("6h", "mean"), tuple(range(6))),
    "usual": (kpi("dl_volume").hour_of_week(weeks=4), (168, 336, 504, 672)),
    "busiest": (kpi("prb_use").over("12h", "max"), tuple(range(12))),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far the features of a spoilt run are those of the clean one."""

    rows: int
    with_all: int
    """Values of rows all of whose data were there."""
    differing: int
    """Of these, how many differ in any bit."""
    others: int
    """Values of rows that lacked something, or had it too late."""


def records(data: Path, *, weeks: int | None = None) -> pl.DataFrame:
    """The real cells as records, known at the end of their hour; the first *weeks* of them."""
    real = kpi_anomaly.cells(data).unpivot(list(KPIS), index=["entity", "at"], variable_name="name", value_name="value").drop_nulls("value")
    if weeks is not None:
        first = real["at"].min()
        assert isinstance(first, datetime)
        real = real.filter(pl.col("at") < first + timedelta(weeks=weeks))
    return as_records(real)


def as_records(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of ``entity``, ``at``, ``name``, ``value`` as records of hourly series."""
    told = rows.select(
        element="entity", object_class=pl.lit("series"), name="name", dimension=pl.lit(""), at="at", period_s=pl.lit(3600, dtype=pl.Int32), value="value",
        suspect=pl.lit(value=False), known_at=(pl.col("at") + HOUR).cast(TIME), source=pl.lit("real cells"), aggregate=pl.lit("mean"),
    )  # fmt: skip
    return told.cast(dict(RECORDS))  # type: ignore[arg-type]


def spoilt(clean: pl.DataFrame, how: Chaos = HOW) -> pl.DataFrame:
    """These records as they arrive over a bad feed."""
    return spoil(clean, fates(clean.select("element", "at", "period_s"), how))


def facts(found: pl.DataFrame) -> Facts:
    """Records as a workflow gets them."""
    names = found["element"].unique().sort()
    told = pl.DataFrame({"element": names, "kind": "cell", "zone": "UTC"}).with_columns(pl.lit(None, dtype=pl.String).alias(c) for c in list(ELEMENTS)[3:])
    return Facts(kpis=kpis.compute(found, every=HOUR), elements=told.select(list(ELEMENTS)))


def features() -> Features:
    """The features that are compared."""
    return Features(entity="cell", every="1h", columns={name: expression for name, (expression, _) in LOOKS.items()})


def agreement(clean: Facts, rough: Facts, *, known_at: datetime | None = None) -> Agreement:
    """Compare every row of both runs, each as known when it was emitted, or all as known at one instant."""
    slots = clean.kpis.select(entity="element", at="at").unique().sort("entity", "at")
    ours, theirs = (history(features(), one, slots=slots, known_at=known_at) for one in (rough, clean))
    known = ours["known_at"].to_physical().to_numpy()
    place = slots.with_row_index("place").rename({"entity": "element"})
    with_all = differing = others = 0
    for name, (expression, back) in LOOKS.items():
        first = {run: _first_known(one, expression, place) for run, one in (("clean", clean), ("rough", rough))}
        complete = np.ones(len(slots), np.bool_)
        for hours in back:
            then = slots.with_columns(at=pl.col("at") - hours * HOUR).rename({"entity": "element"}).join(place, on=["element", "at"], how="left")["place"]
            at = then.fill_null(len(slots)).to_numpy()
            complete &= (first["clean"][at] > known) | (first["rough"][at] <= known)
        a, b = (frame[name].cast(pl.Float64).to_numpy() for frame in (ours, theirs))
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        with_all, differing, others = with_all + int(complete.sum()), differing + int((complete & ~same).sum()), others + int((~complete).sum())
    return Agreement(rows=len(slots), with_all=with_all, differing=differing, others=others)


def _first_known(found: Facts, expression: Expression, place: pl.DataFrame) -> npt.NDArray[np.int64]:
    """When the value of each slot was first known, in microseconds; the end of time where never. One more for slots before the first."""
    name = next(iter(Features(entity="cell", every="1h", columns={"one": expression}).kpis))
    first = found.kpis.filter((pl.col("kpi") == name) & (pl.col("status") == "ok")).group_by("element", "at").agg(pl.col("known_at").min())
    told = place.join(first, on=["element", "at"], how="left", maintain_order="left")["known_at"].to_physical()
    return np.append(told.fill_null(np.iinfo(np.int64).max).to_numpy(), np.iinfo(np.int64).max)


def as_emitted(rows: pl.DataFrame, how: Chaos | None) -> pl.DataFrame:
    """The rows of the benchmark of anomalies (``entity``, ``at``, a column a KPI) as a workflow would have had them; spoilt as *how* says."""
    clean = as_records(rows.unpivot(list(KPIS), index=["entity", "at"], variable_name="name", value_name="value").drop_nulls("value"))
    found = facts(clean if how is None else spoilt(clean, how))
    plain = Features(entity="cell", every="1h", columns={name: kpi(name) for name in KPIS})
    return history(plain, found, slots=rows.select("entity", "at")).drop("known_at")


def scored(rows: pl.DataFrame, faults: Mapping[str, tuple[Injection, ...]], *, refit: timedelta) -> dict[str, list[Scored]]:
    """Scores of single KPIs and of both KPIs of a cell, as the benchmark of anomalies takes them."""
    make, one = kpi_anomaly.MODELS[MODEL], []
    for name in KPIS:
        for entity, scores in kpi_anomaly.walk_forward(rows, make, (name,), refit=refit).items():
            one.append(Scored(unit=f"{entity.rsplit('/', 1)[0]}/{name}", scores=scores, faults=faults[entity]))
    both = kpi_anomaly.walk_forward(rows, make, tuple(KPIS), refit=refit)
    return {"one KPI": one, "two KPIs of a cell": [Scored(unit=e.rsplit("/", 1)[0], scores=s, faults=faults[e]) for e, s in both.items()]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Recall of both runs at one budget of false alarms, and by how much it fell."""

    clean: float
    rough: float
    clean_false: float
    rough_false: float
    relative: float
    low: float
    high: float
    faults: int


def loss(clean: Sequence[Tally], rough: Sequence[Tally], *, draws: int = 2000) -> Loss:
    """How much lower recall is, relatively, with its 95 % interval: whole real series drawn again, the same ones for both."""
    units = sorted({t.unit for t in clean})

    def counts(tallies: Sequence[Tally]) -> npt.NDArray[np.int64]:
        return np.array([sum(sum(t.hits) for t in tallies if t.unit == u) for u in units])

    was, now = counts(clean), counts(rough)
    drawn = np.random.default_rng(0).integers(0, len(units), (draws, len(units)))
    low, high = np.quantile(1 - now[drawn].sum(axis=1) / was[drawn].sum(axis=1), (0.025, 0.975))
    total = sum(len(t.hits) for t in clean)
    return Loss(
        clean=was.sum() / total,
        rough=now.sum() / total,
        clean_false=sum(t.false for t in clean) / sum(t.weeks for t in clean),
        rough_false=sum(t.false for t in rough) / sum(t.weeks for t in rough),
        relative=1 - now.sum() / was.sum(),
        low=float(low),
        high=float(high),
        faults=total,
    )


def quality(data: Path, *, seeds: Sequence[int], refit: timedelta, how: Chaos = HOW) -> dict[tuple[str, str], Loss]:
    """What a spoilt feed costs, by kind of element and by how the threshold was set."""
    rows, faults = kpi_anomaly.injected(kpi_anomaly.cells(data), seeds, 0.5)
    clean, rough = (scored(as_emitted(rows, one), faults, refit=refit) for one in (None, how))
    found: dict[tuple[str, str], Loss] = {}
    for element in clean:
        taken = {
            "threshold relearned each week from the weeks before": [
                [kpi_anomaly.tally(s, 0.5) for s in kpi_anomaly.relearned(run[element])] for run in (clean, rough)
            ],
            "one false alarm an element-week": [_at_budget(run[element]) for run in (clean, rough)],
        }
        found |= {(element, name): loss(*tallies) for name, tallies in taken.items()}
    return found


def _at_budget(run: Sequence[Scored]) -> list[Tally]:
    at_least = next(p for p in kpi_anomaly.curve(run) if p["budget"] == 1.0)["threshold"]
    return [kpi_anomaly.tally(s, at_least) for s in run]


def figures(*, quick: bool) -> Iterator[Figure]:
    """Features that differ (bar: none) and recall lost (bar: a tenth), on the real cells of two years."""
    clean = records(DATA, weeks=12 if quick else None)
    whole, rough = facts(clean), facts(spoilt(clean))
    end = rough.kpis["known_at"].max()
    assert isinstance(end, datetime)
    for name, known_at in (("as known at emission", None), ("in hindsight", end)):
        found = agreement(whole, rough, known_at=known_at)
        yield Figure(
            name=f"chaos: features that differ where their data exist, {name}", value=found.differing, unit="values", bar=0, better="lower",
            n=found.with_all, simulated=False, note=f"{found.with_all:,} values had all their data; {found.others:,} lacked some or had it too late",
        )  # fmt: skip
    rows, lived = live_rows(rough, days=14 if quick else 60)
    yield Figure(
        name="chaos: live values that are not history's as known then", value=lived, unit="values", bar=0, better="lower", n=rows, simulated=False,
        note="facts handed over in the order in which they came",
    )  # fmt: skip
    for (element, how), cost in quality(DATA, seeds=(0, 1) if quick else tuple(range(10)), refit=timedelta(days=7)).items():
        yield Figure(
            name=f"chaos: recall lost, {element}, {how}", value=round(cost.relative, 4), unit="of the clean run's", bar=WORST, better="lower",
            peer="the clean run's recall", peer_value=round(cost.clean, 4), n=cost.faults,
            note=f"recall {cost.rough:.3f} after {cost.clean:.3f}, 95 % interval of the loss {cost.low:+.3f} to {cost.high:+.3f}; "
            f"false alarms an element-week {cost.rough_false:.2f} after {cost.clean_false:.2f}; faults are injected",
        )  # fmt: skip


def live_rows(found: Facts, *, days: int) -> tuple[int, int]:
    """Values that the stream gave for the newest *days*, facts handed over as they came, and how many are not history's as known then."""
    from trunkline.features import live

    bound = features()
    end = found.kpis["known_at"].max()
    assert isinstance(end, datetime)
    start = end - timedelta(days=days)
    stream = live(bound, elements=found.elements)
    stream.update(kpis=found.kpis.filter(pl.col("known_at") <= start))
    stream.advance(start)
    rows = []
    for (known,), batch in found.kpis.filter(pl.col("known_at") > start).sort("known_at").partition_by("known_at", as_dict=True, maintain_order=True).items():
        stream.update(kpis=batch)
        rows.append(stream.advance(known))
    told = check(bound, found, pl.concat(rows))
    return told.values, told.mismatches + told.repeated


__all__ = ["agreement", "facts", "figures", "live_rows", "loss", "quality", "records", "spoilt"]
