"""The share of all entities that a release decides for."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from trunkline.rollout.split import in_share

CELLS = [f"cell-{number}" for number in range(20_000)]
names, shares = st.text(max_size=12), st.floats(0, 1)


@given(names, shares, shares, names)
def test_who_is_in_a_share_is_in_every_larger_one(entity: str, one: float, other: float, salt: str) -> None:
    assert in_share(entity, min(one, other), salt) <= in_share(entity, max(one, other), salt)


@given(names, names)
def test_a_share_of_nothing_holds_nobody_and_the_whole_holds_everybody(entity: str, salt: str) -> None:
    assert not in_share(entity, 0.0, salt)
    assert in_share(entity, 1.0, salt)


def test_a_share_holds_as_many_as_it_says() -> None:
    for share in (0.01, 0.1, 0.5):
        held = sum(in_share(cell, share, "salt") for cell in CELLS)
        spread = (len(CELLS) * share * (1 - share)) ** 0.5
        assert abs(held - len(CELLS) * share) < 4 * spread


def test_another_salt_draws_another_share_that_has_nothing_to_do_with_the_first() -> None:
    one = {cell for cell in CELLS if in_share(cell, 0.1, "release 1")}
    other = {cell for cell in CELLS if in_share(cell, 0.1, "release 2")}

    assert abs(len(one & other) - 200) < 4 * 200**0.5


def test_a_salt_and_an_entity_do_not_run_into_each_other() -> None:
    assert {in_share(f"{n}a", 0.5, "1") == in_share("a", 0.5, f"1{n}") for n in range(40)} == {True, False}


def test_another_process_draws_the_same_share() -> None:
    ask = "from trunkline.rollout.split import in_share; print([n for n in range(50) if in_share(str(n), 0.3, 's')])"

    told = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == str([n for n in range(50) if in_share(str(n), 0.3, "s")])
