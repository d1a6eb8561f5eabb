"""A replay, written down: one HTML page, one PNG per finding, and the same as plain values."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from trunkline.core.clock import duration_text, zone
from trunkline.core.values import rarity
from trunkline.run.deciding import Finding
from trunkline.run.figures import Band, finding_png, usual_band
from trunkline.run.replay import Replay, Tally, best_columns
from trunkline.run.report import Block, Item, Report, html

MOST_DRAWN = 20
"""Findings with a picture; the rest are listed."""


def write(result: Replay, folder: Path, *, next_steps: Sequence[tuple[str, str]] = (), progress: Callable[[str, float], None] | None = None) -> Path:
    """Write ``report.html`` and ``figures/NN.png`` into *folder*; returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = folder / "figures"
    pictures.mkdir(exist_ok=True)
    for old in pictures.glob("finding-*.png"):
        old.unlink()
    strongest = sorted(result.findings, key=lambda f: -f.decision.confidence)
    items = []
    for number, finding in enumerate(strongest, start=1):
        picture = b""
        if number <= MOST_DRAWN:
            picture = draw(result, finding)
            (pictures / f"finding-{number:02d}.png").write_bytes(picture)
        items.append(_item(result, finding, picture))
        if progress:
            progress("pictures", number / len(strongest))
    more = f"{len(strongest) - MOST_DRAWN} more findings are listed without a picture." if len(strongest) > MOST_DRAWN else ""
    page = folder / "report.html"
    page.write_text(
        html(
            Report(
                title=f"What {result.workflow.name} would have said",
                subtitle=_subtitle(result),
                says=says(result),
                blocks=_blocks(result),
                items_title="Findings, the most confident first",
                items=items,
                more=more,
                notes=notes(result),
                next_steps=next_steps,
            )
        ),
        encoding="utf-8",
    )
    return page


def says(result: Replay) -> list[str]:
    """The answer in two or three sentences."""
    found, per_shift = len(result.findings), len(result.findings) / result.shifts if result.shifts else 0.0
    shift, allowed = result.workflow.guardrail.shift, result.allowed_per_shift
    lines = [f"{found} finding{'s' * (found != 1)} in {result.shifts:.0f} shifts of {shift}: {per_shift:.2g} a shift where {allowed:.2g} are allowed."]
    judged = result.judged_share
    if judged < 0.5:
        lines.append(f"Only {judged:.0%} of the rows could be judged: what is not said here is not known to be well.")
    others = [f"{one.name} would have said {len(one.findings)}" for one in result.speakers[1:]]
    lines.append(f"With the same limits, {' and '.join(others)}.")
    for tallies, what in ((result.against_truth, f"Of {{n}} {result.truth_is}"), (result.self_test, "Of {n} faults hidden in a copy of your data")):
        if tallies and not tallies[0].found.n:
            lines.append(f"{result.truth_is.capitalize()}: nothing, in the time that could be judged.")
        elif tallies:
            told = "; ".join(f"{t.speaker} found {t.found.hits}" for t in tallies)
            lines.append(f"{what.format(n=tallies[0].found.n)}: {told}.")
            rival = max(tallies[1:], key=lambda t: t.found.hits, default=tallies[0])
            if tallies[0].found.hits <= rival.found.hits:
                lines.append(f"It found no more of them than {rival.speaker}. Look at what else each would have said, and believe it only where you see why.")
    return lines


def notes(result: Replay) -> list[str]:
    """What was read, guessed, judged by what, and left out."""
    lines = list(result.notes)
    if result.baseline_used:
        told = {
            "week": "the hour of the week",
            "day": "the hour of the day (too little history for a week)",
            "level": "the level alone (too little history for a day)",
        }
        judged = {kind: count for kind, count in result.baseline_used.items() if kind in told}
        lines += [f"{count} series judged by {told[kind]}." for kind, count in sorted(judged.items())]
        left = sum(result.baseline_used.values()) - sum(judged.values())
        lines += [f"{left} series are not judged: too few values on this grid."] if left else []
    lines.append(f"Judging began {result.judged_from:%Y-%m-%d %H:%M} UTC: what is usual was learned from what came before, and relearned as time went on.")
    counts = result.speakers[0].decided.counts
    if counts["cannot judge"]:
        lines.append(f"{counts['cannot judge']:,} rows could not be judged for want of values; nothing was said about them.")
    held = counts["over budget"] + counts["over daily limit"]
    if held:
        lines.append(f"{held} candidate(s) were held back by the limits of the guardrail.")
    if result.self_test_asked and not result.self_test and not result.against_truth:
        lines.append("No self-test: fewer than two weeks could be judged, or no KPI varies enough to hide a fault in.")
    return lines


def as_plain(result: Replay) -> dict[str, Any]:
    """Everything a program needs, for ``--json``."""
    return {
        "workflow": result.workflow.name,
        "elements": result.elements,
        "kpis": result.columns,
        "every": duration_text(result.every),
        "judged_from": result.judged_from,
        "until": result.until,
        "shifts": round(result.shifts, 2),
        "findings": [
            {
                "id": f.decision.id,
                "element": f.entity,
                "at": f.at,
                "until": f.until,
                "confidence": f.decision.confidence,
                "action": f.decision.action,
                "reasons": [r.text for r in f.decision.reasons],
                "also_said_by": result.said_too(f),
            }
            for f in result.findings
        ],
        "dummies": {one.name: {"findings": len(one.findings)} for one in result.speakers[1:]},
        "against_truth": [_plain_tally(t) for t in result.against_truth],
        "self_test": [_plain_tally(t) for t in result.self_test],
        "baseline_used": dict(result.baseline_used),
        "notes": notes(result),
    }


def _plain_tally(one: Tally) -> dict[str, Any]:
    low, high = one.found.interval
    return {
        "speaker": one.speaker,
        "found": one.found.hits,
        "of": one.found.n,
        "recall": one.found.share,
        "interval": [low, high],
        "false_per_element_week": one.false_per_week,
        "by_kind": {kind: [p.hits, p.n] for kind, p in one.by_kind.items()},
    }


def draw(result: Replay, finding: Finding) -> bytes:
    """The PNG of one finding: the KPIs its reasons name, three days before to one day after."""
    around = (pl.col("at") >= finding.at - timedelta(days=3)) & (pl.col("at") <= finding.until + timedelta(days=1))
    own = result.rows.filter(pl.col("entity") == finding.entity)
    fitted = result.speakers[0].scored.fit_of(finding.entity, finding.at)
    local = result.context.zone_of(finding.entity)
    bands = []
    for column in best_columns(finding, [c for c in result.columns if own.schema[c].is_numeric()]):
        band = usual_band(own, column, fitted).filter(around)
        bands.append(
            Band(element=finding.entity, words=result.context.word(column), frame=band, begin=finding.at, end=finding.until + result.every, zone=local)
        )
    first = finding.decision.reasons[0].text if finding.decision.reasons else finding.decision.action
    return finding_png(bands, title=f"{finding.entity}: {first}")


def _item(result: Replay, finding: Finding, picture: bytes) -> Item:
    too = result.said_too(finding)
    lasted = finding.until + result.every - finding.at
    return Item(
        id=finding.decision.id,
        title=f"{finding.entity}: {finding.decision.action.replace('_', ' ')}",
        when=f"{local(finding.at, result.context.zone_of(finding.entity))}, for {_spoken(lasted)}, by itself {rarity(finding.decision.confidence)}",
        reasons=[r.text for r in finding.decision.reasons[:4]] or ["the model gave no reason"],
        tags=[f"{name} said so too" for name in too],
        figure=b64encode(picture).decode() if picture else "",
    )


def _blocks(result: Replay) -> list[Block]:
    blocks = []
    if result.against_truth:
        blocks.append(_tally_block(f"Against {result.truth_is}", "Found = said while the fault lasted.", result.against_truth))
    if result.self_test:
        text = (
            "Nobody labelled these data, so faults of known kind were hidden in a copy of them (simulated faults in real data), "
            "each in one KPI of one element and those that move with it. Everybody had the same limits."
        )
        blocks.append(_tally_block("Self-test: who finds hidden faults", text, result.self_test))
    return blocks


def _tally_block(title: str, text: str, tallies: Sequence[Tally]) -> Block:
    kinds = sorted(tallies[0].by_kind)
    rows = [[t.speaker, str(t.found), f"{t.false_per_week:.2f}", *(f"{t.by_kind[k].hits}/{t.by_kind[k].n}" for k in kinds if len(kinds) > 1)] for t in tallies]
    return Block(
        title=title, text=text, columns=["who", "found [95 % interval]", "other findings per element-week", *(kinds if len(kinds) > 1 else ())], rows=rows
    )


def _subtitle(result: Replay) -> str:
    elements, kpis = result.elements, len(result.columns)
    return (
        f"A replay, acted on by nobody. {elements} element{'s' * (elements != 1)}, {kpis} column{'s' * (kpis != 1)} every {duration_text(result.every)}, "
        f"judged {result.judged_from:%Y-%m-%d} to {result.until:%Y-%m-%d}."
    )


def short_local(at: datetime, where: str) -> str:
    """*at* by the clock at *where*, short."""
    return f"{at.astimezone(zone(where)):%Y-%m-%d %H:%M}"


def local(at: datetime, where: str) -> str:
    """*at* as people at *where* say it."""
    return f"{at.astimezone(zone(where)):%A %Y-%m-%d %H:%M} ({where})"


def _spoken(length: timedelta) -> str:
    hours, minutes = divmod(int(length.total_seconds()) // 60, 60)
    return f"{hours} h {minutes:02d} min" if hours and minutes else f"{hours} h" if hours else f"{minutes} min"
