"""Taking facts away for good, and keeping it so: an erasure is done again after a restore.

Two things are erased: rows of a table in the lake that have a value in a column, and the contents of arrivals. The rows
leave every version of their table, and Delta's log with the smallest and largest values it kept of them. What remains is
that something was erased, when, by whom and why; the journal tells that without the values.

The list of erasures is kept in the database. It names what was looked for (a surrogate key, an element), because a backup
made before the erasure still holds it: a restore asks for the list, and does every erasure in it again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import polars as pl
from sqlalchemy import Boolean, Column, String, Table, insert, select, update

from trunkline.core.clock import utc_text
from trunkline.core.errors import BadFile, BadInput, NotAllowed
from trunkline.store.catalogue import Canonical, Instant
from trunkline.store.database import metadata, prepare, reading, transaction
from trunkline.store.opened import Store

FORMAT = 1
"""Of the file that :func:`write_list` writes."""

erasures = Table(
    "erasures",
    metadata,
    Column("id", String, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("by", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("table", String, nullable=False),  # empty where only arrivals were erased
    Column("where", Canonical, nullable=False),
    Column("arrivals", Canonical, nullable=False),  # hashes of contents: a number means another arrival elsewhere
    Column("done", Boolean, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """One erasure: of the rows of *table* in which each column of *where* has its value, and of contents by their hash."""

    id: str
    at: datetime
    by: str
    reason: str
    table: str
    where: Mapping[str, Any]
    arrivals: tuple[str, ...]
    done: bool


def erase(
    store: Store, table: str = "", where: Mapping[str, object] | None = None, *, arrivals: Sequence[int] = (), by: str, reason: str, dry_run: bool = False
) -> tuple[Erasure, int]:
    """Erase for good; the erasure, and how many rows there were.

    Parameters
    ----------
    table
        A table of the lake; empty where only contents of arrivals are to go.
    where
        Column and value: rows that have all of them go.
    arrivals
        Numbers of arrivals (``trunkline data list``) whose content goes.
    by, reason
        Who answers for it, and why. Both are journaled; put no name of a person into the reason.
    dry_run
        Count, and change nothing.

    Raises
    ------
    NotAllowed
        Nobody answers for it, or there is no reason.
    BadInput
        Nothing says what is to go, or the table has no such column.
    """
    where = dict(where or {})
    _check(store, table, where, arrivals, by, reason)
    where = {name: _typed(name, value, store.lake.layout(table).columns[name]) for name, value in where.items()}
    found = {arrival.sequence: arrival.id for arrival in store.intake.after(0)}
    if missing := sorted(set(arrivals) - found.keys()):
        raise BadInput(f"There is no arrival {missing[0]}.", allowed=f"1 to {max(found, default=0)}", next_step="trunkline data list")
    one = Erasure(
        id=uuid4().hex, at=store.clock(), by=by, reason=reason, table=table, where=where, arrivals=tuple(found[number] for number in arrivals), done=False
    )
    if dry_run:
        return one, _count(store, one)
    return one, _do(store, one)


def listed(store: Store) -> list[Erasure]:
    """Every erasure, in order."""
    prepare(store.engine, erasures)
    with reading(store.engine) as connection:
        rows = connection.execute(select(erasures).order_by(erasures.c.at, erasures.c.id)).mappings().all()
    return [Erasure(**{**row, "arrivals": tuple(row["arrivals"])}) for row in rows]


def finish(store: Store) -> int:
    """Do to their end erasures that were cut off; says how many there were."""
    cut_off = [one for one in listed(store) if not one.done]
    for one in cut_off:
        _carry_out(store, one)
    return len(cut_off)


def replay(store: Store, done_elsewhere: Iterable[Erasure]) -> int:
    """Do again what was erased in another state of this workspace; says how many were new here."""
    known = {one.id for one in listed(store)}
    new = [one for one in done_elsewhere if one.id not in known]
    for one in new:
        _do(store, one)
    return len(new)


def write_list(found: Iterable[Erasure], path: Path) -> None:
    """Write *found* for a restore elsewhere, one erasure a line."""
    lines = [json.dumps({"format": FORMAT, **msgspec.to_builtins(one), "at": utc_text(one.at)}, ensure_ascii=False, sort_keys=True) for one in found]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def read_list(path: Path) -> list[Erasure]:
    """What :func:`write_list` wrote."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            found.append(msgspec.convert(_of_this_format(json.loads(line)), Erasure))
        except (ValueError, KeyError, TypeError, AttributeError, msgspec.ValidationError) as wrong:
            raise BadFile(
                "This is no list of erasures.", path=path, line=number, allowed="what trunkline workspace erasures wrote", next_step="Write it again."
            ) from wrong
    return found


def _of_this_format(given: dict[str, Any]) -> dict[str, Any]:
    if given.pop("format") != FORMAT:
        raise ValueError
    return given


def _do(store: Store, one: Erasure) -> int:
    prepare(store.engine, erasures)
    told = {"id": one.id, "by": one.by, "reason": one.reason, "table": one.table, "columns": sorted(one.where), "arrivals": len(one.arrivals)}
    with transaction(store.engine) as connection:
        row = {name: getattr(one, name) for name in one.__slots__}
        connection.execute(insert(erasures), {**row, "where": dict(one.where), "arrivals": list(one.arrivals), "done": False})
        store.journal.append("erasure", told, connection)
    return _carry_out(store, one)


def _carry_out(store: Store, one: Erasure) -> int:
    """The erasing itself: cut off and begun again it comes to the same end."""
    rows = store.lake.erase(one.table, one.where) if one.table else 0
    numbers = {arrival.id: arrival.sequence for arrival in store.intake.after(0)}
    for content in one.arrivals:
        if content in numbers:
            store.intake.erase(numbers[content])
    with transaction(store.engine) as connection:
        connection.execute(update(erasures).where(erasures.c.id == one.id).values(done=True))
    return rows


def _count(store: Store, one: Erasure) -> int:
    if not one.table:
        return 0
    conditions = [pl.col(name).eq_missing(pl.lit(value)) for name, value in one.where.items()]
    return int(store.lake.read(one.table).filter(conditions).select(pl.len()).collect().item())


def _typed(name: str, value: object, kind: object) -> object:
    """*value* as the column has it: on the command line everything is text."""
    if not isinstance(value, str) or kind == pl.String:
        return value
    try:
        if kind in (pl.Float64, pl.Float32):
            return float(value)
        if kind in (pl.Int8, pl.Int16, pl.Int32, pl.Int64):
            return int(value)
    except ValueError as wrong:
        raise BadInput(f"'{value}' is no number, and '{name}' holds numbers.", allowed="a number") from wrong
    raise BadInput(f"Rows cannot be found by '{name}'.", allowed="columns of text or numbers")


def _check(store: Store, table: str, where: Mapping[str, object], arrivals: Sequence[int], by: str, reason: str) -> None:
    if not by:
        raise NotAllowed("Somebody has to answer for it.", where="erase", next_step="--by NAME, or the setting 'operator'")
    if not reason:
        raise NotAllowed("It needs a reason.", where="erase", next_step="--reason 'why'")
    if not arrivals and not (table and where):
        raise BadInput("Nothing says what is to be erased.", allowed="a table with columns and values, or numbers of arrivals")
    if table:
        columns = store.lake.layout(table).columns
        if unknown := [name for name in where if name not in columns]:
            raise BadInput(f"The table '{table}' has no column '{unknown[0]}'.", allowed=", ".join(columns))


__all__ = ["FORMAT", "Erasure", "erase", "erasures", "finish", "listed", "read_list", "replay", "write_list"]
