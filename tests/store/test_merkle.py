"""Known answers are those of Certificate Transparency's own test suite: eight leaves, their roots and proofs."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.store.merkle import (
    EMPTY_ROOT,
    Frontier,
    Node,
    consistency_path,
    inclusion_path,
    is_consistent,
    is_included,
    leaf_hash,
    node_hash,
    peaks_of,
    root_of,
)

LEAVES = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


def mth(hashes: list[bytes]) -> bytes:
    """The definition of RFC 6962, section 2.1, word for word: slow, and independent of what is tested."""
    if not hashes:
        return sha256().digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return node_hash(mth(hashes[:split]), mth(hashes[split:]))


def nodes_of(hashes: list[bytes]) -> Node:
    return lambda level, index: mth(hashes[index << level : (index + 1) << level])


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_certificate_transparency(size: int) -> None:
    assert root_of(map(leaf_hash, LEAVES[:size])).hex() == ROOTS[size]


@pytest.mark.parametrize(("seq", "size"), INCLUSION)
def test_inclusion_proofs_are_those_of_certificate_transparency(seq: int, size: int) -> None:
    path = inclusion_path(seq, size, nodes_of([leaf_hash(leaf) for leaf in LEAVES]))

    assert [node.hex() for node in path] == INCLUSION[seq, size]
    assert is_included(leaf_hash(LEAVES[seq]), seq, size, path, bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_consistency_proofs_are_those_of_certificate_transparency(old: int, new: int) -> None:
    path = consistency_path(old, new, nodes_of([leaf_hash(leaf) for leaf in LEAVES]))

    assert [node.hex() for node in path] == CONSISTENCY[old, new]
    assert is_consistent(old, new, path, bytes.fromhex(ROOTS[old]), bytes.fromhex(ROOTS[new]))


@settings(deadline=None, max_examples=60)
@given(size=st.integers(0, 300))
def test_appending_one_by_one_gives_the_root_of_the_definition(size: int) -> None:
    hashes = [leaf_hash(bytes([n % 251])) for n in range(size)]
    log = Frontier()

    completed = [log.add(leaf) for leaf in hashes]

    assert log.root() == mth(hashes)
    assert log.size == size
    assert len(log.peaks) == len(peaks_of(size)) == size.bit_count()
    for seq, above in enumerate(completed):
        assert above == [mth(hashes[seq + 1 - (1 << level) : seq + 1]) for level in range(1, len(above) + 1)]


@settings(deadline=None, max_examples=150)
@given(data=st.data(), size=st.integers(1, 130))
def test_every_inclusion_proof_holds_for_its_leaf_and_for_no_other(data: st.DataObject, size: int) -> None:
    hashes = [leaf_hash(n.to_bytes(2)) for n in range(size)]
    seq, other = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size - 1))
    path = inclusion_path(seq, size, nodes_of(hashes))
    root = mth(hashes)

    assert is_included(hashes[seq], seq, size, path, root)
    assert is_included(hashes[other], other, size, path, root) == (other == seq)
    assert not is_included(hashes[seq], seq, size, [*path, EMPTY_ROOT], root)
    assert not is_included(hashes[seq], size, size, path, root)
    for n in range(len(path)):
        assert not is_included(hashes[seq], seq, size, [*path[:n], EMPTY_ROOT, *path[n + 1 :]], root)
        assert not is_included(hashes[seq], seq, size, path[:n], root)


@settings(deadline=None, max_examples=150)
@given(data=st.data(), new=st.integers(0, 130))
def test_every_consistency_proof_holds_for_its_past_and_for_no_other(data: st.DataObject, new: int) -> None:
    old = data.draw(st.integers(0, new))
    hashes = [leaf_hash(n.to_bytes(2)) for n in range(new)]
    path = consistency_path(old, new, nodes_of(hashes))
    past, present = mth(hashes[:old]), mth(hashes)

    assert is_consistent(old, new, path, past, present)
    if old:
        changed = mth([leaf_hash(b"other"), *hashes[1:old]])
        assert not is_consistent(old, new, path, changed, present)
        assert not is_consistent(old, new, [*path, EMPTY_ROOT], past, present)
        assert not is_consistent(old, new, path, past, leaf_hash(b"other"))
    for n in range(len(path)):
        assert not is_consistent(old, new, [*path[:n], EMPTY_ROOT, *path[n + 1 :]], past, present)
        assert not is_consistent(old, new, path[:n], past, present)


def test_a_leaf_that_is_not_there_has_no_proof() -> None:
    node = nodes_of([leaf_hash(leaf) for leaf in LEAVES])

    with pytest.raises(ValueError, match="leaf 8 is not in a log of 8 leaves"):
        inclusion_path(8, 8, node)
    with pytest.raises(ValueError, match="cannot become"):
        consistency_path(5, 4, node)


@given(st.integers(0, 70), st.integers(0, 300))
def test_many_leaves_at_once_complete_what_they_complete_one_by_one(before: int, count: int) -> None:
    leaves = [leaf_hash(bytes([n % 256, n // 256])) for n in range(before + count)]
    one_by_one, at_once = Frontier(), Frontier()
    for leaf in leaves[:before]:
        one_by_one.add(leaf)
    at_once.extend(leaves[:before])

    completed = at_once.extend(leaves[before:])

    assert completed == [b"".join(one_by_one.add(leaf)) or None for leaf in leaves[before:]]
    assert (at_once.size, at_once.peaks, at_once.root()) == (one_by_one.size, one_by_one.peaks, one_by_one.root())
