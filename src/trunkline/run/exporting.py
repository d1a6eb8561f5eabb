"""A release as an ONNX file for somewhere else, proven on the rows of this workspace before the file is kept."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from trunkline.core.canonical import sha256
from trunkline.core.clock import duration, utc_text
from trunkline.core.errors import BadInput
from trunkline.features import history
from trunkline.models import onnx_export
from trunkline.run import definitions, gather, releases
from trunkline.run.standing import books
from trunkline.store import catalogue
from trunkline.store.blobs import sync_folder
from trunkline.store.opened import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedRelease:
    """What was written, and how far it is from the model: ``apart`` at most ``bound`` on each of ``rows`` rows."""

    release: str
    workflow: str
    verdict: str
    model: str
    path: str
    bytes: int
    sha256: str
    apart: float
    bound: float
    rows: int
    judged: int
    int8: bool
    inputs: tuple[dict[str, Any], ...]

    def __str__(self) -> str:
        return (
            f"{self.path}: the {self.model} of release {self.release} ({self.workflow}), {self.bytes:,} bytes. "
            f"On {self.rows:,} rows ({self.judged:,} of them judged) it answers like the model to {self.apart:.2g}; allowed were {self.bound:g}. "
            f"Its gates said: {self.verdict or 'nothing'}."
        )


def export(store: Store, release: str, *, to: Path, int8: bool, bound: float | None, by: str, reason: str = "", dry_run: bool = False) -> ExportedRelease:
    """Write the model of *release* to the file *to*; what was written is in the journal with its hash.

    Raises
    ------
    NotAllowed
        The model cannot be exported, or a row of this workspace comes out otherwise; the row is shown and no file is kept.
    """
    if to.suffix != ".onnx":
        raise BadInput(f"'{to}' is no name for an ONNX file.", allowed="a name that ends in .onnx")
    if not to.parent.is_dir():
        raise BadInput(f"There is no folder {to.parent}.", where="--to", next_step=f"mkdir -p {to.parent}")
    id_ = releases.get(store, release).id
    told = books(store)
    one = told.releases[id_]
    releases.proven(store, told, one)
    row = catalogue.rows(store.engine, catalogue.releases, catalogue.releases.c.id == id_)[0]
    fitted = releases.fitted(store, row)
    training = row["body"]["training"]
    found = gather.gather(store, definitions.definition(store, one), every=duration(training["every"]), rename=dict(row["card"].get("rename") or {}))
    rows = history(gather.bound(found), found.facts)
    about = {
        "release": id_,
        "workflow": one.workflow,
        "workflow_hash": row["body"]["hash"],
        "model_hash": row["body"]["model"],
        "verdict": one.verdict or "",
        "trunkline": version("trunkline"),
        "exported_at": utc_text(store.clock()),
    }
    content, proof = onnx_export.export(fitted, rows, int8=int8, bound=bound, about=about)
    exported = onnx_export.opened(content, path=str(to))  # as whoever serves it will read it
    asked = onnx_export.contract(fitted)
    answer = ExportedRelease(
        release=id_,
        workflow=one.workflow,
        verdict=one.verdict or "",
        model=exported.metadata["model"],
        path=str(to),
        bytes=len(content),
        sha256=sha256(content),
        apart=proof.apart,
        bound=float(exported.metadata["bound"]),
        rows=proof.rows,
        judged=proof.judged,
        int8=int8,
        inputs=tuple(asked.plain()),
    )
    if not dry_run:
        _written(to, content)
        facts = {"release": id_, "sha256": answer.sha256, "bytes": answer.bytes, "apart": answer.apart, "bound": answer.bound, "rows": answer.rows}
        store.journal.append("model.exported", {**facts, "int8": int8, "verdict": answer.verdict, "by": by, "reason": reason, "file": to.name})
    return answer


def _written(to: Path, content: bytes) -> None:
    """The whole file or the one that was there before."""
    part = to.with_name(f".{to.name}.{os.getpid()}")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(to)
        sync_folder(to.parent)
    except OSError as failed:
        raise BadInput(
            f"The file could not be written: {failed.strerror or failed}.", where=str(to), next_step="Name a place with room that you may write."
        ) from failed
    finally:
        part.unlink(missing_ok=True)
