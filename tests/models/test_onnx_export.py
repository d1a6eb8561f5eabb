"""An exported model answers as the model does: on rows made up to be awkward, on real rows, and with nothing of ours at hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.core.errors import BadFile, BadInput, MissingExtra, NotAllowed, Tampered
from trunkline.models import Autoencoder, Constant, Context, Crossing, Envelope, Fitted, Harmonic, HourOfWeek, IsolationForest, Trees, onnx_export
from trunkline.models.check import sample_rows
from trunkline.models.onnx_export import BOUND, Exported, contract, export, exports, graph_of, inputs, opened, prove
from trunkline.models.rows import KEYS

HOUR = timedelta(hours=1)
ROME = Context(
    every=HOUR,
    zones={"cell-1": "Europe/Rome", "cell-2": "Asia/Kolkata"},
    holidays={"Europe/Rome": frozenset({"2026-03-19"})},
    words={"dl_volume": "downlink volume"},
)
MODELS: dict[str, Any] = {
    "harmonic": Harmonic(),
    "harmonic, one column, too low": Harmonic(columns=("dl_volume",), direction="low", daily=3, weekly=0),
    "harmonic, as it is, too high": Harmonic(transform="none", direction="high", windows=("1h",)),
    "envelope": Envelope(),
    "hour of week": HourOfWeek(),
    "forest": IsolationForest(trees=60),
    "forest, raw": IsolationForest(trees=60, on="raw"),
    "autoencoder": Autoencoder(epochs=5, slots=12),
    "trees": Trees(rounds=40, stop=0),
    "crossing": Crossing(column="users", limit=95.0, unit="", least_weeks=2),
}


@pytest.fixture(scope="module")
def sample() -> tuple[pl.DataFrame, Any]:
    rows, labels = sample_rows(days=28)
    gone = np.random.default_rng(1).random(rows.height) < 0.1
    return rows.with_columns(pl.when(pl.Series(gone)).then(None).otherwise(pl.col("users")).alias("users")), labels


@pytest.fixture(scope="module")
def fits(sample: tuple[pl.DataFrame, Any]) -> dict[str, Fitted]:
    rows, labels = sample
    past = rows["at"] <= rows["at"].max() - timedelta(days=4)  # type: ignore[operator]
    return {name: model.fit(rows.filter(past), labels=labels[past.to_numpy()], context=ROME) for name, model in MODELS.items()}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_answers_alike_on_what_it_learned_and_on_what_came_after(name: str, fits: dict[str, Fitted], sample: tuple[pl.DataFrame, Any]) -> None:
    proof = prove(fits[name], Exported(graph_of(fits[name])), sample[0])

    assert exports(fits[name]) is True
    assert proof.judged > 0
    assert proof.apart <= 1e-8  # a thousandth of what is allowed


@given(seed=st.integers(0, 2**31), gaps=st.floats(0.0, 0.9), wild=st.sampled_from([1.0, 1e-300, 1e6, 1e12, 1e300, 0.0, -1.0]))
@settings(max_examples=4, deadline=None)
def test_every_model_answers_alike_on_awkward_rows(fits: dict[str, Fitted], sample: tuple[pl.DataFrame, Any], seed: int, gaps: float, wild: float) -> None:
    """Gaps, slots without a row, extremes, entities never seen, another order of columns and entities."""
    rng = np.random.default_rng(seed)
    rows = sample[0].tail(900)
    keep, gone, odd = (rng.random(rows.height) < share for share in (0.9, gaps, 0.05))
    floats = [c for c in rows.columns if rows.schema[c].is_float()]
    rows = rows.with_columns(
        entity=pl.when(pl.col("entity") == "cell-3").then(pl.lit("never-seen")).otherwise("entity"),
        **{c: pl.when(pl.Series(gone)).then(None).when(pl.Series(odd)).then(pl.col(c) * wild).otherwise(pl.col(c)) for c in floats},
    ).filter(pl.Series(keep))
    rows = rows.select([*KEYS, *reversed([c for c in rows.columns if c not in KEYS])]).sort("entity", "at", descending=[True, False])

    for name, fitted in fits.items():
        if name not in EXPORTED:
            EXPORTED[name] = Exported(graph_of(fitted))
        with np.errstate(over="ignore", invalid="ignore"):  # a square of 1e300
            proof = prove(fitted, EXPORTED[name], rows, most=150)

        assert proof.apart <= 1e-8, (name, proof)


EXPORTED: dict[str, Exported] = {}


@given(seed=st.integers(0, 2**31), days=st.integers(8, 24), every=st.sampled_from(["15m", "1h", "3h", "1d"]), level=st.sampled_from([1e-3, 1.0, 1e6]))
@settings(max_examples=4, deadline=None)
def test_baselines_of_any_past_answer_alike(seed: int, days: int, every: str, level: float) -> None:
    """Short pasts, coarse grids, constant and empty columns, ratios and negative values."""
    rng = np.random.default_rng(seed)
    first = datetime(2026, 3, 20, tzinfo=UTC)  # clocks change on the 29th
    at = pl.datetime_range(first, first + timedelta(days=days), every, time_unit="us", eager=True)
    step = at[1] - at[0]
    frames = [
        pl.DataFrame(
            {
                "entity": f"e{e}",
                "at": at,
                "volume": np.round(rng.lognormal(0, 1, len(at)) * level, int(rng.integers(0, 4))),
                "ratio": 1.0 - 0.01 * rng.random(len(at)),
                "power": rng.normal(-90.0, 3.0, len(at)),
                "flat": 2.0,
                "none": np.full(len(at), np.nan),
            }
        ).filter(pl.Series(rng.random(len(at)) < 0.95))
        for e in range(3)
    ]
    rows = pl.concat(frames)
    context = Context(every=step, zones={"e1": "Europe/Rome", "e2": "Asia/Kathmandu"})

    for model in (Harmonic(), Envelope(), HourOfWeek()):
        fitted = model.fit(rows, context=context)

        assert prove(fitted, Exported(graph_of(fitted)), rows, most=300).apart <= 1e-8


@pytest.mark.parametrize("name", MODELS)
def test_infinite_values_and_hours_of_no_week_have_no_score(name: str, fits: dict[str, Fitted], sample: tuple[pl.DataFrame, Any]) -> None:
    fitted = fits[name]
    exported, asked = Exported(graph_of(fitted)), contract(fitted)
    good = inputs(asked, sample[0], np.arange(600, 603))
    for wild in (np.inf, -np.inf):
        given = {**good, "values": good["values"].copy()}
        given["values"][(1, *([-1] * (given["values"].ndim - 1)))] = wild

        assert np.isnan(exported.score(given)).tolist() == [False, True, False]
    for hour in (168.0, -0.1, np.nan, 1e300) if "hour" in asked.asks else ():
        given = {**good, "hour": good["hour"].copy()}
        given["hour"][(1, *([0] * (given["hour"].ndim - 1)))] = hour

        assert np.isnan(exported.score(given)).tolist() == [False, True, False]


@pytest.mark.parametrize("name", MODELS)
def test_a_row_answers_alone_as_among_others_whatever_the_threads(name: str, fits: dict[str, Fitted], sample: tuple[pl.DataFrame, Any]) -> None:
    content = graph_of(fits[name])
    given = inputs(contract(fits[name]), sample[0], np.arange(400, 440))
    alone = Exported(content).score(given, at_once=1)

    for threads in (1, 3):
        np.testing.assert_allclose(Exported(content, threads=threads).score(given), alone, rtol=0, atol=1e-9)


def test_weights_of_eight_bits_stay_within_the_bound_declared_or_are_refused(fits: dict[str, Fitted], sample: tuple[pl.DataFrame, Any]) -> None:
    fitted, rows = fits["autoencoder"], sample[0].tail(900)

    content, proof = export(fitted, rows, int8=True, bound=0.2)

    assert 0.0 < proof.apart <= 0.2
    assert len(content) < len(export(fitted, rows)[0])
    assert json.loads(opened(content).metadata["parity"]) == proof.apart
    with pytest.raises(NotAllowed, match=r"(?s)answers otherwise.*entity 'cell-\d', at 2026.*dl_volume"):
        export(fitted, rows, int8=True, bound=proof.apart * 0.5)
    assert prove(fitted, opened(content), rows).apart == proof.apart


def test_trees_and_baselines_have_no_weights_of_eight_bits(fits: dict[str, Fitted], sample: tuple[pl.DataFrame, Any]) -> None:
    for name in ("trees", "forest", "harmonic"):
        with pytest.raises(NotAllowed, match="Only the weights of an autoencoder"):
            export(fits[name], sample[0], int8=True)


@pytest.mark.parametrize("bound", [0.0, -1.0, 1e-4, float("nan")])
def test_a_bound_wider_than_ours_cannot_be_declared_for_doubles(bound: float, fits: dict[str, Fitted], sample: tuple[pl.DataFrame, Any]) -> None:
    with pytest.raises(BadInput, match="cannot be declared"):
        export(fits["trees"], sample[0], bound=bound)


def test_a_writer_that_is_silently_wrong_is_caught_and_the_row_is_shown(
    fits: dict[str, Fitted], sample: tuple[pl.DataFrame, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = graph_of(fits["harmonic"])
    monkeypatch.setattr(onnx_export, "graph_of", lambda fitted, *, int8: right)
    other: Any = fits["harmonic"]

    with pytest.raises(NotAllowed, match=r"(?s)answers otherwise than the model.*entity 'cell-\d'.*Allowed: a difference of 1e-05"):
        export(replace(other, level=other.level + 0.01), sample[0])


def test_nothing_is_proven_by_rows_that_nobody_can_judge(fits: dict[str, Fitted], sample: tuple[pl.DataFrame, Any]) -> None:
    unknown = sample[0].with_columns(entity=pl.lit("new-") + pl.col("entity"))

    for rows in (unknown, unknown.head(0)):
        with pytest.raises(NotAllowed, match="nothing is proven"):
            export(fits["harmonic"], rows)


def test_a_model_that_cannot_be_exported_says_so_before_anything_is_written(sample: tuple[pl.DataFrame, Any]) -> None:
    fitted = Constant().fit(sample[0], context=ROME)

    assert exports(fitted) == "no writer of ONNX graphs is known for the model 'constant'"
    with pytest.raises(NotAllowed, match="cannot be exported: no writer"):
        graph_of(fitted)


def test_a_model_of_your_own_gives_its_own_reason(fits: dict[str, Fitted]) -> None:
    @dataclass(frozen=True)
    class Mine:
        exports: str = "it asks a service for its weights"

    assert exports(Mine()) == "it asks a service for its weights"  # type: ignore[arg-type]


def test_without_the_extra_training_knows_and_exporting_says_what_to_install(fits: dict[str, Fitted], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    assert exports(fits["harmonic"]) is True
    with pytest.raises(MissingExtra, match=r"pip install 'trunkline\[onnx\]'"):
        graph_of(fits["harmonic"])
    with pytest.raises(MissingExtra, match=r"pip install 'trunkline\[onnx\]'"):
        Exported(b"")


def test_too_much_past_or_too_large_a_file_is_a_reason_known_at_training(fits: dict[str, Fitted], monkeypatch: pytest.MonkeyPatch) -> None:
    forest: Any = fits["forest"]

    assert "slots of the past" in str(exports(replace(forest, every=timedelta(minutes=1))))
    monkeypatch.setattr(onnx_export, "MOST_BYTES", 1_000)
    assert "an ONNX file at most" in str(exports(forest))


@given(place=st.floats(0.0, 1.0, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=40, deadline=None)
def test_a_flipped_bit_is_refused(fits: dict[str, Fitted], sample: tuple[pl.DataFrame, Any], place: float, bit: int) -> None:
    if "sealed" not in SEALED:
        SEALED["sealed"] = export(fits["trees"], sample[0])[0]
    content = bytearray(SEALED["sealed"])
    content[int(place * len(content))] ^= 1 << bit

    with pytest.raises((BadFile, Tampered)):
        opened(bytes(content))


SEALED: dict[str, bytes] = {}


def test_the_file_says_what_it_is_and_what_it_asks_for(fits: dict[str, Fitted], sample: tuple[pl.DataFrame, Any]) -> None:
    content, proof = export(fits["forest"], sample[0], about={"release": "0123456789abcdef", "workflow": "kpi-anomaly"})

    told = opened(content).metadata
    by_name = {one["name"]: one for one in json.loads(told["inputs"])}

    assert (told["release"], told["model"]) == ("0123456789abcdef", "forest")
    assert json.loads(told["columns"]) == list(fits["forest"].columns)
    assert json.loads(told["zones"]) == {"Asia/Kolkata": ["cell-2"], "Europe/Rome": ["cell-1"], "UTC": ["cell-0", "cell-3"]}
    assert json.loads(told["words"])["dl_volume"] == "downlink volume"
    assert by_name["values"]["shape"] == ["rows", 174, 4]
    assert float(told["parity"]) == proof.apart
    assert "inside the graph" in told["normalisation"]


def test_equal_models_are_equal_bytes(fits: dict[str, Fitted], sample: tuple[pl.DataFrame, Any]) -> None:
    assert export(fits["crossing"], sample[0])[0] == export(fits["crossing"], sample[0])[0]


SERVES = """
import hashlib, json, sys
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
seal = session.get_modelmeta().custom_metadata_map["sha256"]
content = open("m.onnx", "rb").read()
assert hashlib.sha256(content.replace(seal.encode(), b"0" * 64)).hexdigest() == seal
given = dict(np.load("given.npz"))
given["entity"] = given["entity"].astype(object)
np.save("scores.npy", session.run(["score"], given)[0])
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_whoever_serves_it_needs_numpy_and_onnxruntime_alone(fits: dict[str, Fitted], sample: tuple[pl.DataFrame, Any], tmp_path: Path) -> None:
    rows = sample[0].head(500)
    (tmp_path / "m.onnx").write_bytes(export(fits["forest"], rows)[0])
    given = inputs(contract(fits["forest"]), rows)
    np.savez(tmp_path / "given.npz", values=given["values"], hour=given["hour"], entity=given["entity"].astype(np.str_))

    said = subprocess.run([sys.executable, "-c", SERVES], capture_output=True, text=True, cwd=tmp_path, check=True, env={**os.environ, "PYTHONPATH": ""})

    assert {"trunkline", "onnx", "polars", "sklearn", "lightgbm", "numba"} & set(json.loads(said.stdout.splitlines()[-1])) == set()
    np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), fits["forest"].score(rows), rtol=0, atol=BOUND)


@pytest.mark.real
@pytest.mark.parametrize("name", ["harmonic", "envelope", "hour of week", "forest", "autoencoder", "crossing"])
def test_ten_thousand_real_hours_of_cells_come_out_alike(name: str, real_data: Path) -> None:
    table = pl.read_csv(real_data / "lte_traffic_congestion" / "hourly.csv", separator=";", try_parse_dates=True)
    at = pl.col("Datetime").dt.replace_time_zone("UTC").cast(pl.Datetime("us", "UTC"))
    rows = table.select(entity="Cell", at=at, volume=pl.col("Data_Volume").cast(pl.Float64), prb=pl.col("PRB_Utilization_Percent").cast(pl.Float64))
    rows = rows.sort("entity", "at")
    model = Crossing(limit=30.0) if name == "crossing" else MODELS[name]
    fitted = model.fit(rows.filter(pl.col("at") < datetime(2020, 3, 1, tzinfo=UTC)), context=Context(every=HOUR, zones={"cell0001": "Europe/Athens"}))

    _, proof = export(fitted, rows)

    assert proof.rows == 10_000
    assert proof.judged > 9_000 or name == "crossing"
    assert proof.apart <= BOUND


@pytest.mark.real
def test_ten_thousand_real_labelled_samples_come_out_alike(real_data: Path) -> None:
    samples = pl.read_csv(real_data / "lte_prb_unusual" / "samples.csv")
    at = pl.lit(datetime(2026, 1, 1, tzinfo=UTC)) + pl.int_range(pl.len()).over("CellName") * timedelta(minutes=15)
    rows = samples.with_columns(pl.col("maxUE_UL+DL").cast(pl.Float64, strict=False), entity="CellName", at=at.cast(pl.Datetime("us", "UTC"))).sort(
        "entity", "at"
    )
    labels, rows = rows["Unusual"].to_numpy(), rows.drop("Time", "CellName", "Unusual")

    for model in (Trees(rounds=50, stop=0), IsolationForest(trees=50, on="raw")):
        _, proof = export(model.fit(rows, labels=labels, context=Context(every=timedelta(minutes=15))), rows)

        assert proof.rows == proof.judged == 10_000
        assert proof.apart <= BOUND
