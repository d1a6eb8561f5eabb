"""The command line: noun, then verb. Thin on purpose; everything here is a method of Workspace.

Nothing heavy is imported until a command runs, so that ``--help`` and completion answer at once.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import click

from trunkline.core.errors import TrunklineError

# noun -> what it is about; the module of the same name holds its verbs. Add a noun here.
NOUNS = {
    "demo": "The whole life of a workflow on a simulated network, in about a minute.",
    "workflow": "What runs: replay it on your files, train, deploy, roll back.",
    "data": "Files and what is in them: load, check, map, quarantine.",
    "feature": "What a workflow looks at, and whether live equals history.",
    "model": "What scores: the kinds there are, and the contract they keep.",
    "gate": "What a candidate has to pass.",
    "decision": "The queue: what is proposed, why, and how it turned out.",
    "audit": "The journal: what happened, provably.",
    "access": "Keys by which people and systems are known over the network, and their roles.",
    "workspace": "Where everything rests.",
    "completion": "Print what SHELL needs to complete commands, options, workflow names and decisions.",
    "simulator": "A simulated operator that writes the files a network writes.",
}


class Nouns(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the library's signature
        return list(NOUNS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        if name not in NOUNS:
            return None
        command: click.Command = import_module(f"trunkline.cli.{name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(NOUNS.items()))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        from difflib import get_close_matches

        if args and args[0] not in NOUNS and not args[0].startswith("-"):
            close = get_close_matches(args[0], NOUNS, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            ctx.fail(f"There is no command '{args[0]}'.{hint} Known: {', '.join(NOUNS)}.")
        return super().resolve_command(ctx, args)


@click.group(cls=Nouns, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="trunkline")
@click.option(
    "--workspace",
    "-w",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="TRUNKLINE_WORKSPACE",
    default=Path("trunkline-workspace"),
    show_default=True,
    help="The folder of the workspace.",
)
@click.pass_context
def trunkline(ctx: click.Context, workspace: Path) -> None:
    """Run a telecom operator's AI in production.

    Start with your own file:  trunkline workflow replay kpi-anomaly YOUR.csv
    """
    ctx.obj = workspace


def main() -> None:
    """Run the command line; a user's mistake is a message, never a stack trace."""
    try:
        code = trunkline(standalone_mode=False)  # click hands back the code of an Exit instead of raising it
    except click.exceptions.Abort:
        click.echo("Stopped.", err=True)
        sys.exit(130)
    except click.ClickException as refused:
        refused.show()
        sys.exit(refused.exit_code)
    except TrunklineError as refused:
        click.echo(f"{type(refused).__name__}: {refused}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as refused:
        click.echo(f"The system refused: {refused.strerror or refused}.", err=True)
        if refused.filename is not None:
            click.echo(f"  Where: {str(refused.filename)[:300]!r}", err=True)
        click.echo("  Next: Look at the name, its rights, and the space on the disk; then repeat.", err=True)
        sys.exit(2)
    if isinstance(code, int):
        sys.exit(code)
