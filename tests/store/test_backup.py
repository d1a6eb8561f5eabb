"""A backup is the workspace of one moment; a restore gives it back whole and verified, in either database, or not at all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.conftest import SOAK

from trunkline import workspace as workspaces
from trunkline.core.errors import BadFile, BadInput, NotAllowed, Tampered, WorkspaceError
from trunkline.store import backup as backups
from trunkline.store import beside, catalogue, erasures, reading, transaction
from trunkline.workspace import Workspace

WHO: dict[str, Any] = {"by": "ann", "reason": "the disk died"}


def series(path: Path, cell: str) -> Path:
    path.write_text("time,cell,volume\n" + "".join(f"2026-11-20T{h:02d}:00:00Z,{cell},{100 + h}\n" for h in range(24)))
    return path


@pytest.fixture
def flags(tmp_path: Path) -> dict[str, str]:
    return {"keys": str(tmp_path / "keys"), "operator": "ann"}


@pytest.fixture
def workspace(tmp_path: Path, flags: dict[str, str]) -> Iterator[Workspace]:
    with workspaces.create(tmp_path / "w", flags=flags) as made:
        made.data.load([series(tmp_path / "one.csv", "surrogate-77"), series(tmp_path / "two.csv", "c2")])
        made.store.journal.append("note", {"text": "日本"})
        yield made


@pytest.fixture
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    return lambda kind: "" if kind == "sqlite" else f"{request.getfixturevalue('postgres')}?schema=b_{abs(hash(str(tmp_path)))}_{kind.partition(' ')[2] or 'x'}"


def state(workspace: Workspace) -> dict[str, Any]:
    """All that a restore must give back."""
    store = workspace.store
    return {
        "rows": sorted(store.lake.read("measurements").collect().rows(), key=str),
        "files": workspace.data.list().rows(),
        "contents": [store.intake.read(one) for one in store.intake.after(0)],
        "journal": [entry.body for entry in workspace.audit.list() if not entry.kind.startswith("workspace.")],
        "done": store.lake.transaction("measurements", "load measurements"),
        "loaded": catalogue.loaded_through(store.engine),
    }


@pytest.mark.parametrize(
    ("first", "then", "name"),
    [
        ("sqlite", "sqlite", "backup.tar"),
        ("sqlite", "postgresql b", "backup"),
        ("postgresql a", "sqlite", "backup"),
        ("postgresql a", "postgresql b", "backup.tar"),
    ],
)
def test_what_was_backed_up_comes_back_in_either_database(
    tmp_path: Path, flags: dict[str, str], address: Callable[[str], str], first: str, then: str, name: str
) -> None:
    with workspaces.create(tmp_path / "w", flags={**flags, "database": address(first)}) as made:
        made.data.load([series(tmp_path / "one.csv", "c1"), series(tmp_path / "two.csv", "c2")])
        made.store.journal.append("note", {"text": "日本"})
        before = state(made)
        told = made.backup(tmp_path / "backups" / name)

    restored = workspaces.restore(tmp_path / "backups" / name, tmp_path / "again", nothing_erased=True, flags={**flags, "database": address(then)}, **WHO)

    with workspaces.open(tmp_path / "again", flags=flags) as again:
        assert state(again) == before
        assert again.check() == []
        assert again.audit.list(kind="workspace.restored")[0].body["by"] == "ann"
        again.data.load([series(tmp_path / "three.csv", "c3")])
        assert again.store.lake.read("measurements").collect().height == 72
        assert again.data.list()["number"].to_list() == [1, 2, 3]
    assert restored.rows == told.rows
    assert sorted(path.name for path in (tmp_path / "backups").iterdir()) == [name]
    assert not list(tmp_path.glob(".*"))


def test_the_signing_key_is_not_in_it_and_wanted_back(workspace: Workspace, tmp_path: Path, flags: dict[str, str]) -> None:
    workspace.backup(tmp_path / "b")

    assert not [path for path in (tmp_path / "b").rglob("*") if path.is_file() and b"PRIVATE" in path.read_bytes()]
    with pytest.raises(WorkspaceError, match="The signing key cannot be used"):
        workspaces.restore(tmp_path / "b", tmp_path / "again", nothing_erased=True, flags={**flags, "keys": str(tmp_path / "empty")}, **WHO)
    with workspaces.create(tmp_path / "x", flags={"keys": str(tmp_path / "others")}), pytest.raises(WorkspaceError, match="was signed by the key"):
        workspaces.restore(tmp_path / "b", tmp_path / "again", nothing_erased=True, flags={**flags, "keys": str(tmp_path / "others")}, **WHO)


def test_a_cut_is_consistent_while_others_write(workspace: Workspace, tmp_path: Path, flags: dict[str, str]) -> None:
    over, written = threading.Event(), []

    def write() -> None:
        with workspaces.open(tmp_path / "w", flags=flags) as other:
            n = 0
            while not over.is_set():
                other.data.load([series(tmp_path / f"more-{n}.csv", f"m{n}")])
                with transaction(other.store.engine) as connection:
                    other.store.journal.append("note", {"n": n}, connection)
                    catalogue.add(connection, catalogue.meta, key=f"n {n}", value="1")
                n += 1
            written.append(n)

    writer = threading.Thread(target=write)
    writer.start()
    for number in range(2 * SOAK):
        time.sleep(0.1)
        workspace.backup(tmp_path / f"b{number}")
    over.set()
    writer.join()

    for number in range(2 * SOAK):
        workspaces.restore(tmp_path / f"b{number}", tmp_path / f"r{number}", nothing_erased=True, flags=flags, **WHO)
        with workspaces.open(tmp_path / f"r{number}", flags=flags) as again:
            files, rows = again.data.list().height, again.store.lake.read("measurements").collect()
            notes = [entry.body["n"] for entry in again.audit.list(kind="note") if "n" in entry.body]
            with reading(again.store.engine) as connection:
                kept = connection.execute(catalogue.meta.select().where(catalogue.meta.c.key.like("n %"))).all()
            assert again.check() == []
            assert rows.height == rows.unique(["element", "at"]).height == 24 * files
            assert notes == list(range(len(notes)))
            assert len(kept) == len(notes)
    assert written[0] > 0


def test_what_was_erased_after_the_backup_does_not_come_back(workspace: Workspace, tmp_path: Path, flags: dict[str, str]) -> None:
    workspace.backup(tmp_path / "b")
    workspace.data.erase("measurements", where={"element": "surrogate-77"}, arrivals=[1], reason="asked to")
    erasures.write_list(workspace.erasures(), tmp_path / "erased.jsonl")
    with pytest.raises(NotAllowed, match="would come back") as refused:
        workspaces.restore(tmp_path / "b", tmp_path / "x", flags=flags, **WHO)

    for folder, erased in (("from-list", tmp_path / "erased.jsonl"), ("from-living", tmp_path / "w")):
        told = workspaces.restore(tmp_path / "b", tmp_path / folder, erased=erased, flags=flags, **WHO)
        with workspaces.open(tmp_path / folder, flags=flags) as again:
            assert again.store.lake.read("measurements").collect()["element"].unique().to_list() == ["c2"]
            assert again.store.intake.erased() == {1}
            assert again.data.load([tmp_path / "one.csv"]).files[0].state == "seen before"
            assert again.check() == []
        assert told.erased_again == 1
        assert not [path for path in (tmp_path / folder).rglob("*.parquet") if b"surrogate-77" in path.read_bytes()]
        assert not [path for path in (tmp_path / folder / "blobs").rglob("*") if path.is_file() and b",surrogate-77," in path.read_bytes()]
    assert "--nothing-erased" in refused.value.next_step
    assert not (tmp_path / "x").exists()


def test_what_was_taken_in_and_not_kept_is_kept_before_it_is_erased_again(workspace: Workspace, tmp_path: Path, flags: dict[str, str]) -> None:
    workspace.store.intake.accept("series", series(tmp_path / "late.csv", "c9"), workspace.store.clock())  # cut off before it was read
    workspace.backup(tmp_path / "b")
    workspace.data.load([tmp_path / "one.csv"])
    workspace.data.erase("measurements", where={"element": "c9"}, arrivals=[3], reason="asked to")

    workspaces.restore(tmp_path / "b", tmp_path / "r", erased=tmp_path / "w", flags=flags, **WHO)

    with workspaces.open(tmp_path / "r", flags=flags) as again:
        again.data.load([series(tmp_path / "next.csv", "c3")])
        assert sorted(again.store.lake.read("measurements").collect()["element"].unique()) == ["c2", "c3", "surrogate-77"]


def test_a_list_of_erasures_is_read_as_written_and_nothing_else_is(workspace: Workspace, tmp_path: Path) -> None:
    workspace.data.erase("measurements", where={"element": "surrogate-77", "value": "100"}, arrivals=[1], reason="日本")
    erasures.write_list(workspace.erasures(), tmp_path / "list")

    assert erasures.read_list(tmp_path / "list") == workspace.erasures()
    for text in ("no json", "[]", "{}", '{"format": 2}', (tmp_path / "list").read_text()[:-5]):
        (tmp_path / "wrong").write_text(text)
        with pytest.raises(BadFile, match="no list of erasures"):
            erasures.read_list(tmp_path / "wrong")


PARTS = ("rows/*entries.jsonl", "rows/releases.jsonl", "lake/*/*.parquet", "lake/*/_delta_log/*.json", "blobs/*/*", "trunkline.toml", "backup.json")


def test_a_file_that_is_not_as_it_was_written_is_refused_and_nothing_is_made(workspace: Workspace, tmp_path: Path, flags: dict[str, str]) -> None:
    workspace.backup(tmp_path / "b")
    for part in PARTS:
        victim = min((tmp_path / "b").glob(part))
        whole = victim.read_bytes()
        for content in (whole[:-1] if whole else b"[]\n", _one_bit(whole) if whole else b"x", None):
            victim.unlink() if content is None else victim.write_bytes(content)

            with pytest.raises((Tampered, BadFile)) as refused:
                workspaces.restore(tmp_path / "b", tmp_path / "r", nothing_erased=True, flags=flags, **WHO)

            assert victim.name in str(refused.value) or "manifest" in str(refused.value) or part == "backup.json"
            assert not (tmp_path / "r").exists()
            assert not list(tmp_path.glob(".r*"))
        victim.write_bytes(whole)


def _one_bit(content: bytes) -> bytes:
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 1
    return bytes(changed)


def test_a_file_laid_beside_is_refused(workspace: Workspace, tmp_path: Path, flags: dict[str, str]) -> None:
    workspace.backup(tmp_path / "b")
    (tmp_path / "b" / "blobs" / "extra").write_bytes(b"x")

    with pytest.raises(Tampered, match="files that were not in it: blobs/extra"):
        workspaces.restore(tmp_path / "b", tmp_path / "r", nothing_erased=True, flags=flags, **WHO)


def test_a_backup_of_a_newer_format_or_of_unknown_rows_is_refused(
    workspace: Workspace, tmp_path: Path, flags: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction(workspace.store.engine) as connection:
        connection.exec_driver_sql("CREATE TABLE of_a_plug_in (n INTEGER)")
    workspace.backup(tmp_path / "unknown")
    monkeypatch.setattr(backups, "FORMAT", 2)
    workspace.backup(tmp_path / "newer")
    monkeypatch.undo()

    with pytest.raises(BadFile, match="a newer release of Trunkline wrote it"):
        workspaces.restore(tmp_path / "newer", tmp_path / "r", nothing_erased=True, flags=flags, **WHO)
    with pytest.raises(WorkspaceError, match="rows of 'of_a_plug_in'"):
        workspaces.restore(tmp_path / "unknown", tmp_path / "r", nothing_erased=True, flags=flags, **WHO)


def test_what_is_there_is_never_replaced(workspace: Workspace, tmp_path: Path, flags: dict[str, str], address: Callable[[str], str]) -> None:
    workspace.backup(tmp_path / "b")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    (tmp_path / "empty").mkdir()

    with pytest.raises(BadInput, match="something at"):
        workspace.backup(tmp_path / "b")
    with pytest.raises(BadInput, match="inside the workspace"):
        workspace.backup(tmp_path / "w" / "b")
    with pytest.raises(BadInput, match="There is something in"):
        workspaces.restore(tmp_path / "b", tmp_path / "full", nothing_erased=True, flags=flags, **WHO)
    workspaces.restore(tmp_path / "b", tmp_path / "empty", nothing_erased=True, flags=flags, **WHO)
    for folder in ("p1", "p2"):
        to_server = {**flags, "database": address("postgresql full")}
        if folder == "p1":
            workspaces.restore(tmp_path / "b", tmp_path / folder, nothing_erased=True, flags=to_server, **WHO)
        else:
            with pytest.raises(WorkspaceError, match="The schema holds a workspace already"):
                workspaces.restore(tmp_path / "b", tmp_path / folder, nothing_erased=True, flags=to_server, **WHO)
    with workspaces.open(tmp_path / "p1", flags=flags) as kept:
        assert kept.check() == []


def test_a_restore_that_is_not_whole_leaves_nothing_on_the_server(
    workspace: Workspace, tmp_path: Path, flags: dict[str, str], address: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.backup(tmp_path / "b")
    to_server = {**flags, "database": address("postgresql half")}
    monkeypatch.setattr(erasures, "replay", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        workspaces.restore(tmp_path / "b", tmp_path / "r", nothing_erased=True, flags=to_server, **WHO)
    monkeypatch.undo()

    workspaces.restore(tmp_path / "b", tmp_path / "r", nothing_erased=True, flags=to_server, **WHO)

    with workspaces.open(tmp_path / "r", flags=flags) as again:
        assert again.check() == []


def test_a_dry_run_reads_everything_and_makes_nothing(workspace: Workspace, tmp_path: Path, flags: dict[str, str]) -> None:
    would = workspace.backup(tmp_path / "b", dry_run=True)
    assert not (tmp_path / "b").exists()
    made = workspace.backup(tmp_path / "b")

    workspaces.restore(tmp_path / "b", tmp_path / "r", nothing_erased=True, flags=flags, dry_run=True, **WHO)

    assert (would.rows, would.lake, would.blobs) == (made.rows, made.lake, made.blobs)
    assert not (tmp_path / "r").exists()
    victim = next((tmp_path / "b").rglob("*.parquet"))
    victim.write_bytes(_one_bit(victim.read_bytes()))
    with pytest.raises(Tampered):
        workspaces.restore(tmp_path / "b", tmp_path / "r", nothing_erased=True, flags=flags, dry_run=True, **WHO)


KILLED = """
import sys
from trunkline import workspace
flags = {"keys": sys.argv[2] + "/keys"}
print("go", flush=True)
if sys.argv[1] == "backup":
    with workspace.open(sys.argv[2] + "/w", flags=flags) as opened:
        opened.backup(sys.argv[2] + "/killed/b")
else:
    workspace.restore(sys.argv[2] + "/b", sys.argv[2] + "/killed/r", nothing_erased=True, by="ann", reason="x", flags=flags)
"""


@pytest.mark.parametrize("what", ["backup", "restore"])
def test_what_is_killed_never_looks_whole_and_is_cleared_by_the_next(workspace: Workspace, tmp_path: Path, flags: dict[str, str], what: str) -> None:
    workspace.backup(tmp_path / "b")
    place = tmp_path / "killed" / ("b" if what == "backup" else "r")
    for n in range(SOAK):
        process = subprocess.Popen([sys.executable, "-c", KILLED, what, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        deadline = time.monotonic() + 20
        while not list((tmp_path / "killed").glob(".*incomplete*")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.02 * n)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        if place.exists():  # it was quicker: then it is whole
            assert place.is_dir()
            shutil.rmtree(place)

    if what == "backup":
        workspace.backup(place)
        workspaces.restore(place, tmp_path / "after", nothing_erased=True, flags=flags, **WHO)
    else:
        workspaces.restore(tmp_path / "b", place, nothing_erased=True, flags=flags, **WHO)

    assert [path.name for path in (tmp_path / "killed").iterdir()] == [place.name]
    with workspaces.open(place if what == "restore" else tmp_path / "after", flags=flags) as again:
        assert again.check() == []


def test_a_full_disk_is_told_and_nothing_is_left(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> tuple[int, str]:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(beside, "copy", full)

    with pytest.raises(WorkspaceError, match="No space left on device") as refused:
        workspace.backup(tmp_path / "b" / "x")

    assert "Make room" in refused.value.next_step
    assert list((tmp_path / "b").iterdir()) == []


def test_what_is_no_backup_is_refused(tmp_path: Path, flags: dict[str, str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.tar").write_text("this is no archive")
    with tarfile.open(tmp_path / "other.tar", "w") as tar:
        tar.add(tmp_path / "text.tar", "text")

    for source in ("empty", "text.tar", "other.tar", "absent"):
        with pytest.raises(BadFile, match="no backup|no such backup"):
            workspaces.restore(tmp_path / source, tmp_path / "r", nothing_erased=True, flags=flags, **WHO)


def test_an_erasure_that_was_cut_off_is_told_and_finished(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(type(workspace.store.lake), "erase", _stopped)
        workspace.data.erase("measurements", where={"element": "surrogate-77"}, reason="asked to")
    found = [what for what, _ in workspace.check()]

    erasures.finish(workspace.store)

    assert found == [f"erasure {workspace.erasures()[0].id}"]
    assert workspace.check() == []
    assert workspace.store.lake.read("measurements").filter(pl.col("element") == "surrogate-77").collect().is_empty()


def _stopped(*_: object) -> int:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"table": "measurements", "where": {"colour": "red"}}, "no column 'colour'"),
        ({"table": "measurements", "where": {}}, "Nothing says what"),
        ({"arrivals": [99]}, "no arrival 99"),
        ({"table": "measurements", "where": {"value": "much"}}, "is no number"),
        ({"table": "mesurements", "where": {"element": "c1"}}, "There is no table"),
    ],
)
def test_an_erasure_that_names_nothing_is_refused(workspace: Workspace, given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        workspace.data.erase(**given, reason="asked to")

    assert workspace.erasures() == []


def test_a_dry_run_of_an_erasure_counts(workspace: Workspace) -> None:
    assert workspace.data.erase("measurements", where={"element": "surrogate-77"}, reason="asked to", dry_run=True) == 24
    assert workspace.store.lake.read("measurements").collect().height == 48
    assert workspace.erasures() == []


def test_the_manifest_says_what_a_person_asks(workspace: Workspace, tmp_path: Path) -> None:
    told = workspace.backup(tmp_path / "b")

    manifest = json.loads((tmp_path / "b" / "backup.json").read_text())

    assert manifest["formats"]["workspace"] == catalogue.FORMAT
    assert manifest["journal"]["root"] == told.checkpoint["root"]
    assert set(manifest["rows"]) >= {"releases", "decisions", "intake_arrivals", "journal_entries"}
    assert sum(one["bytes"] for one in manifest["files"].values()) == told.bytes


def test_a_pipe_in_a_backup_is_refused_and_not_waited_for(workspace: Workspace, tmp_path: Path, flags: dict[str, str]) -> None:
    workspace.backup(tmp_path / "b")
    for name in ("backup.json", "rows/meta.jsonl"):
        shutil.copytree(tmp_path / "b", tmp_path / "bad", dirs_exist_ok=True)
        (tmp_path / "bad" / name).unlink()
        os.mkfifo(tmp_path / "bad" / name)

        with pytest.raises(BadFile, match="pipe"):
            workspaces.restore(tmp_path / "bad", tmp_path / "again", nothing_erased=True, flags=flags, **WHO)
        shutil.rmtree(tmp_path / "bad")
    assert not (tmp_path / "again").exists()


def test_nothing_is_restored_into_the_backup_itself(workspace: Workspace, tmp_path: Path, flags: dict[str, str]) -> None:
    workspace.backup(tmp_path / "b")

    with pytest.raises(BadInput, match="lies in the backup itself"):
        workspaces.restore(tmp_path / "b", tmp_path / "b" / "again", nothing_erased=True, flags=flags, **WHO)
    workspaces.restore(tmp_path / "b", tmp_path / "again", nothing_erased=True, flags=flags, **WHO)


@pytest.mark.parametrize("manifest", ["[" * 100_000, '{"format": 1, "formats": {"workspace": 1}}'])
def test_a_manifest_that_says_nothing_is_refused(tmp_path: Path, flags: dict[str, str], manifest: str) -> None:
    (tmp_path / "keys").mkdir(mode=0o700)
    workspaces.create(tmp_path / "w", flags=flags).close()
    folder = tmp_path / "b"
    folder.mkdir()
    (folder / "backup.json").write_text(manifest)
    (folder / "backup.sig").write_text("00")

    with pytest.raises((BadFile, WorkspaceError)):
        workspaces.restore(folder, tmp_path / "again", nothing_erased=True, flags=flags, **WHO)


def test_what_rests_is_not_for_everybody_to_read(workspace: Workspace, tmp_path: Path, flags: dict[str, str]) -> None:
    workspace.backup(tmp_path / "b")
    workspace.backup(tmp_path / "b.tar")
    workspaces.restore(tmp_path / "b.tar", tmp_path / "again", nothing_erased=True, flags=flags, **WHO)

    for path in (workspace.store.folder, tmp_path / "b", tmp_path / "b.tar", tmp_path / "again"):
        assert path.stat().st_mode & 0o007 == 0, path
