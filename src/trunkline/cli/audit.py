"""``trunkline audit``: what happened, provably."""

from __future__ import annotations

from pathlib import Path

import click

from trunkline.cli.output import as_json, print_json, say, table


@click.group("audit")
def command() -> None:
    """The journal: what happened, provably."""


@command.command("verify")
@as_json
@click.pass_obj
def verify(workspace: Path, as_json: bool) -> None:
    """Check every entry and every signature; the first bad entry is named."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        found = opened.audit.verify()
    if as_json:
        print_json({name: getattr(found, name) for name in ("ok", "entries", "checkpoints", "first_bad", "last_bad", "why")})
    elif found.ok:
        say(f"{found.entries:,} entries and {found.checkpoints:,} signed checkpoints hold together.")
        say("Internally consistent only: a journal cut short needs a checkpoint kept elsewhere to be noticed.")
    else:
        say(f"The journal does not hold: {found.why}")
    if not found.ok:
        raise click.exceptions.Exit(1)


@command.command("list")
@click.option("--kind", help="Only entries of this kind, such as 'decision' or 'gates.verdict'.")
@click.option("--limit", default=20, show_default=True, help="The newest so many; 0 for all.")
@as_json
@click.pass_obj
def list_(workspace: Path, kind: str | None, limit: int, as_json: bool) -> None:
    """The newest entries."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        entries = opened.audit.list(kind=kind)[-limit or None :]
    if as_json:
        print_json([{"seq": e.seq, "at": e.at, "kind": e.kind, "body": e.body} for e in entries])
    else:
        table(["entry", "at", "kind", "what"], [(e.seq, f"{e.at:%Y-%m-%d %H:%M:%S}", e.kind, _short(e.body)) for e in entries], empty="The journal is empty.")


@command.command("show")
@click.argument("entry", type=int)
@click.pass_obj
def show(workspace: Path, entry: int) -> None:
    """One entry, whole, with the proof that it is in the journal."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        journal = opened.store.journal
        found = next(iter(journal.entries(since=entry, limit=1)), None)
        content = journal.entry(entry)  # says what is allowed where there is none
        proof = journal.inclusion_proof(entry)
        assert found is not None
        print_json({"seq": found.seq, "at": found.at, "kind": found.kind, "body": found.body, "bytes": len(content), "proof": [p.hex() for p in proof.path]})


@command.command("export")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.pass_obj
def export(workspace: Path, folder: Path) -> None:
    """Write entries, checkpoints and public key into FOLDER, for an auditor who checks them alone."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        say(f"Written to {opened.audit.export(folder)}: entries.jsonl, checkpoints.jsonl, public-key.pem")


def _short(body: object) -> str:
    """An entry in one line: plain values, and counts where the body holds some."""
    if not isinstance(body, dict):
        return str(body)
    told = []
    for key, value in body.items():
        if isinstance(value, dict) and all(isinstance(v, int) for v in value.values()):
            told += [f"{name} {count:,}" for name, count in value.items()]
        elif not isinstance(value, list | dict):
            told.append(f"{key}={value}")
    text = ", ".join(told)
    return text if len(text) <= 100 else text[:99] + "…"
