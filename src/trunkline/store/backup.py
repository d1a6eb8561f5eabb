"""A copy of a workspace as it was at one moment, made while others go on writing.

The moment is one at which no transaction is under way: for some milliseconds the backup holds the writers' lock, in which
a snapshot of the database begins and the versions of the lake's tables are noted. What was taken in by then is in it whole;
what came later is not in it at all. Then everything is copied at leisure.

A backup is a folder (or the same as one ``.tar`` file):

    backup.json        when, by which release, format numbers, the journal's checkpoint, every file with size and hash
    backup.sig         signature of backup.json by the workspace's key
    public-key.pem     the public half of that key
    rows/TABLE.jsonl   every table of the database, see portable_rows
    lake/, blobs/      the tables at their versions, and the contents
    trunkline.toml, counter-maps/

**The signing key is never in it**: back it up separately. A restore needs it.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sqlalchemy import Connection, func, select

from trunkline.core import config
from trunkline.core.clock import utc_text
from trunkline.core.errors import BadFile, BadInput, WorkspaceError
from trunkline.core.plain_file import open_plain
from trunkline.store import beside, blobs, catalogue, entry, erasures, intake, lake_tail, portable_rows
from trunkline.store.database import reading, transaction
from trunkline.store.opened import Store

FORMAT = 1
"""Of the backup itself."""

MANIFEST, SIGNATURE, PUBLIC = "backup.json", "backup.sig", "public-key.pem"
Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """What a backup holds, or would hold."""

    place: str
    made_at: str
    release: str
    workspace_format: int
    database: str
    key: str
    checkpoint: Mapping[str, Any]
    """Of the journal: keep it elsewhere, and a backup that was exchanged is found out."""
    rows: Mapping[str, int]
    lake: Mapping[str, int]
    """The version of each table."""
    blobs: int
    bytes: int


def backup(store: Store, place: Path, *, dry_run: bool = False, progress: Progress | None = None) -> Backup:
    """Write a backup of *store* to *place*: a folder that is not there yet, or a file ending in ``.tar``.

    Raises
    ------
    BadInput
        There is something at *place*, or it lies in the workspace.
    WorkspaceError
        The disk is full, or something was erased while it was copied: repeat it.
    """
    place = place.absolute()
    if place.exists():
        raise BadInput(f"There is something at {place} already.", allowed="a new name", next_step="Name another folder or file; one for each backup.")
    if place.is_relative_to(store.folder.absolute()):
        raise BadInput("A backup inside the workspace is lost with it.", where=str(place), allowed="a place outside the workspace, best on another disk")
    erasures.finish(store)
    with _cut(store) as cut:
        if dry_run:
            return _told(store, place, cut, _sizes(store, cut))
        with beside.made_beside(place) as folder:
            files = _copy(store, cut, folder, progress or (lambda *_: None))
            told = _told(store, place, cut, files)
            _seal(store, folder, cut, told, files)
            _finish(folder, place)
    store.journal.append("workspace.backup", {"checkpoint": told.checkpoint["size"], "root": told.checkpoint["root"], "files": len(files)})
    return told


@dataclass(frozen=True, slots=True)
class _Cut:
    """One moment of a workspace: a snapshot of its database, and the versions of its tables then."""

    connection: Connection
    lake: Mapping[str, int]
    checkpoint: Mapping[str, Any]


@contextmanager
def _cut(store: Store) -> Iterator[_Cut]:
    with reading(store.engine) as connection:
        with transaction(store.engine):
            connection.execute(select(func.count()).select_from(catalogue.meta)).scalar_one()  # the snapshot begins with what is read first
            lake = {table: store.lake.version(table) for table in store.lake.tables()}
            checkpoint = store.journal.checkpoint().plain()
        yield _Cut(connection, lake, checkpoint)


def _copy(store: Store, cut: _Cut, folder: Path, progress: Progress) -> dict[str, tuple[int, str]]:
    files: dict[str, tuple[int, str]] = {}
    found = portable_rows.tables(cut.connection)
    for number, one in enumerate(found, start=1):
        files[f"rows/{one.name}.jsonl"] = _write_rows(cut.connection, one, folder / "rows" / f"{one.name}.jsonl")
        progress("rows", number / len(found))
    sources = list(_sources(store, cut))
    for number, (name, source) in enumerate(sources, start=1):
        try:
            files[name] = beside.copy(source, folder / name)
        except FileNotFoundError as gone:
            raise WorkspaceError(
                "Something was erased while the backup was made, so it was given up.", where=str(source), next_step="Repeat it; nothing was left behind."
            ) from gone
        if name.startswith("blobs/") and files[name][1] != source.name:
            raise WorkspaceError(
                f"A content that was taken in is no longer what it was: {source.name}.",
                where=str(source),
                next_step="trunkline workspace check names everything that is damaged; restore it from an older backup first.",
            )
        progress("files", number / len(sources))
    return files


def _write_rows(connection: Connection, one: Any, path: Path) -> tuple[int, str]:
    path.parent.mkdir(exist_ok=True)
    digest, size = sha256(), 0
    with path.open("xb") as file:
        for line in portable_rows.lines(connection, one):
            digest.update(line)
            size += len(line)
            file.write(line)
    lake_tail.sync_file(path)
    return size, digest.hexdigest()


def _sources(store: Store, cut: _Cut) -> Iterator[tuple[str, Path]]:
    """The files of the cut: name in the backup, and where they lie."""
    for table, newest in cut.lake.items():
        for path in _files_of(store.lake.folder / table, newest):
            yield f"lake/{table}/{path.relative_to(store.lake.folder / table)}", path
    for blob in store.blobs.ids():
        yield f"blobs/{blob[:2]}/{blob}", store.blobs.path(blob)
    own = [store.folder / config.FILE, *sorted((store.folder / "counter-maps").rglob("*"))]
    for path in own:
        if path.is_file():
            yield str(path.relative_to(store.folder)), path


def _files_of(table: Path, newest: int) -> list[Path]:
    """Log and data of *table* up to version *newest*: data files of older versions, too, where they are still there."""
    from deltalake import DeltaTable

    found = [table / lake_tail.LOG / f"{version:020}.json" for version in lake_tail.versions(table) if version <= newest]
    older = {unquote(action["add"]["path"]) for log in found for action in map(json.loads, log.read_bytes().splitlines()) if "add" in action}
    found += [path for version, files in lake_tail.checkpoints(table).items() if version <= newest for path in files]
    data = {unquote(name) for name in _names(DeltaTable(table, version=newest))} | {name for name in older if (table / name).is_file()}
    return sorted([*found, *(table / name for name in data)])


def _names(opened: Any) -> list[str]:
    import polars as pl

    names: list[str] = pl.DataFrame(opened.get_add_actions(flatten=True))["path"].to_list()
    return names


def _sizes(store: Store, cut: _Cut) -> dict[str, tuple[int, str]]:
    return {name: (source.stat().st_size, "") for name, source in _sources(store, cut)}


def _told(store: Store, place: Path, cut: _Cut, files: Mapping[str, tuple[int, str]]) -> Backup:
    rows = {one.name: int(cut.connection.execute(select(func.count()).select_from(one)).scalar_one()) for one in portable_rows.tables(cut.connection)}
    return Backup(
        place=str(place),
        made_at=utc_text(store.clock()),
        release=version("trunkline"),
        workspace_format=catalogue.FORMAT,
        database=store.engine.dialect.name,
        key=store.signer.id,
        checkpoint=cut.checkpoint,
        rows=rows,
        lake=cut.lake,
        blobs=sum(name.startswith("blobs/") for name in files),
        bytes=sum(size for size, _ in files.values()),
    )


def _seal(store: Store, folder: Path, cut: _Cut, told: Backup, files: Mapping[str, tuple[int, str]]) -> None:
    columns = {one.name: [column.name for column in one.columns] for one in portable_rows.tables(cut.connection)}
    manifest = {
        "format": FORMAT,
        "made_at": told.made_at,
        "release": told.release,
        "formats": {"workspace": catalogue.FORMAT, "journal entry": entry.FORMAT, "intake": intake.FORMAT, "blobs": blobs.FORMAT, "erasures": erasures.FORMAT},
        "database": told.database,
        "key": told.key,
        "journal": dict(told.checkpoint),
        "rows": {name: {"rows": count, "columns": columns[name]} for name, count in told.rows.items()},
        "lake": dict(told.lake),
        "files": {name: {"bytes": size, "sha256": digest} for name, (size, digest) in sorted(files.items())},
    }
    written = json.dumps(manifest, indent=1, sort_keys=True).encode()
    beside.write(folder / PUBLIC, store.signer.public_pem)
    beside.write(folder / SIGNATURE, store.signer.sign(written).hex().encode())
    beside.write(folder / MANIFEST, written)
    beside.sync_tree(folder)


def _finish(folder: Path, place: Path) -> None:
    if place.suffix != ".tar":
        beside.move(folder, place)
        return
    archive = folder / ".archive"
    archive.touch(mode=0o640, exist_ok=False)  # it holds all that the workspace holds
    with tarfile.open(archive, "w") as tar:
        for path in sorted(folder.iterdir()):
            if not path.name.startswith("."):
                tar.add(path, arcname=path.name)
    lake_tail.sync_file(archive)
    beside.move(archive, place)


def read_manifest(folder: Path) -> tuple[dict[str, Any], bytes, bytes]:
    """What a backup says of itself, as bytes, and the signature of them.

    Raises
    ------
    BadFile
        This is no backup, one that was cut off, or one of a newer format.
    """
    try:
        with open_plain(folder / MANIFEST) as said, open_plain(folder / SIGNATURE) as signed:
            written, signature = said.read(), bytes.fromhex(signed.read().decode())
        manifest = json.loads(written)
        number, workspace = int(manifest["format"]), int(manifest["formats"]["workspace"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as broken:
        raise BadFile("This is no backup.", path=folder, allowed="a folder or .tar file that trunkline workspace backup wrote") from broken
    if number > FORMAT or workspace > catalogue.FORMAT:
        raise BadFile(
            f"This backup is of format {number}, of a workspace of format {workspace}; a newer release of Trunkline wrote it.",
            path=folder,
            allowed=f"formats up to {FORMAT} and {catalogue.FORMAT}",
            next_step=f"Restore it with release {manifest.get('release', 'that wrote it')} or a newer one.",
        )
    return manifest, written, signature
