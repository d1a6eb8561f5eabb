"""The public names, locked: adding one is a decision, taking one away breaks somebody."""

from __future__ import annotations

from importlib import import_module

import pytest

import trunkline

PUBLIC = {
    "trunkline": "Above Decision Features Guardrail Outcome Owner Reason Receipt Release Row Shadow TrunklineError Workflow Workspace "
    "actions create data decisions features feedback gates models open rollout",
    "trunkline.actions": "Action NotDelivered Notify OutsideAction Propose check_action",
    "trunkline.decisions": "Above Admission Guardrail State",
    "trunkline.features": "Features Live ParityReport Timeline alarms asof attribute each_kpi history holiday hour kpi live state weekday when",
    "trunkline.feedback": "QueueOutcome TicketOutcome labelled",
    "trunkline.gates": "Auc AveragePrecision BeatsBaseline Duplicates Evidence F1 FalseAlarmsPer Finding Gate Latency Leakage Parity Part "
    "PrecisionAt RecallAt Result Verdict check_gate joint run_gates",
    "trunkline.models": "Autoencoder Constant Context Crossing Envelope Fitted Harmonic HourOfWeek IsolationForest LastWeek LinearTrend Model RandomAlarm "
    "RangeNovelty Saved Tail Trees",
    "trunkline.rollout": "STATES Canary Shadow Worse in_share next_state",
}
INNER = ("trunkline.data", "trunkline.govern", "trunkline.simulator", "trunkline.store")


@pytest.mark.parametrize("package", PUBLIC)
def test_the_public_names_are_these(package: str) -> None:
    assert sorted(import_module(package).__all__) == sorted(PUBLIC[package].split())


@pytest.mark.parametrize("package", [*PUBLIC, *INNER])
def test_every_name_that_is_promised_is_there(package: str) -> None:
    module = import_module(package)

    for name in module.__all__:
        assert getattr(module, name) is not None, name


def test_a_name_that_is_not_there_is_told_like_any_other() -> None:
    with pytest.raises(AttributeError, match="module 'trunkline' has no attribute 'Wrokflow'"):
        trunkline.Wrokflow  # noqa: B018 - reading it is the test


def test_a_folder_of_the_workflows_life_is_also_a_field_of_workflow() -> None:
    fields = set(trunkline.Workflow.__dataclass_fields__)

    assert {"data", "features", "gates", "rollout", "feedback"} <= fields & set(trunkline.__all__)
    assert {"model", "act", "decide"} <= fields  # models, actions and decisions hold what goes into them
