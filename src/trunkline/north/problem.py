"""One shape for every error (RFC 9457, Problem Details): what happened, where, what was allowed, what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from trunkline.core.errors import (
    AccessDenied,
    BadInput,
    MissingExtra,
    NotAllowed,
    Tampered,
    TooLittleData,
    TrunklineError,
    UnknownName,
    WorkflowError,
    WorkspaceError,
)

MEDIA_TYPE = "application/problem+json"

# The first that fits counts: a subclass stands before its parent.
STATUS: Mapping[type[TrunklineError], int] = {
    UnknownName: 404,
    AccessDenied: 403,
    NotAllowed: 409,
    BadInput: 422,
    TooLittleData: 422,
    WorkflowError: 422,
    MissingExtra: 501,
    WorkspaceError: 503,
    Tampered: 500,
    TrunklineError: 500,
}


class Problem(BaseModel):
    """The body of every answer that is not a success."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="The name of the error, as Python raises it.", examples=["NotAllowed"])
    title: str = Field(description="What happened, in one sentence.", examples=["Decision 3f2a is approved."])
    status: int = Field(description="The HTTP status.", examples=[409])
    where: str = Field(default="", description="Field, file, line or record.")
    allowed: str = Field(default="", description="What would have been accepted.")
    next_step: str = Field(default="", description="What to do now.")
    request: str = Field(default="", description="The id of the request, which the log names too.")


def of(error: TrunklineError, *, request: str = "") -> Problem:
    """The problem that tells of *error*."""
    status = next(code for kind, code in STATUS.items() if isinstance(error, kind))
    return Problem(
        type=type(error).__name__, title=error.what, status=status, where=error.where, allowed=error.allowed, next_step=error.next_step, request=request
    )


def responses(*codes: int) -> dict[int | str, dict[str, Any]]:
    """How a route describes its errors."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {code: {"description": _MEANING[code], "content": content} for code in codes}


_MEANING: Mapping[int, str] = {
    400: "The request cannot be read.",
    401: "No key, or one that opens nothing.",
    403: "No role of this key allows it.",
    404: "There is nothing of that name.",
    405: "This path does not know that method.",
    408: "The rest of the body did not come.",
    409: "Its state does not allow it, or the idempotency key was used for something else.",
    413: "The body is larger than the server takes.",
    415: "The body is of a kind that is not read here.",
    421: "The request names a host that this server is not.",
    422: "A value cannot be used.",
    429: "Too many at once; repeat it later.",
    500: "A fault of ours, or data that do not match their signature.",
    501: "An optional library is not installed on the server.",
    503: "The workspace cannot be used now; repeat it later.",
}
