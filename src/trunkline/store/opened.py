"""An opened store: everything that rests in one workspace, with its key, its clock and its settings."""

from __future__ import annotations

from dataclasses import dataclass
from os import environ, fsync
from pathlib import Path
from uuid import uuid4

import polars as pl
from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError

from trunkline.core.clock import Clock, now
from trunkline.core.config import FILE, Configuration
from trunkline.core.errors import WorkspaceError
from trunkline.core.frames import ELEMENTS, EVENTS, RECORDS, RELATIONS
from trunkline.store import alarms, catalogue, followed, heartbeats, migrations, outbox, positions, snapshots, tallies
from trunkline.store.beside import sync_tree
from trunkline.store.blobs import Blobs, sync_folder
from trunkline.store.catalogue import format_of, open_catalogue
from trunkline.store.database import open_database, prepare, transaction
from trunkline.store.database_faults import shown
from trunkline.store.intake import Intake
from trunkline.store.journal import Journal
from trunkline.store.keys import SigningKey, open_key
from trunkline.store.lake import Lake, Layout
from trunkline.store.lake_tail import sync_file
from trunkline.store.postgres import schema_of

DATABASE = "trunkline.db"
BOUND = "workspace.id"
"""In the folder of a workspace whose database is PostgreSQL: the name it has there, so that no other folder can take it for its own."""

_TABLES = (alarms.platform_alarms, followed.kept_books, heartbeats.heartbeats, outbox.outbox, positions.positions, snapshots.snapshots, tallies.tallies)
"""Of a workspace's work; what is prepared by a class of its own (journal, intake) or when first needed is not here."""

_REGION = {"region": pl.String}
LAYOUTS = {
    # How several values of one slot become one, and where a meter starts again, is the source's to say: it travels with a measurement.
    "measurements": Layout(
        {**RECORDS, "aggregate": pl.String, "wrap": pl.Float64, **_REGION}, key=("element", "object_class", "name", "dimension", "at", "period_s")
    ),
    "events": Layout({**EVENTS, **_REGION}, key=("event_id",)),
    "relations": Layout({**RELATIONS, **_REGION}, key=("element", "relation", "other")),
    "elements": Layout(ELEMENTS, key=("element",), further=True),
}
"""The tables of a workspace. Each names the region of a row, so that a view can be limited to regions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """What one workspace keeps. Only the run layer holds it; everything above layer 2 gets a View."""

    folder: Path
    engine: Engine
    journal: Journal
    intake: Intake
    lake: Lake
    blobs: Blobs
    signer: SigningKey
    configuration: Configuration
    clock: Clock = now

    def close(self) -> None:
        """Give the database file back."""
        self.engine.dispose()


def open_store(folder: Path, configuration: Configuration, *, clock: Clock = now, create: bool = False) -> Store:
    """Open the store in *folder*; with *create*, make it.

    Raises
    ------
    WorkspaceError
        There is no workspace (or already one, with *create*), or it is of another format.
    """
    where = _where(folder, configuration, create=create)
    if create:  # its key first: stopped in between, there is no workspace yet, rather than one that nobody can open
        open_key(key_folder(configuration), data_folder=folder)
    engine = open_database(where)
    try:
        if isinstance(where, str):
            _bind(engine, folder, create=create)
        migrations.keep_copy(engine, folder)
        open_catalogue(engine)
        prepare(engine, *_TABLES)
        if isinstance(where, str):
            _name(engine, folder)
        opened = _opened(folder, configuration, engine, clock, create=create)
        if create:
            _sync_all(folder)
    except DatabaseError as broken:
        engine.dispose()
        raise WorkspaceError(
            f"The workspace in {folder} cannot be opened: {broken.orig or broken}.",
            where=shown(engine),
            allowed="a folder that one process at a time writes, on a disk with space left",
            next_step="If another process holds it, wait for that; if the file is damaged, restore it from a backup.",
        ) from broken
    except BaseException:
        engine.dispose()
        raise
    return opened


def _sync_all(folder: Path) -> None:
    """Put a new workspace on the disk: what is kept in it later is worth nothing where a power cut takes a folder above it."""
    if (folder / FILE).is_file():
        sync_file(folder / FILE)
    sync_tree(folder)
    sync_folder(folder.absolute().parent)


def is_workspace(folder: Path) -> bool:
    """Whether a workspace is in *folder*."""
    return (folder / DATABASE).is_file() or (folder / BOUND).is_file()


def _where(folder: Path, configuration: Configuration, *, create: bool) -> str | Path:
    """Where the database of the workspace in *folder* is: a file in it, or the address of one in PostgreSQL."""
    given, origin = configuration.settings.database, configuration.origins.get("database", "")
    if not is_workspace(folder) and not create:
        raise WorkspaceError(f"There is no workspace in {folder}.", next_step=f"trunkline workspace new {folder}")
    if given and (folder / DATABASE).is_file():
        raise WorkspaceError(
            f"This workspace keeps its catalogue in {DATABASE}, and the setting 'database' names another place.",
            where=f"database, from {origin}",
            allowed="a setting 'database' that is empty",
            next_step="Unset it; or move the workspace there: trunkline workspace backup, then restore with --database.",
        )
    if not given and (folder / BOUND).is_file():
        raise WorkspaceError(
            "This workspace keeps its catalogue in PostgreSQL, and nothing says where.",
            where=str(folder / BOUND),
            allowed="the setting 'database'",
            next_step=f'Put database = "postgresql://USER@HOST/DATABASE" into {folder / FILE}, or set TRUNKLINE_DATABASE.',
        )
    return given or folder / DATABASE


def _bind(engine: Engine, folder: Path, *, create: bool) -> None:
    """See that the schema and *folder* belong together, and mark a new folder before anything is made in the schema."""
    there = None if format_of(engine) is None else catalogue.told(engine, "workspace")
    path = folder / BOUND
    here = path.read_text(encoding="utf-8").strip() if path.is_file() else None
    if there is None and here is None and create:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(uuid4().hex + "\n")
            file.flush()
            fsync(file.fileno())
        sync_folder(folder)
    elif there is not None and there != here:
        raise WorkspaceError(
            "The schema holds the catalogue of another workspace." if here else "The schema holds a catalogue, and this folder is not the one it belongs to.",
            where=f"{shown(engine)}, schema {schema_of(engine)}",
            allowed="one schema for each workspace",
            next_step="Name another schema: postgresql://…/DATABASE?schema=NAME",
        )
    elif there is None and not create:
        raise WorkspaceError(
            f"There is no workspace in the schema '{schema_of(engine)}'.",
            where=shown(engine),
            allowed="the database and the schema in which it was made",
            next_step="Look at the setting 'database': trunkline workspace show --config. If the schema is lost, restore it from a backup.",
        )


def _name(engine: Engine, folder: Path) -> None:
    if catalogue.told(engine, "workspace") is None:
        with transaction(engine) as connection:
            catalogue.add(connection, catalogue.meta, key="workspace", value=(folder / BOUND).read_text(encoding="utf-8").strip())


def _opened(folder: Path, configuration: Configuration, engine: Engine, clock: Clock, *, create: bool) -> Store:
    signer = open_key(key_folder(configuration), data_folder=folder, make=create)
    blobs = Blobs(folder / "blobs")
    journal, lake = Journal(engine, signer, clock, configuration.settings.witness), Lake(folder / "lake", LAYOUTS)
    migrations.migrate(engine, journal)
    _mend(engine, journal, lake)
    return Store(
        folder=folder,
        engine=engine,
        journal=journal,
        intake=Intake(engine, blobs, clock),
        lake=lake,
        blobs=blobs,
        signer=signer,
        configuration=configuration,
        clock=clock,
    )


def _mend(engine: Engine, journal: Journal, lake: Lake) -> None:
    """Take off what a power cut tore off the lake's tables, and have it read again from the intake: it was never acknowledged from the lake."""
    if not lake.torn():
        return
    with transaction(engine) as connection:
        for torn in lake.torn():  # asked again: another process may have been quicker
            table = torn.table.name
            remains = lake.repair(torn)
            kept = lake.transaction(table, f"load {table}") or 0 if remains >= 0 else 0
            catalogue.set_loaded_back(connection, kept)
            journal.append("lake.mended", {"table": table, "since": torn.since, "why": torn.why, "read again after": kept}, connection)


def key_folder(configuration: Configuration) -> Path:
    """Where the signing key lies: as configured, else under the user's own configuration."""
    if configuration.settings.keys:
        return Path(configuration.settings.keys).expanduser()
    home = Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return home / "trunkline" / "keys"
