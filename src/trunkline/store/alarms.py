"""Alarms of the platform itself: raised once, cleared when it is over, and both in the journal.

Not alarms of the network: what a workflow finds there is a decision. These say that something of Trunkline needs a person:
a workflow is silent, a release does not match the journal, a canary was stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, Connection, Engine, String, Table, insert, select, update

from trunkline.core.clock import Clock
from trunkline.store.catalogue import Instant, rows
from trunkline.store.database import joined, metadata
from trunkline.store.journal import Journal

platform_alarms = Table(
    "platform_alarms",
    metadata,
    Column("id", String, primary_key=True),  # kind:about, so that one thing is raised once
    Column("kind", String, nullable=False),
    Column("about", String, nullable=False, index=True),  # a workflow, a release
    Column("text", String, nullable=False),
    Column("raised_at", Instant, nullable=False),
    Column("cleared_at", Instant),  # null = still on
)


class Alarms:
    """The platform alarms of one workspace.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from trunkline.core.clock import now
    >>> from trunkline.store import open_database, open_key, prepare
    >>> engine = open_database(Path(tempfile.mkdtemp()) / "trunkline.db")
    >>> prepare(engine, platform_alarms)
    >>> alarms = Alarms(engine, Journal(engine, open_key(tempfile.mkdtemp())), now)
    >>> alarms.raise_("silence", about="sleeping-cell", text="nothing for 3 h")
    True
    >>> alarms.raise_("silence", about="sleeping-cell", text="nothing for 4 h"), len(alarms.active())
    (False, 1)
    >>> alarms.clear("silence", about="sleeping-cell"), alarms.active()
    (True, [])
    >>> engine.dispose()
    """

    def __init__(self, engine: Engine, journal: Journal, clock: Clock) -> None:
        self._engine, self._journal, self._clock = engine, journal, clock

    def raise_(self, kind: str, *, about: str, text: str, connection: Connection | None = None, is_journaled: bool = True) -> bool:
        """Raise it unless it is on already; says whether it was new. What is wrong with the journal itself cannot be journaled."""
        table, id_ = platform_alarms, f"{kind}:{about}"
        with joined(self._engine, connection) as writing:
            known = writing.execute(select(table.c.cleared_at).where(table.c.id == id_)).one_or_none()
            if known is not None and known.cleared_at is None:
                return False
            values = {"kind": kind, "about": about, "text": text, "raised_at": self._clock(), "cleared_at": None}
            writing.execute(insert(table).values(id=id_, **values) if known is None else update(table).where(table.c.id == id_).values(**values))
            if is_journaled:
                self._journal.append("alarm.raised", {"kind": kind, "about": about, "text": text}, writing)
        return True

    def clear(self, kind: str, *, about: str, connection: Connection | None = None) -> bool:
        """Clear it if it is on; says whether it was."""
        table, id_ = platform_alarms, f"{kind}:{about}"
        with joined(self._engine, connection) as writing:
            known = writing.execute(select(table.c.cleared_at).where(table.c.id == id_)).one_or_none()
            if known is None or known.cleared_at is not None:
                return False
            writing.execute(update(table).where(table.c.id == id_).values(cleared_at=self._clock()))
            self._journal.append("alarm.cleared", {"kind": kind, "about": about}, writing)
        return True

    def active(self, about: str | None = None) -> list[Mapping[str, Any]]:
        """Those that are on, the newest first; of one thing where given."""
        where = [platform_alarms.c.cleared_at.is_(None)] + ([] if about is None else [platform_alarms.c.about == about])
        return rows(self._engine, platform_alarms, *where, order_by=platform_alarms.c.raised_at.desc())

    def all(self) -> list[Mapping[str, Any]]:
        """The last of each, also those that are over, the newest first."""
        return rows(self._engine, platform_alarms, order_by=platform_alarms.c.raised_at.desc())
