"""Speed beside named peers and physical limits: ``python -m benchmarks [--list] [--only PART] [--prepare] [--quick] [--json]``.

A part compares its outputs with its peer's first and measures both, and the limit, in the same run. A bar that is not met is
marked ``!`` and makes the exit status 1. Accuracy is measured by ``python -m benchmarks.accuracy``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

from benchmarks.measure import Figure, lines

# part -> (module with figures(quick=…), what it measures)
PARTS: Mapping[str, tuple[str, str]] = {
    "pm": ("benchmarks.pm", "3GPP PM files to frames, and to what rests"),
    "asof": ("benchmarks.asof", "features as known at their time"),
    "baselines": ("benchmarks.baselines", "training hour-of-week and harmonic baselines, scoring one slot"),
    "trees": ("benchmarks.trees", "scores and reasons of boosted trees"),
    "onnx": ("benchmarks.onnx", "exported models in ONNX Runtime: how far apart, and what a row costs"),
    "decision": ("benchmarks.decision", "one cell decided, from its row to its journal entry"),
    "journal": ("benchmarks.journal", "durable entries, verification, export"),
    "commands": ("benchmarks.commands", "a command acknowledged by the running service"),
    "chaos": ("benchmarks.chaos", "features and recall over a feed that loses, doubles and delays"),
    "scale": ("benchmarks.scale", "ten thousand cells trained, replayed and scored on one machine"),
}
PEERS = Path(__file__).parent / ".peers"


def main() -> int:
    """Print the figures; 1 where one misses its bar."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--list", action="store_true", help="list the parts")
    parser.add_argument("--only", action="append", choices=list(PARTS), help="only this part; repeat it")
    parser.add_argument("--prepare", action="store_true", help="build the peers that need an environment of their own, untimed")
    parser.add_argument("--quick", action="store_true", help="smaller sizes: each part in less than 40 s")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    given = parser.parse_args()
    parts = given.only or list(PARTS)
    if given.list:
        print("\n".join(f"{part:10} {text}" for part, (_, text) in PARTS.items()))
        return 0
    if given.prepare:
        for part in parts:
            prepare = getattr(import_module(PARTS[part][0]), "prepare", None)
            print(f"{part}: {'nothing to build' if prepare is None else 'building its peers'}", file=sys.stderr)
            if prepare is not None:
                prepare(PEERS)
        return 0
    missed = 0

    def taken() -> Iterator[Figure]:
        nonlocal missed
        for part in parts:
            for figure in import_module(PARTS[part][0]).figures(quick=given.quick):
                missed += figure.meets is False
                yield figure

    for line in (json.dumps(figure.plain()) for figure in taken()) if given.json else lines(taken()):
        print(line, flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
