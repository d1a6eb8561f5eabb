"""What a power cut after Delta's commit can leave of a table, and that nothing acknowledged is lost by it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import polars as pl
import pytest
from sqlalchemy import Engine

import trunkline
from trunkline.core.errors import TrunklineError
from trunkline.store import Lake, Layout, catalogue, lake_tail, transaction
from trunkline.workspace import Workspace

TABLE = Layout({"n": pl.Int64, "known_at": pl.Datetime("us", "UTC")}, key=("n",))
T0 = datetime(2026, 11, 20, tzinfo=UTC)


def frame(n: int) -> pl.DataFrame:
    return pl.DataFrame({"n": [n], "known_at": [T0 + timedelta(hours=n)]}, schema=dict(TABLE.columns))


def written(folder: Path, versions: int) -> Lake:
    lake = Lake(folder, {"t": TABLE})
    for n in range(versions):
        lake.append("t", frame(n), transaction=("app", n + 1))
    return lake


def entry(table: Path, version: int) -> Path:
    return table / lake_tail.LOG / f"{version:020}.json"


def data_of(table: Path, version: int) -> Path:
    (path,) = [json.loads(line)["add"]["path"] for line in entry(table, version).read_text().splitlines() if '"add"' in line]
    return table / unquote(path)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def gone(path: Path) -> None:
    path.unlink()


TEARS: dict[str, tuple[Callable[[Path, int], Path], Callable[[Path], None]]] = {
    f"{part} {harm.__name__}": (of, harm) for part, of in (("log", entry), ("data", data_of)) for harm in (empty, cut, zeroed, gone)
}


@pytest.mark.parametrize("tear", TEARS)
@pytest.mark.parametrize("versions", [1, 3])
def test_a_torn_end_is_taken_off_and_what_was_synced_stays(tmp_path: Path, tear: str, versions: int) -> None:
    lake = written(tmp_path, versions)
    last = versions - 1
    lake_tail.note(tmp_path / "t", last - 1)  # the power went before the last commit was synced
    of, harm = TEARS[tear]
    harm(of(tmp_path / "t", last))

    again = Lake(lake.folder, {"t": TABLE})
    torn = again.torn()
    for one in torn:
        again.repair(one)

    assert [one.since for one in torn] == ([] if tear == "log gone" else [last])
    assert sorted(again.read("t").collect()["n"]) == list(range(last))
    assert again.transaction("t", "app") == (last or None)
    assert again.torn() == []
    assert again.append("t", frame(last), transaction=("app", last + 1))
    assert Lake(lake.folder, {"t": TABLE}).read("t").collect().height == versions
    assert again.damage() == []


@pytest.mark.parametrize("harm", [empty, cut, gone])
def test_a_torn_checkpoint_costs_nothing(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    lake = written(tmp_path, 3)
    lake.compact("t")
    newest = lake.version("t")
    lake_tail.note(tmp_path / "t", newest - 1)
    (checkpoint,) = lake_tail.checkpoints(tmp_path / "t")[newest]
    harm(checkpoint)

    again = Lake(lake.folder, {"t": TABLE})
    for one in again.torn():
        again.repair(one)

    assert again.read("t").collect().height == 3
    assert again.transaction("t", "app") == 3
    assert again.torn() == []


def test_what_was_synced_is_damaged_and_never_taken_off(tmp_path: Path) -> None:
    lake = written(tmp_path, 3)
    gone(data_of(tmp_path / "t", 2))

    again = Lake(lake.folder, {"t": TABLE})

    assert again.torn() == []
    assert [table for table, fault in again.damage() if "missing" in fault] == ["t"]


def test_who_was_stopped_between_commit_and_sync_has_it_synced_by_the_next(tmp_path: Path) -> None:
    written(tmp_path, 2)
    lake_tail.note(tmp_path / "t", 0)

    again = Lake(tmp_path, {"t": TABLE})
    told = again.append("t", frame(1), transaction=("app", 2))

    assert not told
    assert lake_tail.synced(tmp_path / "t") == 1


@pytest.mark.parametrize("note", ["", "rubbish", None])
def test_a_note_that_was_lost_only_makes_the_opening_look_closer(tmp_path: Path, note: str | None) -> None:
    lake = written(tmp_path, 2)
    path = tmp_path / lake_tail.SYNCED / "t"
    path.unlink() if note is None else path.write_text(note)

    assert lake.torn() == []
    assert lake.read("t").collect().height == 2


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with trunkline.create(tmp_path / "w") as made:
        yield made


def series(path: Path, cell: str) -> Path:
    path.write_text("time,cell,volume\n" + "".join(f"2026-11-20T{h:02d}:00:00Z,{cell},{100 + h}\n" for h in range(24)))
    return path


@pytest.mark.parametrize("tear", [name for name in TEARS if name != "log gone"])
@pytest.mark.parametrize("acknowledged", [False, True], ids=["not yet acknowledged", "a disk that lied"])
def test_torn_rows_come_again_from_the_intake_and_once(workspace: Workspace, tmp_path: Path, tear: str, acknowledged: bool) -> None:
    for cell in ("c1", "c2"):
        workspace.data.load([series(tmp_path / f"{cell}.csv", cell)])
    folder = workspace.store.folder
    table = folder / "lake" / "measurements"
    if not acknowledged:
        with transaction(workspace.store.engine) as connection:
            catalogue.set_loaded_back(connection, 1)
    workspace.close()
    lake_tail.note(table, 0)
    of, harm = TEARS[tear]
    harm(of(table, 1))

    with trunkline.open(folder) as again:
        mended = [entry.body for entry in again.audit.list(kind="lake.mended")]
        again.data.load([series(tmp_path / "c3.csv", "c3")])
        rows = again.store.lake.read("measurements").collect().group_by("element").len().sort("element").rows()

        assert rows == [("c1", 24), ("c2", 24), ("c3", 24)]
        assert [(one["table"], one["since"], one["read again after"]) for one in mended] == [("measurements", 1, 1)]
        assert again.check() == []


def test_a_load_is_acknowledged_only_after_the_lake_was_synced(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    note, through = lake_tail.note, catalogue.set_loaded_through

    def noted(table: Path, version: int) -> None:
        order.append("synced")
        note(table, version)

    def acknowledged(engine: Engine, sequence: int) -> None:
        order.append("acknowledged")
        through(engine, sequence)

    monkeypatch.setattr(lake_tail, "note", noted)
    monkeypatch.setattr(catalogue, "set_loaded_through", acknowledged)

    workspace.data.load([series(tmp_path / "c1.csv", "c1")])

    assert order.index("synced") < order.index("acknowledged")


def test_compaction_leaves_what_is_read_and_how_far_writers_came(tmp_path: Path) -> None:
    lake = written(tmp_path, 12)
    known = [T0 + timedelta(hours=n) for n in (-1, 3, 20)]
    before = [lake.read("t", as_known_at=at).collect() for at in known]
    old, reader = lake.read("t", version=4).collect(), Lake(tmp_path, {"t": TABLE}).read("t")

    done = lake.compact("t")

    assert (done.before, done.after) == (12, 1)
    assert [one.equals(two) for one, two in zip(before, [lake.read("t", as_known_at=at).collect() for at in known], strict=True)] == [True] * 3
    assert lake.read("t", version=4).collect().equals(old)
    assert reader.collect().height == 12
    assert Lake(tmp_path, {"t": TABLE}).transaction("t", "app") == 12
    assert not lake.append("t", frame(11), transaction=("app", 12))
    assert lake.damage() == []


def test_erased_rows_leave_data_log_and_every_version(tmp_path: Path) -> None:
    lake = Lake(tmp_path, {"p": Layout({"who": pl.String, "n": pl.Int64})})
    for n in range(3):
        lake.append("p", pl.DataFrame({"who": ["surrogate-4711", "other", "it's"], "n": [n, n, n]}), transaction=("app", n + 1))

    assert lake.erase("p", {"who": "surrogate-4711"}) == 3
    assert lake.erase("p", {"who": "it's", "n": 1}) == 1

    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"surrogate-4711" in path.read_bytes()]
    assert sorted(lake.read("p").collect().rows()) == [("it's", 0), ("it's", 2), ("other", 0), ("other", 1), ("other", 2)]
    assert Lake(tmp_path).transaction("p", "app") == 3
    assert lake.torn() == [] == lake.damage()
    with pytest.raises(TrunklineError, match="no column"):
        lake.erase("p", {"whom": "x"})
