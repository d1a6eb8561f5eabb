"""Folders that others write files into: which of these are complete, and taking them in.

A file is complete when its size and time stood still for a while; one that was renamed into the folder, as a careful sender
does, is complete at once, for its time is older. What is hidden or ends as an unfinished transfer does is left alone. A file
goes through the intake as any other, so that one seen twice, by a restart or under two names, is one file.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from trunkline.core import log
from trunkline.core.clock import duration
from trunkline.core.plain_file import printable
from trunkline.run import load
from trunkline.store import inbox
from trunkline.store.inbox import Look
from trunkline.store.opened import Store

UNFINISHED = (".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".lock", ".swp", "~")
AT_ONCE = 200
"""How many files are read before what they held is kept and they are known as taken."""
_log = log.logger("inbox")


class Inbox:
    """The folders of the setting ``inbox``, and what is known of their files."""

    def __init__(self, store: Store, *, seconds: Callable[[], float] = time.time) -> None:
        settings = store.configuration.settings
        self.folders = [store.folder / Path(one).expanduser() for one in settings.inbox.split(os.pathsep) if one]
        self.settles, self.most = duration(settings.inbox_settles).total_seconds(), int(settings.inbox_waiting)
        self.options = load.Options(arrival=cast("Any", settings.inbox_arrival))
        self.taken_to = None if not settings.inbox_taken else store.folder / Path(settings.inbox_taken).expanduser()
        self._store, self._seconds = store, seconds
        self._known = inbox.known(store.engine) if self.folders else {}
        self._seen: dict[Path, tuple[Look, float]] = {}

    def complete(self) -> list[tuple[Path, Look]]:
        """New files that are complete, the oldest first, as many as may wait; each with its look."""
        now, found, present = self._seconds(), list[tuple[Path, Look]](), set[Path]()
        for path, look in self._files():
            present.add(path)
            if self._known.get(path) == look:
                continue
            last, since = self._seen.get(path, (None, now))
            if last != look:
                since = now
                self._seen[path] = (look, now)
            if now - since >= self.settles or now - look[1] / 1e9 >= self.settles:
                found.append((path, look))
        gone = [path for path in self._known if path not in present]
        if gone:
            inbox.forget(self._store.engine, gone)
        self._known = {path: look for path, look in self._known.items() if path in present}
        self._seen = {path: seen for path, seen in self._seen.items() if path in present}
        return sorted(found, key=lambda one: (one[1][1], one[0]))[: self.most]

    def take(self, files: list[tuple[Path, Look]]) -> load.Loaded:
        """Take complete *files* in; then they are known, and moved where the setting says so."""
        done = load.load(self._store, [path for path, _ in files], options=self.options)
        inbox.remember(self._store.engine, files)
        self._known |= dict(files)
        refused = {one.path for one in done.files if one.state == "refused"}
        for report in done.files:
            say = _log.warning if report.state == "refused" else _log.info
            facts = {"file": printable(report.path), "kind": report.kind, "rows": report.rows, "quarantined": report.quarantined}
            say("A file was %s.", report.state, extra=facts)
        for path, _ in files:
            if self.taken_to is not None and str(path) not in refused:
                self._move(path)
        return done

    def _files(self) -> list[tuple[Path, Look]]:
        found = []
        for folder in self.folders:
            folder.mkdir(parents=True, exist_ok=True)
            for path in folder.rglob("*"):
                if path.name.startswith(".") or path.name.lower().endswith(UNFINISHED) or (self.taken_to and path.is_relative_to(self.taken_to)):
                    continue
                with contextlib.suppress(FileNotFoundError):  # renamed while we looked
                    if path.is_file():
                        told = path.stat()
                        found.append((path, (told.st_size, told.st_mtime_ns)))
        return found

    def _move(self, path: Path) -> None:
        assert self.taken_to is not None
        self.taken_to.mkdir(parents=True, exist_ok=True)
        to, number = self.taken_to / path.name, 1
        while to.exists():
            number += 1
            to = self.taken_to / f"{path.stem}.{number}{path.suffix}"
        path.replace(to)
