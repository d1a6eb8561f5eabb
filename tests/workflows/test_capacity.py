from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from trunkline.core.errors import UnknownName
from trunkline.core.frames import ELEMENTS, KPIS, Facts
from trunkline.core.values import Row
from trunkline.decisions.guardrail import State
from trunkline.features import history
from trunkline.models import Context
from trunkline.workflows.capacity import HORIZON, LOOK, decide, workflow

HOUR = timedelta(hours=1)
FIRST = datetime(2026, 1, 5, tzinfo=UTC)
WEEKS = 20
GROWTH = {"flat": 0.0, "fills-up": 1.4, "falls": -0.3}  # points a week


def facts(*, throughput: bool = True, zone: str = "Europe/Rome") -> Facts:
    """Simulated hourly PRB use, one cell for each growth, all at 40 % in their first busy hour."""
    at = pl.datetime_range(FIRST, FIRST + WEEKS * 7 * 24 * HOUR - HOUR, "1h", time_unit="us", eager=True)
    frames = []
    for number, (cell, growth) in enumerate(GROWTH.items()):
        random = np.random.default_rng(number)
        shape = 0.5 + 0.5 * np.sin((np.arange(len(at)) % 24 - 12) / 24 * 2 * np.pi)
        busy = 40 + growth * np.arange(len(at)) / 168
        prb = np.clip(busy * shape + random.normal(0, 1, len(at)), 0, 100)
        found = {"prb_utilisation_dl": prb}
        if throughput:
            found["dl_user_throughput"] = 40 - 0.3 * prb
        frames += [
            pl.DataFrame({"element": cell, "kpi": kpi, "at": at, "value": values, "status": "ok", "known_at": at + HOUR}) for kpi, values in found.items()
        ]
    inventory = {name: [None] * len(GROWTH) for name in ELEMENTS} | {"element": list(GROWTH), "kind": ["cell"] * len(GROWTH), "zone": [zone] * len(GROWTH)}
    elements = pl.DataFrame(inventory, schema=dict(ELEMENTS))
    return Facts(kpis=pl.concat(frames).cast(dict(KPIS)), elements=elements)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    assert workflow.features is not None
    return history(workflow.features, facts())


CONTEXT = Context(every=HOUR, zones=dict.fromkeys(GROWTH, "Europe/Rome"), words={"prb": "busy-hour PRB use"})


def test_the_workflow_is_whole_and_its_runbook_is_there() -> None:
    assert workflow.name == "capacity"
    assert workflow.runbook.is_file()
    assert len(workflow.hash) == 64
    assert "80 %" in workflow.runbook.read_text()


def test_a_cell_that_fills_up_is_decided_on_once_a_day_and_others_are_not(rows: pl.DataFrame) -> None:
    until = FIRST + (WEEKS - 1) * timedelta(days=7)
    fitted = workflow.model.fit(rows.filter(pl.col("at") < until), context=CONTEXT)
    new = rows.filter(pl.col("at") >= until)
    scores, columns = fitted.score(new), new.to_dict(as_series=False)

    said = [one for i, score in enumerate(scores) if (one := decide(Row(columns, i, entity="cell"), float(score)))]

    assert {one.target for one in said} == {"fills-up"}
    assert len(said) in (7, 8)
    assert {at.astimezone(UTC).hour for at in new.filter(pl.col("hour") == LOOK)["at"]} <= {4, 5}
    first = said[0]
    assert first.action == "plan_capacity"
    assert first.confidence >= 0.5
    assert (until + HORIZON).date().isoformat() <= first.detail["crossed_before"] <= (until + HORIZON + timedelta(days=7)).date().isoformat()
    assert 0 < first.detail["user_throughput_in_worst_hour"] < 40


def test_its_reason_tells_the_date(rows: pl.DataFrame) -> None:
    fitted = workflow.model.fit(rows, context=CONTEXT)
    index = int((rows["entity"] == "fills-up").arg_max() or 0) + 500

    (reason,) = fitted.explain(rows, index)

    assert reason.text.startswith("busy-hour PRB use 6")
    assert "points a month: 80 % is reached about 2026-" in reason.text


def test_no_row_decides_twice_for_one_cell_within_its_hold_off(rows: pl.DataFrame) -> None:
    fitted = workflow.model.fit(rows, context=CONTEXT)
    last = rows.group_by("entity", maintain_order=True).last().to_dict(as_series=False)
    (number,) = [i for i, cell in enumerate(last["entity"]) if cell == "fills-up"]
    last["hour"][number] = LOOK
    candidate = decide(Row(last, number, entity="cell"), float(fitted.score(pl.DataFrame(last).cast({"at": rows.schema["at"]}))[number]))
    assert candidate is not None
    state, at = State(), last["at"][number]

    rulings = [workflow.guardrail.admit([candidate], state, level=0.5, at=at + timedelta(days=day))[0].ruling for day in range(10)]

    assert rulings == ["admitted"] + ["same episode"] * 9


def test_a_csv_with_nothing_but_prb_use_is_enough() -> None:
    assert workflow.features is not None

    rows = history(workflow.features, facts(throughput=False))

    assert set(rows.columns) == {"entity", "at", "known_at", "prb", "hour"}
    assert workflow.features.bind(["prb_utilisation_dl", "dl_user_throughput"]).columns.keys() == {"prb", "dl_user_throughput_in_worst_hour", "hour"}
    with pytest.raises(UnknownName, match="prb_utilisation_dl"):
        workflow.features.bind(["dl_user_throughput"])


def test_rows_of_whole_days_decide_whatever_their_hour() -> None:
    at = datetime(2026, 6, 1, tzinfo=UTC)
    columns = {"entity": ["a"], "at": [at], "known_at": [at + timedelta(days=1, minutes=10)], "prb": [70.0], "hour": [2.0]}

    said = decide(Row(columns, 0, entity="cell"), 0.8)

    assert said is not None
    assert said.detail == {"limit_percent": 80.0, "probability": 0.8, "crossed_before": "2026-11-30"}


def test_it_says_nothing_without_a_score() -> None:
    at = datetime(2026, 6, 1, 4, tzinfo=UTC)
    columns = {"entity": ["a"], "at": [at], "known_at": [at + HOUR], "prb": [70.0], "hour": [6.0]}

    assert decide(Row(columns, 0, entity="cell"), 0.49) is None
    assert decide(Row(columns, 0, entity="cell"), float("nan")) is None
