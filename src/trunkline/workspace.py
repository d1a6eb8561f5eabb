"""A workspace: an opened installation, and the whole Python API.

It holds sub-objects named as on the command line and has no logic of its own; what a verb does is in
:mod:`trunkline.run`. Everything returns frames and plain values that print well.
"""

from __future__ import annotations

import builtins
import getpass
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import polars as pl

from trunkline.core import config
from trunkline.core.clock import Clock, duration, now
from trunkline.core.errors import TrunklineError, WorkspaceError
from trunkline.core.values import Outcome
from trunkline.features import ParityReport, history
from trunkline.run import gather, load, queue, releases, shipped
from trunkline.run.replay import Replay, replay
from trunkline.run.train import Candidate, train
from trunkline.run.work import Worked, work
from trunkline.store import catalogue
from trunkline.store.journal import Entry, Verification
from trunkline.store.opened import DATABASE, Store, open_store
from trunkline.workflow import Release, Workflow, diff

Progress = Callable[[str, float], None]


def create(folder: str | Path, *, clock: Clock = now, flags: Mapping[str, str] | None = None) -> Workspace:
    """Make a workspace in *folder* and open it.

    Raises
    ------
    WorkspaceError
        There is one already.
    """
    folder = Path(folder)
    if (folder / DATABASE).is_file():
        raise WorkspaceError(f"There is a workspace in {folder} already.", next_step=f"trunkline -w {folder} workspace show")
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / config.FILE
    if not settings.exists():
        settings.write_text(config.TEMPLATE, encoding="utf-8")
    return Workspace(open_store(folder, config.read(folder, flags=flags), clock=clock, create=True))


def open(folder: str | Path, *, clock: Clock = now, flags: Mapping[str, str] | None = None) -> Workspace:  # noqa: A001 - trunkline.open is meant
    """Open the workspace in *folder*."""
    folder = Path(folder)
    return Workspace(open_store(folder, config.read(folder, flags=flags), clock=clock))


class Workspace:
    """An opened installation.

    >>> import tempfile
    >>> with create(Path(tempfile.mkdtemp()) / "w") as workspace:
    ...     workspace.audit.verify().ok
    True
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.data = Data(store)
        self.features = FeatureRows(store)
        self.workflows = Workflows(store)
        self.decisions = Decisions(store)
        self.audit = Audit(store)

    @property
    def configuration(self) -> config.Configuration:
        """The settings in force and the origin of each."""
        return self.store.configuration

    def show(self) -> dict[str, Any]:
        """What is in it, in numbers."""
        return {
            "folder": str(self.store.folder),
            "format": catalogue.FORMAT,
            "key": self.store.signer.id,
            "tables": {name: self.store.lake.read(name).select(pl.len()).collect().item() for name in self.store.lake.tables()},
            "quarantined": sum(self.store.intake.quarantine_reasons().values()),
            "releases": len(catalogue.rows(self.store.engine, catalogue.releases)),
            "decisions": len(catalogue.rows(self.store.engine, catalogue.decisions)),
            "journal entries": self.store.journal.size,
        }

    def check(self) -> list[tuple[str, str]]:
        """Is everything that rests what was written? Each finding is (what, what is wrong)."""
        findings = []
        journal = self.store.journal.verify()
        if not journal.ok:
            findings.append(("journal", journal.why))
        for row in catalogue.rows(self.store.engine, catalogue.releases):
            try:
                releases.fitted(self.store, row)
            except TrunklineError as broken:
                findings.append((f"model of release {row['id']}", broken.what))
        for arrival in self.store.intake.after(0):
            try:
                self.store.blobs.get(arrival.id)
            except TrunklineError as broken:
                findings.append((f"file {arrival.name}", broken.what))
        return findings

    def close(self) -> None:
        """Give the database file back."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Workspace {self.store.folder}>"


@dataclass(frozen=True, slots=True, repr=False)
class Data:
    """Files and what is in them."""

    _store: Store

    def load(
        self,
        files: Sequence[str | Path],
        *,
        options: load.Options | None = None,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> load.Loaded:
        """Take in *files* (or folders of files): measurements, series, alarms, works, states, inventory."""
        return load.load(self._store, files, options=options, dry_run=dry_run, progress=progress)

    def list(self) -> pl.DataFrame:
        """Every file that was taken in, with rows and what was put aside."""
        return load.listed(self._store)

    def show(self, product: str, *, limit: int = 20) -> pl.DataFrame:
        """The newest rows of a product."""
        return load.newest(self._store, product, limit)

    def quarantine(self) -> pl.DataFrame:
        """What could not be used: file, line, reason, and how it begins."""
        found = self._store.intake.quarantined()
        columns = {name: [getattr(one, name) for one in found] for name in ("file", "line", "reason", "excerpt")}
        return pl.DataFrame(columns, schema={"file": pl.String, "line": pl.Int64, "reason": pl.String, "excerpt": pl.String})


@dataclass(frozen=True, slots=True, repr=False)
class FeatureRows:
    """What workflows look at."""

    _store: Store

    def show(self, name: str | Path, *, element: str | None = None, limit: int = 20) -> pl.DataFrame:
        """The newest rows a workflow looks at, each as known when it was emitted."""
        found = gather.gather(self._store, shipped.find(name))
        rows = history(gather.bound(found), found.facts)
        return (rows if element is None else rows.filter(pl.col("entity") == element)).sort("at", "entity", descending=[True, False]).head(limit)

    def check(self, name: str | Path, *, days: float = 2.0) -> ParityReport:
        """Play the newest *days* through the live evaluator and compare with history as known then."""
        return gather.parity(gather.gather(self._store, shipped.find(name)), days=days)


@dataclass(frozen=True, slots=True, repr=False)
class Workflows:
    """What runs."""

    _store: Store

    def list(self) -> pl.DataFrame:
        """Shipped and deployed workflows, with what is live and in shadow."""
        return releases.overview(self._store)

    def get(self, name: str | Path) -> Workflow:
        """A workflow by name, or from its file."""
        return shipped.find(name)

    def replay(
        self,
        name: str | Path,
        *,
        start: datetime | None = None,
        truth: pl.DataFrame | None = None,
        every: str | None = None,
        rename: Mapping[str, str] | None = None,
        self_test: bool = True,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Replay:
        """What a workflow would have said about the data in this workspace; recorded as a replay, acted on by nobody."""
        found = self._gather(name, every=every, rename=rename)
        result = replay(
            found.workflow,
            found.facts,
            context=found.context,
            start=start,
            truth=truth,
            self_test=self_test,
            emitted_after=duration(self._store.configuration.settings.delay),
            seed=seed,
            progress=progress,
        )
        result = replace(result, notes=(*found.notes, *result.notes))
        releases.record_replay(self._store, result)
        return result

    def train(
        self,
        name: str | Path,
        *,
        contenders: Mapping[str, Any] | None = None,
        labels: Any = None,
        every: str | None = None,
        rename: Mapping[str, str] | None = None,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Candidate:
        """Train on the data in this workspace, let the gates judge, and keep the candidate with its verdicts."""
        found = self._gather(name, every=every, rename=rename)
        candidate = train(
            found.workflow,
            found.facts,
            context=found.context,
            signer=self._store.signer,
            labels=labels,
            contenders=contenders,
            emitted_after=duration(self._store.configuration.settings.delay),
            seed=seed,
            at=self._store.clock(),
            progress=progress,
        )
        candidate = replace(candidate, card={**candidate.card, "notes": list(found.notes)})
        releases.keep(self._store, candidate)
        return candidate

    def deploy(self, name: str | Path, *, by: str = "", reason: str, release: str | None = None, waiver: str = "", dry_run: bool = False) -> str:
        """One step forward for the newest release (or *release*): candidate to shadow, shadow to live; says which it is now."""
        return releases.forward(self._store, shipped.find(name), release=release, by=who(self._store, by), reason=reason, waiver=waiver, dry_run=dry_run)

    def run(self, name: str | Path, *, rename: Mapping[str, str] | None = None, progress: Progress | None = None) -> builtins.list[Worked]:
        """Let the live release, and the one in shadow, decide on all that came since the last time."""
        return work(self._store, shipped.find(name), rename=rename, progress=progress)

    def rollback(self, name: str | Path, *, by: str = "", reason: str, to: str | None = None, dry_run: bool = False) -> str:
        """Make the release before the live one (or *to*) live again; says which it is."""
        return releases.back(self._store, shipped.name_of(name), to=to, by=who(self._store, by), reason=reason, dry_run=dry_run)

    def releases(self, name: str | Path) -> pl.DataFrame:
        """Every release of a workflow, the newest first."""
        return releases.listed(self._store, shipped.name_of(name))

    def release(self, id_: str) -> Release:
        """One release; the first letters of its id are enough."""
        return releases.get(self._store, id_)

    def card(self, id_: str) -> dict[str, Any]:
        """What training recorded of a release by itself: contenders, gates, held-out span."""
        return releases.card(self._store, id_)

    def diff(self, old: str, new: str) -> builtins.list[tuple[str, Any, Any]]:
        """What changed between two releases, field by field."""
        return diff(self.release(old), self.release(new))

    def _gather(self, name: str | Path, *, every: str | None, rename: Mapping[str, str] | None) -> gather.Gathered:
        workflow = shipped.find(name)
        return gather.gather(self._store, workflow, every=None if every is None else duration(every), rename=rename)


@dataclass(frozen=True, slots=True, repr=False)
class Decisions:
    """The queue."""

    _store: Store

    def list(self, *, state: str | None = "open", workflow: str | None = None, mode: str | None = None, limit: int | None = None) -> list[queue.Recorded]:
        """Decisions, the most confident first; expired ones are closed before anything is shown."""
        queue.expire(self._store)
        return queue.listed(self._store, state=state, workflow=workflow, mode=mode, limit=limit)

    def show(self, decision: str) -> queue.Recorded:
        """One decision with its reasons and the row it was taken on; the first letters of its id are enough."""
        return queue.show(self._store, decision)

    def approve(self, decision: str, *, by: str = "", reason: str, dry_run: bool = False) -> str:
        """Let it happen."""
        return queue.step(self._store, decision, "approve", by=who(self._store, by), reason=reason, dry_run=dry_run)

    def reject(self, decision: str, *, by: str = "", reason: str, dry_run: bool = False) -> str:
        """Do not let it happen."""
        return queue.step(self._store, decision, "reject", by=who(self._store, by), reason=reason, dry_run=dry_run)

    def undo(self, decision: str, *, by: str = "", reason: str, dry_run: bool = False) -> str:
        """Take an approval or rejection back."""
        return queue.step(self._store, decision, "undo", by=who(self._store, by), reason=reason, dry_run=dry_run)

    def outcome(self, decision: str, verdict: str, *, by: str = "", note: str = "", dry_run: bool = False) -> Outcome:
        """Say how it turned out: confirmed, wrong or unknown."""
        return queue.outcome(self._store, decision, verdict, by=who(self._store, by), note=note, dry_run=dry_run)

    def labels(self, workflow: str | None = None) -> pl.DataFrame:
        """Decisions with a verdict as labelled rows, weighted by the chance they had of being shown."""
        return queue.labels(self._store, workflow)


@dataclass(frozen=True, slots=True, repr=False)
class Audit:
    """The journal."""

    _store: Store

    def verify(self) -> Verification:
        """Check every entry and signature; names the first bad entry."""
        return self._store.journal.verify()

    def list(self, *, kind: str | None = None, since: int = 0, limit: int | None = None) -> list[Entry]:
        """Entries in order."""
        return list(self._store.journal.entries(kind, since, limit))

    def export(self, folder: str | Path) -> Path:
        """Entries, checkpoints and public key for an auditor, who can check them alone."""
        return self._store.journal.export(folder)


def who(store: Store, by: str = "") -> str:
    """Who acts: as said, else as configured, else the user of the operating system."""
    return by or store.configuration.settings.operator or getpass.getuser()
