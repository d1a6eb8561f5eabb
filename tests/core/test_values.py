from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from datetime import UTC, datetime

import pytest

from trunkline.core.values import Decision, Outcome, Owner, Reason, Receipt, Row

AT = datetime(2026, 11, 20, 14, tzinfo=UTC)


def test_what_travels_cannot_be_changed_on_its_way() -> None:
    decision = Decision("reset_cell", target="c1", confidence=0.99)
    values = [
        (decision, "target", "c2"),
        (Owner(team="t", oncall="o", runbook="r.md"), "team", "x"),
        (Reason(column="a", text="low", weight=1.0), "weight", 0.0),
        (Receipt(decision="d", action="propose", state="proposed", at=AT), "state", "done"),
        (Outcome(decision="d", verdict="wrong", at=AT, by="ann"), "verdict", "confirmed"),
    ]

    for value, name, other in values:
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, other)


def test_only_the_action_of_a_decision_may_be_given_by_position() -> None:
    with pytest.raises(TypeError):
        Decision("reset_cell", "c1", 0.9)  # type: ignore[call-arg]

    assert [f.name for f in fields(Decision) if not f.kw_only] == ["action"]


def test_a_decision_is_live_unless_it_says_otherwise_and_has_no_id_before_it_is_recorded() -> None:
    decision = Decision("reset_cell", target="c1", confidence=0.99)

    assert (decision.mode, decision.id, decision.release, decision.reasons) == ("live", "", "", ())


def test_a_row_is_read_by_column_name_and_its_entity_under_its_own_word() -> None:
    columns = {"entity": ["c1", "c2"], "prb": [0.5, None]}

    row = Row(columns, 1, entity="cell")

    assert (row["cell"], row["entity"], row["prb"]) == ("c2", "c2", None)
    assert dict(row) == {"entity": "c2", "prb": None}
    assert len(row) == 2
    assert repr(row) == "Row({'entity': 'c2', 'prb': None})"


def test_a_row_says_which_column_it_does_not_have() -> None:
    with pytest.raises(KeyError, match="traffic"):
        Row({"entity": ["c1"]}, 0)["traffic"]

    assert Row({"entity": ["c1"]}, 0).get("traffic") is None


def test_a_row_does_not_copy_the_frame_it_is_read_from() -> None:
    columns: dict[str, list[object]] = {"entity": ["c1"], "prb": [0.5]}
    row = Row(columns, 0)

    columns["prb"][0] = 0.7

    assert row["prb"] == 0.7


def test_an_outcome_target_names_the_kpi_from_where_and_by_how_much() -> None:
    target = Outcome.target("hours_of_lost_traffic", baseline="last 8 weeks", at_least="-50 %")

    assert (target.kpi, target.baseline, target.at_least) == ("hours_of_lost_traffic", "last 8 weeks", "-50 %")
