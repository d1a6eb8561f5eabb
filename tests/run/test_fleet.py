"""A fleet worked on in partitions beside the same elements all at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from trunkline import models
from trunkline.core.errors import WorkflowError
from trunkline.core.frames import ELEMENTS, KPIS, Facts
from trunkline.features import Features, history
from trunkline.models import Context
from trunkline.run.engine import Local, Serial
from trunkline.run.fleet import Fleet
from trunkline.run.fleet_replay import replay as replay_fleet
from trunkline.run.replay import Replay, replay
from trunkline.run.shipped import find

HOUR = timedelta(hours=1)
FIRST = datetime(2026, 3, 2, tzinfo=UTC)
SLOTS = 24 * 28
NAMES = tuple(f"cell-{n}" for n in range(7))


def facts_of(names: tuple[str, ...]) -> Facts:
    """Simulated: three KPIs with a daily shape; some values missing, some cells out for some hours."""
    frames = []
    at = [FIRST + n * HOUR for n in range(SLOTS)]
    for name in names:
        random = np.random.default_rng(NAMES.index(name))
        hour = np.arange(SLOTS) % 24
        for k, kpi in enumerate(("dl_volume", "prb", "users")):
            value = (10.0 + 5.0 * np.sin((hour + k) / 24 * 2 * np.pi)) * random.lognormal(0, 0.1, SLOTS)
            value[400 + 10 * NAMES.index(name) :][:5] *= 0.05
            value[random.random(SLOTS) < 0.02] = np.nan
            frames.append(
                pl.DataFrame({"element": name, "kpi": kpi, "at": at, "value": pl.Series(value, nan_to_null=True)}).with_columns(
                    status=pl.when(pl.col("value").is_null()).then(pl.lit("missing")).otherwise(pl.lit("ok")), known_at=pl.col("at") + HOUR
                )
            )
    kpis = pl.concat(frames).cast(pl.Schema(KPIS))
    elements = pl.DataFrame({"element": names, "kind": "element", "zone": "Europe/Rome"}).with_columns(
        **{column: pl.lit(None, pl.String) for column in ELEMENTS if column not in {"element", "kind", "zone"}}
    )
    return Facts(kpis=kpis, elements=elements.select(list(ELEMENTS)))


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    workflow = find("kpi-anomaly")
    assert workflow.features is not None
    features = Features(entity="element", every="1h", columns=workflow.features.columns, delay=workflow.features.delay)
    workflow = replace(workflow.on_grid(features), model=models.HourOfWeek())
    context = Context(every=HOUR, zones=dict.fromkeys(NAMES, "Europe/Rome"))
    kpis = ("dl_volume", "prb", "users")
    return Fleet(workflow=workflow, elements=NAMES, facts=facts_of, kpis=kpis, context=context, first=FIRST, last=FIRST + (SLOTS - 1) * HOUR, partition=3)


def said(found: Replay) -> list[Any]:
    return [(f.entity, f.at, f.until, f.decision.confidence, f.decision.id, [r.text for r in f.decision.reasons]) for f in found.findings]


def test_a_partitioned_replay_says_what_a_replay_of_all_at_once_says(fleet: Fleet) -> None:
    known = pl.DataFrame({"entity": ["cell-1", "nobody"], "start": FIRST + 410 * HOUR, "end": FIRST + 415 * HOUR})
    whole = replay(fleet.workflow, facts_of(NAMES), context=fleet.context, truth=known)

    heard = replay_fleet(replace(fleet, engine=Local(2)), truth=known)

    assert said(heard) == said(whole)
    assert len(heard.findings) > 0
    assert heard.speakers[0].decided.counts == whole.speakers[0].decided.counts
    assert [heard.self_test[n] for n in (0, 2)] == [whole.self_test[n] for n in (0, 2)], "chance is told by name and slot; last week learns tails from all"
    assert heard.self_test[0].found.n > 0
    assert heard.against_truth[0] == whole.against_truth[0]
    for name in ("judged_from", "until", "baseline_used", "elements", "judged_share", "notes", "truth_is"):
        assert getattr(heard, name) == getattr(whole, name), name
    assert heard.rows.equals(whole.rows.filter(pl.col("entity").is_in([f.entity for f in whole.findings])))
    assert heard.speakers[0].scored.frame.equals(whole.speakers[0].scored.frame)


def test_threads_and_one_after_the_other_agree_for_a_model_that_learns_from_its_partition_too(fleet: Fleet) -> None:
    harmonic = replace(fleet, workflow=replace(fleet.workflow, model=models.Harmonic(interval=None)))

    one, two = (replay_fleet(replace(harmonic, engine=engine), self_test=False) for engine in (Serial(), Local(2, ahead=0)))

    assert said(one) == said(two)
    assert one.speakers[0].decided.counts == two.speakers[0].decided.counts


def test_rows_of_a_partition_are_those_of_the_whole(fleet: Fleet) -> None:
    rows = history(fleet.features, facts_of(NAMES))

    assert pl.concat([fleet.rows(names) for names in fleet.parts]).equals(rows)


def test_a_kpi_that_a_partition_lacks_is_one_that_never_came(fleet: Fleet) -> None:
    def poorer(names: tuple[str, ...]) -> Facts:
        facts = facts_of(names)
        return replace(facts, kpis=facts.kpis.filter((pl.col("kpi") != "prb") | (pl.col("element") == "cell-0")))

    rows = replace(fleet, facts=poorer).rows(("cell-5",))

    assert rows["prb"].null_count() == SLOTS
    assert rows["users"].null_count() < SLOTS / 10


def test_a_partition_that_fails_is_named(fleet: Fleet) -> None:
    def broken(names: tuple[str, ...]) -> Facts:
        if "cell-4" in names:
            raise OSError("unreadable")
        return facts_of(names)

    with pytest.raises(WorkflowError, match=r"failed: OSError: unreadable"):
        replay_fleet(replace(fleet, facts=broken))
