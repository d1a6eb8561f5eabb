"""Whole contents by their SHA-256: what was written under an id is what is read under it, or an error.

A blob is written beside its place, synced, and moved there: after a power cut it is whole or absent.
The same content is stored once.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from trunkline.core.errors import BadFile, BadInput, Tampered, WorkspaceError
from trunkline.core.plain_file import open_plain

_ID = re.compile(r"[0-9a-f]{64}")
_PIECE = 1 << 20


class Blobs:
    """A folder of contents.

    Parameters
    ----------
    folder
        Made if needed. Contents lie two levels deep, by the first two digits of their id.

    >>> import tempfile
    >>> blobs = Blobs(tempfile.mkdtemp())
    >>> blobs.get(blobs.put(b"content"))
    b'content'
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._incoming = self.folder / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)

    def put(self, content: bytes) -> str:
        """Store *content*, on the disk when this returns; its id, the hex SHA-256."""
        blob = sha256(content).hexdigest()
        if not self._is_there(blob, len(content)):
            with self._writing() as (file, path):
                file.write(content)
                self._move_in(file, path, blob)
        return blob

    def put_file(self, path: str | Path) -> str:
        """Store the content of the file at *path*, piece by piece; its id.

        Raises
        ------
        BadFile
            The file cannot be read, or is a pipe or a device.
        """
        try:
            source = open_plain(path)
        except OSError as unreadable:
            raise BadFile(f"The file cannot be read: {unreadable.strerror}.", path=path, allowed="a file this user may read") from unreadable
        with source, self._writing() as (file, beside):
            digest, size = sha256(), 0
            while piece := _piece(source, path):
                digest.update(piece)  # hashes what is stored, even if the source changes while it is read
                size += len(piece)
                file.write(piece)
            blob = digest.hexdigest()
            if not self._is_there(blob, size):
                self._move_in(file, beside, blob)
        return blob

    def get(self, blob: str) -> bytes:
        """The content of *blob*, checked against its id.

        Raises
        ------
        Tampered
            The content no longer has this hash.
        BadInput
            There is no such blob.
        """
        path = self.path(blob)
        try:
            content = path.read_bytes()
        except FileNotFoundError as absent:
            raise BadInput(f"There is no blob {blob}.", where=str(path)) from absent
        if sha256(content).hexdigest() != blob:
            raise Tampered(
                f"The content of blob {blob} was changed: it is {len(content)} bytes with another hash.",
                where=str(path),
                next_step="Restore this file from a backup, or put the original content again.",
            )
        return content

    def path(self, blob: str) -> Path:
        """Where *blob* lies, for readers that need a file. They read unchecked: prefer :meth:`get`."""
        if not _ID.fullmatch(blob):
            raise BadInput(f"'{blob}' is no id of a blob.", allowed="64 hex digits")
        return self.folder / blob[:2] / blob

    def __contains__(self, blob: str) -> bool:
        return self.path(blob).is_file()

    def _is_there(self, blob: str, size: int) -> bool:
        path = self.path(blob)
        return path.is_file() and path.stat().st_size == size  # one cut short by a broken disk is written again

    @contextmanager
    def _writing(self) -> Iterator[tuple[BinaryIO, Path]]:
        beside = self._incoming / secrets.token_hex(8)
        try:
            with beside.open("xb") as file:
                yield file, beside
        except OSError as failed:
            raise WorkspaceError(
                f"The content cannot be stored: {failed.strerror or failed}.",
                where=str(self.folder),
                allowed="a disk with space left, which this user may write",
                next_step="Make room, then repeat: what was taken in before is not lost.",
            ) from failed
        finally:
            beside.unlink(missing_ok=True)

    def _move_in(self, file: BinaryIO, beside: Path, blob: str) -> None:
        file.flush()
        os.fsync(file.fileno())
        path = self.path(blob)
        if not path.parent.is_dir():
            path.parent.mkdir(exist_ok=True)
            sync_folder(self.folder)
        beside.replace(path)
        sync_folder(path.parent)


def _piece(source: BinaryIO, path: str | Path) -> bytes:
    try:
        return source.read(_PIECE)
    except OSError as failed:
        raise BadFile(f"The file cannot be read: {failed.strerror}.", path=path, next_step="Check the disk, or copy the file again.") from failed


def sync_folder(folder: Path) -> None:
    """Make the names in *folder* survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
