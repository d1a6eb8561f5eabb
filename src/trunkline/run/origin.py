"""What a release was made from, recorded by training itself: enough to make it again, and to say what differs where it does not come out the same.

card["origin"]: versions of the tables ─ settings ─ contenders ─ labels ─ hashes of columns, elements and code
"""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

import trunkline
from trunkline.core import registry
from trunkline.core.canonical import plain, sha256
from trunkline.core.clock import duration_text
from trunkline.core.errors import NotAllowed
from trunkline.run.forward import Judged
from trunkline.run.large import Found
from trunkline.run.shadow_message import frame, frame_bytes
from trunkline.run.train import Candidate
from trunkline.store.dataset import dataset_hash, joined_hash
from trunkline.store.opened import Store

FORMAT = 1
MOST_ELEMENTS = 500
"""Of more elements than this no hash each is kept: a card is read by people."""
KEYS = ("entity", "at", "known_at")

Labels = Callable[[pl.DataFrame], npt.NDArray[Any] | None]


def recorded(
    store: Store, candidate: Candidate, found: Found, *, contenders: Mapping[str, Any] | None = None, labels: Labels | None = None, delay: timedelta | None
) -> Candidate:
    """*candidate* with its origin on its card; what only Python had in its hands, labels, is kept beside it.

    Parameters
    ----------
    found
        What it was trained on.
    contenders, labels
        As training was given them.
    delay
        How long after its end a slot was taken as emitted; None as the features say.
    """
    scored = candidate.winner.scored
    origin = {
        "format": FORMAT,
        **found.taken,
        "delay": None if delay is None else duration_text(delay),
        "contenders": {name: _written(model) for name, model in (contenders or {}).items()},
        "labels": _kept(store, scored, labels),
        "columns": of_columns(scored),
        "elements": of_elements(scored),
        "code": of_code(found.workflow.sources),
        "trunkline": of_trunkline(),
        "machine": platform.machine(),
    }
    return dataclasses.replace(candidate, card=plain({**candidate.card, "origin": origin}))


def of_columns(scored: Judged) -> dict[str, str]:
    """A hash of each column, with the rows' keys: which one changed."""
    found: dict[str, list[str]] = {}
    for rows in scored.pieces():
        for name in rows.columns:
            if name not in KEYS:
                found.setdefault(name, []).append(dataset_hash(rows.select([*KEYS, name])))
    return {name: joined_hash(hashes) for name, hashes in found.items()}


def of_elements(scored: Judged) -> dict[str, str]:
    """The beginning of a hash of each element's rows; none where there are more than :data:`MOST_ELEMENTS`."""
    found: dict[str, str] = {}
    for rows in scored.pieces():
        parts = rows.partition_by("entity", as_dict=True)
        if len(found) + len(parts) > MOST_ELEMENTS:
            return {}
        found |= {str(name): dataset_hash(part)[:16] for (name,), part in parts.items()}
    return found


def of_code(sources: Mapping[str, str]) -> dict[str, str]:
    """A hash of each piece of source that the workflow consists of."""
    return {name: sha256(text.encode())[:16] for name, text in sources.items()}


@cache
def of_trunkline() -> str:
    """A hash of Trunkline's own source: two of one version may differ where it is installed to be edited."""
    folder = Path(trunkline.__file__).parent
    return sha256("".join(f"{path.relative_to(folder)} {sha256(path.read_bytes())}\n" for path in sorted(folder.rglob("*.py"))).encode())


def models(origin: Mapping[str, Any]) -> dict[str, Any]:
    """The contenders that training was given, made again.

    Raises
    ------
    NotAllowed
        One of them is of a class that is registered nowhere: it was kept by name only.
    """
    found = {}
    for name, told in origin["contenders"].items():
        if not told.get("kind"):
            raise NotAllowed(
                f"The contender '{name}' cannot be made again: its class is registered nowhere, so its parameters could not be recorded.",
                where=told["is"],
                next_step="Name its class in the group trunkline.models of its package's entry points, and train again.",
            )
        found[name] = registry.load("models", told["kind"])(**{key: _tuples(value) for key, value in told["parameters"].items()})
    return found


def labels(store: Store, origin: Mapping[str, Any]) -> Labels | None:
    """The labels that training was given, by element and slot."""
    if not origin["labels"]:
        return None
    kept = frame(store.blobs.get(origin["labels"]))

    def of(rows: pl.DataFrame) -> npt.NDArray[Any]:
        return rows.select("entity", "at").join(kept, on=["entity", "at"], how="left", maintain_order="left")["label"].to_numpy()

    return of


def _kept(store: Store, scored: Judged, labels: Labels | None) -> str:
    """The labels of all rows, in a blob; its id, empty where there are none."""
    if labels is None:
        return ""
    told = [(rows.select("entity", "at"), labels(rows)) for rows in scored.pieces()]
    said = [keys.with_columns(label=pl.Series(np.asarray(some))) for keys, some in told if some is not None]
    return store.blobs.put(frame_bytes(pl.concat(said))) if said else ""


def _written(model: Any) -> dict[str, Any]:
    """A model's parameters under the name its class is registered by; else only what it is."""
    kind = type(model)
    name = next((name for name, point in registry.names("models").items() if point.value == f"{kind.__module__}:{kind.__qualname__}"), "")
    if name and dataclasses.is_dataclass(model):
        try:
            return {"kind": name, "parameters": {one.name: plain(getattr(model, one.name)) for one in dataclasses.fields(model) if one.init}}
        except TypeError:  # a parameter that has no plain form
            pass
    return {"kind": "", "is": f"{kind.__module__}:{kind.__qualname__}"}


def _tuples(value: Any) -> Any:
    return tuple(_tuples(one) for one in value) if isinstance(value, list) else value
