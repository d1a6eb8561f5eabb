"""``trunkline data``: files and what is in them."""

from __future__ import annotations

from pathlib import Path

import click

from trunkline.cli.output import PlainPath, as_json, by, dry_run, print_json, progress, reason, say, table


@click.group("data")
def command() -> None:
    """Files and what is in them: load, check, map, quarantine."""


@command.command("load")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--zone", help="IANA zone of times that name none.")
@click.option("--map", "column_map", type=PlainPath(path_type=Path, dir_okay=False), help="Column map of your CSV, as written by `data map`.")
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
@click.argument("file", type=PlainPath(path_type=Path, exists=True, dir_okay=False))
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


@command.command("chaos")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="A new folder for the spoilt copy.")
@click.option("--seed", default=0, show_default=True, help="The same seed does the same to the same files.")
@click.option("--loss", default=0.1, show_default=True, help="Share of periods that never come.")
@click.option("--duplicates", default=0.05, show_default=True, help="Share of periods that come twice.")
@click.option("--late", default="6h", show_default=True, help="How late a period comes at most.")
@click.option("--late-share", default=0.2, show_default=True, help="Share of periods that come late.")
@click.option("--reorder/--in-order", default=True, show_default=True, help="Hand the files over in no order at all, or in that of their arrival.")
@click.option("--zone", help="IANA zone of times that name none.")
@click.option("--map", "column_map", type=PlainPath(path_type=Path, dir_okay=False), help="Column map of your CSV, as written by `data map`.")
@dry_run
@as_json
def chaos(
    files: tuple[Path, ...],
    out: Path,
    seed: int,
    loss: float,
    duplicates: float,
    late: str,
    late_share: float,
    reorder: bool,
    zone: str | None,
    column_map: Path | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write a copy of FILES that is spoilt as a bad feed spoils data: lost, doubled, late, out of order.

    Load it with `trunkline data load OUT --file-time` into a workspace of its own, and see what your workflow still finds.
    """
    from trunkline.core.clock import duration
    from trunkline.run.chaos import chaos as spoilt
    from trunkline.run.load import Options
    from trunkline.simulator.chaos import Chaos

    how = Chaos(loss=loss, duplicates=duplicates, late=duration(late), late_share=late_share, reorder=reorder, seed=seed)
    done = spoilt(files, out, how, options=Options(zone=zone, assume_zone="UTC", column_map=column_map), dry_run=dry_run)
    if as_json:
        print_json(done)
        return
    say(str(done))
    if done.as_they_were:
        say(f"Copied as they were, because they are no measurements: {', '.join(done.as_they_were[:6])}{' …' if len(done.as_they_were) > 6 else ''}.")
    if not dry_run:
        say(f"Next: trunkline -w ANOTHER data load {out} --file-time")


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
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=20, show_default=True)
@as_json
@click.pass_obj
def show(workspace: Path, product: str, limit: int, as_json: bool) -> None:
    """The newest rows of one kind of data."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        found = opened.data.show(product, limit=limit)
    if as_json:
        print_json(found)
    else:
        table(found.columns, found.rows(), empty=f"There are no {product} yet.")


@command.command("quarantine")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=50, show_default=True)
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


@command.command("compact")
@as_json
@click.pass_obj
def compact(workspace: Path, as_json: bool) -> None:
    """Put the small files of each table together. What is read stays the same, at every version."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        found = opened.data.compact()
    if as_json:
        print_json(found)
    else:
        table(["table", "files before", "files after"], [(one.table, one.before, one.after) for one in found], empty="There are no tables yet.")


@command.command("erase")
@click.argument("product", required=False, default="", type=click.Choice(["", "measurements", "events", "relations", "elements"]))
@click.option("--where", "where", multiple=True, help="COLUMN=VALUE: rows that have it go. Given twice, rows that have both.")
@click.option("--arrival", "arrivals", multiple=True, type=int, help="Number of a file that was taken in (`data list`): its content goes.")
@by
@reason()
@dry_run
@as_json
@click.pass_obj
def erase(workspace: Path, product: str, where: tuple[str, ...], arrivals: tuple[int, ...], by: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """Erase rows of PRODUCT and contents of files for good: from every version, and again after a restore.

    Files that were loaded hold the rows, too: name them with --arrival. Put no name of a person into the reason.
    """
    from trunkline import workspace as workspaces

    wrong = [one for one in where if "=" not in one]
    if wrong:
        raise click.UsageError(f"'{wrong[0]}' is no COLUMN=VALUE.")
    with workspaces.open(workspace) as opened:
        conditions = {name: value for name, _, value in (one.partition("=") for one in where)}
        rows = opened.data.erase(product, where=conditions, arrivals=arrivals, by=by, reason=reason, dry_run=dry_run)
    if as_json:
        print_json({"rows": rows, "contents": len(arrivals), "dry_run": dry_run})
    else:
        say(f"{'Would erase' if dry_run else 'Erased'} {rows:,} rows and the contents of {len(arrivals)} file(s).")
