"""What is looked at every minute: stop rules of canaries, silence, owners who left, reviews that are due.

It only ever takes away: a canary that is worse goes back, a workflow that is silent or has no owner goes less far alone. To
go forward stays with people; that a step is over is said, not done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import polars as pl

from trunkline.core import log
from trunkline.core.clock import duration
from trunkline.core.errors import NotAllowed, TrunklineError
from trunkline.core.frames import TIME
from trunkline.govern.roster import FILE, Roster
from trunkline.run import definitions, releases, trial
from trunkline.run.canary import lessened
from trunkline.run.standing import Books, Standing, alarms, books
from trunkline.store.database import transaction
from trunkline.store.heartbeats import heartbeat
from trunkline.store.opened import Store

_log = log.logger("watch")
GRACE = timedelta(hours=24)
"""How long a workflow may be without its owner."""
MISSED = 3
"""So many slots without a row are silence."""
AGAIN = timedelta(hours=1)
"""The same look is taken again after this, for data that came late."""
WATCHED = ("silence", "owner-left", "review-overdue")


@dataclass(frozen=True, slots=True, kw_only=True)
class Amiss:
    """One thing that is wrong with a workflow, since when, and whether it already costs autonomy."""

    kind: str
    text: str
    costs: bool


def watch(store: Store) -> list[str]:
    """Look at every deployed workflow once; says in words what was done. One that fails does not keep the others from being looked at."""
    done: list[str] = []
    told = books(store)
    roster = Roster.read(store.folder / FILE)
    for workflow in sorted({one.workflow for one in told.releases.values() if one.state in {"shadow", "canary", "live"}}):
        failed = []
        for look in (partial(_canary, store, told, workflow), partial(_autonomy, store, told, workflow, roster)):
            try:  # a stop rule that cannot be asked does not hide that the owner left
                done += look()
            except TrunklineError as broken:
                failed.append(broken.what)
        if failed:
            _log.warning("'%s' could not be watched: %s", workflow, failed[0])
            alarms(store).raise_("watch-failed", about=workflow, text=failed[0])
        else:
            alarms(store).clear("watch-failed", about=workflow)
    return done


def _canary(store: Store, told: Books, workflow: str) -> Iterator[str]:
    """Stop what is worse; say when a step is over."""
    for one in told.of(workflow, "canary")[:1]:
        defined = definitions.definition(store, one)
        due, now = trial.due(defined, one, store.clock()), store.clock()
        last = _asked.get((store.folder, one.release))
        if due is None or (last is not None and last[0] == due and now - last[1] < AGAIN):
            continue
        _asked[store.folder, one.release] = (due, now)
        found = trial.look(store, defined, one)
        if found is None:
            continue
        if found.result == "worse" and releases.stop(store, one, why=found.says):
            yield f"{workflow}: the canary went back. {found.says}"
        elif found.result == "not worse":
            text = f"This step of release {one.release} is over. {found.says} Next: trunkline workflow step {one_called(one)}"
            if alarms(store).raise_("next-step", about=workflow, text=text):
                yield f"{workflow}: {text}"


_asked: dict[tuple[Path, str], tuple[timedelta, datetime]] = {}
"""Which look at a canary was taken last, and when: it reads weeks of data."""


def one_called(one: Standing) -> str:
    """What commands call the workflow of a release."""
    return str(one.terms.get("called") or one.workflow)


def _autonomy(store: Store, told: Books, workflow: str, roster: Roster | None) -> Iterator[str]:
    """Raise and clear what is amiss; take autonomy where it costs that. A person gives it back."""
    found = {one.kind: one for one in amiss(store, told, workflow, roster)}
    for kind in WATCHED:
        if kind in found:
            if alarms(store).raise_(kind, about=workflow, text=found[kind].text):
                yield f"{workflow}: {found[kind].text}"
        else:
            alarms(store).clear(kind, about=workflow)
    costs = [one.text for one in found.values() if one.costs]
    if costs and workflow not in told.taken:
        with transaction(store.engine) as connection:
            if workflow not in books(store, connection).taken:
                store.journal.append("autonomy.taken", {"workflow": workflow, "why": costs}, connection)
                alarms(store).raise_("autonomy-taken", about=workflow, text=f"'{workflow}' goes less far alone: {costs[0]}", connection=connection)
        yield f"{workflow}: autonomy taken: {costs[0]}"


def amiss(store: Store, told: Books, workflow: str, roster: Roster | None) -> Iterator[Amiss]:
    """What is wrong with a workflow that serves."""
    serves = told.of(workflow, "live", "canary")
    if not serves:
        return
    one, now = serves[0], store.clock()
    quiet = silence(store, one, now)
    if quiet is not None and quiet > expected(one):
        yield Amiss(kind="silence", text=f"Nothing to decide on for {_long(quiet)}; it should be {_long(expected(one))} at most.", costs=True)
    for name in dict.fromkeys(str(one.terms[key]) for key in ("team", "oncall") if roster is not None and key in one.terms):
        assert roster is not None
        gone = roster.gone(name)
        if gone is None:
            continue
        since = gone if isinstance(gone, datetime) else _raised_at(store, workflow) or now
        if since <= now:
            yield Amiss(kind="owner-left", text=f"Nobody answers for it: '{name}' left, or is not in the roster.", costs=now - since >= GRACE)
            break
    due = next_review(told, workflow)
    if due is not None and now > due:
        yield Amiss(kind="review-overdue", text=f"It was to be reviewed until {due:%Y-%m-%d %H:%M} UTC.", costs=True)


def _raised_at(store: Store, workflow: str) -> datetime | None:
    return next((row["raised_at"] for row in alarms(store).active(workflow) if row["kind"] == "owner-left"), None)


def silence(store: Store, one: Standing, now: datetime) -> timedelta | None:
    """How long a release that serves has seen no row; None where it does not serve."""
    if one.state not in {"live", "canary"}:
        return None
    beat = heartbeat(store.engine, one.workflow)
    seen = beat.last_row_at or releases.through(store, one, "serving")
    return now - max(seen or one.since, one.since)


def expected(one: Standing) -> timedelta:
    """How long without a row is no silence yet."""
    every, delay = (duration(str(one.terms.get(key, default))) for key, default in (("every", "1h"), ("delay", "10m")))
    return MISSED * every + delay


def next_review(told: Books, workflow: str) -> datetime | None:
    """Until when somebody has to look at a workflow again; None where none serves, or nothing was kept of it."""
    serves = told.of(workflow, "live", "canary")
    if not serves or "review_every" not in serves[0].terms:
        return None
    first = min(one.since for one in told.of(workflow) if one.was_live or one.state in {"live", "canary"})
    last = told.reviews.get(workflow)
    return (last.at if last else first) + duration(str(serves[0].terms["review_every"]))


def review(store: Store, workflow: str, *, by: str, reason: str, dry_run: bool = False) -> datetime | None:
    """Somebody looked at a workflow; says until when it has to be looked at again."""
    _known(store, workflow, by=by, reason=reason)
    if not dry_run:
        store.journal.append("workflow.review", {"workflow": workflow, "by": by, "reason": reason})
        alarms(store).clear("review-overdue", about=workflow)
    return next_review(books(store), workflow)


def restore(store: Store, workflow: str, *, by: str, reason: str, dry_run: bool = False) -> str:
    """Give a workflow back how far it may go alone; refused while what cost it goes on. Says how far that is.

    Raises
    ------
    NotAllowed
        Nothing was taken, or it is still amiss.
    """
    _known(store, workflow, by=by, reason=reason)
    told = books(store)
    if workflow not in told.taken:
        raise NotAllowed(f"'{workflow}' goes as far as it declares.", next_step=f"trunkline workflow show {workflow}")
    still = [one.text for one in amiss(store, told, workflow, Roster.read(store.folder / FILE))]
    if still:
        raise NotAllowed(f"It is still amiss with '{workflow}': {still[0]}", where="; ".join(still[1:]), next_step="Cure it first, then repeat.")
    if not dry_run:
        with transaction(store.engine) as connection:
            store.journal.append("autonomy.given", {"workflow": workflow, "by": by, "reason": reason}, connection)
            alarms(store).clear("autonomy-taken", about=workflow, connection=connection)
    return next((one.control for one in told.of(workflow, "live", "canary", "shadow")), "")


def _known(store: Store, workflow: str, *, by: str, reason: str) -> None:
    if not by or not reason:
        raise NotAllowed("Somebody has to answer for it, with a reason.", next_step="--by NAME --reason 'why'")
    if not books(store).of(workflow):
        raise NotAllowed(f"There is no release of '{workflow}'.", next_step=f"trunkline workflow train {workflow}")


def listed(store: Store) -> pl.DataFrame:
    """Workflows with their releases, how far each goes alone, its silence and its next review."""
    told = books(store)
    lines = []
    for line in releases.overview(store).to_dicts():
        ends = {key: line.pop(key) for key in ("open", "decisions")}
        lines.append({**line, **_words(store, told, line["workflow"]), **ends})
    return pl.DataFrame(lines)


def _words(store: Store, told: Books, workflow: str) -> dict[str, str]:
    serves = next(iter(told.of(workflow, "live", "canary")), None)
    control = next((one.control for one in told.of(workflow, "live", "canary", "shadow")), "")
    quiet = None if serves is None else silence(store, serves, store.clock())
    due = next_review(told, workflow)
    return {
        "control": f"{lessened(control)} (declares {control})" if workflow in told.taken and control else control,
        "silence": "" if quiet is None or serves is None else _long(quiet) + (", silent" if quiet > expected(serves) else ""),
        "review": "" if due is None else f"{due:%Y-%m-%d}" + (", overdue" if store.clock() > due else ""),
    }


def alarms_listed(store: Store, *, over: bool = False) -> pl.DataFrame:
    """Platform alarms as a frame."""
    found = alarms(store).all() if over else alarms(store).active()
    columns = {name: [row[name] for row in found] for name in ("kind", "about", "text", "raised_at", "cleared_at")}
    return pl.DataFrame(columns, schema={"kind": pl.String, "about": pl.String, "text": pl.String, "raised_at": TIME, "cleared_at": TIME})


def _long(length: timedelta) -> str:
    """A length of time as people say it.

    >>> _long(timedelta(minutes=200)), _long(timedelta(days=3, hours=2)), _long(timedelta(minutes=12))
    ('3 h', '3 d', '12 min')
    """
    minutes = max(length, timedelta()) // timedelta(minutes=1)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} d"
