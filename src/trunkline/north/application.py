"""The REST interface as an ASGI application over one Workspace.

Every answer but health and the description of the interface needs a key; what a key may do, its roles say. ``by`` is always
who the key belongs to. A POST may carry ``Idempotency-Key``: sent again with the same key and body, it is answered again and
done once. Host names that this server was not started for are refused, so that a web page cannot reach it by renaming.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from trunkline.core.errors import AccessDenied, BadInput, TrunklineError
from trunkline.core.typed import check_typed
from trunkline.govern.access import Principal
from trunkline.north import files, metrics, problem, streams
from trunkline.north.answers import answer
from trunkline.north.limits import Limits
from trunkline.north.once import once
from trunkline.north.routes import KEY, ROUTES, Route, answers, parameters
from trunkline.workspace import Workspace

log = logging.getLogger("trunkline.http")
VERSION = "v1"
MOST_BYTES = 64 * 2**20
"""The largest body that is read: a day of measurement files of a region, compressed."""

_bearer = HTTPBearer(auto_error=False, description="A key made by: trunkline access new NAME --role ROLE")


def application(workspace: Workspace, *, hosts: Sequence[str] = ("127.0.0.1", "localhost", "[::1]"), most_bytes: int = MOST_BYTES) -> FastAPI:
    """The application over *workspace*, to be served by any ASGI server.

    Parameters
    ----------
    workspace
        Opened; it stays the caller's to close.
    hosts
        Names and addresses by which clients may call it.
    most_bytes
        The largest body that is read.
    """
    app = FastAPI(
        title="Trunkline",
        version=VERSION,
        description=__doc__,
        docs_url=None,  # both pages load scripts from elsewhere
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.state.workspace = workspace
    for part in (files, streams, metrics):  # before the table: /decisions/stream is no decision
        part.add(app, workspace, allowed)
    for route in ROUTES:
        _add(app, workspace, route)
    _tell_errors(app)
    _describe(app)
    app.add_middleware(Limits, hosts=tuple(hosts), most_bytes=most_bytes, answered=app.state.answered)
    return app


def allowed(workspace: Workspace, verb: str) -> Any:
    """A dependency: the principal of the request's key, if one of its roles names *verb*."""

    def check(given: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]) -> Principal:
        if given is None:
            raise HTTPException(401, "This needs a key: Authorization: Bearer tl_…")
        try:
            found = workspace.access.principal(given.credentials)
        except AccessDenied as refused:
            raise HTTPException(401, refused.what) from refused
        found.require(verb)
        return found

    return Depends(check)


def _add(app: FastAPI, workspace: Workspace, route: Route) -> None:
    call = route.method_of(workspace)
    takes_by = "by" in inspect.signature(call).parameters

    def endpoint(**given: Any) -> Response:
        principal: Principal = given.pop("principal")
        repeated: str | None = given.pop("idempotency_key", None)
        body = given.pop("body", None)
        arguments = {**given, **({} if body is None else {name: getattr(body, name) for name in type(body).model_fields})}
        if takes_by:
            arguments["by"] = principal.name
        for name, value in arguments.items():
            check_typed(name, value)
        with once(f"{principal.key}-{repeated}" if repeated else ""):
            return answer(call(**arguments))

    listed = [*parameters(route), inspect.Parameter("principal", inspect.Parameter.KEYWORD_ONLY, annotation=Principal, default=allowed(workspace, route.verb))]
    if route.method == "POST":
        listed.append(inspect.Parameter("idempotency_key", inspect.Parameter.KEYWORD_ONLY, annotation=KEY, default=None))
    endpoint.__signature__ = inspect.Signature(listed)  # type: ignore[attr-defined]
    endpoint.__name__ = route.verb.replace(".", "_")
    codes = (400, 401, 403, 404, 409, 413, 421, 422, 500, 501, 503)
    app.add_api_route(
        route.path,
        endpoint,
        methods=[route.method],
        response_model=None,
        responses={200: {"model": answers(route)}, **problem.responses(*codes)},
        summary=(inspect.getdoc(inspect.unwrap(call)) or "").splitlines()[0],
        tags=[route.verb.partition(".")[0]],
        operation_id=route.verb.replace(".", "_"),
        openapi_extra={"x-verb": route.verb},
    )


def _tell_errors(app: FastAPI) -> None:
    def told(request: Request, error: TrunklineError) -> Response:
        return _problem(problem.of(error, request=_id(request)))

    def unfit(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        bad_json = first["type"] == "json_invalid"
        found = problem.of(BadInput(f"{first['msg']}.", where=where), request=_id(request))
        return _problem(found.model_copy(update={"status": 400}) if bad_json else found)

    def refused(request: Request, error: HTTPException) -> Response:
        names = {401: "NoKey", 404: "NotFound", 405: "MethodNotAllowed"}
        found = problem.Problem(type=names.get(error.status_code, "Refused"), title=str(error.detail), status=error.status_code, request=_id(request))
        headers = dict(error.headers or {})
        if error.status_code == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="trunkline"'
        return _problem(found, headers)

    def broken(request: Request, error: Exception) -> Response:
        log.error("request failed", exc_info=error, extra={"request": _id(request)})
        found = problem.Problem(type="InternalError", title="This is a fault of ours; the log names it.", status=500, request=_id(request))
        return _problem(found)

    handlers: Mapping[Any, Callable[..., Response]] = {TrunklineError: told, RequestValidationError: unfit, HTTPException: refused, Exception: broken}
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def _problem(found: problem.Problem, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse(found.model_dump(), status_code=found.status, media_type=problem.MEDIA_TYPE, headers=dict(headers or {}))


def _id(request: Request) -> str:
    return str(request.scope.get("trunkline.request", ""))


def _describe(app: FastAPI) -> None:
    """The description of the interface, with the one shape of errors in place of the library's own."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = made()
            parts = schema["components"]["schemas"]
            parts["Problem"] = problem.Problem.model_json_schema()
            for gone in ("HTTPValidationError", "ValidationError"):
                parts.pop(gone, None)
            for path in schema["paths"].values():
                for operation in path.values():
                    if "422" in operation["responses"]:
                        operation["responses"].update(_refs(422))
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _refs(code: int) -> dict[str, Any]:
    return {str(k): v for k, v in problem.responses(code).items()}
