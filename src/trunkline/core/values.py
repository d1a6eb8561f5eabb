"""The values that travel: each is made from the one before and carries its parent's id.

    Record ─► Row ─► score ─► Decision ─► Receipt ─► Outcome

Columns carry Records, Rows and scores (see :mod:`trunkline.core.frames`); from the Decision on,
where one thing is decided, they are objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Control = Literal["advise", "approve", "auto"]
"""How far a workflow may go alone: say so, ask first, act."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who answers for a workflow: the team, its on-call route, and the runbook they work by."""

    team: str
    oncall: str
    runbook: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeTarget:
    """The operational KPI a workflow is there to move, from where, and by how much."""

    kpi: str
    baseline: str
    at_least: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a score is what it is, in the words of the trade.

    Parameters
    ----------
    column
        The feature it speaks of.
    text
        One clause: "downlink volume 71 % below its usual Tuesday 14:00".
    weight
        Its share of the score; reasons are ordered by it, the largest first.
    value, usual
        The numbers behind the text, None where there is none.
    """

    column: str
    text: str
    weight: float
    value: float | None = None
    usual: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What a workflow says should be done about one target.

    A workflow's ``decide`` gives action, target, confidence and because (columns of the row, the
    most telling first); the step that records it fills in the rest.
    """

    action: str
    target: str = field(kw_only=True)
    confidence: float = field(kw_only=True)
    because: tuple[str, ...] = field(default=(), kw_only=True)
    detail: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    reasons: tuple[Reason, ...] = field(default=(), kw_only=True)
    id: str = field(default="", kw_only=True)
    workflow: str = field(default="", kw_only=True)
    release: str = field(default="", kw_only=True)
    at: datetime | None = field(default=None, kw_only=True)
    known_at: datetime | None = field(default=None, kw_only=True)
    mode: Literal["live", "shadow", "replay"] = field(default="live", kw_only=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What an action did about a decision, and how to take it back."""

    decision: str
    action: str
    state: Literal["proposed", "done", "undone", "failed", "dry-run"]
    at: datetime
    undo: Mapping[str, Any] = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a decision turned out.

    >>> Outcome.target("hours_of_lost_traffic", baseline="last 8 weeks", at_least="-50 %").kpi
    'hours_of_lost_traffic'
    """

    decision: str
    verdict: Literal["confirmed", "wrong", "unknown"]
    at: datetime
    by: str
    note: str = ""

    @staticmethod
    def target(kpi: str, *, baseline: str, at_least: str) -> OutcomeTarget:
        """The KPI a workflow is there to move: which, from where, by how much."""
        return OutcomeTarget(kpi=kpi, baseline=baseline, at_least=at_least)


def rarity(confidence: float) -> str:
    """A confidence as people say it: beyond 99 % as how rarely it comes by itself.

    >>> rarity(0.73), rarity(0.9995), rarity(1.0)
    ('0.73', '1 in 2,000', '1 in over a billion')
    """
    if confidence < 0.99:
        return f"{confidence:.2f}"
    left = 1.0 - confidence
    return "1 in over a billion" if left < 1e-9 else f"1 in {float(f'{1 / left:.2g}'):,.0f}"


class Row(Mapping[str, Any]):
    """One row of a feature frame, read by name without copying the frame.

    The entity is also found under its own word (``row["cell"]``).
    """

    __slots__ = ("_columns", "_entity", "_index")

    def __init__(self, columns: Mapping[str, Any], index: int, *, entity: str = "entity") -> None:
        self._columns, self._index, self._entity = columns, index, entity

    def __getitem__(self, name: str) -> Any:
        return self._columns["entity" if name == self._entity else name][self._index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        return f"Row({dict(self)!r})"
