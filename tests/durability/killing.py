"""Kill a step, begin it again, and compare what is there with a run that nobody stopped."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.durability import shim, worker
from tests.durability.facts import Facts, doubled, lasting, lost
from tests.durability.home import Home
from tests.durability.outside import Outside
from tests.durability.steps import Step, all_steps, leftovers
from tests.durability.worker import Fault

TWICE = 0.35
"""How often a process that goes on after a kill is killed as well."""
UNTIL_READY_S = 120.0


@dataclass(slots=True)
class Tally:
    """What was found of one step over many tries."""

    kills: int = 0
    tries: int = 0
    ended_before: int = 0
    """Kills that came too late: the step was over."""
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    """Findings of the workspace's own check."""
    left: Counter[str] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)
    """Each thing found, with the fault that brought it about."""


@dataclass(frozen=True)
class Whole:
    """A run that nobody stopped."""

    facts: Facts
    sure: Mapping[str, Facts]
    """What must be there once this was acknowledged."""
    changes: int
    seconds: float


class Harness:
    """Prepared steps and what a whole run of each gives; made once, for many tries.

    Parameters
    ----------
    folder
        On which everything happens.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.outside = folder, Outside()
        self.steps = all_steps(self.outside.url)
        self._made: dict[str, Home] = {}
        self._whole: dict[str, Whole] = {}
        self._held: dict[str, Counter[str]] = {}

    def close(self) -> None:
        """End what it started."""
        self.outside.close()

    def made(self, name: str) -> Home:
        """The home of this step as it is before the step."""
        if name not in self._made:
            folder = self.folder / name / "made"
            folder.mkdir(parents=True)
            home = Home(folder, folder, is_key_on_disk=self.steps[name].is_key_on_disk)
            self.steps[name].make(home)
            self.outside.forget()
            self._made[name] = home
        return self._made[name]

    def whole(self, name: str) -> Whole:
        """What the step gives when nobody stops it."""
        if name not in self._whole:
            step, home = self.steps[name], self.made(name).copied(self.folder / name / "whole")
            self.outside.forget()
            with self._client(step, home, is_whole=True) as client:
                process = worker.start(step, home, is_whole=client is None)
                if client is not None:
                    client.join()
                    process.terminate()
                process.join()
                assert worker.ended(process, home)
            sure = {done: Facts(json.loads((home.folder / f"sure-{n}").read_text())) for n, done in enumerate(acknowledged(step, home), start=1)}
            found = self.count(step, home)
            assert step.found(home) == []
            self._whole[name] = Whole(found, sure, *worker.changes(home))
        return self._whole[name]

    def try_once(self, name: str, chance: random.Random, tally: Tally) -> None:
        """One try: the step is killed, perhaps killed again when it is begun again, and then let through."""
        step, whole, home = self.steps[name], self.whole(name), self.made(name).copied(self.folder / name / "tried")
        self.outside.forget()
        tally.tries += 1
        faults: list[Fault] = []
        with self._client(step, home) as client:
            while not faults or chance.random() < TWICE:
                faults.append(self._fault(whole, chance, again=bool(faults)))
                if self._killed(step, home, faults[-1], client):
                    tally.kills += 1
                    if client is None:
                        self._look(name, home, faults, tally)
                else:
                    tally.ended_before += 1
                    break
            process = worker.start(step, home)
            if client is not None:
                client.join()
                process.terminate()
            process.join()
            assert worker.ended(process, home)
        self._compare(name, home, faults, tally)
        for kind, count in leftovers(home).items():
            tally.left[kind] += count

    def _fault(self, whole: Whole, chance: random.Random, *, again: bool) -> Fault:
        reach = chance.random() if again else 1.0  # less is left to do
        if shim.made() is not None and chance.random() < 0.75:
            return Fault(kill_at=chance.randint(1, max(1, round(whole.changes * reach))))
        return Fault(after_s=chance.uniform(0, whole.seconds * reach))

    def _killed(self, step: Step, home: Home, fault: Fault, client: threading.Thread | None) -> bool:
        if client is None:
            return not worker.run(step, home, fault)
        process = worker.start(step, home, fault)
        until = None if fault.after_s is None else time.monotonic() + fault.after_s
        while client.is_alive() and process.is_alive() and (until is None or time.monotonic() < until):
            time.sleep(0.005)
        process.kill()
        process.join()
        return not worker.ended(process, home)

    @contextmanager
    def _client(self, step: Step, home: Home, *, is_whole: bool = False) -> Iterator[threading.Thread | None]:
        """Beside a service, somebody who asks it; what it fails with is raised at the end."""
        if step.beside is None:
            yield None
            return
        failed: list[BaseException] = []
        beside = step.beside

        def tell(done: str) -> None:
            home.tell(done)
            if is_whole:
                number = len(acknowledged(step, home))
                (home.folder / f"sure-{number}").write_text(json.dumps(step.count(home)))

        def asks() -> None:
            try:
                beside(home, tell)
            except BaseException as refused:  # noqa: BLE001 - told by the thread that waits
                failed.append(refused)

        client = threading.Thread(target=asks)
        client.start()
        try:
            yield client
        finally:
            client.join(UNTIL_READY_S)
        if failed:
            raise failed[0]

    def _look(self, name: str, home: Home, faults: list[Fault], tally: Tally) -> None:
        """Right after a kill, on a copy: what was acknowledged is there, and nothing is wrong."""
        step, whole = self.steps[name], self._whole[name]
        seen = home.copied(self.folder / name / "seen")
        found = self.count(step, seen)
        for done in acknowledged(step, home):
            self.tell(tally, "lost", lost(lasting(whole.sure[done]), found), f"{name} killed {faults[-1]}, after '{done}' was acknowledged")
        self.tell(tally, "doubled", doubled(lasting(whole.facts), lasting(found)) if name != "serve" else Facts(), f"{name} killed {faults[-1]}")
        self.tell(tally, "wrong", Facts(step.found(seen)), f"{name} killed {faults[-1]}")

    def _compare(self, name: str, home: Home, faults: list[Fault], tally: Tally) -> None:
        """At the end: everything is as if nobody had stopped it."""
        step, whole = self.steps[name], self._whole[name]
        found, when = self.count(step, home), f"{name} ended, killed {' and '.join(map(str, faults))}"
        self.tell(tally, "lost", lost(whole.facts, found), when)
        self.tell(tally, "doubled", doubled(whole.facts, found), when)
        self.tell(tally, "wrong", Facts(step.found(home)), when)

    def count(self, step: Step, home: Home) -> Facts:
        """The facts on the disk, and those that the system outside holds."""
        return step.count(home) + (Facts(f"outside holds {key}" for key in self.outside.held) if step.name == "act" else Facts())

    def tell(self, tally: Tally, what: str, found: Facts, when: str) -> None:
        """Note what was found."""
        if found:
            setattr(tally, what, getattr(tally, what) + found.total())
            tally.told += [f"{what}: {fact} ({count}), {when}" for fact, count in sorted(found.items())[:5]]


def acknowledged(step: Step, home: Home) -> list[str]:
    """What the step told to be done, in order."""
    return [one for one in home.told() if one != "ready"]
