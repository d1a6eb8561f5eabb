"""A workflow that acts alone changes its serving release with a verdict and another person's approval, or not at all.

Each test is one way around that, tried by somebody who can write the workspace but has not its key. After each, what serves is
what served before, proven; or nothing is decided.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import delete, insert, select, update

from trunkline import Decision, Row, Workflow, gates
from trunkline.core import config
from trunkline.core.errors import NotAllowed, Tampered, TrunklineError
from trunkline.core.frames import Facts
from trunkline.models import Context
from trunkline.run import canary, hand_over, releases, standing
from trunkline.run.train import Candidate, Contender, train
from trunkline.store import catalogue, commands, open_key, positions
from trunkline.store.journal import Journal
from trunkline.store.journal_rows import checkpoints, entries
from trunkline.store.opened import Store, open_store
from trunkline.workspace import Workspace

WEEK = timedelta(days=7)
EASILY: dict[str, Any] = {"release": None, "by": "ann", "reason": "looked at it", "waiver": "", "dry_run": False}


@dataclass(frozen=True)
class Deployed:
    """A store in which release *old* was live, *live* is, and *new* is in shadow and has seen enough, but nobody approved it."""

    store: Store
    workflow: Workflow
    old: str
    live: str
    new: str
    present: Any

    def deploy(self, workflow: Workflow | None = None, **how: Any) -> str:
        return releases.forward(self.store, workflow or self.workflow, **{**EASILY, **how})

    def anew(self) -> Store:
        """The same workspace, opened by another process."""
        return open_store(self.store.folder, self.store.configuration, clock=self.present)

    def sql(self, statement: Any) -> None:
        with self.store.engine.begin() as connection:
            connection.execute(statement)


@pytest.fixture(scope="module")
def alone(workflow: Workflow) -> Workflow:
    return replace(workflow, gates=(gates.Parity(),), control="auto")


@pytest.fixture(scope="module")
def trained(alone: Workflow, facts: Facts, context: Context, keys: Path) -> list[Candidate]:
    """Three releases of one workflow, each of less data."""
    last = facts.kpis["at"].max()
    assert isinstance(last, datetime)
    fewer = [replace(facts, kpis=facts.kpis.filter(pl.col("at") <= last - timedelta(days=days))) for days in (3, 2, 0)]
    at = datetime(2026, 11, 20, 14, tzinfo=UTC)
    return [train(alone, one, context=context, signer=open_key(keys), at=at, seed=3) for one in fewer]


@pytest.fixture(scope="module")
def made(trained: list[Candidate], alone: Workflow, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, datetime]:
    """The workspace that each test gets a copy of, and the time it was left at."""
    folder, present = tmp_path_factory.mktemp("made") / "workspace", Present(datetime(2026, 11, 20, 14, tzinfo=UTC))
    store = open_store(folder, config.read(folder, flags={"keys": str(keys), "operator": "ann"}, environment={}), clock=present, create=True)
    for candidate in trained:
        releases.keep(store, candidate, workflow=alone, by="tom")
        releases.forward(store, alone, **EASILY)
        present.at += WEEK
        seen(store, candidate.release.id, present.at)
        if candidate is not trained[-1]:
            releases.approve(store, candidate.release.id, by="eve", reason="read the card")
            releases.forward(store, alone, **EASILY)
            present.at += timedelta(hours=1)
    assert canary.serving(store, alone).live is not None
    store.close()
    return folder, present.at


@pytest.fixture
def it(made: tuple[Path, datetime], trained: list[Candidate], alone: Workflow, keys: Path, tmp_path: Path) -> Iterator[Deployed]:
    folder, present = tmp_path / "workspace", Present(made[1])
    shutil.copytree(made[0], folder)
    store = open_store(folder, config.read(folder, flags={"keys": str(keys), "operator": "ann"}, environment={}), clock=present)
    old, live, new = (one.release.id for one in trained)
    yield Deployed(store, alone, old, live, new, present)
    store.close()


@dataclass
class Present:
    """A clock that stands where it is put."""

    at: datetime

    def __call__(self) -> datetime:
        return self.at


def seen(store: Store, release: str, through: datetime) -> None:
    """Let a shadow have decided up to then."""
    workflow = standing.books(store).releases[release].workflow
    with store.engine.begin() as connection:
        before = positions.position(store.engine, workflow, "shadow")
        since = through if before is None else before.through
        positions.advance(connection, workflow, "shadow", since=since, through=through, release=release, body={})


def serves(it: Deployed, store: Store | None = None, workflow: Workflow | None = None) -> str:
    """Which release decides: its id, or "none" where nothing is decided."""
    try:
        found = canary.serving(store or it.store, workflow or it.workflow)
    except TrunklineError:
        return "none"
    assert found.canary is None
    return "none" if found.live is None else str(found.live["id"])


def test_without_a_way_around_it_goes_live(it: Deployed) -> None:
    releases.approve(it.store, it.new, by="eve", reason="read the card")

    assert it.deploy() == "live"
    assert serves(it) == it.new == serves(it, it.anew())


# --- by the front door ----------------------------------------------------------------------------


def test_without_an_approval(it: Deployed) -> None:
    with pytest.raises(NotAllowed, match="needs the approval of somebody who neither trained nor deploys it"):
        it.deploy()

    assert serves(it) == it.live


@pytest.mark.parametrize(("by", "why"), [("tom", "trained"), ("ann", "deployed")])
def test_by_approving_what_one_trained_or_deploys(by: str, why: str, it: Deployed) -> None:
    with pytest.raises(NotAllowed, match=f"{by} {why} release"):
        releases.approve(it.store, it.new, by=by, reason="mine is fine")

    with pytest.raises(NotAllowed, match="needs the approval"):
        it.deploy()
    assert serves(it) == it.live


def test_by_deploying_what_one_approved(it: Deployed) -> None:
    releases.approve(it.store, it.new, by="eve", reason="read the card")

    with pytest.raises(NotAllowed, match="needs the approval"):
        it.deploy(by="eve")
    assert serves(it) == it.live


def test_with_the_approval_of_another_release(it: Deployed) -> None:
    assert standing.books(it.store).releases[it.live].approvals
    it.store.journal.append("approval.given", {"release": it.new, "workflow": "strange", "hash": "0" * 64, "model": "0" * 64, "by": "eve", "reason": "stale"})

    with pytest.raises(NotAllowed, match="needs the approval"):
        it.deploy()
    assert serves(it) == it.live


def test_with_an_old_release_deployed_again(it: Deployed) -> None:
    with pytest.raises(NotAllowed, match="no release that could go forward"):
        it.deploy(release=it.old)
    assert serves(it) == it.live


@pytest.mark.parametrize("result", ["fail", "cannot tell"])
def test_with_a_waiver_on_what_the_gates_did_not_let_through(result: Any, it: Deployed, trained: list[Candidate]) -> None:
    it.sql(delete(catalogue.releases))
    with pytest.raises(Tampered, match="its row is gone"):
        it.deploy(waiver="ann: I answer for it")
    winner = trained[0].winner
    failed = replace(winner, verdicts=(replace(winner.verdicts[0], result=result),))
    release = replace(trained[0].release, training={"rows": 1})
    releases.keep(it.store, replace(trained[0], release=release, contenders=(failed,)), workflow=it.workflow, by="tom")

    with pytest.raises(NotAllowed, match=r"failed its gates|nobody can waive|could not tell"):
        it.deploy(release=release.id, waiver="ann: I answer for it")
    assert serves(it) == "none"


def test_with_a_clock_set_forward_past_the_shadow(it: Deployed, trained: list[Candidate]) -> None:
    it.sql(delete(positions.positions))
    releases.approve(it.store, it.new, by="eve", reason="read the card")
    it.present.at += 10 * WEEK

    with pytest.raises(NotAllowed, match="has seen data up to never"):
        it.deploy()
    with pytest.raises(NotAllowed, match="has seen data up to never"):
        it.deploy(waiver="ann: seen enough")
    assert serves(it) == it.live


def test_with_a_clock_set_back_into_a_change_window(it: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    releases.approve(it.store, it.new, by="eve", reason="read the card")
    it.present.at -= timedelta(days=1)

    with pytest.raises(NotAllowed, match=r"before the last entry of the journal|asks for 7d of it"):
        it.deploy()
    assert serves(it) == it.live


def test_with_a_command_that_was_carried_out_before(it: Deployed) -> None:
    assert "workflow.rollback" in Workspace(it.store).verbs()
    commands.ready(it.store)
    asked = commands.ask(it.store, "workflow.rollback", {"name": "strange", "by": "ann", "reason": "worse"}, by="ann", reason="worse", id="c1")
    hand_over.carry_out(it.store, asked)
    assert serves(it) == it.old
    releases.back(it.store, "strange", to=it.live, by="bob", reason="it was not", dry_run=False)

    it.sql(update(commands.commands).values(state="asked", answer=None, done_at=None))
    again = commands.get(it.store, "c1")
    assert again is not None
    done = hand_over.carry_out(it.store, again)

    assert done.state == "refused"
    assert serves(it) == it.live


def test_with_the_row_of_a_command_written_by_hand(it: Deployed) -> None:
    commands.ready(it.store)
    commands.ask(it.store, "workflow.rollback", {"name": "strange", "to": it.old, "by": "ann", "reason": "worse"}, by="ann", reason="worse", id="c1")
    it.sql(update(commands.commands).values(verb="workflow.deploy"))
    forged = commands.get(it.store, "c1")
    assert forged is not None

    assert hand_over.carry_out(it.store, forged).state == "refused"
    assert serves(it) == it.live


# --- by the database ------------------------------------------------------------------------------


def test_by_calling_the_new_one_live_in_the_catalogue(it: Deployed) -> None:
    table = catalogue.releases
    it.sql(update(table).where(table.c.id == it.live).values(state="retired"))
    it.sql(update(table).where(table.c.id == it.new).values(state="live"))

    assert serves(it) == "none"
    assert [row["kind"] for row in standing.alarms(it.store).active("strange")] == [canary.UNPROVEN]
    with pytest.raises(Tampered, match="its state in the catalogue is not what the journal says"):
        releases.approve(it.store, it.new, by="eve", reason="read the card")


@pytest.mark.parametrize(
    "values", [{"verdict": "cannot tell"}, {"waiver": "eve: fine"}, {"workflow": "another"}, {"card": {}}, {"state": "canary"}, {"body": {"policy": {}}}]
)
def test_by_changing_what_a_row_says(values: dict[str, Any], it: Deployed) -> None:
    table = catalogue.releases
    it.sql(update(table).where(table.c.id == it.new).values(**values))

    with pytest.raises(TrunklineError):
        releases.approve(it.store, it.new, by="eve", reason="read the card")
    with pytest.raises(TrunklineError):
        it.deploy()
    assert serves(it) == it.live

    it.sql(update(table).where(table.c.id == it.live).values(**values))
    assert serves(it) == "none"


def test_by_saying_that_it_only_asks(it: Deployed) -> None:
    table = catalogue.releases
    with it.store.engine.begin() as connection:
        body = connection.execute(select(table.c.body).where(table.c.id == it.new)).scalar_one()
    it.sql(update(table).where(table.c.id == it.new).values(body={**body, "policy": {**body["policy"], "control": "approve"}}))

    with pytest.raises(Tampered, match="its body in the catalogue is not what the journal says"):
        it.deploy()
    assert serves(it) == it.live


def test_with_a_row_that_nobody_trained(it: Deployed) -> None:
    table = catalogue.releases
    with it.store.engine.begin() as connection:
        row = dict(connection.execute(select(table).where(table.c.id == it.new)).mappings().one())
    it.sql(insert(table).values(**{**row, "id": "f" * 16, "state": "live"}))

    assert serves(it) == it.live
    assert standing.alarms(it.store).active("strange")
    with pytest.raises(Tampered, match="the journal knows nothing of release ffff"):
        it.deploy()


def test_with_the_model_of_another_release(it: Deployed) -> None:
    table = catalogue.releases
    with it.store.engine.begin() as connection:
        model = connection.execute(select(table.c.model).where(table.c.id == it.new)).scalar_one()
    it.sql(update(table).where(table.c.id == it.live).values(model=model))

    assert serves(it) == "none"
    row = standing.rows(it.store, "strange")[it.live]
    with pytest.raises(Tampered, match="is of another release"):
        releases.fitted(it.store, row)


def test_with_a_model_file_swapped_among_the_blobs(it: Deployed) -> None:
    found = standing.rows(it.store, "strange")
    mine, other = (it.store.blobs.path(found[one]["model"]) for one in (it.live, it.new))
    mine.chmod(0o600)
    shutil.copyfile(other, mine)

    assert serves(it) == "none"


# --- by the journal -------------------------------------------------------------------------------


def last(it: Deployed, kind: str) -> Any:
    with it.store.engine.begin() as connection:
        return connection.execute(select(entries).where(entries.c.kind == kind).order_by(entries.c.seq.desc()).limit(1)).one()


@pytest.mark.parametrize("kind", ["release.deploy", "gates.verdict", "release.trained", "approval.given"])
def test_with_an_entry_taken_out(kind: str, it: Deployed) -> None:
    it.sql(delete(entries).where(entries.c.seq == last(it, kind).seq))

    assert serves(it, it.anew()) == "none"


def test_with_an_entry_hidden_under_another_kind(it: Deployed) -> None:
    releases.back(it.store, "strange", to=None, by="ann", reason="worse", dry_run=False)
    it.sql(update(entries).where(entries.c.seq == last(it, "release.rollback").seq).values(kind="note"))

    assert serves(it, it.anew()) == it.old


def test_with_an_entry_that_was_changed(it: Deployed) -> None:
    row = last(it, "approval.given")
    it.sql(update(entries).where(entries.c.seq == row.seq).values(entry=bytes(row.entry).replace(it.live.encode(), it.new.encode())))

    assert serves(it, it.anew()) == "none"


def test_with_an_entry_that_nobody_signed(it: Deployed) -> None:
    size = it.store.journal.size
    body = f'{{"hash":"x","model":"x","release":"{it.new}","by":"eve","reason":"r"}}'
    entry = f'{{"at":"2026-11-20T14:00:00.000000Z","body":{body},"format":1,"kind":"approval.given","seq":{size}}}'.encode()
    it.sql(insert(entries).values(seq=size, kind="approval.given", entry=entry, leaf=b"x" * 32))

    for store in (it.store, it.anew()):
        assert serves(it, store) == "none"
    with pytest.raises(Tampered):
        it.deploy()


def test_with_an_entry_signed_by_another_key(it: Deployed, tmp_path: Path) -> None:
    one = standing.books(it.store).releases[it.new]
    body = {"release": it.new, "workflow": "strange", "hash": one.body["hash"], "model": one.body["model"], "by": "eve", "reason": "r"}
    forger = Journal(it.store.engine, open_key(tmp_path / "forged"), it.present)
    with pytest.raises(Tampered):
        forger.append("approval.given", body)
    row = last(it, "approval.given")
    it.sql(delete(checkpoints).where(checkpoints.c.size > row.seq + 1))
    it.sql(delete(entries).where(entries.c.seq > row.seq))
    it.sql(update(checkpoints).where(checkpoints.c.size == row.seq + 1).values(key=open_key(tmp_path / "forged").id))

    assert serves(it) == serves(it, it.anew()) == "none"


def test_with_a_journal_cut_back_under_a_process_that_runs(it: Deployed) -> None:
    releases.back(it.store, "strange", to=None, by="ann", reason="it did harm", dry_run=False)
    assert serves(it) == it.old
    row = last(it, "release.rollback")
    it.sql(delete(checkpoints).where(checkpoints.c.size > row.seq))
    it.sql(delete(entries).where(entries.c.seq >= row.seq))

    assert serves(it) == "none"
    assert serves(it, it.anew()) == "none"  # the catalogue says otherwise; that the end is missing tells only a witness


# --- by the code ----------------------------------------------------------------------------------


def eager(row: Row, score: float) -> Decision | None:
    return Decision("reset_cell", target=row["element"], confidence=score)


def test_with_an_edited_decide(it: Deployed) -> None:
    edited = replace(it.workflow, decide=eager)

    with pytest.raises(NotAllowed, match="is live for another definition"):
        canary.serving(it.store, edited)
    releases.approve(it.store, it.new, by="eve", reason="read the card")
    with pytest.raises(NotAllowed, match="was trained for another definition"):
        it.deploy(edited)
    assert serves(it) == it.live


def test_with_a_definition_whose_control_was_changed_behind_its_hash(it: Deployed) -> None:
    loaded = replace(it.workflow)
    assert loaded.hash
    object.__setattr__(loaded, "control", "approve")  # the hash was reckoned before

    with pytest.raises(NotAllowed, match="needs the approval"):
        it.deploy(loaded)
    assert serves(it) == it.live


def test_with_a_candidate_of_another_definition(it: Deployed, trained: list[Candidate]) -> None:
    other = replace(it.workflow, safe_default="act anyway")
    with pytest.raises(NotAllowed, match="was edited while it was trained"):
        releases.keep(it.store, trained[2], workflow=other, by="tom")
    stranger = replace(trained[2], release=replace(trained[2].release, hash=other.hash))
    releases.keep(it.store, stranger, workflow=other, by="tom")
    releases.approve(it.store, stranger.release.id, by="eve", reason="read the card")

    with pytest.raises(NotAllowed, match="was trained for another definition"):
        it.deploy(release=stranger.release.id)
    assert serves(it) == it.live


def test_with_a_workflow_under_another_name(it: Deployed) -> None:
    renamed = replace(it.workflow, name="harmless", control="approve")

    with pytest.raises(NotAllowed, match="no release that could go forward"):
        it.deploy(renamed)
    table = catalogue.releases
    it.sql(update(table).where(table.c.id == it.new).values(workflow="harmless"))
    with pytest.raises(NotAllowed, match="no release that could go forward"):
        it.deploy(renamed)
    assert serves(it, workflow=renamed) == "none"
    assert serves(it) == it.live


def kept_with(it: Deployed, candidate: Candidate) -> str:
    """Keep a candidate whose gates failed, under an id of its own."""
    winner = candidate.winner
    failed = replace(winner, verdicts=tuple(replace(one, result="fail") for one in winner.verdicts))
    made = replace(candidate, release=replace(candidate.release, training={"rows": 7}), contenders=(failed,))
    releases.keep(it.store, made, workflow=it.workflow, by="tom")
    return made.release.id


def test_with_a_result_that_does_not_follow_from_the_gates(it: Deployed, trained: list[Candidate], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Contender, "result", property(lambda _: "pass"))
    monkeypatch.setattr(releases, "joint", lambda _: "pass")

    release = kept_with(it, trained[0])

    assert catalogue.rows(it.store.engine, catalogue.releases, catalogue.releases.c.id == release)[0]["verdict"] == "pass"
    with pytest.raises(NotAllowed, match="did not pass its gates"):
        releases.approve(it.store, release, by="eve", reason="it says pass")
    with pytest.raises(NotAllowed, match="failed its gates"):
        it.deploy(release=release)
    assert serves(it) == it.live


def test_with_a_gate_that_was_not_asked(it: Deployed, trained: list[Candidate]) -> None:
    made = replace(trained[0], release=replace(trained[0].release, training={"rows": 8}), contenders=(replace(trained[0].winner, verdicts=()),))
    releases.keep(it.store, made, workflow=it.workflow, by="tom")

    with pytest.raises(NotAllowed, match="failed its gates"):
        it.deploy(release=made.release.id)
    assert serves(it) == it.live


def test_with_a_gate_whose_check_was_exchanged(it: Deployed, trained: list[Candidate], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates.Parity, "check", lambda _self, _evidence: gates.Verdict(gate="parity", result="pass"))

    with pytest.raises(NotAllowed, match="The gate Parity is not the one its file defines"):
        releases.keep(it.store, trained[0], workflow=it.workflow, by="tom")
    assert serves(it) == it.live


HELPED = """
from pathlib import Path
from trunkline import Decision, Guardrail, Outcome, Owner, Workflow, actions, feedback, gates, models
from trunkline.features import Features, each_kpi
from helper import is_high

def decide(row, score):
    return Decision("look", target=row["element"], confidence=score) if is_high(score) else None

workflow = Workflow(
    name="helped", owner=Owner(team="noc", oncall="noc", runbook="runbook.md"), purpose="network-assurance",
    outcome=Outcome.target("hours", baseline="last 8 weeks", at_least="-50 %"), control="auto", safe_default="no decision",
    data=("measurements", "elements"), features=Features(entity="element", every="1h", columns={"kpis": each_kpi()}),
    model=models.Harmonic(), gates=(gates.Parity(),), decide=decide, act=actions.Propose(to="noc"), feedback=feedback.QueueOutcome(),
)
"""


@pytest.fixture
def helped(tmp_path: Path) -> Path:
    folder = tmp_path / "helped"
    folder.mkdir()
    (folder / "runbook.md").write_text("# Runbook\n", encoding="utf-8")
    (folder / "helper.py").write_text("LEVEL = 0.99\n\ndef is_high(score):\n    return score >= LEVEL\n", encoding="utf-8")
    (folder / "helped.py").write_text(HELPED, encoding="utf-8")
    return folder / "helped.py"


@pytest.fixture
def live_by_file(helped: Path, store: Store, facts: Facts, context: Context, present: Any) -> tuple[Path, str]:
    """A workflow of a file, live, with a helper beside it."""
    from trunkline.run import shipped

    workflow = shipped.find(helped)
    candidate = train(workflow, facts, context=context, signer=store.signer, at=present(), seed=3)
    releases.keep(store, candidate, workflow=workflow, by="tom")
    releases.forward(store, workflow, **EASILY)
    present.at += WEEK
    seen(store, candidate.release.id, present.at)
    releases.approve(store, candidate.release.id, by="eve", reason="read the card")
    releases.forward(store, workflow, **EASILY)
    return helped, candidate.release.id


def test_with_an_edited_helper_beside_the_workflow(live_by_file: tuple[Path, str], store: Store) -> None:
    from trunkline.run import shipped

    path, live = live_by_file
    found = canary.serving(store, shipped.find(path)).live
    assert found is not None
    assert found["id"] == live
    (path.parent / "helper.py").write_text("LEVEL = 0.0\n\ndef is_high(score):\n    return score >= LEVEL\n", encoding="utf-8")

    with pytest.raises(NotAllowed, match="is live for another definition"):
        canary.serving(store, shipped.find(path))
    kept = canary.defined(store, shipped.find(path))
    assert kept.decide is not None
    assert kept.decide(Row({"element": ["a"], "entity": ["a"]}, 0), 0.5) is None
    assert canary.serving(store, kept).live == found


def test_with_an_edited_file_among_those_kept_with_the_release(live_by_file: tuple[Path, str], store: Store) -> None:
    from trunkline.run import definitions, shipped

    path, live = live_by_file
    one = standing.books(store).releases[live]
    folder = store.folder / "definitions" / one.definition[:16]
    folder.mkdir(parents=True)
    (folder / "helper.py").write_text("def is_high(score):\n    return True\n", encoding="utf-8")

    kept = definitions.definition(store, one)

    assert kept.hash == one.body["hash"] == shipped.find(path).hash
    assert kept.decide is not None
    assert kept.decide(Row({"element": ["a"], "entity": ["a"]}, 0), 0.5) is None


def test_with_an_edited_gate_of_ones_own(helped: Path) -> None:
    from trunkline.run import shipped

    gate = "from dataclasses import dataclass\nfrom trunkline.gates import Verdict\n\n@dataclass(frozen=True)\nclass Own:\n    judges = 'scores'\n    def check(self, evidence):\n        return Verdict(gate='own', result='fail')\n"
    (helped.parent / "own_gate.py").write_text(gate, encoding="utf-8")
    helped.write_text(
        HELPED.replace("from helper", "from own_gate import Own\nfrom helper").replace("gates.Parity(),", "gates.Parity(), Own(),"), encoding="utf-8"
    )
    before = shipped.find(helped).hash

    (helped.parent / "own_gate.py").write_text(gate.replace("fail", "pass"), encoding="utf-8")

    assert shipped.find(helped).hash != before
