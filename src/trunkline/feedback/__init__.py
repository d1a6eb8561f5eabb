"""How decisions turned out, and what to learn from it."""

from trunkline.feedback.labels import labelled
from trunkline.feedback.outcome import QueueOutcome, TicketOutcome

__all__ = ["QueueOutcome", "TicketOutcome", "labelled"]
