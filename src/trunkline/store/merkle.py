"""The arithmetic of an append-only log: RFC 6962 Merkle trees, their proofs, and how to check these alone.

Everything here is plain functions over bytes, without a store, so that an auditor can check a proof
with this file and nothing else of Trunkline. Leaves are numbered from 0.

Source: RFC 6962, Laurie, Langley and Kasper (2013), *Certificate Transparency*, section 2.1; the checks
follow RFC 9162, sections 2.1.3.2 and 2.1.4.2, which spell out what 6962 leaves to the reader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

EMPTY_ROOT = sha256().digest()
"""The root of a log without entries."""

Node = Callable[[int, int], bytes]
"""Looks up the hash of a complete subtree: ``node(level, index)`` covers leaves ``index << level`` up to the next."""


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 || entry).

    >>> leaf_hash(b"").hex()[:16]
    '6e340b9cffb37a98'
    """
    return sha256(b"\x00" + entry).digest()


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """The leaf hash of each entry."""
    return [sha256(b"\x00" + entry).digest() for entry in entries]


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """All that must be remembered of a log to append to it: the roots of its complete subtrees.

    Parameters
    ----------
    size
        How many leaves there are.
    peaks
        One hash for every 1-bit of *size*, the largest subtree first.

    >>> log = Frontier()
    >>> [len(log.add(leaf_hash(bytes([n])))) for n in range(4)]
    [0, 1, 0, 2]
    >>> log.size, len(log.peaks)
    (4, 1)
    """

    __slots__ = ("peaks", "size")

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size, self.peaks = size, list(peaks)

    def add(self, leaf: bytes) -> list[bytes]:
        """Append one leaf hash; the interior nodes that it completes, the lowest first."""
        completed: list[bytes] = []
        size, peaks = self.size, self.peaks
        while size & 1:
            leaf = sha256(b"\x01" + peaks.pop() + leaf).digest()
            completed.append(leaf)
            size >>= 1
        peaks.append(leaf)
        self.size += 1
        return completed

    def extend(self, leaves: Iterable[bytes]) -> list[bytes | None]:
        """Append leaf hashes; for each the interior nodes that it completes joined, the lowest first, None where it completes none."""
        completed: list[bytes | None] = []
        size, push, pop, add, prefix = self.size, self.peaks.append, self.peaks.pop, completed.append, b"\x01"
        for leaf in leaves:
            if not size & 1:
                push(leaf)
                add(None)
            elif not size & 2:
                node = sha256(prefix + pop() + leaf).digest()
                push(node)
                add(node)
            else:
                node = above = sha256(prefix + pop() + leaf).digest()
                rest = size >> 1
                while rest & 1:
                    node = sha256(prefix + pop() + node).digest()
                    above += node
                    rest >>= 1
                push(node)
                add(above)
            size += 1
        self.size = size
        return completed

    def root(self) -> bytes:
        """The root over all leaves so far."""
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root

    def copy(self) -> Frontier:
        """The same log, to be continued on its own."""
        return Frontier(self.size, self.peaks)


def peaks_of(size: int) -> list[tuple[int, int]]:
    """(level, index) of the complete subtrees of a log of *size* leaves, the largest first.

    >>> peaks_of(6)
    [(2, 0), (1, 2)]
    """
    found, start = [], 0
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            found.append((level, start >> level))
            start += 1 << level
    return found


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes (MTH of RFC 6962, section 2.1)."""
    log = Frontier()
    for leaf in leaves:
        log.add(leaf)
    return log.root()


def inclusion_path(seq: int, size: int, node: Node) -> list[bytes]:
    """The audit path of leaf *seq* in a log of *size* leaves (RFC 6962, section 2.1.1), the lowest node first.

    It asks *node* for about ``2 * log2(size)`` stored hashes and reads nothing else.
    """
    if not 0 <= seq < size:
        raise ValueError(f"leaf {seq} is not in a log of {size} leaves")
    path: list[bytes] = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if seq < middle:
            path.append(_range_hash(middle, stop, node))
            stop = middle
        else:
            path.append(_range_hash(start, middle, node))
            start = middle
    return path[::-1]


def consistency_path(old: int, new: int, node: Node) -> list[bytes]:
    """The proof that the log of *old* leaves is the beginning of the log of *new* leaves (RFC 6962, section 2.1.2)."""
    if not 0 <= old <= new:
        raise ValueError(f"a log of {old} leaves cannot become one of {new}")
    if old in (0, new):
        return []
    path: list[bytes] = []
    start, stop, is_whole = 0, new, True
    while old != stop:
        middle = start + _split(stop - start)
        if old <= middle:
            path.append(_range_hash(middle, stop, node))
            stop = middle
        else:
            path.append(_range_hash(start, middle, node))
            start, is_whole = middle, False
    if not is_whole:
        path.append(_range_hash(start, stop, node))
    return path[::-1]


def is_included(leaf: bytes, seq: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether *path* proves that leaf hash *leaf* is number *seq* of the log with this *size* and *root* (RFC 9162, 2.1.3.2)."""
    if not 0 <= seq < size:
        return False
    at, last, found = seq, size - 1, leaf
    for other in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(other, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, other)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def is_consistent(old: int, new: int, path: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Whether *path* proves that the log (*old*, *old_root*) is the beginning of (*new*, *new_root*) (RFC 9162, 2.1.4.2)."""
    if not 0 <= old <= new:
        return False
    if old in (0, new):
        return not path and (old_root == new_root if old else old_root == EMPTY_ROOT)
    # A complete old log is its own first node and is left out of the proof.
    nodes = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not nodes:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    from_old = from_new = nodes[0]
    for other in nodes[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            from_old, from_new = node_hash(other, from_old), node_hash(other, from_new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            from_new = node_hash(from_new, other)
        at, last = at >> 1, last >> 1
    return last == 0 and from_old == old_root and from_new == new_root


def _split(count: int) -> int:
    """The largest power of two below *count*."""
    return 1 << ((count - 1).bit_length() - 1)


def _range_hash(start: int, stop: int, node: Node) -> bytes:
    """The root over leaves *start* to *stop* (not included), *start* being where an RFC 6962 split puts it."""
    found: bytes | None = None
    for level, index in reversed(peaks_of(stop - start)):
        peak = node(level, (start >> level) + index)
        found = peak if found is None else node_hash(peak, found)
    if found is None:
        raise ValueError("no leaves in this range")
    return found
