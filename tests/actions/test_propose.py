from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from trunkline.actions import Propose
from trunkline.core.errors import BadInput, WorkflowError
from trunkline.core.values import Decision

AT = datetime(2026, 11, 20, 8, tzinfo=UTC)
DECISION = Decision("reset_cell", target="c1", confidence=0.99, id="d1")


def test_a_proposal_goes_to_a_team_and_expires() -> None:
    receipt = Propose(to="noc", expires="30m").act(DECISION, at=AT)

    assert (receipt.decision, receipt.action, receipt.state, receipt.at) == ("d1", "propose", "proposed", AT)
    assert receipt.detail == {"to": "noc", "expires_at": AT + timedelta(minutes=30)}


def test_a_proposal_says_how_to_take_it_back() -> None:
    assert Propose(to="noc").act(DECISION, at=AT).undo == {"withdraw": "d1"}
    assert Propose(to="noc").reversible is True


def test_a_dry_run_says_what_would_be_proposed_and_to_whom() -> None:
    done, tried = Propose(to="noc").act(DECISION, at=AT), Propose(to="noc").act(DECISION, at=AT, dry_run=True)

    assert tried.state == "dry-run"
    assert tried.detail == done.detail


def test_a_proposal_to_nobody_is_refused_with_a_line_that_would_do() -> None:
    with pytest.raises(WorkflowError, match="needs somebody to propose to") as refused:
        Propose(to="")

    assert "Propose(to='noc'" in refused.value.allowed


def test_a_time_to_expire_that_is_none_is_refused_when_it_is_written() -> None:
    with pytest.raises(BadInput, match="'tomorrow' is not a length of time"):
        Propose(to="noc", expires="tomorrow")
