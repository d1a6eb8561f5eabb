"""Who gets a new release, and when it goes back."""

from trunkline.rollout.canary import Canary
from trunkline.rollout.plan import STATES, Shadow, next_state
from trunkline.rollout.split import in_share
from trunkline.rollout.stop import Worse

__all__ = ["STATES", "Canary", "Shadow", "Worse", "in_share", "next_state"]
