"""``trunkline gate``: what a candidate has to pass."""

from __future__ import annotations

from pathlib import Path

import click

from trunkline.cli.output import as_json, print_json, say, table, verdict_rows


@click.group("gate")
def command() -> None:
    """What a candidate has to pass."""


@command.command("list")
@as_json
def list_(as_json: bool) -> None:
    """Every kind of gate, ours and those of installed packages."""
    from trunkline.core import registry

    found = [(name, point.value) for name, point in registry.names("gates").items()]
    if as_json:
        print_json([{"name": name, "from": value} for name, value in found])
    else:
        table(["gate", "from"], found)


@command.command("show")
@click.argument("release")
@as_json
@click.pass_obj
def show(workspace: Path, release: str, as_json: bool) -> None:
    """What the gates said of a release, beside its contenders."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        card = opened.workflows.card(release)
    if as_json:
        print_json(card)
        return
    say(f"Judged on rows from {card['held_out_from']} on; faults: {card['faults']}.")
    table(["model", "gate", "result", "figure", "bar", "why"], verdict_rows(card))


@command.command("run")
@click.argument("name")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same answer.")
@click.pass_context
def run(ctx: click.Context, name: str, seed: int) -> None:
    """Train a candidate of workflow NAME and let its gates judge; the same as `workflow train`."""
    from trunkline.cli.workflow import train

    ctx.invoke(train, name=name, rename={}, every=None, against=(), seed=seed, as_json=False)
