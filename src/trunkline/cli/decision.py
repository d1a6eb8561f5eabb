"""``trunkline decision``: the queue."""

from __future__ import annotations

from pathlib import Path

import click

from trunkline.cli.output import as_json, by, decision_id, dry_run, print_json, reason, say, table
from trunkline.core.values import rarity

queue_states = ("open", "approved", "rejected", "done", "expired", "shadow", "replayed", "advised")


@click.group("decision")
def command() -> None:
    """The queue: what is proposed, why, and how it turned out."""


@command.command("list")
@click.option("--state", default="open", show_default=True, type=click.Choice([*queue_states, "all"]), help="Which; 'all' for every one.")
@click.option("--workflow", help="Only of this workflow.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=30, show_default=True)
@as_json
@click.pass_obj
def list_(workspace: Path, state: str, workflow: str | None, limit: int, as_json: bool) -> None:
    """Decisions, the most confident first.

    'by itself 1 in 1,000' means: so strange a row comes once in a thousand without anything being wrong.
    """
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        found = opened.decisions.list(state=None if state == "all" else state, workflow=workflow, limit=limit)
    if as_json:
        print_json(found)
        return
    rows = [(d.id[:8], d.workflow, d.target, f"{d.at:%Y-%m-%d %H:%M}", rarity(d.confidence), d.outcome or d.state, "; ".join(d.reasons[:2])) for d in found]
    table(["id", "workflow", "element", "at (UTC)", "by itself", "state", "why"], rows, empty=f"No decision is {state}. Try --state all.")


@command.command("show")
@decision_id
@click.option("--exact", is_flag=True, help="Reckon the exact share of every feature now (boosted trees; up to a second).")
@as_json
@click.pass_obj
def show(workspace: Path, decision: str, exact: bool, as_json: bool) -> None:
    """One decision with its reasons, the row it was taken on and the release that took it."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        found = opened.decisions.show(decision, exact=exact)
    if as_json:
        print_json(found)
        return
    say(f"{found.action} {found.target}   {found.state}{', ' + found.outcome if found.outcome else ''}")
    say(f"  {found.at:%Y-%m-%d %H:%M} to {found.until:%H:%M} UTC, known at {found.known_at:%H:%M}, by itself {rarity(found.confidence)}")
    for number, text in enumerate(found.reasons, start=1):
        say(f"  {number}. {text}")
    say(f"  workflow {found.workflow}, release {found.release or 'none (a replay)'}, id {found.id}")
    if found.break_glass:
        say(f"  glass broken by {found.break_glass}")
    for line in found.outside:
        say(f"  outside: {line}")
    table(["feature", "value"], [(name, value) for name, value in found.row.items() if name not in {"entity", "at", "known_at"}], empty="")


@command.command("explain")
@decision_id
@click.pass_obj
def explain(workspace: Path, decision: str) -> None:
    """The reasons, one a line."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        for text in opened.decisions.show(decision).reasons:
            click.echo(text)


def _verb(name: str, text: str) -> None:
    @command.command(name, help=text)
    @decision_id
    @reason()
    @by
    @dry_run
    @click.pass_obj
    def run(workspace: Path, decision: str, reason: str, by: str, dry_run: bool) -> None:
        from trunkline import workspace as workspaces

        with workspaces.open(workspace) as opened:
            state = getattr(opened.decisions, name)(decision, by=by, reason=reason, dry_run=dry_run)
        say(f"Decision {decision} {'would be' if dry_run else 'is now'} {state}.")


_verb("approve", "Let it happen.")
_verb("reject", "Do not let it happen.")
_verb("undo", "Take an approval or rejection back.")


@command.command("break-glass")
@click.argument("decision")
@reason()
@by
@dry_run
@click.pass_obj
def break_glass(workspace: Path, decision: str, reason: str, by: str, dry_run: bool) -> None:
    """Let DECISION happen although a limit held it back: it expired, was rejected, or its workflow only advises.

    It goes into the journal as what it is, under your name, and is counted.
    """
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        state = opened.decisions.break_glass(decision, by=by, reason=reason, dry_run=dry_run)
    say(f"Decision {decision} {'would be' if dry_run else 'is now'} {state}, against a limit; the journal says by whom and why.")


@command.command("deliver")
@dry_run
@as_json
@click.pass_obj
def deliver(workspace: Path, dry_run: bool, as_json: bool) -> None:
    """Deliver what decisions want to happen outside and whose time for a try has come; a service does it by itself."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        done = opened.decisions.deliver(dry_run=dry_run)
    if as_json:
        print_json(done)
        return
    table(["message", "decision", "state", "attempts", "why"], [(d.key, d.decision[:8], d.state, d.attempts, d.why) for d in done], empty="Nothing is due.")


@command.command("resend")
@decision_id
@reason()
@by
@dry_run
@click.pass_obj
def resend(workspace: Path, decision: str, reason: str, by: str, dry_run: bool) -> None:
    """Let messages about a decision that never got through be tried again."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        count = opened.decisions.resend(decision, by=by, reason=reason, dry_run=dry_run)
    say(f"{count} message{'s' * (count != 1)} of decision {decision} {'would be' if dry_run else 'will be'} tried again.")


@command.command("outcome")
@decision_id
@click.argument("verdict", type=click.Choice(["confirmed", "wrong", "unknown"]))
@click.option("--note", default="", help="What was found.")
@by
@dry_run
@click.pass_obj
def outcome(workspace: Path, decision: str, verdict: str, note: str, by: str, dry_run: bool) -> None:
    """Say how it turned out; a wrong one is kept with its whole snapshot."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        said = opened.decisions.outcome(decision, verdict, by=by, note=note, dry_run=dry_run)
    say(f"Decision {said.decision} {'would be' if dry_run else 'is'} {said.verdict}, says {said.by}.")


@command.command("labels")
@click.option("--workflow", help="Only of this workflow.")
@as_json
@click.pass_obj
def labels(workspace: Path, workflow: str | None, as_json: bool) -> None:
    """Decisions with a verdict as labelled rows, to train on: what it was about, when, and how it turned out."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        found = opened.decisions.labels(workflow).to_dicts()
    if as_json:
        print_json(found)
    else:
        table(list(found[0]) if found else [], [list(row.values()) for row in found], empty="No outcome was said yet: trunkline decision outcome ID confirmed")
