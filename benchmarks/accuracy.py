"""Accuracy beside dummies: ``python -m benchmarks.accuracy [--json] [--quick] [--only PART]``.

Every row: name, value, dummy, interval (95 %), n, split, bar, simulated. The parts read the real data sets beside the
project; where those are not, a part says so and is left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

# part -> (module with rows(data, quick=...), what it measures)
PARTS: Mapping[str, tuple[str, str]] = {
    "kpi-anomaly": ("benchmarks.kpi_anomaly", "injected faults in real cells, forecasts and their intervals"),
    "nab": ("benchmarks.nab", "labelled real series of the Numenta Anomaly Benchmark"),
    "unusual-cells": ("benchmarks.unusual_cells", "labelled real LTE cells: what the gates refuse and pass"),
    "capacity": ("benchmarks.capacity", "crossing a limit within 26 weeks"),
}
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def rows(parts: list[str], *, data: Path = DATA, quick: bool = False) -> Iterator[dict[str, Any]]:
    """The figures of *parts*, one dictionary each."""
    for part in parts:
        yield from import_module(PARTS[part][0]).rows(data, quick=quick)


def main() -> int:
    """Print the figures; 1 where one misses its bar."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--quick", action="store_true", help="fewer seeds and series")
    parser.add_argument("--list", action="store_true", help="list the parts")
    parser.add_argument("--only", action="append", choices=list(PARTS), help="only this part; repeat it")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real data sets")
    given = parser.parse_args()
    if given.list:
        print("\n".join(f"{part:14} {text}" for part, (_, text) in PARTS.items()))
        return 0
    if not given.data.is_dir():
        print(f"The real data sets are not at {given.data}: nothing can be measured. --data FOLDER", file=sys.stderr)
        return 2
    missed = 0
    if not given.json:
        print(f"{'figure':118} {'value':>8} {'dummy':>8} {'95 % interval':>18} {'n':>6} {'bar':>6}")
    for row in rows(given.only or list(PARTS), data=given.data, quick=given.quick):
        missed += row.get("meets", True) is False
        if given.json:
            print(json.dumps(row, default=float), flush=True)
            continue
        interval = "" if not row.get("interval") else "[{:.3f}, {:.3f}]".format(*row["interval"])
        dummy, bar = ("" if row.get(k) is None else f"{row[k]:.3f}" for k in ("dummy", "bar"))
        print(
            f"{row['name'] + (' (simulated faults)' if row['simulated'] == 'faults' else ' (simulated)' if row['simulated'] else ''):118} {row['value']:8.3f} {dummy:>8} {interval:>18} {row['n']:6} {bar:>6}",
            flush=True,
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
