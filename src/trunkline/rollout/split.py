"""Who is in a share of all entities: settled by a hash, so that nobody has to remember it and no order changes it."""

from __future__ import annotations

from hashlib import sha256

WHOLE = 2**64
"""Places are numbers below this: the first eight bytes of a hash."""


def place(entity: str, salt: str) -> int:
    """Where *entity* stands among all, from 0 to 2^64 - 1: uniform, and another order for every *salt*.

    >>> place("a", salt="1") == place("a", salt="1") != place("a", salt="2")
    True
    """
    # The salt goes first with its length, so that ("1", "2a") and ("12", "a") are two hashes.
    head = salt.encode()
    return int.from_bytes(sha256(b"%d:%b%b" % (len(head), head, entity.encode())).digest()[:8], "big")


def in_share(entity: str, share: float, salt: str) -> bool:
    """Whether *entity* is among the *share* of all that a release decides for.

    Stable over processes and machines, uniform, and monotone: who is in at 1 % is in at 10 %. Another *salt* (each
    release has its own) draws another, independent share, so that it is not always the same cells that try what is new.

    Parameters
    ----------
    entity
        What the split goes by: a cell, a site.
    share
        From 0 (nobody) to 1 (everybody).

    >>> [cell for cell in ("a", "b", "c", "d", "e", "f") if in_share(cell, 0.5, salt="release 7")]
    ['b', 'd']
    >>> in_share("a", 0.0, salt="release 7"), in_share("f", 1.0, salt="release 7")
    (False, True)
    """
    return place(entity, salt) < share * WHOLE
