"""The files that define a workflow, kept with each release: going back brings back features, decide and limits, not the model alone.

What ships with Trunkline is not kept: it comes back with the version of Trunkline that a release names.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec

from trunkline.core.canonical import canonical
from trunkline.core.clock import duration_text
from trunkline.core.errors import NotAllowed, Tampered
from trunkline.core.source import is_foreign
from trunkline.run import shipped
from trunkline.run.standing import Standing
from trunkline.store.opened import Store
from trunkline.workflow import USER_MODULE, Workflow

FORMAT = 1


def keep(store: Store, workflow: Workflow) -> str:
    """Keep the files of a workflow that was loaded from one: the file, what of its folder it imported, and the runbook; the blob's id."""
    files = _files(workflow)
    return store.blobs.put(canonical({"format": FORMAT, "file": next(iter(files)), "files": files})) if files else ""


def _files(workflow: Workflow) -> dict[str, str]:
    module = getattr(workflow.decide, "__module__", "")
    written = next((m for m in list(sys.modules.values()) if getattr(m, "workflow", None) is not None and _holds(m, workflow)), None)
    main = sys.modules.get(module) if module.startswith(USER_MODULE) else written
    path = getattr(main, "__file__", None)
    if main is None or path is None or not main.__name__.startswith(USER_MODULE):
        return {}
    folder = Path(path).resolve().parent
    assert workflow.owner is not None
    found = {Path(path).name: Path(path).read_text(encoding="utf-8")}
    for other in list(sys.modules.values()):
        lies = getattr(other, "__file__", None)
        if lies and str(lies).endswith(".py") and not other.__name__.startswith(USER_MODULE) and not is_foreign(other):
            place = Path(lies).resolve()
            if place.is_relative_to(folder):
                found[place.relative_to(folder).as_posix()] = place.read_text(encoding="utf-8")
    runbook = Path(workflow.owner.runbook)
    if not runbook.is_absolute() and (folder / runbook).is_file():
        found[runbook.as_posix()] = (folder / runbook).read_text(encoding="utf-8")
    return found


def _holds(module: Any, workflow: Workflow) -> bool:
    found = module.workflow
    return isinstance(found, Workflow) and module.__name__.startswith(USER_MODULE) and found.hash == workflow.hash


_loaded: dict[str, Workflow] = {}
"""Definitions that were loaded, by blob and hash: what is kept under them cannot change."""
_loading = Lock()  # loading a file changes what Python has imported


def definition(store: Store, one: Standing) -> Workflow:
    """The workflow as it was when the release was trained: from its kept files, or the one that ships.

    Raises
    ------
    Tampered
        The kept files make another workflow than the release was trained for.
    NotAllowed
        Nothing was kept, and what ships today is another one.
    """
    key = f"{one.definition}:{one.body['hash']}"
    with _loading:
        if not one.definition or key not in _loaded:
            _loaded[key] = _definition(store, one)
        return _loaded[key]


def _definition(store: Store, one: Standing) -> Workflow:
    if not one.definition:
        found = shipped.find(one.workflow)
        if found.hash != one.body["hash"]:
            raise NotAllowed(
                f"Release {one.release} was trained for another definition of '{one.workflow}', which was not kept.",
                where=f"workflow hash {found.hash[:12]}, the release's {one.body['hash'][:12]}",
                next_step=f"Install the version it names: trunkline {one.body['versions'].get('trunkline', '')}",
            )
        return found
    told: Mapping[str, Any] = msgspec.json.decode(store.blobs.get(one.definition))
    folder = store.folder / "definitions" / one.definition[:16]
    for name, text in told["files"].items():
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise Tampered(f"The kept definition of release {one.release} names a file outside of its folder.", where=name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_bytes() != text.encode():
            path.write_bytes(text.encode())
    found = shipped.find(folder / told["file"])
    if found.hash != one.body["hash"]:
        raise Tampered(
            f"The kept definition of release {one.release} makes another workflow than it was trained for.",
            where=f"hash {found.hash[:12]}, the release's {one.body['hash'][:12]}",
        )
    return found


def terms(workflow: Workflow) -> dict[str, Any]:
    """What the workflow asks of those who run it."""
    assert workflow.owner is not None
    assert workflow.features is not None
    return {
        "team": workflow.owner.team,
        "oncall": workflow.owner.oncall,
        "review_every": workflow.review_every,
        "every": duration_text(workflow.features.every),
        "delay": duration_text(workflow.features.delay),
        "called": workflow.called,
    }
