"""Spans of what the service does, in OpenTelemetry's form; nothing at all where nobody collects them.

Spans go where the standard environment variable ``OTEL_EXPORTER_OTLP_ENDPOINT`` says, if the extra ``traces`` is
installed. Their attributes are names and ids (workflow, release, decision, command), never values of rows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from trunkline.core.extras import need

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@contextmanager
def span(name: str, **attributes: str | float) -> Iterator[None]:
    """A span around what is inside; an error inside is recorded and goes on.

    >>> with span("decide", workflow="sleeping-cell"):
    ...     pass
    """
    tracer = _tracer()
    if tracer is None:
        yield
        return
    with tracer.start_as_current_span(name, attributes={f"trunkline.{key}": value for key, value in attributes.items()}):
        yield


@cache
def _tracer() -> Any:
    """The tracer of this process; None where no endpoint is named."""
    if not os.environ.get(ENDPOINT) and not os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        return None
    need("opentelemetry.sdk.trace", extra="traces")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "trunkline")}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider.get_tracer("trunkline")
