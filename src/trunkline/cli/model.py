"""``trunkline model``: what scores."""

from __future__ import annotations

from pathlib import Path

import click

from trunkline.cli.output import PlainPath, as_json, by, dry_run, print_json, reason, say, table


@click.group("model")
def command() -> None:
    """What scores: the kinds there are, and the contract they keep."""


@command.command("list")
@as_json
def list_(as_json: bool) -> None:
    """Every kind of model, ours and those of installed packages."""
    from trunkline.core import registry

    found = [(name, point.value) for name, point in registry.names("models").items()]
    if as_json:
        print_json([{"name": name, "from": value} for name, value in found])
    else:
        table(["model", "from"], found)


@command.command("show")
@click.argument("name")
@as_json
def show(name: str, as_json: bool) -> None:
    """What a kind of model is for and what can be set."""
    import inspect

    from trunkline.core import registry

    kind = registry.load("models", name)
    if as_json:
        defaults = {one.name: repr(one.default) for one in inspect.signature(kind).parameters.values()}
        print_json({"name": name, "for": inspect.getdoc(kind), "defaults": defaults})
    else:
        click.echo(inspect.getdoc(kind))


@command.command("check")
@click.argument("name")
@as_json
def check(name: str, as_json: bool) -> None:
    """Run the contract suite that every model has to keep."""
    from trunkline.core import registry
    from trunkline.models.check import check_model

    results = check_model(registry.load("models", name)())
    if as_json:
        print_json(results)
    failed = [one for one in results if not one.passed]
    for one in results if not as_json else []:
        say(f"{'kept' if one.passed else 'broken':8} {one.name}{': ' + one.message if one.message else ''}")
    say(f"{len(results)} checks, {len(failed)} failed.")
    if failed:
        raise click.exceptions.Exit(1)


@command.command("reproduce")
@click.argument("release")
@as_json
@click.pass_obj
def reproduce(workspace: Path, release: str, as_json: bool) -> None:
    """Make RELEASE again from its record alone, in a clean process, and compare data, code, model and what the gates said.

    Exits 1 where it did not come out the same, and names what differs. Nothing that is live changes.
    """
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        found = opened.workflows.reproduce(release)
    if as_json:
        print_json({"release": found.release, "ok": found.ok, "same_model": found.is_same_model, "checks": found.checks, "notes": found.notes})
    else:
        rows = [(one.what, one.recorded, one.again, "same" if one.same else "differs", one.note) for one in found.checks]
        table(["compared", "recorded", "again", "", "note"], rows)
        say(str(found), *found.notes)
    if not found.ok:
        raise click.exceptions.Exit(1)


@command.command("export")
@click.argument("release")
@click.option("--to", type=PlainPath(path_type=Path, dir_okay=False), required=True, help="The file to write; its name ends in .onnx.")
@click.option("--int8", is_flag=True, help="Weights of eight bits; of an autoencoder only.")
@click.option("--bound", type=float, default=None, help="How far a score may be from the model's with --int8; default 0.1.")
@by
@reason(required=False)
@dry_run
@as_json
@click.pass_obj
def export(workspace: Path, release: str, to: Path, int8: bool, bound: float | None, by: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """Write the model of RELEASE to an ONNX file, once it answers on your rows as the model does.

    Compared are up to 10,000 rows of this workspace; a score may differ by 1e-5. A row that comes out otherwise is shown, and no file is kept.
    """
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        found = opened.models.export(release, to=to, int8=int8, bound=bound, by=by, reason=reason, dry_run=dry_run)
    if as_json:
        print_json(found)
    else:
        table(["input", "type", "shape", "what"], [(i["name"], i["type"], " x ".join(map(str, i["shape"])), i["what"]) for i in found.inputs])
        say(f"{'Would write ' if dry_run else 'Wrote '}{found}")
