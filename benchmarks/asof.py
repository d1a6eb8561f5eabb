"""Features as known at their time, beside Polars' ``join_asof`` and Feast.

Simulated facts: three frames of ten numbers each for cells in slots of 15 minutes, a twentieth of them known late.
Frames are in memory and in the order both joins like best, except beside Feast, which reads files: there we read the
same files. Feast's time is taken inside its own environment, around ``get_historical_features(…).to_df()`` alone,
with its default (dask) offline store; it drops rows of entities that have no fact yet, we never do.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.measure import Figure, cpu, growth
from trunkline.features import Timeline, asof

VIEWS, COLUMNS = 3, 10
SLOT_US = 900_000_000
FEAST = "feast==0.67.*"
INSTANT = pl.Datetime("us", "UTC")
HERE = Path(__file__).parent
PEERS = HERE / ".peers"

FEAST_SCRIPT = r"""
import json, sys, time, warnings
warnings.filterwarnings("ignore")
from datetime import timedelta
from pathlib import Path
import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64
folder = Path(sys.argv[1])
config = RepoConfig(project="bench", provider="local", registry=str(folder / "registry.db"),
                    offline_store={"type": "dask"}, online_store={"type": "sqlite", "path": str(folder / "online.db")}, entity_key_serialization_version=3)
store = FeatureStore(config=config)
cell = Entity(name="cell", join_keys=["entity"], value_type=ValueType.INT64)
views = []
for n in range(3):
    source = FileSource(name=f"s{n}", path=str(folder / f"view{n}.parquet"), timestamp_field="at")
    views.append(FeatureView(name=f"v{n}", entities=[cell], ttl=timedelta(days=3650), source=source,
                             schema=[Field(name=f"v{n}_{c}", dtype=Float64) for c in range(10)]))
store.apply([cell, *views])
wanted = pd.read_parquet(folder / "wanted.parquet").rename(columns={"at": "event_timestamp"})
names = [f"v{n}:v{n}_{c}" for n in range(3) for c in range(10)]
wall, used = time.perf_counter(), time.process_time()
frame = store.get_historical_features(entity_df=wanted, features=names).to_df()
took = {"cpu_s": time.process_time() - used, "wall_s": time.perf_counter() - wall, "rows": len(frame)}
frame.sort_values("number").to_parquet(folder / "answer.parquet")
print(json.dumps(took))
"""


def prepare(folder: Path) -> None:
    """Feast in an environment of its own; not timed."""
    home = folder / "feast"
    if not (home / "bin" / "python").exists():
        venv.create(home, with_pip=True)
    subprocess.run([home / "bin" / "pip", "install", "--quiet", FEAST], check=True)


def figures(*, quick: bool) -> Iterator[Figure]:
    """The small case beside Feast, the large one beside Polars, what being bitemporal costs, and how time grows."""
    yield from _beside_feast()
    yield from _beside_polars(rows=200_000 if quick else 1_000_000, entities=1_000, slots=2_000 if quick else 10_000)
    yield from _growing(300_000 if quick else 1_000_000)


def _beside_feast() -> Iterator[Figure]:
    views, wanted = _facts(entities=1_000, slots=168), _wanted(20_000, entities=1_010, slots=168)  # a few cells nobody knows, a few instants too early
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for n, view in enumerate(views):
            view.write_parquet(folder / f"view{n}.parquet")
        wanted.write_parquet(folder / "wanted.parquet")

        def ours() -> pl.DataFrame:
            return asof(pl.read_parquet(folder / "wanted.parquet"), *(pl.read_parquet(folder / f"view{n}.parquet") for n in range(VIEWS)))

        answer = cpu(ours, repeat=7)
        joined = cpu(asof, wanted, *views, repeat=7)
        assert answer.result.height == wanted.height
        assert answer.result.equals(_polars(wanted, views))
        feast = _feast(folder)
        if feast is not None:
            theirs = pl.read_parquet(folder / "answer.parquet").select("number", pl.col("^v._.*$"))
            mine = answer.result.join(theirs.select("number"), on="number", how="semi").select(theirs.columns).sort("number")
            assert mine.equals(theirs.sort("number")), "Feast's values differ from ours"
    told = "not built: python -m benchmarks --prepare --only asof" if feast is None else f"Feast returned {feast['rows']:,.0f} of {wanted.height:,} rows"
    yield Figure(
        name="as-of: files to 20 k rows x 30 over 3 x 168 k",
        value=float("nan") if feast is None else feast["cpu_s"] / answer.cpu_s,
        unit="x Feast's CPU",
        bar=None if feast is None else 50.0,
        peer=f"{FEAST}, dask store, s CPU",
        peer_value=None if feast is None else feast["cpu_s"],
        limit=_read_ms(views) / 1e3 / answer.cpu_s,
        limit_is="share of our time that reading the same bytes from memory takes",
        n=wanted.height,
        peak_mb=answer.peak_mb,
        note=f"{answer.cpu_s * 1e3:.1f} ms CPU with files, {joined.cpu_s * 1e3:.1f} from memory; {told}",
    )


def _feast(folder: Path) -> dict[str, float] | None:
    python = Path(os.environ.get("TRUNKLINE_FEAST", PEERS / "feast" / "bin" / "python"))
    if not python.exists():
        return None
    script = folder / "with_feast.py"
    script.write_text(FEAST_SCRIPT, encoding="utf-8")
    done = subprocess.run([python, script, folder], capture_output=True, text=True, check=False, env={**os.environ, "FEAST_USAGE": "False"})
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr)
        return None
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _beside_polars(*, rows: int, entities: int, slots: int) -> Iterator[Figure]:
    views, wanted = _facts(entities=entities, slots=slots), _wanted(rows, entities=entities, slots=slots)
    size = f"{rows / 1e6:g} M rows x 30 over 3 x {entities * slots / 1e6:g} M"
    by_time = wanted.sort("at")
    assert asof(by_time, *views).equals(_polars(by_time, views))  # before anything is timed
    ours, limit = cpu(asof, by_time, *views), _read_ms(views)
    theirs = cpu(_polars, by_time, views, repeat=2)
    yield Figure(
        name=f"as-of: {size}, wanted by time",
        value=ours.cpu_s / theirs.cpu_s,
        unit="x join_asof's CPU",
        bar=0.5,
        better="lower",
        peer="Polars join_asof, s CPU",
        peer_value=theirs.cpu_s,
        limit=_gather_ms(rows, views) / 1e3 / theirs.cpu_s,
        limit_is="taking as many numbers from random places of the frames, over the peer",
        n=rows,
        peak_mb=ours.peak_mb,
        note=f"{ours.cpu_s:.2f} s CPU, frames put to the test of order included; reading the frames once takes {limit:.0f} ms",
    )
    by_cell = wanted.sort("entity", "at")
    ours, theirs = cpu(asof, by_cell, *views), cpu(_polars, by_cell, views)
    timelines = [Timeline(view) for view in views]
    again = cpu(asof, by_cell, *timelines)
    yield Figure(
        name=f"as-of: {size}, wanted by cell and time",
        value=ours.cpu_s / theirs.cpu_s,
        unit="x join_asof's CPU",
        better="lower",
        peer="Polars join_asof, s CPU",
        peer_value=theirs.cpu_s,
        n=rows,
        peak_mb=ours.peak_mb,
        note=f"{ours.cpu_s:.2f} s CPU; {again.cpu_s:.2f} with timelines made before. The order Polars is fastest in.",
    )
    del timelines
    late = [view.with_columns(known_at=_known(view["at"])) for view in views]
    plain, bitemporal = [Timeline(view) for view in views], [Timeline(view) for view in late]
    for timelines in (plain, bitemporal):
        asof(by_time, *timelines)
    before, after = cpu(asof, by_time, *plain, repeat=5), cpu(asof, by_time, *bitemporal, repeat=5)
    changed = float((before.result["v0_0"] != after.result["v0_0"]).mean() or 0.0)
    assert 0.0 < changed < 0.5
    yield Figure(
        name=f"as-of: {size}, as known by then",
        value=after.cpu_s / before.cpu_s,
        unit="x the plain join's CPU",
        bar=1.25,
        better="lower",
        peer="ours without known_at, s CPU",
        peer_value=before.cpu_s,
        n=rows,
        peak_mb=after.peak_mb,
        note=f"{after.cpu_s:.2f} s CPU; {changed:.0%} of the rows see an older fact because the newest was not known yet",
    )


def _growing(rows: int) -> Iterator[Figure]:
    took, history = {}, {}
    for times in (1, 3, 10):
        views = [Timeline(view) for view in _facts(entities=1_000, slots=1_000)]
        wanted = _wanted(rows // 10 * times, entities=1_000, slots=1_000)
        took[times] = cpu(asof, wanted, *views).cpu_s
        views = [Timeline(view) for view in _facts(entities=1_000, slots=200 * times)]
        history[times] = cpu(asof, _wanted(rows // 10, entities=1_000, slots=200 * times), *views).cpu_s
    for what, seconds in (("wanted rows", took), ("history", history)):
        yield Figure(
            name=f"as-of: growth with {what}",
            value=growth(seconds),
            unit="exponent",
            bar=1.15,
            better="lower",
            n=10,
            note=", ".join(f"{times}x {used * 1e3:.0f} ms" for times, used in seconds.items()),
        )


def _facts(*, entities: int, slots: int) -> list[pl.DataFrame]:
    random = np.random.default_rng(7)
    rows = entities * slots
    at = np.tile(np.arange(slots) * SLOT_US, entities)
    return [
        pl.DataFrame({"entity": np.repeat(np.arange(entities), slots), "at": at + int(random.integers(0, 60_000_000))})
        .with_columns(pl.col("at").cast(INSTANT), **{f"v{n}_{c}": random.random(rows) for c in range(COLUMNS)})
        .rechunk()
        for n in range(VIEWS)
    ]


def _wanted(rows: int, *, entities: int, slots: int) -> pl.DataFrame:
    random = np.random.default_rng(8)
    at = random.integers(-SLOT_US, slots * SLOT_US, rows)
    return pl.DataFrame({"number": np.arange(rows), "entity": random.integers(0, entities, rows), "at": at}).with_columns(pl.col("at").cast(INSTANT))


def _known(at: pl.Series) -> pl.Series:
    """A minute after its slot began, a twentieth of them up to six hours later."""
    random = np.random.default_rng(9)
    late = np.where(random.random(len(at)) < 0.05, random.integers(0, 6 * 3_600_000_000, len(at)), 60_000_000)
    return pl.Series(at.cast(pl.Int64).to_numpy() + late).cast(INSTANT)


def _polars(wanted: pl.DataFrame, views: list[pl.DataFrame]) -> pl.DataFrame:
    """Polars' own way; its join wants rows that rise in time (within a cell), and puts them back in the order they came."""
    ordered = wanted if wanted["at"].is_sorted() or wanted.select("entity", "at").equals(wanted.select("entity", "at").sort("entity", "at")) else None
    joined = wanted.sort("at") if ordered is None else wanted
    for view in views:
        joined = joined.join_asof(view, on="at", by="entity", check_sortedness=False)
    return joined.sort("number") if ordered is None else joined


def _read_ms(views: list[pl.DataFrame]) -> float:
    columns: list[npt.NDArray[np.float64]] = [view[name].to_numpy() for view in views for name in view.columns if name.startswith("v")]
    return cpu(lambda: [float(column.max()) for column in columns], repeat=3).cpu_s * 1e3


def _gather_ms(rows: int, views: list[pl.DataFrame]) -> float:
    places = np.random.default_rng(3).integers(0, views[0].height, rows)
    out = np.empty(rows)
    columns = [view[name].to_numpy() for view in views for name in view.columns if name.startswith("v")]
    return cpu(lambda: [column.take(places, out=out, mode="clip") for column in columns], repeat=2).cpu_s * 1e3
