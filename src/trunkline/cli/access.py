"""``trunkline access``: keys of the REST interface."""

from __future__ import annotations

from pathlib import Path

import click

from trunkline.cli.output import as_json, by, dry_run, print_json, reason, say, table


@click.group("access")
def command() -> None:
    """Keys by which people and systems are known over the network, and their roles."""


@command.command("list")
@click.option("--roles", is_flag=True, help="Show what each role may do instead.")
@as_json
@click.pass_obj
def list_(workspace: Path, roles: bool, as_json: bool) -> None:
    """Every key that was made: whose, for what, until when. Never the key itself."""
    from trunkline import workspace as workspaces
    from trunkline.govern.access import ROLES

    if roles:
        if as_json:
            print_json({role: sorted(verbs) for role, verbs in ROLES.items()})
        else:
            table(["role", "may"], [(role, ", ".join(sorted(verbs))) for role, verbs in ROLES.items()])
        return
    with workspaces.open(workspace) as opened:
        found = opened.access.list()
    if as_json:
        print_json(found)
        return
    rows = [
        (k.id, k.name, ", ".join(k.roles), f"{k.made_at:%Y-%m-%d}", f"{k.expires_at:%Y-%m-%d}" if k.expires_at else "never", "revoked" if k.revoked_at else "")
        for k in found
    ]
    table(["id", "name", "roles", "made", "until", ""], rows, empty="No key was made: trunkline access new NAME --role operator")


@command.command("new")
@click.argument("name")
@click.option("--role", "roles", multiple=True, required=True, help="What it may do; repeat it. See: trunkline access list --roles")
@click.option("--lasts", default="52w", show_default=True, help="How long it is good for.")
@by
@dry_run
@as_json
@click.pass_obj
def new(workspace: Path, name: str, roles: tuple[str, ...], lasts: str, by: str, dry_run: bool, as_json: bool) -> None:
    """Make a key for NAME, a person or a system. It is printed this once, to stdout."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        key = opened.access.new(name, roles, lasts=lasts, by=by, dry_run=dry_run)
    say(f"A key for {name} {'would be' if dry_run else 'was'} made: {', '.join(roles)}, for {lasts}.")
    if as_json:
        print_json({"name": name, "roles": roles, "key": key})
    elif key:
        click.echo(key)


@command.command("revoke")
@click.argument("key")
@reason()
@by
@dry_run
@click.pass_obj
def revoke(workspace: Path, key: str, reason: str, by: str, dry_run: bool) -> None:
    """Make the key of this id useless from now on."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        whose = opened.access.revoke(key, by=by, reason=reason, dry_run=dry_run)
    say(f"The key {key} of {whose} {'would be' if dry_run else 'is'} revoked.")
