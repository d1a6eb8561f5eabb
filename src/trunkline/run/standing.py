"""How every release stands, told by the signed journal alone: what a row of the catalogue says counts only where it says the same.

    release.trained ─► gates.verdict ─► release.deploy … ─► release.rollback
                                   approval.given ┘ by another person

Books are kept from the entries, each checked once (see :mod:`trunkline.store.followed`), and asked again at every step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection

from trunkline.core.canonical import content_hash, plain
from trunkline.core.errors import TrunklineError
from trunkline.rollout.windows import Freeze
from trunkline.store import catalogue
from trunkline.store.alarms import Alarms
from trunkline.store.entry import Entry
from trunkline.store.followed import Followed
from trunkline.store.journal import Journal
from trunkline.store.opened import Store
from trunkline.workflow import Release

KINDS = (
    "release.trained",
    "gates.verdict",
    "release.deploy",
    "release.rollback",
    "approval.given",
    "workflow.review",
    "freeze.begun",
    "freeze.ended",
    "autonomy.taken",
    "autonomy.given",
)


@dataclass(frozen=True, slots=True)
class Approval:
    """Somebody let a release go live."""

    by: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One release: what it is, what its gates said, and how far it came."""

    release: str
    body: Mapping[str, Any]
    """The release, field by field."""
    trained_at: datetime
    trained_by: str = ""
    file: str = ""
    """Blob of the signed model file; empty in journals of before."""
    card: str = ""
    """Hash of what training recorded."""
    definition: str = ""
    """Blob of the files that define the workflow; empty where it ships with Trunkline."""
    terms: Mapping[str, Any] = field(default_factory=dict)
    """What the workflow asks of those who run it: owner, review, grid."""
    result: str | None = None
    """The joint verdict as it was written down."""
    judged: tuple[Mapping[str, Any], ...] = ()
    state: str = "candidate"
    since: datetime
    began: datetime | None = None
    """When its first canary step began."""
    step: int | None = None
    share: float | None = None
    days: int | None = None
    """How long this canary step has to last; None where no length would do."""
    waiver: str | None = None
    was_live: bool = False
    approvals: tuple[Approval, ...] = ()
    moved_by: tuple[str, ...] = ()
    """Everybody who moved it forward."""

    @property
    def workflow(self) -> str:
        """Of which workflow."""
        return str(self.body["workflow"])

    @property
    def control(self) -> str:
        """How far it may go alone, as it was when trained."""
        return str(self.body["policy"].get("control", "approve"))

    @property
    def verdict(self) -> str | None:
        """The joint verdict, made again from what each gate said: a gate that was not asked, or said otherwise, is no pass."""
        if self.result is None:
            return None
        said = {str(one.get("result")) for one in self.judged}
        anew = "fail" if "fail" in said else "pass" if said == {"pass"} else "cannot tell"
        asked = len(self.body["policy"].get("gates", ()))
        return "fail" if anew != self.result or len(self.judged) != asked else anew

    def approved_by(self, *, deployer: str = "") -> Approval | None:
        """The first approval by somebody who neither trained nor moves it."""
        own = {self.trained_by, *self.moved_by, deployer}
        return next((one for one in self.approvals if one.by not in own), None)


@dataclass(slots=True)
class Books:
    """Everything the journal tells of releases."""

    releases: dict[str, Standing] = field(default_factory=dict)
    reviews: dict[str, Approval] = field(default_factory=dict)
    freezes: dict[str, Freeze] = field(default_factory=dict)
    taken: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Workflow -> why it may not go as far as it declares."""
    last_at: datetime | None = None

    def copy(self) -> Books:
        """The same, to go on from on its own."""
        return Books(dict(self.releases), dict(self.reviews), dict(self.freezes), dict(self.taken), self.last_at)

    def take(self, entry: Entry) -> None:
        """Take one entry in."""
        body, self.last_at = entry.body, entry.at
        if entry.kind == "release.trained":
            fields = {name: body.get(name) for name in Release.__slots__}
            self.releases.setdefault(body["release"], Standing(release=body["release"], body=fields, trained_at=entry.at, since=entry.at))
        elif entry.kind == "gates.verdict":
            self._judged(body)
        elif entry.kind in {"release.deploy", "release.rollback"}:
            self._moved(body, entry.at, forward=entry.kind == "release.deploy")
        elif entry.kind == "approval.given":
            self._approved(body, entry.at)
        elif entry.kind == "workflow.review":
            self.reviews[body["workflow"]] = Approval(body["by"], entry.at, body["reason"])
        elif entry.kind == "freeze.begun":
            self.freezes[body["freeze"]] = Freeze.read(body["days"], workflow=body["workflow"])
        elif entry.kind == "freeze.ended":
            self.freezes.pop(body["freeze"], None)
        elif entry.kind == "autonomy.taken":
            self.taken[body["workflow"]] = tuple(body["why"])
        elif entry.kind == "autonomy.given":
            self.taken.pop(body["workflow"], None)

    def of(self, workflow: str, *states: str) -> list[Standing]:
        """Releases of *workflow* in one of *states* (in any, without), those that moved last first."""
        mine = [one for one in self.releases.values() if one.workflow == workflow and (not states or one.state in states)]
        return sorted(mine, key=lambda one: one.since, reverse=True)

    def _judged(self, body: Mapping[str, Any]) -> None:
        one = self.releases.get(body["release"])
        if one is not None and one.result is None:  # of the first training: what is kept is not judged again
            told = {
                "trained_by": body.get("by", ""),
                "file": body.get("file", ""),
                "definition": body.get("definition", ""),
                "card": body.get("card", ""),
                "terms": body.get("terms", {}),
            }
            self.releases[one.release] = replace(one, result=body["result"], judged=tuple(body["gates"]), **told)

    def _moved(self, body: Mapping[str, Any], at: datetime, *, forward: bool) -> None:
        one = self.releases.get(body["release"])
        if one is None:
            return
        to = body["to"]
        if to == "live":
            for other in self.of(one.workflow, "live"):
                self.releases[other.release] = replace(other, state="retired", since=at)
        is_canary = to == "canary"
        self.releases[one.release] = replace(
            one,
            state=to,
            since=at,
            began=(one.began or at) if is_canary else one.began,
            step=body.get("step") if is_canary else None,
            share=body.get("share") if is_canary else None,
            days=body.get("days") if is_canary else None,
            waiver=body.get("waiver") or one.waiver,
            was_live=one.was_live or to == "live",
            moved_by=(*one.moved_by, body["by"]) if forward else one.moved_by,
        )

    def _approved(self, body: Mapping[str, Any], at: datetime) -> None:
        one = self.releases.get(body["release"])
        if one is not None and body["hash"] == one.body["hash"] and body["model"] == one.body["model"]:
            self.releases[one.release] = replace(one, approvals=(*one.approvals, Approval(body["by"], at, body["reason"])))


_followed: WeakKeyDictionary[Journal, Followed[Books]] = WeakKeyDictionary()


def books(store: Store, connection: Connection | None = None) -> Books:
    """The books as of now, or as of a transaction.

    Raises
    ------
    Tampered
        The journal does not hold what was signed.
    """
    if store.journal not in _followed:
        _followed[store.journal] = Followed(store.engine, store.signer, KINDS, Books, name="releases")
    return _followed[store.journal].books(connection)


def faults(store: Store, one: Standing, row: Mapping[str, Any] | None) -> Iterator[str]:
    """Why a release may not answer: how its row, its model file and its proofs differ from what the journal tells."""
    if row is None:
        yield "its row is gone from the catalogue"
        return
    told = {"workflow": one.workflow, "state": one.state, "verdict": one.result, "waiver": one.waiver, "body": plain(one.body)}
    given = {name: row[name] for name in told}
    yield from (f"its {name} in the catalogue is not what the journal says" for name in told if given[name] != told[name])
    if content_hash(one.body)[:16] != one.release:
        yield "its fields are not those its id was made of"
    if one.card and content_hash(row["card"]) != one.card:
        yield "what training recorded of it was changed"
    is_waived = one.verdict == "cannot tell" and one.waiver and one.control != "auto"
    if one.state != "candidate" and one.verdict != "pass" and not is_waived:
        yield f"its gates did not let it through: {one.verdict}"
    if one.file and row["model"] != one.file:
        yield "its model file is another than the one its gates judged"
    elif not _is_whole(store, row["model"]):
        yield "its model file was changed or is gone"
    if one.control == "auto" and one.state in {"canary", "live"} and one.approved_by() is None:
        yield "it acts alone and nobody else approved it"


_hashed: dict[tuple[Path, int, int, int], bool] = {}
"""Files that were hashed, by path, size, time and number: hashed again when one of them differs."""


def _is_whole(store: Store, blob: str) -> bool:
    try:
        path = store.blobs.path(blob)
        told = path.stat()
        key = (path, told.st_size, told.st_mtime_ns, told.st_ino)
        if key not in _hashed:
            store.blobs.get(blob)
            _hashed[key] = True
    except (OSError, TrunklineError):
        return False
    return True


def alarms(store: Store) -> Alarms:
    """The platform alarms of a workspace."""
    return Alarms(store.engine, store.journal, store.clock)


def rows(store: Store, workflow: str) -> dict[str, Mapping[str, Any]]:
    """Rows of the catalogue, by release."""
    return {row["id"]: row for row in catalogue.rows(store.engine, catalogue.releases, catalogue.releases.c.workflow == workflow)}


def overdue(one: Standing, review: Approval | None, at: datetime, every: timedelta) -> bool:
    """Whether somebody should have looked at it again."""
    return at > (review.at if review else one.since) + every
