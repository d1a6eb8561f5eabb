"""What is refused before anything is read: foreign host names and bodies that are too large or too slow. Every request gets an id."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from secrets import token_hex

import anyio
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trunkline.core.trace import span
from trunkline.north import problem

log = logging.getLogger("trunkline.http")


SILENCE_S = 10.0
"""How long a client may send nothing while its body is not whole; each such client holds one of the server's places."""


class Limits:
    """ASGI middleware; its refusals have the shape of every other error."""

    def __init__(self, app: ASGIApp, *, hosts: tuple[str, ...], most_bytes: int, answered: Callable[[str, str, int, float], None]) -> None:
        self.app, self.hosts, self.most_bytes, self.tell = app, frozenset(host.lower() for host in hosts), most_bytes, answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope["trunkline.request"] = request = token_hex(8)
        headers = {name.lower(): value for name, value in scope["headers"]}
        begun, status = time.perf_counter(), [0]
        answered = _watched(send, status, request)
        if _name(headers.get(b"host", b"").decode("latin-1")) not in self.hosts and "*" not in self.hosts:
            await _refuse(answered, request, 421, "This server does not go by that name.", allowed=", ".join(sorted(self.hosts)))
        elif (length := headers.get(b"content-length", b"0")).isdigit() and int(length) > self.most_bytes:
            await _refuse(answered, request, 413, "The body is too large.", allowed=f"{self.most_bytes:,} bytes")
        else:
            with span(f"{scope['method']} {scope['path'].split('/')[-1] or '/'}", request=request):
                await self.app(scope, self._counted(receive), answered)
        route = getattr(scope.get("route"), "path", "none")  # as in the table: a path of its own for each decision would be a label each
        self.tell(scope["method"], route, status[0], time.perf_counter() - begun)
        log.info(
            "request",
            extra={
                "method": scope["method"],
                "path": scope["path"],
                "status": status[0],
                "ms": round(1e3 * (time.perf_counter() - begun), 1),
                "request": request,
            },
        )

    def _counted(self, receive: Receive) -> Receive:
        taken, is_whole = 0, False

        async def counted() -> Message:
            nonlocal taken, is_whole
            if is_whole:  # from here on it only tells that the client is gone
                return await receive()
            with anyio.move_on_after(SILENCE_S) as waiting:
                message = await receive()
            if waiting.cancelled_caught:
                raise HTTPException(408, f"The rest of the body did not come: at most {SILENCE_S:g} s may pass without a byte.")
            taken += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
            if taken > self.most_bytes:
                raise HTTPException(413, f"The body is too large: at most {self.most_bytes:,} bytes are read.")
            return message

        return counted


def _watched(send: Send, status: list[int], request: str) -> Send:
    async def watched(message: Message) -> None:
        if message["type"] == "http.response.start":
            status[0] = message["status"]
            more = [(b"x-request-id", request.encode()), (b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
            message = {**message, "headers": [*message.get("headers", []), *more]}
        await send(message)

    return watched


async def _refuse(send: Send, request: str, status: int, title: str, *, allowed: str) -> None:
    body = problem.Problem(type="Refused", title=title, status=status, allowed=allowed, request=request).model_dump_json().encode()
    headers = [(b"content-type", problem.MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _name(host: str) -> str:
    """The host without its port."""
    host = host.strip().lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
