from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from trunkline.core.errors import BadInput
from trunkline.gates import Evidence, FalseAlarmsPer
from trunkline.gates.check import CELLS, HOURS, sample_evidence


def raising(evidence: Evidence, *, also: np.ndarray) -> Evidence:
    """The evidence of a workflow that raised every faulty row, and the rows *also*."""
    assert evidence.labels is not None
    decided = np.asarray(evidence.labels > 0)
    decided[also] = True
    return dataclasses.replace(evidence, decided=decided)


def quiet(evidence: Evidence) -> np.ndarray:
    return np.flatnonzero(evidence.labels == 0)


def test_alarms_outside_every_event_are_counted_per_element_and_week() -> None:
    evidence = sample_evidence()
    wrong = quiet(evidence)[::150]

    verdict = FalseAlarmsPer(element_week=1).check(raising(evidence, also=wrong))

    assert verdict.value == pytest.approx(len(wrong) / (CELLS * HOURS / 168), rel=0.2)
    assert verdict.interval is not None
    assert verdict.value is not None
    assert verdict.interval[0] <= verdict.value <= verdict.interval[1]


def test_a_burst_of_raised_rows_is_one_alarm() -> None:
    evidence = sample_evidence()
    start = int(quiet(evidence)[0])

    verdict = FalseAlarmsPer(element_week=1, hold_off="12h").check(raising(evidence, also=np.arange(start, start + 8)))

    assert verdict.result == "pass"
    assert verdict.value == pytest.approx(1 / (CELLS * HOURS / 168))


def test_the_budget_itself_sets_the_level_where_nobody_decided() -> None:
    evidence = dataclasses.replace(sample_evidence(), decided=None)

    verdict = FalseAlarmsPer(element_week=1).check(evidence)

    assert verdict.result == "pass"
    assert "raised from a score of 0.994048" in verdict.why  # 1 - 1/168


def test_right_calibration_without_skill_is_not_a_pass() -> None:
    evidence = dataclasses.replace(sample_evidence("random"), decided=None)

    verdict = FalseAlarmsPer(element_week=1).check(evidence)

    assert verdict.value is not None
    assert verdict.value <= 1.0
    assert verdict.result == "cannot tell"
    assert "no more are right than at random" in verdict.why


def test_a_silent_candidate_shows_nothing() -> None:
    evidence = dataclasses.replace(sample_evidence(), decided=np.zeros(CELLS * HOURS, dtype=bool))

    verdict = FalseAlarmsPer(element_week=1).check(evidence)

    assert verdict.result == "cannot tell"
    assert "silent" in verdict.why


def test_an_alarm_just_before_an_event_is_not_false() -> None:
    evidence = sample_evidence()
    assert evidence.labels is not None
    entity = evidence.rows["entity"].to_numpy()
    first = np.flatnonzero((evidence.labels[1:] > 0) & (evidence.labels[:-1] == 0) & (entity[1:] == entity[:-1]))
    decided = np.zeros(CELLS * HOURS, dtype=bool)
    decided[first] = True

    strict = FalseAlarmsPer(element_week=1).check(dataclasses.replace(evidence, decided=decided))
    slack = FalseAlarmsPer(element_week=1, slack="1h").check(dataclasses.replace(evidence, decided=decided))

    assert strict.value is not None
    assert strict.value > 0.5
    assert slack.value == 0.0


def test_faults_hidden_on_purpose_are_used_where_nobody_labelled() -> None:
    evidence = sample_evidence()

    verdict = FalseAlarmsPer(element_week=1).check(dataclasses.replace(evidence, labels=None, injected=evidence))

    assert verdict.result == "pass"
    assert "on injected faults" in verdict.why


@pytest.mark.parametrize("budgets", [{}, {"element_week": 1.0, "shift": 5.0}])
def test_exactly_one_budget_is_given(budgets: dict[str, float]) -> None:
    with pytest.raises(BadInput, match="Exactly one budget"):
        FalseAlarmsPer(**budgets)  # type: ignore[arg-type]
