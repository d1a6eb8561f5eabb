"""What an action is: it says what it does about a decision, can say it without doing it, and has a way back.

An action *inside* is done with the decision, in its transaction: exactly once. An action with an effect *outside*
(``is_outside = True``) is an intent in that transaction and is delivered after it: at least once, always with the same
key, so that the one who receives it can drop what comes twice. Nobody can promise more across a network.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from trunkline.core.errors import TrunklineError
from trunkline.core.values import Decision, Receipt


class NotDelivered(TrunklineError):
    """A message did not get through.

    Parameters
    ----------
    is_final
        Trying again cannot help: the message itself was refused.
    """

    def __init__(self, what: str, *, is_final: bool = False, where: str = "", next_step: str = "") -> None:
        self.is_final = is_final
        super().__init__(what, where=where, next_step=next_step)


@runtime_checkable
class Action(Protocol):
    """A frozen dataclass of parameters, registered in the entry-point group ``trunkline.actions``."""

    @property
    def reversible(self) -> bool:
        """Whether it can take back what it did; else the workflow must name a way back."""
        ...

    def act(self, decision: Decision, *, at: datetime, dry_run: bool = False) -> Receipt:
        """What is done about *decision*, and how to take it back. Has no effect outside."""
        ...


@runtime_checkable
class OutsideAction(Action, Protocol):
    """An action whose effect is outside."""

    is_outside: bool

    def message(self, decision: Decision, *, at: datetime, verb: str = "act") -> Mapping[str, Any]:
        """What goes out, as plain values; for the verb "undo", what takes it back. Equal decisions give equal messages."""
        ...

    def deliver(self, message: Mapping[str, Any], *, key: str) -> Mapping[str, Any]:
        """Send *message* under *key*; what was answered.

        Raises
        ------
        NotDelivered
            It did not get through; says whether trying again can help.
        """
        ...


def is_outside(action: object) -> bool:
    """Whether the effect of *action* is outside."""
    return bool(getattr(action, "is_outside", False))
