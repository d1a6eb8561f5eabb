"""A day in the life of a workflow, on a simulated network: from raw files to decisions people can believe.

The files go through the same readers, the same intake and the same gates as anybody's. Only the
network is simulated, so that the truth is known and the day can be scored.
"""

from __future__ import annotations

import shutil
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from trunkline.core import config
from trunkline.core.clock import now
from trunkline.core.errors import BadInput
from trunkline.core.frames import Facts
from trunkline.core.values import rarity
from trunkline.data import kpis
from trunkline.models import IsolationForest
from trunkline.run import gather, origin, releases, replay_report, shipped
from trunkline.run.deciding import Finding
from trunkline.run.figures import Band, finding_png, usual_band
from trunkline.run.follow import Batch, Step, follow
from trunkline.run.load import Loaded, Options, load
from trunkline.run.report import Block, Item, Report, html
from trunkline.run.train import Candidate, train
from trunkline.simulator import Network, Written, match, write
from trunkline.simulator.files import TODAY
from trunkline.store.opened import Store, open_store

Progress = Callable[[str, float], None]
MARK = "simulated-by-trunkline-demo.txt"
NAMES = ("kpi-anomaly", "sleeping-cell")
MOST_DRAWN = 16
COMMAND = "trunkline" if shutil.which("trunkline") else ".venv/bin/trunkline"
"""How the command is called here: `make demo` installs into .venv, which is not on everybody's path."""
SLOT = timedelta(minutes=15)
"""A finding is about a whole slot: what began within it counts as seen."""


@dataclass(frozen=True, slots=True)
class Score:
    """How a workflow's day compares with the truth of the simulation."""

    workflow: str
    matches: pl.DataFrame
    aimed_at: frozenset[str]
    """Kinds of incident this workflow is there to find."""
    truth: pl.DataFrame
    """What really happened, with the cells under what it struck."""

    def count(self, outcome: str) -> int:
        """How many incidents had this outcome: found, missed, excused, quiet, false."""
        mine = self.matches.filter(pl.col("kind").is_in(list(self.aimed_at)) | pl.col("outcome").is_in(["excused", "false"]))
        return mine.filter(pl.col("outcome") == outcome).height


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demonstration made: reports, workspace, and the figures it tells."""

    folder: Path
    report: Path
    workspace: Path
    written: Written
    loaded: tuple[Loaded, ...]
    candidates: dict[str, Candidate]
    findings: dict[str, list[Finding]]
    scores: dict[str, Score]
    zones: Mapping[str, str]
    """The time zone each element lives in."""
    seconds: dict[str, float]


def demo(folder: str | Path, *, seed: int = 7, at: datetime | None = None, sites: int = 8, weeks: int = 5, progress: Progress | None = None) -> Demo:
    """Simulate an operator, take its files in, train, prove, deploy, and live one day of it.

    Parameters
    ----------
    folder
        Made anew; a folder that an earlier demonstration made is replaced, any other is refused.
    at
        When the simulated day ends; now, on the hour, where not given.
    """
    folder, told, clock = Path(folder), progress or (lambda _step, _share: None), _Stopwatch()
    _make_room(folder)
    end = (at or now()).astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    start = end - timedelta(days=1)
    told("simulating a network", 0.0)
    network = Network.make(seed, sites=sites, zones=("Europe/Rome", "Europe/Lisbon"))
    written = write(network, folder / "network", start=start, history_weeks=weeks, days=1.0, incidents=TODAY)
    clock.lap("simulate")

    present = _Present(start)
    store = open_store(_new_workspace(folder), config.read(folder / "workspace"), clock=present, create=True)
    try:
        return _live_a_day(folder, store, present, written, start=start, end=end, seed=seed, told=told, clock=clock)
    finally:
        store.close()


def _live_a_day(
    folder: Path, store: Store, present: _Present, written: Written, *, start: datetime, end: datetime, seed: int, told: Progress, clock: _Stopwatch
) -> Demo:
    paths = written.paths
    history = load(
        store, [paths[name] for name in ("elements", "relations", "alarms", "states", "works", "history")], progress=lambda _s, x: told("reading history", x)
    )
    clock.lap("read history")

    told("computing KPIs", 0.0)
    known = gather.gather(store, shipped.find("sleeping-cell"))
    clock.lap("compute KPIs")

    candidates, at_work = {}, {}
    for name in NAMES:
        workflow = shipped.find(name)
        before = gather.gather(store, workflow, until=start, computed=known.facts.kpis)
        contenders = {"IsolationForest": IsolationForest(trees=60)} if name == "kpi-anomaly" else {}
        candidate = train(
            workflow,
            before.facts,
            context=before.context,
            signer=store.signer,
            contenders=contenders,
            seed=seed,
            at=start,
            progress=lambda step, x, name=name: told(f"{name}: {step}", x),  # type: ignore[misc]
        )
        candidate = origin.recorded(store, candidate, before, contenders=contenders, delay=None)
        releases.keep(store, candidate)
        candidates[name] = candidate
        unsure = [v.gate for v in candidate.winner.verdicts if v.result == "cannot tell"]
        waiver = f"the demonstration: {'the gates ' + ', '.join(unsure) + ' could not tell; ' if unsure else ''}a day cannot wait for a week of shadow"
        if candidate.winner.result != "fail":
            for reason in ("no gate failed", "the demonstration goes on"):
                releases.forward(store, workflow, release=None, by="demo", reason=reason, waiver=waiver, dry_run=False)
        at_work[name] = before
        clock.lap(f"train {name}")

    ticks = list(_ticks(store, paths["pm"], known.facts, start=start, end=end, present=present, told=told))
    findings: dict[str, list[Finding]] = {}
    steps: dict[str, list[Step]] = {}
    for name, before in at_work.items():
        live = releases.in_state(store, name, "live")
        if live is None:
            findings[name] = []
            continue
        found = follow(
            before.workflow,
            features=gather.bound(before),
            fitted=releases.fitted(store, live),
            level=live["body"]["policy"]["level"],
            release=live["id"],
            before=before.facts,
            batches=(batch for batch, _ in ticks),
            start=start,
            mode="live",
            store=store,
        )
        steps[name] = list(found)
        findings[name] = [finding for step in steps[name] for finding in step.findings]
        told(f"{name}: deciding", 1.0)
    clock.lap("live the day")

    truth = pl.read_csv(paths["truth"], try_parse_dates=True).filter(pl.col("end") > start)
    scores = {name: _score(name, found, truth) for name, found in findings.items()}
    day = [loaded for _, loaded in ticks]
    result = Demo(folder, folder / "report.html", store.folder, written, (history, *day), candidates, findings, scores, known.context.zones, clock.laps)
    result.report.write_text(html(_report(result, at_work, steps, start=start, end=end)), encoding="utf-8")
    clock.lap("report")
    return result


def _ticks(store: Store, folder: Path, known: Facts, *, start: datetime, end: datetime, present: _Present, told: Progress) -> Iterator[tuple[Batch, Loaded]]:
    """The day's files in the order they arrived, an hour at a time, with what they made known and when."""
    arrived = sorted((datetime.fromtimestamp(path.stat().st_mtime, UTC), path) for path in folder.iterdir())
    every, step, at = timedelta(minutes=15), timedelta(hours=1), start
    names = gather.inventory_names(store.lake.read("elements").collect())
    while at < end:
        before, at = at, at + step
        files = [path for when, path in arrived if before < when <= at] if at < end else [path for when, path in arrived if when > before]
        present.at = at
        loaded = load(store, files, options=Options(arrival="file time")) if files else Loaded(files=(), unmapped=pl.DataFrame())
        recent = store.lake.read("measurements", where=pl.col("at") >= at - timedelta(hours=6)).collect()
        named = recent.with_columns(element=pl.col("element").replace(names))
        computed = kpis.compute(named, every=every).filter((pl.col("known_at") > before) & (pl.col("known_at") <= at))
        events = known.events.filter((pl.col("known_at") > before) & (pl.col("known_at") <= at))
        told("reading the day's files", (at - start) / (end - start))
        yield Batch(at, computed, events), loaded


def _score(name: str, findings: list[Finding], truth: pl.DataFrame) -> Score:
    said = pl.DataFrame(
        {"element": [f.entity for f in findings], "at": [f.at + SLOT for f in findings]}, schema={"element": pl.String, "at": pl.Datetime("us", "UTC")}
    )
    typed = truth.with_columns(pl.col("start", "end").cast(pl.Datetime("us", "UTC")))
    kinds = frozenset(typed.filter(pl.col("is_fault"))["kind"]) if name == "kpi-anomaly" else frozenset({"sleeping_cell"})
    return Score(name, match(said, typed), kinds, typed)


class _Present:
    """The clock of the simulated day."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


class _Stopwatch:
    def __init__(self) -> None:
        from time import perf_counter

        self._time, self.laps = perf_counter, dict[str, float]()
        self._last = perf_counter()

    def lap(self, name: str) -> None:
        at = self._time()
        self.laps[name], self._last = at - self._last, at


def _make_room(folder: Path) -> None:
    if (folder / MARK).is_file():
        shutil.rmtree(folder)
    elif folder.exists() and any(folder.iterdir()):
        raise BadInput(f"{folder} is there already, and no demonstration made it.", next_step="trunkline demo --folder ANOTHER")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text("Everything in this folder is simulated. `trunkline demo` made it and will replace it.\n", encoding="utf-8")


def _new_workspace(folder: Path) -> Path:
    made = folder / "workspace"
    made.mkdir()
    (made / config.FILE).write_text(config.TEMPLATE, encoding="utf-8")
    return made


def _report(result: Demo, at_work: dict[str, gather.Gathered], steps: dict[str, list[Step]], *, start: datetime, end: datetime) -> Report:
    items = []
    queue = sorted(((name, f) for name, found in result.findings.items() for f in found), key=lambda pair: -pair[1].decision.confidence)
    for number, (name, finding) in enumerate(queue):
        picture = _picture(finding, at_work[name], steps[name], result) if number < MOST_DRAWN else b""
        outcome = _outcome(result.scores[name], finding)
        items.append(
            Item(
                id=finding.decision.id,
                title=f"{finding.entity}: {finding.decision.action.replace('_', ' ')}",
                when=f"{replay_report.local(finding.at, at_work[name].context.zone_of(finding.entity))}, by itself {rarity(finding.decision.confidence)}",
                reasons=[r.text for r in finding.decision.reasons[:4]] or ["no reason given"],
                tags=[name, outcome],
                figure=b64encode(picture).decode() if picture else "",
            )
        )
    return Report(
        title="One day of a simulated network",
        subtitle=f"Everything here is simulated. {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC.",
        says=says(result),
        blocks=_blocks(result),
        items_title="The queue, the most confident first",
        items_first=True,
        items=items,
        notes=[note for loaded in result.loaded[:1] for note in loaded.notes],
        next_steps=next_steps(result),
    )


def says(result: Demo) -> list[str]:
    """The day in a few sentences."""
    files = sum(len(loaded.files) for loaded in result.loaded[1:])
    aside = sum(f.quarantined for loaded in result.loaded for f in loaded.files)
    again = sum(f.state == "seen before" for loaded in result.loaded for f in loaded.files)
    lines = [f"{files:,} measurement files were read; {again} came twice and counted once, {aside} broken records were put aside with their reason."]
    for name, score in result.scores.items():
        there = score.count("found") + score.count("missed")
        winner = result.candidates[name].winner
        if winner.result == "fail":
            failed = ", ".join(v.gate for v in winner.verdicts if v.result == "fail")
            lines.append(f"{name} did not go live: it failed {failed}. That is what gates are for; another --seed simulates another network.")
            continue
        lines.append(
            f"{name}: {len(result.findings[name])} items in three shifts; of {there} simulated faults it is there for, {score.count('found')} found; "
            f"{score.count('excused')} items about excused elements, {score.count('false')} about nothing."
        )
    return lines


def _blocks(result: Demo) -> list[Block]:
    blocks = []
    for name, score in result.scores.items():
        rows = [
            [f"{m['kind'].replace('_', ' ')} at {m['element']}", m["outcome"], "" if m["delay_s"] is None else f"{m['delay_s'] / 60:.0f} min"]
            for m in score.matches.filter(pl.col("incident_id").is_not_null()).to_dicts()
            if m["kind"] in score.aimed_at or m["outcome"] in {"excused", "quiet"}
        ]
        blocks.append(
            Block(
                title=f"{name} against the truth of the simulation",
                text="'quiet' is right: something excused happened and nothing was said.",
                columns=["what happened", "outcome", "noticed after"],
                rows=rows,
            )
        )
    for name, candidate in result.candidates.items():
        rows = [[contender.name, v.gate, v.result, v.why] for contender in candidate.contenders for v in contender.verdicts]
        blocks.append(Block(title=f"{name}: what the gates said before it went live", columns=["model", "gate", "verdict", "why"], rows=rows))
    return blocks


def _outcome(score: Score, finding: Finding) -> str:
    """What the simulation says was going on at this element then."""
    until = finding.at + SLOT
    there = score.truth.filter(
        (pl.col("affected").str.split(" ").list.contains(finding.entity) | (pl.col("element") == finding.entity))
        & (pl.col("start") <= until)
        & (until <= pl.col("end") + timedelta(minutes=30))
        & ~pl.col("kind").str.starts_with("file_")
    ).sort("is_fault", descending=True)
    return "nothing happened (simulated truth)" if there.is_empty() else f"truth: simulated {there['kind'][0].replace('_', ' ')}"


def _picture(finding: Finding, found: gather.Gathered, steps: list[Step], result: Demo) -> bytes:
    rows = pl.concat([step.rows for step in steps]).filter(pl.col("entity") == finding.entity).sort("at")
    named = [r.column for r in finding.decision.reasons if r.column in rows.columns and rows.schema[r.column].is_numeric()]
    columns = list(dict.fromkeys(named))[:2] or [c for c in rows.columns if rows.schema[c].is_numeric()][:1]
    fitted = result.candidates[finding.decision.workflow].fitted
    bands = [
        Band(
            element=finding.entity,
            words=found.context.word(c),
            frame=usual_band(rows, c, fitted),
            begin=finding.at,
            end=finding.until + found.context.every,
            zone=found.context.zone_of(finding.entity),
        )
        for c in columns
    ]
    return finding_png(bands, title=f"{finding.entity} (simulated)")


def next_steps(result: Demo) -> list[tuple[str, str]]:
    """What to type next, in the order a newcomer wants it."""
    return [
        ("Your own file: a CSV of KPIs or measurement files. Nothing is acted on.", f"{COMMAND} workflow replay kpi-anomaly YOUR.csv"),
        (
            "Look through the queue of this simulated day; what nobody took in time has expired, as it should.",
            f"{COMMAND} -w {result.workspace} decision list --state all",
        ),
        ("Prove the journal.", f"{COMMAND} -w {result.workspace} audit verify"),
        ("A workflow of your own.", f"{COMMAND} workflow new my-first-workflow"),
    ]


def summary(result: Demo) -> dict[str, Any]:
    """The figures of the day, for ``--json``."""
    return {
        "simulated": True,
        "report": str(result.report),
        "workspace": str(result.workspace),
        "seconds": {name: round(value, 2) for name, value in result.seconds.items()},
        "says": says(result),
        "gates": {name: {c.name: c.result for c in candidate.contenders} for name, candidate in result.candidates.items()},
        "scores": {name: {o: score.count(o) for o in ("found", "missed", "excused", "quiet", "false")} for name, score in result.scores.items()},
    }
