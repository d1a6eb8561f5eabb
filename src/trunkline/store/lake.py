"""The lake: tables of facts that only grow, readable as they were at any version and as known at any time.

Delta tables, written by ``deltalake`` from Polars frames, read back lazily by Polars; Spark and Trino
read them too. An append names its application transaction, so repeating it after a crash writes nothing.

**Never put raw identifiers of people here.** Delta's log keeps predicates and the smallest and largest
value of columns for ever, even after rows are deleted. People are named by surrogate keys only, and those
columns are declared in ``Layout.people``: for them no statistics are kept.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
from trunkline.store import categories, lake_tail
from trunkline.store.dataset import dataset_hash
from trunkline.store.growth import added_since

if TYPE_CHECKING:
    from deltalake import CommitProperties, DeltaTable, WriterProperties

__all__ = ["KEEP_LOG", "STANDARD", "Lake", "Layout", "dataset_hash"]

Columns = Mapping[str, "pl.DataType | type[pl.DataType]"]

KEEP_LOG = "interval 400 days"
"""How long old versions can be read: a year, and the weeks to audit it."""

PIECE = 2_000_000
"""Rows read at once where not all are: of measurements some 300 MB."""

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

    def append_parts(self, table: str, frames: Sequence[pl.DataFrame], *, transaction: tuple[str, int] | None = None) -> bool:
        """Add the rows of *frames*, whose texts may be categories (``pl.Enum``), in one version; else as :meth:`append`.

        Each frame becomes a file of its own, without spelling its texts out: give it a million rows where you can.
        """
        layout = self.layout(table)
        is_plain = not (layout.partition_by or layout.people or layout.further) and all(categories.meant(part) == layout.columns for part in frames)
        with self._lock:
            opened = self._table(table)
            is_plain = is_plain and categories.fits(frames, opened)
            if is_plain and self._is_written(table, opened, transaction):
                return False
            if is_plain:
                try:
                    categories.commit(self.folder / table, opened, frames, _commit(transaction), _configuration(layout))
                except Exception as refused:  # as in _write
                    self._open.pop(table, None)
                    raise _unwritten(self.folder / table, refused) from refused
                self._sync(table)
        return is_plain or self.append(table, pl.concat([categories.spelled(one) for one in frames]), transaction=transaction)

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

    def pieces(self, table: str, version: int, *, rows: int = PIECE) -> Iterator[pl.LazyFrame]:
        """The rows of *table* at *version* in its order, about *rows* of them a time: for what is too much to be read at once."""
        whole = self._scan(table, version)
        if self.layout(table).partition_by:
            yield whole
            return
        schema, few, known = whole.collect_schema(), list[Path](), 0
        for path, count in self._files(table, version):
            if few and known + count > rows:
                yield _scanned(few, schema)
                few, known = [], 0
            if count > rows:
                yield from (_scanned([path], schema).slice(begin, rows) for begin in range(0, count, rows))
                continue
            few.append(path)
            known += count
        if few:
            yield _scanned(few, schema)

    def height(self, table: str, version: int) -> int:
        """How many rows *table* has at *version*, by its log alone; 0 before its first."""
        return sum(count for _, count in self._files(table, version)) if version >= 0 else 0

    def tables(self) -> tuple[str, ...]:
        """The tables that have been written."""
        return tuple(sorted(path.parent.name for path in self.folder.glob(f"*/{lake_tail.LOG}") if lake_tail.has_log(path.parent)))

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

    def since(self, table: str, version: int, until: int | None = None) -> pl.DataFrame | None:
        """Rows that were added after *version*, up to *until* (the newest version where None); see :func:`trunkline.store.growth.added_since`."""
        return added_since(self.folder / table, version, self.version(table) if until is None else until, self.layout(table).columns)

    def damage(self) -> list[tuple[str, str]]:
        """What of the tables no longer rests as it was written: (table, what is wrong) for each fault.

        Files are compared with what the log says of them, their size and rows. Who rewrites a file at the same size, or
        log and file together, is not found here.
        """
        short = [(table, fault) for table in lake_tail.noted(self.folder) if (fault := lake_tail.shortened(self.folder / table))]
        return short + [(table, fault) for table in self.tables() for fault in _faults(self.folder / table)]

    def torn(self) -> list[lake_tail.TornEnd]:
        """What a power cut tore off the tables' ends. Nothing of it was acknowledged."""
        return [torn for path in sorted(self.folder.glob(f"*/{lake_tail.LOG}")) if (torn := lake_tail.torn_end(path.parent)) is not None]

    def repair(self, torn: lake_tail.TornEnd) -> int:
        """Take a torn end off; the newest version that remains. Its rows are to be read from the intake again."""
        with self._lock:
            self._open.pop(torn.table.name, None)
            return lake_tail.take_off(torn)

    def compact(self, table: str) -> Compacted:
        """Put the small files of *table* together, and close its log with a checkpoint.

        What is read is the same as before, at every version: old files stay for who reads an older one, or reads now.
        """
        layout = self.layout(table)
        with self._lock:
            opened = self._table(table)
            if opened is None:
                return Compacted(table, 0, 0)
            before = len(opened.file_uris())
            try:
                opened.optimize.compact(writer_properties=_writer(dict(layout.columns), layout))
                opened.create_checkpoint()
            except Exception as refused:  # as in _write
                self._open.pop(table, None)
                raise _unwritten(self.folder / table, refused) from refused
            self._sync(table)
            return Compacted(table, before, len(opened.file_uris()))

    def erase(self, table: str, where: Mapping[str, object]) -> int:
        """Take the rows out in which every column of *where* has its value, from every version: the bytes are gone. How many there were.

        Older versions of the table can no longer be read. Who reads one now may fail, and repeats it.
        """
        layout = self.layout(table)
        unknown = [name for name in where if name not in layout.columns]
        if unknown or not where:
            raise BadInput(
                f"The table '{table}' has no column {', '.join(unknown)}." if unknown else "Nothing says which rows.", allowed=", ".join(layout.columns)
            )
        with self._lock:
            opened = self._table(table)
            if opened is None:
                return 0
            try:
                rows = int(opened.delete(_condition(where))["num_deleted_rows"])
                opened.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
                opened.update_incremental()
                opened.create_checkpoint()
            except Exception as refused:  # as in _write
                self._open.pop(table, None)
                raise _unwritten(self.folder / table, refused) from refused
            self._sync(table)
            lake_tail.forget_before(self.folder / table, opened.version())
            self._open.pop(table, None)
            return rows

    def _write(self, table: str, frame: pl.DataFrame, mode: Literal["append", "overwrite"], transaction: tuple[str, int] | None) -> bool:
        from deltalake import write_deltalake

        layout = self.layout(table)
        frame = self.check(table, frame)
        with self._lock:
            opened = self._table(table)
            frame = _called_as_before(frame, opened)
            if self._is_written(table, opened, transaction):
                return False
            try:
                write_deltalake(
                    self.folder / table if opened is None else opened,
                    frame,
                    mode=mode,
                    partition_by=list(layout.partition_by) or None,
                    configuration=_configuration(layout) if opened is None else None,
                    schema_mode="merge" if layout.further else None,
                    writer_properties=_writer(frame.schema, layout),
                    commit_properties=_commit(transaction),
                )
            except Exception as refused:  # deltalake raises some errors of no class of its own
                self._open.pop(table, None)
                raise _unwritten(self.folder / table, refused) from refused
            self._sync(table)
        return True

    def _is_written(self, table: str, opened: DeltaTable | None, transaction: tuple[str, int] | None) -> bool:
        if transaction is None or opened is None:
            return False
        done = opened.transaction_version(transaction[0])
        if done is None or done < transaction[1]:
            return False
        self._sync(table)  # who wrote it may have been stopped before it was on the disk
        return True

    def _sync(self, table: str) -> None:
        now_at = self._table(table)
        if now_at is not None:
            lake_tail.sync(self.folder / table, now_at.version())

    def _table(self, table: str) -> DeltaTable | None:
        from deltalake import DeltaTable

        try:
            if table in self._open:
                self._open[table].update_incremental()
            elif lake_tail.has_log(self.folder / table):
                self._open[table] = DeltaTable(self.folder / table)
        except BaseException as broken:  # a damaged log makes deltalake panic, which is no Exception
            if isinstance(broken, KeyboardInterrupt | SystemExit):
                raise
            raise WorkspaceError(
                f"The table '{table}' cannot be opened: {first_line(broken)}.",
                where=str(self.folder / table / "_delta_log"),
                next_step="Restore the folder of this table from a backup, then: trunkline workspace check",
            ) from broken
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

    def _files(self, table: str, version: int) -> list[tuple[Path, int]]:
        """The data files of *table* at *version*, with how many rows each has."""
        from deltalake import DeltaTable

        log = pl.DataFrame(DeltaTable(self.folder / table, version=version).get_add_actions(flatten=True)).select("path", "num_records")
        return [(self.folder / table / unquote(name), count) for name, count in log.rows()]

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


def _scanned(paths: list[Path], schema: pl.Schema) -> pl.LazyFrame:
    return pl.scan_parquet(paths, schema=schema, missing_columns="insert", extra_columns="ignore", hive_partitioning=False)


@dataclass(frozen=True, slots=True)
class Compacted:
    """How many files a table had before, and has now."""

    table: str
    before: int
    after: int


def _unwritten(folder: Path, refused: Exception) -> WorkspaceError:
    return WorkspaceError(
        f"The table '{folder.name}' could not be written: {first_line(refused)}.",
        where=str(folder),
        next_step="Look whether the disk is full or may not be written, then repeat; what was taken in is not lost.",
    )


def _condition(where: Mapping[str, object]) -> str:
    """The rows in which every column has its value, as Delta's own SQL; values are written out, so each kind is quoted in its way."""
    return " AND ".join(f'"{name}" {_is(value)}' for name, value in where.items())


def _is(value: object) -> str:
    if value is None:
        return "IS NULL"
    if isinstance(value, bool):
        return f"= {str(value).lower()}"
    if isinstance(value, int | float):
        return f"= {value!r}"
    if isinstance(value, str):
        return "= '" + value.replace("'", "''") + "'"
    raise BadInput(f"Rows cannot be found by {value!r}.", allowed="text, numbers, true and false")


def first_line(broken: BaseException) -> str:
    """What a library says of damaged bytes, without the stack it adds."""
    return (str(broken).splitlines() or [type(broken).__name__])[0][:200]


def _faults(folder: Path) -> Iterator[str]:
    from deltalake import DeltaTable

    try:
        files = pl.DataFrame(DeltaTable(folder).get_add_actions(flatten=True)).select("path", "size_bytes", "num_records").rows()
    except BaseException as broken:  # as in _table
        if isinstance(broken, KeyboardInterrupt | SystemExit):
            raise
        yield f"its log cannot be read: {first_line(broken)}"
        return
    for name, size, records in files:
        path = folder / unquote(name)
        if not path.is_file():
            yield f"the file {name} is missing"
        elif path.stat().st_size != size:
            yield f"the file {name} was changed: it has {path.stat().st_size:,} bytes, {size or 0:,} were written"
        elif (found := lake_tail.rows_in(path)) != records:
            written = "nobody knows how many" if records is None else f"{records:,}"
            yield f"the file {name} was changed: {'it cannot be read' if found is None else f'it has {found:,} rows'}, {written} rows were written"


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


def _commit(transaction: tuple[str, int] | None) -> CommitProperties:
    from deltalake import CommitProperties, Transaction

    return CommitProperties(app_transactions=[Transaction(*transaction)] if transaction else None)


def _writer(columns: Columns, layout: Layout) -> WriterProperties:
    from deltalake import ColumnProperties, WriterProperties

    # A dictionary of measured numbers is as long as the column: without it, writing takes a third of the time.
    chosen = {name: ColumnProperties(dictionary_enabled=False) for name, kind in columns.items() if kind in (pl.Float64, pl.Float32)}
    chosen |= {name: ColumnProperties(statistics_enabled="NONE") for name in layout.people}
    return WriterProperties(compression="ZSTD", column_properties=chosen or None)
