"""One cell decided, from its row to its journal entry, on one core: the very code the live service runs.

A row of 40 features comes in as a frame of one row; it is scored by 300 trees, explained, decided, held against the
guardrail and written as journal entries. Once without the database and its commit, which is what computing costs, and
once with both, beside the disk's own append and sync of as many bytes.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.measure import Figure, each, growth
from trunkline.actions import Propose
from trunkline.core.canonical import plain
from trunkline.core.frames import TIME
from trunkline.core.values import Outcome, Owner
from trunkline.decisions import Above, Guardrail
from trunkline.features import Features, kpi
from trunkline.feedback import QueueOutcome
from trunkline.gates import Latency
from trunkline.models import Context, Trees
from trunkline.models.trees import FittedTrees
from trunkline.run import queue
from trunkline.run.deciding import Decided
from trunkline.run.lane import Lane, judge, rows_of
from trunkline.run.queue import record
from trunkline.store.entry import group_bytes
from trunkline.workflow import Workflow

FEATURES, TREES, CELLS, WARM = 40, 300, 200, 50
AT = datetime(2026, 11, 20, 8, tzinfo=UTC)
NEW = pl.Series([True])
NAMES = tuple(f"f{j:02}" for j in range(FEATURES))


def figures(*, quick: bool) -> Iterator[Figure]:
    """In process, then with the durable commit; growth with the cells of a batch."""
    calls = 1_000 if quick else 5_000
    fitted, rows, booster = learned(2 * calls + 500)
    fitted.warm()
    with tempfile.TemporaryDirectory() as folder:
        workflow = made(Path(folder))
        frames = [rows[i : i + 1] for i in range(rows.height)]
        yield from in_process(workflow, fitted, booster, frames, calls)
        yield from durable(workflow, fitted, frames, Path(folder), 200 if quick else 2_000)
        took = {size: growing(workflow, fitted, rows, size) for size in (20, 60, 200)}
    yield Figure(
        name="decision: growth with the cells of one batch, 20, 60, 200, one in ten admitted",
        value=growth(took),
        unit="exponent",
        bar=1.2,
        better="lower",
        note=", ".join(f"{size}: {seconds * 1e3:.2f} ms" for size, seconds in took.items()),
    )


def in_process(workflow: Workflow, fitted: FittedTrees, booster: Any, frames: list[pl.DataFrame], calls: int) -> Iterator[Figure]:
    """Row, score, reasons, decide, guardrail, entry bytes; each call admits a decision, which is the dearest case."""
    one = alone(workflow, fitted, frames)
    done, texts = one(0)
    assert len(done.findings) == 1
    assert done.findings[0].decision.reasons
    assert done.findings[0].decision.confidence == fitted.score(frames[0])[0]
    assert b'"reasons"' in texts[0]
    silent = alone(workflow, fitted, frames, level=2.0)
    assert not silent(1)[0].findings
    row = np.array(frames[0].select(NAMES).row(0), dtype=np.float64)[None, :]

    def score_alone(_: int) -> None:
        booster.predict(row, num_threads=1)

    with one_core():
        for what, call in (("one cell in process", one), ("one cell about which nothing is said", silent)):
            used, peer, nothing = (of_each(thing, calls) for thing in (call, score_alone, lambda _: None))
            clock = each(call, calls)
            for share, bar in (("p50", 1.0), ("p99", 5.0)):
                yield Figure(
                    name=f"decision: {what}, {TREES} trees x {FEATURES} features, {share}",
                    value=used[share] * 1e3,
                    unit="ms CPU",
                    bar=bar,
                    better="lower",
                    peer="Booster.predict(num_threads=1) of one row, which only scores",
                    peer_value=peer[share] * 1e3,
                    limit=nothing[share] * 1e3,
                    limit_is="ms CPU: an empty call",
                    n=calls,
                    note=f"{clock[share] * 1e3:.3g} ms on the clock, neighbours included",
                )


def durable(workflow: Workflow, fitted: FittedTrees, frames: list[pl.DataFrame], folder: Path, calls: int) -> Iterator[Figure]:
    """The same, recorded: decision, receipt, journal entries and checkpoint in one commit that is on the disk on return."""
    from trunkline import workspace

    (folder / "workspace").mkdir()
    with workspace.create(folder / "workspace") as opened, one_core():
        store = opened.store
        lane = Lane(workflow=workflow, release="0123456789abcdef", mode="live", level=0.0, fitted=fitted)

        def one(i: int) -> None:
            frame = frames[i]
            done, _ = judge(lane, frame, NEW)
            assert done.findings
            record(store, workflow, done.findings, rows=rows_of(done.findings, frame), counts=done.counts)

        used = of_each(one, calls)
        took = each(lambda i: one(i + calls + WARM), calls, warm=0)
        size = 3_000
        limit = each(appended(folder / "plain", size), calls, warm=20)
    for share in ("p50", "p99"):
        yield Figure(
            name=f"decision: one cell with its durable commit, {share}",
            value=took[share] * 1e3,
            unit="ms on the clock",
            better="lower",
            peer="append and fdatasync of as many bytes to a plain file",
            peer_value=limit[share] * 1e3,
            limit=limit[share] * 1e3,
            limit_is=f"ms: append and fdatasync of {size:,} bytes to a plain file",
            n=calls,
            note=f"{used[share] * 1e3:.3g} ms CPU: decision, receipt, journal entries and signed checkpoint in one transaction",
        )


def alone(workflow: Workflow, fitted: FittedTrees, frames: list[pl.DataFrame], *, level: float = 0.0) -> Callable[[int], tuple[Decided, list[bytes]]]:
    """One cell decided in memory: what came of it, and its journal entries as bytes."""
    lane = Lane(workflow=workflow, release="0123456789abcdef", mode="live", level=level, fitted=fitted)

    def one(i: int) -> tuple[Decided, list[bytes]]:
        frame = frames[i]
        done, _ = judge(lane, frame, NEW)
        items: list[tuple[str, object]] = []
        for finding in done.findings:
            decision = finding.decision
            assert decision.known_at is not None
            receipt = plain(workflow.act.act(decision, at=decision.known_at, dry_run=False))
            row = (
                queue.plain_row(frame.row(by_predicate=pl.col("entity") == finding.entity, named=True))
                if frame.height > 1
                else queue.plain_row(frame.row(0, named=True))
            )
            snapshot = {"reasons": [r.text for r in decision.reasons], "because": decision.because, "row": row, "receipt": receipt}
            items += [("decision", queue._journaled(decision, snapshot)), ("receipt", receipt)]  # noqa: SLF001 - as record writes it
        items.append(("decided", {"workflow": workflow.name, "counts": dict(done.counts)}))
        return done, group_bytes(0, "2026-11-20T08:00:00.000000Z", items)

    return one


def growing(workflow: Workflow, fitted: FittedTrees, rows: pl.DataFrame, size: int) -> float:
    """CPU seconds to decide a batch of so many cells, one in ten of which is admitted."""
    frame = rows.head(size)
    level = float(np.quantile(fitted.score(frame), 0.9))

    def one(_: int) -> None:
        lane = Lane(workflow=workflow, release="0123456789abcdef", mode="live", level=level, fitted=fitted)
        judge(lane, frame, frame["at"] >= AT)

    return min(cpu_each(one, 10) for _ in range(5))


def learned(count: int) -> tuple[FittedTrees, pl.DataFrame, Any]:
    """Trees learned from rows of 40 features; so many rows to come, cell after cell and hour after hour; the peer's trees."""
    import lightgbm

    rng = np.random.default_rng(5)
    x = rng.normal(size=(8_000, FEATURES))
    labels = (x[:, :10].sum(axis=1) + x[:, 0] * x[:, 1] + rng.normal(size=len(x)) > 1).astype(float)
    past = _rows(x)
    order = past.select(pl.arg_sort_by("entity", "at")).to_series().to_numpy()
    fitted = Trees(TREES, stop=0).fit(past[order], labels=labels[order], context=Context(every=timedelta(hours=1)))
    told = {"objective": "binary", "num_leaves": 31, "verbosity": -1, "num_threads": 1}
    return fitted, _rows(rng.normal(size=(count, FEATURES))), lightgbm.train(told, lightgbm.Dataset(x, label=labels), TREES)


def _rows(x: Any) -> pl.DataFrame:
    """One row after the other, of each cell in turn, in hours that follow each other."""
    number = np.arange(len(x))
    at = pl.Series("at", int(AT.timestamp() * 1e6) + number // CELLS * 3_600_000_000).cast(TIME)
    return pl.DataFrame(
        {
            "entity": pl.Series(number % CELLS).cast(pl.String).str.pad_start(4, "0"),
            "at": at,
            "known_at": at + timedelta(minutes=75),
            **{name: x[:, j] for j, name in enumerate(NAMES)},
        }
    )


def made(folder: Path) -> Workflow:
    """A workflow that decides every row above the level and may say so as often as it likes."""
    (folder / "runbook.md").write_text("Look at the cell.\n", encoding="utf-8")
    return Workflow(
        name="benchmark",
        owner=Owner(team="benchmark", oncall="nobody", runbook=str(folder / "runbook.md")),
        purpose="network-assurance",
        outcome=Outcome.target("hours_of_lost_traffic", baseline="none", at_least="-1 %"),
        control="approve",
        safe_default="no decision",
        data=("measurements", "elements"),
        features=Features(entity="cell", every="1h", columns={name: kpi(name) for name in NAMES}),
        model=Trees(),
        gates=(Latency(),),
        decide=Above(0.0, action="investigate"),
        guardrail=Guardrail(items_per_shift=10**9, hold_off="0h", per_element_day=10**9),
        act=Propose(to="noc", expires="8h"),
        feedback=QueueOutcome(within="3d"),
    )


def of_each(call: Callable[[int], object], calls: int) -> dict[str, float]:
    """CPU seconds of single calls: ``p50`` and ``p99`` of so many, after some that are not counted."""
    for i in range(WARM):
        call(i)
    took, clock = np.empty(calls), time.thread_time_ns
    for i in range(calls):
        begun = clock()
        call(i + WARM)
        took[i] = clock() - begun
    return {"p50": float(np.quantile(took, 0.5)) / 1e9, "p99": float(np.quantile(took, 0.99)) / 1e9}


def cpu_each(call: Callable[[int], object], calls: int) -> float:
    """CPU seconds of one call, the mean of so many."""
    begun = time.process_time()
    for i in range(calls):
        call(i)
    return (time.process_time() - begun) / calls


def appended(path: Path, size: int) -> Callable[[int], None]:
    """Append so many bytes to a file and wait until they are on the disk."""
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    content = b"x" * size

    def append(_: int) -> None:
        os.write(file, content)
        os.fdatasync(file)

    return append


@contextmanager
def one_core() -> Iterator[None]:
    """This process on one core, where the system lets it choose."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
