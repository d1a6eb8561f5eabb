"""One release deciding in one mode, with all that belongs to it: model, level, decide state, open findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.clock import duration
from trunkline.core.values import Decision, Reason
from trunkline.decisions.guardrail import EPOCH, State
from trunkline.models import Fitted
from trunkline.models.rows import segments
from trunkline.run.deciding import Decided, Finding, Mode, decide
from trunkline.workflow import Workflow

LaneMode = Literal["live", "canary", "shadow"]
CANNOT = "safe default"
"""How rows are counted for which the workflow could not judge at all."""
MICROSECOND = timedelta(microseconds=1)


@dataclass(slots=True, kw_only=True)
class Lane:
    """One release at work; a canary's decisions are live decisions of its entities."""

    workflow: Workflow
    release: str
    mode: LaneMode
    level: float
    fitted: Fitted | None
    why_not: str = ""
    """Why it cannot judge, where it has no model."""
    state: State = field(default_factory=State)
    going: dict[str, Finding] = field(default_factory=dict)
    unable_since: datetime | None = None

    @property
    def lookback(self) -> timedelta:
        """How much of each entity's past it reads before a row."""
        return timedelta() if self.fitted is None else self.fitted.lookback

    @property
    def remembered(self) -> list[str]:
        """The entities it remembers something about."""
        return [*self.state.episodes, *(set(self.going) - set(self.state.episodes))]

    def plain(self) -> dict[str, Any]:
        """What it remembers, as plain values."""
        going = {target: [one.decision.id, one.until.isoformat()] for target, one in self.going.items()}
        return {"state": self.state.plain(), "going": going, "unable_since": self.unable_since}

    def recall(self, told: Mapping[str, Any] | None) -> None:
        """Take over what :meth:`plain` told, of this lane or of the one before it."""
        if told is None:
            return
        self.state = State.from_plain(told["state"])
        self.going = {
            target: Finding(Decision("", target=target, confidence=0.0, id=id_), datetime.fromisoformat(until))
            for target, (id_, until) in told.get("going", {}).items()
        }
        since = told.get("unable_since")
        self.unable_since = None if since is None else datetime.fromisoformat(since)

    def give(self, entity: str, other: Lane) -> None:
        """Hand *entity* over to *other*, with its open episode: from now on that one decides for it."""
        episode, finding = self.state.episodes.pop(entity, None), self.going.pop(entity, None)
        if episode is not None:
            other.state.episodes[entity] = episode
        if finding is not None:
            other.going[entity] = finding


def judge(lane: Lane, together: pl.DataFrame, fresh: pl.Series) -> tuple[Decided, npt.NDArray[np.float64]]:
    """What *lane* decides about the *fresh* ones of these rows, the others being their past; and the scores of all.

    Where its model is gone or fails, nothing is decided: the rows are counted under "safe default", and ``lane.why_not``
    says why.
    """
    scores = scored(lane, together)
    rows = together if fresh.all() else together.filter(fresh)
    if scores is None:
        cannot(lane, done := Decided(), rows)
        return done, np.full(together.height, np.nan)
    lane.unable_since, lane.why_not = None, ""
    mode: Mode = "shadow" if lane.mode == "shadow" else "live"
    done = decide(
        lane.workflow,
        rows,
        scores[fresh.to_numpy()],
        level=lambda _at: lane.level,
        state=lane.state,
        mode=mode,
        release=lane.release,
        explain=explainer(cast("Fitted", lane.fitted), together),
        going=lane.going,
    )
    forget(lane, cast("datetime | None", rows["at"].max()))
    return done, scores


def cannot(lane: Lane, done: Decided, rows: pl.DataFrame) -> None:
    """Count *rows* that could not be judged, and remember since when that is so."""
    done.counts[CANNOT] += rows.height
    lane.unable_since = lane.unable_since or cast("datetime | None", rows["known_at"].min())


def scored(lane: Lane, together: pl.DataFrame) -> npt.NDArray[np.float64] | None:
    """The scores of these rows; None where the model is gone or fails, and ``lane.why_not`` says why."""
    if lane.fitted is None:
        return None
    try:
        scores = lane.fitted.score(together)
    except Exception as failed:  # noqa: BLE001 - a model is foreign code: whatever it raises, the workflow cannot judge
        lane.why_not = f"its model fails: {type(failed).__name__}: {str(failed).splitlines()[0] if str(failed) else ''}"
        return None
    return np.asarray(scores, np.float64)


def forget(lane: Lane, at: datetime | None) -> None:
    """Drop open findings whose episode is over: what comes next is another one."""
    if at is not None:
        hold = duration(lane.workflow.guardrail.hold_off)
        for target in [target for target, one in lane.going.items() if at - one.until >= hold]:
            del lane.going[target]


def tail(rows: pl.DataFrame, lookback: timedelta) -> pl.DataFrame:
    """The newest *rows*, as far as *lookback* reaches."""
    newest: Any = rows["at"].max()
    return rows if newest is None else rows.filter(pl.col("at") > newest - lookback - timedelta(microseconds=1))


def explainer(fitted: Fitted, rows: pl.DataFrame) -> Callable[[str, datetime], tuple[Reason, ...]]:
    """Why an entity's row scores as it does, in the words of the model; *rows* as it was given them, each entity in one piece."""
    pieces: dict[str, tuple[int, npt.NDArray[np.int64]]] = {}

    def explain(entity: str, at: datetime) -> tuple[Reason, ...]:
        if not pieces:  # found once for all findings of a batch
            times = _microseconds(rows)
            pieces.update({part.entity: (part.start, times[part.start : part.stop]) for part in segments(rows)})
        start, own = pieces[entity]
        known = int(np.searchsorted(own, (at - EPOCH) // MICROSECOND, side="right"))
        return fitted.explain(rows[start : start + known], known - 1)

    return explain


def rows_of(findings: list[Finding], fresh: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """The row each decision was taken on, by decision."""
    if not findings:
        return {}
    place = {key: i for i, key in enumerate(zip(fresh["entity"].to_list(), _microseconds(fresh).tolist(), strict=True))}
    return {one.decision.id: fresh.row(place[one.entity, (one.at - EPOCH) // MICROSECOND], named=True) for one in findings}


def _microseconds(rows: pl.DataFrame) -> npt.NDArray[np.int64]:
    """``at`` since 1970; a frame is asked for it once, because each question costs a frame of any height a millisecond."""
    return rows["at"].to_numpy().astype("datetime64[us]").view(np.int64)
