"""A release tries itself on a share of all entities, a larger one with each step, and goes back by itself when it is worse."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from trunkline.core.clock import duration
from trunkline.core.errors import BadInput
from trunkline.rollout.stop import Worse


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """First in shadow, then live for a share of all entities, step by step, at last for all.

    Parameters
    ----------
    by
        What is shared out: the entity of the workflow's features, such as "cell". All rows of one are decided by one release.
    shadow
        How long it sees everything and answers nothing first.
    steps
        Shares of all entities, growing, the last 1.0: then it is live. Who is in a share is in every larger one.
    stop_if
        When it goes back by itself; None leaves that to people.

    Raises
    ------
    BadInput
        Steps that do not grow, or do not end with 1.0.

    >>> plan = Canary(by="cell", steps=(0.01, 0.1, 1.0), stop_if=Worse("drop_rate", by=0.05))
    >>> plan.shares
    (0.01, 0.1)
    """

    by: str = "cell"
    shadow: str = "7d"
    steps: tuple[float, ...] = (0.01, 0.1, 1.0)
    stop_if: Worse | None = None

    def __post_init__(self) -> None:
        duration(self.shadow)
        steps = tuple(self.steps)
        if not steps or steps[-1] != 1.0 or any(not 0 < one < other for one, other in pairwise(steps)):
            raise BadInput(
                f"The steps of the canary are {self.steps!r}.",
                where="Canary.steps",
                allowed="growing shares above 0 that end with 1.0, such as (0.01, 0.1, 1.0)",
            )
        if self.stop_if is not None and not isinstance(self.stop_if, Worse):
            raise BadInput(f"The rule to stop at is {self.stop_if!r}.", where="Canary.stop_if", allowed="Worse('drop_rate', by=0.05)")

    @property
    def of(self) -> str:
        """How long the shadow lasts."""
        return self.shadow

    @property
    def shares(self) -> tuple[float, ...]:
        """The shares of the steps before it is live."""
        return tuple(self.steps[:-1])
