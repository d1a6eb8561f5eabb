"""A workspace from a backup, in a new folder, and in either database: whole and verified, or not at all.

Everything is made beside its place: files are copied and compared with the hashes of the signed manifest, rows are put in,
the journal is verified up to the checkpoint of the backup, tables and contents are looked through, and what was erased
since the backup is erased again. Only then the folder gets its name.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Connection, delete

from trunkline.core import config
from trunkline.core.clock import Clock, now
from trunkline.core.errors import BadFile, BadInput, NotAllowed, Tampered, WorkspaceError
from trunkline.store import beside, catalogue, erasures, lake_tail, portable_rows
from trunkline.store.backup import MANIFEST, PUBLIC, SIGNATURE, Progress, read_manifest
from trunkline.store.database import metadata, open_database, prepare, transaction
from trunkline.store.entry import Checkpoint
from trunkline.store.erasures import Erasure
from trunkline.store.keys import open_key
from trunkline.store.opened import BOUND, DATABASE, Store, key_folder, open_store

Finish = Callable[[Store], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was restored, or would be."""

    folder: str
    made_at: str
    checkpoint: Mapping[str, Any]
    rows: Mapping[str, int]
    files: int
    erased_again: int


def restore(
    source: Path,
    folder: Path,
    *,
    since: Sequence[Erasure] | None,
    by: str,
    reason: str,
    flags: Mapping[str, str] | None = None,
    clock: Clock = now,
    catch_up: Finish | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Restored:
    """Make the workspace of the backup *source* in *folder*.

    Parameters
    ----------
    source
        A folder or ``.tar`` file from :func:`~trunkline.store.backup.backup`.
    folder
        Where the workspace is to be; it must not be there, or be empty.
    since
        What was erased since the backup: all erasures of the workspace as it last was. An empty list says that nothing was,
        and *by* answers for it. None is refused: a backup brings back what was erased after it.
    by, reason
        Who restores, and why; both go into the journal.
    flags
        Settings, as on the command line; ``database`` says where the rows go, empty for SQLite. The backup's own is not used.
    catch_up
        Called with the restored store before what was erased is erased again: reads what the backup took in and had not kept yet.
    dry_run
        Read and compare everything; make nothing.

    Raises
    ------
    NotAllowed
        Nobody says what was erased since the backup, or answers for restoring.
    BadInput
        *folder* is not empty.
    BadFile
        *source* is no backup, was cut off, or is of a newer format.
    Tampered
        A file is not what the manifest says, or the manifest is not signed by this key.
    WorkspaceError
        The key is not there, the schema is not empty, the disk is full.
    """
    _check(folder, since, by, reason)
    if folder.resolve().is_relative_to(source.resolve()):
        raise BadInput(f"{folder} lies in the backup itself.", where=str(source), allowed="a folder elsewhere: nothing is ever written into a backup")
    told = progress or (lambda *_: None)
    with _unpacked(source, folder.absolute()) as given:
        manifest = _verified(given, source, folder, flags)
        rows = {name: one["rows"] for name, one in manifest["rows"].items()}
        portable_rows.check_known(rows, {name: one["columns"] for name, one in manifest["rows"].items()})
        files = manifest["files"]
        if dry_run:
            with TemporaryDirectory() as nowhere:
                _copy(given, Path(nowhere) / "w", files, told)
            return _restored(folder, manifest, rows, 0)
        with beside.made_beside(folder.absolute()) as made:
            work = made / "w"
            work.mkdir(mode=0o750)
            _copy(given, work, files, told)
            _configure(work, flags)
            configuration = config.read(work, flags=flags)
            with _taken_back_if_not_whole(configuration.settings.database):
                _put_in(work, configuration, manifest, told)
                with _opened(work, configuration, clock, manifest) as store:
                    if catch_up is not None:
                        catch_up(store)
                    count = erasures.replay(store, since or ())
                    erasures.finish(store)
                    what = {"made_at": manifest["made_at"], "checkpoint": manifest["journal"]["size"], "erased again": count, "by": by, "reason": reason}
                    store.journal.append("workspace.restored", what)
            beside.sync_tree(work)
            if folder.is_dir():
                folder.rmdir()
            beside.move(work, folder.absolute())
    return _restored(folder, manifest, rows, count)


def _check(folder: Path, since: Sequence[Erasure] | None, by: str, reason: str) -> None:
    if since is None:
        raise NotAllowed(
            "What was erased since this backup would come back.",
            where="restore",
            allowed="the erasures of the workspace as it last was, or the word of somebody that there were none",
            next_step="--erasures FILE (from trunkline workspace erasures), --erasures FOLDER of the workspace that still lives, or --nothing-erased",
        )
    if not by or not reason:
        raise NotAllowed("Somebody has to answer for it, with a reason.", where="restore", next_step="--by NAME --reason 'why'")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(
            f"There is something in {folder} already.", allowed="a folder that is empty or not there yet", next_step="Restore beside it, then exchange."
        )


@contextmanager
def _unpacked(source: Path, folder: Path) -> Iterator[Path]:
    if source.is_dir():
        yield source
        return
    if not source.is_file():
        raise BadFile("There is no such backup.", path=source, allowed="a folder or .tar file that trunkline workspace backup wrote")
    with beside.made_beside(folder.with_name(f"{folder.name}.unpacked")) as made:
        try:
            with tarfile.open(source, "r:") as tar:
                tar.extractall(made / "b", filter="data")
        except (tarfile.TarError, EOFError) as broken:
            raise BadFile("This is no backup, or it was cut off.", path=source, allowed="a .tar file that trunkline workspace backup wrote") from broken
        yield made / "b"


def _verified(given: Path, source: Path, folder: Path, flags: Mapping[str, str] | None) -> dict[str, Any]:
    manifest, written, signature = read_manifest(given)
    keys = key_folder(config.read(given, flags={**(flags or {}), "database": ""}))
    signer = open_key(keys, data_folder=folder, make=False)
    if signer.id != manifest.get("key"):
        raise WorkspaceError(
            f"This backup was signed by the key {manifest.get('key')}, and the key here is {signer.id}.",
            where=str(keys),
            allowed="the key of the workspace that was backed up: it is never in the backup",
            next_step="Put its journal.key (mode 0600) into a folder and name it: the setting 'keys'.",
        )
    if not signer.public.verify(written, signature):
        raise Tampered(f"The manifest of the backup was changed: its signature by key {signer.id} does not fit.", where=f"{source}, {SIGNATURE}")
    lying = {str(path.relative_to(given)) for path in given.rglob("*") if path.is_file()} - set(manifest["files"]) - {MANIFEST, SIGNATURE, PUBLIC}
    if lying:
        raise Tampered(
            f"The backup holds files that were not in it: {', '.join(sorted(lying)[:3])}.", where=str(source), next_step="Look where they come from."
        )
    return manifest


def _copy(given: Path, work: Path, files: Mapping[str, Mapping[str, Any]], progress: Progress) -> None:
    """Every file of the backup, each compared with its hash; rows are only compared here."""
    for number, (name, said) in enumerate(sorted(files.items()), start=1):
        target = (work / name).resolve()
        if not target.is_relative_to(work.resolve()):
            raise Tampered(f"The backup names a file outside of itself: {name}.", where=MANIFEST)
        try:
            found = beside.copy(given / name, target)
        except FileNotFoundError as gone:
            raise Tampered(f"The backup lacks the file {name}.", where=str(given), next_step="Copy the backup again, or take another one.") from gone
        if found != (said["bytes"], said["sha256"]):
            raise Tampered(
                f"The file {name} of the backup was changed: {found[0]:,} bytes with another hash, {said['bytes']:,} bytes were written.",
                where=str(given / name),
                next_step="Copy the backup again, or take another one.",
            )
        progress("files", number / len(files))


def _configure(work: Path, flags: Mapping[str, str] | None) -> None:
    """The settings of the backup, but for where its rows were."""
    path = work / config.FILE
    kept = path.read_text(encoding="utf-8").splitlines() if path.is_file() else config.TEMPLATE.splitlines()
    path.write_text("".join(line + "\n" for line in kept if not line.strip().startswith("database")), encoding="utf-8")
    line = config.line_of_database(config.read(work, flags=flags))
    with path.open("a", encoding="utf-8") as file:
        file.write(line)
    lake_tail.sync_file(path)


def _put_in(work: Path, configuration: config.Configuration, manifest: Mapping[str, Any], progress: Progress) -> None:
    address = configuration.settings.database
    engine = open_database(address or work / DATABASE)
    try:
        if catalogue.format_of(engine) is not None:
            raise WorkspaceError(
                "The schema holds a workspace already.",
                where=config.shown("database", address),
                allowed="a schema with no workspace in it",
                next_step="Name another one: postgresql://…/DATABASE?schema=NAME; or drop what a restore that was cut off left there.",
            )
        prepare(engine, *metadata.sorted_tables)
        with transaction(engine) as connection:
            _insert(connection, work, manifest, progress)  # what was compared, whatever becomes of the source meanwhile
            connection.execute(delete(catalogue.meta).where(catalogue.meta.c.key == "workspace"))
            portable_rows.continue_numbers(connection)
            if address:
                name = f"restored-{work.parent.name.rpartition('-')[2]}-{manifest['journal']['root'][:16]}"
                beside.write(work / BOUND, (name + "\n").encode())
                catalogue.add(connection, catalogue.meta, key="workspace", value=name)
    finally:
        engine.dispose()
    for name in manifest["rows"]:
        (work / "rows" / f"{name}.jsonl").unlink()
    (work / "rows").rmdir()
    for table, newest in manifest["lake"].items():
        lake_tail.note(work / "lake" / table, newest)


@contextmanager
def _taken_back_if_not_whole(address: str) -> Iterator[None]:
    """What goes wrong after the rows were committed to a server leaves nothing there; in a folder nothing is left anyway."""
    if address:
        engine = open_database(address)
        try:
            is_ours = catalogue.format_of(engine) is None
            yield
        except BaseException:
            if is_ours:
                with transaction(engine) as connection:
                    metadata.drop_all(connection)
            raise
        finally:
            engine.dispose()
    else:
        yield


def _insert(connection: Connection, work: Path, manifest: Mapping[str, Any], progress: Progress) -> None:
    named = [table.name for table in metadata.sorted_tables if table.name in manifest["rows"]]  # those that others refer to come first
    for number, name in enumerate(named, start=1):
        said = manifest["rows"][name]
        with (work / "rows" / f"{name}.jsonl").open("rb") as lines:
            count = portable_rows.insert_lines(connection, name, said["columns"], lines)
        if count != said["rows"]:
            raise Tampered(f"The backup has {count} rows of {name}, and says {said['rows']}.", where=f"rows/{name}.jsonl")
        progress("rows", number / len(named))


@contextmanager
def _opened(work: Path, configuration: config.Configuration, clock: Clock, manifest: Mapping[str, Any]) -> Iterator[Store]:
    """The restored store, after its journal, tables and contents were looked through."""
    store = open_store(work, configuration, clock=clock)
    try:
        store.journal.verify(Checkpoint.read(dict(manifest["journal"])) if manifest["journal"]["size"] else None).require()
        gone = store.intake.erased()
        faults = [f"table {table}: {fault}" for table, fault in store.lake.damage()]
        faults += [f"content of {arrival.name}" for arrival in store.intake.after(0) if arrival.sequence not in gone and arrival.id not in store.blobs]
        if faults:
            raise Tampered(f"What was restored is not whole: {'; '.join(faults[:3])}.", where=str(work), next_step="Take another backup.")
        yield store
    finally:
        store.close()


def _restored(folder: Path, manifest: Mapping[str, Any], rows: Mapping[str, int], count: int) -> Restored:
    return Restored(
        folder=str(folder), made_at=manifest["made_at"], checkpoint=manifest["journal"], rows=rows, files=len(manifest["files"]), erased_again=count
    )
