"""``trunkline workspace``: where everything rests."""

from __future__ import annotations

from pathlib import Path

import click

from trunkline.cli.output import PlainPath, as_json, by, dry_run, print_json, progress, reason, say, table


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
    from trunkline.core import config

    with workspaces.open(workspace) as opened:
        if with_config:
            settings, origins = opened.configuration.settings, opened.configuration.origins
            rows = [(name, config.shown(name, getattr(settings, name)), origins[name]) for name in settings.__slots__]
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
                [
                    (name, ", ".join(f"{k} {v:,}" if isinstance(v, int) else f"{k}: {v}" for k, v in value.items()) if isinstance(value, dict) else str(value))
                    for name, value in found.items()
                ],
            )


@command.command("serve")
@click.option("--log", "level", type=click.Choice(["debug", "info", "warning", "error"]), help="How much to tell on stderr; default: the setting 'log'.")
@click.option("--http", is_flag=True, help="Also answer over HTTP: REST, new decisions as they come, metrics. Keys: trunkline access new")
@click.option("--address", default="127.0.0.1", show_default=True, help="Where to listen; any but loopback needs TLS or a proxy that ends it.")
@click.option("--port", type=click.IntRange(0, 65535), default=8470, show_default=True, help="0 takes a free one.")
@click.option("--name", "names", multiple=True, help="A further host name by which clients call it. Repeat it.")
@click.option("--certificate", type=PlainPath(path_type=Path, dir_okay=False, exists=True), help="PEM file, for TLS.")
@click.option("--private-key", type=PlainPath(path_type=Path, dir_okay=False, exists=True), help="PEM file, for TLS.")
@click.option("--behind-proxy", is_flag=True, help="A proxy ends TLS in front of it.")
@click.pass_obj
def serve(
    workspace: Path,
    level: str | None,
    http: bool,
    address: str,
    port: int,
    names: tuple[str, ...],
    certificate: Path | None,
    private_key: Path | None,
    behind_proxy: bool,
) -> None:
    """Own the workspace and work until told to end: files of the inbox, deployed workflows, what other commands ask.

    SIGTERM or Ctrl-C end it within 5 s. While it runs, every other command works as ever: what changes something is handed
    over to it.
    """
    import os

    from trunkline import workspace as workspaces
    from trunkline.core import log

    with workspaces.open(workspace, flags={"log": level} if level else None) as opened:
        log.set_up(opened.configuration.settings.log)
        beside = []
        if http:
            from trunkline.north.server import Binding, answering

            where = Binding(address=address, port=port, hosts=names, certificate=certificate, private_key=private_key, behind_proxy=behind_proxy)
            beside.append(answering(where, flags={"log": level} if level else None))
        is_finished = opened.serve(beside=beside)
        if not is_finished:
            os._exit(0)  # a thread is at a long load; what it was at is safe, and the lock goes with the process


@command.command("alarms")
@click.option("--over", is_flag=True, help="Also those that are over.")
@as_json
@click.pass_obj
def alarms(workspace: Path, over: bool, as_json: bool) -> None:
    """Alarms of the platform itself: a workflow that is silent or has no owner, a release that does not match the journal."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        found = opened.alarms(over=over).to_dicts()
    if as_json:
        print_json(found)
    else:
        rows = [(f"{one['raised_at']:%Y-%m-%d %H:%M}", one["kind"], one["about"], one["text"], "" if one["cleared_at"] is None else "over") for one in found]
        table(["since (UTC)", "alarm", "about", "what", ""], rows, empty="No alarm.")


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


@command.command("backup")
@click.argument("place", type=PlainPath(path_type=Path))
@dry_run
@as_json
@click.pass_obj
def backup(workspace: Path, place: Path, dry_run: bool, as_json: bool) -> None:
    """Copy the workspace as it is at this moment to PLACE, a new folder or a file ending in .tar.

    Others may go on writing meanwhile. The signing key is not in it: back it up separately.
    """
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened, progress() as told:
        made = opened.backup(place, dry_run=dry_run, progress=told)
        keys = opened.configuration.settings.keys
    if as_json:
        print_json(made)
        return
    say(
        f"{'Would copy' if dry_run else 'Copied'} {made.bytes:,} bytes to {made.place}: {sum(made.rows.values()):,} rows of the database, {made.blobs:,} files taken in.",
        f"The journal had {made.checkpoint['size']:,} entries; its root then: {made.checkpoint['root']}",
        f"The signing key {made.key} is NOT in it. Back it up separately{f', from {keys}' if keys else ''}.",
    )


@command.command("restore")
@click.argument("source", type=PlainPath(path_type=Path, exists=True))
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--erasures", "erased", type=PlainPath(path_type=Path, exists=True), help="What was erased: the list, or the folder of the workspace.")
@click.option("--nothing-erased", is_flag=True, help="Say instead that nothing was erased since the backup; you answer for it.")
@click.option("--database", help="Where the rows go: postgresql://USER@HOST/DATABASE?schema=NAME; default: an SQLite file in FOLDER.")
@by
@reason()
@dry_run
@as_json
def restore(
    source: Path, folder: Path, erased: Path | None, nothing_erased: bool, database: str | None, by: str, reason: str, dry_run: bool, as_json: bool
) -> None:
    """Make a workspace in FOLDER from the backup SOURCE: whole and verified, or not at all.

    What was erased after the backup is erased again.
    """
    from trunkline import workspace as workspaces

    with progress() as told:
        made = workspaces.restore(
            source,
            folder,
            erased=erased,
            nothing_erased=nothing_erased,
            by=by,
            reason=reason,
            flags={"database": database} if database is not None else None,
            dry_run=dry_run,
            progress=told,
        )
    if as_json:
        print_json(made)
        return
    if dry_run:
        say(f"The backup of {made.made_at} is whole: {made.files:,} files, {sum(made.rows.values()):,} rows. Nothing was made.")
        return
    say(
        f"Restored the workspace of {made.made_at} to {made.folder}: {sum(made.rows.values()):,} rows of the database, {made.files:,} files.",
        f"Erased again: {made.erased_again}.",
        f"Next: trunkline -w {made.folder} workspace check",
    )


@command.command("erasures")
@click.option("--to", type=PlainPath(path_type=Path, dir_okay=False), help="Write the list to this file, for a restore.")
@as_json
@click.pass_obj
def erasures(workspace: Path, to: Path | None, as_json: bool) -> None:
    """What was erased. Keep the list apart from the backups: a restore asks for it."""
    from trunkline import workspace as workspaces
    from trunkline.store.erasures import write_list

    with workspaces.open(workspace) as opened:
        found = opened.erasures()
    if to is not None:
        write_list(found, to)
        say(f"Wrote {len(found)} erasure(s) to {to}.")
    elif as_json:
        print_json(found)
    else:
        rows = [(f"{one.at:%Y-%m-%d %H:%M}", one.by, one.reason, one.table, len(one.arrivals)) for one in found]
        table(["at", "by", "reason", "table", "contents"], rows, empty="Nothing was erased.")
