"""Trained models as ONNX files that answer alike: written by ourselves, node by node, and kept only once that is proven.

Converters can be silently wrong (a calibrated pipeline came out 0.50 off without a word), so nothing is converted: each
model has a writer here, and every file is compared with the model on real rows before it is kept. Whoever serves the file
needs ``onnxruntime`` and ``numpy``, nothing of Trunkline.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.canonical import sha256
from trunkline.core.errors import BadFile, BadInput, NotAllowed, Tampered
from trunkline.core.extras import need
from trunkline.models import onnx_baselines, onnx_nets
from trunkline.models.autoencoder import FittedAutoencoder
from trunkline.models.baseline import FittedBaseline
from trunkline.models.crossing import FittedCrossing
from trunkline.models.forest import FittedForest
from trunkline.models.hour_of_week import FittedHourOfWeek
from trunkline.models.onnx_graph import Graph, Value
from trunkline.models.onnx_inputs import Contract, contract, inputs, on_every_slot
from trunkline.models.onnx_series import MOST_SLOTS
from trunkline.models.protocol import Fitted, Floats
from trunkline.models.trees import FittedTrees

BOUND = 1e-5
"""How far an exported score may be from ours."""
INT8_BOUND = 0.1
"""The same with weights of eight bits, where nobody declares another bound."""
MOST_BYTES = 1_900_000_000
"""An ONNX file is one message of at most two gigabytes."""
AT_ONCE = 256
"""Rows given to the runtime at a time: ranks are counted by comparing with all past values kept, 4 kB a row and column."""
_WINDOWS = 2_500  # rows whose windows are laid out at a time
_SEAL = "0" * 64
_MARK = b"\n\x06sha256\x12@"  # how Protocol Buffers write the name of the seal, before its 64 digits

_WRITERS: Mapping[type, Callable[..., Value]] = {
    FittedTrees: onnx_nets.trees,
    FittedForest: onnx_nets.forest,
    FittedAutoencoder: onnx_nets.autoencoder,
    FittedBaseline: onnx_baselines.baseline,
    FittedHourOfWeek: onnx_baselines.hour_of_week,
    FittedCrossing: onnx_baselines.crossing,
}
"""Add a writer here: it takes the graph, the fitted model and the inputs of its contract, and gives the score."""


def exports(fitted: Fitted) -> bool | str:
    """Whether a trained model can be exported: True, or why not. Needs neither onnx nor onnxruntime, and is asked at training.

    A model of your own says why not in an attribute ``exports``.

    >>> from trunkline.models.dummies import Constant
    >>> from trunkline.models.check import sample_rows
    >>> from trunkline.models import Context
    >>> from datetime import timedelta
    >>> exports(Constant().fit(sample_rows()[0], context=Context(every=timedelta(hours=1))))
    "no writer of ONNX graphs is known for the model 'constant'"
    """
    declared = getattr(fitted, "exports", None)
    if isinstance(declared, str) and declared:
        return declared
    if type(fitted) not in _WRITERS:
        return f"no writer of ONNX graphs is known for the model '{fitted.save().manifest.get('model', type(fitted).__name__)}'"
    asked = contract(fitted)
    if asked.slots > MOST_SLOTS:
        return f"each row asks for {asked.slots:,} slots of the past; {MOST_SLOTS:,} are the most"
    size = sum(array.nbytes for array in fitted.save().arrays.values())
    if size > MOST_BYTES:
        return f"it takes {size / 1e9:.1f} GB, and an ONNX file at most {MOST_BYTES / 1e9:.1f}"
    return True


def is_installed() -> bool:
    """Whether a graph can be written and tried: the extra "onnx" is there."""
    return find_spec("onnx") is not None and find_spec("onnxruntime") is not None


def graph_of(fitted: Fitted, *, int8: bool = False) -> bytes:
    """The model as an ONNX graph, without metadata; values or hours outside their range give no score (NaN).

    Raises
    ------
    NotAllowed
        Such a model cannot be exported, or has no weights of eight bits.
    MissingExtra
        onnx is not installed.
    """
    able = exports(fitted)
    if able is not True:
        raise NotAllowed(f"This model cannot be exported: {able}.", allowed="models whose release card says exports: true", next_step="trunkline gate show")
    if int8 and not isinstance(fitted, FittedAutoencoder):
        raise NotAllowed(
            "Only the weights of an autoencoder come in eight bits.",
            where=type(fitted).__name__,
            allowed="doubles: rounded thresholds of trees or baselines would send rows another way",
            next_step="Leave --int8 out.",
        )
    asked, graph = contract(fitted), Graph()
    given = {name: graph.input(name, asked.type(name), asked.shape(name)) for name in asked.asks}
    wild = [graph.op("IsInf", given["values"])]
    given["values"] = graph.where(wild[0], np.nan, given["values"])
    if "hour" in given:
        wild.append(graph.op("Not", (given["hour"] >= 0.0) & (given["hour"] < 168.0)))
        given["hour"] = graph.where(wild[1], 0.0, given["hour"])
    score = _WRITERS[type(fitted)](graph, fitted, given, **({"int8": True} if int8 else {}))
    for one in wild:
        rank = len(asked.shape("values" if one is wild[0] else "hour"))
        found = graph.op("ReduceMax", one.number().wider(-1), graph.whole(list(range(1, rank + 1))), keepdims=0)
        score = graph.where(found > 0.0, np.nan, score)
    content: bytes = graph.model(score).SerializeToString(deterministic=True)
    return content


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """How far an exported model is from ours: the largest difference, on how many rows, and the row where it is."""

    apart: float
    rows: int
    judged: int
    worst: int
    ours: float
    theirs: float


class Exported:
    """An exported model as its caller sees it: ONNX Runtime with one thread.

    >>> Exported(b"no graph")
    Traceback (most recent call last):
    trunkline.core.errors.BadFile: ONNX Runtime cannot read this as a model: [ONNXRuntimeError] : 7 : INVALID_PROTOBUF ...
    """

    def __init__(self, content: bytes, *, path: str = "model.onnx", threads: int = 1) -> None:
        runtime = need("onnxruntime", extra="onnx")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        options.log_severity_level = 4
        try:
            self.session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as refused:  # the runtime has a class of its own for each of its reasons
            raise BadFile(f"ONNX Runtime cannot read this as a model: {refused}", path=path, next_step="Export it again.") from refused

    @property
    def metadata(self) -> dict[str, str]:
        """What the file says of itself."""
        return dict(self.session.get_modelmeta().custom_metadata_map)

    def score(self, given: Mapping[str, npt.NDArray[Any]], *, at_once: int = AT_ONCE) -> Floats:
        """The scores of all rows of the inputs, some at a time."""
        count = len(next(iter(given.values())))
        parts = [self.session.run(["score"], {name: one[i : i + at_once] for name, one in given.items()})[0] for i in range(0, count, at_once)]
        return np.concatenate(parts) if parts else np.zeros(0)


def prove(fitted: Fitted, exported: Exported, rows: pl.DataFrame, *, most: int = 10_000) -> Proof:
    """Compare on at most so many of the *rows*, evenly spread; infinite where one judges a row and the other does not.

    A slot without a row counts as a row without values, as features give it.
    """
    asked = contract(fitted)
    chosen = np.unique(np.linspace(0, rows.height - 1, min(most, rows.height)).round().astype(np.int64)) if rows.height else np.zeros(0, dtype=np.int64)
    given = chosen
    if isinstance(fitted, FittedForest) and asked.slots:  # its sums are over rows, not over time
        rows, place = on_every_slot(rows, asked.every)
        chosen = place[chosen]
    ours = fitted.score(rows)[chosen]
    parts = [exported.score(inputs(asked, rows, chosen[i : i + _WINDOWS])) for i in range(0, len(chosen), _WINDOWS)]
    theirs = np.concatenate(parts) if parts else np.zeros(0)
    both = np.isnan(ours) & np.isnan(theirs)
    apart = np.where(both, 0.0, np.where(np.isnan(ours) | np.isnan(theirs), np.inf, np.abs(ours - theirs)))
    worst = int(apart.argmax()) if len(apart) else 0
    return Proof(
        apart=float(apart.max(initial=0.0)),
        rows=len(chosen),
        judged=int((~np.isnan(ours)).sum()),
        worst=int(given[worst]) if len(given) else -1,
        ours=float(ours[worst]) if len(chosen) else np.nan,
        theirs=float(theirs[worst]) if len(chosen) else np.nan,
    )


def export(
    fitted: Fitted, rows: pl.DataFrame, *, int8: bool = False, bound: float | None = None, about: Mapping[str, Any] | None = None
) -> tuple[bytes, Proof]:
    """The sealed ONNX file of a trained model, proven on *rows*, and the proof.

    Parameters
    ----------
    bound
        How far a score may be from ours: 1e-5; with *int8* as far as you declare, 0.1 where left out.
    about
        What else the file is to say of itself.

    Raises
    ------
    NotAllowed
        It cannot be exported, or a row comes out otherwise: that row is shown.
    TooLittleData
        None of the rows can be judged, so nothing is proven.
    """
    allowed = INT8_BOUND if int8 and bound is None else BOUND if bound is None else bound
    if not 0.0 < allowed < 1.0 or (not int8 and allowed > BOUND):
        raise BadInput(f"A bound of {allowed:g} cannot be declared.", allowed=f"up to {BOUND:g}; with weights of eight bits anything below 1")
    content = graph_of(fitted, int8=int8)
    proof = prove(fitted, Exported(content), rows)
    if proof.judged == 0:
        raise NotAllowed(
            "None of the rows can be judged, so nothing is proven.", where=f"{proof.rows} rows", next_step="trunkline data load FILES that the model judges"
        )
    if not proof.apart <= allowed:
        raise NotAllowed(
            f"The exported model answers otherwise than the model: {proof.theirs:.9g} instead of {proof.ours:.9g}.",
            where=shown(rows, proof.worst, fitted.columns),
            allowed=f"a difference of {allowed:g} on each of {proof.rows:,} rows",
            next_step="Declare a wider --bound, or leave --int8 out." if int8 else "Serve this model with Trunkline itself, and tell us about the row.",
        )
    return sealed(content, {**described(fitted), **(about or {}), "parity": proof.apart, "bound": allowed, "parity_rows": proof.rows, "int8": int8}), proof


def described(fitted: Fitted) -> dict[str, Any]:
    """What a file says of its model: inputs, columns, words, zones, holidays."""
    asked, manifest = contract(fitted), fitted.save().manifest
    zones: dict[str, list[str]] = {}
    for entity, zone in sorted(asked.zones.items()):
        zones.setdefault(zone, []).append(entity)
    return {
        "model": manifest["model"],
        "columns": list(asked.columns),
        "words": manifest.get("words", {}),
        "units": "those of the features the model was trained on; nothing is converted",
        "normalisation": "inside the graph: give values as they are",
        "inputs": asked.plain(),
        "slots": asked.slots,
        "every_s": asked.every.total_seconds(),
        "zones": zones if "hour" in asked.asks or "day" in asked.asks else {},
        "holidays": {zone: list(days) for zone, days in asked.holidays.items()},
    }


def sealed(content: bytes, about: Mapping[str, Any]) -> bytes:
    """A graph with its metadata and the SHA-256 of the whole file, itself taken as zeros."""
    onnx = need("onnx", extra="onnx")
    model = onnx.load_model_from_string(content)
    texts = {name: value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False) for name, value in about.items()}
    onnx.helper.set_model_props(model, {**texts, "sha256": _SEAL})
    onnx.checker.check_model(model)
    whole: bytes = model.SerializeToString(deterministic=True)
    if whole.count(_SEAL.encode()) != 1 or whole.count(_MARK) != 1:
        raise BadInput("The model or its metadata hold what looks like a seal.", allowed="other bytes than 64 zeros in a row")
    return whole.replace(_SEAL.encode(), sha256(whole).encode())


def opened(content: bytes, *, path: str = "model.onnx") -> Exported:
    """An exported file, every byte checked against its seal before the runtime sees any.

    Raises
    ------
    BadFile
        It is no file that was exported, or ONNX Runtime cannot read it.
    Tampered
        A byte differs from what was written.
    """
    before, mark, after = content.rpartition(_MARK)
    if not mark:
        raise BadFile("This ONNX file carries no seal.", path=path, allowed="a file that trunkline model export wrote", next_step="Export it again.")
    seal, rest = after[: len(_SEAL)], after[len(_SEAL) :]
    if sha256(before + mark + _SEAL.encode() + rest).encode() != seal:
        raise Tampered("The ONNX file is not the one that was exported.", where=path, next_step="trunkline model export makes it again.")
    return Exported(content, path=path)


def shown(rows: pl.DataFrame, index: int, columns: tuple[str, ...]) -> str:
    """One row in a line."""
    if not 0 <= index < rows.height:
        return "no row"
    row = rows.row(index, named=True)
    known = ", ".join(f"{name} {row[name]}" for name in columns[:12] if name in row)
    return f"entity '{row['entity']}', at {row['at']}: {known}{' …' if len(columns) > 12 else ''}"


__all__ = ["BOUND", "INT8_BOUND", "Contract", "Exported", "Proof", "contract", "export", "exports", "graph_of", "inputs", "is_installed", "opened", "prove"]
