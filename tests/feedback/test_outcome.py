from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.core.errors import BadInput, WorkflowError
from trunkline.feedback import QueueOutcome, TicketOutcome

RULE = TicketOutcome(within="3d", confirmed=("fixed", "Hardware replaced"), wrong=("not a fault",), unknown=("no fault found", "self-cleared"))


@pytest.mark.parametrize(
    ("closure", "verdict"),
    [("fixed", "confirmed"), (" FIXED ", "confirmed"), ("hardware replaced", "confirmed"), ("Not a fault", "wrong"), ("no fault found", "unknown")],
)
def test_the_closure_code_of_a_ticket_is_the_verdict(closure: str, verdict: str) -> None:
    assert RULE.verdict(closure) == verdict


@given(st.text())
def test_a_code_that_stands_in_no_list_is_unknown_and_never_counted(closure: str) -> None:
    if closure.strip().casefold() not in {"fixed", "hardware replaced", "not a fault"}:
        assert RULE.verdict(closure) == "unknown"


@pytest.mark.parametrize(
    "lists", [{"confirmed": ("a",), "wrong": ("a",)}, {"wrong": ("self-cleared",)}, {"confirmed": ("Fixed",), "wrong": ("fixed ",)}], ids=str
)
def test_a_code_in_two_lists_is_refused_by_name(lists: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(WorkflowError, match="stands in two lists") as refused:
        TicketOutcome(**lists)  # type: ignore[arg-type]

    assert refused.value.where == "feedback"


@pytest.mark.parametrize(
    ("closure", "verdict"), [("confirmed", "confirmed"), ("wrong", "wrong"), ("approved", "unknown"), ("rejected", "unknown"), ("", "unknown")]
)
def test_in_the_queue_only_an_explicit_word_is_a_verdict(closure: str, verdict: str) -> None:
    assert QueueOutcome().verdict(closure) == verdict


@pytest.mark.parametrize("kind", [QueueOutcome, TicketOutcome])
def test_a_time_to_wait_that_is_none_is_refused(kind: type[QueueOutcome | TicketOutcome]) -> None:
    with pytest.raises(BadInput, match="is not a length of time"):
        kind(within="a while")
