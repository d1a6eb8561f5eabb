"""The contract of actions: ours keep it, and what breaks it is named."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from trunkline.actions import Notify, Propose, check_action
from trunkline.core.values import Decision, Receipt


@pytest.mark.parametrize("action", [Propose(to="noc"), Notify(to="https://tickets.example/new"), Notify(to="file:/tmp/x")])
def test_ours_keep_the_contract(action: Any) -> None:
    assert check_action(action) == []


@dataclass(frozen=True)
class Forgetful:
    """Another receipt each time, no way back, no dry run, and registered nowhere."""

    reversible = True
    _numbers = count()

    def act(self, decision: Decision, *, at: datetime, dry_run: bool = False) -> Receipt:
        return Receipt(decision="another", action="forget", state="done", at=at, detail={"n": next(self._numbers), "never": Path()})


def test_what_breaks_it_is_named() -> None:
    found = " ".join(check_action(Forgetful()))

    for said in ("is not registered", "gives two receipts", "names another decision", "A dry run does not say", "does not say how"):
        assert said in found


def test_what_is_no_action_is_told() -> None:
    assert "It has no act" in check_action(object())[0]


def test_what_cannot_be_hashed_is_told() -> None:
    class Loose:
        reversible = True

        def act(self, decision: Decision, *, at: datetime, dry_run: bool = False) -> Receipt:
            raise NotImplementedError

    assert check_action(Loose()) == ["It is no frozen dataclass, so a workflow cannot be hashed with it."]
