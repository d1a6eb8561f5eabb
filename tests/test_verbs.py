"""Python, the command line and REST offer the same verbs: each is there in all three, or stands here with the reason why not."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import trunkline
from trunkline import cli
from trunkline.north.application import application
from trunkline.run.hand_over import CHANGING
from trunkline.workspace import Workspace

# A verb of Python that another command already is.
SAID_OTHERWISE = {
    "audit.prove_since": ("audit.prove", "with --since"),
    "workflow.card": ("gate.show", "the card is what the gates said"),
    "workflow.release": ("workflow.show", "a workflow is shown with its releases"),
    "workflow.releases": ("workflow.show", "a workflow is shown with its releases"),
    "workflow.reproduce": ("model.reproduce", "what scores is made again; the release says of which workflow"),
}

ONLY_PYTHON = {
    "access.principal": "who a key is: the interface itself asks",
    "access.holds": "whether a key is still good: the interface itself asks",
    "audit.size": "the number stands in what `workspace show` says",
    "workflow.get": "the workflow as a Python value; `workflow show` tells it",
}

ONLY_COMMANDS = {
    "audit.check_proof": "for those who have no workspace, only a proof and a checkpoint",
    "audit.show": "one entry of `audit list`",
    "completion": "for the shell",
    "data.chaos": "writes a spoilt copy of files on this machine",
    "data.check": "looks into files on this machine before they are taken in",
    "data.map": "writes a column map beside a file on this machine",
    "decision.explain": "the reasons of `decision show`, one a line",
    "demo": "makes a workspace of its own",
    "feature.list": "told of the definition, without a workspace",
    "gate.list": "told of what is installed",
    "gate.run": "judges a file of scores on this machine",
    "gate.show": "the card of a release: `workflow.card`",
    "model.check": "runs the contract on what is installed",
    "model.export": "writes a file on this machine: Workspace.models.export",
    "model.list": "told of what is installed",
    "model.reproduce": "`workflow.reproduce`",
    "model.show": "told of what is installed",
    "simulator.make": "writes files on this machine",
    "workflow.check": "loads a definition on this machine",
    "workflow.new": "writes files on this machine",
    "workflow.show": "the definition: `workflow.get`; its releases: `workflow.releases`",
    "workspace.backup": "writes the whole workspace to this machine: Workspace.backup; over the network it would hand all of it to whoever asks",
    "workspace.erasures": "Workspace.erasures; what was erased is for whoever restores",
    "workspace.new": "there is no workspace yet: trunkline.create",
    "workspace.restore": "there is no workspace yet: trunkline.restore",
    "workspace.serve": "what answers over REST: Workspace.serve",
}

ONLY_REST = {
    "decision.stream": "`workspace.audit.list(kind='decision', since=…)` again and again is the same",
    "workspace.metrics": "Workspace.metrics, in the text form of Prometheus",
}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with trunkline.create(tmp_path / "w") as made:
        yield made


def commands() -> set[str]:
    found = set()
    for noun in cli.NOUNS:
        command = cli.trunkline.get_command(click.Context(cli.trunkline), noun)
        verbs = command.commands if isinstance(command, click.Group) else None
        found |= {noun} if verbs is None else {f"{noun}.{verb.replace('-', '_')}" for verb in verbs}
    return found


def test_each_verb_is_there_in_all_three(workspace: Workspace) -> None:
    python, typed = set(workspace.verbs()), commands()
    rest = {operation.get("x-verb", "") for path in application(workspace).openapi()["paths"].values() for operation in path.values()} - {""}

    assert python - typed == {*SAID_OTHERWISE, *ONLY_PYTHON}
    assert typed - python == set(ONLY_COMMANDS)
    assert python - rest == set(ONLY_PYTHON)
    assert rest - python == set(ONLY_REST)
    assert {other for other, _ in SAID_OTHERWISE.values()} <= typed


def test_every_command_that_changes_the_workspace_says_who_why_and_can_be_tried_dry(workspace: Workspace) -> None:
    takes_no_reason = {"data.load", "data.compact", "decision.deliver", "decision.outcome", "workflow.run"}  # nothing is decided by them, or a note says it
    takes_no_dry_run = {"data.compact", "decision.deliver", "workflow.run"}  # a replay is the dry run of a workflow

    for verb, changing in CHANGING.items():
        parameters = inspect.signature(changing.method).parameters
        assert verb in workspace.verbs(), verb
        assert verb in takes_no_reason or "reason" in parameters, verb
        assert verb in takes_no_dry_run or "dry_run" in parameters, verb


def test_what_shows_something_can_print_json() -> None:
    for noun in cli.NOUNS:
        command = cli.trunkline.get_command(click.Context(cli.trunkline), noun)
        for name, verb in (command.commands if isinstance(command, click.Group) else {}).items():
            options = {option for parameter in verb.params for option in parameter.opts}
            if name in {"list", "show", "check"} and (noun, name) != ("audit", "show"):  # one entry is JSON already
                assert "--json" in options, f"{noun} {name}"
