"""Every command: has help, keeps data and words apart, and says what it would do before it does it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import pytest

from trunkline.cli import NOUNS, trunkline

from .conftest import Run


def commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(trunkline)
    for noun in trunkline.list_commands(context):
        command = trunkline.get_command(context, noun)
        assert command is not None
        if isinstance(command, click.Group):
            yield from ((f"{noun} {verb}", inner) for verb, inner in sorted(command.commands.items()))
        else:
            yield noun, command


COMMANDS = dict(commands())

# What shows something takes --json; these print one thing that is text, TOML or JSON by itself.
TEXT_ALREADY = {"data map": "TOML to be edited", "decision explain": "one reason a line", "audit show": "JSON always"}

# What changes something says what it would do; and why it is done goes into the journal.
CHANGES = {
    "decision break-glass",
    "access revoke",
    "data erase",
    "workspace restore",
    "workflow deploy",
    "workflow rollback",
    "workflow step",
    "workflow approve",
    "workflow review",
    "workflow restore",
    "workflow freeze",
    "workflow unfreeze",
    "decision approve",
    "decision reject",
    "decision resend",
    "decision undo",
}
DRY_RUN_ONLY = {
    "data chaos": "a folder of its own",
    "model export": "a file of its own",
    "access new": "whose it is and for what is the reason",
    "workspace backup": "a copy elsewhere",
    "decision outcome": "what was found is told in --note",
    "data load": "what a file says needs no reason",
    "decision deliver": "what was decided before; the reason is the decision",
    "audit witness": "a copy of checkpoints elsewhere",
    "workflow new": "it writes two new files and nothing over any",
}
ADDS_ONLY = {
    "model reproduce": "a release made again elsewhere, compared and forgotten",
    "completion": "text for a shell",
    "data compact": "what is read stays the same",
    "workspace erasures": "a list of what was erased",
    "demo": "a folder of its own",
    "workflow replay": "a report, acted on by nobody",
    "workflow train": "a candidate, which is in no use before it is deployed",
    "workflow run": "what the release decides; the reason is the release",
    "gate run": "the same as workflow train",
    "workspace new": "a new folder",
    "workspace serve": "what releases decide and others ask; each names its own reason",
    "simulator make": "a new folder",
    "audit export": "a copy",
}


def options(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_is_for(name: str, run: Run) -> None:
    said = run(*name.split(), "--help")

    assert said.code == 0
    assert said.out.startswith(f"Usage: trunkline {name}")
    assert len(COMMANDS[name].get_short_help_str(200)) > 10
    assert said.err == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is_for(name: str) -> None:
    for parameter in COMMANDS[name].params:
        if isinstance(parameter, click.Option) and parameter.name != "limit":
            assert parameter.help, f"{name} {parameter.opts[0]}"


def test_every_noun_is_listed_with_the_words_its_group_has() -> None:
    for noun in NOUNS:
        command = trunkline.get_command(click.Context(trunkline), noun)
        assert command is not None
        assert command.get_short_help_str(200).rstrip(".") == NOUNS[noun].rstrip(".")


def test_a_command_that_does_something_is_said_to_change_or_to_add() -> None:
    shows = {
        name
        for name, command in COMMANDS.items()
        if name.split()[-1]
        in {"list", "show", "check", "diff", "explain", "verify", "quarantine", "map", "plan", "alarms", "prove", "check-proof", "compare", "labels"}
    }

    assert set(COMMANDS) == shows | CHANGES | set(DRY_RUN_ONLY) | set(ADDS_ONLY)
    for name in shows - set(TEXT_ALREADY):
        assert "--json" in options(COMMANDS[name]), f"{name} shows something and has no --json"


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_what_changes_something_can_be_tried_and_needs_a_reason(name: str) -> None:
    command = COMMANDS[name]
    reason = next(p for p in command.params if p.name == "reason")

    assert {"--dry-run", "--reason", "--by"} <= options(command)
    assert reason.required


@pytest.mark.parametrize("name", sorted(DRY_RUN_ONLY))
def test_what_writes_something_can_be_tried(name: str) -> None:
    assert "--dry-run" in options(COMMANDS[name])


SHOWN: dict[str, Any] = {
    "workflow list": list,
    "workflow show kpi-anomaly": dict,
    "workflow check kpi-anomaly": dict,
    "data list": list,
    "data show measurements --limit 3": list,
    "data show elements": list,
    "data check cells.csv": dict,
    "data quarantine": list,
    "feature list kpi-anomaly": dict,
    "feature list sleeping-cell": dict,
    "feature show kpi-anomaly --limit 2": list,
    "feature check kpi-anomaly --days 0.5": dict,
    "model list": list,
    "model show harmonic": dict,
    "access list": list,
    "access list --roles": dict,
    "decision labels": list,
    "gate list": list,
    "decision list": list,
    "decision list --state all": list,
    "decision show aa": dict,
    "audit verify": dict,
    "audit list --limit 4": list,
    "audit prove 0": dict,
    "audit prove --since 1": dict,
    "audit witness --dry-run": dict,
    "workflow plan kpi-anomaly": list,
    "workspace alarms": list,
    "workspace alarms --over": list,
    "workspace show": dict,
    "workspace show --config": dict,
    "workspace check": list,
    "workspace erasures": list,
    "workspace backup b --dry-run": dict,
    "data compact": list,
    "data erase measurements --where element=nobody --reason x --dry-run": dict,
    "decision deliver": list,
}


@pytest.mark.usefixtures("filled", "csv")
@pytest.mark.parametrize("line", SHOWN)
def test_json_is_json_and_nothing_else_on_stdout(line: str, run: Run) -> None:
    said = run(*line.split(), "--json")

    assert said.code == 0, said.err
    assert isinstance(said.json, SHOWN[line])


@pytest.mark.usefixtures("filled", "csv")
@pytest.mark.parametrize("line", SHOWN)
def test_without_json_it_is_words_and_tables_for_people(line: str, run: Run) -> None:
    said = run(*line.split())

    assert said.code == 0, said.err
    assert (said.out + said.err).strip()


def test_every_command_that_has_json_is_tried_with_it() -> None:
    tried = {" ".join(line.split()[:2]) for line in SHOWN} | {
        "workflow diff",
        "workflow compare",
        "gate show",
        "access new",
        "data chaos",
        "model export",
        "model reproduce",
        "workflow replay",
        "workflow train",
        "workflow run",
        "data load",
        "demo",
        "model check",
        "audit check-proof",
        "workspace restore",
    }

    assert {name for name, command in COMMANDS.items() if "--json" in options(command)} <= tried
