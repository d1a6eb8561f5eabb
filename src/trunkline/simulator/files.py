"""Write a simulated operator to a folder: history, measurement files, alarms, states, works, inventory, and the truth."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from math import ceil
from pathlib import Path

import numpy as np
import polars as pl

from trunkline.core.clock import utc
from trunkline.core.errors import BadInput
from trunkline.simulator import logbook
from trunkline.simulator.incidents import Incident, draw
from trunkline.simulator.measure import Counted
from trunkline.simulator.names import records
from trunkline.simulator.network import Network
from trunkline.simulator.pm_files import file_name, measurement_files
from trunkline.simulator.simulation import Simulation, simulate
from trunkline.simulator.traffic import Grid
from trunkline.simulator.truth import TRUTH

TODAY: Mapping[str, int] = {
    "sleeping_cell": 2,
    "cell_outage": 1,
    "transport_failure": 1,
    "degradation": 1,
    "interference": 1,
    "saturation": 1,
    "access_failure": 1,
    "load_half": 1,
    "load_spike": 1,
    "load_flat": 1,
    "locked": 1,
    "energy_saving": 2,
    "planned_work": 1,
    "pm_missing": 1,
    "suspect_data": 1,
}
"""What goes wrong, or seems to, in the days of measurement files unless told otherwise."""

A_WEEK: Mapping[str, float] = {
    "sleeping_cell": 0.5,
    "cell_outage": 0.8,
    "transport_failure": 0.2,
    "degradation": 0.5,
    "interference": 0.5,
    "access_failure": 0.3,
    "load_spike": 0.5,
    "load_half": 0.3,
    "locked": 0.7,
    "energy_saving": 2.0,
    "planned_work": 0.4,
    "pm_missing": 0.5,
    "suspect_data": 0.3,
}
"""What happens in a week of history for every 50 cells: no operator's past is clean."""

_FILE_NOTES = {
    "file_late": "the file arrives hours late",
    "file_duplicate": "the file arrives twice, the second with a running count",
    "file_missing": "the file never arrives",
    "file_damaged": "the file is cut off in the middle",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFaults:
    """Share of measurement files with each flaw, rounded up to whole files."""

    late: float = 0.01
    duplicate: float = 0.005
    missing: float = 0.004
    damaged: float = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written: how many of each thing, and where.

    ``counts`` has rows or files for each of ``paths``, and ``incidents``, ``faults`` and ``bytes``.
    """

    folder: Path
    counts: Mapping[str, int]
    paths: Mapping[str, Path]

    def __str__(self) -> str:
        said = ", ".join(f"{number:,} {what}" for what, number in self.counts.items())
        return f"A simulated operator in {self.folder}: {said}."


def write(
    network: Network,
    folder: Path | str,
    *,
    start: datetime,
    history_weeks: int = 8,
    days: float = 1.0,
    step: timedelta = timedelta(minutes=15),
    incidents: Mapping[str, int] | None = None,
    history_incidents: Mapping[str, int] | None = None,
    file_faults: FileFaults | None = None,
    difficulty: float = 0.3,
    seed: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Written:
    """Write everything a real operator would hand over, and ``truth.csv`` beside it.

    ``pm/`` holds the measurement files from *start* on; each file's modification time is when it
    arrived. ``history/week-NN.parquet`` holds the weeks before as a warehouse would export them:
    RECORDS in standard names. ``alarms.csv``, ``states.csv``, ``works.csv``, ``elements.csv``,
    ``relations.csv`` cover both. ``README.txt`` says that it is simulated.

    Parameters
    ----------
    network
        From :meth:`Network.make`.
    folder
        Made if not there; it must be empty.
    start
        When the measurement files begin; history ends there.
    history_weeks, days
        How long each lasts; 0 weeks and 0 days are allowed, not both.
    step
        The measurement period.
    incidents, history_incidents
        How many of each kind in either part; :data:`TODAY` and :data:`A_WEEK` where not given.
    file_faults
        How often files come late, twice, not at all or damaged.
    difficulty
        0: full effects; 1: the faintest.
    seed
        Of everything but the network; the network's own where not given.
    progress
        Called with a line of text at each step.

    Raises
    ------
    BadInput
        The folder holds something already, or there is nothing to write.
    """
    there, chosen, say = Path(folder), network.seed if seed is None else seed, progress or (lambda _: None)
    there.mkdir(parents=True, exist_ok=True)
    if any(there.iterdir()):
        raise BadInput(f"The folder '{there}' is not empty.", allowed="a new or empty folder, so that simulated and real files never mix")
    begin = utc(start)
    past, present = history_weeks * timedelta(weeks=1), round(days * timedelta(days=1) / step) * step
    if past + present <= timedelta(0):
        raise BadInput("There is nothing to write.", allowed="weeks of history, days of measurement files, or both")
    grid = Grid.over(begin - past, past + present, step=step)
    happened = _happenings(network, grid, begin, chosen, incidents, history_incidents, history_weeks, difficulty)
    say(f"simulated operator, seed {chosen}: {len(network.cells)} cells, {grid.slots} periods, {len(happened)} incidents")
    simulation = simulate(network, grid, happened, seed=chosen)

    counts: dict[str, int] = {}
    paths: dict[str, Path] = {}
    if history_weeks:
        paths["history"] = there / "history"
        counts["history rows"] = _write_history(simulation, paths["history"], begin, history_weeks, say)
    flaws = pl.DataFrame(schema=dict(TRUTH))
    if present:
        paths["pm"] = there / "pm"
        counts["measurement files"], flaws = _write_pm(simulation, paths["pm"], begin, file_faults or FileFaults(), say)
    tables = {
        "alarms": logbook.alarms(network, grid, simulation.incidents, seed=chosen),
        "states": logbook.states(network, grid, simulation.incidents),
        "works": logbook.works(network, simulation.incidents),
        "elements": network.elements(),
        "relations": network.relations(),
        "truth": pl.concat([simulation.truth, flaws]).sort("start", "element", "incident_id"),
    }
    for name, table in tables.items():
        paths[name] = there / f"{name}.csv"
        table.write_csv(paths[name], datetime_format="%Y-%m-%dT%H:%M:%SZ")
        counts[name] = len(table)
    counts["faults"] = int(tables["truth"]["is_fault"].sum())
    paths["readme"] = there / "README.txt"
    paths["readme"].write_text(_readme(simulation, begin, tables["truth"]), encoding="utf-8")
    counts["bytes"] = sum(f.stat().st_size for f in there.rglob("*") if f.is_file())
    written = Written(folder=there, counts=counts, paths=paths)
    say(str(written))
    return written


def _happenings(
    network: Network,
    grid: Grid,
    begin: datetime,
    seed: int,
    incidents: Mapping[str, int] | None,
    history_incidents: Mapping[str, int] | None,
    weeks: int,
    difficulty: float,
) -> tuple[Incident, ...]:
    if history_incidents is None:
        expected = {kind: rate * weeks * len(network.cells) / 50 for kind, rate in A_WEEK.items()}
        history_incidents = {kind: int(number + 0.5) for kind, number in expected.items()}
    happened: tuple[Incident, ...] = ()
    if weeks:
        happened = draw(network, grid, history_incidents, between=(grid.start, begin - timedelta(days=1)), seed=seed, difficulty=difficulty)
    if grid.end > begin:
        chosen = TODAY if incidents is None else incidents
        happened += draw(network, grid, chosen, between=(begin, grid.end), seed=seed + 1, difficulty=difficulty, beside=happened)
    return happened


def _write_history(simulation: Simulation, folder: Path, begin: datetime, weeks: int, say: Callable[[str], None]) -> int:
    folder.mkdir()
    rows = 0
    for week in range(weeks):
        first = begin - (weeks - week) * timedelta(weeks=1)
        frame = records(simulation.network, simulation.counted.between(first, first + timedelta(weeks=1)), source=f"simulated history/week-{week + 1:02d}")
        frame.write_parquet(folder / f"week-{week + 1:02d}.parquet", compression="zstd", compression_level=3)
        rows += len(frame)
        say(f"simulated history: week {week + 1} of {weeks}")
    return rows


def _write_pm(simulation: Simulation, folder: Path, begin: datetime, faults: FileFaults, say: Callable[[str], None]) -> tuple[int, pl.DataFrame]:
    """Write the files, flawed ones included; how many there are, and the truth about the flaws."""
    folder.mkdir()
    rng = np.random.default_rng([simulation.seed, 6])
    now = simulation.counted.between(begin, simulation.grid.end)
    rows: list[tuple[object, ...]] = []
    number = 0
    flawed = _flawed(rng, simulation, now, faults)
    for number, file in enumerate(measurement_files(simulation.network, now), 1):
        flaw = flawed.get(number, "")
        cut, wait, hours = rng.uniform(0.3, 0.9), rng.uniform(120, 280), rng.uniform(1, 4)
        ended = now.grid.start + (file.slot + 1) * now.grid.step
        arrived = ended + timedelta(seconds=wait) + (timedelta(hours=hours) if flaw == "file_late" else timedelta(0))
        if flaw:
            affected = " ".join(simulation.network.cells[i].element for i in simulation.network.below(file.site.node))
            first = ended - now.grid.step
            note = f"{_FILE_NOTES[flaw]}: {file.name}"
            rows.append((f"F{len(rows) + 1:04d}", flaw, file.site.node, affected, first, ended, False, "", note))
        if flaw != "file_missing":
            _put(folder / file.name, file.content[: int(len(file.content) * cut)] if flaw == "file_damaged" else file.content, arrived)
        if flaw == "file_duplicate":
            _put(folder / file_name(now.grid, file.slot, file.site, repeat=2), file.content, arrived + timedelta(seconds=600))
        if number % 500 == 0:
            say(f"simulated measurement files: {number}")
    return len(list(folder.iterdir())), pl.DataFrame(rows, schema=dict(TRUTH), orient="row")


def _put(path: Path, content: bytes, arrived: datetime) -> None:
    path.write_bytes(content)
    os.utime(path, (arrived.timestamp(), arrived.timestamp()))


def _flawed(rng: np.random.Generator, simulation: Simulation, now: Counted, faults: FileFaults) -> dict[int, str]:
    """Which of the files, counted from 1, has which flaw: each share rounded up, so that a flaw asked for is there."""
    files = sum(int(now.delivered[list(simulation.network.below(site.node))].all(axis=0).sum()) for site in simulation.network.sites)
    order = iter(rng.permutation(files) + 1)
    wanted = (("file_late", faults.late), ("file_duplicate", faults.duplicate), ("file_missing", faults.missing), ("file_damaged", faults.damaged))
    return {int(number): kind for kind, share in wanted for number in islice(order, ceil(share * files))}


def _readme(simulation: Simulation, begin: datetime, known: pl.DataFrame) -> str:
    kinds = Counter(known["kind"].to_list())
    listed = "\n".join(f"  {number:4d}  {kind}" for kind, number in sorted(kinds.items()))
    return f"""SIMULATED. Nothing in this folder was measured in a real network; no cell, site or person in it exists.

Written by Trunkline's simulator: {simulation.network!r}, seed {simulation.seed}.
Periods of {simulation.grid.step} from {simulation.grid.start:%Y-%m-%d %H:%M} to {simulation.grid.end:%Y-%m-%d %H:%M} UTC.

history/week-NN.parquet  measurements before {begin:%Y-%m-%d %H:%M} UTC, as a warehouse would export them
pm/*.xml.gz              measurement files since (3GPP TS 32.435 and TS 28.532); a file's time is its arrival
alarms.csv states.csv works.csv elements.csv relations.csv
truth.csv                what really happened; is_fault=false marks what must not be reported

{listed}

A figure computed from these files is a figure about a simulation. Say so wherever you show it.
"""
