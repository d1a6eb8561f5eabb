from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from trunkline.core.errors import BadFile, WorkspaceError
from trunkline.store import PublicKey, open_key


def pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def test_a_key_is_made_once_readable_by_its_owner_only(tmp_path: Path) -> None:
    made = open_key(tmp_path / "keys")

    again = open_key(tmp_path / "keys")

    assert made.id == again.id
    assert (tmp_path / "keys" / "journal.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["journal.key"]
    assert open_key(tmp_path / "keys", name="export").id != made.id


def test_what_one_key_signed_only_its_public_half_confirms(tmp_path: Path) -> None:
    key, other = open_key(tmp_path / "a"), open_key(tmp_path / "b")
    signature = key.sign(b"message")

    public = PublicKey(key.public_pem)

    assert public.id == key.id
    assert public.verify(b"message", signature)
    assert not public.verify(b"massage", signature)
    assert not public.verify(b"message", signature[:-1])
    assert not other.verify(b"message", signature)


def test_the_secret_shows_nowhere(tmp_path: Path) -> None:
    key = open_key(tmp_path)
    secret = (tmp_path / "journal.key").read_text().splitlines()[1]

    shown = f"{key!r} {key} {key.public!r} {key.public_pem!r}"

    assert secret not in shown
    assert "secret hidden" in repr(key)
    with pytest.raises(TypeError, match="never copied or pickled"):
        pickle.dumps(key)


def test_a_keys_folder_among_the_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="inside the data folder"):
        open_key(tmp_path / "data" / "keys", data_folder=tmp_path / "data")

    assert not (tmp_path / "data").exists()
    assert open_key(tmp_path / "keys", data_folder=tmp_path / "data").id


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    open_key(tmp_path)
    (tmp_path / "journal.key").chmod(0o640)

    with pytest.raises(WorkspaceError, match="chmod 600"):
        open_key(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no key", pem(ec.generate_private_key(ec.SECP256R1()))], ids=["empty", "text", "another kind"])
def test_a_file_without_an_ed25519_key_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal.key"
    path.write_bytes(content)
    path.chmod(0o600)

    with pytest.raises(BadFile, match=r"journal\.key"):
        open_key(tmp_path)


def test_a_public_key_of_another_kind_is_refused() -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    written = other.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    with pytest.raises(BadFile, match="another kind"):
        PublicKey(written)
    with pytest.raises(BadFile, match="no public key"):
        PublicKey(b"text")
