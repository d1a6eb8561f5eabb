"""Exact reasons of a decision, reckoned after the answer when a person asks: the row and the release it was taken by rest with it."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from trunkline.core.errors import NotAllowed
from trunkline.models.protocol import ExactlyExplained
from trunkline.run import releases
from trunkline.run.queue import Recorded
from trunkline.store import catalogue
from trunkline.store.opened import Store


def exactly(store: Store, decision: Recorded) -> Recorded:
    """*decision* with the exact Shapley value of each feature as its reasons, the share of each beside it.

    Raises
    ------
    NotAllowed
        It was a replay without a release, its release is gone, or the model has no exact reasons.
    """
    found = catalogue.rows(store.engine, catalogue.releases, catalogue.releases.c.id == decision.release) if decision.release else []
    if not found:
        raise NotAllowed(
            f"Decision {decision.id} was taken by no release that is kept.",
            where="decision show --exact",
            allowed="decisions of a release",
            next_step=f"trunkline decision show {decision.id}",
        )
    fitted = releases.fitted(store, found[0])
    if not isinstance(fitted, ExactlyExplained):
        raise NotAllowed(
            f"The model of release {decision.release} has no exact reasons beside those it gave.",
            where="decision show --exact",
            allowed="boosted trees",
            next_step=f"trunkline decision show {decision.id}",
        )
    row = {name: decision.row.get(name) for name in fitted.columns}
    frame = pl.DataFrame({name: [None if value is None else float(value)] for name, value in row.items()}, schema=dict.fromkeys(row, pl.Float64))
    reasons = tuple(f"{one.text} ({abs(one.weight):.0%})".replace("%)", " %)") for one in fitted.exact(frame, 0))
    return replace(decision, reasons=reasons)
