"""A deployed workflow at work: its features and decide states stay resident, and each step decides what is new.

Every batch is one transaction: decisions, receipts, intents, counts, decide states, position and heartbeat. Killed at
any moment, it goes on after the last batch that was committed and says what it would have said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

import polars as pl

from trunkline.core.errors import TrunklineError
from trunkline.core.values import Control
from trunkline.run import resident
from trunkline.run.books import Books
from trunkline.run.deciding import Finding
from trunkline.run.deployed import Deployed, Post, deployed, lane, model
from trunkline.run.lane import Lane, LaneMode
from trunkline.run.serving import Serving
from trunkline.run.shadow import DEADLINE_S, Batch, Beside, Judged
from trunkline.store import heartbeats, positions
from trunkline.store.database import transaction
from trunkline.store.opened import Store
from trunkline.workflow import Workflow

Progress = Callable[[str, float], None]
STEP = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """What one release decided on what was new."""

    release: str
    mode: LaneMode
    since: datetime
    until: datetime
    rows: int
    findings: tuple[Finding, ...]
    counts: Mapping[str, int]
    missed: int = 0
    """Rows a shadow failed on."""
    why_not: str = ""
    """Why it could not judge, where it could not."""

    def __str__(self) -> str:
        said = f"{len(self.findings)} item{'s' * (len(self.findings) != 1)}"
        told = f"{self.mode} release {self.release}: {self.rows:,} rows from {self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC, {said}"
        return f"{told}{f'; {self.missed:,} rows missed' if self.missed else ''}{f'; {self.why_not}' if self.why_not else ''}"


@dataclass(slots=True)
class _Sum:
    """What one lane did in one step."""

    release: str
    mode: LaneMode
    since: datetime
    until: datetime
    rows: int = 0
    missed: int = 0
    why_not: str = ""
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def worked(self) -> Worked:
        told = {name: getattr(self, name) for name in ("release", "mode", "since", "until", "rows", "missed", "why_not")}
        return Worked(**told, findings=tuple(self.findings), counts=self.counts)


class AtWork:
    """One workflow at work; made by :meth:`open`, one at a time for a workspace.

    Parameters
    ----------
    snapshot_every, snapshot_rows
        A snapshot of the features is taken when so much time or so many rows have gone by since the last.
    shadow_deadline_s
        How long a shadow may take for one batch.

    Examples
    --------
    ``with AtWork.open(store, workflow) as at_work: at_work.step()``
    """

    def __init__(
        self,
        store: Store,
        workflow: Workflow,
        *,
        rename: Mapping[str, str] | None = None,
        snapshot_every: timedelta = timedelta(minutes=10),
        snapshot_rows: int = 500_000,
        shadow_deadline_s: float = DEADLINE_S,
    ) -> None:
        self.store, self.workflow = store, workflow
        self._rename, self._deadline_s = dict(rename or {}), shadow_deadline_s
        self._snapshot_every, self._snapshot_rows = snapshot_every, snapshot_rows
        self._books = Books(store, workflow)
        self._known: dict[str, Workflow] = {}
        self._control: Control = "advise"
        self._residents: dict[str, resident.Resident] = {}
        self._roster: Deployed | None = None
        self._serving: Serving | None = None
        self._beside: Beside | None = None
        self._through: dict[positions.Side, datetime] = {}
        self._offered = store.clock()  # up to when the shadow was given rows
        self._sums: dict[str, _Sum] = {}
        self._saved_at, self._rows_since = store.clock(), 0

    @classmethod
    def open(cls, store: Store, workflow: Workflow, **how: Any) -> Self:
        """Take up work where the last step of any process left it.

        Raises
        ------
        NotAllowed
            Nothing is deployed, or what is was trained for another definition of the workflow.
        """
        at_work = cls(store, workflow, **how)
        at_work._ready()
        return at_work

    def step(self, *, progress: Progress | None = None) -> list[Worked]:
        """Decide every slot completed since the last step: live decisions go into the queue, those of a shadow only into the books.

        The shadow is never waited for: what it says is booked by a later step, or by :meth:`drain`.
        """
        at = self.store.clock()
        try:
            self._ready()
            self._book(self._beside.take() if self._beside else [])
            self._take_in()
            until, since = self._until(at), self._at
            for to in _instants(since, until):
                self._batch(to)
                if progress:
                    progress(f"{self.workflow.name}: deciding", (to - since) / max(until - since, timedelta(seconds=1)))
            self._stand_at(until)
        except BaseException as failed:
            self._let_go()  # what is in memory may be ahead of what was committed
            if isinstance(failed, Exception):
                self._count(failed)
            raise
        heartbeats.beat(self.store.engine, self.workflow.name, step_at=at)
        self._save_when_due()
        return self._told()

    def drain(self) -> list[Worked]:
        """Wait for the shadow, and book what it says; no longer than its time limit."""
        if self._beside is not None:
            self._book(self._beside.wait())
        return [one for one in self._told() if one.mode == "shadow"]

    def close(self) -> None:
        """Book what is ready, keep the features, and let go."""
        if self._beside is not None:
            self._book(self._beside.take())
        if self._rows_since and self._is_settled():
            self._save()
        self._let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_from_snapshot(self) -> bool:
        """Whether the features came from a snapshot rather than from reading everything."""
        return bool(self._residents) and all(one.is_from_snapshot for one in self._residents.values())

    # --- who decides ------------------------------------------------------------------------------

    def _ready(self) -> None:
        """Be set up for what is deployed now; a release that was swapped brings model, features, level and decide state together."""
        roster = deployed(self.store, self.workflow, self._known)
        self._control = roster.control
        if self._roster is not None and roster.key == self._roster.key:
            self._try_models_again(roster)
            return
        kept = self._beside is not None and self._roster is not None and _id(roster.shadow) == _id(self._roster.shadow)
        if not kept:
            self._stop_shadow()
        self._through = {side: at for side, at in self._through.items() if kept and side == "shadow"}
        self._serving = self._serve(roster)
        if roster.live is not None:
            self._through["serving"] = self._where("serving", roster.live.release) or roster.live.begins
        shadow = self._beside.lane if self._beside is not None else self._lane_in_shadow(roster)
        if shadow is not None and roster.shadow is not None and not kept:
            begins = max(self._through.get("serving", roster.shadow.begins), roster.shadow.begins)
            self._through["shadow"] = self._offered = self._where("shadow", shadow.release) or begins
            with transaction(self.store.engine) as connection:
                positions.begin(connection, self.workflow.name, "shadow", at=self._offered, release=shadow.release)
        self._open_residents(self._serving.lanes if self._serving else [], shadow)
        if shadow is not None and roster.shadow is not None and self._beside is None and shadow.workflow.hash in self._residents:
            self._beside = self._stand_beside(shadow, roster.shadow)
        for id_, why in roster.refused.items():
            self._books.shadow_failed(id_, why)
        self._roster = roster
        self._sums = {one.mode: self._sum_of(one) for one in [*(self._serving.lanes if self._serving else []), *([self._beside.lane] if self._beside else [])]}

    def _sum_of(self, one: Lane) -> _Sum:
        at = self._through["shadow" if one.mode == "shadow" else "serving"]
        return _Sum(one.release, one.mode, at, at)

    def _open_residents(self, serving: list[Lane], shadow: Lane | None) -> None:
        """The features of each definition that is at work, all at one instant; those that stand there already stay."""
        at = min(self._through.values())
        lanes = [*serving, *([shadow] if shadow else [])]
        wanted = {one.workflow.hash: one.workflow for one in lanes}
        reach = {hash_: max(one.lookback for one in lanes if one.workflow.hash == hash_) for hash_ in wanted}
        stays = {h: one for h, one in self._residents.items() if h in wanted and one.lookback >= reach[h] and one.at == at}
        self._residents = {}
        for hash_, workflow in wanted.items():
            is_serving = any(one.workflow.hash == hash_ for one in serving)
            try:
                self._residents[hash_] = stays.get(hash_) or resident.opened(self.store, workflow, at=at, lookback=reach[hash_], rename=self._rename)
            except Exception as failed:
                if is_serving or not serving:
                    raise
                assert shadow is not None
                self._books.shadow_failed(shadow.release, _told(failed))
                self._through.pop("shadow")

    def _serve(self, roster: Deployed) -> Serving | None:
        """The live release, and the canary, with the memory of those that served before them."""
        if roster.live is None:
            return None
        live = lane(self.store, roster.live, "live")
        canary = None if roster.canary is None else lane(self.store, roster.canary, "canary")
        before = positions.position(self.store.engine, self.workflow.name, "serving")
        live.recall(positions.remembered(self.store.engine, live.release if before is None else before.release, "live"))
        serving = Serving(live=live, canary=canary, share=roster.share, salt=roster.salt)
        earlier = None if before is None else before.body.get("canary")
        if earlier:
            left = Lane(workflow=live.workflow, release=earlier, mode="canary", level=1.0, fitted=None)
            left.recall(positions.remembered(self.store.engine, earlier, "canary"))
            for entity in left.remembered:
                left.give(entity, serving.lane_of(entity))
        serving.hand_over()
        return serving

    def _lane_in_shadow(self, roster: Deployed) -> Lane | None:
        if roster.shadow is None:
            return None
        shadow = lane(self.store, roster.shadow, "shadow")
        shadow.recall(positions.remembered(self.store.engine, shadow.release, "shadow"))
        return shadow

    def _stand_beside(self, shadow: Lane, post: Post) -> Beside:
        try:
            content = self.store.blobs.get(post.row["model"])
        except TrunklineError:
            content = b""  # the lane says why it has no model
        return Beside(shadow, model=content, key=self.store.signer.public_pem, deadline_s=self._deadline_s)

    def _where(self, side: positions.Side, release: str) -> datetime | None:
        """Up to when this side has decided; for a shadow only if it was the same release."""
        found = positions.position(self.store.engine, self.workflow.name, side)
        if found is not None and (side == "serving" or found.release == release):
            return found.through
        told = positions.remembered(self.store.engine, release, "live" if side == "serving" else "shadow")
        return None if told is None or "through" not in told else datetime.fromisoformat(told["through"])

    def _try_models_again(self, roster: Deployed) -> None:
        for one in self._serving.lanes if self._serving else []:
            post = roster.live if one.mode == "live" else roster.canary
            if one.fitted is None and post is not None and not post.why_not:
                one.fitted, why_not = model(self.store, post)
                one.why_not = why_not or one.why_not

    # --- one batch --------------------------------------------------------------------------------

    @property
    def _at(self) -> datetime:
        return next(iter(self._residents.values())).at

    def _take_in(self) -> None:
        for hash_, one in list(self._residents.items()):
            with self._unless_only_shadow(hash_):
                late = one.take_in()
                if self._serving is None or hash_ == self._serving.live.workflow.hash:
                    self._books.late(late)

    def _until(self, clock: datetime) -> datetime:
        """How far facts reach: nothing is called missing before others of its time have come."""
        reached = [min(one.newest + one.features.delay, clock) for one in self._residents.values() if one.newest is not None]
        return max(self._at, min(reached, default=self._at))

    def _batch(self, to: datetime) -> None:
        rows: dict[str, pl.DataFrame] = {}
        for hash_, one in list(self._residents.items()):
            with self._unless_only_shadow(hash_):
                together = one.rows(to)
                if together is not None:
                    rows[hash_] = together
        said = self._decide(rows, to)
        if self._beside is not None and to > self._through["shadow"] and (hash_ := self._beside.lane.workflow.hash) in rows:
            fresh = rows[hash_]["known_at"] > self._through["shadow"]
            if fresh.any():
                live = "" if self._serving is None else self._serving.live.release
                self._beside.offer(Batch(since=self._offered, through=to, together=rows[hash_], fresh=fresh, live=live, live_said=said))
                self._through["shadow"] = self._offered = to
                self._rows_since += int(fresh.sum()) if self._serving is None else 0

    def _decide(self, rows: Mapping[str, pl.DataFrame], to: datetime) -> frozenset[tuple[str, datetime]]:
        """Let those that serve decide, and commit it; about what they spoke."""
        if self._serving is None or to <= (since := self._through["serving"]):
            return frozenset()
        parts = [part for part in self._serving.judge(rows, since) if part.newest is not None]
        if not parts:
            return frozenset()
        self._books.serving(self._serving, parts, since=since, through=to, control=self._control)
        self._through["serving"] = to
        for part in parts:
            total = self._sums[part.lane.mode]
            count = int(part.fresh.sum())
            total.rows, self._rows_since = total.rows + count, self._rows_since + count
            total.findings += part.done.findings
            total.counts += part.done.counts
            total.until, total.why_not = to, part.lane.why_not
        return frozenset(one for part in parts for one in part.done.said)

    @contextmanager
    def _unless_only_shadow(self, hash_: str) -> Iterator[None]:
        """Features that only the shadow looks at may fail: then it is put aside, and the live release goes on."""
        try:
            yield
        except Exception as failed:
            if self._serving is None or any(one.workflow.hash == hash_ for one in self._serving.lanes):
                raise
            if self._beside is not None:
                self._books.shadow_failed(self._beside.lane.release, _told(failed))
            self._stop_shadow()
            self._residents.pop(hash_)

    def _book(self, results: list[Judged]) -> None:
        """Record what the shadow said, or that it failed."""
        for one in results:
            assert self._beside is not None
            lane_, total = self._beside.lane, self._sums["shadow"]
            findings = self._books.shadow(lane_, one, elements=self._residents[lane_.workflow.hash].elements)
            total.until, total.why_not = one.batch.through, one.why_not
            if one.answer is None:
                total.missed += int(one.batch.fresh.sum())
            else:
                total.rows += int(one.batch.fresh.sum())
                total.findings += findings
                total.counts += Counter(one.answer.counts)

    def _stand_at(self, until: datetime) -> None:
        """Move the position on to where nothing more was due, so that the next step begins there."""
        if self._serving is not None and until > self._through["serving"]:
            self._books.stand(self._serving, since=self._through["serving"], through=until)
            self._through["serving"] = until
        if "shadow" in self._through:
            self._through["shadow"] = max(self._through["shadow"], until)  # nothing more was due; what it was offered ends earlier
        for total in self._sums.values():
            if total.mode != "shadow":
                total.until = max(total.until, until)

    def _told(self) -> list[Worked]:
        told = [one.worked() for one in self._sums.values()]
        self._sums = {name: _Sum(one.release, one.mode, one.until, one.until) for name, one in self._sums.items()}
        return told

    # --- keeping ----------------------------------------------------------------------------------

    def _is_settled(self) -> bool:
        """Whether everything that went out is decided and booked: only then a snapshot fits every side."""
        return bool(self._residents) and (self._beside is None or self._beside.is_idle)

    def _save_when_due(self) -> None:
        waited = self.store.clock() - self._saved_at
        if self._is_settled() and self._rows_since and (self._rows_since >= self._snapshot_rows or waited >= self._snapshot_every):
            self._save()

    def _save(self) -> None:
        assert self._roster is not None
        posts = {"live": self._roster.live, "canary": self._roster.canary, "shadow": self._roster.shadow}
        for one in self._residents.values():
            one.save(releases={mode: post.release for mode, post in posts.items() if post is not None})
        self._saved_at, self._rows_since = self.store.clock(), 0

    def _count(self, failed: Exception) -> None:
        """A failed step leaves a sign, if the store can still be written."""
        try:
            heartbeats.beat(self.store.engine, self.workflow.name, error=_told(failed))
        except TrunklineError as unwritten:
            failed.add_note(f"The heartbeat could not be written: {unwritten.what}")

    def _stop_shadow(self) -> None:
        if self._beside is not None:
            self._book(self._beside.take())
            self._beside.close()
            self._beside = None

    def _let_go(self) -> None:
        if self._beside is not None:
            self._beside.close()
        self._roster = self._serving = self._beside = None
        self._residents, self._through = {}, {}


def _id(post: Post | None) -> object:
    return None if post is None else post.release


def _told(failed: Exception) -> str:
    return str(failed).splitlines()[0] if str(failed) else type(failed).__name__


def _instants(since: datetime, until: datetime) -> Iterator[datetime]:
    """The full hours after *since*, and *until*: batches are cut the same however often a run is cut off."""
    at = since
    while at < until:
        at = min(at.replace(minute=0, second=0, microsecond=0) + STEP, until)
        yield at
