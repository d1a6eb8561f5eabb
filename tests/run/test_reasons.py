"""Every decision of the workflows that ship says why, in words of the trade: a person has to be able to follow or to refuse it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from tests.workflows import test_capacity as capacity

import trunkline
from trunkline import Workspace
from trunkline.models import Context
from trunkline.run import shipped
from trunkline.run.demo import NAMES
from trunkline.run.replay import replay
from trunkline.simulator import Network, write

INCIDENTS = {"cell_outage": 2, "sleeping_cell": 4, "interference": 2}
SYMBOL = re.compile(r"[A-Za-z]\w*_\w+|[a-z][A-Z]|\b(None|nan|NaN|inf|feature|column)\b|[{}<>=]")
"""What stands in programs and not in what people say to each other."""


def is_said_by_people(text: str) -> bool:
    """Whether it is a clause of several words with a figure or a plain statement in it, and nothing of a program."""
    return len(text.split()) >= 4 and SYMBOL.search(text) is None and bool(re.search(r"\d|missing|no ", text))


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Three weeks of a simulated network with faults in them."""
    folder = tmp_path_factory.mktemp("reasons")
    start = datetime(2026, 11, 16, tzinfo=UTC)
    written = write(Network.make(5, sites=2), folder / "network", start=start, history_weeks=3, days=0.25, incidents={}, history_incidents=INCIDENTS)
    with trunkline.create(folder / "w", flags={"keys": str(folder / "keys"), "operator": "ann"}) as workspace:
        workspace.data.load([written.paths[name] for name in ("elements", "relations", "alarms", "states", "works", "history")])
        yield workspace


@pytest.mark.parametrize("name", NAMES)
def test_each_decision_about_a_simulated_network_carries_a_reason_in_words_of_the_trade(name: str, simulated: Workspace) -> None:
    simulated.workflows.replay(name, self_test=False)

    found = simulated.decisions.list(state=None, workflow=name)
    reasons = [text for one in found for text in one.reasons]
    assert found, "the simulated faults leave something to say"
    assert all(one.reasons for one in found), "one hundred per cent"
    assert [text for text in reasons if not is_said_by_people(text)] == []
    journaled = {entry.body["id"]: tuple(entry.body["reasons"]) for entry in simulated.audit.list(kind="decision")}
    assert all(journaled[one.id] == one.reasons for one in found), "and the journal holds them"


def test_each_decision_to_plan_capacity_does_too() -> None:
    context = Context(every=capacity.HOUR, zones=dict.fromkeys(capacity.GROWTH, "Europe/Rome"), words={"prb": "busy-hour use of resource blocks"})

    found = replay(shipped.find("capacity"), capacity.facts(), context=context, self_test=False).findings

    assert found
    assert all(one.decision.reasons for one in found)
    assert all(is_said_by_people(reason.text) for one in found for reason in one.decision.reasons)


@pytest.mark.parametrize("text", ["dl_volume_lag_1h 0.2", "column prb high, 80", "volume 3 < 4 of it", "volume is low today", "traffic=3 and falling fast"])
def test_what_a_program_says_is_not_taken_for_a_persons_words(text: str) -> None:
    assert not is_said_by_people(text)
