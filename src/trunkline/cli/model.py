"""``trunkline model``: what scores."""

from __future__ import annotations

import click

from trunkline.cli.output import as_json, print_json, say, table


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
def show(name: str) -> None:
    """What a kind of model is for and what can be set."""
    import inspect

    from trunkline.core import registry

    click.echo(inspect.getdoc(registry.load("models", name)))


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
