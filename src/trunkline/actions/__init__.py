"""What is done about a decision; every action has a dry run and a way back."""

from trunkline.actions.propose import Propose

__all__ = ["Propose"]
