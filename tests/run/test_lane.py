from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import numpy as np
import polars as pl

from trunkline import Workflow
from trunkline.core.frames import TIME
from trunkline.core.values import Decision, Reason
from trunkline.decisions.guardrail import State
from trunkline.run.deciding import Decided, Finding, decide
from trunkline.run.lane import explainer, rows_of

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


def rows(entities: int = 3, hours: int = 4) -> pl.DataFrame:
    at = [AT + timedelta(hours=h) for h in range(hours)]
    frame = pl.DataFrame({"entity": [f"c{e}" for e in range(entities) for _ in at], "at": at * entities, "volume": np.arange(entities * hours) * 1.0})
    return frame.with_columns(pl.col("at").cast(TIME), known_at=(pl.col("at") + timedelta(hours=1)).cast(TIME))


class Says:
    """A model whose reason tells which row it was asked about."""

    def explain(self, given: pl.DataFrame, index: int) -> tuple[Reason, ...]:
        assert index == given.height - 1
        return (Reason(column="volume", text=f"{given['entity'][0]}: {given.height} rows to {given['volume'][index]:g}", weight=1.0),)


def test_reasons_are_asked_about_the_entitys_own_rows_up_to_the_slot() -> None:
    explain = explainer(cast("Any", Says()), rows())

    assert explain("c1", AT + timedelta(hours=2))[0].text == "c1: 3 rows to 6"
    assert explain("c0", AT)[0].text == "c0: 1 rows to 0"


def test_the_row_of_each_decision_is_found() -> None:
    findings = [Finding(Decision("look", target=e, confidence=1.0, id=e, at=AT + timedelta(hours=h)), AT) for e, h in (("c2", 3), ("c0", 1))]

    found = rows_of(findings, rows())

    assert {id_: (row["entity"], row["volume"]) for id_, row in found.items()} == {"c2": ("c2", 11.0), "c0": ("c0", 1.0)}
    assert found["c2"]["at"] == AT + timedelta(hours=3)
    assert rows_of([], rows()) == {}


def test_rows_decided_one_at_a_time_are_decided_as_they_are_together(workflow: Workflow) -> None:
    frame = rows().rename({"entity": "element"}).with_columns(entity=pl.col("element"))
    scores = np.where(np.arange(frame.height) % 3 == 0, 0.999, np.where(np.arange(frame.height) % 5 == 0, np.nan, 0.2))

    def told(*done: Decided) -> tuple[list[tuple[str, datetime]], dict[str, int]]:
        counts: dict[str, int] = {}
        for one in done:
            for name, count in one.counts.items():
                counts[name] = counts.get(name, 0) + count
        return [(f.entity, f.at) for one in done for f in one.findings], counts

    together = decide(workflow, frame, scores, level=lambda _at: 0.9, state=State(), mode="replay")
    state = State()
    order = np.lexsort((frame["entity"].to_numpy(), frame["at"].to_numpy())).tolist()
    singly = [decide(workflow, frame[i : i + 1], scores[i : i + 1], level=lambda _at: 0.9, state=state, mode="replay") for i in order]

    assert told(*singly) == told(together)
    assert {"admitted", "none", "cannot judge"} <= told(together)[1].keys()
