"""Where the verdict on a decision comes from, and what counts as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from trunkline.core.clock import duration
from trunkline.core.errors import WorkflowError

Verdict = Literal["confirmed", "wrong", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueOutcome:
    """The person who works the item says how it turned out, within a time after which it is unknown.

    >>> QueueOutcome(within="3d").verdict("approved")
    'unknown'
    """

    within: str = "3d"

    def __post_init__(self) -> None:
        duration(self.within)

    def verdict(self, closure: str) -> Verdict:
        """Only an explicit word is a verdict: approving an item does not confirm it."""
        return "confirmed" if closure == "confirmed" else "wrong" if closure == "wrong" else "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketOutcome:
    """The closure code of the ticket says how it turned out.

    Codes in no list are unknown, and unknown is never counted as either.

    >>> rule = TicketOutcome(within="3d", confirmed=("fixed",), wrong=("not a fault",), unknown=("no fault found",))
    >>> rule.verdict("Fixed"), rule.verdict("no fault found"), rule.verdict("duplicate")
    ('confirmed', 'unknown', 'unknown')
    """

    within: str = "3d"
    confirmed: Sequence[str] = ("fixed",)
    wrong: Sequence[str] = ("not a fault",)
    unknown: Sequence[str] = ("no fault found", "self-cleared")

    def __post_init__(self) -> None:
        duration(self.within)
        for name in ("confirmed", "wrong", "unknown"):
            if isinstance(getattr(self, name), str):
                raise WorkflowError(f"'{getattr(self, name)}' is one word, not a list of them.", where=f"feedback, {name}", allowed=f"{name}=('fixed',)")
        lists = [_folded(self.confirmed), _folded(self.wrong), _folded(self.unknown)]
        twice = sorted(code for code in set().union(*lists) if sum(code in one for one in lists) > 1)
        if twice:
            raise WorkflowError(f"The closure code '{twice[0]}' stands in two lists.", where="feedback", allowed="each code in one list")

    def verdict(self, closure: str) -> Verdict:
        """What a ticket's closure code says about the decision that opened it."""
        (word,) = _folded([closure])
        return "confirmed" if word in _folded(self.confirmed) else "wrong" if word in _folded(self.wrong) else "unknown"


def _folded(codes: Iterable[str]) -> set[str]:
    """Codes as they are compared: without regard to case and spaces around them."""
    return {code.strip().casefold() for code in codes}
