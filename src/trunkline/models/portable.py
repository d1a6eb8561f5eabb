"""Model files: one signed archive of flat arrays that any reader of ``.npz`` can open.

A file holds ``manifest.json`` (format number, model, hyper-parameters, columns, type, shape and SHA-256 of
every array), one ``.npy`` per array, and ``signature`` over the manifest. Members are stored, not packed,
in a fixed order with a fixed date, so equal models are equal bytes; a reader rebuilds the archive and
compares, so no byte anywhere can change unnoticed. Nothing in a file is ever executed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint
from itertools import chain
from math import prod
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.canonical import canonical, sha256
from trunkline.core.errors import BadFile, BadInput, Tampered, UnknownName
from trunkline.core.registry import names
from trunkline.models.protocol import Fitted, Model, Saved, Signer

FORMAT = 1
"""Number of the file layout; a reader refuses any it does not know."""

_IN_MEMORY = 1 << 26
"""Bytes of a model that are written beside it in memory, to be compared or hashed; of more on the disk."""
_CHUNK = 1 << 20

_BESIDE = {name: EntryPoint(name, f"trunkline.models.dummies:{of}", "trunkline.models") for name, of in (
    ("random-alarm", "RandomAlarm"),
    ("last-week", "LastWeek"),
    ("range-novelty", "RangeNovelty"),
    ("constant", "Constant"),
)} | {
    "linear-trend": EntryPoint("linear-trend", "trunkline.models.linear_trend:LinearTrend", "trunkline.models"),
    "parts": EntryPoint("parts", "trunkline.models.parts:Parts", "trunkline.models"),
}  # fmt: skip
# The dummies travel beside a candidate, and parts are what others were fitted in: none is offered as a model to choose.


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
    text = _told(saved)
    buffer = io.BytesIO()
    _archive(buffer, text, _blobs(saved), signer.sign(text) if signer else b"")
    return buffer.getvalue()


def model_hash(saved: Saved) -> str:
    """The SHA-256 of the bytes of *saved* without a signature: equal models are equal everywhere, whatever key signed them.

    >>> saved = Saved(manifest={"model": "constant", "parameters": {}, "columns": []}, arrays={"level": np.zeros(2)})
    >>> model_hash(saved) == sha256(pack(saved))
    True
    """
    found = hashlib.sha256()
    with SpooledTemporaryFile(_IN_MEMORY) as file:
        _archive(file, _told(saved), _blobs(saved), b"")
        file.seek(0)
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def unpack(content: bytes, *, signer: Signer | None = None, path: str = "model") -> Saved:
    """The model in the bytes of a model file; see :func:`read`."""
    members = _members(content, path)
    text = members.pop("manifest.json")
    signature = members.pop("signature")
    if signer:
        _check_signature(signer, text, signature, path)
    manifest = _manifest(text, path)
    known = manifest.pop("arrays")
    for name, facts in known.items():
        blob = members.get(f"{name}.npy")
        if blob is None or sha256(blob) != facts["sha256"]:
            raise Tampered(
                f"The array '{name}' of the model file {'is missing' if blob is None else 'does not match its hash'}.",
                where=path,
                next_step="Restore the file from the store or a backup; its bytes changed after it was written.",
            )
    if len(members) != len(known) or not _is_archive(content, text, ((name, members[f"{name}.npy"]) for name in sorted(known)), signature):
        raise Tampered("The model file holds bytes that its writer did not put there.", where=path, next_step="Restore the file from the store or a backup.")
    manifest.pop("format")
    return Saved(manifest=manifest, arrays={name: _array(name, members.pop(f"{name}.npy"), path) for name in known})


def load(saved: Saved) -> Fitted:
    """The fitted model *saved* holds, through the class registered under its name in ``trunkline.models``.

    Raises
    ------
    BadInput
        The manifest or the arrays are not those of such a model: something is missing, or trees are no trees.
    """
    name = str(saved.manifest.get("model"))
    kind = model_class(name)
    try:
        return kind.from_saved(saved)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as broken:
        raise BadInput(
            f"The file does not hold a model '{name}': {type(broken).__name__}: {broken}.",
            where="manifest and arrays of the model file",
            allowed="what that model saves",
            next_step="Restore the file from the store or a backup, or train the model again.",
        ) from broken


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
        file = io.BytesIO(blob)
        _check_size(file, len(blob))
        return np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, OverflowError, SyntaxError, TypeError) as refused:
        raise BadFile(f"The array '{name}' cannot be read: {refused}", path=path, allowed="arrays of numbers, truth values or text of fixed width") from refused


def _check_size(file: io.BytesIO, length: int) -> None:
    """Refuse a header that promises more numbers than follow it, before room is made for them."""
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    if min(shape, default=0) < 0 or prod(shape) * dtype.itemsize != length - file.tell():
        raise ValueError(f"its header promises {' x '.join(map(str, shape))} of {dtype} and {length - file.tell()} bytes follow")
    file.seek(0)


def _told(saved: Saved) -> bytes:
    """The manifest with type, shape and hash of every array."""
    arrays = {name: {"type": array.dtype.str, "shape": list(array.shape), "sha256": sha256(_npy(name, array))} for name, array in sorted(saved.arrays.items())}
    return canonical({**{k: v for k, v in saved.manifest.items() if k not in ("format", "arrays")}, "format": FORMAT, "arrays": arrays})


def _blobs(saved: Saved) -> Iterator[tuple[str, bytes]]:
    """Each array's own bytes, one after the other: all of them together would be the model once more."""
    return ((name, _npy(name, array)) for name, array in sorted(saved.arrays.items()))


def _is_archive(content: bytes, manifest: bytes, blobs: Iterable[tuple[str, bytes]], signature: bytes) -> bool:
    """Whether *content* is what a writer makes of these."""
    with SpooledTemporaryFile(_IN_MEMORY) as file:
        _archive(file, manifest, blobs, signature)
        if file.tell() != len(content):
            return False
        file.seek(0)
        return all(file.read(_CHUNK) == content[begin : begin + _CHUNK] for begin in range(0, len(content), _CHUNK))


def _archive(file: IO[bytes], manifest: bytes, blobs: Iterable[tuple[str, bytes]], signature: bytes) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, blob in chain([("manifest.json", manifest)], ((f"{n}.npy", b) for n, b in blobs), [("signature", signature)]):
            member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            member.create_system = 3  # the same bytes on every system
            archive.writestr(member, blob)


def _members(content: bytes, path: str) -> dict[str, bytes]:
    if not content.startswith(b"PK"):
        raise BadFile("This is no model file.", path=path, allowed="a file written by trunkline.models.portable.write")
    name = "directory"
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            listed = archive.namelist()
            members = {}
            for name in listed:
                packed = archive.getinfo(name)
                is_as_written = packed.compress_type == zipfile.ZIP_STORED and packed.file_size <= len(content)
                members[name] = archive.read(name) if is_as_written else b""  # a small file must not unpack to a large one
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
