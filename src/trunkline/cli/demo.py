"""``trunkline demo``: the whole life of a workflow on a simulated network."""

from __future__ import annotations

from pathlib import Path

import click

from trunkline.cli.output import as_json, print_json, progress, say, table
from trunkline.core.values import rarity


@click.command("demo")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), default=Path("trunkline-demo"), show_default=True, help="Where to write it.")
@click.option("--seed", default=7, show_default=True, help="The same seed simulates the same network.")
@click.option("--open/--no-open", "open_page", default=None, help="Open the report in the browser; default: where there is a screen.")
@as_json
def command(folder: Path, seed: int, open_page: bool | None, as_json: bool) -> None:
    """The whole life of a workflow on a simulated network, in about a minute.

    Simulates an operator's files, reads them, trains, lets the gates judge, deploys, and lives one day. Everything it
    shows is simulated; then it says what to type for your own files.
    """
    from trunkline.run import replay_report
    from trunkline.run.demo import demo, next_steps, says, summary

    with progress() as told:
        done = demo(folder, seed=seed, progress=told)
    if as_json:
        print_json(summary(done))
        return
    say("One day of a simulated network.", *(f"  {line}" for line in says(done)))
    queue = sorted((f for found in done.findings.values() for f in found), key=lambda f: -f.decision.confidence)
    rows = [
        (
            f.decision.id[:8],
            f.decision.workflow,
            f.entity,
            replay_report.short_local(f.at, done.zones.get(f.entity, "UTC"))[11:],
            rarity(f.decision.confidence),
            "; ".join(r.text for r in f.decision.reasons[:2]),
        )
        for f in queue[:12]
    ]
    table(["id", "workflow", "element", "local time", "by itself", "why"], rows)
    say(f"Report with pictures: {done.report}", "", "What to type next:")
    for what, line in next_steps(done):
        say(f"  {what}", f"      {line}")
    if open_page or (open_page is None and _has_screen()):
        click.launch(done.report.resolve().as_uri())


def _has_screen() -> bool:
    import os
    import sys

    return sys.stdout.isatty() and (sys.platform in {"darwin", "win32"} or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")))
