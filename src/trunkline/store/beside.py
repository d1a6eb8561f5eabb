"""Something big is made beside its place and moved there when it is whole: what is cut off never looks whole.

What a process that was stopped left behind is taken away by the next one that works for the same place.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO

from trunkline.core.errors import WorkspaceError
from trunkline.core.plain_file import open_plain
from trunkline.store.blobs import sync_folder

_PIECE = 1 << 20


@contextmanager
def made_beside(place: Path) -> Iterator[Path]:
    """A folder beside *place* to work in; it is gone at the end unless it was moved.

    Raises
    ------
    WorkspaceError
        The disk is full, or may not be written.
    """
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        _clear(place)
        folder = place.parent / f".{place.name}.incomplete-{secrets.token_hex(4)}"
        folder.mkdir(mode=0o750)
        with (folder / ".lock").open("w") as lock:
            _lock(lock)
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except OSError as failed:
        raise WorkspaceError(
            f"It could not be written: {failed.strerror or failed}.",
            where=str(failed.filename or place),
            allowed="a disk with room for a copy, which this user may write",
            next_step="Make room, or name a place on another disk. Nothing was left behind.",
        ) from failed


def move(folder: Path, place: Path) -> None:
    """Put what was made in *folder* (or a file) in its place, as one step that survives a power cut."""
    if folder.is_dir():
        (folder / ".lock").unlink(missing_ok=True)
        sync_folder(folder)  # else the lock is back after a power cut, and what is whole looks as if something were added
    folder.replace(place)
    sync_folder(place.parent)


def write(path: Path, content: bytes) -> tuple[int, str]:
    """Write *content* to *path*, on the disk when this returns; its size and hash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return len(content), sha256(content).hexdigest()


def copy(source: Path, target: Path) -> tuple[int, str]:
    """Copy a file, on the disk when this returns; the size and hash of what was copied."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = sha256(), 0
    with open_plain(source) as given, target.open("xb") as file:
        while piece := given.read(_PIECE):
            digest.update(piece)
            size += len(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return size, digest.hexdigest()


def sync_tree(folder: Path) -> None:
    """Make the names in *folder*, and below it, survive a power cut."""
    for path in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        sync_folder(path)


def _clear(place: Path) -> None:
    for left in place.parent.glob(f".{place.name}.incomplete-*"):
        try:
            with (left / ".lock").open("a") as lock:
                _lock(lock)
                shutil.rmtree(left, ignore_errors=True)
        except OSError:  # somebody is at work in it
            continue


def _lock(file: IO[str]) -> None:
    try:
        import fcntl
    except ImportError:  # not on Windows: there, what was left behind is left to people
        return
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
