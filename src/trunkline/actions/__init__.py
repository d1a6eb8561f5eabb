"""What is done about a decision; every action has a dry run and a way back."""

from trunkline.actions.check import check_action
from trunkline.actions.notify import Notify
from trunkline.actions.propose import Propose
from trunkline.actions.protocol import Action, NotDelivered, OutsideAction

__all__ = ["Action", "NotDelivered", "Notify", "OutsideAction", "Propose", "check_action"]
