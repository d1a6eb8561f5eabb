"""Sent twice, done once: what is inside is done one time for an idempotency key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from trunkline.core.errors import BadInput, NotAllowed
from trunkline.run.hand_over import under


@contextmanager
def once(key: str) -> Iterator[None]:
    """Do what is inside once for *key*, always where it is empty; the same key for something else is a conflict."""
    try:
        with under(key):
            yield
    except BadInput as refused:
        if "Another command has the id" in refused.what:
            raise NotAllowed("This idempotency key was used for another request.", allowed="a key of its own for each request") from refused
        raise
