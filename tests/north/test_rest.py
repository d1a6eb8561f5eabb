"""The REST interface does what the Python one does, tells errors in one shape, and does a repeated request once."""

from __future__ import annotations

import io
import socket
import threading
import zipfile
from typing import Any

import httpx
import pytest
from tests.north.conftest import Served

from trunkline.north.problem import MEDIA_TYPE
from trunkline.north.routes import ROUTES
from trunkline.north.streams import MOST_CLIENTS

SHAPE = {"type", "title", "status", "where", "allowed", "next_step", "request"}


def is_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    found: dict[str, Any] = answer.json()
    assert set(found) == SHAPE
    assert found["status"] == status
    assert found["request"] == answer.headers["x-request-id"]
    return found


def test_a_decision_is_listed_shown_approved_and_its_outcome_told(served: Served) -> None:
    decision = served.propose("a1")

    with served.client("operator") as noc:
        listed = noc.get("/v1/decisions", params={"state": "open"}).json()["items"]
        approved = noc.post(f"/v1/decisions/{decision}/approve", json={"reason": "seen on site"})
        told = noc.post(f"/v1/decisions/{decision}/outcome", json={"verdict": "confirmed", "note": "fuse"})

    assert decision in {one["id"] for one in listed}
    assert approved.json() == {"answer": "approved"}
    assert told.json()["answer"]["by"] == "the operator"
    assert served.workspace.decisions.show(decision).outcome == "confirmed"


def test_who_acts_is_whoever_the_key_belongs_to_and_cannot_be_said_otherwise(served: Served) -> None:
    decision = served.propose("a2")

    with served.client("operator") as noc:
        lied = noc.post(f"/v1/decisions/{decision}/approve", json={"reason": "x", "by": "the director"})
        noc.post(f"/v1/decisions/{decision}/approve", json={"reason": "x"})

    is_problem(lied, 422)
    assert [e.body["by"] for e in served.workspace.audit.list(kind="decision.approve") if e.body["decision"] == decision] == ["the operator"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/decisions/ffff", None, 404),
        ("GET", "/v1/nothing", None, 404),
        ("PATCH", "/v1/decisions", None, 405),
        ("GET", "/v1/decisions?limit=-1", None, 422),
        ("GET", "/v1/decisions/zz", None, 422),
        ("GET", "/v1/workflows/..%2F..%2Fetc%2Fpasswd/releases", None, 404),
        ("GET", "/v1/workflows/evil.py/releases", None, 422),
        ("GET", "/v1/features/kpi-anomaly", None, 422),
        ("POST", "/v1/workflows/kpi-anomaly/rollback", {"reason": "bad night"}, 409),
        ("POST", "/v1/workflows/kpi-anomaly/rollback", {}, 422),
        ("POST", "/v1/workflows/no-such-workflow/run", {}, 404),
        ("GET", "/v1/data/products/nothing", None, 404),
    ],
)
def test_every_error_has_one_shape(served: Served, method: str, path: str, body: Any, status: int) -> None:
    with served.client("everything") as client:
        found = client.request(method, path, json=body)

    is_problem(found, status)


def test_what_is_no_json_is_told_apart_from_what_does_not_fit(served: Served) -> None:
    with served.client("everything") as client:
        found = client.post("/v1/workflows/kpi-anomaly/rollback", content=b"{", headers={"Content-Type": "application/json"})

    is_problem(found, 400)


def test_a_request_sent_twice_with_its_key_is_done_once(served: Served) -> None:
    decision = served.propose("a3")
    with served.client("operator") as noc:

        def send(reason: str = "loose cable") -> httpx.Response:
            return noc.post(f"/v1/decisions/{decision}/reject", json={"reason": reason}, headers={"Idempotency-Key": "reject-a3-1"})

        first, again, other = send(), send(), send("something else")

    assert first.json() == again.json() == {"answer": "rejected"}
    is_problem(other, 409)
    assert len([e for e in served.workspace.audit.list(kind="decision.reject") if e.body["decision"] == decision]) == 1


def test_a_key_of_another_client_is_another_request(served: Served) -> None:
    first, second = served.propose("a4"), served.propose("a5")
    same = {"Idempotency-Key": "the-same-words"}
    with served.client("operator") as noc, served.client("everything") as other:
        one = noc.post(f"/v1/decisions/{first}/reject", json={"reason": "x"}, headers=same)
        two = other.post(f"/v1/decisions/{second}/reject", json={"reason": "x"}, headers=same)

    assert one.status_code == two.status_code == 200


def test_a_file_is_uploaded_loaded_and_leaves_nothing_behind(served: Served) -> None:
    hours = "".join(f"2026-11-20T{h:02d}:00:00Z,c1,{100 + h}\n" for h in range(24))

    with served.client("engineer") as client:
        loaded = client.post("/v1/data/files", params={"name": "day.csv"}, content=("time,cell,volume\n" + hours).encode())
        again = client.post("/v1/data/files", params={"name": "day.csv"}, content=("time,cell,volume\n" + hours).encode())

    (file,) = loaded.json()["answer"]["files"]
    assert (file["path"], file["rows"], file["state"]) == ("day.csv", 24, "loaded")
    assert again.json()["answer"]["files"][0]["state"] == "seen before"
    assert list((served.workspace.store.folder / "uploads").iterdir()) == []


@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "/etc/passwd", ".hidden", "a/b.csv", ""])
def test_an_upload_is_never_written_where_its_name_points(served: Served, name: str) -> None:
    with served.client("engineer") as client:
        is_problem(client.post("/v1/data/files", params={"name": name}, content=b"x"), 422)


def test_the_journal_is_exported_and_checked_elsewhere(served: Served, tmp_path: Any) -> None:
    from trunkline.store.journal import verify_export

    with served.client("auditor") as client:
        found = client.get("/v1/audit/export")
    zipfile.ZipFile(io.BytesIO(found.content)).extractall(tmp_path)

    assert verify_export(tmp_path / "journal").ok


def test_new_decisions_are_streamed_and_none_is_missed_after_an_absence(served: Served) -> None:
    begun = served.workspace.audit.size()
    before = served.propose("b1")
    later = threading.Timer(1.0, lambda: served.propose("b2"))
    with served.client("viewer") as client, client.stream("GET", "/v1/decisions/stream", headers={"Last-Event-ID": str(begun - 1)}) as stream:
        later.start()
        ids = []
        for line in stream.iter_lines():
            if line.startswith("data: "):
                ids.append(line.partition('"id":"')[2][:16])
            if len(ids) == 2:
                break

    assert ids == [before, "b2" + "0" * 14]


def test_metrics_count_what_there_is(served: Served) -> None:
    served.propose("c1")

    with served.client("monitor") as client:
        client.get("/v1/decisions")
        text = client.get("/metrics").text

    assert 'trunkline_decisions{mode="live",state="open",workflow="kpi-anomaly"}' in text
    assert "trunkline_journal_entries" in text
    assert 'trunkline_http_responses_total{method="GET",route="/v1/decisions",status="403"}' in text


def test_a_name_that_the_server_does_not_go_by_is_refused(served: Served) -> None:
    with served.client("everything", Host="evil.example") as client:
        is_problem(client.get("/v1/workspace"), 421)


def test_a_body_that_is_too_large_is_refused_before_it_is_read(served: Served) -> None:
    host, port = served.server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(f"POST /v1/data/files?name=a.csv HTTP/1.1\r\nHost: {host}\r\nContent-Length: {10**12}\r\n\r\n".encode())
        said = raw.recv(65536)

    assert said.startswith(b"HTTP/1.1 413")


def test_the_description_names_every_route_with_its_verb(served: Served) -> None:
    with served.client() as anybody:
        found = anybody.get("/openapi.json").json()

    told = {operation.get("x-verb") for path in found["paths"].values() for operation in path.values()}
    assert {route.verb for route in ROUTES} <= told
    assert "HTTPValidationError" not in found["components"]["schemas"]


def test_an_upload_sent_twice_with_its_key_is_answered_twice_and_done_once(served: Served) -> None:
    body = b"time,cell,dl_volume_mb\n2026-11-01 00:00:00+00:00,twice,1\n2026-11-01 01:00:00+00:00,twice,2\n"
    with served.client("engineer", **{"Idempotency-Key": "upload-0001"}) as client:
        first, again = (client.post("/v1/data/files", params={"name": "twice.csv"}, content=body) for _ in range(2))
        other = client.post("/v1/data/files", params={"name": "twice.csv"}, content=body + b"2026-11-01 02:00:00+00:00,twice,3\n")

    assert first.status_code == 200, first.text
    assert again.json() == first.json()
    assert first.json()["answer"]["files"][0]["rows"] == 2
    is_problem(other, 409)


def test_what_an_upload_is_told_never_says_where_it_lay(served: Served) -> None:
    with served.client("engineer") as client:
        told = client.post("/v1/data/files", params={"name": "bad.csv"}, content=b"\0\1\2\3").text

    assert str(served.workspace.store.folder) not in told
    assert "uploads" not in told


@pytest.mark.parametrize("text", ["\\ud800", "a\\u0000b", "\\u001b[2J"])
def test_text_that_cannot_be_kept_or_would_be_obeyed_is_refused(served: Served, text: str) -> None:
    id_ = served.propose("dd01")
    with served.client("operator") as client:
        answer = client.post(f"/v1/decisions/{id_}/approve", content=f'{{"reason": "{text}"}}', headers={"Content-Type": "application/json"})

    assert is_problem(answer, 422)["where"] == "body.reason"


def test_a_state_that_there_is_not_is_refused_rather_than_found_empty(served: Served) -> None:
    served.propose("dd02")
    with served.client("viewer") as client:
        assert client.get("/v1/decisions", params={"state": "all"}).json()["items"]
        is_problem(client.get("/v1/decisions", params={"state": "opne"}), 422)


def test_asked_twice_under_one_idempotency_key_one_api_key_is_made(served: Served) -> None:
    with served.client("administrator", **{"Idempotency-Key": "new-key-0001"}) as client:
        first, again = (client.post("/v1/access/keys", json={"name": "asked twice", "roles": ["viewer"]}) for _ in range(2))

    assert first.status_code == 200
    is_problem(again, 409)
    assert [one.name for one in served.workspace.access.list()].count("asked twice") == 1


def test_the_stream_of_a_key_that_is_revoked_ends_before_the_next_decision(served: Served) -> None:
    key = served.workspace.access.new("a guest", ["viewer"])
    with served.client(Authorization=f"Bearer {key}") as client, client.stream("GET", "/v1/decisions/stream") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "retry: 2000"
        served.workspace.access.revoke(key.split("_")[1], by="admin", reason="left")
        served.propose("dd03")

        assert "".join(lines) == ""


def test_more_listeners_than_there_are_places_are_told_so(served: Served) -> None:
    host, port = served.server.url.removeprefix("http://").split(":")
    asked = f"GET /v1/decisions/stream HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {served.keys['viewer']}\r\n\r\n".encode()
    held = [socket.create_connection((host, int(port)), timeout=20) for _ in range(MOST_CLIENTS + 8)]
    try:
        for one in held:
            one.sendall(asked)
        said = [one.recv(12) for one in held]
    finally:
        for one in held:
            one.close()

    assert said.count(b"HTTP/1.1 200") == MOST_CLIENTS
    assert said.count(b"HTTP/1.1 429") == 8


def test_clients_that_send_half_a_body_or_half_a_head_hold_nobody_up(served: Served) -> None:
    host, port = served.server.url.removeprefix("http://").split(":")
    held = [socket.create_connection((host, int(port)), timeout=20) for _ in range(300)]
    try:
        for n, one in enumerate(held):
            one.sendall(b"GET /health/live HT" if n % 2 else f"POST /v1/freezes HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9\r\n\r\n{{".encode())
        with served.client() as anybody:
            assert anybody.get("/health/live", timeout=8).status_code == 200
    finally:
        for one in held:
            one.close()
