"""Put a decision in front of people: an item in a team's queue that expires if nobody takes it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from trunkline.core.clock import duration
from trunkline.core.errors import WorkflowError
from trunkline.core.values import Decision, Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Propose:
    """Propose the decision to team *to*; it expires after *expires*.

    >>> from datetime import UTC
    >>> at = datetime(2026, 11, 20, 8, tzinfo=UTC)
    >>> receipt = Propose(to="noc", expires="30m").act(Decision("reset_cell", target="c1", confidence=0.99, id="d1"), at=at)
    >>> receipt.state, receipt.detail["expires_at"].isoformat()
    ('proposed', '2026-11-20T08:30:00+00:00')
    """

    to: str
    expires: str = "8h"

    reversible = True
    """An item in a queue can always be taken back: the way back that a workflow has to have."""

    def __post_init__(self) -> None:
        if not self.to:
            raise WorkflowError("A proposal needs somebody to propose to.", where="act", allowed="act=actions.Propose(to='noc', expires='30m')")
        duration(self.expires)

    def act(self, decision: Decision, *, at: datetime, dry_run: bool = False) -> Receipt:
        """Propose *decision*; a dry run says what would be proposed and to whom."""
        detail = {"to": self.to, "expires_at": at + duration(self.expires)}
        return Receipt(decision=decision.id, action="propose", state="dry-run" if dry_run else "proposed", at=at, undo={"withdraw": decision.id}, detail=detail)
