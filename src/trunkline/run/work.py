"""Let what is deployed decide on what is new, once: the live release, its canary, and beside them the one in shadow."""

from __future__ import annotations

from collections.abc import Mapping

from trunkline.run.at_work import AtWork, Progress, Worked
from trunkline.run.deliver import deliver
from trunkline.store.database import afterwards
from trunkline.store.opened import Store
from trunkline.workflow import Workflow

__all__ = ["AtWork", "Progress", "Worked", "work"]


def work(store: Store, workflow: Workflow, *, rename: Mapping[str, str] | None = None, progress: Progress | None = None) -> list[Worked]:
    """Decide every slot completed since the last time; live decisions go into the queue, those of a shadow only into the books.

    A run that was cut short and starts again records nothing twice and leaves nothing out.

    Raises
    ------
    NotAllowed
        Nothing is deployed, or what is was trained for another definition of the workflow.
    """
    with AtWork.open(store, workflow, rename=rename) as at_work:
        live = [one for one in at_work.step(progress=progress) if one.mode != "shadow"]
        shadow = at_work.drain()
    afterwards(store.engine, lambda: deliver(store))
    return [*live, *shadow]
