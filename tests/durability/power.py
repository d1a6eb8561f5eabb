"""The disk as a power cut leaves it, built from a log of every change.

A disk keeps what it was asked to keep (``fsync`` of a file for its content, of a folder for its names); of everything else it
may have kept any part. Two kinds of disk:

``forgetful``
    nothing is there that it was not asked for: the worst that POSIX allows.
``torn``
    names up to some moment before the cut, in order (as a file system with a journal keeps them), and of contents that it was
    not asked for a random choice of pages, later ones perhaps without earlier ones.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

Kind = Literal["forgetful", "torn"]
KINDS: tuple[Kind, ...] = ("forgetful", "torn")
PAGE = 4096
_HEAD = struct.Struct("<cQqIIQ")


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the log: see shim.c for what the letters mean."""

    what: str
    file: int
    at: int
    first: str
    second: str
    content: bytes


@dataclass(slots=True, eq=False)
class File:
    """A file: its content now, what of it is certain to be kept, and the changes since."""

    now: bytearray = field(default_factory=bytearray)
    kept: bytes = b""
    since: list[tuple[int, bytes | None]] = field(default_factory=list)
    """Writes (where, what) and cuts (size, None) that were not asked to be kept."""

    def write(self, at: int, content: bytes) -> None:
        """Change the content."""
        _write(self.now, at, content)
        self.since += [(at + n, content[n : n + PAGE]) for n in range(0, len(content), PAGE)]

    def cut(self, size: int) -> None:
        """Make it so long."""
        _cut(self.now, size)
        self.since.append((size, None))

    def sync(self) -> None:
        """Ask for the content to be kept."""
        self.kept, self.since = bytes(self.now), []

    def left(self, kind: Kind, chance: random.Random) -> bytes:
        """What a cut leaves."""
        if kind == "forgetful":
            return self.kept
        content, share = bytearray(self.kept), chance.choice((0.0, 0.5, 0.9, 1.0))
        for at, piece in self.since:
            if chance.random() < share:
                _cut(content, at) if piece is None else _write(content, at, piece)
        return bytes(content)


@dataclass(slots=True, eq=False)
class Folder:
    """A folder: its names now, those that are certain to be kept, and the changes since with their number."""

    now: dict[str, File | Folder] = field(default_factory=dict)
    kept: dict[str, File | Folder] = field(default_factory=dict)
    since: list[tuple[int, str, File | Folder | None]] = field(default_factory=list)

    def put(self, number: int, name: str, what: File | Folder | None) -> None:
        """Give a name, or take it away."""
        if what is None:
            self.now.pop(name, None)
        else:
            self.now[name] = what
        self.since.append((number, name, what))

    def sync(self) -> None:
        """Ask for the names to be kept."""
        self.kept, self.since = dict(self.now), []

    def left(self, last: int) -> dict[str, File | Folder]:
        """The names that a cut leaves where changes up to number *last* got through."""
        names = dict(self.kept)
        for number, name, what in self.since:
            if number <= last:
                names.pop(name, None) if what is None else names.__setitem__(name, what)
        return names


class Disk:
    """A disk that starts as the folder *at* and is changed as the log says."""

    def __init__(self, at: Path) -> None:
        self.at = at.resolve()
        self.number = 0
        self.acknowledged = 0
        self._files: dict[int, File] = {}
        self._root = self._found(self.at)

    def apply(self, change: Change) -> None:
        """One change."""
        if change.what == "M":
            self.acknowledged = change.at
            return
        self.number += 1
        if change.what == "C":
            self._files[change.file] = File()
            self._put(change.first, self._files[change.file])
        elif change.what in "WT":
            file = self._files.get(change.file)
            if file is not None:
                file.write(change.at, change.content) if change.what == "W" else file.cut(change.at)
        elif change.what == "F":
            found = self._look(change.first)
            if not isinstance(found, Folder):
                found = self._files.get(change.file)
            if found is not None:
                found.sync()
        elif change.what == "D":
            self._put(change.first, Folder())
        elif change.what in "UX":
            self._put(change.first, None)
        else:
            moved = self._look(change.first)
            if change.what == "R":
                self._put(change.first, None)
            self._put(change.second, moved)

    def cut(self, to: Path, kind: Kind, chance: random.Random) -> None:
        """Write what a power cut now would leave into *to*."""
        last = 0 if kind == "forgetful" else chance.choice((self.number, chance.randint(0, self.number)))
        _write_out(self._root, to, kind, chance, last)

    def _found(self, path: Path) -> Folder:
        folder = Folder()
        for one in sorted(path.iterdir()):
            if one.is_dir():
                folder.now[one.name] = self._found(one)
            else:
                content = one.read_bytes()
                folder.now[one.name] = self._files[one.stat().st_ino] = File(bytearray(content), content)
        folder.kept = dict(folder.now)
        return folder

    def _parts(self, path: str) -> Sequence[str] | None:
        """The names that lead to *path*; None where it does not lie on this disk."""
        given = PurePosixPath(path)
        return given.relative_to(self.at).parts if given.is_relative_to(self.at) else None

    def _look(self, path: str) -> File | Folder | None:
        found: File | Folder | None = self._root
        for name in self._parts(path) or ():
            if not isinstance(found, Folder):
                return None
            found = found.now.get(name)
        return found

    def _put(self, path: str, what: File | Folder | None) -> None:
        parts = self._parts(path)
        folder = self._look(str(PurePosixPath(path).parent)) if parts else None
        if parts and isinstance(folder, Folder):
            folder.put(self.number, parts[-1], what)


def changes(log: Path) -> Iterator[Change]:
    """Every line of the log that the shim wrote."""
    content, at = memoryview(log.read_bytes()), 0
    while at < len(content):
        what, file, where, first, second, length = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        names = bytes(content[at : at + first]).decode(), bytes(content[at + first : at + first + second]).decode()
        at += first + second
        yield Change(what.decode(), file, where, *names, bytes(content[at : at + length]))
        at += length


def _write(content: bytearray, at: int, piece: bytes) -> None:
    if len(content) < at:
        content.extend(bytes(at - len(content)))
    content[at : at + len(piece)] = piece


def _cut(content: bytearray, size: int) -> None:
    if size < len(content):
        del content[size:]
    else:
        content.extend(bytes(size - len(content)))


def _write_out(folder: Folder, to: Path, kind: Kind, chance: random.Random, last: int) -> None:
    to.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, what in folder.left(last).items():
        if isinstance(what, Folder):
            _write_out(what, to / name, kind, chance, last)
        else:
            (to / name).write_bytes(what.left(kind, chance))
            (to / name).chmod(0o600)  # modes are not recorded; a key must not be for everybody
