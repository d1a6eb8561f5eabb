"""``trunkline workflow``: what runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from trunkline.cli.output import PlainPath, as_json, by, dry_run, print_json, progress, reason, say, table, verdict_rows, workflow_name
from trunkline.core.values import rarity


@click.group("workflow")
def command() -> None:
    """What runs: replay it on your files, train, deploy, roll back."""


def _pairs(ctx: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for one in given:
        wanted, sign, name = one.partition("=")
        if not sign or not wanted or not name:
            raise click.BadParameter(f"'{one}' is not WANTED=GIVEN, such as dl_volume=Data_Volume", ctx=ctx, param=parameter)
        pairs[wanted] = name
    return pairs


def _instant(ctx: click.Context, parameter: click.Parameter, given: str | None) -> datetime | None:
    if given is None:
        return None
    try:
        at = datetime.fromisoformat(given)
    except ValueError as wrong:
        raise click.BadParameter(f"'{given}' is no date or time such as 2026-11-20 or 2026-11-20T14:00+01:00", ctx=ctx, param=parameter) from wrong
    return at if at.tzinfo else at.replace(tzinfo=UTC)


rename = click.option("--kpi", "rename", multiple=True, callback=_pairs, help="WANTED=GIVEN: the workflow's KPI is called GIVEN in your files. Repeat it.")
every = click.option("--every", help="Length of a slot, such as 15m or 1h; default: the workflow's own, or your data's if those are coarser.")
waiver = click.option("--waiver", default="", help="Who answers where the gates or a step could not tell: 'NAME: reason'.")
change = click.option("--change", default="", help="Number of the change request; asked for where there are change windows.")
seed = click.option("--seed", default=0, show_default=True, help="The same seed gives the same answer.")


@command.command("list")
@as_json
@click.pass_obj
def list_(workspace: Path, as_json: bool) -> None:
    """Shipped and deployed workflows: what is live, in shadow and a canary, and the verdict on the newest release.

    'silence' is how long it has had no row to decide on, 'review' the day until which somebody has to look at it again, 'open' what
    waits in the queue.
    """
    from trunkline import workspace as workspaces
    from trunkline.run import shipped
    from trunkline.store.opened import is_workspace

    if not is_workspace(workspace):
        found = [_shipped(name) for name in shipped.names()]
    else:
        with workspaces.open(workspace) as opened:
            found = opened.workflows.list().to_dicts()
    if as_json:
        print_json(found)
    else:
        table(list(found[0]), [[f"{value[:12]}{value[16:]}" if name in _RELEASES else value for name, value in row.items()] for row in found])


_RELEASES = ("live", "shadow", "canary", "candidate")
"""Columns of the list that hold releases, shown by their first letters."""


def _shipped(name: str) -> dict[str, str]:
    """One line of the list; a part that cannot be loaded does not hide the others."""
    from trunkline.core.errors import TrunklineError
    from trunkline.run import shipped

    try:
        found = shipped.find(name)
    except TrunklineError as broken:
        return {"workflow": name, "owner": "", "control": "", "for": broken.what}
    return {
        "workflow": name,
        "owner": found.owner.team if found.owner else "",
        "control": found.control or "",
        "for": found.outcome.kpi if found.outcome else "",
    }


@command.command("show")
@workflow_name
@as_json
@click.pass_obj
def show(workspace: Path, name: str, as_json: bool) -> None:
    """Who answers for it, what it looks at, what it has to pass, and its releases."""
    from trunkline import workspace as workspaces
    from trunkline.core.canonical import plain
    from trunkline.run import shipped
    from trunkline.store.opened import is_workspace

    found = shipped.find(name)
    releases: list[dict[str, Any]] = []
    if is_workspace(workspace):
        with workspaces.open(workspace) as opened:
            releases = opened.workflows.releases(found.name).to_dicts()
    assert found.owner is not None
    assert found.outcome is not None
    assert found.features is not None
    if as_json:
        print_json(
            {
                "name": found.name,
                "hash": found.hash,
                "owner": plain(found.owner),
                "purpose": found.purpose,
                "outcome": plain(found.outcome),
                "control": found.control,
                "safe_default": found.safe_default,
                "runbook": str(found.runbook),
                "features": found.features.words(),
                "gates": [plain(g) for g in found.gates],
                "guardrail": plain(found.guardrail),
                "releases": releases,
            }
        )
        return
    rail = found.guardrail
    table(
        ["", ""],
        [
            ("name", f"{found.name}  (hash {found.hash[:12]})"),
            ("owner", f"{found.owner.team}, on call {found.owner.oncall}"),
            ("runbook", str(found.runbook)),
            ("purpose", found.purpose),
            ("outcome", f"{found.outcome.kpi}: {found.outcome.at_least} against {found.outcome.baseline}"),
            ("control", f"{found.control}; when it cannot judge: {found.safe_default}"),
            ("looks at", "\n".join(f"{column}: {words}" for column, words in found.features.words().items())),
            ("model", repr(found.model)),
            ("gates", "\n".join(repr(g) for g in found.gates)),
            ("limits", f"{rail.items_per_shift} items per {rail.shift}, {rail.per_element_week:g} per element and week, hold-off {rail.hold_off}"),
            ("action", repr(found.act)),
        ],
    )
    table(
        ["release", "state", "verdict", "made"],
        [(r["id"][:12], r["state"], r["verdict"], f"{r['made_at']:%Y-%m-%d %H:%M}") for r in releases],
        empty="No release yet: trunkline workflow train " + name,
    )


@command.command("new")
@click.argument("name")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Where to write it.")
@dry_run
def new(name: str, folder: Path, dry_run: bool) -> None:
    """Write a workflow to start from, NAME.py, and its runbook; it passes `workflow check`."""
    from trunkline.run import template

    for path, text in template.files(name, folder).items():
        if dry_run:
            say(f"--- {path}")
            click.echo(text)
        else:
            template.write(path, text)
            say(f"Wrote {path}")
    say(f"Next: trunkline workflow check {folder / name}.py" if not dry_run else "Nothing was written.")


@command.command("check")
@workflow_name
@as_json
def check(name: str, as_json: bool) -> None:
    """May it load? Owner, runbook, purpose, outcome, control, safe default, way back: every gap is named."""
    from trunkline.run import shipped

    found = shipped.find(name)
    reached = found.sources
    if as_json:
        print_json({"name": found.name, "hash": found.hash, "sources": sorted(reached)})
        return
    say(f"{found.name} may load. Its hash is {found.hash}.")
    say(f"decide reaches {len(reached)} piece(s) of source: {', '.join(sorted(reached))}")


@command.command("replay")
@workflow_name
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("trunkline-replay"), show_default=True, help="Where the report goes.")
@click.option("--zone", help="IANA zone of times that name none, and of elements whose inventory names none, such as Europe/Rome.")
@click.option("--map", "column_map", type=PlainPath(path_type=Path, dir_okay=False), help="Column map of your CSV, as written by `data map`.")
@rename
@every
@click.option("--from", "start", callback=_instant, help="Begin to judge here; default: after a quarter of the data, at most six weeks.")
@click.option("--truth", type=PlainPath(path_type=Path, dir_okay=False), help="CSV of the faults you know of: element,start,end[,kind].")
@click.option("--file-time", is_flag=True, help="A measurement file was received when it was last modified; else at period end plus the delay.")
@click.option("--no-self-test", is_flag=True, help="Do not hide faults in a copy of the data.")
@seed
@click.option("--open", "open_page", is_flag=True, help="Open the report in the browser.")
@as_json
@click.pass_obj
def replay(
    workspace: Path,
    name: str,
    files: tuple[Path, ...],
    out: Path,
    zone: str | None,
    column_map: Path | None,
    rename: dict[str, str],
    every: str | None,
    start: datetime | None,
    truth: Path | None,
    file_time: bool,
    no_self_test: bool,
    seed: int,
    open_page: bool,
    as_json: bool,
) -> None:
    """What it would have said about your FILES, when and why, beside last week and chance.

    FILES are KPI series (CSV, Parquet) or 3GPP measurement files, or folders of them; without FILES the data in the
    workspace are used. Nothing is acted on.
    """
    from trunkline import workspace as workspaces
    from trunkline.run import replay_report
    from trunkline.run.load import Options
    from trunkline.run.replay_files import replay_files
    from trunkline.run.truth import read_truth
    from trunkline.store.opened import is_workspace

    known = None if truth is None else read_truth(truth, zone=zone)
    if not files and Path(name).is_file() and not name.endswith(".py"):
        raise click.UsageError(f"Which workflow? Write: trunkline workflow replay kpi-anomaly {name}")
    if not files and not is_workspace(workspace):
        raise click.UsageError(f"Which files? Write: trunkline workflow replay {name} YOUR.csv (without files it replays the data of a workspace).")
    with progress() as told:
        if files:
            options = Options(column_map=column_map, zone=zone, every=every, arrival="file time" if file_time else "period end")
            done = replay_files(
                name,
                files,
                out=out,
                options=options,
                rename=rename,
                every=every,
                start=start,
                truth=known,
                self_test=not no_self_test,
                seed=seed,
                flags={"zone": zone} if zone else None,  # elements live where their times are told, unless the inventory says otherwise
                progress=told,
            )
            result, page = done.replay, done.report
        else:
            with workspaces.open(workspace) as opened:
                result = opened.workflows.replay(
                    name, start=start, truth=known, every=every, rename=rename, self_test=not no_self_test, seed=seed, progress=told
                )
            page = replay_report.write(result, out, progress=told)
    if as_json:
        print_json({**replay_report.as_plain(result), "report": str(page)})
    else:
        _tell(result, page)
    if open_page:
        click.launch(page.resolve().as_uri())


_NOTES = 12
"""So many of the first and of the last notes are told; what could not be judged stands among the last."""


def _tell(result: Any, page: Path) -> None:
    from trunkline.run import replay_report

    say(f"{result.workflow.name}: a replay, acted on by nobody.", *(f"  {line}" for line in replay_report.says(result)))
    strongest = sorted(result.findings, key=lambda f: -f.decision.confidence)[:10]
    rows = [
        (
            f.entity,
            replay_report.short_local(f.at, result.context.zone_of(f.entity)),
            rarity(f.decision.confidence),
            "; ".join(r.text for r in f.decision.reasons[:2]),
            ", ".join(result.said_too(f)),
        )
        for f in strongest
    ]
    table(["element", "local time", "by itself", "why", "said too by"], rows, empty="It would have said nothing.")
    if len(result.findings) > len(strongest):
        say(f"  {len(result.findings) - len(strongest)} more stand in the report.")
    for name, tallies in ((result.truth_is, result.against_truth), ("hidden faults (simulated, in a copy of your data)", result.self_test)):
        table(
            [name, "found [95 % interval]", "other findings per element-week"],
            [(t.speaker, str(t.found), f"{t.false_per_week:.2f}") for t in tallies],
            empty="",
        )
    notes = replay_report.notes(result)
    cut = len(notes) - 2 * _NOTES
    shown = [*notes[:_NOTES], f"… {cut} more notes stand in the report …", *notes[-_NOTES:]] if cut > 0 else notes
    say(*(f"  {note}" for note in shown))
    say(f"Report with pictures: {page}")


@command.command("train")
@workflow_name
@rename
@every
@click.option("--against", multiple=True, help="Another kind of model to try beside the workflow's own, such as forest. Repeat it.")
@seed
@as_json
@click.pass_obj
def train(workspace: Path, name: str, rename: dict[str, str], every: str | None, against: tuple[str, ...], seed: int, as_json: bool) -> None:
    """Train on the data in the workspace and let the gates judge; keeps a candidate release."""
    from trunkline import workspace as workspaces
    from trunkline.core import registry

    others = {other: registry.load("models", other)() for other in against}
    with workspaces.open(workspace) as opened, progress() as told:
        candidate = opened.workflows.train(name, contenders=others, every=every, rename=rename, seed=seed, progress=told)
    if as_json:
        print_json({"release": candidate.release.id, "result": candidate.winner.result, "card": candidate.card})
        return
    _verdicts(candidate.card)
    say(*candidate.card["notes"])
    say(f"Release {candidate.release.id} is a candidate: {candidate.winner.name}, {candidate.winner.result}.")
    if candidate.winner.result == "pass":
        say(f"Next: trunkline workflow deploy {name} --reason 'first release'")
    elif candidate.winner.result == "cannot tell":
        say("Next: more elements or more history, then train again; or deploy it with --waiver 'NAME: reason'.")
    else:
        say("Next: a failed gate keeps it from going on, whoever asks. Change what 'why' names, then train again.")


def _verdicts(card: dict[str, Any] | Any) -> None:
    table(["model", "gate", "result", "figure", "bar", "why"], verdict_rows(card))


@command.command("deploy")
@workflow_name
@click.option("--release", help="Which candidate; default: the newest.")
@waiver
@change
@reason()
@by
@dry_run
@click.pass_obj
def deploy(workspace: Path, name: str, release: str | None, waiver: str, change: str, reason: str, by: str, dry_run: bool) -> None:
    """One step forward: a candidate into shadow, a shadow to its canary steps, or live."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        state = opened.workflows.deploy(name, by=by, reason=reason, release=release, waiver=waiver, change=change, dry_run=dry_run)
    say(f"{name} {'would be' if dry_run else 'is now'} {state}.")


@command.command("step")
@workflow_name
@waiver
@change
@reason()
@by
@dry_run
@click.pass_obj
def step(workspace: Path, name: str, waiver: str, change: str, reason: str, by: str, dry_run: bool) -> None:
    """The next step of the canary that runs; refused until the step before it is over."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        state = opened.workflows.step(name, by=by, reason=reason, waiver=waiver, change=change, dry_run=dry_run)
    say(f"{name} {'would be' if dry_run else 'is now'} {state}.")


@command.command("plan")
@workflow_name
@as_json
@click.pass_obj
def plan(workspace: Path, name: str, as_json: bool) -> None:
    """How many cells each canary step has, and how many days until its effect would be seen."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        found = opened.workflows.plan(name).to_dicts()
    if as_json:
        print_json(found)
    else:
        rows = [(one["step"], f"{one['share']:.4g}", one["cells"], one["days"], one["says"]) for one in found]
        table(["step", "share", "cells", "days", "says"], rows, empty="It has no canary: after its shadow it decides for all.")


@command.command("approve")
@click.argument("release")
@reason()
@by
@dry_run
@click.pass_obj
def approve(workspace: Path, release: str, reason: str, by: str, dry_run: bool) -> None:
    """Let RELEASE go live, which acts alone; not by who trained or deploys it."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        which = opened.workflows.approve(release, by=by, reason=reason, dry_run=dry_run)
    say(f"Release {which} {'would be' if dry_run else 'is'} approved.")


@command.command("review")
@workflow_name
@reason()
@by
@dry_run
@click.pass_obj
def review(workspace: Path, name: str, reason: str, by: str, dry_run: bool) -> None:
    """Say that you looked at it again, and with what result; its next review counts from now."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        due = opened.workflows.review(name, by=by, reason=reason, dry_run=dry_run)
    say(f"{'Nothing was written. ' if dry_run else ''}Next review of {name}: {due or 'none, nothing of it serves'}.")


@command.command("restore")
@workflow_name
@reason()
@by
@dry_run
@click.pass_obj
def restore(workspace: Path, name: str, reason: str, by: str, dry_run: bool) -> None:
    """Give it back how far it may go alone, once what cost it that is cured."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        control = opened.workflows.restore(name, by=by, reason=reason, dry_run=dry_run)
    say(f"{name} {'would go' if dry_run else 'goes'} as far as it declares again: {control}.")


@command.command("freeze")
@click.argument("days")
@click.option("--workflow", "name", default="", help="Of which workflow; default: of all.")
@reason()
@by
@dry_run
@click.pass_obj
def freeze(workspace: Path, days: str, name: str, reason: str, by: str, dry_run: bool) -> None:
    """Nothing goes live on these DAYS: 2026-12-20/2027-01-06. A rollback still does."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        which = opened.workflows.freeze(days, name=name, by=by, reason=reason, dry_run=dry_run)
    say(f"{'Would be frozen' if dry_run else 'Frozen'}: {name or 'everything'}, {days}. Its id is {which}.")


@command.command("unfreeze")
@click.argument("freeze")
@reason()
@by
@dry_run
@click.pass_obj
def unfreeze(workspace: Path, freeze: str, reason: str, by: str, dry_run: bool) -> None:
    """End FREEZE (its id) before its time."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        which = opened.workflows.unfreeze(freeze, by=by, reason=reason, dry_run=dry_run)
    say(f"The freeze {which} {'would be' if dry_run else 'is'} over.")


@command.command("run")
@workflow_name
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--zone", help="IANA zone of times that name none.")
@click.option("--file-time", is_flag=True, help="A file was received when it was last modified; else at period end plus the delay.")
@rename
@as_json
@click.pass_obj
def run(workspace: Path, name: str, files: tuple[Path, ...], zone: str | None, file_time: bool, rename: dict[str, str], as_json: bool) -> None:
    """Take FILES in, if any, and let what is live or in shadow decide on all that came since the last time."""
    from trunkline import workspace as workspaces
    from trunkline.run.load import Options

    with workspaces.open(workspace) as opened, progress() as told:
        if files:
            loaded = opened.data.load(files, options=Options(zone=zone, arrival="file time" if file_time else "period end"), progress=told)
            say(f"{loaded.rows:,} rows kept from {len(loaded.files)} file(s).")
        done = opened.workflows.run(name, rename=rename, progress=told)
    if as_json:
        print_json(
            [
                {
                    "release": one.release,
                    "mode": one.mode,
                    "since": one.since,
                    "until": one.until,
                    "rows": one.rows,
                    "items": [f.decision.id for f in one.findings],
                    "counts": one.counts,
                }
                for one in done
            ]
        )
        return
    for one in done:
        say(str(one))
        rows = [
            (f.decision.id[:8], f.entity, f"{f.at:%Y-%m-%d %H:%M}", rarity(f.decision.confidence), "; ".join(r.text for r in f.decision.reasons[:2]))
            for f in one.findings
        ]
        table(["id", "element", "at (UTC)", "by itself", "why"], rows, empty="Nothing to say.")


@command.command("rollback")
@workflow_name
@click.option("--to", help="Which earlier release; default: the one before.")
@reason()
@by
@dry_run
@click.pass_obj
def rollback(workspace: Path, name: str, to: str | None, reason: str, by: str, dry_run: bool) -> None:
    """Make an earlier release live again, or end a canary; at any time, without verdict or window."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        release = opened.workflows.rollback(name, by=by, reason=reason, to=to, dry_run=dry_run)
    say(f"Release {release} {'would be' if dry_run else 'is'} live again." if release else "The canary goes back; nothing is live.")


@command.command("compare")
@workflow_name
@as_json
@click.pass_obj
def compare(workspace: Path, name: str, as_json: bool) -> None:
    """How far the release in shadow agrees with the live one, on the rows both saw."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        report = opened.workflows.compare(name)
    if as_json:
        print_json(report.plain())
        return
    say(str(report))
    table(report.by_region.columns, [[value if value is not None else "" for value in row] for row in report.by_region.iter_rows()], empty="")


@command.command("diff")
@click.argument("old")
@click.argument("new")
@as_json
@click.pass_obj
def diff(workspace: Path, old: str, new: str, as_json: bool) -> None:
    """What changed between two releases, field by field."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        changes = opened.workflows.diff(old, new)
    if as_json:
        print_json([{"field": path, "before": before, "after": after} for path, before, after in changes])
    else:
        table(["field", "before", "after"], [(path, str(before), str(after)) for path, before, after in changes], empty="They are the same.")
