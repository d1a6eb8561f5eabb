"""Where a step is done: a disk that faults are done to, and beside it what no fault touches."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trunkline import workspace
from trunkline.core.clock import Clock
from trunkline.workspace import Workspace

PRESENT = datetime(2026, 12, 20, 14, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Home:
    """One try at a step.

    Parameters
    ----------
    folder
        Holds ``disk`` (workspace and backups) and ``acknowledged`` (what the worker was told is done).
    made
        Where the step was prepared: files, keys and the workflow, which are only read.
    is_key_on_disk
        Whether the key, too, lies where faults are done; else beside.
    """

    folder: Path
    made: Path
    is_key_on_disk: bool = False

    @property
    def disk(self) -> Path:
        """What faults are done to."""
        return self.folder / "disk"

    @property
    def workspace(self) -> Path:
        """The workspace on it."""
        return self.disk / "w"

    @property
    def flags(self) -> dict[str, str]:
        """Settings: who works, and where the key lies."""
        return {"keys": str((self.disk if self.is_key_on_disk else self.made) / "keys"), "operator": "ann"}

    def clock(self) -> datetime:
        """The time; it stands, so that every run says the same."""
        return PRESENT

    @contextmanager
    def opened(self, folder: Path | None = None, *, clock: Clock | None = None) -> Iterator[Workspace]:
        """Open the workspace (or another one on the same disk)."""
        with workspace.open(folder or self.workspace, flags=self.flags, clock=clock or self.clock) as found:
            yield found

    def create(self, **how: Any) -> Workspace:
        """Make the workspace."""
        return workspace.create(self.workspace, flags=self.flags, clock=self.clock, **how)

    def copied(self, to: Path) -> Home:
        """The same disk elsewhere."""
        shutil.rmtree(to, ignore_errors=True)
        to.mkdir(parents=True)
        shutil.copytree(self.disk, to / "disk", symlinks=True)
        return replace(self, folder=to)

    def tell(self, done: str) -> None:
        """Note outside the disk that *done* was acknowledged."""
        with (self.folder / "acknowledged").open("a", encoding="utf-8") as file:
            file.write(done + "\n")

    def told(self) -> list[str]:
        """What was acknowledged, in order, each once."""
        path = self.folder / "acknowledged"
        return list(dict.fromkeys(path.read_text(encoding="utf-8").splitlines())) if path.exists() else []
