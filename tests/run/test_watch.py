"""What is looked at every minute: silence, owners who left, reviews; what it takes away, and that a person gives it back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trunkline import Workflow, gates
from trunkline.core.errors import NotAllowed
from trunkline.core.frames import Facts
from trunkline.models import Context
from trunkline.run import canary, releases, standing, watch
from trunkline.run.train import Candidate, train
from trunkline.store import open_key
from trunkline.store.heartbeats import beat
from trunkline.store.opened import Store

HOW: dict[str, Any] = {"release": None, "by": "ann", "reason": "looked at it", "waiver": "", "dry_run": False}


@pytest.fixture(scope="module")
def fair(workflow: Workflow) -> Workflow:
    return replace(workflow, gates=(gates.Parity(),), review_every="2w")


@pytest.fixture(scope="module")
def candidate(fair: Workflow, facts: Facts, context: Context, keys: Path) -> Candidate:
    return train(fair, facts, context=context, signer=open_key(keys), at=datetime(2026, 11, 20, 14, tzinfo=UTC), seed=3)


@pytest.fixture
def live(store: Store, fair: Workflow, candidate: Candidate, present: Any) -> Store:
    releases.keep(store, candidate, workflow=fair, by="tom")
    releases.forward(store, fair, **HOW)
    present.at += timedelta(days=7)
    releases.forward(store, fair, **HOW)
    beat(store.engine, "strange", row_at=present())
    return store


def kinds(store: Store) -> set[str]:
    return {row["kind"] for row in standing.alarms(store).active("strange")}


def control(store: Store, fair: Workflow) -> str:
    return canary.serving(store, fair).control


def test_where_all_is_well_nothing_is_said(live: Store, fair: Workflow) -> None:
    assert watch.watch(live) == []
    assert kinds(live) == set()
    assert control(live, fair) == "approve"


def test_a_workflow_that_falls_silent_goes_less_far_alone_until_a_person_says_so(live: Store, fair: Workflow, present: Any) -> None:
    present.at += timedelta(hours=4)

    said = watch.watch(live)

    assert said[0] == "strange: Nothing to decide on for 4 h; it should be 3 h at most."
    assert kinds(live) == {"silence", "autonomy-taken"}
    assert control(live, fair) == "advise"
    with pytest.raises(NotAllowed, match="It is still amiss with 'strange': Nothing to decide on"):
        watch.restore(live, "strange", by="ann", reason="please")
    beat(live.engine, "strange", row_at=present())
    assert watch.watch(live) == []
    assert (kinds(live), control(live, fair)) == ({"autonomy-taken"}, "advise")  # cured, and not yet given back

    assert watch.restore(live, "strange", by="ann", reason="the feed is back") == "approve"

    assert (kinds(live), control(live, fair)) == (set(), "approve")
    assert [entry.kind for entry in live.journal.entries() if entry.kind.startswith("autonomy")] == ["autonomy.taken", "autonomy.given"]
    with pytest.raises(NotAllowed, match="goes as far as it declares"):
        watch.restore(live, "strange", by="ann", reason="again")


def test_an_alarm_is_raised_once_and_cleared_once(live: Store, present: Any) -> None:
    present.at += timedelta(hours=4)
    for _ in range(3):
        watch.watch(live)
    beat(live.engine, "strange", row_at=present())
    for _ in range(3):
        watch.watch(live)

    told = [entry.kind for entry in live.journal.entries() if entry.kind.startswith("alarm") and entry.body["kind"] == "silence"]
    assert told == ["alarm.raised", "alarm.cleared"]


def roster(store: Store, text: str) -> None:
    (store.folder / "roster.toml").write_text(text, encoding="utf-8")


def test_an_owner_who_left_is_an_alarm_at_once_and_after_a_day_costs_autonomy(live: Store, fair: Workflow, present: Any) -> None:
    roster(live, f'[teams]\nnoc = ["ann"]\n[left]\nann = "{present().isoformat()}"\n')

    watch.watch(live)
    assert (kinds(live), control(live, fair)) == ({"owner-left"}, "approve")
    present.at += timedelta(hours=24)
    beat(live.engine, "strange", row_at=present())
    watch.watch(live)

    assert (kinds(live), control(live, fair)) == ({"owner-left", "autonomy-taken"}, "advise")
    roster(live, '[teams]\nnoc = ["bob"]\n')
    assert watch.restore(live, "strange", by="bob", reason="it is ours now") == "approve"
    watch.watch(live)
    assert (kinds(live), control(live, fair)) == (set(), "approve")


def test_a_team_the_roster_does_not_know_counts_from_when_that_was_seen(live: Store, fair: Workflow, present: Any) -> None:
    roster(live, '[teams]\nran = ["ann"]\n')

    watch.watch(live)
    present.at += timedelta(hours=25)
    beat(live.engine, "strange", row_at=present())
    assert control(live, fair) == "approve"
    watch.watch(live)

    assert control(live, fair) == "advise"


def test_a_review_that_is_overdue_costs_autonomy_and_one_that_is_made_counts_anew(live: Store, fair: Workflow, present: Any) -> None:
    assert watch.next_review(standing.books(live), "strange") == present() + timedelta(weeks=2)
    present.at += timedelta(weeks=2, hours=1)
    beat(live.engine, "strange", row_at=present())

    watch.watch(live)

    assert (kinds(live), control(live, fair)) == ({"review-overdue", "autonomy-taken"}, "advise")
    (mine,) = watch.listed(live).filter(pl.col("workflow") == "strange").to_dicts()
    assert mine["review"].endswith(", overdue")
    assert mine["control"] == "advise (declares approve)"
    assert watch.review(live, "strange", by="ann", reason="precision is what it was") == present() + timedelta(weeks=2)
    assert watch.restore(live, "strange", by="ann", reason="reviewed") == "approve"


def test_the_list_says_how_long_a_workflow_has_been_silent(live: Store, present: Any) -> None:
    present.at += timedelta(minutes=50)

    (mine,) = watch.listed(live).filter(pl.col("workflow") == "strange").to_dicts()
    present.at += timedelta(hours=5)
    (later,) = watch.listed(live).filter(pl.col("workflow") == "strange").to_dicts()

    assert mine["silence"] == "50 min"
    assert later["silence"] == "5 h, silent"


def test_one_that_cannot_be_watched_does_not_hide_the_others(live: Store, present: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise NotAllowed("It cannot be looked at.")

    with monkeypatch.context() as patched:
        patched.setattr(watch, "silence", broken)
        watch.watch(live)
    assert kinds(live) == {"watch-failed"}

    watch.watch(live)
    assert kinds(live) == set()


@pytest.mark.parametrize("verb", [watch.review, watch.restore])
def test_nothing_is_said_without_a_name_and_of_no_workflow(verb: Any, live: Store) -> None:
    with pytest.raises(NotAllowed, match="Somebody has to answer"):
        verb(live, "strange", by="", reason="why")
    with pytest.raises(NotAllowed, match="There is no release of 'nobody'"):
        verb(live, "nobody", by="ann", reason="why")
