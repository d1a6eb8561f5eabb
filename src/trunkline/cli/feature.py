"""``trunkline feature``: what a workflow looks at."""

from __future__ import annotations

from pathlib import Path

import click

from trunkline.cli.output import as_json, print_json, say, table


@click.group("feature")
def command() -> None:
    """What a workflow looks at, and whether live equals history."""


@command.command("list")
@click.argument("workflow")
@as_json
def list_(workflow: str, as_json: bool) -> None:
    """The columns of WORKFLOW in words."""
    from trunkline.run import shipped

    features = shipped.find(workflow).features
    assert features is not None
    if as_json:
        print_json(features.words())
    else:
        table(["feature", "what it is"], features.words().items())


@command.command("show")
@click.argument("workflow")
@click.option("--element", help="Only of this element.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=20, show_default=True, help="The newest so many rows.")
@as_json
@click.pass_obj
def show(workspace: Path, workflow: str, element: str | None, limit: int, as_json: bool) -> None:
    """The newest rows that WORKFLOW looks at, each as known when it was emitted."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        rows = opened.features.show(workflow, element=element, limit=limit)
    if as_json:
        print_json(rows)
    else:
        table(rows.columns, rows.rows(), empty="No row yet: trunkline data load FILES")


@command.command("check")
@click.argument("workflow")
@click.option(
    "--days", type=click.FloatRange(0.01, 366), default=2.0, show_default=True, help="How much of the newest data to play through the live evaluator."
)
@as_json
@click.pass_obj
def check(workspace: Path, workflow: str, days: float, as_json: bool) -> None:
    """Does the live evaluator give exactly what history gives as known then?"""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        report = opened.features.check(workflow, days=days)
    if as_json:
        print_json({"pairs": report.pairs, "mismatches": report.mismatches})
    else:
        say(f"{report.pairs:,} (row, feature) pairs compared, {report.mismatches:,} differ.")
    if report.mismatches:
        raise click.exceptions.Exit(1)
