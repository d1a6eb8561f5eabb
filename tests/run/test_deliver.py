"""What has to happen outside: after the commit, again until it got through, under one key."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sqlalchemy import text
from tests.run.conftest import Present
from tests.run.test_queue import finding, put

from trunkline import Workflow, actions
from trunkline.core.errors import NotAllowed, Tampered
from trunkline.run import agreement, queue
from trunkline.run import deliver as module
from trunkline.run.deliver import again, deliver
from trunkline.store import outbox, transaction
from trunkline.store.opened import Store


class Outside:
    """A system outside that fails as it is told, and drops what it has seen."""

    def __init__(self) -> None:
        self.failures: list[int | str] = []
        self.came = Counter[str]()
        self.held: dict[str, Any] = {}
        outside = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                key = self.headers["Idempotency-Key"]
                assert body["key"] == key
                outside.came[key] += 1
                failure = outside.failures.pop(0) if outside.failures else 200
                if failure == "before":  # the connection dies, nothing was kept
                    self.close_connection = True
                    return
                if isinstance(failure, int) and failure >= 400:
                    self.send_error(failure)
                    return
                outside.held.setdefault(key, body)
                if failure == "after":  # it was kept, and the answer is lost
                    self.close_connection = True
                    return
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/new"


@pytest.fixture
def outside() -> Iterator[Outside]:
    made = Outside()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def telling(workflow: Workflow, outside: Outside) -> Workflow:
    return replace(workflow, act=actions.Notify(to=outside.url, timeout="5s"), control="auto")


def until_over(store: Store, present: Present, **how: Any) -> list[str]:
    states = list[str]()
    for _ in range(20):
        states += [one.state for one in deliver(store, **how)]
        present.at += timedelta(hours=1)
    return states


def test_what_failed_on_the_way_gets_through_once_for_who_drops_a_key_it_has_seen(store: Store, telling: Workflow, outside: Outside, present: Present) -> None:
    outside.failures = [500, "before", "after", 503, 429, 200]
    put(store, telling, finding())

    assert until_over(store, present) == ["waiting"] * 5 + ["delivered"]

    (key,) = outside.held
    assert outside.came == {key: 6}
    (intent,) = outbox.in_state(store.engine, "delivered")
    assert (intent.key, intent.attempts) == (key, 6)
    assert queue.show(store, "d1").state == "done"
    assert "delivered after 6 attempts" in queue.show(store, "d1").outside[0]
    assert [entry.body["key"] for entry in store.journal.entries("delivery.receipt")] == [key]
    assert agreement.disagreements(store) == []


def test_it_waits_longer_after_each_failure(store: Store, telling: Workflow, outside: Outside, present: Present) -> None:
    outside.failures = [500] * 4
    put(store, telling, finding())
    pauses = []
    for _ in range(4):
        deliver(store)
        (intent,) = outbox.in_state(store.engine, "waiting")
        pauses.append((intent.next_at - present.at).total_seconds())
        assert deliver(store) == []
        present.at = intent.next_at

    assert pauses == [5, 10, 20, 40]


@pytest.mark.parametrize(("failures", "attempts", "why"), [([500] * 9, 3, "It was answered 500"), ([404] * 9, 1, "It was answered 404")])
def test_what_never_gets_through_is_a_dead_letter_with_the_reason(
    store: Store, telling: Workflow, outside: Outside, present: Present, failures: list[int | str], attempts: int, why: str
) -> None:
    outside.failures = failures
    put(store, telling, finding())

    assert until_over(store, present, attempts=3) == ["waiting"] * (attempts - 1) + ["dead"]

    (dead,) = store.journal.entries("delivery.dead")
    assert dead.body["attempts"] == attempts
    assert why in dead.body["why"]
    assert why in queue.show(store, "d1").outside[0]
    outside.failures = []
    with pytest.raises(NotAllowed, match="answer for it"):
        again(store, f"d1{'0' * 14}", by="", reason="")
    assert again(store, f"d1{'0' * 14}", by="ann", reason="mended") == 1
    assert until_over(store, present) == ["delivered"]


def test_killed_between_sending_and_writing_it_down_it_is_sent_again_under_the_same_key(
    store: Store, telling: Workflow, outside: Outside, present: Present, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, telling, finding())

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for _ in range(3):
        with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
            broken.setattr(module, "_delivered", killed)
            deliver(store)
    assert until_over(store, present) == ["delivered"]

    (key,) = outside.held
    assert outside.came == {key: 4}


def test_without_a_person_nothing_goes_out_where_one_is_asked_first(store: Store, telling: Workflow, outside: Outside, present: Present) -> None:
    asks = replace(telling, control="approve")
    put(store, asks, finding())

    assert until_over(store, present) == []
    assert queue.show(store, "d1").state == "open"

    queue.step(store, "d1", "approve", by="ann", reason="it is so")
    assert until_over(store, present) == ["delivered"]
    assert queue.show(store, "d1").state == "done"
    assert agreement.disagreements(store) == []


def test_a_workflow_whose_autonomy_was_taken_asks_first(store: Store, telling: Workflow) -> None:
    queue.record(store, telling, [finding()], rows={}, counts={}, control="approve")

    assert queue.show(store, "d1").state == "open"
    assert deliver(store) == []


def test_advice_a_shadow_and_a_replay_never_go_out(store: Store, telling: Workflow, outside: Outside) -> None:
    put(store, replace(telling, control="advise"), finding("d1"))
    put(store, telling, finding("d2", mode="shadow"), finding("d3", mode="replay"))

    assert deliver(store) == []
    assert outside.came == {}


def test_what_is_undone_is_told_under_the_key_it_undoes(store: Store, telling: Workflow, outside: Outside, present: Present) -> None:
    put(store, telling, finding())
    until_over(store, present)

    queue.step(store, "d1", "undo", by="ann", reason="it was planned")
    until_over(store, present)

    act, undo = outside.held.values()
    assert (act["verb"], undo["verb"], undo["undoes"]) == ("act", "undo", act["key"])
    queue.step(store, "d1", "approve", by="ann", reason="after all")
    until_over(store, present)
    assert len(outside.held) == 3


def test_undone_before_it_got_through_it_is_withdrawn_and_only_the_undoing_goes_out(
    store: Store, telling: Workflow, outside: Outside, present: Present
) -> None:
    outside.failures = [500]
    put(store, telling, finding())
    deliver(store)

    queue.step(store, "d1", "undo", by="ann", reason="it was planned")
    until_over(store, present)

    assert [one["verb"] for one in outside.held.values()] == ["undo"]
    assert [one.state for one in outbox.of_decision(store.engine, f"d1{'0' * 14}")] == ["withdrawn", "delivered"]
    assert agreement.disagreements(store) == []


def test_a_dry_run_says_what_would_go(store: Store, telling: Workflow, outside: Outside) -> None:
    put(store, telling, finding())

    (told,) = deliver(store, dry_run=True)

    assert told.why == "would go by notify"
    assert outside.came == {}


def test_an_action_that_is_not_installed_any_more_is_told(store: Store, telling: Workflow, present: Present, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, telling, finding())
    monkeypatch.setattr("trunkline.core.registry.names", lambda _kind: {})

    until_over(store, present, attempts=2)

    (dead,) = store.journal.entries("delivery.dead")
    assert "There is no action 'notify'" in dead.body["why"]


def write(store: Store, statement: str) -> None:
    with transaction(store.engine) as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        ("UPDATE outbox SET body = replace(body, '/new', '/elsewhere')", "it was changed after it was put into the outbox"),
        ("UPDATE outbox SET body = replace(body, 'cell-a', 'cell-b')", "it was changed after it was put into the outbox"),
        ("UPDATE outbox SET key = 'another'", "the journal knows nothing of it"),
        ('UPDATE outbox SET body = \'{"act":{},"message":{}}\'', "it was changed after it was put into the outbox"),
    ],
)
def test_a_message_that_somebody_wrote_by_hand_is_never_sent_and_the_check_names_it(
    store: Store, telling: Workflow, outside: Outside, edit: str, why: str
) -> None:
    put(store, telling, replace(finding(), decision=replace(finding().decision, target="cell-a")))
    write(store, edit)

    assert why in [fault for _, fault in agreement.disagreements(store)]
    (tried,) = deliver(store)

    assert tried.state == "dead"
    assert "wrote its row by hand" in tried.why
    assert outside.came == {}


def test_a_message_that_is_called_unsent_again_by_hand_is_found(store: Store, telling: Workflow, outside: Outside) -> None:
    put(store, telling, finding())
    deliver(store)
    assert sum(outside.came.values()) == 1
    write(store, "UPDATE outbox SET state = 'waiting'")

    assert [why for _, why in agreement.disagreements(store)] == ["its state is 'waiting', the journal says 'delivered'"]


def test_what_a_decision_would_send_cannot_be_changed_before_somebody_approves_it(store: Store, telling: Workflow, outside: Outside) -> None:
    put(store, replace(telling, control="approve"), finding())
    write(store, "UPDATE decisions SET body = replace(body, '/new', '/elsewhere')")

    assert "what was kept of it was changed" in agreement.disagreements(store)[0][1]
    with pytest.raises(Tampered, match="changed after it was taken"):
        queue.step(store, "d1", "approve", by="ann", reason="looks right")
    assert queue.step(store, "d1", "reject", by="ann", reason="it was tampered with") == "rejected"
    assert outside.came == {}
