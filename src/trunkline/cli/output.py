"""How commands speak: data to stdout, words for people to stderr, ``--json`` everywhere."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click


def _workflows(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - the library's signature
    from trunkline.run import shipped

    return [name for name in shipped.names() if name.startswith(incomplete)]


def _decisions(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:  # noqa: ARG001
    from click.shell_completion import CompletionItem

    from trunkline import workspace as workspaces

    with workspaces.open(ctx.find_root().params["workspace"]) as opened:
        found = opened.decisions.list(state="open", limit=100)
    return [CompletionItem(one.id, help=f"{one.action} {one.target}") for one in found if one.id.startswith(incomplete)]


class PlainPath(click.Path):
    """A file or folder that somebody names; a pipe or a device is refused: one may keep silent for ever, the other never ends."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = super().convert(value, param, ctx)
        try:
            mode = Path(os.fsdecode(found)).stat().st_mode
        except OSError:  # not there yet, or told by who reads it
            return found
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            self.fail(f"'{os.fsdecode(found)}' is a pipe or a device, not a file. Write its content to a file first.", param, ctx)
        return found


workflow_name = click.argument("name", shell_complete=_workflows)
decision_id = click.argument("decision", shell_complete=_decisions)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON to stdout.")
dry_run = click.option("--dry-run", is_flag=True, help="Say what would be done; change nothing.")
by = click.option("--by", default="", help="Who acts; default: the setting 'operator', else your user name.")


def reason(required: bool = True) -> Callable[[Any], Any]:
    """The ``--reason`` flag of a command that changes something."""
    text = "Why; it goes into the journal."
    if required:
        return click.option("--reason", required=True, help=text)  # a default, even of None, would count as given
    return click.option("--reason", default="", help=text)


def print_json(value: Any) -> None:
    """*value* as indented JSON on stdout; frames become lists of rows."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(_plain(value)), indent=2).decode())


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dicts"):
        return [_plain(row) for row in value.to_dicts()]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    if isinstance(value, float) and value != value:  # noqa: PLR0124 - NaN is no JSON
        return None
    if hasattr(value, "__slots__") and not isinstance(value, str | int | float) and not hasattr(value, "isoformat"):
        return {name: _plain(getattr(value, name)) for name in value.__slots__ if not name.startswith("_")}
    return value.isoformat() if hasattr(value, "isoformat") else value


def say(*lines: str) -> None:
    """Words for people, on stderr."""
    for line in lines:
        click.echo(line, err=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str = "Nothing to show.") -> None:
    """A table on stdout; numbers to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    listed = [list(row) for row in rows]
    if not listed:
        say(empty)
        return
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(columns):
        is_number = all(isinstance(row[number], int | float) and not isinstance(row[number], bool) for row in listed)
        shown.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in listed:
        shown.add_row(*(Text("" if v is None else f"{v:.4g}" if isinstance(v, float) else str(v)) for v in row))
    console = Console()
    console.print(shown) if console.is_terminal else Console(width=160).print(shown)


def verdict_rows(card: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The verdicts on a release's card as table rows."""
    rows = []
    for contender, told in card["contenders"].items():
        for v in told["gates"]:
            value, bar = v.get("value"), v.get("bar")
            rows.append((contender, v["gate"], v["result"], "" if value is None else f"{value:.4g}", "" if bar is None else f"{bar:.4g}", v.get("why", "")))
    return rows


@contextmanager
def progress() -> Iterator[Callable[[str, float], None]]:
    """A progress bar per named step on stderr, where stderr is a terminal; silent otherwise."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description:28}"), BarColumn(), TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as bars:
        tasks: dict[str, Any] = {}

        def told(step: str, share: float) -> None:
            if step not in tasks:
                for done in tasks.values():
                    bars.update(done, completed=1.0)
                tasks[step] = bars.add_task(step, total=1.0)
            bars.update(tasks[step], completed=share)

        yield told
