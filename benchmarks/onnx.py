"""Exported models in ONNX Runtime, one thread, beside our own walk: how far apart the answers are, and what a row costs.

The same model, the same rows; answers are compared before anything is timed. Rows are laid out as the file asks for before
the clock starts on either side: ours is given a frame of the row and its past, theirs the arrays.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from benchmarks.accuracy import DATA
from benchmarks.kpi_anomaly import cells
from benchmarks.measure import Figure, cpu, growth, peak_mb
from benchmarks.trees import TREES, model, take_turns
from benchmarks.unusual_cells import _table
from trunkline.models import Autoencoder, Context, Crossing, Envelope, Harmonic, HourOfWeek, IsolationForest, Trees
from trunkline.models.check import sample_rows
from trunkline.models.lightgbm_text import flatten
from trunkline.models.onnx_export import AT_ONCE, BOUND, INT8_BOUND, Exported, Proof, contract, graph_of, inputs, prove
from trunkline.models.onnx_graph import Graph
from trunkline.models.onnx_trees import total

REAL_UNTIL = datetime(2020, 3, 1, tzinfo=UTC)
KINDS: dict[str, Any] = {
    "harmonic": Harmonic(),
    "envelope": Envelope(),
    "hour of week": HourOfWeek(),
    "forest on residuals": IsolationForest(),
    "forest on values": IsolationForest(on="raw"),
    "autoencoder": Autoencoder(),
}


def figures(*, quick: bool) -> Iterator[Figure]:
    """Parity and cost of every kind of model."""
    yield from on_real_rows()
    yield from boosted(calls=1_000 if quick else 5_000, rows=5_000 if quick else 20_000)
    rows, _ = sample_rows(days=42, entities=4 if quick else 12)
    context = Context(every=timedelta(hours=1))
    for name, kind in KINDS.items():
        yield from of_kind(name, kind, rows, context, calls=60 if quick else 300)


def on_real_rows() -> Iterator[Figure]:
    """Parity on 10,000 rows of the real data sets, where they are at hand."""
    hourly = DATA / "lte_traffic_congestion" / "hourly.csv"
    if not hourly.is_file():
        return
    rows, context = cells(DATA), Context(every=timedelta(hours=1))
    fits = {name: kind.fit(rows.filter(pl.col("at") < REAL_UNTIL), context=context) for name, kind in KINDS.items()}
    fits["crossing"] = Crossing(column="prb_use", limit=30.0).fit(rows.filter(pl.col("at") < REAL_UNTIL), context=context)
    proofs = {name: prove(fitted, Exported(graph_of(fitted)), rows) for name, fitted in fits.items()}
    small = prove(fits["autoencoder"], Exported(graph_of(fits["autoencoder"], int8=True)), rows)
    samples, labels, _ = _table(DATA / "lte_prb_unusual" / "samples.csv")
    trees = Trees().fit(samples, labels=labels, context=Context(every=timedelta(minutes=15)))
    proofs["trees"] = prove(trees, Exported(graph_of(trees)), samples)
    for name, proof in proofs.items():
        yield _apart(f"{name}, largest difference on real rows", proof, BOUND)
    yield _apart("autoencoder, weights of eight bits, real rows", small, INT8_BOUND)


def _apart(what: str, proof: Proof, bound: float) -> Figure:
    note = f"{proof.judged:,} of the rows are judged"
    return Figure(name=f"onnx: {what}", value=proof.apart, unit="of a score", bar=bound, better="lower", n=proof.rows, simulated=False, note=note)


def boosted(*, calls: int, rows: int) -> Iterator[Figure]:
    """The 300 trees of the part "trees", sums only."""
    booster, x = model(TREES)
    flat, graph = flatten(booster.model_to_string()), Graph()
    exported = Exported(graph.model(total(graph, flat, graph.input("values", "float64", ["rows", x.shape[1]]))).SerializeToString())
    worst = float(np.abs(exported.score({"values": x}) - flat.total(x)).max())
    yield Figure(name=f"onnx: {TREES} trees, largest difference from ours", value=worst, unit="of a sum", bar=0.0, better="lower", n=len(x))
    flat.warm()
    alone = [x[i : i + 1] for i in range(500)]
    turns = take_turns(lambda i: exported.score({"values": alone[i % 500]}), lambda i: flat.total(alone[i % 500]), calls)
    yield Figure(
        name=f"onnx: {TREES} trees, one row, median",
        value=turns.us[0],
        unit="us CPU",
        better="lower",
        peer="our kernel",
        peer_value=turns.us[1],
        n=calls,
        note="each tree answers for itself, so that threads cannot change the last bit of a sum",
    )
    part = x[:rows]
    theirs, ours = cpu(exported.score, {"values": part}), cpu(flat.total, part)
    yield Figure(
        name=f"onnx: {TREES} trees, many rows",
        value=theirs.cpu_s / len(part) * 1e6,
        unit="us CPU a row",
        better="lower",
        peer="our kernel",
        peer_value=ours.cpu_s / len(part) * 1e6,
        n=len(part),
        peak_mb=peak_mb(),
    )
    sizes = [len(x) // 10, len(x) * 3 // 10, len(x)]
    exponent = growth({size: cpu(exported.score, {"values": x[:size]}).cpu_s for size in sizes})
    yield Figure(name="onnx: trees, growth with rows", value=exponent, unit="exponent", bar=1.2, better="lower", n=len(x))


def of_kind(name: str, kind: Any, rows: pl.DataFrame, context: Context, *, calls: int) -> Iterator[Figure]:
    """One kind of model, with everything from raw values to the score in its graph."""
    fitted = kind.fit(rows, context=context)
    content = graph_of(fitted)
    exported, asked = Exported(content), contract(fitted)
    proof = prove(fitted, exported, rows)
    yield Figure(name=f"onnx: {name}, largest difference from ours", value=proof.apart, unit="of a score", bar=BOUND, better="lower", n=proof.rows)
    last = np.flatnonzero((rows["at"] > rows["at"].max() - timedelta(days=5)).to_numpy())[:calls]  # type: ignore[operator]
    alone = [inputs(asked, rows, [i]) for i in last]
    frames = [rows[max(0, i + 1 - max(asked.slots, 1)) : i + 1] for i in last]
    fitted.score(frames[0])
    turns = take_turns(lambda i: exported.score(alone[i % len(alone)]), lambda i: fitted.score(frames[i % len(frames)]), calls, turn=10)
    yield Figure(
        name=f"onnx: {name}, one row with its past, median",
        value=turns.us[0],
        unit="us CPU",
        better="lower",
        peer="our score of a frame",
        peer_value=turns.us[1],
        n=calls,
        note="theirs is given arrays, ours a frame, which it lays out itself",
    )
    given = inputs(asked, rows, np.arange(rows.height - 2_000, rows.height))
    theirs, ours = cpu(exported.score, given), cpu(fitted.score, rows)
    yield Figure(
        name=f"onnx: {name}, many rows",
        value=theirs.cpu_s / 2_000 * 1e6,
        unit="us CPU a row",
        better="lower",
        peer="our score of the whole frame",
        peer_value=ours.cpu_s / rows.height * 1e6,
        n=2_000,
        peak_mb=peak_mb(),
        note=f"{AT_ONCE} rows at a time; each brings its own past, where ours shares it",
    )
    yield Figure(name=f"onnx: {name}, file", value=len(content) / 1e3, unit="kB", better="lower", n=rows["entity"].n_unique())
    if isinstance(kind, Autoencoder):
        small = graph_of(fitted, int8=True)
        far = prove(fitted, Exported(small), rows)
        yield Figure(name="onnx: autoencoder, weights of eight bits, largest difference", value=far.apart, unit="of a score", better="lower", n=far.rows)
        yield Figure(name="onnx: autoencoder, weights of eight bits, file", value=len(small) / 1e3, unit="kB", better="lower", n=rows["entity"].n_unique())
