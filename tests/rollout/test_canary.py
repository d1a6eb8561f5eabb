"""The plan of a canary, and the way a release goes by it."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.core.canonical import plain
from trunkline.core.errors import BadInput, NotAllowed
from trunkline.rollout import Canary, Shadow, Worse, next_state


def test_a_release_goes_through_every_step_before_it_is_live() -> None:
    plan, states = Canary(by="cell", shadow="7d", steps=(0.01, 0.1, 1.0)), ["candidate"]
    state, step = "candidate", None
    while state != "live":
        to = next_state(state, verdict="pass", plan=plan, step=step)
        state, step = to.state, to.step
        states.append(str(to))

    assert states == ["candidate", "shadow", "canary at 1 %", "canary at 10 %", "live"]


def test_without_steps_before_the_whole_it_is_a_shadow() -> None:
    assert str(next_state("shadow", verdict="pass", plan=Canary(steps=(1.0,)))) == "live"
    assert Shadow().shares == ()


@pytest.mark.parametrize("state", ["candidate", "shadow", "canary"])
def test_no_step_is_gone_without_a_verdict(state: str) -> None:
    for verdict in ("fail", None):
        with pytest.raises(NotAllowed):
            next_state(state, verdict=verdict, waiver="ann: sure", plan=Canary(), step=0)


@pytest.mark.parametrize("steps", [(), (0.1,), (0.1, 0.1, 1.0), (0.5, 0.1, 1.0), (0.0, 1.0), (-0.1, 1.0), (0.1, 1.0, 1.2)])
def test_steps_grow_and_end_with_all(steps: tuple[float, ...]) -> None:
    with pytest.raises(BadInput, match=r"The steps of the canary are"):
        Canary(steps=steps)


@pytest.mark.parametrize("wrong", [{"stop_if": "drop_rate"}, {"shadow": "long"}])
def test_what_is_no_rule_and_no_length_of_time_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        Canary(**wrong)


@pytest.mark.parametrize("wrong", [{"by": 0}, {"confidence": 1.0}, {"confidence": 0.1}, {"least_attempts": -1}, {"higher_is": "blue"}])
def test_a_stop_rule_has_numbers_that_can_be_met(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="cannot be used"):
        Worse("drop_rate", **wrong)


def test_a_plan_is_part_of_what_a_workflow_is() -> None:
    told = plain(Canary(steps=(0.02, 1.0), stop_if=Worse("drop_rate", by=0.1)))

    assert told == {"$": "Canary", "steps": [0.02, 1.0], "stop_if": {"$": "Worse", "by": 0.1, "kpi": "drop_rate"}}
