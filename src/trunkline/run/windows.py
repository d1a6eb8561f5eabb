"""When changes may go live in this workspace: windows and freezes of its settings, and freezes that somebody declared since."""

from __future__ import annotations

from trunkline.core.canonical import content_hash
from trunkline.core.clock import utc_text, zone
from trunkline.core.errors import NotAllowed, UnknownName
from trunkline.rollout.windows import Calendar, Freeze, read_freezes, read_windows
from trunkline.run import shipped
from trunkline.run.standing import Books, books
from trunkline.store.database import transaction
from trunkline.store.opened import Store


def calendar(store: Store, told: Books | None = None) -> Calendar:
    """All windows and freezes that hold, in the zone of the workspace."""
    settings = store.configuration.settings
    declared = (told or books(store)).freezes.values()
    return Calendar(zone(settings.zone), read_windows(settings.windows), (*read_freezes(settings.freezes), *declared))


def freeze(store: Store, workflow: str, days: str, *, by: str, reason: str, dry_run: bool = False) -> str:
    """Nothing of *workflow* ("" = all) goes live on these days ("2026-12-20/2027-01-06"); says the freeze's id."""
    _named(by, reason)
    known = {*shipped.names(), *(one.workflow for one in books(store).releases.values())}
    if workflow and workflow not in known:
        raise UnknownName("workflow", workflow, sorted(known))
    wanted = Freeze.read(f"{days}: {reason}", workflow=workflow)
    id_ = content_hash({"workflow": workflow, "days": str(wanted), "at": utc_text(store.clock())})[:8]
    if not dry_run:
        store.journal.append("freeze.begun", {"freeze": id_, "workflow": workflow, "days": str(wanted), "by": by, "reason": reason})
    return id_


def unfreeze(store: Store, freeze_: str, *, by: str, reason: str, dry_run: bool = False) -> str:
    """End a freeze before its time; one of the settings is ended there."""
    _named(by, reason)
    with transaction(store.engine) as connection:
        known = books(store, connection).freezes
        found = [id_ for id_ in known if freeze_ and id_.startswith(freeze_)]
        if len(found) != 1:
            raise UnknownName("freeze", freeze_, known)
        if not dry_run:
            store.journal.append("freeze.ended", {"freeze": found[0], "by": by, "reason": reason}, connection)
    return found[0]


def _named(by: str, reason: str) -> None:
    if not by or not reason:
        raise NotAllowed("Somebody has to answer for it, with a reason.", next_step="--by NAME --reason 'why'")
