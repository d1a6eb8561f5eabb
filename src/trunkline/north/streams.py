"""New decisions as they are taken, as server-sent events.

Each event's id is the number of its journal entry, so a client that was away sends ``Last-Event-ID`` (browsers do by
themselves) and misses none. A client that does not read is not waited for: what it has not read, it can ask for again.
When its key is revoked or over, a stream ends before the next event.
"""

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Annotated, Any

import anyio
import msgspec
from fastapi import FastAPI, Header, Query
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from trunkline.govern.access import Principal
from trunkline.north import problem
from trunkline.workspace import Workspace

LOOK_EVERY_S = 0.5
STILL_HERE_S = 15
AT_ONCE = 500
MOST_CLIENTS = 64


def add(app: FastAPI, workspace: Workspace, allowed: Callable[[Workspace, str], Any]) -> None:
    """Add the route to *app*."""
    app.state.streams = 0

    @app.get(
        "/v1/decisions/stream",
        tags=["decision"],
        operation_id="decision_stream",
        summary="Decisions as they are taken: server-sent events, the id of each being its number in the journal.",
        response_class=StreamingResponse,
        responses={
            200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
            **problem.responses(401, 403, 421, 422, 429, 500, 503),
        },
        openapi_extra={"x-verb": "decision.stream"},
    )
    async def stream(
        principal: Annotated[Principal, allowed(workspace, "decision.stream")],
        workflow: Annotated[str | None, Query(max_length=200)] = None,
        since: Annotated[int | None, Query(ge=0, le=2**53, description="Begin after this entry; default: what comes from now on.")] = None,
        last_event_id: Annotated[str | None, Header(alias="Last-Event-ID", pattern=r"^[0-9]{1,15}$")] = None,
    ) -> StreamingResponse:
        last = int(last_event_id) if last_event_id is not None else since
        first = await anyio.to_thread.run_sync(lambda: workspace.audit.size()) if last is None else last + 1
        if app.state.streams >= MOST_CLIENTS:  # nothing is waited for between asking and counting
            raise HTTPException(429, f"{MOST_CLIENTS} clients listen already.")
        app.state.streams += 1
        return _Stream(app, _events(workspace, principal, first, workflow), media_type="text/event-stream")


class _Stream(StreamingResponse):
    """A response that counts as a listener from its making to its end, however that comes."""

    def __init__(self, app: FastAPI, events: AsyncIterator[bytes], **how: Any) -> None:
        super().__init__(events, **how)
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._app.state.streams -= 1


async def _events(workspace: Workspace, principal: Principal, first: int, workflow: str | None) -> AsyncIterator[bytes]:
    silent = 0.0
    yield b"retry: 2000\n\n"
    while True:  # the server ends it when the client is gone
        found = await anyio.to_thread.run_sync(partial(workspace.audit.list, kind="decision", since=first, limit=AT_ONCE))
        if (found or silent + LOOK_EVERY_S >= STILL_HERE_S) and not await anyio.to_thread.run_sync(workspace.access.holds, principal):
            return
        for entry in found:
            first = entry.seq + 1
            if workflow in {None, entry.body["workflow"]}:
                yield b"id: %d\nevent: decision\ndata: %b\n\n" % (entry.seq, msgspec.json.encode(entry.body))
        silent = 0.0 if found else silent + LOOK_EVERY_S
        if silent >= STILL_HERE_S:
            silent = 0.0
            yield b": still here\n\n"
        if len(found) < AT_ONCE:
            await anyio.sleep(LOOK_EVERY_S)
