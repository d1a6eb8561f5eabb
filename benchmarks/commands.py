"""A command from another process, acknowledged by the running service: how long somebody waits who types it.

Waiting is the point, so these are wall times; beside them stands, from the same run, what one durable commit takes on this
disk, and the same verb with no service running, where the caller owns the workspace for its duration.
"""

from __future__ import annotations

import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path

from benchmarks.measure import Figure, each
from trunkline import workspace
from trunkline.core.values import Decision
from trunkline.run import queue, shipped
from trunkline.run.deciding import Finding
from trunkline.store import owner
from trunkline.store.database import transaction
from trunkline.workspace import Workspace

START = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(weeks=5)
CELLS = 4
ACKNOWLEDGED_MS = 1000.0
WORKFLOW = """
from trunkline import Decision, Guardrail, Outcome, Owner, Workflow, actions, feedback, gates, models
from trunkline.features import Features, each_kpi

def decide(row, score):
    return Decision("investigate", target=row["element"], confidence=score) if score >= 0.99 else None

workflow = Workflow(
    name="strange", owner=Owner(team="noc", oncall="noc", runbook="runbook.md"), purpose="network-assurance",
    outcome=Outcome.target("hours", baseline="last 8 weeks", at_least="-50 %"), control="approve", safe_default="no decision",
    data=("measurements", "elements"), features=Features(entity="element", every="1h", columns={"kpis": each_kpi()}), model=models.Harmonic(),
    gates=(gates.Parity(),), decide=decide, guardrail=Guardrail(), act=actions.Propose(to="noc", expires="8h"), feedback=feedback.QueueOutcome(),
)
"""
RUN = "from trunkline.cli import main; main()"


def figures(*, quick: bool) -> Iterator[Figure]:
    """Acknowledgement beside a direct call and a commit, with one workflow at work and files coming in; taking over; idling."""
    count = 120 if quick else 2000
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        os.environ |= {"TRUNKLINE_KEYS": str(home / "keys"), "TRUNKLINE_OPERATOR": "benchmark"}
        with _deployed(home / "w") as opened:
            call = _back_and_forth(opened)
            direct, commit = each(call, count, warm=20), each(_commit(opened), count, warm=20)
            with _service(opened) as process:
                idle = _idle_share(process)
                with _feed(home / "w" / "in") as fed:
                    acknowledged = each(call, count, warm=20)
                took_over = _taken_over(opened, process, call)
            assert opened.check() == []
            assert fed
        for name, bar in (("p50", None), ("p99", ACKNOWLEDGED_MS)):
            yield Figure(
                name=f"command acknowledged by a service at work, {name}",
                value=1e3 * acknowledged[name],
                unit="ms wall",
                bar=bar,
                better="lower",
                peer="the same verb with no service running",
                peer_value=1e3 * direct[name],
                limit=1e3 * commit[name],
                note=f"one workflow at work, {len(fed)} files came in meanwhile; two processes",
                limit_is="one durable commit of SQLite on this disk",
                n=count,
            )
        yield Figure(name="command answered after kill -9 of the service", value=1e3 * took_over, unit="ms wall", bar=ACKNOWLEDGED_MS, better="lower", n=1)
        yield Figure(name="service with nothing to do", value=100 * idle, unit="% of one core", better="lower", n=1)


@contextmanager
def _deployed(folder: Path) -> Iterator[Workspace]:
    """A workspace with a workflow in shadow, its data and one decision."""
    with workspace.create(folder) as opened:
        (folder / "trunkline.toml").write_text('inbox = "in"\ninbox_settles = "0.2s"\n', encoding="utf-8")
        (folder / "in").mkdir()
        opened.data.load([_series(folder.parent / "history.csv", 0, 24 * 28)])
        (folder.parent / "strange.py").write_text(WORKFLOW, encoding="utf-8")
        (folder.parent / "runbook.md").write_text("# Runbook\n", encoding="utf-8")
        opened.workflows.train(folder.parent / "strange.py", seed=1)
        opened.workflows.deploy(folder.parent / "strange.py", reason="benchmark", waiver="benchmark: simulated data")
        at = datetime.now(UTC)
        said = Decision("look", target="c0", confidence=0.99, id="d" * 16, workflow="kpi-anomaly", release="r", at=at, known_at=at)
        queue.record(opened.store, shipped.find("kpi-anomaly"), [Finding(said, at)], rows={}, counts={})
        yield opened


def _series(path: Path, first: int, hours: int) -> Path:
    lines = ["time,element,volume"]
    for hour in range(first, first + hours):
        at = START + timedelta(hours=hour)
        usual = 100 + 60 * math.sin((at.hour - 8) / 24 * 2 * math.pi) - 25 * (at.weekday() >= 5)
        lines += [f"{at:%Y-%m-%dT%H:%M:%SZ},c{cell},{usual * random.Random(hour * CELLS + cell).gauss(1, 0.05):.3f}" for cell in range(CELLS)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _back_and_forth(opened: Workspace) -> Callable[[int], object]:
    """Approve and undo one decision in turn, as the state it is in asks for."""

    verbs = cycle((opened.decisions.approve, opened.decisions.undo))
    return lambda _number: next(verbs)("d" * 16, reason="benchmark")


def _commit(opened: Workspace) -> Callable[[int], object]:
    with transaction(opened.store.engine) as connection:
        connection.exec_driver_sql("CREATE TABLE benchmark (n INTEGER)")

    def call(number: int) -> object:
        with transaction(opened.store.engine) as connection:
            return connection.exec_driver_sql(f"INSERT INTO benchmark VALUES ({number})")

    return call


@contextmanager
def _service(opened: Workspace) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", RUN, "-w", str(opened.store.folder), "workspace", "serve", "--log", "error"])
    try:
        while (who := owner.owner_of(opened.store)) is None or who.pid != process.pid:
            assert process.poll() is None
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def _feed(inbox: Path) -> Iterator[list[Path]]:
    """The next hours, a file every half second, renamed in as a careful sender does."""
    stop, written = threading.Event(), list[Path]()

    def write() -> None:
        while not stop.wait(0.0 if not written else 0.5):
            made = _series(inbox.parent.parent / "next.tmp", 24 * 28 + len(written), 1)
            written.append(made.rename(inbox / f"{len(written):05}.csv"))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield written
    finally:
        stop.set()
        thread.join()


def _taken_over(opened: Workspace, process: subprocess.Popen[bytes], call: Callable[[int], object]) -> float:
    """Seconds from the kill to the answer of a command that was asked then."""
    process.send_signal(signal.SIGKILL)
    begun = time.perf_counter()
    call(0)
    took = time.perf_counter() - begun
    assert opened.audit.verify().ok
    return took


def _idle_share(process: subprocess.Popen[bytes], seconds: float = 4.0) -> float:
    """Which share of one core the service takes with nothing to do, once it has started up."""

    def used() -> float:
        fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before = used()
    while True:  # the first steps build the features up
        time.sleep(1)
        before, now = used(), before
        if before - now < 0.3:
            break
    time.sleep(seconds)
    return (used() - before) / seconds
