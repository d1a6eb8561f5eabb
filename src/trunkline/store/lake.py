"""The lake: tables of facts that only grow, readable as they were at any version and as known at any time.

Delta tables, written by ``deltalake`` from Polars frames, read back lazily by Polars; Spark and Trino
read them too. An append names its application transaction, so repeating it after a crash writes nothing.

**Never put raw identifiers of people here.** Delta's log keeps predicates and the smallest and largest
value of columns for ever, even after rows are deleted. People are named by surrogate keys only, and those
columns are declared in ``Layout.people``: for them no statistics are kept.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

import polars as pl

from trunkline.core.clock import utc
from trunkline.core.errors import BadInput, UnknownName, WorkspaceError
from trunkline.core.frames import ELEMENTS, EVENTS, KPIS, RECORDS, RELATIONS, TIME, check_frame
from trunkline.store.blobs import sync_folder
from trunkline.store.dataset import dataset_hash

if TYPE_CHECKING:
    from deltalake import DeltaTable, WriterProperties

__all__ = ["KEEP_LOG", "STANDARD", "Lake", "Layout", "dataset_hash"]

Columns = Mapping[str, "pl.DataType | type[pl.DataType]"]

KEEP_LOG = "interval 400 days"
"""How long old versions can be read: a year, and the weeks to audit it."""

_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_STORABLE = (pl.String, pl.Boolean, pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Float32, pl.Float64, pl.Date, pl.Binary)
_STORABLE_WORDS = "text, bytes, signed and floating numbers, booleans, dates, UTC times in microseconds, and lists of these"


def _is_storable(kind: object) -> bool:
    if isinstance(kind, pl.List):
        return _is_storable(kind.inner)
    return kind == TIME or any(kind == known for known in _STORABLE)


@dataclass(frozen=True, slots=True)
class Layout:
    """What a table holds.

    Parameters
    ----------
    columns
        Column and type, as in :mod:`trunkline.core.frames`. Times are ``Datetime("us", "UTC")``.
    key
        Columns that tell two facts apart; rows of one key are versions of it by ``known_at``.
    partition_by
        Columns to split files by; useful for a date or region that most readings name, harmful for anything with many values.
    people
        Columns with surrogate keys of people: no smallest and largest value of them is kept anywhere.
    further
        Further columns may come with a frame, and stay.
    """

    columns: Columns
    key: tuple[str, ...] = ()
    partition_by: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    further: bool = False

    def __post_init__(self) -> None:
        unknown = [c for c in (*self.key, *self.partition_by, *self.people) if c not in self.columns]
        if unknown:
            raise BadInput(f"The layout names columns that it does not have: {', '.join(unknown)}.", allowed=", ".join(self.columns))
        wrong = [f"{name}: {kind}" for name, kind in self.columns.items() if not _is_storable(kind)]
        if wrong:
            raise BadInput(f"These columns are of a type the lake does not keep: {'; '.join(wrong)}.", allowed=_STORABLE_WORDS)


STANDARD: Mapping[str, Layout] = {
    "records": Layout(RECORDS, key=("element", "object_class", "name", "dimension", "at", "period_s")),
    "kpis": Layout(KPIS, key=("element", "kpi", "at")),
    "events": Layout(EVENTS, key=("event_id",)),
    "relations": Layout(RELATIONS, key=("element", "relation", "other")),
    "elements": Layout(ELEMENTS, key=("element",), further=True),
}
"""The tables every workspace has."""


class Lake:
    """A folder of tables.

    Parameters
    ----------
    folder
        Made if needed; one sub-folder a table.
    layouts
        Declared tables; each is made by its first append.

    >>> import tempfile
    >>> lake = Lake(tempfile.mkdtemp(), {"plain": Layout({"n": pl.Int64})})
    >>> frame = pl.DataFrame({"n": [1, 2]})
    >>> lake.append("plain", frame, transaction=("doc", 1)), lake.append("plain", frame, transaction=("doc", 1))
    (True, False)
    >>> lake.read("plain").collect().height
    2
    """

    def __init__(self, folder: str | Path, layouts: Mapping[str, Layout] = STANDARD) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._layouts = dict(layouts)
        self._open: dict[str, DeltaTable] = {}  # replaying a log costs some 8 ms, so open tables are kept and refreshed
        self._lock = Lock()

    def declare(self, table: str, layout: Layout) -> None:
        """Declare *table*; declaring it again in the same way is fine, in another way is refused."""
        if not _NAME.fullmatch(table):
            raise BadInput(f"'{table}' is no name of a table.", allowed="lower-case letters, digits, '_' and '-', a letter first")
        known = self._layouts.get(table)
        if known is not None and known != layout:
            raise BadInput(
                f"The table '{table}' is declared already, in another way.", where=str(self.folder), next_step="Declare it once, or under another name."
            )
        self._layouts[table] = layout

    def append(self, table: str, frame: pl.DataFrame, *, transaction: tuple[str, int] | None = None) -> bool:
        """Add the rows of *frame*; when this returns they are on the disk.

        One append makes one file and one log entry: give it 10,000 rows or more at a time where you can.

        Parameters
        ----------
        table
            A declared table.
        frame
            Has the columns of its layout.
        transaction
            (application, version): versions of one application only grow, and one that was written is not written again.

        Returns
        -------
        bool
            False where this transaction had been written before; nothing was added then.

        Raises
        ------
        BadInput
            A column is missing, of another type, or too many. Nothing is written.
        """
        return self._write(table, frame, "append", transaction)

    def replace(self, table: str, frame: pl.DataFrame, *, transaction: tuple[str, int] | None = None) -> bool:
        """Put *frame* in the place of all rows, as for an inventory; older versions stay readable. Else as :meth:`append`."""
        return self._write(table, frame, "overwrite", transaction)

    def check(self, table: str, frame: pl.DataFrame) -> pl.DataFrame:
        """*frame* as an append to *table* would keep it: ask before putting frames of several sources together.

        Raises
        ------
        BadInput
            As :meth:`append`.
        """
        return _checked(frame, self.layout(table), table)

    def read(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        where: pl.Expr | None = None,
        version: int | None = None,
        as_known_at: datetime | None = None,
    ) -> pl.LazyFrame:
        """The rows of *table*, lazily: nothing is read before ``collect``.

        Parameters
        ----------
        table
            A table that has rows, or is declared (an empty frame then).
        columns
            Which columns; all where None.
        where
            Which rows. It may name columns that are not asked for.
        version
            The table as it was at this version; see :meth:`version`.
        as_known_at
            Only what was known by then, and of each key the newest version; sorted by key. None gives all versions.
        """
        found = self._scan(table, version)
        if as_known_at is not None:
            # A condition on key columns may go first and spare reading; any other would let an older version stand for a newer one.
            is_of_keys = where is not None and set(where.meta.root_names()) <= set(self.layout(table).key)
            before, where = (where, None) if is_of_keys else (None, where)
            found = self._as_known(table, found if before is None else found.filter(before), utc(as_known_at))
        if where is not None:
            found = found.filter(where)
        return found if columns is None else found.select(columns)

    def tables(self) -> tuple[str, ...]:
        """The tables that have been written."""
        return tuple(sorted(path.parent.name for path in self.folder.glob("*/_delta_log") if path.is_dir()))

    def layout(self, table: str) -> Layout:
        """What *table* holds: as declared, else as found."""
        if table in self._layouts:
            return self._layouts[table]
        if table in self.tables():
            return Layout(dict(pl.scan_delta(str(self.folder / table)).collect_schema()))
        raise UnknownName("table", table, sorted({*self._layouts, *self.tables()}), where=str(self.folder))

    def version(self, table: str) -> int:
        """The newest version of *table*, from 0; -1 where nothing was written yet."""
        self.layout(table)
        with self._lock:
            opened = self._table(table)
            return -1 if opened is None else opened.version()

    def transaction(self, table: str, application: str) -> int | None:
        """The newest version that *application* has written to *table*: how far it got."""
        self.layout(table)
        with self._lock:
            opened = self._table(table)
            return None if opened is None else opened.transaction_version(application)

    def _write(self, table: str, frame: pl.DataFrame, mode: Literal["append", "overwrite"], transaction: tuple[str, int] | None) -> bool:
        from deltalake import CommitProperties, Transaction, write_deltalake

        layout = self.layout(table)
        frame = self.check(table, frame)
        with self._lock:
            opened = self._table(table)
            frame = _called_as_before(frame, opened)
            if transaction is not None and opened is not None:
                done = opened.transaction_version(transaction[0])
                if done is not None and done >= transaction[1]:
                    return False
            before = -1 if opened is None else opened.version()
            try:
                write_deltalake(
                    self.folder / table if opened is None else opened,
                    frame,
                    mode=mode,
                    partition_by=list(layout.partition_by) or None,
                    configuration=_configuration(layout) if opened is None else None,
                    schema_mode="merge" if layout.further else None,
                    writer_properties=_writer(frame, layout),
                    commit_properties=CommitProperties(app_transactions=[Transaction(*transaction)] if transaction else None),
                )
            except Exception as refused:  # deltalake raises some errors of no class of its own
                self._open.pop(table, None)
                raise WorkspaceError(
                    f"The table '{table}' could not be written: {refused}",
                    where=str(self.folder / table),
                    next_step="Look whether the disk is full or may not be written, then repeat; what was taken in is not lost.",
                ) from refused
            now_at = self._table(table)
            if now_at is not None:
                _sync(self.folder / table, before, now_at.version())
        return True

    def _table(self, table: str) -> DeltaTable | None:
        from deltalake import DeltaTable

        if table in self._open:
            self._open[table].update_incremental()
        elif (self.folder / table / "_delta_log").is_dir():
            self._open[table] = DeltaTable(self.folder / table)
        return self._open.get(table)

    def _scan(self, table: str, version: int | None) -> pl.LazyFrame:
        layout, newest = self.layout(table), self.version(table)
        if version is not None and not 0 <= version <= newest:
            raise BadInput(
                f"The table '{table}' has no version {version}.", where=str(self.folder / table), allowed=f"0 to {newest}" if newest >= 0 else "none yet"
            )
        if newest < 0:
            return pl.LazyFrame(schema=dict(layout.columns))
        return pl.scan_delta(str(self.folder / table), version=newest if version is None else version)

    def _as_known(self, table: str, rows: pl.LazyFrame, at: datetime) -> pl.LazyFrame:
        layout, schema = self.layout(table), rows.collect_schema()
        if schema.get("known_at") != TIME:
            raise BadInput(f"The table '{table}' does not say when its rows were known.", allowed="a table with a column known_at; for others name a version")
        known = rows.filter(pl.col("known_at") <= at)
        if not layout.key:
            return known
        # The remaining columns only settle ties of known_at, so that the answer is the same every time.
        rest = [name for name, kind in schema.items() if name not in (*layout.key, "known_at") and not kind.is_nested()]
        return known.sort([*layout.key, "known_at", *rest]).unique(subset=list(layout.key), keep="last", maintain_order=True)


def _checked(frame: pl.DataFrame, layout: Layout, table: str) -> pl.DataFrame:
    frame = check_frame(frame, layout.columns, name=table)
    further = {name: kind for name, kind in frame.schema.items() if name not in layout.columns}
    if further and not layout.further:
        raise BadInput(
            f"The frame of {table} has columns too many: {', '.join(further)}.", allowed=", ".join(layout.columns), next_step="Drop them, or declare them."
        )
    wrong = [f"{name}: {kind}" for name, kind in further.items() if not _is_storable(kind)]
    if wrong:
        raise BadInput(f"The frame of {table} has columns the lake does not keep: {'; '.join(wrong)}.", allowed=_STORABLE_WORDS)
    twice = sorted(name for name, count in Counter(name.lower() for name in frame.columns).items() if count > 1)
    if twice:
        raise BadInput(f"Columns of the frame of {table} differ by case alone: {', '.join(twice)}.", allowed="names that differ in lower case")
    return frame


def _called_as_before(frame: pl.DataFrame, opened: DeltaTable | None) -> pl.DataFrame:
    """Further columns under the names the table has for them: to Delta ``Height`` and ``height`` are one."""
    if opened is None:
        return frame
    known = {field.name.lower(): field.name for field in opened.schema().fields}
    return frame.rename({name: known[name.lower()] for name in frame.columns if known.get(name.lower(), name) != name})


def _configuration(layout: Layout) -> dict[str, str | None]:
    chosen: dict[str, str | None] = {"delta.checkpointInterval": "50", "delta.logRetentionDuration": KEEP_LOG}
    if layout.people:
        others = [name for name, kind in layout.columns.items() if name not in layout.people and not isinstance(kind, pl.List)]
        chosen |= {"delta.dataSkippingStatsColumns": ",".join(others)} if others else {"delta.dataSkippingNumIndexedCols": "0"}
    return chosen


def _writer(frame: pl.DataFrame, layout: Layout) -> WriterProperties:
    from deltalake import ColumnProperties, WriterProperties

    # A dictionary of measured numbers is as long as the column: without it, writing takes a third of the time.
    chosen = {name: ColumnProperties(dictionary_enabled=False) for name, kind in frame.schema.items() if kind.is_float()}
    chosen |= {name: ColumnProperties(statistics_enabled="NONE") for name in layout.people}
    return WriterProperties(compression="ZSTD", column_properties=chosen or None)


def _sync(folder: Path, before: int, after: int) -> None:
    """Put on the disk what the versions after *before* added: Delta itself never does (it is made for object stores)."""
    log = folder / "_delta_log"
    names: set[Path] = set()
    for version in range(before + 1, after + 1):
        commit = log / f"{version:020}.json"
        names.add(commit)
        names.update(log.glob(f"{version:020}.checkpoint*.parquet"))
        actions = [json.loads(line) for line in commit.read_bytes().splitlines()]
        names.update(folder / unquote(action["add"]["path"]) for action in actions if "add" in action)
    names.update(path for path in [log / "_last_checkpoint"] if path.exists())
    for path in names:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    for parent in {path.parent for path in names} | {folder, folder.parent}:
        sync_folder(parent)
