from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.core.errors import BadFile, BadInput, Tampered, UnknownName
from trunkline.models import portable
from trunkline.models.protocol import Saved

SAVED = Saved(
    manifest={"model": "constant", "parameters": {"value": 0.25}, "columns": ["a"], "every": 3_600_000_000, "seed": 0, "value": 0.25},
    arrays={"entities": np.array(["cell-ä", "b"]), "level": np.arange(6.0).reshape(2, 3), "one": np.array(3.5)},
)


class Key:
    """Ed25519 as a store's key offers it."""

    def __init__(self, seed: int = 1) -> None:
        self.private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)

    def sign(self, data: bytes) -> bytes:
        return self.private.sign(data)

    def verify(self, data: bytes, signature: bytes) -> bool:
        try:
            self.private.public_key().verify(signature, data)
        except InvalidSignature:
            return False
        return True


def test_a_file_gives_back_what_was_saved(tmp_path: Any) -> None:
    portable.write(SAVED, tmp_path / "m.npz", signer=Key())

    again = portable.read(tmp_path / "m.npz", signer=Key())

    assert again.manifest == SAVED.manifest
    assert set(again.arrays) == set(SAVED.arrays)
    for name, array in SAVED.arrays.items():
        assert again.arrays[name].dtype == array.dtype
        assert np.array_equal(again.arrays[name], array)


def test_equal_models_are_equal_bytes() -> None:
    assert portable.pack(SAVED, signer=Key()) == portable.pack(SAVED, signer=Key())


def test_numpy_alone_can_read_the_arrays(tmp_path: Any) -> None:
    portable.write(SAVED, tmp_path / "m.npz")

    with np.load(tmp_path / "m.npz", allow_pickle=False) as arrays:
        assert arrays["level"].tolist() == [[0, 1, 2], [3, 4, 5]]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_byte_can_change_unnoticed(data: Any) -> None:
    content = bytearray(portable.pack(SAVED, signer=Key()))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))

    with pytest.raises((Tampered, BadFile)):
        portable.unpack(bytes(content), signer=Key())


def test_a_changed_value_names_its_array() -> None:
    content = portable.pack(SAVED)
    value = np.array(4.0).tobytes()
    assert content.count(value) == 1

    with pytest.raises(Tampered, match="'level'"):
        portable.unpack(content.replace(value, np.array(4.5).tobytes()))


def test_bytes_behind_the_end_are_refused() -> None:
    with pytest.raises(Tampered):
        portable.unpack(portable.pack(SAVED) + b"x")


def test_another_key_is_refused_and_so_is_no_signature() -> None:
    with pytest.raises(Tampered, match="signature"):
        portable.unpack(portable.pack(SAVED, signer=Key(2)), signer=Key())
    with pytest.raises(Tampered, match="no signature"):
        portable.unpack(portable.pack(SAVED), signer=Key())


def test_another_format_is_refused(monkeypatch: Any) -> None:
    monkeypatch.setattr(portable, "FORMAT", 99)
    content = portable.pack(SAVED)
    monkeypatch.undo()

    with pytest.raises(BadFile, match="format 99"):
        portable.unpack(content)


def test_objects_are_not_written_and_not_read() -> None:
    with pytest.raises(BadInput, match="'bad' holds Python objects"):
        portable.pack(Saved(manifest=SAVED.manifest, arrays={"bad": np.array([{}], dtype=object)}))


def test_a_file_that_would_unpack_to_more_is_refused() -> None:
    small = io.BytesIO()
    with zipfile.ZipFile(small, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", b'{"arrays":{},"format":1}' + b" " * 50_000_000)
        archive.writestr("signature", b"")

    with pytest.raises(Tampered):
        portable.unpack(small.getvalue())


def test_an_array_that_promises_more_than_there_is_makes_no_room_for_it(monkeypatch: Any) -> None:
    huge = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,), }".ljust(117) + b"\n"
    monkeypatch.setattr(portable, "_npy", lambda _name, _array: huge)
    content = portable.pack(SAVED)
    monkeypatch.undo()

    with pytest.raises(BadFile, match="promises 1000000000000000 of float64 and 0 bytes follow"):
        portable.unpack(content)


@pytest.mark.parametrize("lost", ["parameters", "columns"])
def test_a_manifest_of_another_model_is_refused_when_loading(lost: str) -> None:
    manifest = {**SAVED.manifest, "model": "trees", lost: None}

    with pytest.raises(BadInput, match="does not hold a model 'trees'"):
        portable.load(Saved(manifest=manifest, arrays={}))


def test_something_else_is_no_model_file() -> None:
    with pytest.raises(BadFile, match="no model file"):
        portable.unpack(b"hello")


def test_a_manifest_without_columns_is_not_written() -> None:
    with pytest.raises(BadInput, match="'columns'"):
        portable.pack(Saved(manifest={"model": "constant", "parameters": {}}, arrays={}))


def test_loading_goes_by_the_registered_name() -> None:
    fitted = portable.load(Saved(manifest=SAVED.manifest, arrays={"entities": np.array([], dtype="U1")}))

    assert fitted.columns == ("a",)


def test_an_unknown_model_shows_the_closest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'harmonic'"):
        portable.model_class("harmonics")
