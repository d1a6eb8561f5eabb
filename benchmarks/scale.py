"""Ten thousand cells on one machine, the way a user goes: a workspace, its files loaded, then trained, replayed and scored.

Simulated cells: five KPIs with a daily shape, noise, one value in a hundred missing, and outages; eight weeks of hours,
a file a day; the workflow is kpi-anomaly as it ships. Each step runs in a process of its own, whose highest memory is
told. Run as ``python -m benchmarks.scale CELLS WEEKS FOLDER STEP`` it does one step and prints what it took.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import trunkline
from benchmarks.measure import Figure, growth
from trunkline.core.frames import RECORDS
from trunkline.run import releases, shipped
from trunkline.run.spread import spread
from trunkline.store import catalogue

STEPS = ("load", "train", "replay", "score")
HOUR = timedelta(hours=1)
FIRST = datetime(2026, 1, 5, tzinfo=UTC)
NAMES = ("dl_user_throughput", "dl_volume", "prb_utilisation_dl", "rrc_attempts", "rrc_success_ratio")
WORKFLOW = "kpi-anomaly"
MOST_MB = 4096.0


def figures(*, quick: bool) -> Iterator[Figure]:
    """Memory and time of each step at the largest size, and how time grows."""
    sizes, weeks = ((8, 25, 80), 3) if quick else ((1_000, 3_000, 10_000), 8)
    took = {cells: _steps(cells, weeks, together=quick) for cells in sizes}
    largest = took[sizes[-1]]
    for step in STEPS:
        one = largest[step]
        exponent = growth({cells: took[cells][step]["cpu_s"] for cells in sizes})
        each = ", ".join(f"{cells:,}: {took[cells][step]['cpu_s']:.1f} s CPU, {took[cells][step]['peak_mb']:.0f} MB" for cells in sizes)
        yield Figure(
            name=f"scale: {step} {sizes[-1]:,} cells x {len(NAMES)} KPIs x {weeks} weeks of hours",
            value=one["peak_mb"],
            unit="MB at most",
            bar=MOST_MB,
            better="lower",
            n=sizes[-1] * weeks * 168,
            peak_mb=one["peak_mb"],
            note=f"{one['wall_s']:.0f} s wall, {one['cpu_s']:.0f} s CPU; CPU grows with exponent {exponent:.2f} ({each}); {one['note']}",
        )


def _steps(cells: int, weeks: int, *, together: bool) -> dict[str, dict[str, Any]]:
    """What each step took; where memory is no question, training and replaying are done side by side."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2 if together else 1) as side_by_side:
        took = {"load": _in_its_own_process(cells, weeks, folder, "load")}
        both = {step: side_by_side.submit(_in_its_own_process, cells, weeks, folder, step) for step in ("train", "replay")}
        took |= {step: one.result() for step, one in both.items()}
        return took | {"score": _in_its_own_process(cells, weeks, folder, "score")}


def simulate(cells: int, weeks: int, day: int) -> pl.DataFrame:
    """RECORDS of one day of all cells, as a warehouse would export them."""
    fixed, random = np.random.default_rng(1), np.random.default_rng([2, day])
    size, begins = fixed.lognormal(3, 0.5, (len(NAMES), cells, 1)), fixed.integers(weeks * 42, weeks * 168 - 6, (cells, 1))
    slot = day * 24 + np.arange(24)
    busy = 1.0 + 0.6 * np.sin((np.arange(24) - 9) / 24 * 2 * np.pi) + 0.15 * (day % 7 < 5)
    value = size * busy * random.lognormal(0, 0.15, (len(NAMES), cells, 24))
    value[-1] = 1.0 - 0.01 * random.lognormal(0, 0.3, (cells, 24))
    value[:, (slot >= begins) & (slot < begins + 6)] *= 0.1
    value[random.random(value.shape) < 0.01] = np.nan
    at = pl.Series(slot * 3_600_000_000 + int(FIRST.timestamp() * 1e6)).cast(pl.Datetime("us", "UTC"))
    each = cells * 24
    frame = pl.DataFrame(
        {
            "element": pl.Series(np.tile(np.repeat([f"cell-{n:05}" for n in range(cells)], 24), len(NAMES))),
            "name": pl.Series(np.repeat(NAMES, each)),
            "at": pl.concat([at] * (cells * len(NAMES))),
            "value": pl.Series(value.ravel(), nan_to_null=True),
        }
    )
    plain = {"object_class": pl.lit("series"), "dimension": pl.lit(""), "period_s": pl.lit(3600, pl.Int32), "suspect": pl.lit(value=False)}
    return frame.with_columns(known_at=pl.col("at") + HOUR, source=pl.lit("simulated"), **plain).select(list(RECORDS))


def _do(cells: int, weeks: int, folder: Path, step: str) -> tuple[str, float]:
    """What came of it, and the CPU seconds that only the simulation took."""
    flags = {"keys": str(folder / "keys"), "operator": "bench"}
    place, now = folder / "workspace", FIRST + timedelta(weeks=weeks) + HOUR
    if step == "load":
        simulating = 0.0
        with trunkline.create(place, clock=lambda: now, flags=flags) as workspace:
            for day in range(weeks * 7):
                file, before = folder / f"day-{day:02}.parquet", time.process_time()
                simulate(cells, weeks, day).write_parquet(file)
                simulating += time.process_time() - before
                workspace.data.load([file])
                file.unlink()
        return f"{sum(path.stat().st_size for path in place.rglob('*') if path.is_file()) / 1e6:.0f} MB of workspace, a file a day", simulating
    with trunkline.open(place, clock=lambda: now, flags=flags) as workspace:
        if step == "train":
            candidate = workspace.workflows.train(WORKFLOW)
            return f"{len(candidate.model_file) / 1e6:.0f} MB of model, gates: {candidate.winner.result}", 0.0
        if step == "replay":
            result = workspace.workflows.replay(WORKFLOW, self_test=weeks > 3)
            tested = f", self-test {result.self_test[0].found}" if result.self_test else ""
            return f"{len(result.findings):,} findings of {result.elements:,} elements judged{tested}", 0.0
        row = catalogue.rows(workspace.store.engine, catalogue.releases)[0]
        fitted = releases.fitted(workspace.store, row)
        newest = FIRST + timedelta(weeks=weeks, days=-1)
        new = spread(workspace.store, shipped.find(WORKFLOW), since=newest - fitted.lookback)
        return f"{sum(frame.height for frame in new.fleet.score(fitted, since=newest)):,} rows of the newest day scored", 0.0


def _in_its_own_process(cells: int, weeks: int, folder: str, step: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "benchmarks.scale", str(cells), str(weeks), folder, step], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return dict(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    wall = time.perf_counter()
    told, simulating = _do(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - simulating, "peak_mb": peak, "note": told}))
