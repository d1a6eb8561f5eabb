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
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, Self

import polars as pl

from trunkline.core import config
from trunkline.core.clock import Clock, duration, now
from trunkline.core.errors import TrunklineError, WorkspaceError
from trunkline.core.values import Outcome
from trunkline.features import ParityReport, history
from trunkline.govern.access import Principal
from trunkline.run import access, agreement, gather, hand_over, large, load, metrics, origin, queue, releases, serve, shipped, steps, trial, watch, windows
from trunkline.run.break_glass import break_glass
from trunkline.run.comparison import ShadowReport, shadow_report
from trunkline.run.deliver import Delivery, again, deliver
from trunkline.run.exact import exactly
from trunkline.run.exporting import ExportedRelease, export
from trunkline.run.hand_over import changes, who
from trunkline.run.replay import Replay
from trunkline.run.reproduce import Reproduced, in_clean_process
from trunkline.run.train import Candidate
from trunkline.run.work import Worked
from trunkline.store import beside, catalogue, commands, erasures, owner, troubles
from trunkline.store.backup import Backup, backup
from trunkline.store.journal import Entry, Verification
from trunkline.store.lake import Compacted
from trunkline.store.opened import Store, is_workspace, open_store
from trunkline.store.proof import prove_entry, prove_since
from trunkline.store.restore import Restored
from trunkline.store.restore import restore as _restore
from trunkline.store.witness import Witness
from trunkline.store.witness import read as read_witness
from trunkline.workflow import Release, Workflow, diff

Progress = Callable[[str, float], None]
NOUNS = {"data": "data", "feature": "features", "workflow": "workflows", "decision": "decisions", "audit": "audit", "access": "access"}
"""The sub-objects of a workspace, by the noun they are on the command line. Add a noun here."""


def create(folder: str | Path, *, clock: Clock = now, flags: Mapping[str, str] | None = None) -> Workspace:
    """Make a workspace in *folder* and open it.

    Raises
    ------
    WorkspaceError
        There is one already.
    """
    folder = Path(folder)
    if is_workspace(folder):
        raise WorkspaceError(f"There is a workspace in {folder} already.", next_step=f"trunkline -w {folder} workspace show")
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)  # of its user and group: it will hold an operator's data
        settings = folder / config.FILE
        if not settings.exists():
            fresh = settings.with_name(f".{config.FILE}.new")
            fresh.unlink(missing_ok=True)
            beside.write(fresh, (config.TEMPLATE + config.line_of_database(config.read(folder, flags=flags))).encode())
            fresh.replace(settings)
        return Workspace(open_store(folder, config.read(folder, flags=flags), clock=clock, create=True))
    except OSError as failed:
        raise WorkspaceError(
            f"The workspace cannot be made: {failed.strerror or failed}.",
            where=str(failed.filename or folder),
            allowed="a folder that this user may write, on a disk with space left",
            next_step="Make room, or name another folder; then repeat it.",
        ) from failed


def open(folder: str | Path, *, clock: Clock = now, flags: Mapping[str, str] | None = None) -> Workspace:  # noqa: A001 - trunkline.open is meant
    """Open the workspace in *folder*."""
    folder = Path(folder)
    return Workspace(open_store(folder, config.read(folder, flags=flags), clock=clock))


def restore(
    source: str | Path,
    folder: str | Path,
    *,
    erased: str | Path | None = None,
    nothing_erased: bool = False,
    by: str = "",
    reason: str,
    flags: Mapping[str, str] | None = None,
    clock: Clock = now,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Restored:
    """Make a workspace in *folder* from the backup *source*, whole and verified or not at all.

    Parameters
    ----------
    erased
        The list of erasures (``trunkline workspace erasures``), or the folder of the workspace as it last was. They are done again.
    nothing_erased
        Say instead that nothing was erased since the backup.
    flags
        Settings, as for :func:`open`; ``database`` says where the rows go.
    """
    if erased is not None and Path(erased).is_dir():
        with open(erased, flags={name: value for name, value in (flags or {}).items() if name != "database"}) as living:
            since: Sequence[erasures.Erasure] | None = living.erasures()
    elif erased is not None:
        since = erasures.read_list(Path(erased))
    else:
        since = () if nothing_erased else None
    return _restore(
        Path(source),
        Path(folder),
        since=since,
        by=by or getpass.getuser(),
        reason=reason,
        flags=flags,
        clock=clock,
        catch_up=load.catch_up,
        dry_run=dry_run,
        progress=progress,
    )


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
        self.access = Access(store)
        self.models = Models(store)

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
            "owner": str(owner.owner_of(self.store) or "nobody"),
            "commands waiting": self._waiting(),
            "troubles": {
                one["loop"]: f"{one['why']} ({one['times']} times since {one['since']:%Y-%m-%d %H:%M} UTC)" for one in troubles.active(self.store.engine)
            },
        }

    def _waiting(self) -> int:
        commands.ready(self.store)
        return len(commands.waiting(self.store))

    def verbs(self) -> dict[str, Callable[..., Any]]:
        """Every verb there is, "noun.verb", with its method; :data:`trunkline.run.hand_over.CHANGING` says which change something.

        >>> import tempfile
        >>> with create(Path(tempfile.mkdtemp()) / "w") as workspace:
        ...     workspace.verbs()["decision.approve"].__doc__
        'Let it happen.'
        """
        found: dict[str, Callable[..., Any]] = {"workspace.show": self.show, "workspace.check": self.check, "workspace.alarms": self.alarms}
        for noun, attribute in NOUNS.items():
            sub = getattr(self, attribute)
            found |= {f"{noun}.{verb}": getattr(sub, verb) for verb in vars(type(sub)) if not verb.startswith("_") and callable(getattr(sub, verb))}
        return found

    def serve(
        self,
        *,
        stop: Event | None = None,
        beside: Sequence[Callable[[Workspace, Event], object]] = (),
        ready: Callable[[], object] | None = None,
    ) -> bool:
        """Own the workspace and work until *stop* is set or the process is asked to end; see :func:`trunkline.run.serve.serve`.

        Parameters
        ----------
        beside
            What runs in threads of this process, such as the HTTP interface: called with this workspace and the event that ends it.
        """
        return serve.serve(self.store, stop=stop, beside=[partial(one, self) for one in beside], ready=ready)

    def backup(self, place: str | Path, *, dry_run: bool = False, progress: Progress | None = None) -> Backup:
        """Copy the workspace as it is at this moment to *place*, a new folder or ``.tar`` file, while others go on writing.

        The signing key is not in it: back it up separately.
        """
        return backup(self.store, Path(place), dry_run=dry_run, progress=progress)

    def erasures(self) -> list[erasures.Erasure]:
        """What was erased, in order: a restore of an older backup asks for it."""
        return erasures.listed(self.store)

    def check(self) -> list[tuple[str, str]]:
        """Is everything that rests what was written? Each finding is (what, what is wrong)."""
        findings = []
        journal = self.store.journal.verify()
        if not journal.ok:
            findings.append(("journal", journal.why))
        else:
            findings += agreement.disagreements(self.store)
        findings += [(f"table {table}", fault) for table, fault in self.store.lake.damage()]
        for row in catalogue.rows(self.store.engine, catalogue.releases):
            try:
                releases.fitted(self.store, row)
            except TrunklineError as broken:
                findings.append((f"model of release {row['id']}", broken.what))
            except (LookupError, TypeError, ValueError):  # its row was changed so far that nothing can be read from it
                findings.append((f"model of release {row['id']}", "its row says nothing of a model that could be read"))
        findings += [(f"erasure {one.id}", "it was cut off: repeat it") for one in erasures.listed(self.store) if not one.done]
        gone = self.store.intake.erased()
        for arrival in self.store.intake.after(0):
            if arrival.sequence in gone:
                continue
            try:
                self.store.blobs.get(arrival.id)
            except TrunklineError as broken:
                findings.append((f"file {arrival.name}", broken.what))
        return findings

    def alarms(self, *, over: bool = False) -> pl.DataFrame:
        """Alarms of the platform itself, the newest first; with *over* also those that are cleared."""
        return watch.alarms_listed(self.store, over=over)

    def metrics(self) -> metrics.Figures:
        """Figures for a monitoring system: name, what it is, its labels, and the value for each set of them."""
        return metrics.metrics(self.store)

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

    @changes("data.load", line="keep", at_once=False)
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

    @changes("data.compact", line="keep", at_once=False)
    def compact(self) -> builtins.list[Compacted]:
        """Put the small files of each table together; what is read stays the same, at every version."""
        return load.compact(self._store)

    @changes("data.erase", line="keep", at_once=False)
    def erase(
        self, table: str = "", *, where: Mapping[str, str] | None = None, arrivals: Sequence[int] = (), by: str = "", reason: str, dry_run: bool = False
    ) -> int:
        """Erase for good: rows of *table* that have each value of *where*, and contents of arrivals; says how many rows.

        See :func:`trunkline.store.erasures.erase`.
        """
        return erasures.erase(self._store, table, where, arrivals=arrivals, by=who(self._store, by), reason=reason, dry_run=dry_run)[1]

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
        """Shipped and deployed workflows: what is live, in shadow and a canary, how far each goes alone, its silence, its next review."""
        return watch.listed(self._store)

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
        found = self._gathered(name, every=every, rename=rename, progress=progress)
        result = large.replayed(
            found,
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
        by: str = "",
        progress: Progress | None = None,
    ) -> Candidate:
        """Train on the data in this workspace, let the gates judge, and keep the candidate with its verdicts."""
        found = self._gathered(name, every=every, rename=rename, contenders=contenders, progress=progress)
        candidate = large.trained(
            found,
            signer=self._store.signer,
            labels=labels,
            contenders=contenders,
            emitted_after=duration(self._store.configuration.settings.delay),
            seed=seed,
            at=self._store.clock(),
            progress=progress,
        )
        candidate = replace(candidate, card={**candidate.card, "notes": list(found.notes), "rename": dict(rename or {})})
        delay = duration(self._store.configuration.settings.delay)
        candidate = origin.recorded(self._store, candidate, found, contenders=contenders, labels=labels, delay=delay)
        releases.keep(self._store, candidate, workflow=shipped.find(name), by=who(self._store, by))
        return candidate

    @changes("workflow.deploy")
    def deploy(
        self, name: str | Path, *, by: str = "", reason: str, release: str | None = None, waiver: str = "", change: str = "", dry_run: bool = False
    ) -> str:
        """One step forward for the newest release (or *release*): candidate, shadow, the steps of a canary, live; says which it is now.

        *change* is the number of the change request, asked for where the workspace has change windows.
        """
        return releases.forward(
            self._store, shipped.find(name), release=release, by=who(self._store, by), reason=reason, waiver=waiver, change=change, dry_run=dry_run
        )

    @changes("workflow.step")
    def step(self, name: str | Path, *, by: str = "", reason: str, waiver: str = "", change: str = "", dry_run: bool = False) -> str:
        """The next step of the canary that runs; says which it is now."""
        workflow = shipped.find(name)
        canary = releases.the_canary(self._store, workflow.name)
        return releases.forward(self._store, workflow, release=canary, by=who(self._store, by), reason=reason, waiver=waiver, change=change, dry_run=dry_run)

    def plan(self, name: str | Path) -> pl.DataFrame:
        """How many cells each step of a canary has and how many days it lasts until its effect would be seen, before it starts."""
        return trial.plan(self._store, shipped.find(name))

    @changes("workflow.approve")
    def approve(self, name: str, *, by: str = "", reason: str, dry_run: bool = False) -> str:
        """Let a release (*name*: its first letters, or its workflow) go live that acts alone; says which. Not by who trained or deploys it."""
        return releases.approve(self._store, name, by=who(self._store, by), reason=reason, dry_run=dry_run)

    @changes("workflow.review")
    def review(self, name: str, *, by: str = "", reason: str, dry_run: bool = False) -> str:
        """Somebody looked at it again; says until when the next one has to."""
        due = watch.review(self._store, shipped.name_of(name), by=who(self._store, by), reason=reason, dry_run=dry_run)
        return "" if due is None else f"{due:%Y-%m-%d}"

    @changes("workflow.restore")
    def restore(self, name: str, *, by: str = "", reason: str, dry_run: bool = False) -> str:
        """Give it back how far it may go alone, after silence, a lost owner or an overdue review is cured; says how far that is."""
        return watch.restore(self._store, shipped.name_of(name), by=who(self._store, by), reason=reason, dry_run=dry_run)

    @changes("workflow.freeze")
    def freeze(self, days: str, *, name: str = "", by: str = "", reason: str, dry_run: bool = False) -> str:
        """Nothing (or nothing of *name*) goes live on these *days*, "2026-12-20/2027-01-06"; says the id of the freeze."""
        return windows.freeze(self._store, name, days, by=who(self._store, by), reason=reason, dry_run=dry_run)

    @changes("workflow.unfreeze")
    def unfreeze(self, freeze: str, *, by: str = "", reason: str, dry_run: bool = False) -> str:
        """End a freeze before its time; the first letters of its id are enough."""
        return windows.unfreeze(self._store, freeze, by=who(self._store, by), reason=reason, dry_run=dry_run)

    @changes("workflow.run", line="decide", at_once=False)
    def run(self, name: str | Path, *, rename: Mapping[str, str] | None = None, progress: Progress | None = None) -> builtins.list[Worked]:
        """Let the live release, and the one in shadow, decide on all that came since the last time."""
        return steps.step(self._store, shipped.find(name), rename=rename, progress=progress)

    def compare(self, name: str | Path) -> ShadowReport:
        """How far the release in shadow agrees with the live one, by region, with how long it took and what it missed."""
        return shadow_report(self._store, shipped.name_of(name))

    @changes("workflow.rollback")
    def rollback(self, name: str | Path, *, by: str = "", reason: str, to: str | None = None, dry_run: bool = False) -> str:
        """Make the release before the live one (or *to*, any that was live) live again, at any time; a canary goes back. Says which it is."""
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

    def reproduce(self, id_: str) -> Reproduced:
        """Make a release again from its record alone, in a process of its own, and say what came out the same; nothing that is live changes."""
        return in_clean_process(self._store, id_)

    def diff(self, old: str, new: str) -> builtins.list[tuple[str, Any, Any]]:
        """What changed between two releases, field by field."""
        return diff(self.release(old), self.release(new))

    def _gathered(self, name: str | Path, *, every: str | None, **asked: Any) -> large.Found:
        return large.gathered(self._store, shipped.find(name), every=None if every is None else duration(every), **asked)


@dataclass(frozen=True, slots=True, repr=False)
class Decisions:
    """The queue."""

    _store: Store

    def list(self, *, state: str | None = "open", workflow: str | None = None, mode: str | None = None, limit: int | None = None) -> list[queue.Recorded]:
        """Decisions, the most confident first; expired ones are closed before anything is shown."""
        hand_over.tend(self._store, queue.expire)
        return queue.listed(self._store, state=state, workflow=workflow, mode=mode, limit=limit)

    def show(self, decision: str, *, exact: bool = False) -> queue.Recorded:
        """One decision with its reasons and the row it was taken on; the first letters of its id are enough.

        *exact* reckons what each feature is worth anew, where the model can (boosted trees); it may take a second.
        """
        found = queue.show(self._store, decision)
        return exactly(self._store, found) if exact else found

    @changes("decision.approve")
    def approve(self, decision: str, *, by: str = "", reason: str, dry_run: bool = False) -> str:
        """Let it happen."""
        return queue.step(self._store, decision, "approve", by=who(self._store, by), reason=reason, dry_run=dry_run)

    @changes("decision.break_glass")
    def break_glass(self, decision: str, *, by: str = "", reason: str, dry_run: bool = False) -> str:
        """Let it happen although a limit held it back: it expired, was rejected, or its workflow only advises. Recorded as that, and counted."""
        return break_glass(self._store, decision, by=who(self._store, by), reason=reason, dry_run=dry_run)

    @changes("decision.reject")
    def reject(self, decision: str, *, by: str = "", reason: str, dry_run: bool = False) -> str:
        """Do not let it happen."""
        return queue.step(self._store, decision, "reject", by=who(self._store, by), reason=reason, dry_run=dry_run)

    @changes("decision.undo")
    def undo(self, decision: str, *, by: str = "", reason: str, dry_run: bool = False) -> str:
        """Take an approval or rejection back."""
        return queue.step(self._store, decision, "undo", by=who(self._store, by), reason=reason, dry_run=dry_run)

    @changes("decision.outcome")
    def outcome(self, decision: str, verdict: str, *, by: str = "", note: str = "", dry_run: bool = False) -> Outcome:
        """Say how it turned out: confirmed, wrong or unknown."""
        return queue.outcome(self._store, decision, verdict, by=who(self._store, by), note=note, dry_run=dry_run)

    @changes("decision.deliver", line="keep", at_once=False)
    def deliver(self, *, dry_run: bool = False) -> builtins.list[Delivery]:
        """Deliver now what decisions want to happen outside and whose time for a try has come; a service does it by itself."""
        return deliver(self._store, dry_run=dry_run)

    @changes("decision.resend")
    def resend(self, decision: str, *, by: str = "", reason: str, dry_run: bool = False) -> int:
        """Let the dead letters of a decision be tried again; says how many there are."""
        return again(self._store, self.show(decision).id, by=who(self._store, by), reason=reason, dry_run=dry_run)

    def labels(self, workflow: str | None = None) -> pl.DataFrame:
        """Decisions with a verdict as labelled rows, weighted by the chance they had of being shown."""
        return queue.labels(self._store, workflow)


@dataclass(frozen=True, slots=True, repr=False)
class Audit:
    """The journal."""

    _store: Store

    def size(self) -> int:
        """How many entries there are."""
        return self._store.journal.size

    def verify(self, *, witness: str | Path | None = None) -> Verification:
        """Check every entry and signature, and compare with *witness*, a file, or the configured one; names the first bad entry."""
        return self._store.journal.verify(None if witness is None else read_witness(witness))

    def witness(self, *, again: bool = False, dry_run: bool = False) -> Witness:
        """Give the configured witness the checkpoints that it was not given yet, with *again* all; tells what it has been given."""
        return self._store.journal.witness() if dry_run else self._store.journal.send_witness(again=again)

    def prove(self, entry: int, *, size: int | None = None) -> dict[str, Any]:
        """The proof that *entry* is in the journal, for a stranger to check with :func:`~trunkline.store.proof.check`."""
        return prove_entry(self._store.journal, entry, size)

    def prove_since(self, size: int) -> dict[str, Any]:
        """The proof that the journal of *size* entries is the beginning of this one."""
        return prove_since(self._store.journal, size)

    def list(self, *, kind: str | None = None, since: int = 0, limit: int | None = None) -> list[Entry]:
        """Entries in order."""
        return list(self._store.journal.entries(kind, since, limit))

    def export(self, folder: str | Path) -> Path:
        """Entries, checkpoints and public key for an auditor, who can check them alone."""
        return self._store.journal.export(folder)


@dataclass(frozen=True, slots=True, repr=False)
class Access:
    """Keys by which people and systems are known over the network.

    Making one is never handed over: the answer of a command rests in the database, and a key must not.
    """

    _store: Store

    def list(self) -> list[access.ApiKey]:
        """Every key that was made, the newest first; never the keys themselves."""
        return access.listed(self._store)

    def new(self, name: str, roles: Sequence[str], *, lasts: str = "52w", by: str = "", dry_run: bool = False) -> str:
        """Make a key for a person or system; it is shown this once."""
        return access.new(self._store, name, tuple(roles), lasts=lasts, by=who(self._store, by), dry_run=dry_run)

    @changes("access.revoke")
    def revoke(self, id_: str, *, by: str = "", reason: str, dry_run: bool = False) -> str:
        """Make a key useless from now on; says whose it was."""
        return access.revoke(self._store, id_, by=by, reason=reason, dry_run=dry_run)

    def principal(self, key: str) -> Principal:
        """Who a key belongs to, and what they may do."""
        return access.principal(self._store, key)

    def holds(self, principal: Principal) -> bool:
        """Whether the key that *principal* came with is still good."""
        return access.holds(self._store, principal)


@dataclass(frozen=True, slots=True, repr=False)
class Models:
    """Trained models on their way out; none of :data:`NOUNS`, because it writes files on this machine only."""

    _store: Store

    def export(
        self, release: str, *, to: str | Path, int8: bool = False, bound: float | None = None, by: str = "", reason: str = "", dry_run: bool = False
    ) -> ExportedRelease:
        """Write the model of a release (the first letters of its id are enough) to an ONNX file, proven on the rows of this workspace.

        With *int8* the weights of an autoencoder have eight bits and scores may be off by *bound*. Everything else is exact to 1e-5.
        """
        return export(self._store, release, to=Path(to), int8=int8, bound=bound, by=who(self._store, by), reason=reason, dry_run=dry_run)
