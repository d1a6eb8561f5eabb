"""Replay and train over a workspace: all at once where that fits into memory, else a partition of elements at a time.

Nobody has to choose. A workspace is large from :data:`LARGE` measurements on; where the workflow's model, or one of the
contenders, has to see all elements at once, or a feature looks at all of them, it is still worked on at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from trunkline.features.around import looks_at_all
from trunkline.run import fleet_replay, fleet_train
from trunkline.run.fleet import fits_by_element
from trunkline.run.gather import Gathered, gather
from trunkline.run.replay import Replay, replay
from trunkline.run.spread import Spread, spread
from trunkline.run.train import Candidate, train
from trunkline.store.opened import Store
from trunkline.workflow import Workflow

LARGE = 2_000_000
"""Measurements from which on a workspace is worked on in partitions: at once, each takes some 700 bytes of memory."""
Progress = Callable[[str, float], None]
Found = Gathered | Spread


def is_large(
    store: Store, workflow: Workflow, contenders: Mapping[str, Any] | None = None, versions: Mapping[str, int] | None = None, *, limit: int = LARGE
) -> bool:
    """Whether what *workflow* looks at is worked on in partitions."""
    version = store.lake.version("measurements") if versions is None else versions["measurements"]
    assert workflow.features is not None
    may = fits_by_element(workflow.model, *(contenders or {}).values()) and not hasattr(workflow.model, "hindsight")
    return may and not looks_at_all(workflow.features) and store.lake.height("measurements", version) >= limit


def gathered(
    store: Store,
    workflow: Workflow,
    *,
    every: timedelta | None = None,
    rename: Mapping[str, str] | None = None,
    until: datetime | None = None,
    versions: Mapping[str, int] | None = None,
    contenders: Mapping[str, Any] | None = None,
    partition: int | None = None,
    progress: Progress | None = None,
) -> Found:
    """What *workflow* works on, in memory or spread over files; see :func:`trunkline.run.gather.gather`.

    Parameters
    ----------
    contenders
        Other models that are to be trained on it.
    partition
        In partitions of so many elements, as an earlier training did; 0 all at once. By itself where None.
    """
    if partition or (partition is None and is_large(store, workflow, contenders, versions)):
        return spread(store, workflow, every=every, rename=rename, until=until, versions=versions, partition=partition, progress=progress)
    return gather(store, workflow, every=every, rename=rename, until=until, versions=versions)


def replayed(found: Found, **asked: Any) -> Replay:
    """:func:`trunkline.run.replay.replay` over what was gathered; *asked* is what that takes."""
    if isinstance(found, Spread):
        return fleet_replay.replay(found.fleet, **asked)
    return replay(found.workflow, found.facts, context=found.context, **asked)


def trained(found: Found, **asked: Any) -> Candidate:
    """:func:`trunkline.run.train.train` on what was gathered; *asked* is what that takes."""
    if isinstance(found, Spread):
        return fleet_train.train(found.fleet, **asked)
    return train(found.workflow, found.facts, context=found.context, **asked)


__all__ = ["LARGE", "gathered", "is_large", "replayed", "trained"]
