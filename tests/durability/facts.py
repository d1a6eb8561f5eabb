"""Everything a workspace holds, as facts that can be counted: what is missing was lost, what is there twice was doubled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from trunkline.core.canonical import canonical
from trunkline.store import catalogue
from trunkline.store.database import reading
from trunkline.store.outbox import outbox
from trunkline.workspace import Workspace

Facts = Counter[str]
NOW = "now "
"""How a fact begins that may become another one; all others stay once they are there."""

ENTRIES = ("decision", "receipt", "decided", "late", "delivery.", "outcome", "workspace.migrated", "workspace.restored", "data.erased", "release.")
"""Journal entries that tell of something that happens once. Others tell that something was asked, or done again."""


def facts(workspace: Workspace, *, rows: bool = True) -> Facts:
    """All facts of *workspace*; without *rows*, those of the lake are left out."""
    store, found = workspace.store, Facts()
    for table in store.lake.tables() if rows else ():
        found.update(f"row {table} {row}" for row in store.lake.read(table).collect().rows())
    found.update(f"file {one.sequence} {one.id} {one.name}" for one in store.intake.after(0))
    found.update(f"aside {one.file} {one.line} {one.reason} {one.excerpt}" for one in store.intake.quarantined())
    found.update(f"entry {entry.kind} {_body(entry.body)}" for entry in store.journal.entries() if entry.kind.startswith(ENTRIES))
    found.update(f"decision {row['id']} {row['mode']} {row['at']}" for row in catalogue.rows(store.engine, catalogue.decisions))
    found.update(f"{NOW}decision {row['id']} {row['state']} {row['until']}" for row in catalogue.rows(store.engine, catalogue.decisions))
    found.update(f"outcome {row['decision']} {row['verdict']} {row['by']}" for row in catalogue.rows(store.engine, catalogue.outcomes))
    found.update(f"{NOW}state {row['release']} {row['mode']} {canonical(row['body']).decode()}" for row in catalogue.rows(store.engine, catalogue.states))
    with reading(store.engine) as connection:
        for row in connection.execute(outbox.select()).mappings():
            found[f"intent {row['key']} {row['action']}"] += 1
            found[f"{NOW}intent {row['key']} {row['state']}"] += 1
    return found


def _body(body: Mapping[str, Any]) -> str:
    """What an entry says, without how often it had to be tried."""
    return canonical({name: value for name, value in body.items() if name != "attempts"}).decode()


def wrong(workspace: Workspace) -> list[str]:
    """What does not hold of *workspace*, its journal included."""
    return [f"{what}: {why}" for what, why in workspace.check()]


def lost(expected: Facts, found: Facts) -> Facts:
    """What should be there and is not."""
    return expected - found


def doubled(expected: Facts, found: Facts) -> Facts:
    """What is there and should not be, or not so often."""
    return found - expected


def lasting(found: Facts) -> Facts:
    """The facts that stay, whatever comes after them."""
    return Facts({fact: count for fact, count in found.items() if not fact.startswith(NOW)})
