"""A workspace worked on in partitions beside the same one worked on at once: what a user asks for, from files on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trunkline import gates, models
from trunkline.core import config
from trunkline.core.errors import TooLittleData, UnknownName
from trunkline.features import Features, history, kpi
from trunkline.run import large, releases, shipped
from trunkline.run.gather import Gathered, bound, gather
from trunkline.run.load import load
from trunkline.run.replay import Replay
from trunkline.run.spread import Spread, spread
from trunkline.run.train import Candidate
from trunkline.simulator import Network, write
from trunkline.store import catalogue
from trunkline.store.opened import Store, open_store
from trunkline.workflow import Workflow

AT = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Iterator[Store]:
    """Simulated: two sites over three weeks of hours, with sleeping cells and works."""
    folder = tmp_path_factory.mktemp("network")
    made = Network.make(3, sites=2, zones=("Europe/Rome",))
    write(made, folder / "files", start=AT, history_weeks=3, days=0, step=timedelta(hours=1), history_incidents={"sleeping_cell": 2})
    flags = {"keys": str(keys), "operator": "ann"}
    store = open_store(folder / "workspace", config.read(folder / "workspace", flags=flags, environment={}), clock=lambda: AT, create=True)
    load(store, [folder / "files"])
    yield store
    store.close()


def said(found: Replay) -> list[Any]:
    return [(f.entity, f.at, f.until, f.decision.confidence, f.decision.id, [r.text for r in f.decision.reasons]) for f in found.findings]


def by_week(name: str) -> Workflow:
    """A workflow we ship with a model that learns each element by itself, so that partitions change nothing at all."""
    workflow = shipped.find(name)
    columns = getattr(workflow.model, "columns", ())
    return written_as(workflow, model=models.HourOfWeek(columns=columns))


def written_as(workflow: Workflow, **changed: Any) -> Workflow:
    assert workflow.owner is not None
    return replace(workflow, owner=replace(workflow.owner, runbook=str(workflow.runbook)), **changed)


def test_rows_of_a_spread_workspace_are_those_of_a_gathered_one(network: Store) -> None:
    workflow = shipped.find("sleeping-cell")
    whole = gather(network, workflow)

    parts = spread(network, workflow, partition=3)

    rows = history(bound(whole), whole.facts)
    assert len(parts.fleet.parts) > 2
    assert pl.concat([parts.fleet.rows(names) for names in parts.fleet.parts]).equals(rows)
    assert (parts.context, parts.counters, parts.notes[:-1]) == (whole.context, whole.counters, whole.notes)
    assert "parts of 3 elements" in parts.notes[-1]
    assert parts.taken == {**whole.taken, "partition": 3}


def test_a_replay_in_partitions_says_the_same_neighbours_and_alarms_and_all(network: Store) -> None:
    workflow = by_week("sleeping-cell")

    whole, parts = (large.replayed(large.gathered(network, workflow, partition=size), self_test=False) for size in (0, 5))

    assert said(parts) == said(whole)
    assert len(whole.findings) > 0
    assert parts.speakers[0].decided.counts == whole.speakers[0].decided.counts


def figures(candidate: Candidate) -> list[Any]:
    return [(v.gate, v.result, v.value, v.interval, v.n) for v in candidate.winner.verdicts]


def test_training_in_partitions_gives_the_same_verdicts_and_a_model_that_scores_the_same(network: Store) -> None:
    judges = (gates.RecallAt(items_per_shift=20, least=0.1), gates.Parity(), gates.Duplicates())
    workflow = written_as(by_week("kpi-anomaly"), gates=judges)
    found = [large.gathered(network, workflow, partition=size) for size in (0, 5)]

    whole, parts = (large.trained(one, signer=network.signer, at=AT, contenders={"again": workflow.model}) for one in found)

    assert figures(parts) == figures(whole)
    assert parts.card["contenders"].keys() == whole.card["contenders"].keys()
    told = [{key: value for key, value in one.release.training.items() if key != "dataset"} for one in (whole, parts)]
    assert told[0] == told[1]
    assert parts.release.policy == whole.release.policy
    assert isinstance(found[0], Gathered)
    rows = history(bound(found[0]), found[0].facts)
    assert whole.fitted.score(rows).tolist() == pytest.approx(parts.fitted.score(rows).tolist(), abs=0, nan_ok=True)


def test_a_candidate_of_partitions_is_kept_and_its_model_comes_back_the_same(network: Store) -> None:
    workflow = written_as(shipped.find("kpi-anomaly"), gates=(gates.Latency(p99_ms=1000, replays=100),))
    found = large.gathered(network, workflow, partition=6)
    assert isinstance(found, Spread)

    candidate = large.trained(found, signer=network.signer, at=AT)
    releases.keep(network, candidate)

    row = catalogue.rows(network.engine, catalogue.releases, catalogue.releases.c.id == candidate.release.id)[0]
    again = releases.fitted(network, row)
    rows = found.fleet.rows(found.fleet.elements)
    assert again.score(rows).tolist() == pytest.approx(candidate.fitted.score(rows).tolist(), abs=0, nan_ok=True)
    finding = rows.height - 1
    assert again.explain(rows, finding) == candidate.fitted.explain(rows, finding)
    since = found.fleet.last - timedelta(hours=5)
    scored = pl.concat(found.fleet.score(again, since=since))
    assert scored["confidence"].to_list() == pytest.approx(again.score(rows)[(rows["at"] >= since).to_numpy()].tolist(), abs=0, nan_ok=True)


def test_gates_may_be_shown_some_elements_while_the_model_learns_all(network: Store) -> None:
    found = large.gathered(network, written_as(by_week("kpi-anomaly"), gates=(gates.Parity(),)), partition=3)
    assert isinstance(found, Spread)

    candidate = large.trained(found, signer=network.signer, at=AT, judged=3)

    shown = candidate.winner.verdicts[-1].n
    assert 0 < shown < large.trained(found, signer=network.signer, at=AT).winner.verdicts[-1].n
    assert candidate.release.training["entities"] == len(found.fleet.elements)
    assert len(list(candidate.winner.scored.pieces())) == len(found.fleet.parts)


def test_another_name_for_a_kpi_holds_in_partitions_too_and_a_wrong_one_is_told(network: Store) -> None:
    workflow = by_week("kpi-anomaly")

    whole, parts = (
        gather(network, workflow, rename={"load": "prb_utilisation_dl"}),
        spread(network, workflow, rename={"load": "prb_utilisation_dl"}, partition=7),
    )

    assert parts.fleet.features == bound(whole)
    with pytest.raises(UnknownName, match="no KPI 'prb'"):
        spread(network, workflow, rename={"load": "prb"}, partition=7)


def test_what_was_known_by_then_is_all_that_is_spread(network: Store) -> None:
    until = AT - timedelta(days=9)

    parts = spread(network, by_week("kpi-anomaly"), until=until, partition=7)

    assert parts.fleet.last == gather(network, by_week("kpi-anomaly"), until=until).facts.kpis["at"].max()


def test_small_workspaces_and_workflows_that_look_at_all_at_once_are_not_spread(network: Store) -> None:
    workflow = by_week("kpi-anomaly")
    busy = written_as(workflow, features=Features(entity="cell", every="1h", columns={"busy": kpi("prb_utilisation_dl").busy_hour("network")}))

    assert not large.is_large(network, workflow)
    assert large.is_large(network, workflow, limit=1)
    assert not large.is_large(network, busy, limit=1)
    assert not large.is_large(network, shipped.find("capacity"), limit=1)
    assert not large.is_large(network, workflow, {"trees": models.Trees()}, limit=1)


def test_an_empty_workspace_says_what_to_do(store: Store) -> None:
    with pytest.raises(TooLittleData, match="no measurements"):
        spread(store, shipped.find("kpi-anomaly"))
