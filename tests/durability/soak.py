"""Kill, cut the power and fill the disk for as long as one likes, and print what was lost and what was doubled: the bar is 0 and 0.

    python -m tests.durability.soak --kills 1000 --seed 1

Of each step so many kills as its share, and of each so many power cuts and full disks. Every try is told in the log file
with its seed, and can be repeated alone with ``--only STEP --try NUMBER``.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.durability import shim
from tests.durability.cutting import cut_power
from tests.durability.facts import Facts
from tests.durability.filling import fill
from tests.durability.killing import Harness, Tally

COLUMNS = ("kills", "tries", "ended_before", "lost", "doubled", "wrong")


@contextmanager
def written_down(log: Path, what: str, tally: Tally) -> Iterator[None]:
    """What is done inside, as one line of the log."""
    before = [getattr(tally, column) for column in COLUMNS], len(tally.told)
    yield
    after = [getattr(tally, column) for column in COLUMNS]
    told = " ".join(f"{column}={new - old}" for column, old, new in zip(COLUMNS, before[0], after, strict=True))
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {what} {told}\n")
        file.writelines(f"  {one}\n" for one in tally.told[before[1] :])


def beside_kills(harness: Harness, only: str, seed: int, log: Path, *, cuts: int, fills: int) -> dict[str, Tally]:
    """Power cuts and full disks, as many of each step; a service is not tried, it is the steps it does."""
    tallies: dict[str, Tally] = {}
    for name, step in harness.steps.items() if shim.made() is not None else ():
        if only not in {"", name} or step.beside is not None:
            continue
        for word, count in (("cuts", cuts), ("fills", fills)):
            chance, tally = random.Random(f"{seed} {word} {name}"), Tally()
            with written_down(log, f"seed={seed} {word} of {name}", tally):
                if word == "cuts" and count:
                    cut_power(harness, name, chance, tally, cuts=count)
                elif count:
                    untold = [one.trace for one in fill(harness, name, chance, tally, times=count) if not one.is_told]
                    harness.tell(tally, "wrong", Facts(untold), f"{name} on a full disk")
            tallies[f"{word} {name}"] = tally
            show(f"{word} of {name}: {count}")
    return tallies


def show(told: str, *, done: int = 0, whole: int = 0) -> None:
    """How far it is: a bar on a terminal, a line now and then elsewhere."""
    bar = f"{'#' * (40 * done // whole):40} " if whole else ""
    if sys.stderr.isatty():
        print(f"\r{bar}{told:30}", end="", file=sys.stderr, flush=True)
    elif not whole or done % 50 == 0:
        print(f"{bar}{told}", file=sys.stderr, flush=True)


def quotas(harness: Harness, kills: int, only: str) -> dict[str, int]:
    """How many kills of each step."""
    wanted = {name: step.share for name, step in harness.steps.items() if only in {"", name}}
    whole = sum(wanted.values())
    return {name: -(-kills * share // whole) for name, share in wanted.items()}


def table(tallies: Mapping[str, Tally]) -> str:
    """Lost and doubled for each step."""
    whole = Tally()
    for one in tallies.values():
        for column in COLUMNS:
            setattr(whole, column, getattr(whole, column) + getattr(one, column))
    lines = [f"{'step':14}" + "".join(f"{column.replace('_', ' '):>14}" for column in COLUMNS)]
    lines += [f"{name:14}" + "".join(f"{getattr(one, column):>14,}" for column in COLUMNS) for name, one in [*tallies.items(), ("all", whole)]]
    lines[-1] = lines[-1].rstrip()
    left = {f"{name}, {kind}": count for name, one in tallies.items() for kind, count in one.left.items() if count}
    lines += ["", "Left on the disk, referred to by nothing: " + ("; ".join(f"{kind}: {count}" for kind, count in left.items()) or "nothing")]
    return "\n".join(lines)


def main() -> int:
    """The soak."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--cuts", type=int, default=40, help="power cuts of each step")
    parser.add_argument("--fills", type=int, default=20, help="full disks of each step")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="one step")
    parser.add_argument("--try", type=int, default=None, dest="number", help="one try of it")
    parser.add_argument("--log", type=Path, default=Path("soak.log"))
    asked = parser.parse_args()
    tallies: dict[str, Tally] = {}
    with tempfile.TemporaryDirectory(prefix="trunkline-soak-", ignore_cleanup_errors=True) as folder:
        harness = Harness(Path(folder))
        try:
            wanted = quotas(harness, asked.kills, asked.only)
            done, whole = 0, sum(wanted.values())
            for name, kills in wanted.items():
                tally = tallies.setdefault(name, Tally())
                number = asked.number or 0
                while tally.kills < kills:
                    with written_down(asked.log, f"seed={asked.seed} {name} try={number}", tally):
                        harness.try_once(name, random.Random(f"{asked.seed} {name} {number}"), tally)
                    number += 1
                    if asked.number is not None:
                        break
                    so_far = min(done + tally.kills, whole)
                    show(f"{so_far:,} of {whole:,} kills, {name}", done=so_far, whole=whole)
                done += kills
            if asked.number is None:
                tallies |= beside_kills(harness, asked.only, asked.seed, asked.log, cuts=asked.cuts, fills=asked.fills)
        finally:
            harness.close()
    print(file=sys.stderr)
    told = table(tallies)
    print(told)
    with asked.log.open("a", encoding="utf-8") as file:
        file.write(told + "\n")
    for one in tallies.values():
        for found in one.told[:20]:
            print(found[:600], file=sys.stderr)
    return int(any(one.lost or one.doubled or one.wrong for one in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
