"""A small network nobody has: a few elements, hourly, six weeks, with an outage whose place is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from trunkline import Decision, Guardrail, Outcome, Owner, Row, Workflow, actions, feedback, gates, models
from trunkline.core import config
from trunkline.core.frames import ELEMENTS, KPIS, Facts
from trunkline.features import Features, each_kpi
from trunkline.models import Context
from trunkline.store.opened import Store, open_store

HOUR = timedelta(hours=1)
MONDAY = datetime(2026, 9, 7, tzinfo=UTC)
OUTAGE = (MONDAY + timedelta(weeks=4, days=2, hours=9), MONDAY + timedelta(weeks=4, days=2, hours=19))


def values(weeks: float, *, seed: int, kpi: str = "volume") -> np.ndarray[Any, np.dtype[np.float64]]:
    """A day and a week one can see, and noise."""
    random = np.random.default_rng([seed, sum(kpi.encode())])
    hours = np.arange(int(weeks * 168))
    shape = 100 + 60 * np.sin((hours % 24 - 8) / 24 * 2 * np.pi) - 25 * ((hours // 24) % 7 >= 5)
    return np.asarray(np.maximum(shape * random.normal(1, 0.05, len(hours)), 0.0))


def kpis(weeks: float = 6, *, elements: tuple[str, ...] = ("a", "b"), names: tuple[str, ...] = ("volume",), seed: int = 1, outage: bool = True) -> pl.DataFrame:
    frames = []
    for number, element in enumerate(elements):
        for name in names:
            value = values(weeks, seed=seed * 100 + number, kpi=name)
            at = [MONDAY + n * HOUR for n in range(len(value))]
            if outage and element == elements[0]:
                first, last = ((edge - MONDAY) // HOUR for edge in OUTAGE)
                value[first:last] *= 0.02
            known = [one + HOUR + timedelta(minutes=5) for one in at]
            frames.append(pl.DataFrame({"element": element, "kpi": name, "at": at, "value": value, "status": "ok", "known_at": known}, schema=dict(KPIS)))
    return pl.concat(frames)


@pytest.fixture(scope="session")
def facts() -> Facts:
    """Two elements, six weeks, element "a" out for ten hours in the fifth."""
    return inventoried(kpis())


def inventoried(found: pl.DataFrame) -> Facts:
    names = sorted(found["element"].unique())
    columns = {column: [None] * len(names) for column in ELEMENTS} | {"element": names, "kind": ["element"] * len(names), "zone": ["UTC"] * len(names)}
    return Facts(kpis=found, elements=pl.DataFrame(columns, schema=dict(ELEMENTS)))


@pytest.fixture(scope="session")
def facts_of() -> Callable[..., Facts]:
    return lambda weeks=6, **what: inventoried(kpis(weeks, **what))


@pytest.fixture(scope="session")
def outage() -> tuple[datetime, datetime]:
    return OUTAGE


@pytest.fixture(scope="session")
def context() -> Context:
    return Context(every=HOUR, zones={"a": "UTC", "b": "UTC"}, holidays={}, words={"volume": "volume"})


def decide(row: Row, score: float) -> Decision | None:
    return Decision("investigate", target=row["element"], confidence=score) if score >= 0.99 else None


@pytest.fixture(scope="session")
def workflow(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    runbook = tmp_path_factory.mktemp("runbooks") / "strange.md"
    runbook.write_text("# Runbook\n", encoding="utf-8")
    return Workflow(
        name="strange",
        owner=Owner(team="noc", oncall="noc", runbook=str(runbook)),
        purpose="network-assurance",
        outcome=Outcome.target("hours", baseline="last 8 weeks", at_least="-50 %"),
        control="approve",
        safe_default="no decision",
        data=("measurements", "elements"),
        features=Features(entity="element", every="1h", columns={"kpis": each_kpi()}),
        model=models.Harmonic(),
        gates=(gates.BeatsBaseline(), gates.Parity()),
        decide=decide,
        guardrail=Guardrail(),
        act=actions.Propose(to="noc", expires="8h"),
        feedback=feedback.QueueOutcome(),
    )


class Present:
    """A clock that stands where it is put."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def present() -> Present:
    return Present(datetime(2026, 11, 20, 14, tzinfo=UTC))


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one signing key for all stores."""
    return tmp_path_factory.mktemp("keys")


@pytest.fixture
def store(tmp_path: Path, present: Present, keys: Path) -> Iterator[Store]:
    flags = {"keys": str(keys), "operator": "ann"}
    opened = open_store(tmp_path / "workspace", config.read(tmp_path / "workspace", flags=flags, environment={}), clock=present, create=True)
    yield opened
    opened.close()


@pytest.fixture
def write_csv(tmp_path: Path) -> Callable[..., Path]:
    """A CSV as an export gives it: one row a time and element, one column a KPI."""

    def write(name: str = "cells.csv", weeks: float = 5, **what: Any) -> Path:
        wide = kpis(weeks, **what).pivot("kpi", index=["at", "element"], values="value").sort("at", "element")
        path = tmp_path / name
        wide.with_columns(pl.col("at").dt.strftime("%Y-%m-%dT%H:%M:%SZ"), pl.col(pl.Float64).round(3)).rename({"at": "time"}).write_csv(path)
        return path

    return write
