"""What a stranger can check with one file: an entry is in the journal, and nothing before it was changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trunkline.core.errors import BadInput
from trunkline.store import Journal, open_key
from trunkline.store.proof import check, prove_entry, prove_since


@pytest.fixture
def grown(journal: Journal) -> Journal:
    for group in (3, 1, 5, 2):
        journal.append_many([("note", {"n": n}) for n in range(group)])
    return journal


@pytest.mark.parametrize("size", [None, 5, 8, 11])
def test_an_entry_is_proven_by_one_json_object(grown: Journal, size: int | None) -> None:
    proof = json.loads(json.dumps(prove_entry(grown, 4, size)))

    found = check(proof, key=grown.public_key, kept=[grown.checkpoint()])

    assert found.ok
    assert not found.is_own_key
    assert found.what == "Entry 4 is in the journal of 11 entries: note of 2026-11-20 14:00:02 UTC."
    assert found.checkpoint == grown.checkpoint()


@pytest.mark.parametrize("since", range(12))
def test_that_it_began_as_it_was_is_proven_for_every_size(grown: Journal, since: int) -> None:
    found = check(json.loads(json.dumps(prove_since(grown, since))))

    assert found.ok
    assert found.is_own_key
    assert found.what == f"The journal of {since} entries is the beginning of that of 11."


def flipped(text: str) -> str:
    return ("0" if text[0] != "0" else "1") + text[1:]


@pytest.mark.parametrize("field", ["entry", "seq", "size", "root", "path", "consistency", "checkpoint"])
def test_a_proof_with_one_thing_changed_proves_nothing(grown: Journal, field: str) -> None:
    proof: dict[str, Any] = prove_entry(grown, 4, 8)
    was = proof[field]
    if field == "entry":
        proof[field] = was.replace('"n":0', '"n":1')
    elif field == "checkpoint":
        proof[field] = {**was, "signature": flipped(was["signature"])}
    else:
        proof[field] = was + 1 if isinstance(was, int) else flipped(was) if isinstance(was, str) else [flipped(was[0]), *was[1:]]

    assert not check(proof).ok


def test_a_proof_signed_by_another_key_is_not_believed(grown: Journal, tmp_path: Path) -> None:
    other = open_key(tmp_path / "other").public

    found = check(prove_entry(grown, 4), key=other)

    assert not found.ok
    assert "not signed by key" in found.what


def test_a_proof_of_another_log_than_the_one_kept_elsewhere_is_not_believed(grown: Journal) -> None:
    kept = grown.checkpoint()
    other = type(kept)(kept.size, b"\0" * 32, kept.at, kept.key, kept.signature)

    assert not check(prove_entry(grown, 4), kept=[other]).ok


@pytest.mark.parametrize("proof", [{}, {"what": "x"}, [], {"what": 1, "size": "a"}])
def test_what_is_no_proof_is_refused(proof: Any) -> None:
    with pytest.raises(BadInput, match="no proof"):
        check(proof)


def test_a_proof_about_what_is_not_there_is_refused(grown: Journal) -> None:
    with pytest.raises(BadInput, match="journal"):
        prove_entry(grown, 11)
    with pytest.raises(BadInput, match="journal"):
        prove_entry(grown, 5, 5)
    with pytest.raises(BadInput, match="journal"):
        prove_since(grown, 12)
