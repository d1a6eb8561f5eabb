"""The way of a release: candidate, shadow, live, retired; forward only with a verdict, back at any time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trunkline.core.clock import duration
from trunkline.core.errors import NotAllowed

ReleaseState = Literal["candidate", "shadow", "live", "retired"]
STATES: tuple[ReleaseState, ...] = ("candidate", "shadow", "live", "retired")
_WAY: dict[str, ReleaseState] = {"candidate": "shadow", "shadow": "live"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """See everything and answer nothing for this long, then wait for a person.

    >>> Shadow(of="7d").of
    '7d'
    """

    of: str = "7d"

    def __post_init__(self) -> None:
        duration(self.of)


def next_state(state: str, *, verdict: str | None, waiver: str = "") -> ReleaseState:
    """Where a release may go next, or why not.

    A gate's "cannot tell" needs a waiver that names who answers; a "fail" is never waived.

    >>> next_state("candidate", verdict="pass")
    'shadow'
    """
    if state not in _WAY:
        raise NotAllowed(f"A release that is {state} does not go on.", allowed="a candidate goes to shadow, a shadow goes live")
    if verdict is None:
        raise NotAllowed("This release has no gate verdict.", next_step="trunkline gate run NAME")
    if verdict == "fail":
        raise NotAllowed("This release failed its gates.", next_step="trunkline gate show NAME; train again, or keep what is live.")
    if verdict == "cannot tell" and not waiver:
        raise NotAllowed("The gates could not tell.", allowed="a named waiver", next_step="--waiver 'NAME: reason', or give the gates labels")
    return _WAY[state]
