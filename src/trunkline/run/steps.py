"""One step of one deployed workflow, whoever asks for it: at most one at a time in this process.

The only place that lets a workflow decide outside of a demonstration or a replay. A service keeps its workflows at work
between steps (:func:`keep`), so that their features need not be built up again; a command that asks for a step of one of
them is given that very one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from trunkline.core.trace import span
from trunkline.run import releases
from trunkline.run.at_work import AtWork, Worked
from trunkline.run.work import work
from trunkline.store.opened import Store
from trunkline.workflow import Workflow

Progress = Callable[[str, float], None]


@dataclass(slots=True)
class _Turn:
    """One workflow of one workspace: who has its turn, and what is kept of it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    at_work: AtWork | None = None
    made_of: tuple[str, Mapping[str, str]] = ("", {})

    def let_go(self) -> None:
        at_work, self.at_work = self.at_work, None
        if at_work is not None:
            at_work.close()


_turns: dict[tuple[str, str], _Turn] = {}
_keeping: set[str] = set()
_at_hand = threading.Lock()


def keep(store: Store) -> None:
    """From now on what steps stays at work, until :func:`let_all_go`."""
    with _at_hand:
        _keeping.add(_where(store))


def let_all_go(store: Store) -> None:
    """Let everything go that was kept; what is at it yet is as good as killed: nothing is lost."""
    with _at_hand:
        _keeping.discard(_where(store))
        mine = [turn for (of, _), turn in _turns.items() if of == _where(store)]
    for turn in mine:
        if turn.lock.acquire(blocking=False):
            try:
                turn.let_go()
            finally:
                turn.lock.release()


def step(
    store: Store, workflow: Workflow, *, rename: Mapping[str, str] | None = None, progress: Progress | None = None, with_shadow: bool = True
) -> list[Worked]:
    """Let what is deployed of *workflow* decide on all that came since the last time.

    Parameters
    ----------
    rename
        What the workflow's KPIs are called in the files; default: as said when it was trained.
    with_shadow
        Wait for what a release in shadow says, too.
    """
    named = renames(store, workflow.name) if rename is None else rename
    with _at_hand:
        turn = _turns.setdefault((_where(store), workflow.name), _Turn())
    with turn.lock, span("step", workflow=workflow.name):
        if _where(store) not in _keeping:
            turn.let_go()
            return work(store, workflow, rename=named, progress=progress)
        if turn.made_of != (workflow.hash, named):
            turn.let_go()
        if turn.at_work is None:
            turn.at_work, turn.made_of = AtWork.open(store, workflow, rename=named), (workflow.hash, named)
        done = turn.at_work.step(progress=progress)
        return [*(one for one in done if one.mode != "shadow"), *turn.at_work.drain()] if with_shadow else done


def let_go(store: Store, workflow: str) -> None:
    """*workflow* is no longer deployed."""
    with _at_hand:
        turn = _turns.pop((_where(store), workflow), None)
    if turn is not None:
        with turn.lock:
            turn.let_go()


def renames(store: Store, workflow: str) -> Mapping[str, str]:
    """What the KPIs of *workflow* are called in the files, as said when what is deployed was trained."""
    for state in ("live", "canary", "shadow"):
        row = releases.in_state(store, workflow, state)
        if row is not None:
            return dict(row["card"].get("rename") or {})
    return {}


def _where(store: Store) -> str:
    return str(store.folder.resolve())
