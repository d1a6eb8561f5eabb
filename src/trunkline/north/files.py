"""What travels as a file: measurement files up, exports down. Nobody names a path of the server's."""

import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated, Any

import anyio
from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import StreamingResponse

from trunkline.core.errors import BadInput, TrunklineError
from trunkline.govern.access import Principal
from trunkline.north import problem
from trunkline.north.answers import answer
from trunkline.north.once import once
from trunkline.north.routes import KEY, Answer
from trunkline.run.load import Loaded, Options
from trunkline.workspace import Workspace

UPLOADS = "uploads"
LEFT_S = 86_400
"""What a server that was killed left of an upload is removed after a day: a command that waits may still need it before."""
_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.=+,@-]{0,199}$"


def add(app: FastAPI, workspace: Workspace, allowed: Callable[[Workspace, str], Any]) -> None:
    """Add the routes to *app*."""
    _sweep(workspace.store.folder / UPLOADS)

    @app.post(
        "/v1/data/files",
        tags=["data"],
        operation_id="data_load",
        summary="Take in one file: measurements, series, alarms, works, states or inventory.",
        responses={200: {"model": Answer}, **problem.responses(400, 401, 403, 409, 413, 421, 422, 500, 503)},
        openapi_extra={
            "x-verb": "data.load",
            "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
        },
    )
    async def load(
        request: Request,
        name: Annotated[str, Query(pattern=_NAME, description="What the file is called; readers look at its end.")],
        principal: Annotated[Principal, allowed(workspace, "data.load")],
        zone: Annotated[str | None, Query(max_length=64, description="IANA zone of times that name none.")] = None,
        idempotency_key: KEY = None,
    ) -> Response:
        uploads = workspace.store.folder / UPLOADS
        uploads.mkdir(exist_ok=True, mode=0o700)
        folder = Path(mkdtemp(dir=uploads))
        try:
            size, content = 0, sha256(f"{principal.key} {idempotency_key} {name} ".encode())
            async with await anyio.open_file(folder / name, "wb") as file:
                async for part in request.stream():
                    content.update(part)
                    size += await file.write(part)
            if not size:
                raise BadInput("The body is empty.", allowed="the bytes of one file")
            if idempotency_key:
                folder = _lying(folder, uploads / content.hexdigest()[:32])

            def taken_in() -> Loaded:
                with once(f"{principal.key}-{idempotency_key}" if idempotency_key else ""):
                    return workspace.data.load([folder / name], options=Options(zone=zone))

            try:
                loaded = await anyio.to_thread.run_sync(taken_in)
            except TrunklineError as refused:
                refused.what, refused.where = _without_place(refused.what, folder), _without_place(refused.where, folder)
                raise
            files = tuple(replace(one, path=name, notes=tuple(_without_place(note, folder) for note in one.notes)) for one in loaded.files)
            return answer(replace(loaded, files=files, folder=""))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @app.get(
        "/v1/audit/export",
        tags=["audit"],
        operation_id="audit_export",
        summary="Entries, checkpoints and public key as one archive, for an auditor who can check them alone.",
        response_class=StreamingResponse,
        responses={
            200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}},
            **problem.responses(401, 403, 421, 500, 503),
        },
        openapi_extra={"x-verb": "audit.export"},
    )
    def export(_: Annotated[Principal, allowed(workspace, "audit.export")]) -> StreamingResponse:
        folder = Path(mkdtemp())
        workspace.audit.export(folder / "journal")
        with zipfile.ZipFile(folder / "journal.zip", "w", zipfile.ZIP_DEFLATED) as packed:
            for one in sorted((folder / "journal").iterdir()):
                packed.write(one, f"journal/{one.name}")
        headers = {"content-disposition": 'attachment; filename="journal.zip"', "content-length": str((folder / "journal.zip").stat().st_size)}
        return StreamingResponse(_sent_and_gone(folder / "journal.zip"), media_type="application/zip", headers=headers)


def _sweep(uploads: Path) -> None:
    if uploads.is_dir():
        for one in uploads.iterdir():
            if one.is_dir() and one.stat().st_mtime < time.time() - LEFT_S:
                shutil.rmtree(one, ignore_errors=True)


def _lying(folder: Path, wanted: Path) -> Path:
    """*folder* under a name that the same upload gets again, so that both are one command; where it lies there already, that one."""
    try:
        folder.rename(wanted)
    except OSError:  # sent twice at once
        shutil.rmtree(folder, ignore_errors=True)
    return wanted


def _without_place(text: str, folder: Path) -> str:
    """*text* without where the file lay on this server: that is nobody's business."""
    for place in (folder.absolute(), folder):
        text = text.replace(f"{place}/", "")
    return text


def _sent_and_gone(path: Path) -> Iterator[bytes]:
    """The bytes of a file; its folder goes with the last of them, or when the client does."""
    try:
        with path.open("rb") as file:
            while part := file.read(2**20):
                yield part
    finally:
        shutil.rmtree(path.parent, ignore_errors=True)
