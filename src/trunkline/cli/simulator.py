"""``trunkline simulator``: a simulated operator that writes the files a network writes."""

from __future__ import annotations

from pathlib import Path

import click

from trunkline.cli.output import say


@click.group("simulator")
def command() -> None:
    """A simulated operator that writes the files a network writes."""


@command.command("make")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--seed", default=1, show_default=True, help="The same seed writes the same bytes.")
@click.option("--preset", type=click.Choice(["tiny", "demo"]), default="tiny", show_default=True, help="How much of it.")
def make(folder: Path, seed: int, preset: str) -> None:
    """Write measurement files, alarms, works, states, inventory and the truth into FOLDER. All of it is simulated."""
    from trunkline.simulator import write_preset

    written = write_preset(preset, folder, seed=seed, progress=say)
    say(f"The truth about its faults: {written.paths['truth']}", f"Next: trunkline workspace new && trunkline data load --file-time {folder}")
