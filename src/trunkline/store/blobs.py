"""Whole contents by their SHA-256: what was written under an id is what is read under it, or an error.

A blob is written beside its place, synced, and moved there: after a power cut it is whole or absent.
The same content is stored once.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from itertools import islice
from pathlib import Path
from time import time
from typing import BinaryIO

from trunkline.core.errors import BadFile, BadInput, Tampered, WorkspaceError
from trunkline.core.plain_file import open_plain

FORMAT = 1
"""Of the folder: contents by their SHA-256, two levels deep."""

_ID = re.compile(r"[0-9a-f]{64}")
_PIECE = 1 << 20
_GIVEN_UP_S = 24 * 3600.0
"""No file takes a day to be written."""
_AT_ONCE = 256


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
        self._clear()

    def put(self, content: bytes) -> str:
        """Store *content*, on the disk when this returns; its id, the hex SHA-256."""
        return self.put_all([content])[0][0]

    def put_file(self, path: str | Path) -> str:
        """Store the content of the file at *path*, piece by piece; its id.

        Raises
        ------
        BadFile
            The file cannot be read, or is a pipe or a device.
        """
        return self.put_all([Path(path)])[0][0]

    def put_all(self, contents: Iterable[bytes | Path]) -> list[tuple[str, int]]:
        """Store contents and files; id and size of each. All of them are on the disk when this returns.

        They are all written before the first is synced: the disk then waits once for many, where it would wait for each.

        >>> import tempfile
        >>> [size for _, size in Blobs(tempfile.mkdtemp()).put_all([b"one", b"two", b"one"])]
        [3, 3, 3]
        """
        stored: list[tuple[str, int]] = []
        given = iter(contents)
        while group := list(islice(given, _AT_ONCE)):
            beside: dict[str, Path] = {}
            with self._writing():
                try:
                    stored += [self._write(content, beside) for content in group]
                    self._move_in(beside)
                finally:
                    for path in beside.values():
                        path.unlink(missing_ok=True)
        return stored

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

    def remove(self, blob: str) -> None:
        """Take *blob* away for good; nothing happens where it is not there."""
        path = self.path(blob)
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            sync_folder(path.parent)

    def ids(self) -> Iterator[str]:
        """Every blob that is there, in order."""
        for folder in sorted(self.folder.glob("[0-9a-f][0-9a-f]")):
            yield from sorted(path.name for path in folder.iterdir() if _ID.fullmatch(path.name))

    def __contains__(self, blob: str) -> bool:
        return self.path(blob).is_file()

    def _clear(self) -> None:
        """Take away what processes that were killed long ago had begun to write: each may be as large as a file."""
        for left in self._incoming.iterdir():
            with suppress(OSError):  # another process was quicker
                if time() - left.stat().st_mtime > _GIVEN_UP_S:
                    left.unlink()

    def _is_there(self, blob: str, size: int) -> bool:
        path = self.path(blob)
        return path.is_file() and path.stat().st_size == size  # one cut short by a broken disk is written again

    def _write(self, content: bytes | Path, beside: dict[str, Path]) -> tuple[str, int]:
        """Write a content beside its place, unless it is there already; *beside* is told where."""
        if isinstance(content, Path):
            with _opened(content) as source:
                first = _piece(source, content)
                if len(first) == _PIECE:
                    return self._write_pieces(source, content, first, beside)
            content = first
        blob = sha256(content).hexdigest()
        if blob not in beside and not self._is_there(blob, len(content)):
            place = beside[blob] = self._incoming / secrets.token_hex(8)
            with place.open("xb") as file:
                file.write(content)
        return blob, len(content)

    def _write_pieces(self, source: BinaryIO, path: Path, piece: bytes, beside: dict[str, Path]) -> tuple[str, int]:
        digest, size = sha256(), 0
        place = beside[""] = self._incoming / secrets.token_hex(8)
        with place.open("xb") as file:
            while piece:
                digest.update(piece)  # hashes what is stored, even if the source changes while it is read
                size += len(piece)
                file.write(piece)
                piece = _piece(source, path)
        blob = digest.hexdigest()
        if blob in beside or self._is_there(blob, size):
            place.unlink()
        else:
            beside[blob] = place
        del beside[""]
        return blob, size

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as failed:
            raise WorkspaceError(
                f"The content cannot be stored: {failed.strerror or failed}.",
                where=str(self.folder),
                allowed="a disk with space left, which this user may write",
                next_step="Make room, then repeat: what was taken in before is not lost.",
            ) from failed

    def _move_in(self, beside: dict[str, Path]) -> None:
        """Sync what was written, then move it to its places; *beside* is told what has gone."""
        for path in beside.values():
            descriptor = os.open(path, os.O_RDWR)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        folders = {blob[:2]: self.folder / blob[:2] for blob in beside}
        new = [folder for folder in folders.values() if not folder.is_dir()]
        for folder in new:
            folder.mkdir(exist_ok=True)
        if new:
            sync_folder(self.folder)
        for blob in list(beside):
            beside[blob].replace(folders[blob[:2]] / blob)
            del beside[blob]
        for folder in folders.values():
            sync_folder(folder)


def _opened(path: Path) -> BinaryIO:
    try:
        return open_plain(path)
    except OSError as unreadable:
        raise BadFile(f"The file cannot be read: {unreadable.strerror}.", path=path, allowed="a file this user may read") from unreadable


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
