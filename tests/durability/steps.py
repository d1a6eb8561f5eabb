"""What a workspace does that must not be lost or done twice; each step can be begun again, and goes on where the disk says."""

from __future__ import annotations

import signal
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from tests.durability.facts import Facts, facts, wrong
from tests.durability.home import Home
from tests.run import at_work_case as cases

from trunkline import workspace as workspaces
from trunkline.core.config import FILE
from trunkline.core.values import Decision
from trunkline.run import hand_over, queue, shipped
from trunkline.run.deciding import Finding
from trunkline.run.deliver import deliver
from trunkline.run.work import work
from trunkline.store import catalogue, lake_tail
from trunkline.store.backup import read_manifest
from trunkline.store.opened import is_workspace

FIXTURE = Path(__file__).parents[1] / "fixtures" / "workspace-format-1.tar.gz"
PATIENT_S = 60.0
Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing a workspace does.

    Parameters
    ----------
    make
        Prepares the home: files, keys, the disk before the step.
    work
        Does the step to its end, from wherever it was broken off, telling each thing that was acknowledged.
    count
        The facts on the disk; ``found`` says what is wrong with it.
    beside
        What a client in another process does meanwhile; ``work`` is then a service that never ends by itself.
    """

    name: str
    make: Callable[[Home], None]
    work: Callable[[Home, Tell], None]
    count: Callable[[Home], Facts]
    found: Callable[[Home], list[str]]
    beside: Callable[[Home, Tell], None] | None = None
    is_key_on_disk: bool = False
    """Whether faults are done to the signing key, too."""
    share: int = 1
    """How many of a soak's kills are this step's, beside the others."""


def counted(home: Home, *, rows: bool = True) -> Facts:
    """The facts of the workspace."""
    with home.opened() as opened:
        return facts(opened, rows=rows)


def found_wrong(home: Home) -> list[str]:
    """What is wrong with the workspace."""
    with home.opened() as opened:
        return wrong(opened)


# --- create -------------------------------------------------------------------------------------


def make_nothing(home: Home) -> None:
    home.disk.mkdir(parents=True)


def do_create(home: Home, tell: Tell) -> None:
    if is_workspace(home.workspace):
        with home.opened():
            tell("made")
    else:
        home.create().close()
        tell("made")


def count_create(home: Home) -> Facts:
    """That it is there, and can be opened."""
    if not is_workspace(home.workspace):
        return Facts()
    with home.opened() as opened:
        folders = sorted(path.name for path in home.workspace.iterdir() if path.is_dir())
        return Facts([f"a workspace of format {opened.show()['format']}", f"folders {folders}", f"settings {(home.workspace / FILE).read_text()}"])


def wrong_create(home: Home) -> list[str]:
    return found_wrong(home) if is_workspace(home.workspace) else []


# --- load ---------------------------------------------------------------------------------------

PM = """<?xml version="1.0" encoding="UTF-8"?>
<measCollecFile xmlns="http://www.3gpp.org/ftp/specs/archive/32_series/32.435#measCollec">
<fileHeader fileFormatVersion="V1" vendorName="Acme" dnPrefix="SubNetwork=1"><fileSender localDn="n"/><measCollec beginTime="2026-11-20T10:00:00Z"/></fileHeader>
<measData><managedElement localDn="n" swVersion="1"/>
<measInfo measInfoId="a"><granPeriod duration="PT900S" endTime="2026-11-20T{hour:02}:15:00Z"/>
<measType p="1">x</measType><measType p="2">y</measType>
<measValue measObjLdn="Cell=1"><r p="1">{hour}</r><r p="2">1.5</r></measValue>
<measValue measObjLdn="Cell=2"><r p="1">{hour}</r><r p="2">-0.25</r></measValue>
<measValue measObjLdn="Cell=2"><r p="1">none</r></measValue>
</measInfo></measData><fileFooter><measCollec endTime="2026-11-20T{hour:02}:15:00Z"/></fileFooter></measCollecFile>"""


ALARMS = "alarm id,severity,cell,raised,cleared,text\n17,major,zz,2026-11-20T10:00:00Z,2026-11-20T11:00:00Z,VSWR\n"


def _series(path: Path, element: str, hours: int = 12) -> Path:
    lines = [f"2026-11-20T{hour:02}:00:00Z,{element},{100 + hour}" for hour in range(hours)]
    path.write_text("time,cell,volume\n" + "\n".join([*lines, f"no time at all,{element},7"]) + "\n", encoding="utf-8")
    return path


def _lots(files: Path) -> dict[str, list[Path]]:
    return {one.name: sorted(one.iterdir()) for one in sorted(files.iterdir())}


def make_load(home: Home) -> None:
    files = home.made / "files"
    for lot in ("1 series", "2 measurements", "3 everything"):
        (files / lot).mkdir(parents=True)
    _series(files / "1 series" / "a.csv", "a")
    for hour in (10, 11, 12):
        (files / "2 measurements" / f"A20261120.{hour}.xml").write_text(PM.format(hour=hour), encoding="utf-8")
    last = files / "3 everything"
    _series(last / "b.csv", "b")
    (last / "again.csv").write_bytes((files / "1 series" / "a.csv").read_bytes())
    (last / "alarms.csv").write_text(ALARMS, encoding="utf-8")
    (last / "inventory.csv").write_text("cell,site,vendor\na,s1,acme\nb,s2,acme\n", encoding="utf-8")
    (last / "no.xml").write_text(PM[:400], encoding="utf-8")
    home.create().close()


def do_load(home: Home, tell: Tell) -> None:
    with home.opened() as opened:
        for name, files in _lots(home.made / "files").items():
            opened.data.load(files)
            tell(name)


# --- compact ------------------------------------------------------------------------------------


def make_compact(home: Home) -> None:
    files = home.made / "files"
    files.mkdir(parents=True)
    with home.create() as opened:
        for number in range(5):
            opened.data.load([_series(files / f"{number}.csv", f"c{number}", 4)])


def do_compact(home: Home, tell: Tell) -> None:
    with home.opened() as opened:
        opened.data.compact()
        tell("compacted")


def count_compact(home: Home) -> Facts:
    """The facts, and what is read at every version that was there before."""
    found = counted(home)
    with home.opened() as opened:
        for version in range(5):
            rows = opened.store.lake.read("measurements", version=version).collect()
            found[f"version {version}: {sorted(rows['element'].unique())} {rows.height} rows"] += 1
    return found


# --- migrate ------------------------------------------------------------------------------------


def make_migrate(home: Home) -> None:
    with tarfile.open(FIXTURE) as tar:
        tar.extractall(home.made, filter="data")
    (home.made / "keys").chmod(0o700)
    (home.made / "keys" / "journal.key").chmod(0o600)
    home.disk.mkdir(parents=True)
    (home.made / "workspace").rename(home.workspace)


def do_migrate(home: Home, tell: Tell) -> None:
    with home.opened():
        tell("opened")


def count_migrate(home: Home) -> Facts:
    """The facts, the format, and the copy of what it was before."""
    found = counted(home)
    with home.opened() as opened:
        found[f"format {opened.show()['format']}"] += 1
    found.update(f"kept {path.name}" for path in home.workspace.glob("trunkline.db.format-*"))
    return found


# --- backup and restore -------------------------------------------------------------------------


def _backed_up(home: Home) -> Path:
    return home.disk / "backup"


def make_backup(home: Home) -> None:
    make_load(home)
    do_load(home, lambda _: None)


def do_backup(home: Home, tell: Tell) -> None:
    if not _backed_up(home).exists():
        with home.opened() as opened:
            opened.backup(_backed_up(home))
    tell("backed up")


def count_backup(home: Home) -> Facts:
    """The facts, and those of the backup: it is there whole, or not at all, and nothing half stays beside it."""
    found = counted(home)
    if _backed_up(home).exists():
        manifest, _, _ = read_manifest(_backed_up(home))
        told = workspaces.restore(_backed_up(home), home.folder / "nowhere", nothing_erased=True, by="ann", reason="try", flags=home.flags, dry_run=True)
        found.update(f"backup holds {name}: {rows}" for name, rows in told.rows.items() if not name.startswith(("journal", "meta")))
        found.update(f"backup holds {name}" for name in manifest["files"] if name.startswith("blobs"))
    return found


def make_restore(home: Home) -> None:
    make_backup(home)
    do_backup(home, lambda _: None)


def do_restore(home: Home, tell: Tell) -> None:
    place = home.disk / "restored"
    if not place.exists():
        workspaces.restore(_backed_up(home), place, nothing_erased=True, by="ann", reason="the disk died", flags=home.flags, clock=home.clock)
    tell("restored")


def count_restore(home: Home) -> Facts:
    """What was restored."""
    place = home.disk / "restored"
    if not place.exists():
        return Facts()
    with home.opened(place) as opened:
        return facts(opened)


def wrong_restore(home: Home) -> list[str]:
    if not (home.disk / "restored").exists():
        return []
    with home.opened(home.disk / "restored") as opened:
        return wrong(opened)


# --- decide and act -----------------------------------------------------------------------------


def make_decide(home: Home, *, act: str = "", control: str = "approve", shadow: int = 0, until: float = 2.9) -> None:
    made = cases.make(home.made, elements=("a", "b"), shadow=shadow, act=act, control=control)
    home.disk.mkdir(parents=True)
    made.folder.rename(home.workspace)
    with home.opened() as opened:
        cases.put(opened.store, home.made, "data", cases.days(made, 2.2, until))


def do_decide(home: Home, tell: Tell) -> None:
    with home.opened() as opened:
        work(opened.store, shipped.find(home.made / "workflow" / "strange.py"))
        tell("decided")


def make_act(home: Home, *, act: str, decisions: int = 5) -> None:
    """A workspace with so many decisions, and nothing done about them."""
    workflow = cases.workflow_in(home.made / "workflow", act=act)
    at = home.clock() - timedelta(hours=1)
    with home.create() as opened:
        for number in range(decisions):
            id_ = f"{number:x}".ljust(16, "0")
            one = Decision("investigate", target=f"cell {number}", confidence=0.99, id=id_, workflow=workflow.name, release="r1", at=at, known_at=at)
            queue.record(opened.store, workflow, [Finding(one, at)], rows={}, counts={})


PLANS = (("approve",), ("approve", "undo"), ("reject",), ("approve", "confirmed"), ("approve", "undo", "approve"))
"""What persons do about one decision after the other."""


def do_act(home: Home, tell: Tell) -> None:
    with home.opened() as opened:
        deliver(opened.store)
        for one, plan in _planned(opened):
            done = _steps_done(opened, one)
            for number, verb in enumerate(plan[done:], start=done + 1):
                if verb == "confirmed":
                    opened.decisions.outcome(one, verb, note="seen")
                else:
                    getattr(opened.decisions, verb)(one, reason="seen")
                tell(f"{one} {number} {verb}")
                opened.decisions.deliver()
        tell("all")


def _planned(opened: workspaces.Workspace) -> list[tuple[str, tuple[str, ...]]]:
    ids = sorted(row["id"] for row in catalogue.rows(opened.store.engine, catalogue.decisions, catalogue.decisions.c.mode == "live"))
    return [(one, PLANS[number % len(PLANS)]) for number, one in enumerate(ids)]


def _steps_done(opened: workspaces.Workspace, decision: str) -> int:
    kinds = {"decision.approve", "decision.undo", "decision.reject", "outcome"}
    return sum(entry.body["decision"] == decision for entry in opened.store.journal.entries() if entry.kind in kinds)


# --- serve --------------------------------------------------------------------------------------


def make_serve(home: Home) -> None:
    make_act(home, act='actions.Propose(to="noc", expires="400d")', decisions=10)
    files = home.made / "files" / "1"
    files.mkdir(parents=True)
    (files / "alarms.csv").write_text(ALARMS, encoding="utf-8")


def do_serve(home: Home, tell: Tell) -> None:
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    with home.opened() as opened:
        opened.serve(stop=over, ready=lambda: tell("ready"))


def ask(home: Home, tell: Tell) -> None:
    """What a client asks of the service: a load, and a step about each decision. Each is asked again, as by one who missed the answer."""
    until = time.monotonic() + PATIENT_S
    while "ready" not in home.told() and time.monotonic() < until:
        time.sleep(0.02)
    with home.opened() as opened:
        opened.data.load(_lots(home.made / "files")["1"])
        tell("loaded")
        for one, plan in _planned(opened):
            for _ in range(2):
                with hand_over.under(f"{plan[0]} {one}"):
                    getattr(opened.decisions, plan[0])(one, reason="seen")
            tell(f"{one} {plan[0]}")


def leftovers(home: Home) -> Counter[str]:
    """Files that nothing refers to, by kind: room that a kill cost."""
    found = Counter[str]()
    found["unfinished contents"] = sum(1 for path in home.disk.rglob("blobs/incoming/*") if path.is_file())
    found["unfinished folders"] = sum(1 for _ in home.disk.glob(".*.incomplete-*"))
    for log in home.workspace.glob(f"lake/*/{lake_tail.LOG}"):
        text = "".join(path.read_text(encoding="utf-8") for path in log.glob("*.json"))
        found["files of no table"] += sum(path.name.split("#")[0] not in text for path in log.parent.glob("*.parquet*"))
    return found


def all_steps(url: str) -> dict[str, Step]:
    """Every step, for a system outside that is told at *url*."""
    bare = partial(counted, rows=False)
    everything = [
        Step(name="create", share=2, is_key_on_disk=True, make=make_nothing, work=do_create, count=count_create, found=wrong_create),
        Step(name="load", share=5, make=make_load, work=do_load, count=counted, found=found_wrong),
        Step(name="decide", share=2, make=make_decide, work=do_decide, count=bare, found=found_wrong),
        Step(name="shadow", make=partial(make_decide, shadow=1), work=do_decide, count=bare, found=found_wrong),
        Step(name="act", share=4, make=partial(make_act, act=f'actions.Notify(to="{url}", timeout="20s")'), work=do_act, count=bare, found=found_wrong),
        Step(name="compact", share=3, make=make_compact, work=do_compact, count=count_compact, found=found_wrong),
        Step(name="migrate", share=3, make=make_migrate, work=do_migrate, count=count_migrate, found=found_wrong),
        Step(name="backup", share=3, make=make_backup, work=do_backup, count=count_backup, found=found_wrong),
        Step(name="restore", share=3, make=make_restore, work=do_restore, count=count_restore, found=wrong_restore),
        Step(name="serve", share=3, make=make_serve, work=do_serve, count=bare, found=found_wrong, beside=ask),
    ]
    return {one.name: one for one in everything}
