"""An opened store: everything that rests in one workspace, with its key, its clock and its settings."""

from __future__ import annotations

from dataclasses import dataclass
from os import environ
from pathlib import Path

import polars as pl
from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError

from trunkline.core.clock import Clock, now
from trunkline.core.config import Configuration
from trunkline.core.errors import WorkspaceError
from trunkline.core.frames import ELEMENTS, EVENTS, RECORDS, RELATIONS
from trunkline.store.blobs import Blobs
from trunkline.store.catalogue import open_catalogue
from trunkline.store.database import open_database
from trunkline.store.intake import Intake
from trunkline.store.journal import Journal
from trunkline.store.keys import SigningKey, open_key
from trunkline.store.lake import Lake, Layout

DATABASE = "trunkline.db"

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
    exists = (folder / DATABASE).is_file()
    if not exists and not create:
        raise WorkspaceError(f"There is no workspace in {folder}.", next_step=f"trunkline workspace new {folder}")
    engine = open_database(folder / DATABASE)
    try:
        open_catalogue(engine)
    except DatabaseError as broken:
        engine.dispose()
        raise WorkspaceError(
            f"The workspace in {folder} cannot be opened: {broken.orig or broken}.",
            where=str(folder / DATABASE),
            allowed="a folder that one process at a time writes, on a disk with space left",
            next_step="If another process holds it, wait for that; if the file is damaged, restore it from a backup.",
        ) from broken
    signer = open_key(key_folder(configuration), data_folder=folder)
    blobs = Blobs(folder / "blobs")
    return Store(
        folder=folder,
        engine=engine,
        journal=Journal(engine, signer, clock),
        intake=Intake(engine, blobs, clock),
        lake=Lake(folder / "lake", LAYOUTS),
        blobs=blobs,
        signer=signer,
        configuration=configuration,
        clock=clock,
    )


def key_folder(configuration: Configuration) -> Path:
    """Where the signing key lies: as configured, else under the user's own configuration."""
    if configuration.settings.keys:
        return Path(configuration.settings.keys).expanduser()
    home = Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return home / "trunkline" / "keys"
