"""Cut the power while a step is done, and compare what the disk is left with with a run to its end."""

from __future__ import annotations

import random
import shutil

from tests.durability import worker
from tests.durability.facts import Facts, doubled, lasting, lost
from tests.durability.killing import Harness, Tally, acknowledged
from tests.durability.power import KINDS, Disk, changes
from tests.durability.worker import Fault


def cut_power(harness: Harness, name: str, chance: random.Random, tally: Tally, *, cuts: int) -> None:
    """Do the step once, and see what *cuts* cuts at random moments of it would have left.

    Each disk is opened: what was acknowledged by then is on it, and nothing is wrong. Then the step is done to its end there.
    """
    step, whole = harness.steps[name], harness.whole(name)
    recorded = harness.made(name).copied(harness.folder / name / "recorded")
    harness.outside.forget()
    disk, log = Disk(recorded.disk), recorded.folder / "log"
    assert worker.run(step, recorded, Fault(log=log))
    done, held, made = acknowledged(step, recorded), dict(harness.outside.held), list(changes(log))
    right_after = [number + 1 for number, one in enumerate(made) if one.what == "M"]
    moments = chance.sample(right_after, min(len(right_after), cuts // 4)) + [chance.randint(0, len(made)) for _ in range(cuts)]
    applied = 0
    for number, moment in enumerate(sorted(moments[:cuts])):
        for change in made[applied:moment]:
            disk.apply(change)
        applied = moment
        kind = KINDS[number % len(KINDS)]
        left = harness.made(name).copied(harness.folder / name / "left")
        shutil.rmtree(left.disk)
        disk.cut(left.disk, kind, chance)
        when = f"{name}, power cut after change {moment} of {len(made)}, a {kind} disk"
        harness.outside.held.update(held)
        tally.tries, tally.kills = tally.tries + 1, tally.kills + 1
        seen = left.copied(harness.folder / name / "seen")
        sure = [whole.sure[one] for one in done[: disk.acknowledged]]
        found = harness.count(step, seen)
        for one in sure:
            harness.tell(tally, "lost", lost(lasting(one), found), when)
        harness.tell(tally, "doubled", doubled(lasting(whole.facts), lasting(found)), when)
        harness.tell(tally, "wrong", Facts(step.found(seen)), when)
        assert worker.run(step, left)
        found = harness.count(step, left)
        harness.tell(tally, "lost", lost(whole.facts, found), f"{when}, then done to its end")
        harness.tell(tally, "doubled", doubled(whole.facts, found), f"{when}, then done to its end")
        harness.tell(tally, "wrong", Facts(step.found(left)), f"{when}, then done to its end")
