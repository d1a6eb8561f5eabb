"""Who edits the database or the lake by hand is found out: the very release, decision, outcome or file is named."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from trunkline import workspace as workspaces
from trunkline.core.errors import TrunklineError
from trunkline.store import transaction
from trunkline.workspace import Workspace

ARCHIVE = Path(__file__).parents[1] / "fixtures" / "workspace-format-1.tar.gz"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """One with a live release, decisions in several states, and an outcome."""
    with tarfile.open(ARCHIVE) as tar:
        tar.extractall(tmp_path, filter="data")
    (tmp_path / "keys").chmod(0o700)
    monkeypatch.chdir(tmp_path)
    clock = datetime(2026, 10, 14, 13, tzinfo=UTC)
    with workspaces.open(tmp_path / "workspace", flags={"keys": str(tmp_path / "keys"), "operator": "ann"}, clock=lambda: clock) as opened:
        assert opened.check() == []
        yield opened


@pytest.mark.parametrize(
    ("edit", "what", "why"),
    [
        ("UPDATE releases SET state = 'shadow'", "release eabda64b304027a7", "its state is 'shadow', the journal says 'live'"),
        ("UPDATE releases SET verdict = 'fail'", "release eabda64b304027a7", "its verdict is 'fail'"),
        ("UPDATE releases SET waiver = 'please'", "release eabda64b304027a7", "its waiver is 'please'"),
        ("UPDATE releases SET body = '{}'", "release eabda64b304027a7", "its fields were changed"),
        ("DELETE FROM releases", "release eabda64b304027a7", "the journal tells of it, and it is gone"),
        (
            "INSERT INTO releases SELECT 'f' || substr(id, 2), workflow, 'live', made_at, changed_at, model, 'pass', waiver, body, card FROM releases",
            "release fabda64b304027a7",
            "the journal knows nothing of it",
        ),
        (
            "UPDATE decisions SET state = 'approved' WHERE state = 'rejected'",
            "decision 53910c1fd31803e4",
            "its state is 'approved', the journal says 'rejected'",
        ),
        ("UPDATE decisions SET target = 'b2' WHERE state = 'approved'", "decision 645ce51cfeed8f22", "its target is 'b2'"),
        ("UPDATE decisions SET confidence = 0.5 WHERE state = 'approved'", "decision 645ce51cfeed8f22", "its confidence is 0.5"),
        ("UPDATE decisions SET mode = 'shadow' WHERE state = 'approved'", "decision 645ce51cfeed8f22", "its mode is 'shadow'"),
        ("UPDATE decisions SET release = 'r2' WHERE state = 'approved'", "decision 645ce51cfeed8f22", "its release is 'r2'"),
        ("UPDATE decisions SET route = 'me' WHERE state = 'approved'", "decision 645ce51cfeed8f22", "its route is 'me'"),
        ("UPDATE decisions SET at = '2026-10-13T00:00:00.000000Z' WHERE state = 'approved'", "decision 645ce51cfeed8f22", "its at is"),
        (
            "UPDATE decisions SET body = replace(body, 'usual', 'very usual') WHERE state = 'approved'",
            "decision 645ce51cfeed8f22",
            "its reasons was changed",
        ),
        ("DELETE FROM decisions WHERE state = 'expired'", "decision 5346f08de88b102d", "the journal tells of it, and it is gone"),
        ("UPDATE outcomes SET verdict = 'wrong'", "outcome of decision 645ce51cfeed8f22", "the journal knows nothing of 'wrong' by ann"),
        ("UPDATE outcomes SET note = 'never mind'", "outcome of decision 645ce51cfeed8f22", "the journal tells of 'confirmed' by ann, and it is gone"),
        ("DELETE FROM outcomes", "outcome of decision 645ce51cfeed8f22", "the journal tells of 'confirmed' by ann, and it is gone"),
        (
            'INSERT INTO outcomes (decision, verdict, at, "by", note) SELECT decision, verdict, at, "by", note FROM outcomes',
            "outcome of decision 645ce51cfeed8f22",
            "the journal knows nothing of 'confirmed' by ann",
        ),
    ],
)
def test_an_edit_of_the_database_is_named(workspace: Workspace, edit: str, what: str, why: str) -> None:
    with transaction(workspace.store.engine) as connection:
        connection.execute(text(edit))

    found = workspace.check()

    assert what in {one for one, _ in found}
    assert any(one == what and why in fault for one, fault in found), found


def test_a_changed_journal_is_told_first_and_then_no_comparison_is_believed(workspace: Workspace) -> None:
    with transaction(workspace.store.engine) as connection:
        connection.execute(text("UPDATE journal_entries SET entry = replace(entry, '\"ann\"', '\"bob\"') WHERE kind = 'decision.approve'"))

    found = workspace.check()

    assert [what for what, _ in found] == ["journal"]


def test_a_file_of_the_lake_that_is_gone_cut_or_changed_is_named(workspace: Workspace) -> None:
    table = workspace.store.folder / "lake" / "measurements"
    file = min(table.glob("*.parquet"))
    whole = file.read_bytes()
    for content, why in (
        (None, f"the file {file.name} is missing"),
        (whole[:-10], f"the file {file.name} was changed: it has"),
        (whole[:4] + bytes(2000) + whole[2004:], f"the file {file.name} was changed: it cannot be read"),
    ):
        file.unlink() if content is None else file.write_bytes(content)

        found = workspace.check()

        assert [what for what, _ in found] == ["table measurements"]
        assert why in found[0][1]
        file.write_bytes(whole)
    assert workspace.check() == []


def test_a_log_of_the_lake_that_was_changed_is_named(workspace: Workspace) -> None:
    log = workspace.store.folder / "lake" / "measurements" / "_delta_log" / "00000000000000000001.json"
    whole = log.read_text()
    lines = [json.loads(line) for line in whole.splitlines()]
    more = [{**one, "add": {**one["add"], "size": one["add"]["size"] + 1}} if "add" in one else one for one in lines]
    for content, why in (("\n".join(json.dumps(one) for one in more), "was changed: it has"), ("no json", "its log cannot be read")):
        log.write_text(content)

        found = workspace.store.lake.damage()

        assert [table for table, fault in found if why in fault] == ["measurements"]
        log.write_text(whole)


def test_a_table_that_was_shortened_or_taken_away_is_named(workspace: Workspace, tmp_path: Path) -> None:
    table = workspace.store.folder / "lake" / "measurements"
    path = tmp_path / "more.csv"
    path.write_text("time,element,volume\n" + "".join(f"2026-10-14T{hour:02d}:00:00Z,a,5\n" for hour in range(12)))
    workspace.data.load([path])
    (table / "_delta_log" / "00000000000000000002.json").unlink()

    shortened = workspace.store.lake.damage()
    shutil.rmtree(table)

    assert shortened == [("measurements", "its log ends at version 1, and version 2 had been written")]
    assert workspace.store.lake.damage() == [("measurements", "the whole table is gone")]


def test_a_damaged_table_is_told_by_who_reads_it(workspace: Workspace) -> None:
    for file in (workspace.store.folder / "lake" / "measurements").glob("*.parquet"):
        file.write_bytes(bytes(file.stat().st_size))

    with pytest.raises(TrunklineError, match="measurements") as refused:
        workspace.features.show("strange.py")

    assert "workspace check" in refused.value.next_step


def test_content_that_is_called_erased_and_that_nobody_erased_is_named(workspace: Workspace) -> None:
    with transaction(workspace.store.engine) as connection:
        connection.execute(text("INSERT INTO intake_erased SELECT sequence, received_at FROM intake_arrivals LIMIT 1"))

    assert [why for _, why in workspace.check()] == ["its content is called erased, and nobody erased it"]


def test_an_erasure_leaves_nothing_to_complain_of_and_a_forged_one_does(workspace: Workspace) -> None:
    workspace.data.erase(arrivals=[1], by="dpo", reason="asked to")
    assert workspace.check() == []

    with transaction(workspace.store.engine) as connection:
        connection.execute(text("UPDATE erasures SET id = 'forged'"))

    assert {why for _, why in workspace.check()} == {
        "the journal knows nothing of it, or of other contents",
        "the journal tells of it, and it is gone",
        "its content is called erased, and nobody erased it",
    }


def test_a_log_of_the_lake_that_lost_its_counts_is_named(workspace: Workspace) -> None:
    for log in (workspace.store.folder / "lake" / "measurements" / "_delta_log").glob("*.json"):
        log.write_text(log.read_text().replace("numRecords", "numRecord_"))

    assert any("nobody knows how many rows were written" in fault for _, fault in workspace.store.lake.damage())
