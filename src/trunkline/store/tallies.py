"""How far a release in shadow agrees with the live one: added up per region in the transaction that books the shadow's decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Column, Connection, Engine, Float, Integer, String, Table, insert, select, update

from trunkline.store.database import metadata, reading

tallies = Table(
    "shadow_tallies",
    metadata,
    Column("workflow", String, primary_key=True),
    Column("live", String, primary_key=True),
    Column("shadow", String, primary_key=True),
    Column("region", String, primary_key=True),
    Column("rows", Integer, nullable=False),
    Column("both", Integer, nullable=False),
    Column("live_only", Integer, nullable=False),
    Column("shadow_only", Integer, nullable=False),
    Column("missed", Integer, nullable=False),
    Column("batches", Integer, nullable=False),
    Column("ms", Float, nullable=False),
    Column("most_ms", Float, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Rows that both releases saw, and about which of them each spoke.

    Parameters
    ----------
    missed
        Rows the shadow failed on: it crashed, hung or fell behind.
    batches, ms, most_ms
        How often the shadow was asked, how long it took altogether and at most.
    """

    rows: int = 0
    both: int = 0
    live_only: int = 0
    shadow_only: int = 0
    missed: int = 0
    batches: int = 0
    ms: float = 0.0
    most_ms: float = 0.0

    @property
    def agreement(self) -> float | None:
        """The share of rows about which both said the same; None without rows."""
        return None if not self.rows else 1.0 - (self.live_only + self.shadow_only) / self.rows

    def __add__(self, other: Tally) -> Tally:
        added = {name: getattr(self, name) + getattr(other, name) for name in self.__slots__ if name != "most_ms"}
        return Tally(**added, most_ms=max(self.most_ms, other.most_ms))


def add(connection: Connection, workflow: str, live: str, shadow: str, by_region: Mapping[str, Tally]) -> None:
    """Add what one batch gave."""
    c = tallies.c
    for region, one in by_region.items():
        here = (c.workflow == workflow) & (c.live == live) & (c.shadow == shadow) & (c.region == region)
        row = connection.execute(select(*(c[name] for name in Tally.__slots__)).where(here)).mappings().one_or_none()
        if row is None:
            named = {"workflow": workflow, "live": live, "shadow": shadow, "region": region}
            connection.execute(insert(tallies).values(**named, **{name: getattr(one, name) for name in Tally.__slots__}))
        else:
            together = Tally(**row) + one
            connection.execute(update(tallies).where(here).values(**{name: getattr(together, name) for name in Tally.__slots__}))


def of(engine: Engine, workflow: str, live: str, shadow: str) -> dict[str, Tally]:
    """What was added up for these two releases, by region."""
    c = tallies.c
    with reading(engine) as connection:
        rows = connection.execute(select(tallies).where(c.workflow == workflow, c.live == live, c.shadow == shadow).order_by(c.region)).mappings().all()
    return {row["region"]: Tally(**{name: row[name] for name in Tally.__slots__}) for row in rows}
