"""A release is made again from its record alone: the data as they were, the seed, the code; and what differs is named."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.run.at_work_case import workflow_in
from tests.run.conftest import HOUR, MONDAY, kpis

import trunkline
from trunkline import Workspace
from trunkline.core.errors import NotAllowed, Tampered, UnknownName, WorkspaceError
from trunkline.models import IsolationForest
from trunkline.run import origin, reproduce
from trunkline.run.reproduce import Reproduced
from trunkline.store import catalogue
from trunkline.store.database import transaction


@dataclass(frozen=True)
class Trained:
    """A workspace with one release, to copy from."""

    folder: Path
    keys: Path
    release: str
    file: Path

    def copy(self, to: Path) -> Workspace:
        shutil.copytree(self.folder, to)
        return trunkline.open(to, flags={"keys": str(self.keys), "operator": "ann"})


def csv(path: Path, weeks: float, *, first: float = 0, times: float = 1.0) -> Path:
    """An export of these weeks, every value *times* what was measured."""
    wide = kpis(weeks).filter(pl.col("at") >= MONDAY + timedelta(weeks=first)).pivot("kpi", index=["at", "element"], values="value").sort("at", "element")
    wide = wide.with_columns(pl.col("at").dt.strftime("%Y-%m-%dT%H:%M:%SZ"), (pl.col("volume") * times).round(3)).rename({"at": "time"})
    wide.write_csv(path)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("reproduce")
    workflow_in(folder / "workflow")
    file, keys = folder / "workflow" / "strange.py", folder / "keys"
    with trunkline.create(folder / "w", flags={"keys": str(keys), "operator": "ann"}) as workspace:
        workspace.data.load([csv(folder / "cells.csv", 4)])
        made = workspace.workflows.train(file, seed=5, contenders={"forest": IsolationForest(trees=10)})
    return Trained(folder / "w", keys, made.release.id, file)


@pytest.fixture
def workspace(trained: Trained, tmp_path: Path) -> Iterator[Workspace]:
    with trained.copy(tmp_path / "w") as opened:
        yield opened


def again(workspace: Workspace, trained: Trained) -> Reproduced:
    """In this process: what a clean one adds is tested once."""
    return reproduce.reproduce(workspace.store, trained.release)


def differing(found: Reproduced) -> set[str]:
    return {one.what for one in found.differing}


def test_after_more_data_and_restatements_came_a_clean_process_makes_the_same_release_from_the_record_alone(
    workspace: Workspace, trained: Trained, tmp_path: Path
) -> None:
    workspace.data.load([csv(tmp_path / "more.csv", 5, first=4), csv(tmp_path / "restated.csv", 3, first=2, times=1.7)])
    workspace.data.compact()

    found = workspace.workflows.reproduce(trained.release[:8])

    assert found.ok, str(found)
    assert found.is_same_data
    assert found.is_same_model, "bit by bit, on the machine it was trained on"
    assert found.differing == ()
    assert {one.what for one in found.checks} == {"data", "model", "level", "Harmonic: Parity", "forest: Parity"}
    assert found.notes == ()
    assert workspace.audit.list(kind="model.reproduced")[0].body == {"release": trained.release, "workflow": "strange", "ok": True, "differing": []}


def test_what_it_needs_was_recorded_by_training_itself(workspace: Workspace, trained: Trained) -> None:
    told = workspace.workflows.card(trained.release)["origin"]

    assert told["versions"] == {"elements": -1, "events": -1, "measurements": 0}
    assert told["contenders"]["forest"]["kind"] == "forest"
    assert origin.models(told) == {"forest": IsolationForest(trees=10)}
    assert set(told["columns"]) == {"volume"}
    assert set(told["elements"]) == {"a", "b"}
    assert (told["delay"], told["zone"], told["until"], told["labels"]) == ("10m", "UTC", None, "")
    assert told["code"]


def tamper(workspace: Workspace) -> Path:
    """Change one value of element "b" in the table's file; the file."""
    (path,) = (workspace.store.folder / "lake" / "measurements").glob("*.parquet")
    rows = pl.read_parquet(path)
    hit = (pl.col("element") == "b") & (pl.col("at") == MONDAY + 100 * HOUR)
    rows.with_columns(value=pl.when(hit).then(pl.col("value") * 1.5).otherwise("value")).write_parquet(path)
    return path


def test_data_tampered_with_behind_everybodys_back_are_told_with_the_column_and_the_element_that_differ(workspace: Workspace, trained: Trained) -> None:
    log = workspace.store.folder / "lake" / "measurements" / "_delta_log" / "00000000000000000000.json"
    (path,) = log.parent.parent.glob("*.parquet")
    size = path.stat().st_size
    tamper(workspace)
    log.write_text(log.read_text().replace(f'"size":{size}', f'"size":{path.stat().st_size}'))  # the log agrees with the file: no check of sizes finds it

    found = again(workspace, trained)

    assert not found.ok
    assert not found.is_same_data
    assert {"data", "column volume", "element b"} <= differing(found)
    assert "element a" not in differing(found)
    assert "did not come out the same: data, column volume, element b" in str(found)


def test_a_file_that_was_tampered_with_clumsily_is_not_even_read(workspace: Workspace, trained: Trained) -> None:
    tamper(workspace)

    with pytest.raises(WorkspaceError, match="'measurements' cannot be read") as told:
        again(workspace, trained)
    assert "workspace check" in told.value.next_step


def test_labels_that_only_python_had_in_its_hands_are_kept_and_used_again(trained: Trained, tmp_path: Path) -> None:
    def labels(rows: pl.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return ((rows["at"] >= MONDAY + 24 * 24 * HOUR) & (rows["at"] < MONDAY + 25 * 24 * HOUR)).to_numpy().astype(np.int64)

    with trained.copy(tmp_path / "w") as opened:
        made = opened.workflows.train(trained.file, seed=6, labels=labels)
        kept = origin.labels(opened.store, opened.workflows.card(made.release.id)["origin"])
        (rows,) = made.winner.scored.pieces()

        assert kept is not None
        assert np.array_equal(np.asarray(kept(rows.reverse())), labels(rows.reverse()))
        assert reproduce.reproduce(opened.store, made.release.id).ok


def test_a_changed_record_is_refused_before_anything_is_trained(workspace: Workspace, trained: Trained) -> None:
    card = workspace.workflows.card(trained.release)
    card["origin"]["versions"]["measurements"] = -1
    with transaction(workspace.store.engine) as connection:
        catalogue.change(connection, catalogue.releases, trained.release, card=card)

    with pytest.raises(Tampered, match="what training recorded of it was changed"):
        again(workspace, trained)


def test_an_error_in_the_clean_process_is_told_as_it_would_be_here(workspace: Workspace, trained: Trained) -> None:
    tamper(workspace)

    with pytest.raises(WorkspaceError, match="'measurements' cannot be read"):
        workspace.workflows.reproduce(trained.release)


def test_a_contender_of_an_unregistered_class_is_said_to_be_out_of_reach(workspace: Workspace) -> None:
    class Mine:
        """A model of a notebook."""

    told = {"contenders": {"mine": origin._written(Mine())}}

    with pytest.raises(NotAllowed, match="The contender 'mine' cannot be made again"):
        origin.models(told)


def test_a_release_that_does_not_exist_is_named(workspace: Workspace) -> None:
    with pytest.raises(UnknownName, match="There is no release"):
        workspace.workflows.reproduce("ffff")
