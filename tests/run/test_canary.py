"""A canary over data at hand: how long its steps last, who is in them, that it goes back when it is worse, and all ways back."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from trunkline import Workflow, gates
from trunkline.core import config
from trunkline.core.errors import NotAllowed, UnknownName
from trunkline.rollout import Canary, Worse, in_share
from trunkline.run import canary, definitions, gather, releases, standing, trial, watch, windows
from trunkline.run.load import load
from trunkline.run.train import train
from trunkline.store.opened import Store, open_store

CELLS = tuple(f"cell-{number}" for number in range(24))
START = datetime.fromisoformat("2026-09-07T00:00:00+00:00")
HOW: dict[str, Any] = {"release": None, "by": "ann", "reason": "looked at it", "waiver": "", "dry_run": False}
PLAN = Canary(by="element", shadow="7d", steps=(0.4, 0.6, 1.0), stop_if=Worse("volume", by=0.3, least_attempts=20, higher_is="better"))


def write(path: Path, weeks: float, *, since: float = 0, less: Callable[[str, int], float] = lambda _cell, _hour: 1.0) -> Path:
    """Hourly volumes of the cells, *less* saying what is left of one."""
    hours = np.arange(int(since * 168), int(weeks * 168))
    frames = []
    for number, cell in enumerate(CELLS):
        random = np.random.default_rng([number, 7])
        value = (100 + 60 * np.sin((hours % 24 - 8) / 24 * 2 * np.pi)) * random.normal(1, 0.05, int(weeks * 168))[-len(hours) :]
        kept = np.array([less(cell, int(hour)) for hour in hours])
        frames.append(pl.DataFrame({"time": [f"{START + timedelta(hours=int(h)):%Y-%m-%dT%H:%M:%SZ}" for h in hours], "element": cell, "volume": value * kept}))
    pl.concat(frames).write_csv(path)
    return path


@pytest.fixture(scope="module")
def tried(workflow: Workflow) -> Workflow:
    return replace(workflow, gates=(gates.Parity(),), rollout=PLAN)


@pytest.fixture(scope="module")
def made(tried: Workflow, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, datetime]:
    """A workspace that each test gets a copy of: release one is live, release two has been in shadow for a week; four weeks of data."""
    home, present = tmp_path_factory.mktemp("made"), Present(START + timedelta(weeks=4))
    store = opened(home / "workspace", keys, present, create=True)
    load(store, [write(home / "history.csv", 4)])
    found = gather.gather(store, tried)
    candidate = train(found.workflow, found.facts, context=found.context, signer=store.signer, at=present(), seed=1)
    for seed in (1, 2):
        release = replace(candidate.release, training={**candidate.release.training, "seed": seed})
        releases.keep(store, replace(candidate, release=release), workflow=tried, by="tom")
        releases.forward(store, tried, **HOW)
        present.at += timedelta(days=7)
        for _ in PLAN.steps if seed == 1 else ():
            releases.forward(store, tried, **{**HOW, "waiver": "ann: the first of all has nothing to be compared with"})
            present.at += timedelta(minutes=5)
    store.close()
    return home / "workspace", present.at


def opened(folder: Path, keys: Path, present: Present, *, create: bool = False) -> Store:
    return open_store(folder, config.read(folder, flags={"keys": str(keys), "operator": "ann"}, environment={}), clock=present, create=create)


@dataclass
class Present:
    """A clock that stands where it is put."""

    at: datetime

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def present(made: tuple[Path, datetime]) -> Present:
    return Present(made[1])


@pytest.fixture
def shadowed(made: tuple[Path, datetime], tried: Workflow, present: Present, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    shutil.copytree(made[0], tmp_path / "workspace")
    monkeypatch.setattr(definitions, "definition", lambda *_: tried)  # it is of no file
    store = opened(tmp_path / "workspace", keys, present)
    yield store
    store.close()


def shares(store: Store, tried: Workflow) -> tuple[str, str, float]:
    found = canary.serving(store, tried)
    assert found.live is not None
    return found.live["id"], "" if found.canary is None else found.canary["id"], found.share


def test_before_a_step_starts_it_says_how_many_cells_and_days_it_takes(shadowed: Store, tried: Workflow) -> None:
    told = trial.plan(shadowed, tried)

    assert told["step"].to_list() == [1, 2]
    assert told["cells"].to_list() == [10, 14]
    assert all(days >= 1 for days in told["days"])
    assert "would then be seen four times in five" in told["says"][0]


def test_a_step_that_could_tell_nothing_is_not_begun_without_somebody_who_answers(shadowed: Store, tried: Workflow) -> None:
    few = replace(PLAN, steps=(0.02, 1.0))
    workflow = replace(tried, rollout=few)
    workflow.__dict__["hash"] = tried.hash

    with pytest.raises(NotAllowed, match=r"A canary at 2 % could not be judged\. Never at this share: it holds 0 of 24 cells"):
        releases.forward(shadowed, workflow, **HOW)

    assert releases.forward(shadowed, workflow, **{**HOW, "waiver": "ann: small network"}) == "canary at 2 %"


def test_a_rule_about_a_kpi_that_is_not_there_is_told(shadowed: Store, tried: Workflow) -> None:
    with pytest.raises(UnknownName, match="There is no KPI 'drops'"):
        trial.values(shadowed, tried, Worse("drops"))


def test_every_cell_is_decided_by_one_release_and_those_of_a_step_stay_in_the_next(shadowed: Store, tried: Workflow) -> None:
    assert releases.forward(shadowed, tried, **HOW) == "canary at 40 %"

    found = canary.serving(shadowed, tried)
    assert found.live is not None
    assert found.canary is not None
    by_cell = {cell: found.release_of(cell) for cell in CELLS}
    first = {cell for cell, row in by_cell.items() if row is found.canary}
    assert {row["id"] for row in by_cell.values() if row is not None} == {found.live["id"], found.canary["id"]}
    assert first == {cell for cell in CELLS if in_share(cell, 0.4, found.canary["id"])} <= {cell for cell in CELLS if in_share(cell, 0.6, found.canary["id"])}


def test_the_next_step_waits_until_the_one_before_is_over(shadowed: Store, tried: Workflow, tmp_path: Path, present: Any) -> None:
    releases.forward(shadowed, tried, **HOW)
    one = standing.books(shadowed).of("strange", "canary")[0]
    assert one.days is not None

    with pytest.raises(NotAllowed, match=r"This step of the canary is not over\. Cannot tell yet"):
        releases.forward(shadowed, tried, **HOW)
    load(shadowed, [write(tmp_path / "more.csv", 7, since=4)])
    present.at += timedelta(days=one.days, hours=1)
    assert watch.watch(shadowed)  # says that the step is over, and does not go on by itself
    assert standing.books(shadowed).of("strange", "canary")[0].step == 0
    assert [row["kind"] for row in standing.alarms(shadowed).active("strange") if row["kind"] == "next-step"] == ["next-step"]

    assert releases.forward(shadowed, tried, **HOW) == "canary at 60 %"
    assert not [row for row in standing.alarms(shadowed).active("strange") if row["kind"] == "next-step"]


def worse(shadowed: Store, tried: Workflow, tmp_path: Path, present: Any) -> tuple[str, str]:
    """A canary whose cells lose half of their traffic; the live release and the canary."""
    releases.forward(shadowed, tried, **HOW)
    live, tries, share = shares(shadowed, tried)
    since = int((present() - START) / timedelta(hours=1))

    def less(cell: str, hour: int) -> float:
        return 0.5 if hour >= since and in_share(cell, share, tries) else 1.0

    load(shadowed, [write(tmp_path / "worse.csv", 7, since=4, less=less)])
    present.at += timedelta(days=1, hours=1)
    return live, tries


def test_a_canary_that_is_worse_goes_back_by_itself_with_an_alarm_and_an_entry(shadowed: Store, tried: Workflow, tmp_path: Path, present: Any) -> None:
    live, tries = worse(shadowed, tried, tmp_path, present)

    with pytest.raises(NotAllowed, match="The canary is worse"):
        releases.forward(shadowed, tried, **{**HOW, "waiver": "ann: never mind"})
    (said, *_) = watch.watch(shadowed)

    assert "the canary went back. volume is" in said
    assert shares(shadowed, tried) == (live, "", 0.0)
    last = list(shadowed.journal.entries("release.rollback"))[-1].body
    assert (last["release"], last["from"], last["to"], last["by"]) == (tries, "canary", "retired", "stop rule")
    assert "canary-stopped" in {row["kind"] for row in standing.alarms(shadowed).active("strange")}
    assert [line for line in watch.watch(shadowed) if "went back" in line] == []
    with pytest.raises(NotAllowed, match="no release that could go forward"):
        releases.forward(shadowed, tried, **HOW)


def test_going_back_ends_a_canary_and_keeps_what_is_live(shadowed: Store, tried: Workflow) -> None:
    releases.forward(shadowed, tried, **HOW)
    live, tries, _ = shares(shadowed, tried)

    assert releases.back(shadowed, "strange", to=None, by="ann", reason="strange items", dry_run=False) == live

    assert shares(shadowed, tried) == (live, "", 0.0)
    with pytest.raises(NotAllowed, match="no earlier release"):
        releases.back(shadowed, "strange", to=tries, by="ann", reason="it was never live", dry_run=False)


def test_going_back_to_any_release_takes_less_than_five_seconds_and_needs_neither_window_nor_number(shadowed: Store, tried: Workflow, present: Any) -> None:
    waived = {**HOW, "waiver": "ann: seen enough"}
    for _ in PLAN.steps:
        releases.forward(shadowed, tried, **waived)
        present.at += timedelta(minutes=1)
    second, _, _ = shares(shadowed, tried)
    first = standing.books(shadowed).of("strange", "retired")[0].release
    closed = replace(
        shadowed,
        configuration=replace(
            shadowed.configuration, settings=replace(shadowed.configuration.settings, windows="Tue 02:00-02:01", freezes="2026-01-01/2030-01-01")
        ),
    )

    began = time.perf_counter()
    assert releases.back(closed, "strange", to=first[:6], by="ann", reason="worse", dry_run=False) == first
    assert shares(closed, tried)[0] == first
    assert time.perf_counter() - began < 5
    assert releases.back(closed, "strange", to=second[:6], by="ann", reason="it was not", dry_run=False) == second


def test_what_answers_needs_an_open_window_and_the_number_of_the_change(shadowed: Store, tried: Workflow, present: Any) -> None:
    settings = replace(shadowed.configuration.settings, zone="Europe/Rome", windows="Tue-Thu 22:00-04:00")
    store = replace(shadowed, configuration=replace(shadowed.configuration, settings=settings))
    present.at = datetime.fromisoformat("2026-10-20T12:00:00+00:00")  # Tuesday at noon

    with pytest.raises(NotAllowed, match="has to wait for a change window") as closed:
        releases.forward(store, tried, **HOW, change="C-7")
    assert "The next window opens Tuesday 2026-10-20 22:00 (Europe/Rome)" in closed.value.next_step
    present.at = datetime.fromisoformat("2026-10-20T20:30:00+00:00")
    with pytest.raises(NotAllowed, match="A change needs its number"):
        releases.forward(store, tried, **HOW)
    assert releases.forward(store, tried, **HOW, change="C-7") == "canary at 40 %"

    assert list(store.journal.entries("release.deploy"))[-1].body["change"] == "C-7"


def test_a_freeze_can_be_declared_and_ended(shadowed: Store, tried: Workflow, present: Any) -> None:
    today = f"{present():%Y-%m-%d}"
    id_ = windows.freeze(shadowed, "strange", f"{today}/{today}", by="ann", reason="final")

    with pytest.raises(NotAllowed, match=r"it is frozen, .*: final"):
        releases.forward(shadowed, tried, **HOW)
    with pytest.raises(UnknownName, match="There is no freeze 'zz'"):
        windows.unfreeze(shadowed, "zz", by="ann", reason="lost")
    assert windows.unfreeze(shadowed, id_[:4], by="ann", reason="called off") == id_

    assert releases.forward(shadowed, tried, **HOW) == "canary at 40 %"


def test_while_one_is_a_canary_no_other_becomes_one(shadowed: Store, tried: Workflow, present: Any) -> None:
    releases.forward(shadowed, tried, **HOW)
    found = gather.gather(shadowed, tried)
    candidate = train(found.workflow, found.facts, context=found.context, signer=shadowed.signer, at=present(), seed=9)
    releases.keep(shadowed, candidate, workflow=tried)
    third = {**HOW, "release": candidate.release.id, "waiver": "ann: in a hurry"}
    releases.forward(shadowed, tried, **third)

    with pytest.raises(NotAllowed, match="Another release of 'strange' is a canary"):
        releases.forward(shadowed, tried, **third)


def test_the_list_tells_of_the_canary_and_its_step(shadowed: Store, tried: Workflow) -> None:
    releases.forward(shadowed, tried, **HOW)
    live, tries, _ = shares(shadowed, tried)

    (mine,) = watch.listed(shadowed).filter(pl.col("workflow") == "strange").to_dicts()

    assert (mine["live"], mine["canary"], mine["verdict"], mine["control"]) == (live, f"{tries} at 40 % (step 1)", "pass", "approve")
