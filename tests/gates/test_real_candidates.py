"""Real cells, real models: what must be refused is refused, what earns it passes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from trunkline.gates import F1, Auc, BeatsBaseline, Duplicates, Evidence, Gate, Latency, Leakage, Parity, Part, joint, run_gates
from trunkline.models.forest import IsolationForest
from trunkline.models.portable import load, pack, unpack
from trunkline.models.protocol import Context, Fitted
from trunkline.models.trees import Trees

pytestmark = [pytest.mark.real, pytest.mark.slow]
CONTEXT = Context(every=timedelta(minutes=15))
FOLDS = 5


@dataclasses.dataclass(frozen=True)
class Cells:
    """22 real cells, 15-minute samples without a date, a quarter of them labelled unusual."""

    rows: pl.DataFrame
    labels: np.ndarray
    cell: np.ndarray
    fold: np.ndarray

    def by_unseen_cell(self, fit: Callable[[pl.DataFrame, np.ndarray], Fitted]) -> np.ndarray:
        scores = np.full(len(self.labels), np.nan)
        for k in range(FOLDS):
            known = self.fold != k
            scores[~known] = fit(self.rows.filter(known), self.labels[known]).score(self.rows.filter(~known))
        return scores

    def evidence(self, scores: np.ndarray, **more: object) -> Evidence:
        return Evidence(self.rows, scores=scores, labels=self.labels, groups=self.cell, split="group:cell", every=timedelta(minutes=15), **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def cells(real_data: Path) -> Cells:
    samples = pl.read_csv(real_data / "lte_prb_unusual" / "samples.csv")
    clock = samples["Time"].str.split(":").list
    features = samples.drop("Time", "CellName", "Unusual").with_columns(
        pl.col("maxUE_UL+DL").cast(pl.Float64, strict=False), hour=clock.get(0).cast(pl.Float64) + clock.get(1).cast(pl.Float64) / 60
    )
    # The samples carry no date: their order in the file stands in for one, which nothing here looks at.
    at = pl.lit(datetime(2026, 1, 1, tzinfo=UTC)) + pl.int_range(pl.len()).over("CellName") * timedelta(minutes=15)
    keys = samples.select(entity="CellName", at=at.cast(pl.Datetime("us", "UTC"))).with_columns(known_at=pl.col("at") + timedelta(minutes=25))
    whole = pl.concat([keys, features, samples.select("Unusual")], how="horizontal").sort("entity", "at")
    cell = whole["entity"].to_numpy()
    return Cells(whole.drop("Unusual"), whole["Unusual"].to_numpy(), cell, np.unique(cell, return_inverse=True)[1] % FOLDS)


def test_an_isolation_forest_worse_than_chance_is_refused(cells: Cells) -> None:
    scores = cells.by_unseen_cell(lambda rows, _: IsolationForest(on="raw").fit(rows, context=CONTEXT))

    verdicts = run_gates([BeatsBaseline(), BeatsBaseline("auc"), Auc(least=0.99), F1(least=0.97)], cells.evidence(scores))

    assert [v.result for v in verdicts] == ["fail"] * 4
    assert verdicts[2].value is not None
    assert verdicts[2].value < 0.5
    assert "worse than chance" in verdicts[2].why


def test_boosted_trees_pass_on_cells_never_seen(cells: Cells) -> None:
    scores = cells.by_unseen_cell(lambda rows, labels: Trees().fit(rows, labels=labels, context=CONTEXT))

    verdicts = run_gates([BeatsBaseline(), Auc(least=0.99), F1(least=0.97)], cells.evidence(scores))

    assert [v.result for v in verdicts] == ["pass"] * 3, [v.why for v in verdicts]


def test_a_better_but_slower_and_a_faster_but_worse_candidate_are_both_refused(cells: Cells) -> None:
    known = cells.fold != 0
    held = cells.rows.filter(~known)

    def candidate(model: Trees) -> Evidence:
        fitted = model.fit(cells.rows.filter(known), labels=cells.labels[known], context=CONTEXT)
        again = load(unpack(pack(fitted.save())))
        return Evidence(
            held,
            scores=fitted.score(held),
            labels=cells.labels[~known],
            groups=np.char.add(cells.cell[~known].astype(str), (np.arange(held.height) % 4).astype(str)),  # quarters of the held-out cells
            split="group:cell",
            every=timedelta(minutes=15),
            train=Part(cells.rows.filter(known), labels=cells.labels[known], groups=cells.cell[known]),
            time_one=lambda index: fitted.score(held[index]),
            reload=lambda: again.score(held),
        )

    live = candidate(Trees(rounds=10, stop=0))
    gates: list[Gate] = [BeatsBaseline(), Latency(p99_ms=200, replays=200), Parity(), Leakage(), Duplicates()]
    slower = run_gates(gates, dataclasses.replace(candidate(Trees(rounds=1200, stop=0, leaves=63)), champion=live))
    worse = run_gates(gates, dataclasses.replace(candidate(Trees(rounds=2, stop=0, leaves=3)), champion=live))

    assert [v.result for v in slower] == ["pass", "fail", "pass", "pass", "pass"], [v.why for v in slower]
    assert [v.result for v in worse] == ["fail", "pass", "pass", "pass", "pass"], [v.why for v in worse]
    assert joint(slower) == joint(worse) == "fail"


def test_leakage_and_duplicates_are_calm_on_honest_cells(cells: Cells) -> None:
    known = cells.fold != 0
    evidence = Evidence(
        cells.rows.filter(~known),
        scores=np.zeros(int((~known).sum())),
        labels=cells.labels[~known],
        groups=cells.cell[~known],
        split="group:cell",
        every=timedelta(minutes=15),
        train=Part(cells.rows.filter(known), labels=cells.labels[known], groups=cells.cell[known]),
    )

    assert [v.result for v in run_gates([Leakage(), Duplicates()], evidence)] == ["pass", "pass"]
