"""The plainest ``decide``: say something when the score is at or above a level."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.core.values import Decision, Row


@dataclass(frozen=True, slots=True)
class Above:
    """Decide *action* on the row's entity when its score is at least *level*.

    >>> from trunkline.core.values import Row
    >>> row = Row({"entity": ["c1"], "prb": [0.9]}, 0)
    >>> Above(0.99, action="investigate")(row, 0.995).target
    'c1'
    >>> Above(0.99, action="investigate")(row, 0.5) is None
    True
    """

    level: float
    action: str = "investigate"

    def __call__(self, row: Row, score: float) -> Decision | None:
        """The decision for one row, or None."""
        if not score >= self.level:  # also refuses NaN: cannot judge is not a finding
            return None
        return Decision(self.action, target=row["entity"], confidence=score)
