"""Files into the workspace: taken in, recognised by content, read, kept; what cannot be used is put aside and counted.

Every file goes through the intake first: the same content under two names is one file. Series are
keyed by what was measured, so a longer export of the same weeks adds what is new and a changed value
is a restatement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, cast

import polars as pl

from trunkline.core.clock import duration, duration_text
from trunkline.core.errors import BadFile, BadInput, UnknownName, WorkspaceError
from trunkline.core.frames import RECORDS
from trunkline.core.plain_file import open_plain
from trunkline.data import column_map, counters, events, guess, inventory, series, sniff
from trunkline.run.measured import Measured
from trunkline.run.restated import RECEIVED, restated
from trunkline.store import catalogue
from trunkline.store.categories import spelled
from trunkline.store.database import transaction
from trunkline.store.intake import Arrival
from trunkline.store.lake import Compacted
from trunkline.store.opened import BOUND, DATABASE, Store

Progress = Callable[[str, float], None]
MEASUREMENTS = "measurements"
UNSURE = 0.7
"""Of many files only what was guessed with less confidence than this is told; of a single one everything."""
PRODUCTS = (MEASUREMENTS, "events", "relations", "elements")
_ENOUGH = 200_000  # rows collected before an append: Delta wants few large ones
_ENOUGH_CODED = 1_000_000  # where texts are not spelled out; with more of them, the memory costs more than the append
_AT_ONCE = 128  # files taken in with one commit, and measurement files read together


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How files are to be read where they do not say themselves.

    ``arrival`` tells when a file was received: "period end" plus the delay of the configuration, or
    "file time" (its modification time, right for a directory that the network writes into and wrong
    for copies). ``counter_maps`` is a folder of counter maps of your own; the folder ``counter-maps`` of
    the workspace is read anyway.
    """

    column_map: str | Path | None = None
    zone: str | None = None
    assume_zone: str | None = None
    every: str | None = None
    counter_maps: str | Path | None = None
    arrival: Literal["period end", "file time"] = "period end"
    received_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What became of one file."""

    path: str
    kind: str
    rows: int = 0
    quarantined: int = 0
    notes: tuple[str, ...] = ()
    state: Literal["loaded", "seen before", "refused", "left out", "dry run"] = "loaded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What became of all files."""

    files: tuple[FileReport, ...]
    unmapped: pl.DataFrame
    """Counters without a map entry: object class, counter, how many values. They are kept under the vendor's name."""
    folder: str = ""
    """The workspace that holds what was put aside; empty where nothing was kept."""
    counted_after: str = ""
    """How long after its period a measurement file counts as known, where no arrival was recorded."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was guessed, repaired and put aside, each once."""
        counts = Counter(one.kind for one in self.files if one.state in {"loaded", "dry run"})
        said = [f"Read {count} {_plural(kind, count)}." for kind, count in counts.items()]
        said += [
            f"{n} file(s) had been taken in before, under this or another name, and changed nothing."
            for n in [sum(f.state == "seen before" for f in self.files)]
            if n
        ]
        if counts["pm_xml"] and self.counted_after:
            said.append(f"No arrival was recorded: measurement files count as known {self.counted_after} after their period's end.")
        aside = sum(f.quarantined for f in self.files)
        kept = f" and lie in the quarantine with line and reason: trunkline -w {self.folder} data quarantine" if self.folder else ""
        said += [f"{aside} record(s) could not be used{kept}."] if aside else []
        said += [f"{f.path}: {note}" for f in self.files if f.state == "refused" for note in f.notes]
        left = [Path(f.path).name for f in self.files if f.state == "left out"]
        said += [f"Left out, because they are no data: {', '.join(left[:6])}{' …' if len(left) > 6 else ''}."] if left else []
        if not self.unmapped.is_empty():
            first = ", ".join(self.unmapped["counter"].head(3))
            said.append(f"{self.unmapped.height} counters are in no map ({first} …) and are kept under the vendor's own names; `--json` lists them all.")
        repeated = Counter(note for f in self.files if f.state in {"loaded", "dry run"} for note in f.notes)
        said += [note if count == 1 else f"{note} ({count} files)" for note, count in repeated.items()]
        return tuple(said)

    @property
    def rows(self) -> int:
        """Rows that were read."""
        return sum(f.rows for f in self.files)

    def frame(self) -> pl.DataFrame:
        """One row per file."""
        return pl.DataFrame(
            [(f.path, f.kind, f.rows, f.quarantined, f.state) for f in self.files],
            schema={"file": pl.String, "kind": pl.String, "rows": pl.Int64, "quarantined": pl.Int64, "state": pl.String},
            orient="row",
        )


def paths_of(files: Iterable[str | Path]) -> list[Path]:
    """The files meant: each as given, of a folder all that lie in it but what a workspace keeps, sorted.

    Raises
    ------
    BadInput
        A path that is not there; or nothing was given.
    """
    found: list[Path] = []
    for given in map(Path, files):
        if not _can_be_named(given):
            raise BadFile("No file can have this name.", path=str(given)[:200], next_step="Check the name.")
        if given.is_dir():
            own = [kept.parent for name in (DATABASE, BOUND) for kept in given.rglob(name)]
            found += sorted(p for p in given.rglob("*") if p.is_file() and not p.name.startswith(".") and not any(p.is_relative_to(w) for w in own))
        elif given.exists():
            found.append(given)
        else:
            beside = sorted(p.name for p in given.parent.iterdir() if not p.name.startswith(".")) if given.parent.is_dir() else []
            raise UnknownName("file", str(given), beside[:50], where=str(given.parent.resolve()))
    if not found:
        raise BadInput("No file was given.", allowed="files, or folders with files in them")
    return list(dict.fromkeys(found))


def load(store: Store, files: Sequence[str | Path], *, options: Options | None = None, dry_run: bool = False, progress: Progress | None = None) -> Loaded:
    """Take *files* in and keep what is in them; a file that cannot be read does not stop the others."""
    named = {Path(given) for given in files}
    return _Loading(store, options or Options(), dry_run, named).run(paths_of(files), progress)


_ALWAYS_KEPT = 2**63  # above every number of an arrival


def catch_up(store: Store) -> None:
    """Keep what was taken in and, by a crash, never kept."""
    _Loading(store, Options(), dry_run=False, named=set()).catch_up()


def compact(store: Store) -> list[Compacted]:
    """Put the small files of each table together; a table of one file is left alone."""
    done = [store.lake.compact(table) for table in store.lake.tables()]
    store.journal.append("lake.compacted", {one.table: {"files before": one.before, "files after": one.after} for one in done})
    return done


class _Loading:
    """One load: collects frames per table and appends them in large pieces.

    The intake holds a file before anything is read from it. What was taken in and, by a crash, never
    kept is read again first; a table that had got its rows already does not get them twice, because
    the lake remembers up to which arrival each table was written.
    """

    def __init__(self, store: Store, options: Options, dry_run: bool, named: set[Path]) -> None:
        self.store, self.options, self.dry_run, self.named = store, options, dry_run, named
        self.done = catalogue.loaded_through(store.engine)
        self.written = {table: store.lake.transaction(table, f"load {table}") or 0 for table in PRODUCTS}
        self.sequence = 0
        self.map = None if options.column_map is None else column_map.load(options.column_map)
        self.waiting: dict[str, list[pl.DataFrame]] = {}
        self.rows = 0
        self.newest = 0
        self.is_alone = True
        self.reports: list[FileReport] = []
        self.unmapped: list[pl.DataFrame] = []
        own = [Path(f) for f in (store.folder / "counter-maps", options.counter_maps) if f is not None and Path(f).is_dir()]
        self.maps = counters.load_maps(*own)
        self.delay = duration(store.configuration.settings.delay)
        self.measured = Measured(self.maps, self.delay, self.options.zone)

    def run(self, paths: list[Path], progress: Progress | None) -> Loaded:
        self.is_alone = len(paths) == 1
        if not self.dry_run:
            self.catch_up()
        done = 0
        for begin in range(0, len(paths), _AT_ONCE):
            for path, kind, why, arrival in self.accepted(paths[begin : begin + _AT_ONCE]):
                self.reports.append(self.one(path, kind, why, arrival))
                done += 1
                if progress:
                    progress("reading files", done / len(paths))
                self.flush_if_much()
            self.measured.gather()
            self.flush_if_much()
        self.flush()
        self.reports = [replace(one, rows=self.measured.rows_of[one.path]) if one.path in self.measured.rows_of else one for one in self.reports]
        after = duration_text(self.delay) if self.options.arrival == "period end" and self.options.received_at is None else ""
        return Loaded(
            files=tuple(self.reports),
            unmapped=_counted([*self.unmapped, *self.measured.unmapped]),
            folder="" if self.dry_run else str(self.store.folder),
            counted_after=after,
        )

    def catch_up(self) -> None:
        """Read again what an earlier load took in and did not get to keep."""
        with TemporaryDirectory() as folder:
            for arrival in list(self.store.intake.after(self.done)):
                self.flush_if_much()
                path = Path(folder) / str(arrival.sequence) / Path(arrival.name).name  # readers name elements after the file
                path.parent.mkdir()
                path.symlink_to(self.store.blobs.path(arrival.id).resolve())
                self.newest = self.sequence = arrival.sequence
                try:
                    self.reports.append(self.read(path, arrival.source, arrival))
                except BadInput as refused:
                    self.reports.append(self.refuse(path, arrival.source, refused, arrival))
            self.flush()

    def accepted(self, paths: list[Path]) -> Iterator[tuple[Path, str, BadInput, Arrival | None]]:
        """What each path is, and its arrival: those of one lot are taken in with one commit, before the first is read."""
        looked: list[tuple[Path, str, BadInput]] = []
        broken: OSError | None = None
        for path in paths:
            try:
                looked.append((path, *_kind(path)))
            except OSError as unreadable:  # told when its turn comes
                broken = unreadable
                break
        known = [] if self.dry_run else [(kind, path, self.received(path) or self.store.clock(), None) for path, kind, _ in looked if kind != "unknown"]
        try:
            arrivals = iter(self.store.intake.accept_many(known)) if known else iter([])
        except (BadInput, WorkspaceError):  # one of them: the others are taken in before it, and it is told
            arrivals = (self.store.intake.accept(kind, path, received) for kind, path, received, _ in known)
        for path, kind, why in looked:
            yield path, kind, why, None if self.dry_run or kind == "unknown" else next(arrivals)
        if broken is not None:
            raise broken

    def one(self, path: Path, kind: str, why: BadInput, arrival: Arrival | None) -> FileReport:
        if kind == "unknown" and path not in self.named:
            return FileReport(path=str(path), kind=kind, state="left out")
        if kind == "unknown":
            return self.refuse(path, kind, why)
        if arrival is not None:
            if not arrival.is_new:
                return self.again(path, kind, arrival) if self.store.intake.refused(arrival) else FileReport(path=str(path), kind=kind, state="seen before")
            self.newest = self.sequence = arrival.sequence
        try:
            read = self.read(path, kind, arrival)
        except BadInput as refused:
            return self.refuse(path, kind, refused, arrival)
        return replace(read, state="dry run") if self.dry_run else read

    def again(self, path: Path, kind: str, arrival: Arrival) -> FileReport:
        """Read a file that was refused: what was wanting, its zone or its column map, may have been said this time."""
        self.flush()
        self.sequence = _ALWAYS_KEPT
        try:
            read = self.read(path, kind, arrival)
        except BadInput as refused:
            self.waiting, self.rows = {}, 0
            return self.refuse(path, kind, refused, arrival)
        measured = [spelled(one) for one in self.measured.take()]
        frames_of = {**self.waiting, **({MEASUREMENTS: measured} if measured else {})}
        for table, frames in frames_of.items():  # its number is old: the lake would take it for written
            self.store.lake.append(table, _prepared(self.store, table, frames), transaction=(f"read again {arrival.id}", 1))
        self.waiting, self.rows = {}, 0
        self.store.intake.readmit(arrival)
        return read

    def refuse(self, path: Path, kind: str, refused: BadInput, arrival: Arrival | None = None) -> FileReport:
        if not self.dry_run:
            self.store.intake.refuse(arrival or path, reason=refused.what, line=getattr(refused, "line", None))
        return FileReport(path=str(path), kind=kind, quarantined=1, notes=(str(refused),), state="refused")

    def received(self, path: Path) -> datetime | None:
        if self.options.received_at is not None:
            return self.options.received_at
        if self.options.arrival == "file time":
            return datetime.fromtimestamp(path.stat().st_mtime, UTC)
        return None

    def read(self, path: Path, kind: str, arrival: Arrival | None) -> FileReport:
        source = f"{path.name}#{arrival.sequence}" if arrival else str(path)
        if kind == "pm_xml":
            return self.measurements(path, source, arrival)
        if kind == "records":
            frame = pl.read_parquet(path).with_columns(source=pl.lit(source))
            self.keep(MEASUREMENTS, frame if arrival is None else frame.with_columns(pl.lit(arrival.received_at).alias(RECEIVED)))
            return FileReport(path=str(path), kind=kind, rows=frame.height)
        if kind == "series":
            found = series.read(path, self.columns(path), assume_zone=self.options.assume_zone)
            self.keep(MEASUREMENTS, self.came(found.records.with_columns(source=pl.lit(source)), path, arrival))
            return self.report(path, kind, found.records.height, found.quarantine, (*found.notes, *self.guessed(path, found.map)), arrival)
        if kind in {"alarms", "states", "works"}:
            told = events.read(path, cast("Any", kind), zone=self.options.zone, assume_zone=self.options.assume_zone)
            self.keep("events", told.events.with_columns(source=pl.lit(source)))
            return self.report(path, kind, told.events.height, told.quarantine, told.notes, arrival)
        if kind == "elements":
            found_elements = inventory.read_elements(path)
            self.keep("elements", found_elements.elements)
            return self.report(path, kind, found_elements.elements.height, found_elements.quarantine, found_elements.notes, arrival)
        related = inventory.read_relations(path)
        self.keep("relations", related.relations)
        return self.report(path, kind, related.relations.height, related.quarantine, related.notes, arrival)

    def measurements(self, path: Path, source: str, arrival: Arrival | None) -> FileReport:
        received = arrival.received_at if arrival and self.options.arrival == "file time" else self.received(path)
        is_kept = self.dry_run or self.sequence > self.written[MEASUREMENTS]
        file = self.measured.add(path, source, received, is_kept=is_kept)
        if file.quarantine and not self.measured.found:
            first = file.quarantine[0]
            raise BadFile(f"Nothing of the file could be read: {first.reason}.", path=path, line=first.line)
        return self.report(path, "pm_xml", 0, file.quarantine, file.notes, arrival)

    def guessed(self, path: Path, found: column_map.ColumnMap) -> list[str]:
        """What was guessed and nobody has settled."""
        settled = {"zone"} if self.options.zone else set()
        open_ = [c for c in found.choices if c.what not in settled and (self.is_alone or c.confidence < UNSURE)]
        return [] if self.map else [f"{path.name}: {choice}".rstrip() for choice in open_]

    def columns(self, path: Path) -> column_map.ColumnMap:
        chosen = self.map or guess.guess(path)
        if self.options.zone:
            chosen = replace(chosen, zone=self.options.zone)
        if self.options.every and chosen.every is None:
            chosen = replace(chosen, every=duration(self.options.every))
        return chosen

    def report(self, path: Path, kind: str, rows: int, quarantine: Iterable[Any], notes: Iterable[str], arrival: Arrival | None) -> FileReport:
        aside = list(quarantine)
        if arrival is not None and aside:
            with transaction(self.store.engine) as connection:
                for one in aside:
                    self.store.intake.quarantine(arrival, reason=one.reason, line=one.line, excerpt=one.excerpt, connection=connection)
        return FileReport(path=str(path), kind=kind, rows=rows, quarantined=len(aside), notes=tuple(notes))

    def came(self, records: pl.DataFrame, path: Path, arrival: Arrival | None) -> pl.DataFrame:
        """Records of a series, known when their file was received where that is recorded; never before their period's end."""
        if arrival is None:
            return records
        recorded = arrival.received_at if self.options.arrival == "file time" else self.received(path)
        known = records if recorded is None else records.with_columns(known_at=pl.max_horizontal("known_at", pl.lit(recorded)))
        return known.with_columns(pl.lit(arrival.received_at).alias(RECEIVED))

    def keep(self, table: str, frame: pl.DataFrame) -> None:
        if not self.dry_run and self.sequence <= self.written[table]:
            return
        self.waiting.setdefault(table, []).append(frame)
        self.rows += frame.height

    def flush_if_much(self) -> None:
        """Append what was read where it is much, so that memory does not grow with the number of files."""
        if self.rows >= _ENOUGH or self.measured.rows >= _ENOUGH_CODED:
            self.flush()

    def flush(self) -> None:
        measured = self.measured.take()
        if measured and not self.waiting.get(MEASUREMENTS):
            if not self.dry_run:
                parts = [_dressed(self.store, one) for one in measured]
                self.store.lake.append_parts(MEASUREMENTS, parts, transaction=(f"load {MEASUREMENTS}", self.newest))
        elif measured:
            self.waiting.setdefault(MEASUREMENTS, []).extend(map(spelled, measured))
        for table, frames in self.waiting.items():
            if not self.dry_run:
                together = _prepared(self.store, table, restated(self.store, frames) if table == MEASUREMENTS else frames)
                self.store.lake.append(table, together, transaction=(f"load {table}", self.newest))
        self.waiting, self.rows = {}, 0
        if not self.dry_run and self.newest:
            catalogue.set_loaded_through(self.store.engine, self.newest)


def _can_be_named(path: Path) -> bool:
    try:
        path.exists()
    except (OSError, ValueError):  # too long, too many links, a NUL in it
        return False
    return True


def _kind(path: Path) -> tuple[str, BadInput]:
    """What *path* is; beside it the reason where it is unknown."""
    try:
        with open_plain(path) as file:
            begin = file.readline(500)
    except (OSError, BadFile):  # what stands in the way is said below
        begin = b""
    if begin.startswith(b"PAR1") and _holds_records(path):
        return "records", BadInput("")
    if b"is_fault" in begin:  # the truth beside a simulated network is for scoring, never for learning
        return "unknown", BadFile("This is the truth about a simulated network, not data.", path=path, next_step="--truth FILE compares with it.")
    found = sniff.look(path)
    return found.kind, found.error or BadFile(f"It is not known what this file is: {found.why}.", path=path)


def _holds_records(path: Path) -> bool:
    try:
        return set(RECORDS) <= set(pl.read_parquet_schema(path))
    except pl.exceptions.PolarsError:  # it only begins like Parquet
        return False


def _prepared(store: Store, table: str, frames: list[pl.DataFrame]) -> pl.DataFrame:
    """Frames of one table as one, with the region each row belongs to."""
    layout = store.lake.layout(table)
    together = pl.concat(frames, how="diagonal_relaxed")
    region = store.configuration.settings.region
    if "region" in layout.columns:
        given = pl.col("region") if "region" in together.columns else pl.lit(None, dtype=pl.String)
        together = together.with_columns(region=given.fill_null(region))
    missing = [name for name in layout.columns if name not in together.columns]
    together = together.with_columns(pl.lit(None, dtype=layout.columns[name]).alias(name) for name in missing)
    return together if layout.further else together.select(list(layout.columns))


def _dressed(store: Store, records: pl.DataFrame) -> pl.DataFrame:
    """Records of measurement files with all columns of their table."""
    region = store.configuration.settings.region
    same = {"region": _same(region, records.height), "aggregate": _same(None, records.height)}
    return records.with_columns(**same).select(list(store.lake.layout(MEASUREMENTS).columns))


def _same(text: str | None, height: int) -> pl.Series:
    return pl.Series([text], dtype=pl.Enum([] if text is None else [text])).new_from_index(0, height)


def listed(store: Store) -> pl.DataFrame:
    """Every file that was taken in."""
    aside = Counter(one.sequence for one in store.intake.quarantined())
    found = [(a.sequence, a.source, a.name, a.received_at, a.size, aside[a.sequence]) for a in store.intake.after(0)]
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        "number": pl.Int64,
        "kind": pl.String,
        "file": pl.String,
        "received_at": pl.Datetime("us", "UTC"),
        "bytes": pl.Int64,
        "quarantined": pl.Int64,
    }
    return pl.DataFrame(found, schema=schema, orient="row")


def newest(store: Store, product: str, limit: int) -> pl.DataFrame:
    """The newest rows of a product."""
    if product not in PRODUCTS:
        raise UnknownName("product", product, PRODUCTS)
    found = store.lake.read(product)
    time = next((c for c in ("at", "start") if c in found.collect_schema()), None)
    return (found.sort(time, descending=True) if time else found).head(limit).collect()


def _counted(unmapped: list[pl.DataFrame]) -> pl.DataFrame:
    frames = [f for f in unmapped if not f.is_empty()]
    if not frames:
        return pl.DataFrame(schema={"object_class": pl.String, "counter": pl.String, "values": pl.Int64})
    return pl.concat(frames, how="diagonal_relaxed").group_by("object_class", "counter").agg(pl.col("values").sum()).sort("object_class", "counter")


def _plural(kind: str, count: int) -> str:
    word = {"pm_xml": "measurement file", "series": "series file", "records": "file of records"}.get(kind, f"file of {kind}")
    return word if count == 1 else word.replace("file", "files", 1)
