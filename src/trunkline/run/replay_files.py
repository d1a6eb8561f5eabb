"""The front door: a workflow, somebody's own old files, and what it would have said about them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl

from trunkline.core import config
from trunkline.core.canonical import sha256
from trunkline.core.clock import Clock, duration, now
from trunkline.core.errors import BadFile, BadInput, TooLittleData
from trunkline.core.plain_file import open_plain
from trunkline.run import large, releases, replay_report, shipped
from trunkline.run.load import Loaded, Options, load, paths_of
from trunkline.run.replay import Replay
from trunkline.store.opened import is_workspace, open_store

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Replayed:
    """A replay of files, where its report lies, and the workspace that holds its journal."""

    replay: Replay
    report: Path
    workspace: Path


def replay_files(
    name: str | Path,
    files: Sequence[str | Path],
    *,
    out: str | Path = "trunkline-replay",
    options: Options | None = None,
    rename: Mapping[str, str] | None = None,
    every: str | None = None,
    start: datetime | None = None,
    truth: pl.DataFrame | None = None,
    self_test: bool = True,
    seed: int = 0,
    clock: Clock = now,
    flags: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Replayed:
    """Replay workflow *name* over *files* and write a report into *out*.

    The files are taken in by a workspace of their own inside *out*, named by their content: the same
    files give the same one, other files never mix with them. Zones that are not known are guessed as
    UTC and the report says so: nothing is acted on, so a guess may be tried and looked at.

    Raises
    ------
    TooLittleData
        There is too little to judge; what was read is said, and nothing is claimed.
    """
    out = Path(out)
    workflow = shipped.find(name)
    listed = [path for path in paths_of(files) if not path.resolve().is_relative_to(out.resolve())]
    chosen = replace(options or Options(), assume_zone=(options.assume_zone if options and options.assume_zone else "UTC"))
    told = progress or (lambda _step, _share: None)
    content = sha256("\n".join(sorted(_hash(p) for p in listed)).encode() + repr(chosen).encode())
    folder = out / f"workspace-{content[:12]}"
    store = open_store(folder, config.read(folder, flags=flags), clock=clock, create=not is_workspace(folder))
    try:
        loaded = load(store, listed, options=chosen, progress=told)
        _check_usable(loaded)
        found = large.gathered(store, workflow, every=None if every is None else duration(every), rename=rename, progress=told)
        try:
            result = large.replayed(
                found,
                start=start,
                truth=truth,
                self_test=self_test,
                emitted_after=duration(store.configuration.settings.delay),
                seed=seed,
                progress=told,
            )
        except TooLittleData as few:
            raise TooLittleData(
                f"{found.counters:,} counter{'s' * (found.counters != 1)} read. {few.what}", where=str(folder), allowed=few.allowed, next_step=few.next_step
            ) from None
        result = replace(result, notes=(*loaded.notes, *found.notes, *result.notes))
        releases.record_replay(store, result)
        page = replay_report.write(result, out, next_steps=_next_steps(name, listed), progress=told)
    finally:
        store.close()
    return Replayed(result, page, folder)


def _hash(path: Path) -> str:
    try:
        with open_plain(path) as file:
            found = hashlib.sha256()
            while part := file.read(2**20):
                found.update(part)
            return found.hexdigest()
    except OSError as unreadable:
        raise BadFile(f"The file cannot be read: {unreadable.strerror}.", path=path, allowed="a readable file") from unreadable


def _check_usable(loaded: Loaded) -> None:
    """Say why, where none of the files could be used."""
    refused = [one for one in loaded.files if one.state == "refused"]
    if refused and len(refused) == len(loaded.files):
        more = f"\n  And {len(refused) - 1} more of {len(loaded.files)} files." if len(refused) > 1 else ""
        raise BadInput(f"No file could be used.\n{refused[0].notes[0]}{more}")


def _next_steps(name: str | Path, files: Sequence[Path]) -> list[tuple[str, str]]:
    first = files[0].name if len(files) == 1 else "YOUR-FILES"
    return [
        ("Compare with the faults you know of: a CSV with element,start,end.", f"trunkline workflow replay {name} {first} --truth known.csv"),
        ("Say what was guessed instead of leaving it to be guessed: see the notes above.", f"trunkline data map {first} > map.toml"),
        (
            "Keep the data, train with gates, and let it run beside you.",
            f"trunkline workspace new && trunkline data load {first} && trunkline workflow train {name}",
        ),
    ]
