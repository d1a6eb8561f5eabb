from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from trunkline import Workflow, models
from trunkline.core.canonical import sha256
from trunkline.core.errors import NotAllowed
from trunkline.core.frames import TIME
from trunkline.core.values import Decision
from trunkline.models.portable import pack
from trunkline.models.protocol import Context, Fitted
from trunkline.run import queue
from trunkline.run.deciding import Finding
from trunkline.run.exact import exactly
from trunkline.store import catalogue
from trunkline.store.database import transaction
from trunkline.store.opened import Store

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
CONTEXT = Context(every=timedelta(hours=1), words={"volume": "downlink volume"})


def rows() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    at = pl.Series([AT - timedelta(hours=400 - i) for i in range(400)]).cast(TIME)
    return pl.DataFrame({"entity": ["c1"] * 400, "at": at, "known_at": at, "busy": rng.random(400) < 0.5, "volume": rng.normal(10, 3, 400)})


def taken(store: Store, workflow: Workflow, fitted: Fitted, row: dict[str, Any]) -> queue.Recorded:
    """A decision that a release with this model took on *row*."""
    saved = fitted.save()
    with transaction(store.engine) as connection:
        told = {"model": sha256(pack(saved))}
        kept = {
            "id": "r1",
            "workflow": "strange",
            "state": "live",
            "made_at": AT,
            "changed_at": AT,
            "verdict": "pass",
            "waiver": None,
            "body": told,
            "card": {},
        }
        catalogue.add(connection, catalogue.releases, **kept, model=store.blobs.put(pack(saved, signer=store.signer)))
    decision = Decision("investigate", target="c1", confidence=0.99, id="d" * 16, workflow="strange", release="r1", at=AT, known_at=AT)
    queue.record(store, workflow, [Finding(decision, AT)], rows={decision.id: row}, counts={})
    return queue.show(store, decision.id)


def test_exact_reasons_are_reckoned_from_the_row_the_decision_was_taken_on(store: Store, workflow: Workflow) -> None:
    labels = (rows()["volume"].to_numpy() < 7).astype(float)
    fitted = models.Trees(rounds=20, stop=0).fit(rows(), labels=labels, context=CONTEXT)

    found = exactly(store, taken(store, workflow, fitted, {"entity": "c1", "at": AT, "volume": 2.5, "busy": True}))

    assert found.reasons[0].startswith("downlink volume 2.5, usually ")
    assert found.reasons[0].endswith(" %)")
    assert "speaks for it" in found.reasons[0]


def test_a_gap_in_the_row_is_a_gap_in_the_reasons(store: Store, workflow: Workflow) -> None:
    labels = (rows()["volume"].to_numpy() < 7).astype(float)
    fitted = models.Trees(rounds=20, stop=0).fit(rows(), labels=labels, context=CONTEXT)

    found = exactly(store, taken(store, workflow, fitted, {"entity": "c1", "at": AT, "volume": None, "busy": True}))

    assert any(text.startswith("downlink volume missing") for text in found.reasons)


def test_a_model_without_exact_reasons_says_so(store: Store, workflow: Workflow) -> None:
    found = taken(store, workflow, models.Constant().fit(rows(), context=CONTEXT), {"entity": "c1", "at": AT, "volume": 2.5})

    with pytest.raises(NotAllowed, match="has no exact reasons") as refused:
        exactly(store, found)

    assert "boosted trees" in str(refused.value)


def test_a_decision_of_no_release_says_so(store: Store, workflow: Workflow) -> None:
    queue.record(
        store,
        workflow,
        [Finding(Decision("investigate", target="c1", confidence=0.9, id="e" * 16, workflow="strange", at=AT, known_at=AT), AT)],
        rows={},
        counts={},
    )

    with pytest.raises(NotAllowed, match="taken by no release"):
        exactly(store, queue.show(store, "e" * 16))
