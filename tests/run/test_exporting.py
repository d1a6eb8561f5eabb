"""A release leaves as an ONNX file: proven on the rows of its workspace, with what it is written in it, or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trunkline
from trunkline.cli import trunkline as command_line
from trunkline.core.canonical import sha256
from trunkline.core.errors import BadInput, NotAllowed, UnknownName
from trunkline.models import onnx_export
from trunkline.models.onnx_export import opened
from trunkline.workspace import Workspace


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def trained(folder: Path) -> Iterator[tuple[Workspace, str]]:
    """A workspace with five weeks of two cells, and the id of a release."""
    from .conftest import kpis

    wide = kpis(5, names=("dl_volume", "users")).pivot("kpi", index=["at", "element"], values="value").sort("at", "element")
    wide.rename({"at": "time"}).write_csv(folder / "cells.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ")
    with trunkline.create(folder / "w", flags={"keys": str(folder / "keys"), "operator": "ann"}) as workspace:
        workspace.data.load([folder / "cells.csv"])
        yield workspace, workspace.workflows.train("kpi-anomaly").release.id


def test_training_records_whether_the_model_can_leave(trained: tuple[Workspace, str]) -> None:
    workspace, release = trained

    assert workspace.workflows.card(release)["exports"] is True


def test_a_release_is_written_with_what_it_is_and_how_far_it_is_from_the_model(trained: tuple[Workspace, str], tmp_path: Path) -> None:
    workspace, release = trained

    found = workspace.models.export(release[:6], to=tmp_path / "m.onnx", reason="for the edge")
    content = (tmp_path / "m.onnx").read_bytes()
    told = opened(content).metadata
    (entry,) = workspace.audit.list(kind="model.exported")[-1:]

    assert (told["release"], told["workflow"], told["trunkline"]) == (release, "kpi-anomaly", version("trunkline"))
    assert told["workflow_hash"] == workspace.workflows.release(release).hash
    assert json.loads(told["columns"]) == ["dl_volume", "users"]
    assert found.verdict == told["verdict"] == entry.body["verdict"] == workspace.workflows.releases("kpi-anomaly")["verdict"][0]
    assert found.apart == float(told["parity"]) <= 1e-5
    assert found.rows == found.judged == 2 * 5 * 168
    assert entry.body["sha256"] == found.sha256 == sha256(content)
    assert (entry.body["by"], entry.body["reason"]) == ("ann", "for the edge")
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_in_a_dry_run_it_is_proven_and_nothing_is_written(trained: tuple[Workspace, str], tmp_path: Path) -> None:
    workspace, release = trained
    before = len(workspace.audit.list(kind="model.exported"))

    found = workspace.models.export(release, to=tmp_path / "m.onnx", dry_run=True)

    assert found.judged > 0
    assert list(tmp_path.iterdir()) == []
    assert len(workspace.audit.list(kind="model.exported")) == before


def test_a_file_that_answers_otherwise_is_not_kept_and_the_one_before_stays(
    trained: tuple[Workspace, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, release = trained
    (tmp_path / "m.onnx").write_bytes(b"the last one")
    true_scores = onnx_export.Exported.score

    def off(self: Any, given: Any, **more: Any) -> Any:
        scores = true_scores(self, given, **more)
        return np.where(np.arange(len(scores)) == 3, scores + 2e-5, scores)

    monkeypatch.setattr(onnx_export.Exported, "score", off)
    with pytest.raises(NotAllowed, match=r"(?s)answers otherwise.*entity 'a', at 20.*dl_volume.*users"):
        workspace.models.export(release, to=tmp_path / "m.onnx")

    assert (tmp_path / "m.onnx").read_bytes() == b"the last one"


@pytest.mark.parametrize(
    ("what", "error", "text"),
    [
        ({"to": "m.bin"}, BadInput, "ends in .onnx"),
        ({"to": "nowhere/m.onnx"}, BadInput, "There is no folder"),
        ({"release": "ffffffffffff"}, UnknownName, "There is no release"),
        ({"int8": True}, NotAllowed, "Only the weights of an autoencoder"),
        ({"bound": 0.5}, BadInput, "cannot be declared"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_words(
    what: dict[str, Any], error: type[Exception], text: str, trained: tuple[Workspace, str], tmp_path: Path
) -> None:
    workspace, release = trained
    asked = {"release": release, "int8": False, "bound": None, **what, "to": tmp_path / str(what.get("to", "m.onnx"))}

    with pytest.raises(error, match=text):
        workspace.models.export(asked.pop("release"), **asked)

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told_in_words(trained: tuple[Workspace, str], tmp_path: Path) -> None:
    workspace, release = trained
    (tmp_path / "m.onnx").mkdir()

    with pytest.raises(BadInput, match="could not be written"):
        workspace.models.export(release, to=tmp_path / "m.onnx")

    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_on_the_command_line_it_says_what_the_file_asks_for(trained: tuple[Workspace, str], folder: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner

    _, release = trained
    told = CliRunner(env={"TRUNKLINE_KEYS": str(folder / "keys"), "TRUNKLINE_OPERATOR": "ann"})

    said = told.invoke(command_line, ["-w", str(folder / "w"), "model", "export", release, "--to", str(tmp_path / "m.onnx"), "--json"])

    assert said.exit_code == 0, said.output
    found = json.loads(said.stdout)
    assert found["sha256"] == sha256((tmp_path / "m.onnx").read_bytes())
    assert [one["name"] for one in found["inputs"]] == ["values", "hour", "entity"]
