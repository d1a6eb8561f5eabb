"""From a trained candidate to a live release and back, each step by somebody, with a reason, in the journal."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from trunkline import Release, Workflow, gates
from trunkline.core.errors import BadInput, NotAllowed, Tampered, TrunklineError, UnknownName
from trunkline.core.frames import Facts
from trunkline.models import Context
from trunkline.run import queue, releases
from trunkline.run.replay import replay
from trunkline.run.train import Candidate, train
from trunkline.store import catalogue, open_key
from trunkline.store.opened import Store
from trunkline.workflow import diff

SHADOW = timedelta(days=7)
HOW = {"by": "ann", "reason": "looked at it", "waiver": "", "dry_run": False}


@pytest.fixture(scope="module")
def fair(workflow: Workflow) -> Workflow:
    """A workflow whose one gate can be passed on a small past."""
    return replace(workflow, gates=(gates.Parity(),))


@pytest.fixture(scope="module")
def candidate(fair: Workflow, facts: Facts, context: Context, keys: Path) -> Candidate:
    return trained(fair, facts, context, keys)


@pytest.fixture(scope="module")
def other(fair: Workflow, facts: Facts, context: Context, keys: Path) -> Candidate:
    """Trained on three days less."""
    return trained(fair, replace(facts, kpis=facts.kpis.filter(pl.col("at") < facts.kpis["at"].max() - timedelta(days=3))), context, keys)  # type: ignore[operator]


def trained(workflow: Workflow, facts: Facts, context: Context, keys: Path) -> Candidate:
    return train(workflow, facts, context=context, signer=open_key(keys), at=datetime(2026, 11, 20, 14, tzinfo=UTC), seed=3)


def judged(candidate: Candidate, result: str) -> Candidate:
    """The candidate as if its gates had said so."""
    (verdict,) = candidate.winner.verdicts
    said = replace(candidate.winner, verdicts=(replace(verdict, result=result),))  # type: ignore[arg-type]
    return replace(candidate, contenders=(said, *candidate.contenders[1:]))


def states(store: Store) -> dict[str, str]:
    return {row["id"]: row["state"] for row in catalogue.rows(store.engine, catalogue.releases)}


def test_what_is_kept_is_the_release_its_model_and_every_verdict(candidate: Candidate, store: Store, fair: Workflow) -> None:
    releases.keep(store, candidate)

    release = releases.get(store, candidate.release.id[:6])
    assert isinstance(release, Release)
    assert release.id == candidate.release.id
    assert release.hash == fair.hash
    assert [entry.kind for entry in store.journal.entries()] == ["release.trained", "gates.verdict"]
    assert releases.card(store, release.id)["contenders"]["Harmonic"]["result"] == "pass"
    assert release.training["entities"] == 2
    assert release.training["every"] == "1h"


def test_the_same_data_and_seed_make_the_same_release(candidate: Candidate, fair: Workflow, facts: Facts, context: Context, keys: Path, store: Store) -> None:
    again = trained(fair, facts, context, keys)

    assert again.release.id == candidate.release.id
    releases.keep(store, candidate)
    releases.keep(store, again)
    assert len(states(store)) == 1


def test_other_data_make_another_release_and_the_diff_says_what_differs(candidate: Candidate, other: Candidate) -> None:
    changed = {path for path, _, _ in diff(candidate.release, other.release)}

    assert other.release.id != candidate.release.id
    assert {"model", "training.rows", "training.last", "training.dataset"} <= changed
    assert "hash" not in changed


def test_a_model_that_was_kept_scores_as_it_did_when_it_was_trained(candidate: Candidate, store: Store, facts: Facts, fair: Workflow) -> None:
    from trunkline.features import history

    releases.keep(store, candidate)
    (row,) = catalogue.rows(store.engine, catalogue.releases)
    assert fair.features is not None
    rows = history(fair.features.bind(["volume"]), facts)

    again = releases.fitted(store, row)

    assert again.score(rows).tolist() == pytest.approx(candidate.fitted.score(rows).tolist(), abs=0, nan_ok=True)


def test_a_model_file_that_was_touched_is_not_loaded(candidate: Candidate, store: Store) -> None:
    releases.keep(store, candidate)
    (row,) = catalogue.rows(store.engine, catalogue.releases)
    path = store.blobs.path(row["model"])
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1] + b"x")

    with pytest.raises((Tampered, TrunklineError)):
        releases.fitted(store, row)


def test_a_candidate_goes_into_shadow_then_live_and_each_step_is_in_the_journal(candidate: Candidate, store: Store, fair: Workflow, present: Any) -> None:
    releases.keep(store, candidate)

    assert releases.forward(store, fair, release=None, **HOW) == "shadow"  # type: ignore[arg-type]
    assert releases.in_state(store, "strange", "live") is None
    present.at += SHADOW
    assert releases.forward(store, fair, release=None, **HOW) == "live"  # type: ignore[arg-type]

    assert states(store) == {candidate.release.id: "live"}
    steps = [entry.body for entry in store.journal.entries("release.deploy")]
    assert [(s["from"], s["to"], s["by"], s["reason"]) for s in steps] == [
        ("candidate", "shadow", "ann", "looked at it"),
        ("shadow", "live", "ann", "looked at it"),
    ]
    with pytest.raises(NotAllowed, match="no release that could go forward"):
        releases.forward(store, fair, release=None, **HOW)  # type: ignore[arg-type]


def test_a_shadow_lasts_as_long_as_the_workflow_asks_unless_somebody_answers_for_less(candidate: Candidate, store: Store, fair: Workflow, present: Any) -> None:
    releases.keep(store, candidate)
    releases.forward(store, fair, release=None, **HOW)  # type: ignore[arg-type]
    present.at += SHADOW - timedelta(minutes=1)

    with pytest.raises(NotAllowed, match="the workflow asks for 7d of it") as refused:
        releases.forward(store, fair, release=None, **HOW)  # type: ignore[arg-type]

    assert "--waiver" in refused.value.next_step
    assert states(store) == {candidate.release.id: "shadow"}
    assert releases.forward(store, fair, release=None, **{**HOW, "waiver": "ann: seen enough"}) == "live"  # type: ignore[arg-type]


def test_a_dry_run_says_where_it_would_go_and_changes_nothing(candidate: Candidate, store: Store, fair: Workflow) -> None:
    releases.keep(store, candidate)
    size = store.journal.size

    assert releases.forward(store, fair, release=None, **{**HOW, "dry_run": True}) == "shadow"  # type: ignore[arg-type]

    assert states(store) == {candidate.release.id: "candidate"}
    assert store.journal.size == size


@pytest.mark.parametrize("left_out", ["by", "reason"])
def test_nothing_goes_on_without_somebody_who_answers_and_a_reason(left_out: str, candidate: Candidate, store: Store, fair: Workflow) -> None:
    releases.keep(store, candidate)

    with pytest.raises(NotAllowed, match="Somebody has to answer"):
        releases.forward(store, fair, release=None, **{**HOW, left_out: ""})  # type: ignore[arg-type]

    assert states(store) == {candidate.release.id: "candidate"}


def test_a_workflow_that_was_edited_since_has_to_be_trained_again(candidate: Candidate, store: Store, fair: Workflow) -> None:
    releases.keep(store, candidate)

    with pytest.raises(NotAllowed, match="trained for another definition of 'strange'") as refused:
        releases.forward(store, replace(fair, safe_default="ask"), release=None, **HOW)  # type: ignore[arg-type]

    assert refused.value.next_step == "trunkline workflow train strange"


def test_on_the_grid_of_the_data_it_is_trained_and_deployed_as_what_it_is(facts: Facts, context: Context, keys: Path, store: Store, fair: Workflow) -> None:
    assert fair.features is not None
    finer = replace(fair, features=replace(fair.features, every=timedelta(minutes=15)))
    releases.keep(store, trained(finer.on_grid(fair.features), facts, context, keys))

    assert releases.forward(store, finer, release=None, **HOW) == "shadow"  # type: ignore[arg-type]


@pytest.mark.parametrize(("verdict", "waiver", "refused"), [("fail", "ann: sure", "failed its gates"), ("cannot tell", "", "could not tell")])
def test_what_the_gates_do_not_let_through_stays_where_it_is(
    verdict: str, waiver: str, refused: str, candidate: Candidate, store: Store, fair: Workflow
) -> None:
    releases.keep(store, judged(candidate, verdict))

    with pytest.raises(NotAllowed, match=refused):
        releases.forward(store, fair, release=None, **{**HOW, "waiver": waiver})  # type: ignore[arg-type]

    assert states(store) == {candidate.release.id: "candidate"}


def test_a_waiver_is_kept_with_the_name_of_who_answers(candidate: Candidate, store: Store, fair: Workflow) -> None:
    releases.keep(store, judged(candidate, "cannot tell"))

    releases.forward(store, fair, release=None, **{**HOW, "waiver": "ann: no labels yet"})  # type: ignore[arg-type]

    assert catalogue.rows(store.engine, catalogue.releases)[0]["waiver"] == "ann: no labels yet"
    assert next(iter(store.journal.entries("release.deploy"))).body["waiver"] == "ann: no labels yet"


@pytest.fixture
def two(candidate: Candidate, other: Candidate, fair: Workflow, store: Store, present: Any) -> tuple[str, str]:
    """A release that was live, and the one that is."""
    for made in (candidate, other):
        releases.keep(store, made)
        for _ in range(2):
            present.at += SHADOW
            releases.forward(store, fair, release=None, **HOW)  # type: ignore[arg-type]
    return candidate.release.id, other.release.id


def test_when_the_next_goes_live_the_one_before_is_retired(two: tuple[str, str], store: Store) -> None:
    assert states(store) == {two[0]: "retired", two[1]: "live"}


def test_going_back_needs_no_verdict_and_can_be_gone_back_on(two: tuple[str, str], store: Store, present: Any) -> None:
    present.at += timedelta(minutes=1)
    assert releases.back(store, "strange", to=None, by="ann", reason="worse", dry_run=True) == two[0]
    assert states(store) == {two[0]: "retired", two[1]: "live"}

    assert releases.back(store, "strange", to=None, by="ann", reason="worse", dry_run=False) == two[0]
    assert states(store) == {two[0]: "live", two[1]: "retired"}
    present.at += timedelta(minutes=1)
    assert releases.back(store, "strange", to=two[1][:5], by="bob", reason="it was not", dry_run=False) == two[1]

    assert states(store) == {two[0]: "retired", two[1]: "live"}
    assert [entry.body["by"] for entry in store.journal.entries("release.rollback")] == ["ann", "bob"]
    assert store.journal.verify().ok


def test_there_is_never_more_than_one_live(two: tuple[str, str], store: Store) -> None:
    for _ in range(3):
        releases.back(store, "strange", to=None, by="ann", reason="again", dry_run=False)

        assert sorted(states(store).values()) == ["live", "retired"]


def test_without_an_earlier_release_there_is_no_way_back(store: Store) -> None:
    with pytest.raises(NotAllowed, match="'strange' has no earlier release to go back to") as refused:
        releases.back(store, "strange", to=None, by="ann", reason="worse", dry_run=False)

    assert refused.value.next_step == "trunkline workflow show strange"


def test_a_release_is_found_by_its_first_letters(two: tuple[str, str], store: Store) -> None:
    assert releases.get(store, two[0][:8]).id == two[0]
    with pytest.raises(UnknownName, match="There is no release 'zz'"):
        releases.get(store, "zz")
    with pytest.raises(BadInput, match="begins 2 or more ids"):
        releases.get(store, "")


def test_an_overview_tells_what_is_live(two: tuple[str, str], store: Store) -> None:
    (mine,) = releases.overview(store).filter(pl.col("workflow") == "strange").to_dicts()

    assert (mine["live"], mine["shadow"], mine["verdict"], mine["open"]) == (two[1], "", "pass", 0)
    assert releases.listed(store, "strange").height == 2
    assert releases.listed(store, "nobody's").is_empty()


def test_a_replay_is_recorded_in_nobodys_queue(workflow: Workflow, facts: Facts, context: Context, store: Store) -> None:
    found = replay(workflow, facts, context=context, self_test=False, seed=3)
    assert found.findings

    releases.record_replay(store, found)
    releases.record_replay(store, found)

    assert queue.listed(store) == []
    rest = queue.listed(store, state=None)
    assert {one.id for one in rest} == {f.decision.id for f in found.findings}
    assert {one.state for one in rest} == {"replayed"}
    assert all(isinstance(one.row["volume"], float) for one in rest)
    assert len(list(store.journal.entries("decision"))) == len(found.findings)
    assert msgspec.json.encode(rest[0].row)
    assert isinstance(rest[0].at, datetime)
