"""The command line as somebody types it: words in, exit code, data on stdout, words for people on stderr."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trunkline import cli, workspace
from trunkline.core.values import Decision, Reason
from trunkline.run import queue, shipped
from trunkline.run.deciding import Finding

START = datetime(2026, 9, 7, tzinfo=UTC)


@dataclass(frozen=True)
class Said:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Said]


@pytest.fixture(autouse=True)
def _at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, keys that are nobody's, and no setting of this machine's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "160")
    for name in ("KEYS", "WORKSPACE", "OPERATOR", "ZONE", "REGION", "DELAY", "SHIFT"):
        monkeypatch.delenv(f"TRUNKLINE_{name}", raising=False)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    def typed(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["trunkline", *map(str, words)])
        capfd.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as done:
            code = int(done.code or 0)
        said = capfd.readouterr()
        assert "Traceback" not in said.err
        return Said(code, said.out, said.err)

    return typed


def series(weeks: float, *, elements: tuple[str, ...] = ("a", "b")) -> str:
    """An hourly CSV of a few elements, element "a" out for ten hours in the fourth week."""
    hours = np.arange(int(weeks * 168))
    lines = ["time,element,volume"]
    for number, element in enumerate(elements):
        random = np.random.default_rng(number)
        value = (100 + 60 * np.sin((hours % 24 - 8) / 24 * 2 * np.pi) - 25 * ((hours // 24) % 7 >= 5)) * random.normal(1, 0.05, len(hours))
        if element == "a":
            value[3 * 168 + 57 : 3 * 168 + 67] *= 0.02
        lines += [f"{START + timedelta(hours=int(n)):%Y-%m-%dT%H:%M:%SZ},{element},{v:.3f}" for n, v in zip(hours, value, strict=True)]
    return "\n".join(lines) + "\n"


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "cells.csv"
    path.write_text(series(4), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def _filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with data, a release in shadow, one decision in each state and a little history."""
    home = tmp_path_factory.mktemp("filled")
    (home / "cells.csv").write_text(series(4), encoding="utf-8")
    with workspace.create(home / "w", flags={"keys": str(home / "keys"), "operator": "ann"}) as opened:
        opened.data.load([home / "cells.csv"])
        opened.workflows.train("kpi-anomaly", rename={"dl_volume": "volume"}, seed=1)
        put(opened, "aa", "bb", "cc")
        opened.decisions.reject("bb", reason="known work")
        opened.decisions.outcome("aa", "wrong", note="planned work")
    return home


def put(opened: workspace.Workspace, *names: str) -> None:
    """Decisions that were just taken, with these beginnings of their ids."""
    at = datetime.now(UTC) - timedelta(hours=1)
    reasons = (Reason(column="volume", text="volume 98 % below its usual Friday 12:00", weight=1.0),)
    taken = [
        Decision("investigate", target=f"cell-{name}", confidence=0.99 + n / 1000, reasons=reasons, id=name.ljust(16, "0"), workflow="kpi-anomaly", release="r1", at=at, known_at=at)
        for n, name in enumerate(names)
    ]  # fmt: skip
    rows = {one.id: {"entity": one.target, "at": at, "volume": 2.0} for one in taken}
    queue.record(opened.store, shipped.find("kpi-anomaly"), [Finding(one, at) for one in taken], rows=rows, counts={"none": 5})


@pytest.fixture
def filled(_filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the filled workspace, as the folder commands look for first."""
    shutil.copytree(_filled / "w", tmp_path / "trunkline-workspace")
    monkeypatch.setenv("TRUNKLINE_KEYS", str(_filled / "keys"))
    monkeypatch.setenv("TRUNKLINE_OPERATOR", "ann")
    return tmp_path / "trunkline-workspace"
