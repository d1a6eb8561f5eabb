"""Who gets a new release, and when it goes back."""

from trunkline.rollout.plan import STATES, Shadow, next_state

__all__ = ["STATES", "Shadow", "next_state"]
