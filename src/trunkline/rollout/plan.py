"""The way of a release: candidate, shadow, canary where one is planned, live, retired.

Forward one step at a time, with a verdict; back at any time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trunkline.core.clock import duration
from trunkline.core.errors import NotAllowed
from trunkline.rollout.canary import Canary

ReleaseState = Literal["candidate", "shadow", "canary", "live", "retired"]
STATES: tuple[ReleaseState, ...] = ("candidate", "shadow", "canary", "live", "retired")
SERVING: tuple[ReleaseState, ...] = ("canary", "live")
"""States in which a release answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """See everything and answer nothing for this long, then wait for a person.

    >>> Shadow(of="7d").of
    '7d'
    """

    of: str = "7d"

    def __post_init__(self) -> None:
        duration(self.of)

    @property
    def shares(self) -> tuple[float, ...]:
        """No steps: after the shadow it decides for all."""
        return ()


Plan = Shadow | Canary


@dataclass(frozen=True, slots=True)
class Next:
    """Where a release goes: the state, and as a canary which step and which share of all entities."""

    state: ReleaseState
    step: int | None = None
    share: float | None = None

    def __str__(self) -> str:
        return self.state if self.share is None else f"{self.state} at {percent(self.share)}"


def next_state(state: str, *, verdict: str | None, waiver: str = "", plan: Plan | None = None, step: int | None = None) -> Next:
    """Where a release may go next, or why not.

    A gate's "cannot tell" needs a waiver that names who answers; a "fail" is never waived.

    Parameters
    ----------
    plan
        The workflow's own; None is a shadow alone.
    step
        Which step of the canary it is at, from 0.

    >>> str(next_state("candidate", verdict="pass"))
    'shadow'
    >>> plan = Canary(steps=(0.01, 1.0))
    >>> str(next_state("shadow", verdict="pass", plan=plan)), str(next_state("canary", verdict="pass", plan=plan, step=0))
    ('canary at 1 %', 'live')
    """
    if state not in {"candidate", "shadow", "canary"}:
        raise NotAllowed(f"A release that is {state} does not go on.", allowed="a candidate goes to shadow, a shadow (through its canary steps) goes live")
    if verdict is None:
        raise NotAllowed("This release has no gate verdict.", next_step="trunkline gate run NAME")
    if verdict == "fail":
        raise NotAllowed("This release failed its gates.", next_step="trunkline gate show NAME; train again, or keep what is live.")
    if verdict == "cannot tell" and not waiver:
        raise NotAllowed("The gates could not tell.", allowed="a named waiver", next_step="--waiver 'NAME: reason', or give the gates labels")
    if state == "candidate":
        return Next("shadow")
    shares = () if plan is None else plan.shares
    following = 0 if state == "shadow" else len(shares) if step is None else step + 1
    return Next("canary", following, shares[following]) if following < len(shares) else Next("live")


def percent(share: float) -> str:
    """A share as people write it.

    >>> percent(0.01), percent(0.125)
    ('1 %', '12.5 %')
    """
    return f"{share * 100:.4g} %"
