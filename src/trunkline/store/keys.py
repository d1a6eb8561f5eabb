"""The key that signs the journal: Ed25519, in a file only its owner can read, outside the data folder.

Who can write the data but not read this folder cannot make a journal that verifies. The secret never
leaves this module: no text form, no pickling, no attribute to log by accident.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from trunkline.core.canonical import sha256
from trunkline.core.errors import BadFile, WorkspaceError
from trunkline.store.blobs import sync_folder


class PublicKey:
    """The half of a key that everybody may know: it checks signatures.

    Parameters
    ----------
    pem
        The key as PEM text (SubjectPublicKeyInfo, RFC 8410).
    """

    __slots__ = ("_key", "id", "pem")

    def __init__(self, pem: bytes) -> None:
        try:
            key = serialization.load_pem_public_key(pem)
        except ValueError as broken:
            raise BadFile("This is no public key in PEM form.", path="public key", allowed="an Ed25519 public key in PEM form") from broken
        if not isinstance(key, Ed25519PublicKey):
            raise BadFile("The public key is of another kind.", path="public key", allowed="an Ed25519 public key in PEM form")
        self._key, self.pem = key, pem
        self.id = sha256(key.public_bytes_raw())[:16]

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether *signature* is this key's over *message*."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def __repr__(self) -> str:
        return f"PublicKey({self.id!r})"


class SigningKey:
    """A signing key in use. Made by :func:`open_key`; it shows its id and its public half, never the secret."""

    __slots__ = ("_key", "public")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))

    @property
    def id(self) -> str:
        """The first 16 hex digits of the SHA-256 of the public key."""
        return self.public.id

    @property
    def public_pem(self) -> bytes:
        """The public half as PEM text, to hand to an auditor."""
        return self.public.pem

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature (RFC 8032) over *message*."""
        return self._key.sign(message)

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether *signature* is this key's over *message*."""
        return self.public.verify(message, signature)

    def __repr__(self) -> str:
        return f"SigningKey({self.id!r}, secret hidden)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A signing key is never copied or pickled; open it from its folder instead.")


def open_key(folder: str | Path, *, name: str = "journal", data_folder: str | Path | None = None, make: bool = True) -> SigningKey:
    """The signing key *name* in *folder*; it is made, readable by its owner only, where there is none.

    Parameters
    ----------
    folder
        The keys folder; made with mode 0700 if needed.
    name
        Which key; the file is ``<name>.key``.
    data_folder
        Where the data live. A keys folder inside it is refused: a backup or a thief of the data would hold the key too.
    make
        Whether one is made. Not for data that were signed already: no new key could confirm them.

    Raises
    ------
    WorkspaceError
        The folder lies inside *data_folder*, others can read the key file or write into the folder, it cannot be read by
        this user, or there is none and none is to be made.
    BadFile
        The file is there but holds no Ed25519 key.

    >>> import tempfile
    >>> key = open_key(tempfile.mkdtemp())
    >>> key.verify(b"text", key.sign(b"text")), key.verify(b"test", key.sign(b"text"))
    (True, False)
    """
    folder = Path(folder)
    if data_folder is not None and folder.resolve().is_relative_to(Path(data_folder).resolve()):
        raise WorkspaceError(
            "The keys folder lies inside the data folder.",
            where=str(folder),
            allowed=f"any folder outside {data_folder}",
            next_step="Name a keys folder elsewhere, owned by the same user, and leave it out of data backups.",
        )
    path = folder / f"{name}.key"
    try:
        secret = _secret(path, make=make)
    except OSError as failed:
        raise WorkspaceError(
            f"The signing key cannot be used: {failed.strerror or failed}.",
            where=str(path),
            allowed="a file that this user owns and may read",
            next_step="Restore it from its backup, or name the folder it lies in: the setting 'keys'.",
        ) from failed
    if folder.stat().st_mode & 0o022:
        raise WorkspaceError(
            "Others than its owner can replace the signing key: they may write into its folder.",
            where=str(folder),
            allowed="mode 0700",
            next_step=f"chmod 700 {folder}, and look whether the key is still yours: trunkline audit verify",
        )
    if path.stat().st_mode & 0o077:
        raise WorkspaceError(
            "Others than its owner can read the signing key.",
            where=str(path),
            allowed="mode 0600",
            next_step=f"chmod 600 {path}, and sign with a new key if others had an account on this machine.",
        )
    try:
        key = serialization.load_pem_private_key(secret, password=None)
    except (ValueError, TypeError) as broken:
        raise BadFile(
            "This holds no signing key.", path=path, allowed="an Ed25519 private key in PEM form", next_step="Restore it from its backup."
        ) from broken
    if not isinstance(key, Ed25519PrivateKey):
        raise BadFile("This key is of another kind.", path=path, allowed="an Ed25519 private key in PEM form")
    return SigningKey(key)


def _secret(path: Path, *, make: bool) -> bytes:
    if make:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _make(path)
    return path.read_bytes()


def _make(path: Path) -> None:
    secret = Ed25519PrivateKey.generate().private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):  # another process made the key first: its key is the one
        os.link(beside, path)
    beside.unlink()
    for folder in (path.parent, path.parent.parent):  # what it signs is worth nothing without it
        sync_folder(folder)
