"""The end of a table's log, and what a power cut can do to it.

Delta commits without asking the disk to keep it (it is made for object stores), so files and log are synced after each
commit, and only then is the append acknowledged. A note beside the tables, ``.synced/<table>``, says up to which version
this was done. What lies after it may be torn: a log entry that is empty, cut or missing, a data file that is missing or
cut. Nothing of it was acknowledged, so a torn end is taken off, and its rows come again from the intake.

What is damaged *before* the note did rest safely once: that is no torn end, it is reported and never taken off.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl

from trunkline.store.blobs import sync_folder

LOG = "_delta_log"
SYNCED = ".synced"
TORN = ".torn"
"""Where log entries that were taken off are kept, for who wants to look at them."""

_ENTRY = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(?:\.[\w.-]+)?\.parquet")
_FARTHEST = 50
"""Versions looked at where there is no note: a checkpoint closes the log this often."""


@dataclass(frozen=True, slots=True)
class TornEnd:
    """The end of a table's log that a power cut tore.

    Parameters
    ----------
    table
        The table's folder.
    since
        The first version that is torn; it and all later ones are to be taken off.
    why
        What is wrong with it.
    """

    table: Path
    since: int
    why: str


def versions(table: Path) -> list[int]:
    """The versions that have a log entry, in order; an entry may be torn."""
    return sorted(int(found[1]) for path in (table / LOG).glob("*.json") if (found := _ENTRY.fullmatch(path.name)))


def checkpoints(table: Path) -> dict[int, list[Path]]:
    """The files of each checkpoint of the log, by version."""
    found: dict[int, list[Path]] = {}
    for path in (table / LOG).glob("*.checkpoint*.parquet"):
        if match := _CHECKPOINT.fullmatch(path.name):
            found.setdefault(int(match[1]), []).append(path)
    return found


def has_log(table: Path) -> bool:
    """Whether anything was ever committed to *table*: the folder alone means a first commit that a power cut took."""
    return bool(versions(table) or checkpoints(table))


def synced(table: Path) -> int:
    """Up to which version *table* is known to be on the disk; -1 where nothing is known."""
    try:
        return int((table.parent / SYNCED / table.name).read_text())
    except (OSError, ValueError):
        return -1


def noted(lake: Path) -> list[str]:
    """The tables of which something was synced."""
    return sorted(path.name for path in (lake / SYNCED).glob("[!.]*"))


def shortened(table: Path) -> str:
    """What is missing at the end of *table* although it was on the disk once; empty where nothing is."""
    newest, known = max([*versions(table), *checkpoints(table)], default=-1), synced(table)
    if newest >= known:
        return ""
    return "the whole table is gone" if newest < 0 else f"its log ends at version {newest}, and version {known} had been written"


def sync(table: Path, newest: int) -> None:
    """Put on the disk what was committed up to version *newest*, then note it."""
    known = max(synced(table), newest - _FARTHEST)
    if known >= newest:
        return
    log, there = table / LOG, checkpoints(table)
    names: set[Path] = set()
    for version in range(known + 1, newest + 1):
        names.update(there.get(version, ()))
        entry = log / f"{version:020}.json"
        if entry.exists():  # an entry before a checkpoint may have been cleaned away
            names.add(entry)
            names.update(table / unquote(action["add"]["path"]) for action in _actions(entry) if "add" in action)
    names.update(path for path in [log / "_last_checkpoint"] if path.exists())
    for path in names:
        sync_file(path)
    for parent in {path.parent for path in names} | {log, table, table.parent}:
        sync_folder(parent)
    note(table, newest)


def note(table: Path, version: int) -> None:
    """Remember that *table* is on the disk up to *version*.

    The note is not synced itself: one that a power cut took away only makes the next opening look closer.
    """
    path = table.parent / SYNCED / table.name
    path.parent.mkdir(exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(str(version))
    beside.replace(path)


def torn_end(table: Path) -> TornEnd | None:
    """What a power cut tore off *table*, if anything; only what was never acknowledged is looked at."""
    if not (table / LOG).is_dir():
        return None
    entries, there, known = versions(table), checkpoints(table), synced(table)
    newest = max([*entries, *there], default=-1)
    if newest <= known:
        return None
    readable = [version for version, files in there.items() if all(_is_whole(path) for path in files)]
    for version in range(max(known + 1, newest - _FARTHEST), newest + 1):
        if version in entries:
            why = _fault_of_entry(table, version)
        elif any(version <= one for one in readable):
            continue  # cleaned away: the checkpoint holds it
        else:
            why = f"log entry {version} is missing"
        if why:
            return TornEnd(table, version, why)
        if version in there and version not in readable:
            return TornEnd(table, version + 1, f"the checkpoint of version {version} is cut")
    if not _last_checkpoint_is_right(table, there):
        return TornEnd(table, newest + 1, "the note of the last checkpoint is torn")
    return None


def take_off(torn: TornEnd) -> int:
    """Take a torn end off its table; the newest version that remains, -1 where none does."""
    table, log = torn.table, torn.table / LOG
    kept = table.parent / TORN
    kept.mkdir(exist_ok=True)
    for version in versions(table):
        if version >= torn.since:
            entry = log / f"{version:020}.json"
            entry.replace(kept / f"{table.name}-{entry.name}")
    for version, files in checkpoints(table).items():
        for path in files:
            if version >= torn.since or not _is_whole(path):
                path.unlink()
    remaining = max([*versions(table), *checkpoints(table)], default=-1)
    (log / "_last_checkpoint").unlink(missing_ok=True)  # a reader finds checkpoints by their names
    if remaining < 0:
        for path in log.iterdir():
            path.unlink()
    note(table, min(synced(table), remaining))
    for folder in (log, table, kept, table.parent):
        sync_folder(folder)
    return remaining


def forget_before(table: Path, newest: int) -> None:
    """Drop the log entries that the checkpoint of version *newest* made needless: they name smallest and largest values of rows that are gone."""
    log = table / LOG
    if newest in checkpoints(table):
        for version in versions(table):
            if version < newest:
                (log / f"{version:020}.json").unlink()
        for version, files in checkpoints(table).items():
            for path in files if version < newest else ():
                path.unlink()
        sync_folder(log)


def _last_checkpoint_is_right(table: Path, there: dict[int, list[Path]]) -> bool:
    path = table / LOG / "_last_checkpoint"
    if not path.exists():
        return True
    try:
        return int(json.loads(path.read_bytes())["version"]) in there
    except (ValueError, KeyError, TypeError):
        return False


def _fault_of_entry(table: Path, version: int) -> str:
    try:
        actions = list(_actions(table / LOG / f"{version:020}.json"))
    except (ValueError, OSError):
        return f"log entry {version} is cut"
    if not actions:
        return f"log entry {version} is empty"
    for action in actions:
        if "add" in action:
            path = table / unquote(action["add"]["path"])
            if not path.is_file() and _is_taken_out_later(table, version, action["add"]["path"]):
                continue
            if not path.is_file():
                return f"the file {path.name} of version {version} is missing"
            if path.stat().st_size != action["add"]["size"] or rows_in(path) is None:
                return f"the file {path.name} of version {version} is cut"
    return ""


def _is_taken_out_later(table: Path, version: int, name: str) -> bool:
    for later in versions(table):
        if later > version:
            try:
                if any(action.get("remove", {}).get("path") == name for action in _actions(table / LOG / f"{later:020}.json")):
                    return True
            except (ValueError, OSError):
                return False
    return False


def _actions(entry: Path) -> Iterator[dict[str, Any]]:
    for line in entry.read_bytes().splitlines():
        action = json.loads(line)
        if not isinstance(action, dict):
            raise ValueError(entry.name)  # noqa: TRY004 - to the caller it is one more entry that cannot be read
        yield action


def _is_whole(path: Path) -> bool:
    return rows_in(path) is not None


def rows_in(path: Path) -> int | None:
    """How many rows the Parquet file at *path* gives; None where it cannot be read to its end."""
    try:
        return int(pl.read_parquet(path).height)
    except BaseException as broken:  # a damaged page makes Polars panic, which is no Exception
        if isinstance(broken, KeyboardInterrupt | SystemExit):
            raise
        return None


def sync_file(path: Path) -> None:
    """Put the file at *path* on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
