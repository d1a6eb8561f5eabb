from __future__ import annotations

import pytest

from trunkline.core.errors import BadInput, NotAllowed
from trunkline.rollout import STATES, Shadow, next_state


@pytest.mark.parametrize(("state", "after"), [("candidate", "shadow"), ("shadow", "live")])
def test_a_release_goes_forward_one_step_at_a_time(state: str, after: str) -> None:
    assert str(next_state(state, verdict="pass")) == after


@pytest.mark.parametrize("state", ["live", "retired", "unheard of"])
@pytest.mark.parametrize("verdict", ["pass", "fail", "cannot tell", None])
def test_there_is_no_way_forward_from_the_end(state: str, verdict: str | None) -> None:
    with pytest.raises(NotAllowed, match=f"A release that is {state} does not go on"):
        next_state(state, verdict=verdict, waiver="ann: sure")


@pytest.mark.parametrize("state", ["candidate", "shadow"])
def test_a_failed_gate_is_never_waived(state: str) -> None:
    with pytest.raises(NotAllowed, match="failed its gates") as refused:
        next_state(state, verdict="fail", waiver="ann: I answer for it")

    assert "trunkline gate show" in refused.value.next_step


@pytest.mark.parametrize("state", ["candidate", "shadow"])
def test_cannot_tell_is_no_pass_and_needs_somebody_who_answers(state: str) -> None:
    with pytest.raises(NotAllowed, match="could not tell") as refused:
        next_state(state, verdict="cannot tell")

    assert refused.value.allowed == "a named waiver"
    assert next_state(state, verdict="cannot tell", waiver="ann: no labels yet").state in STATES


def test_a_release_that_no_gate_has_seen_does_not_go_on() -> None:
    with pytest.raises(NotAllowed, match="has no gate verdict"):
        next_state("candidate", verdict=None, waiver="ann: sure")


def test_how_long_a_shadow_lasts_is_a_length_of_time() -> None:
    assert Shadow(of="14d").of == "14d"
    with pytest.raises(BadInput, match="'long' is not a length of time"):
        Shadow(of="long")
