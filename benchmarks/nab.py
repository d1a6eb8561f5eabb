"""The labelled real series of the Numenta Anomaly Benchmark that are at hand, judged as `workflow replay` judges them.

Two metrics that can disagree: NAB's own score, and VUS-PR. Both stand beside chance and beside "a value
outside everything seen so far". Published scores are over the whole benchmark of 58 series; these are over
the series at hand, so they are not the same figure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.nab_score import Scored, by_folds, gains, normalised
from benchmarks.vus import vus_pr
from trunkline.data import series
from trunkline.models import Context, Harmonic, RandomAlarm, RangeNovelty
from trunkline.run.forward import walk

MODELS: Mapping[str, Any] = {"harmonic": Harmonic(), "range novelty": RangeNovelty(), "chance": RandomAlarm()}


def rows(data: Path, *, quick: bool = False) -> Iterator[dict[str, Any]]:
    """One figure a row: NAB score by folds and VUS-PR, of each model."""
    files = _files(data / "nab")
    files = files[::5] if quick else files
    said = {name: [_scored(frame, windows, path, model) for path, frame, windows in files] for name, model in MODELS.items()}
    chance = {"nab": by_folds(said["chance"])[0], "vus": float(np.nanmean([_vus(f) for f in said["chance"]]))}
    for name, found in said.items():
        value, interval = by_folds(found)
        yield _row(f"nab: standard score, {name}", value, chance["nab"], interval, len(found), bar=None)
        areas = np.array([_vus(f) for f in found])
        drawn = np.random.default_rng(3).choice(areas, size=(2000, len(areas)))
        low, high = np.quantile(np.nanmean(drawn, axis=1), [0.025, 0.975])
        yield _row(f"nab: VUS-PR, {name}", float(np.nanmean(areas)), chance["vus"], (float(low), float(high)), len(found), bar=None)


def _row(name: str, value: float, dummy: float, interval: tuple[float, float], n: int, bar: float | None) -> dict[str, Any]:
    split = "walks forward; threshold from the other four folds of series" if "standard" in name else "walks forward"
    return {
        "name": name,
        "value": round(value, 3),
        "dummy": round(dummy, 3),
        "interval": [round(x, 3) for x in interval],
        "n": n,
        "split": split,
        "bar": bar,
        "simulated": False,
    }


def _files(folder: Path) -> list[tuple[str, pl.DataFrame, tuple[tuple[int, int], ...]]]:
    windows = json.loads((folder / "labels" / "combined_windows.json").read_text())
    found = []
    for path in sorted((folder / "data").rglob("*.csv")):
        key = f"{path.parent.name}/{path.name}"
        frame = series.read(path, assume_zone="UTC").records.select(entity=pl.col("element"), at="at", value="value").unique("at", keep="last").sort("at")
        at = frame["at"].to_numpy()
        spans = []
        for begin, end in windows.get(key, []):
            first, last = (np.datetime64(datetime.fromisoformat(t).replace(tzinfo=UTC).replace(tzinfo=None)) for t in (begin, end))
            inside = np.flatnonzero((at >= first) & (at <= last))
            if len(inside):
                spans.append((int(inside[0]), int(inside[-1])))
        found.append((key, frame, tuple(spans)))
    return found


def _scored(frame: pl.DataFrame, windows: tuple[tuple[int, int], ...], name: str, model: Any) -> Scored:
    every = timedelta(seconds=float(frame["at"].diff().dt.total_seconds().median() or 300))  # type: ignore[arg-type]
    learn = int(min(0.15 * frame.height, 750))
    rows_of = frame.with_columns(known_at=pl.col("at") + every)
    scored = walk(model, rows_of, context=Context(every=every), start=frame["at"][learn], emitted_after=timedelta(0))
    return Scored(name, np.nan_to_num(scored.scores), windows)


def _vus(file: Scored) -> float:
    labels = gains(file)[1] >= 0
    return vus_pr(file.scores[file.probation :], labels[file.probation :])


__all__ = ["normalised", "rows"]
