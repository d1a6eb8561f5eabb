"""From a candidate decision to one that may go out: levels, limits, hold-offs, and the queue's life."""

from trunkline.decisions.guardrail import Admission, Guardrail, State
from trunkline.decisions.threshold import Above

__all__ = ["Above", "Admission", "Guardrail", "State"]
