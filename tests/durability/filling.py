"""Fill the disk while a step is done, then make room: it says so, nothing is half, and it goes on."""

from __future__ import annotations

import random

from tests.durability import worker
from tests.durability.facts import Facts, doubled, lasting, lost
from tests.durability.killing import Harness, Tally, acknowledged
from tests.durability.power import changes
from tests.durability.worker import Fault, Refused


def fill(harness: Harness, name: str, chance: random.Random, tally: Tally, *, times: int) -> list[Refused]:
    """Do the step *times* times on a disk with random room, and each time once more with all the room it likes; what it said."""
    step, whole = harness.steps[name], harness.whole(name)
    recorded = harness.made(name).copied(harness.folder / name / "recorded")
    log = recorded.folder / "log"
    assert worker.run(step, recorded, Fault(log=log))
    needed = sum(len(one.content) for one in changes(log))
    said: list[Refused] = []
    for number in range(times):
        room = 0 if number == 0 else chance.randrange(needed)
        home = harness.made(name).copied(harness.folder / name / "filled")
        harness.outside.forget()
        refused = worker.refused(step, home, Fault(room=room))
        tally.tries += 1
        when = f"{name} with room for {room:,} of {needed:,} bytes"
        if refused is not None:
            tally.kills += 1
            said.append(refused)
            seen = home.copied(harness.folder / name / "seen")
            found = harness.count(step, seen)
            for done in acknowledged(step, home):
                harness.tell(tally, "lost", lost(lasting(whole.sure[done]), found), when)
            harness.tell(tally, "doubled", doubled(lasting(whole.facts), lasting(found)), when)
            harness.tell(tally, "wrong", Facts(step.found(seen)), when)
        assert worker.run(step, home)
        found = harness.count(step, home)
        harness.tell(tally, "lost", lost(whole.facts, found), f"{when}, then with enough")
        harness.tell(tally, "doubled", doubled(whole.facts, found), f"{when}, then with enough")
        harness.tell(tally, "wrong", Facts(step.found(home)), f"{when}, then with enough")
    return said
