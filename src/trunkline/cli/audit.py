"""``trunkline audit``: what happened, provably."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trunkline.cli.output import PlainPath, as_json, dry_run, print_json, say, table

if TYPE_CHECKING:
    from trunkline.store.entry import Checkpoint
    from trunkline.store.keys import PublicKey


@click.group("audit")
def command() -> None:
    """The journal: what happened, provably."""


_file = PlainPath(path_type=Path, exists=True, dir_okay=False)


@command.command("verify")
@click.option("--witness", type=_file, help="A file of checkpoints kept elsewhere; default: the setting 'witness', where it is a file.")
@as_json
@click.pass_obj
def verify(workspace: Path, witness: Path | None, as_json: bool) -> None:
    """Check every entry and every signature, and compare with a witness; the first bad entry is named."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        found = opened.audit.verify(witness=witness)
    if as_json:
        print_json({name: getattr(found, name) for name in ("ok", "entries", "checkpoints", "first_bad", "last_bad", "why", "witnessed")})
    elif found.ok:
        say(f"{found.entries:,} entries and {found.checkpoints:,} signed checkpoints hold together.")
        if found.witnessed is None:
            say("Internally consistent only: no outside witness. A journal cut short needs checkpoints kept elsewhere to be noticed: the setting 'witness'.")
        else:
            say(f"An outside witness confirms the first {found.witnessed:,} entries.")
    else:
        say(f"The journal does not hold: {found.why}")
    if not found.ok:
        raise click.exceptions.Exit(1)


@command.command("witness")
@click.option("--again", is_flag=True, help="Give it every checkpoint, also those that it was given: for a new or emptied file.")
@dry_run
@as_json
@click.pass_obj
def witness(workspace: Path, again: bool, dry_run: bool, as_json: bool) -> None:
    """Give the outside witness the checkpoints that it was not given yet, and tell what it has."""
    from trunkline import workspace as workspaces

    with workspaces.open(workspace) as opened:
        found = opened.audit.witness(again=again, dry_run=dry_run)
    if as_json:
        print_json(found)
    elif not found.where:
        say("There is no outside witness: name a file on other storage, or a URL, in the setting 'witness'.")
    else:
        say(f"{found.where} was given the checkpoints of the first {found.size:,} entries; {found.waiting:,} checkpoints wait.")


@command.command("prove")
@click.argument("entry", type=int, required=False)
@click.option("--size", type=int, help="Prove it in the journal as it was with so many entries.")
@click.option("--since", type=int, help="Prove instead that the journal of so many entries is the beginning of this one.")
@as_json
@click.pass_obj
def prove(workspace: Path, entry: int | None, size: int | None, since: int | None, as_json: bool) -> None:
    """Prove that ENTRY is in the journal, or that nothing before --since was changed, to somebody who has no access to it."""
    from trunkline import workspace as workspaces

    if (entry is None) == (since is None):
        raise click.UsageError("Name an entry, or --since and a size.")
    with workspaces.open(workspace) as opened:
        proof = opened.audit.prove_since(since) if since is not None else opened.audit.prove(entry or 0, size=size)
    if as_json:
        print_json(proof)
    else:
        _tell(proof, None, ())
        say("Hand over the proof itself with --json; it is checked with: trunkline audit check-proof FILE")


@command.command("check-proof")
@click.argument("file", type=_file)
@click.option("--key", type=_file, help="The public key as known from elsewhere, PEM; default: the one in the proof.")
@click.option("--witness", type=_file, help="A file of checkpoints kept elsewhere, which must agree.")
@as_json
def check_proof(file: Path, key: Path | None, witness: Path | None, as_json: bool) -> None:
    """Check what `audit prove --json` printed into FILE; no workspace is needed."""
    import json

    from trunkline.core.errors import BadFile
    from trunkline.store.keys import PublicKey
    from trunkline.store.witness import read

    try:
        proof = json.loads(file.read_bytes())
    except ValueError as broken:
        raise BadFile("This is no proof: it is no JSON.", path=file, allowed="what `trunkline audit prove … --json` printed") from broken
    known = PublicKey(key.read_bytes()) if key else None
    kept = read(witness) if witness else []
    if as_json:
        from trunkline.store.proof import check

        found = check(proof, key=known, kept=kept)
        ok = found.ok
        print_json({"ok": ok, "what": found.what, "key": found.key, "is_own_key": found.is_own_key, "checkpoint": found.checkpoint.plain()})
    else:
        ok = _tell(proof, known, kept)
    if not ok:
        raise click.exceptions.Exit(1)


def _tell(proof: Any, key: PublicKey | None, kept: Iterable[Checkpoint]) -> bool:
    from trunkline.store.proof import check

    found = check(proof, key=key, kept=kept)
    say(found.what)
    if found.ok:
        say(f"Signed by key {found.key}" + (", which came with the proof: compare it with what you know." if found.is_own_key else "."))
    return found.ok


@command.command("list")
@click.option("--kind", help="Only entries of this kind, such as 'decision' or 'gates.verdict'.")
@click.option("--limit", type=click.IntRange(0, 1_000_000), default=20, show_default=True, help="The newest so many; 0 for all.")
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
        none = f"There is no entry of kind '{kind}': trunkline audit list shows the kinds." if kind else "The journal is empty."
        table(["entry", "at", "kind", "what"], [(e.seq, f"{e.at:%Y-%m-%d %H:%M:%S}", e.kind, _short(e.body)) for e in entries], empty=none)


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
