"""A canary beside the live release: every entity is decided once, by exactly one of them, whatever the share does."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import SOAK
from tests.run import at_work_case as cases

from trunkline.rollout.split import in_share
from trunkline.run import at_work as module
from trunkline.run.at_work import AtWork
from trunkline.run.deployed import Deployed, Post, deployed
from trunkline.store.opened import Store

ELEMENTS = tuple(f"e{n}" for n in range(6))


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> cases.Case:
    """A second release is there, in shadow: the tests say when it is a canary, and of which share."""
    return cases.make(tmp_path_factory.mktemp("case"), elements=ELEMENTS, shadow=1)


class Roster:
    """What is deployed, as the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.share: float | None = None
        self.is_promoted = False
        monkeypatch.setattr(module, "deployed", self)

    def __call__(self, store: Store, workflow: Any, known: Any) -> Deployed:
        found = deployed(store, workflow, known)
        live, other = found.live, found.shadow
        assert isinstance(live, Post)
        assert isinstance(other, Post)
        if self.is_promoted:
            return replace(found, live=other, shadow=None)
        if self.share is None:
            return replace(found, shadow=None)
        return replace(found, shadow=None, canary=other, share=self.share, salt=other.release)


@pytest.mark.parametrize("seed", range(SOAK))
def test_no_entity_is_decided_twice_or_by_none_when_the_share_changes(case: cases.Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    chance, roster, store = random.Random(seed), Roster(monkeypatch), case.copy(tmp_path / "w")
    cuts = sorted(chance.sample([hour / 24 for hour in range(1, 83)], 4))
    decided = Counter[str]()
    at_work = AtWork.open(store, case.workflow)
    for number, (first, last) in enumerate(zip([0.0, *cuts], [*cuts, 3.5], strict=True)):
        roster.share = chance.choice([None, 0.1, 0.5, 0.9, 1.0])
        roster.is_promoted = number == 4
        cases.put(store, tmp_path, f"part-{number}", cases.days(case, first, last))
        if chance.random() < 0.3:
            at_work.close()
            at_work = AtWork.open(store, case.workflow)
        for one in at_work.step():
            decided[one.mode] += one.rows
    at_work.close()

    assert sum(decided.values()) == round(3.5 * 24) * len(ELEMENTS)
    told = [entry.body for entry in store.journal.entries("decided")]
    assert sum(sum(body["counts"].values()) for body in told) == round(3.5 * 24) * len(ELEMENTS)
    assert len({(one["target"], one["at"]) for one in cases.decisions(store)}) == len(cases.decisions(store)) > 0
    assert store.journal.verify().ok


def test_with_equal_releases_a_canary_says_what_live_alone_would_have_said(case: cases.Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roster = Roster(monkeypatch)
    found = []
    for number, share in enumerate((None, 0.5)):
        store = case.copy(tmp_path / str(number))
        cases.put(store, tmp_path, "first", cases.days(case, 0, 2 + 14 / 24))
        with AtWork.open(store, case.workflow) as at_work:
            at_work.step()
            roster.share = share
            cases.put(store, tmp_path, "second", cases.days(case, 2 + 14 / 24, 4))
            at_work.step()
        found.append([(one["target"], one["at"], one["until"], one["confidence"]) for one in cases.decisions(store)])
        roster.share = None

    assert sorted(found[0]) == sorted(found[1])


def test_a_canary_decides_for_its_share_and_for_nobody_else(case: cases.Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roster, store = Roster(monkeypatch), case.copy(tmp_path / "w")
    roster.share = 0.5
    cases.put(store, tmp_path, "data", cases.days(case, 0, 3.5))

    with AtWork.open(store, case.workflow) as at_work:
        by = {one.mode: one for one in at_work.step()}

    canary = by["canary"].release
    mine = [name for name in ELEMENTS if in_share(name, 0.5, salt=canary)]
    assert 0 < len(mine) < len(ELEMENTS)
    assert (by["canary"].rows, by["live"].rows) == (84 * len(mine), 84 * (len(ELEMENTS) - len(mine)))
    assert all((one["release"] == canary) == (one["target"] in mine) for one in cases.decisions(store))


def test_a_shift_has_one_budget_for_both(case: cases.Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roster, store = Roster(monkeypatch), case.copy(tmp_path / "w")
    roster.share = 0.5
    few = replace(case.workflow, guardrail=replace(case.workflow.guardrail, items_per_shift=1))
    few.__dict__.update(hash=case.workflow.hash, sources=case.workflow.sources)
    cases.put(store, tmp_path, "data", cases.days(case, 0, 3.5))

    with AtWork.open(store, few) as at_work:
        at_work.step()

    shifts = Counter(int(one["at"].timestamp() / timedelta(hours=8).total_seconds()) for one in cases.decisions(store))
    assert max(shifts.values()) == 1
