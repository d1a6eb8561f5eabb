"""What a workflow is given to look at, through the one door to the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from trunkline import Workflow
from trunkline.core.clock import duration
from trunkline.core.errors import BadInput, TooLittleData, UnknownName
from trunkline.core.frames import KPIS
from trunkline.features import Features, kpi
from trunkline.run import shipped
from trunkline.run.gather import bound, gather, parity
from trunkline.run.load import Options, load
from trunkline.store.opened import Store

HOUR = timedelta(hours=1)


@pytest.fixture
def loaded(store: Store, write_csv: Callable[..., Path]) -> Store:
    load(store, [write_csv(weeks=1, names=("volume", "users"))], options=Options(assume_zone="UTC"))
    return store


def test_elements_without_an_inventory_are_looked_at_all_the_same(loaded: Store, workflow: Workflow) -> None:
    found = gather(loaded, workflow)

    assert found.facts.kpis.schema == pl.Schema(KPIS)
    assert sorted(found.facts.elements["element"]) == ["a", "b"]
    assert found.context.zones == {"a": "UTC", "b": "UTC"}
    assert found.facts.kpis.group_by("kpi").len().sort("kpi").rows() == [("users", 336), ("volume", 336)]
    assert found.notes == ()
    assert sorted(found.context.words) == ["users", "volume"]


def test_data_that_come_less_often_make_the_grid_coarser_and_it_is_said(loaded: Store) -> None:
    quarterly = shipped.find("kpi-anomaly")

    found = gather(loaded, quarterly)

    assert found.context.every == HOUR
    assert found.notes == ("Slots of 1h instead of the workflow's own 15m, because the data come every 1h.",)
    assert found.workflow.features is not None
    assert found.workflow.features.every == HOUR
    assert found.workflow.hash == quarterly.hash, "it is still the same workflow"
    assert found.workflow.runbook == quarterly.runbook


def test_a_coarser_grid_may_be_asked_for_and_a_finer_one_cannot_be(loaded: Store, workflow: Workflow) -> None:
    assert gather(loaded, workflow, every=duration("2h")).facts.kpis.height == 336

    with pytest.raises(BadInput, match="The data come every 1h; they cannot be split into 15m") as refused:
        gather(loaded, workflow, every=duration("15m"))
    assert "--every 1h" in refused.value.allowed


def test_as_of_an_instant_only_what_was_known_is_there(loaded: Store, workflow: Workflow) -> None:
    whole = gather(loaded, workflow).facts.kpis
    first = whole["known_at"].min()
    assert isinstance(first, datetime)
    until = first + timedelta(days=3)

    found = gather(loaded, workflow, until=until).facts.kpis

    assert found.height < whole.height
    assert found["known_at"].max() <= until  # type: ignore[operator]


def test_a_kpi_may_go_by_another_name_in_the_files(loaded: Store, workflow: Workflow) -> None:
    found = gather(loaded, workflow, rename={"dl_volume": "volume"})

    assert sorted(found.facts.kpis["kpi"].unique()) == ["dl_volume", "users"]
    with pytest.raises(UnknownName, match="There is no KPI 'volumes'") as refused:
        gather(loaded, workflow, rename={"dl_volume": "volumes"})
    assert refused.value.next_step == "Did you mean 'volume'?"
    assert refused.value.where == "--kpi dl_volume=volumes"


def test_a_workflow_that_wants_a_kpi_nobody_has_is_told_so(loaded: Store, workflow: Workflow) -> None:
    wants = replace(workflow, features=Features(entity="element", every="1h", columns={"x": kpi("volumee")}))

    with pytest.raises(BadInput, match="volumee") as refused:
        gather(loaded, wants)

    assert "volume" in str(refused.value)


def test_without_measurements_it_says_what_to_do(store: Store, workflow: Workflow) -> None:
    with pytest.raises(TooLittleData, match="no measurements") as refused:
        gather(store, workflow)

    assert refused.value.next_step == "trunkline data load FILES"


def test_data_nobody_offers_are_refused_by_name(loaded: Store, workflow: Workflow) -> None:
    with pytest.raises(UnknownName, match="There is no product 'alarms'") as refused:
        gather(loaded, replace(workflow, data=("measurements", "alarms")))

    assert refused.value.where == "data of workflow 'strange'"


def test_what_a_workflow_read_is_in_the_journal(loaded: Store, workflow: Workflow) -> None:
    before = loaded.journal.size

    gather(loaded, workflow)

    entries = list(loaded.journal.entries(since=before))
    assert entries
    assert all("strange" in str(entry.body) for entry in entries)
    assert any("network-assurance" in str(entry.body) for entry in entries)


def test_holidays_come_from_the_zone_of_the_elements(loaded: Store, workflow: Workflow) -> None:
    italian = replace(loaded, configuration=replace(loaded.configuration, settings=replace(loaded.configuration.settings, zone="Europe/Rome")))

    found = gather(italian, workflow)

    assert found.context.zones == {"a": "Europe/Rome", "b": "Europe/Rome"}
    assert "2026-12-25" in found.context.holidays["Europe/Rome"]


def test_the_live_evaluator_gives_what_history_gives(loaded: Store, workflow: Workflow) -> None:
    found = gather(loaded, workflow)

    report = parity(found, days=2)

    assert report.mismatches == 0
    assert report.pairs >= 2 * 48
    assert report.values == 2 * report.pairs


def test_two_workflows_may_share_one_computation(loaded: Store, workflow: Workflow) -> None:
    first = gather(loaded, workflow)

    second = gather(loaded, workflow, computed=first.facts.kpis)

    assert second.facts.kpis.equals(first.facts.kpis)
    assert bound(second) == bound(first)
    assert isinstance(first.facts.kpis["at"].min(), datetime)
