"""The side that answers: the live release and the canary beside it, every entity being decided by exactly one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.canonical import content_hash
from trunkline.core.values import Decision, Reason
from trunkline.rollout.split import in_share
from trunkline.run.deciding import Decided, Finding, decide
from trunkline.run.lane import CANNOT, Lane, cannot, explainer, forget, scored

NOTHING = "no decision"
"""The safe default that does nothing."""


@dataclass(slots=True, kw_only=True)
class Serving:
    """Who decides for whom."""

    live: Lane
    canary: Lane | None = None
    share: float = 0.0
    salt: str = ""
    _placed: dict[str, bool] = field(default_factory=dict)

    @property
    def lanes(self) -> list[Lane]:
        """The lanes there are."""
        return [self.live] if self.canary is None else [self.live, self.canary]

    def lane_of(self, entity: str) -> Lane:
        """Who decides for *entity*: a matter of its name, the share and the salt alone."""
        if self.canary is None:
            return self.live
        if entity not in self._placed:
            self._placed[entity] = in_share(entity, self.share, self.salt)
        return self.canary if self._placed[entity] else self.live

    def hand_over(self) -> None:
        """Open episodes go where their entity is decided now."""
        for lane in self.lanes:
            for entity in lane.remembered:
                other = self.lane_of(entity)
                if other is not lane:
                    lane.give(entity, other)
        self._share_the_budget()

    def judge(self, rows: Mapping[str, pl.DataFrame], since: datetime) -> list[Part]:
        """What each lane decides about the rows of its entities due after *since*, slot by slot, so that they share one budget per shift.

        *rows* holds for each definition, by its hash, the new rows and their past.
        """
        parts = [self._part(lane, rows[lane.workflow.hash], since) for lane in self.lanes if lane.workflow.hash in rows]
        for at in sorted({at for part in parts for at in part.slots}):
            for part in parts:
                part.judge(at)
                self._share_the_budget()
        for part in parts:
            forget(part.lane, part.newest)
        return parts

    def _part(self, lane: Lane, together: pl.DataFrame, since: datetime) -> Part:
        if self.canary is not None:
            names = together["entity"].unique()
            mine = names.filter(pl.Series([self.lane_of(name) is lane for name in names], dtype=pl.Boolean))
            together = together.filter(pl.col("entity").is_in(mine.implode()))
        return Part(lane=lane, together=together, fresh=together["known_at"] > since)

    def _share_the_budget(self) -> None:
        """People have one shift: what the canary gives out is no more for the live release to give, and the other way round."""
        shift, given_out = max((lane.state.shift, lane.state.given_out) for lane in self.lanes)
        for lane in self.lanes:
            lane.state.shift, lane.state.given_out = shift, given_out


@dataclass(slots=True, kw_only=True)
class Part:
    """The rows of one lane's entities, and what it decided about them."""

    lane: Lane
    together: pl.DataFrame
    fresh: pl.Series
    done: Decided = field(default_factory=Decided)
    newest: datetime | None = None
    _scores: npt.NDArray[np.float64] | None = field(init=False)

    def __post_init__(self) -> None:
        self._scores = scored(self.lane, self.together)

    @property
    def slots(self) -> list[datetime]:
        """The slots to decide."""
        return self.together.filter(self.fresh)["at"].unique().to_list()

    def judge(self, at: datetime) -> None:
        """Decide one slot."""
        now = self.fresh & (self.together["at"] == at)
        rows = self.together.filter(now)
        if rows.is_empty():
            return
        self.newest = at
        if self._scores is None:
            cannot(self.lane, self.done, rows)
            return
        self.lane.unable_since, self.lane.why_not = None, ""
        assert self.lane.fitted is not None
        self.done += decide(
            self.lane.workflow,
            rows,
            self._scores[now.to_numpy()],
            level=lambda _at: self.lane.level,
            state=self.lane.state,
            mode="live",
            release=self.lane.release,
            explain=explainer(self.lane.fitted, self.together),
            going=self.lane.going,
        )


def safe_default(lane: Lane, done: Decided) -> Finding | None:
    """What the workflow said should happen when it cannot judge, as a decision about itself; None where that is nothing.

    One for each time it is unable, however long that lasts.
    """
    workflow = lane.workflow
    if not done.counts[CANNOT] or workflow.safe_default == NOTHING or lane.unable_since is None:
        return None
    identity: dict[str, Any] = {"workflow": workflow.name, "release": lane.release, "unable since": lane.unable_since, "action": workflow.safe_default}
    one = Decision(
        workflow.safe_default,
        target=workflow.name,
        confidence=0.0,
        reasons=(Reason(column="", text=f"{workflow.name} cannot judge: {lane.why_not}", weight=1.0),),
        id=content_hash(identity)[:16],
        workflow=workflow.name,
        release=lane.release,
        at=lane.unable_since,
        known_at=lane.unable_since,
        mode="live",
    )
    return Finding(one, lane.unable_since)
