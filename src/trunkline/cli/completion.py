"""``trunkline completion``: what a shell needs to complete commands, options and names."""

from __future__ import annotations

import click

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print what SHELL needs to complete commands, options, workflow names and decisions.

    bash: add to ~/.bashrc  eval "$(trunkline completion bash)"

    zsh: add to ~/.zshrc  eval "$(trunkline completion zsh)"

    fish: trunkline completion fish > ~/.config/fish/completions/trunkline.fish
    """
    from click.shell_completion import get_completion_class

    from trunkline.cli import trunkline

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(trunkline, {}, "trunkline", "_TRUNKLINE_COMPLETE").source())
