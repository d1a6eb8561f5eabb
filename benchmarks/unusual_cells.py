"""Labelled real LTE cells, by cells never seen: boosted trees, an isolation forest, and what the gates say of either."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.gates import F1, Auc, BeatsBaseline, Evidence, Gate, run_gates
from trunkline.models import Context, IsolationForest, RandomAlarm, Trees

EVERY = timedelta(minutes=15)
BARS: tuple[Gate, ...] = (Auc(least=0.99), F1(least=0.97), BeatsBaseline())


def rows(data: Path, *, quick: bool = False) -> Iterator[dict[str, Any]]:
    """AUC and F1 of each model by unseen cell beside chance, with the gates' verdicts."""
    table, labels, cell = _table(data / "lte_prb_unusual" / "samples.csv")
    folds = 2 if quick else 5
    fold = np.unique(cell, return_inverse=True)[1] % folds
    context = Context(every=EVERY)
    models: dict[str, Callable[[pl.DataFrame, npt.NDArray[Any]], Any]] = {
        "trees": lambda known, y: Trees().fit(known, labels=y, context=context),
        "isolation forest": lambda known, _: IsolationForest(on="raw").fit(known, context=context),
        "chance": lambda known, _: RandomAlarm().fit(known, context=context),
    }
    verdicts = {}
    for name, fit in models.items():
        scores = np.full(len(labels), np.nan)
        for k in range(folds):
            scores[fold == k] = fit(table.filter(fold != k), labels[fold != k]).score(table.filter(fold == k))
        evidence = Evidence(table, scores=scores, labels=labels, groups=cell, split="group:cell", every=EVERY)
        verdicts[name] = run_gates(BARS, evidence)
    for name, found in verdicts.items():
        for gate, dummy in zip(found[:2], verdicts["chance"][:2], strict=True):
            yield {
                "name": f"unusual cells: {gate.gate}, {name}: gate says {gate.result}",
                "value": round(gate.value or 0.0, 3),
                "dummy": round(dummy.value or 0.0, 3),
                "interval": None if gate.interval is None else [round(x, 3) for x in gate.interval],
                "n": gate.n,
                "split": f"{folds} folds of unseen cells",
                "bar": gate.bar if name == "trees" else None,
                "meets": gate.result == ("pass" if name == "trees" else "fail"),
                "simulated": False,
            }


def _table(path: Path) -> tuple[pl.DataFrame, npt.NDArray[Any], npt.NDArray[Any]]:
    samples = pl.read_csv(path)
    clock = samples["Time"].str.split(":").list
    hour = clock.get(0).cast(pl.Float64) + clock.get(1).cast(pl.Float64) / 60
    features = samples.drop("Time", "CellName", "Unusual").with_columns(pl.col("maxUE_UL+DL").cast(pl.Float64, strict=False), hour=hour)
    # The samples carry no date: their order in the file stands in for one, which no model here looks at.
    at = (pl.lit(datetime(2026, 1, 1, tzinfo=UTC)) + pl.int_range(pl.len()).over("CellName") * EVERY).cast(pl.Datetime("us", "UTC"))
    keys = samples.select(entity="CellName", at=at).with_columns(known_at=pl.col("at") + EVERY)
    whole = pl.concat([keys, features, samples.select("Unusual")], how="horizontal").sort("entity", "at")
    return whole.drop("Unusual"), whole["Unusual"].to_numpy(), whole["entity"].to_numpy()
