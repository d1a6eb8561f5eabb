"""Model files: one signed archive of flat arrays that any reader of ``.npz`` can open.

A file holds ``manifest.json`` (format number, model, hyper-parameters, columns, type, shape and SHA-256 of
every array), one ``.npy`` per array, and ``signature`` over the manifest. Members are stored, not packed,
in a fixed order with a fixed date, so equal models are equal bytes; a reader rebuilds the archive and
compares, so no byte anywhere can change unnoticed. Nothing in a file is ever executed.
"""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.canonical import canonical, sha256
from trunkline.core.errors import BadFile, BadInput, Tampered, UnknownName
from trunkline.core.registry import names
from trunkline.models.protocol import Fitted, Model, Saved, Signer

FORMAT = 1
"""Number of the file layout; a reader refuses any it does not know."""

_BESIDE = {name: EntryPoint(name, f"trunkline.models.dummies:{of}", "trunkline.models") for name, of in (
    ("random-alarm", "RandomAlarm"),
    ("last-week", "LastWeek"),
    ("range-novelty", "RangeNovelty"),
    ("constant", "Constant"),
)} | {"linear-trend": EntryPoint("linear-trend", "trunkline.models.linear_trend:LinearTrend", "trunkline.models")}  # fmt: skip
# The dummies travel beside a candidate but are not offered as models to choose.


def write(saved: Saved, path: str | Path, *, signer: Signer | None = None) -> str:
    """Write *saved* to *path* and return the SHA-256 of the file.

    Raises
    ------
    BadInput
        An array holds objects, or the manifest misses ``model``, ``parameters`` or ``columns``.
    """
    content = pack(saved, signer=signer)
    Path(path).write_bytes(content)
    return sha256(content)


def read(path: str | Path, *, signer: Signer | None = None) -> Saved:
    """The model file at *path*, checked byte for byte.

    Without *signer* the hashes are checked but not who signed them.

    Raises
    ------
    Tampered
        A byte differs from what was written; the array is named.
    BadFile
        It is no model file, or one of another format.
    """
    return unpack(Path(path).read_bytes(), signer=signer, path=str(path))


def pack(saved: Saved, *, signer: Signer | None = None) -> bytes:
    """*saved* as the bytes of a model file.

    >>> saved = Saved(manifest={"model": "constant", "parameters": {}, "columns": []}, arrays={"level": np.zeros(2)})
    >>> unpack(pack(saved)).arrays["level"].tolist()
    [0.0, 0.0]
    """
    lacking = [key for key in ("model", "parameters", "columns") if key not in saved.manifest]
    if lacking:
        raise BadInput(
            f"The manifest of the model lacks {', '.join(repr(k) for k in lacking)}.", allowed="model, parameters, columns and whatever the model needs"
        )
    blobs = {name: _npy(name, array) for name, array in sorted(saved.arrays.items())}
    manifest = {
        **{k: v for k, v in saved.manifest.items() if k not in ("format", "arrays")},
        "format": FORMAT,
        "arrays": {
            name: {"type": saved.arrays[name].dtype.str, "shape": list(saved.arrays[name].shape), "sha256": sha256(blob)} for name, blob in blobs.items()
        },
    }
    text = canonical(manifest)
    return _archive(text, blobs, signer.sign(text) if signer else b"")


def unpack(content: bytes, *, signer: Signer | None = None, path: str = "model") -> Saved:
    """The model in the bytes of a model file; see :func:`read`."""
    members = _members(content, path)
    text = members.pop("manifest.json")
    signature = members.pop("signature")
    if signer:
        _check_signature(signer, text, signature, path)
    manifest = _manifest(text, path)
    arrays: dict[str, npt.NDArray[Any]] = {}
    known = manifest.pop("arrays")
    for name, facts in known.items():
        blob = members.get(f"{name}.npy")
        if blob is None or sha256(blob) != facts["sha256"]:
            raise Tampered(
                f"The array '{name}' of the model file {'is missing' if blob is None else 'does not match its hash'}.",
                where=path,
                next_step="Restore the file from the store or a backup; its bytes changed after it was written.",
            )
        arrays[name] = _array(name, blob, path)
    blobs = {name: members[f"{name}.npy"] for name in sorted(known)}
    if len(members) != len(blobs) or _archive(text, blobs, signature) != content:
        raise Tampered("The model file holds bytes that its writer did not put there.", where=path, next_step="Restore the file from the store or a backup.")
    manifest.pop("format")
    return Saved(manifest=manifest, arrays=arrays)


def load(saved: Saved) -> Fitted:
    """The fitted model *saved* holds, through the class registered under its name in ``trunkline.models``."""
    return model_class(str(saved.manifest["model"])).from_saved(saved)


def model_class(name: str) -> type[Model]:
    """The class registered as *name*.

    >>> model_class("harmonic").__name__
    'Harmonic'
    """
    known = {**names("models"), **_BESIDE}
    if name not in known:
        raise UnknownName("model", name, sorted(known))
    return cast("type[Model]", known[name].load())


def parity(fitted: Fitted, reloaded: Fitted, rows: pl.DataFrame) -> float:
    """The largest difference between the scores of a model and of its reloaded self on *rows*.

    Infinite where one of them cannot judge a row that the other judges; 0.0 for no rows.
    """
    before, after = fitted.score(rows), reloaded.score(rows)
    if before.shape != after.shape or bool((np.isnan(before) != np.isnan(after)).any()):
        return float("inf")
    return float(np.nanmax(np.abs(before - after), initial=0.0))


def parameters(model: Any) -> dict[str, Any]:
    """The hyper-parameters of a frozen dataclass, for a manifest; ``type(model)(**given(...))`` makes it again."""
    return {f.name: getattr(model, f.name) for f in dataclasses.fields(model)}


def given(parameters: dict[str, Any]) -> dict[str, Any]:
    """Hyper-parameters as a manifest read from JSON holds them, with lists as the tuples they were."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in parameters.items()}


def _npy(name: str, array: npt.NDArray[Any]) -> bytes:
    if array.dtype.hasobject:
        raise BadInput(
            f"The array '{name}' holds Python objects.", allowed="numbers, truth values, or text of fixed width", next_step="Save it as flat arrays of numbers."
        )
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array, order="C"), allow_pickle=False)
    return buffer.getvalue()


def _array(name: str, blob: bytes, path: str) -> npt.NDArray[Any]:
    try:
        return np.lib.format.read_array(io.BytesIO(blob), allow_pickle=False)
    except ValueError as refused:
        raise BadFile(f"The array '{name}' cannot be read: {refused}", path=path, allowed="arrays of numbers, truth values or text of fixed width") from refused


def _archive(manifest: bytes, blobs: dict[str, bytes], signature: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, blob in (("manifest.json", manifest), *((f"{n}.npy", b) for n, b in blobs.items()), ("signature", signature)):
            member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            member.create_system = 3  # the same bytes on every system
            archive.writestr(member, blob)
    return buffer.getvalue()


def _members(content: bytes, path: str) -> dict[str, bytes]:
    if not content.startswith(b"PK"):
        raise BadFile("This is no model file.", path=path, allowed="a file written by trunkline.models.portable.write")
    name = "directory"
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            listed = archive.namelist()
            members = {}
            for name in listed:
                members[name] = archive.read(name)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, OSError, RuntimeError) as broken:
        raise Tampered(
            f"The '{name.removesuffix('.npy')}' of the model file does not match its checksum.",
            where=path,
            next_step="Restore the file from the store or a backup.",
        ) from broken
    lacking = [n for n in ("manifest.json", "signature") if n not in members]
    if lacking or len(members) != len(listed):
        raise BadFile(f"The file lacks {', '.join(lacking) or 'distinct names'}.", path=path, allowed="a file written by trunkline.models.portable.write")
    return members


def _manifest(text: bytes, path: str) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(text)
    except ValueError as broken:
        raise Tampered("The manifest of the model file is not JSON.", where=path) from broken
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        given = manifest.get("format") if isinstance(manifest, dict) else None
        raise BadFile(
            f"The model file has format {given!r}.",
            path=path,
            allowed=f"format {FORMAT}",
            next_step="Fit the model again, or open it with the version that wrote it.",
        )
    return manifest


def _check_signature(signer: Signer, text: bytes, signature: bytes, path: str) -> None:
    wrong = Tampered(
        "The signature of the model file is not one of its manifest.",
        where=path,
        next_step="Take the file from the store that signed it, or name the right key.",
    )
    if not signature:
        raise Tampered("The model file carries no signature.", where=path, next_step="Take the file from a store that signs what it writes.")
    try:
        answer = signer.verify(text, signature)
    except Exception as refused:  # every library has its own error for a wrong signature
        raise wrong from refused
    if answer is False:
        raise wrong
