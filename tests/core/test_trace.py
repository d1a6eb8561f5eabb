"""Spans reach a collector where one is named, and cost nothing where none is."""

from __future__ import annotations

import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from trunkline.core import trace

PROGRAM = """
from trunkline.core.trace import span
with span("decide", workflow="sleeping-cell", rows=3):
    with span("commit"):
        pass
"""


def test_spans_reach_the_collector_that_the_environment_names() -> None:
    received: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{server.server_port}"}
        subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=True, timeout=60)
        server.shutdown()

    sent = b"".join(body for path, body in received if path == "/v1/traces")
    assert b"decide" in sent
    assert b"commit" in sent
    assert b"trunkline.workflow" in sent
    assert b"sleeping-cell" in sent


def test_without_a_collector_no_library_is_loaded() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + "import sys; print('opentelemetry' in sys.modules)"],
        env={name: value for name, value in os.environ.items() if not name.startswith("OTEL_")},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert done.stdout.strip() == "False"


def test_an_error_inside_a_span_goes_on() -> None:
    with pytest.raises(ZeroDivisionError), trace.span("broken"):
        _ = 1 / 0
