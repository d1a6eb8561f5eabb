"""``trunkline data``: files and what is in them."""

from __future__ import annotations

from pathlib import Path

import click

from trunkline.cli.output import as_json, dry_run, print_json, progress, say, table


@click.group("data")
def command() -> None:
    """Files and what is in them: load, check, map, quarantine."""


@command.command("load")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--zone", help="IANA zone of times that name none.")
@click.option("--map", "column_map", type=click.Path(path_type=Path, dir_okay=False), help="Column map of your CSV, as written by `data map`.")
@click.option("--every", help="Length of a period, such as 15m, where a file does not show it.")
@click.option("--file-time", is_flag=True, help="A file was received when it was last modified; else at period end plus the delay.")
@dry_run
@as_json
@click.pass_obj
def load(
    workspace: Path, files: tuple[Path, ...], zone: str | None, column_map: Path | None, every: str | None, file_time: bool, dry_run: bool, as_json: bool
) -> None:
    """Take FILES in: measurements, series, alarms, works, states, inventory; each recognised by its content."""
    from trunkline import workspace as workspaces
    from trunkline.run.load import Options

    options = Options(zone=zone, column_map=column_map, every=every, arrival="file time" if file_time else "period end")
    with workspaces.open(workspace) as opened, progress() as told:
        loaded = opened.data.load(files, options=options, dry_run=dry_run, progress=told)
    if as_json:
        print_json({"files": loaded.frame(), "notes": loaded.notes, "unmapped": loaded.unmapped})
        return
    say(*loaded.notes)
    say(f"{loaded.rows:,} rows {'would be kept' if dry_run else 'kept'}.")


@command.command("check")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--zone", help="IANA zone of times that name none.")
@click.option("--every", help="Length of a period, such as 15m, where a file does not show it.")
@as_json
def check(files: tuple[Path, ...], zone: str | None, every: str | None, as_json: bool) -> None:
    """What FILES are, what they hold, what could not be used; nothing is kept."""
    import tempfile

    from trunkline import workspace as workspaces
    from trunkline.run.load import Options

    with tempfile.TemporaryDirectory() as folder, workspaces.create(Path(folder) / "w") as opened, progress() as told:
        loaded = opened.data.load(files, options=Options(zone=zone, every=every, assume_zone="UTC"), dry_run=True, progress=told)
    if as_json:
        print_json({"files": loaded.frame(), "notes": loaded.notes, "unmapped": loaded.unmapped})
        return
    table(["file", "kind", "rows", "put aside", "state"], loaded.frame().rows())
    say(*loaded.notes)


@command.command("map")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--zone", help="IANA zone of its times.")
def map_(file: Path, zone: str | None) -> None:
    """Print a map of FILE as TOML, to be edited: the guessed columns of a CSV or Parquet file, or of a measurement file
    the counters that no map knows, each with the closest known one.
    """
    from dataclasses import replace

    from trunkline.data import column_map, guess, sniff
    from trunkline.run.counter_map import skeleton

    if sniff.kind(file) == "pm_xml":
        click.echo(skeleton(file))
        return

    found = guess.guess(file)
    click.echo(column_map.to_toml(replace(found, zone=zone) if zone else found))


@command.command("list")
@as_json
@click.pass_obj
def list_(workspace: Path, as_json: bool) -> None:
    """Every file that was taken in."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        found = opened.data.list()
    if as_json:
        print_json(found)
    else:
        rows = [(r["number"], r["kind"], r["file"], f"{r['received_at']:%Y-%m-%d %H:%M}", r["bytes"], r["quarantined"]) for r in found.to_dicts()]
        table(["number", "kind", "file", "received", "bytes", "put aside"], rows, empty="Nothing was taken in yet: trunkline data load FILES")


@command.command("show")
@click.argument("product", type=click.Choice(["measurements", "events", "relations", "elements"]))
@click.option("--limit", default=20, show_default=True)
@as_json
@click.pass_obj
def show(workspace: Path, product: str, limit: int, as_json: bool) -> None:
    """The newest rows of a product."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        found = opened.data.show(product, limit=limit)
    if as_json:
        print_json(found)
    else:
        table(found.columns, found.rows(), empty=f"There are no {product} yet.")


@command.command("quarantine")
@click.option("--limit", default=50, show_default=True)
@as_json
@click.pass_obj
def quarantine(workspace: Path, limit: int, as_json: bool) -> None:
    """What could not be used: file, line, reason, and how it begins."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        found = opened.data.quarantine()
    if as_json:
        print_json(found)
    else:
        table(found.columns, found.head(limit).rows(), empty="Nothing had to be put aside.")
