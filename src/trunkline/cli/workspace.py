"""``trunkline workspace``: where everything rests."""

from __future__ import annotations

from pathlib import Path

import click

from trunkline.cli.output import as_json, print_json, say, table


@click.group("workspace")
def command() -> None:
    """Where everything rests."""


@command.command("new")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.pass_obj
def new(workspace: Path, folder: Path | None) -> None:
    """Make a workspace in FOLDER (default: the folder of --workspace)."""
    from trunkline import workspace as workspaces

    with workspaces.create(folder or workspace) as made:
        say(f"Made a workspace in {made.store.folder}.", f"Its signing key {made.store.signer.id} lies outside of it.", "Next: trunkline data load FILES…")


@command.command("show")
@click.option("--config", "with_config", is_flag=True, help="Show each setting, its value and where it comes from.")
@as_json
@click.pass_obj
def show(workspace: Path, with_config: bool, as_json: bool) -> None:
    """What is in it, or with --config its settings and their origins."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        if with_config:
            settings, origins = opened.configuration.settings, opened.configuration.origins
            rows = [(name, getattr(settings, name), origins[name]) for name in settings.__slots__]
            if as_json:
                print_json({name: {"value": value, "origin": origin} for name, value, origin in rows})
            else:
                table(["setting", "value", "origin"], rows)
            return
        found = opened.show()
        if as_json:
            print_json(found)
        else:
            table(
                ["", ""],
                [(name, ", ".join(f"{k} {v:,}" for k, v in value.items()) if isinstance(value, dict) else str(value)) for name, value in found.items()],
            )


@command.command("check")
@as_json
@click.pass_obj
def check(workspace: Path, as_json: bool) -> None:
    """Is everything that rests what was written: journal, models, files taken in."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        findings = opened.check()
        if as_json:
            print_json([{"what": what, "finding": finding} for what, finding in findings])
        for what, finding in findings if not as_json else []:
            say(f"{what}: {finding}")
        if not findings:
            say("Nothing to complain of.")
        else:
            raise click.exceptions.Exit(1)
