"""A workspace with a release trained on four weeks, made once and copied: every test of deciding begins from it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from tests.run.conftest import HOUR, MONDAY, Present, kpis

from trunkline import Release, Workflow
from trunkline.core import config
from trunkline.core.canonical import plain
from trunkline.features import history
from trunkline.gates import Verdict
from trunkline.models.portable import model_hash, pack
from trunkline.run import gather, releases, shipped
from trunkline.run.load import load
from trunkline.run.train import Candidate, Contender
from trunkline.store import catalogue
from trunkline.store.opened import Store, open_store

TRAINED = 4
MONTH = timedelta(days=30)
LEVEL = 0.95
"""Low, so that there are many decisions."""
BEGAN = datetime.fromisoformat("2026-11-20T14:00:00+00:00")
KINDS = ("decision", "receipt", "decided", "late", "delivery.wanted", "decision.approve")

FILE = '''"""Strange elements."""

from __future__ import annotations

import os
import time

from trunkline import Decision, Guardrail, Outcome, Owner, Row, Workflow, actions, feedback, gates, models
from trunkline.features import Features, each_kpi


def decide(row: Row, score: float) -> Decision | None:
    """What is strange."""
    if os.environ.get("STRANGE_SHADOW") == "hangs" and os.getpid() != int(os.environ["STRANGE_LIVE"]):
        time.sleep(600)
    if os.environ.get("STRANGE_SHADOW") == "dies" and os.getpid() != int(os.environ["STRANGE_LIVE"]):
        os.abort()
    if os.environ.get("STRANGE_SHADOW") == "eats" and os.getpid() != int(os.environ["STRANGE_LIVE"]):
        bytearray(1 << 36)
    return Decision("investigate", target=row["element"], confidence=score) if score >= {least} else None


workflow = Workflow(
    name="strange",
    owner=Owner(team="noc", oncall="noc", runbook="strange.md"),
    purpose="network-assurance",
    outcome=Outcome.target("hours", baseline="last 8 weeks", at_least="-50 %"),
    control="{control}",
    safe_default="{default}",
    data=("measurements", "events", "elements"),
    features=Features(entity="element", every="1h", columns={{"kpis": each_kpi()}}),
    model=models.Harmonic(),
    gates=(gates.Parity(),),
    decide=decide,
    guardrail=Guardrail(items_per_shift=50),
    act={act},
    feedback=feedback.QueueOutcome(),
)
'''


def workflow_in(folder: Path, *, name: str = "strange", least: float = 0.9, control: str = "approve", default: str = "no decision", act: str = "") -> Workflow:
    """The workflow, from a file in *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "strange.md").write_text("# Runbook\n", encoding="utf-8")
    text = FILE.format(least=least, control=control, default=default, act=act or 'actions.Propose(to="noc", expires="8h")')
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return shipped.find(folder / f"{name}.py")


@dataclass(frozen=True)
class Case:
    """A trained workspace to copy from."""

    folder: Path
    keys: Path
    workflow: Workflow
    elements: tuple[str, ...]

    def copy(self, to: Path, present: Present | None = None) -> Store:
        """A workspace of one's own."""
        if not to.exists():
            shutil.copytree(self.folder, to)
        return self.open(to, present)

    def open(self, folder: Path, present: Present | None = None) -> Store:
        """Open what was copied."""
        flags = {"keys": str(self.keys), "operator": "ann"}
        return open_store(folder, config.read(folder, flags=flags, environment={}), clock=present or Present(BEGAN + timedelta(days=30)))


def make(
    folder: Path, *, elements: tuple[str, ...] = ("a", "b", "c"), names: tuple[str, ...] = ("volume",), live: int = 1, shadow: int = 0, **how: Any
) -> Case:
    """Trained on four weeks, with so many releases made live one after the other, and so many in shadow after them."""
    workflow = workflow_in(folder / "workflow", **how)
    keys, present = folder / "keys", Present(BEGAN)
    flags = {"keys": str(keys), "operator": "ann"}
    store = open_store(folder / "workspace", config.read(folder / "workspace", flags=flags, environment={}), clock=present, create=True)
    put(store, folder, "history", kpis(TRAINED, elements=elements, names=names))
    for seed in range(live + shadow):
        add_release(store, workflow, seed=seed, to="live" if seed < live else "shadow", present=present)
    store.close()
    return Case(folder / "workspace", keys, workflow, elements)


def add_release(store: Store, workflow: Workflow, *, seed: int, to: str, present: Present) -> str:
    """Train one more and bring it where it belongs."""
    candidate = _candidate(store, workflow, seed)
    releases.keep(store, candidate, workflow=workflow, by="bea")
    how: dict[str, Any] = {"release": candidate.release.id, "by": "ann", "reason": "a test", "waiver": "ann: a test", "dry_run": False}
    releases.forward(store, workflow, **how)
    present.at += timedelta(days=8)
    if to == "live":
        releases.forward(store, workflow, **how)
    present.at += timedelta(hours=1)
    return candidate.release.id


def _candidate(store: Store, workflow: Workflow, seed: int) -> Candidate:
    """Fitted and let through, without the weeks of trial that training makes: those are tested elsewhere."""
    found = gather.gather(store, workflow)
    rows = history(gather.bound(found), found.facts)
    fitted = workflow.model.fit(rows, context=found.context, seed=seed)
    trained: dict[str, Any] = {"rows": rows.height, "last": rows["at"].max(), "every": "1h", "seed": seed}
    policy = {"level": LEVEL, "control": workflow.control, "gates": [plain(gate) for gate in workflow.gates]}
    release = Release(workflow=workflow.name, hash=workflow.hash, model=model_hash(fitted.save()), training=plain(trained), policy=policy, versions={})
    verdict = Verdict(gate="Parity", result="pass", value=1.0, bar=1.0, n=1, why="as it is for tests")
    winner = Contender(name="Harmonic", model=workflow.model, scored=None, verdicts=(verdict,))  # type: ignore[arg-type]
    return Candidate(release=release, model_file=pack(fitted.save(), signer=store.signer), fitted=fitted, contenders=(winner,), card={"seed": seed})


def put(store: Store, folder: Path, name: str, found: pl.DataFrame) -> None:
    """Load these KPIs from a file as an export gives it."""
    path = folder / f"{name}.csv"
    wide = found.pivot("kpi", index=["at", "element"], values="value").sort("at", "element")
    wide.with_columns(pl.col("at").dt.strftime("%Y-%m-%dT%H:%M:%SZ"), pl.col(pl.Float64).round(3)).rename({"at": "time"}).write_csv(path)
    load(store, [path])


def days(case: Case, first: float, last: float, *, names: tuple[str, ...] = ("volume",)) -> pl.DataFrame:
    """KPIs of these days after training; the outage is in the third."""
    begin = MONDAY + timedelta(weeks=TRAINED)
    at = pl.col("at")
    return kpis(TRAINED + 1, elements=case.elements, names=names).filter((at >= begin + timedelta(days=first)) & (at < begin + timedelta(days=last)))


def said(store: Store) -> list[tuple[str, str]]:
    """What the journal holds about deciding, in order, without when it was written."""
    return [(entry.kind, str(entry.body)) for entry in store.journal.entries() if entry.kind in KINDS]


def remembered(store: Store) -> dict[tuple[str, str], Any]:
    """The decide states."""
    return {(row["release"], row["mode"]): row["body"] for row in catalogue.rows(store.engine, catalogue.states)}


def decisions(store: Store, mode: str = "live") -> list[dict[str, Any]]:
    """The decisions of one mode, as they rest."""
    table = catalogue.decisions
    return [dict(row) for row in catalogue.rows(store.engine, table, table.c.mode == mode, order_by=table.c.id)]


def slots(first: float, last: float) -> Iterable[datetime]:
    """The hours of these days after training."""
    begin = MONDAY + timedelta(weeks=TRAINED, days=first)
    return (begin + n * HOUR for n in range(round((last - first) * 24)))


def with_act(workflow: Workflow, act: Any) -> Workflow:
    """The same workflow with another action."""
    return replace(workflow, act=act)
