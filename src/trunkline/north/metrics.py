"""What Prometheus reads: counts from the catalogue at the moment they are asked for, and the times of requests; and health."""

from collections.abc import Callable, Iterator
from typing import Annotated, Any

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from trunkline.core.errors import TrunklineError
from trunkline.govern.access import Principal
from trunkline.north import problem
from trunkline.workspace import Workspace

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Counts(Collector):
    """The figures of one workspace, read when Prometheus asks."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def collect(self) -> Iterator[Metric]:
        """Each figure as a gauge: they are counts of rows, which a restore can take back."""
        told = self.workspace.metrics()
        for name, (text, labels, values) in told.items():
            family = GaugeMetricFamily(f"trunkline_{name}", text, labels=labels)
            for key, value in values.items():
                family.add_metric(list(key), value)
            yield family


def add(app: FastAPI, workspace: Workspace, allowed: Callable[[Workspace, str], Any]) -> None:
    """Add the routes to *app*, and what its requests are measured with."""
    registry = CollectorRegistry()
    registry.register(Counts(workspace))
    seconds = Histogram("trunkline_http_request_seconds", "Time of requests.", ["method", "route"], registry=registry)
    answers = Counter("trunkline_http_responses", "Answers by status.", ["method", "route", "status"], registry=registry)

    def answered(method: str, route: str, status: int, took_s: float) -> None:
        seconds.labels(method, route).observe(took_s)
        answers.labels(method, route, str(status)).inc()

    app.state.answered = answered

    @app.get(
        "/metrics",
        tags=["workspace"],
        operation_id="workspace_metrics",
        summary="Figures in the text form of Prometheus.",
        response_class=Response,
        responses={200: {"content": {_TEXT: {"schema": {"type": "string"}}}}, **problem.responses(401, 403, 421, 500, 503)},
        openapi_extra={"x-verb": "workspace.metrics"},
    )
    def metrics(_: Annotated[Principal, allowed(workspace, "workspace.metrics")]) -> Response:
        return Response(generate_latest(registry), headers={"content-type": _TEXT})

    @app.get("/health/live", tags=["health"], operation_id="health_live", summary="The server answers.", responses=problem.responses(421))
    async def live() -> dict[str, str]:
        return {"status": "alive"}

    @app.get(
        "/health/ready",
        tags=["health"],
        operation_id="health_ready",
        summary="The workspace can be read.",
        responses=problem.responses(421, 503),
    )
    def ready() -> Response:
        try:
            workspace.audit.size()
        except TrunklineError as broken:
            return JSONResponse(problem.of(broken).model_dump() | {"status": 503}, status_code=503, media_type=problem.MEDIA_TYPE)
        return JSONResponse({"status": "ready"})
