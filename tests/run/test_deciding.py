"""From scores to findings, slot by slot in the order of time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from trunkline import Decision, Guardrail, Row, Workflow
from trunkline.core.frames import TIME
from trunkline.core.values import Reason
from trunkline.decisions import State
from trunkline.run.deciding import LEARN_LEVEL_FROM, decide, level_at_word, level_over_time, telling

AT = datetime(2026, 11, 20, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
NAN = float("nan")


def rows(**scores: list[float]) -> tuple[pl.DataFrame, Any]:
    """Rows of elements by name, hour by hour, with their scores; sorted as rows are."""
    table = [(element, AT + n * HOUR, AT + (n + 1) * HOUR, float(n), score) for element, column in sorted(scores.items()) for n, score in enumerate(column)]
    frame = pl.DataFrame(table, schema={"entity": pl.String, "at": TIME, "known_at": TIME, "volume": pl.Float64, "score": pl.Float64}, orient="row")
    return frame.drop("score"), frame["score"].to_numpy()


def at_level(level: float = 0.99) -> Any:
    return lambda _at: level


def test_each_slot_is_ruled_on_as_one_in_the_order_of_time(workflow: Workflow) -> None:
    one_a_shift = replace(workflow, guardrail=Guardrail(items_per_shift=1, hold_off="1h"))
    frame, scores = rows(a=[0.1, 0.995, 0.1], b=[0.1, 0.999, 0.1], c=[0.999, 0.1, 0.1])

    done = decide(one_a_shift, frame, scores, level=at_level(), state=State(), mode="replay")

    assert [(f.entity, f.at) for f in done.findings] == [("c", AT)]
    assert done.counts == {"none": 6, "admitted": 1, "over budget": 2}


def test_every_row_is_counted_once_and_one_that_cannot_be_judged_is_told_apart(workflow: Workflow) -> None:
    frame, scores = rows(a=[NAN, 0.5, 0.995, 0.995, NAN])

    done = decide(workflow, frame, scores, level=at_level(), state=State(), mode="replay")

    assert done.counts == {"cannot judge": 2, "none": 1, "admitted": 1, "same episode": 1}


def test_a_workflow_is_never_asked_about_a_row_without_a_score(workflow: Workflow) -> None:
    asked: list[float] = []

    def note(row: Row, score: float) -> None:
        asked.append(score)

    frame, scores = rows(a=[NAN, 0.2], b=[0.3, NAN])
    decide(replace(workflow, decide=note), frame, scores, level=at_level(), state=State(), mode="replay")

    assert asked == [0.3, 0.2]


def test_a_finding_lasts_as_long_as_its_episode_goes_on(workflow: Workflow) -> None:
    frame, scores = rows(a=[0.995, 0.995, 0.995, 0.1])

    (finding,) = decide(workflow, frame, scores, level=at_level(), state=State(), mode="replay").findings

    assert (finding.at, finding.until) == (AT, AT + 2 * HOUR)


def test_cut_into_two_calls_it_decides_the_same(workflow: Workflow) -> None:
    frame, scores = rows(a=[0.1, 0.995, 0.996, 0.997, 0.1, 0.1], b=[0.1, 0.1, 0.999, 0.1, 0.1, 0.999])
    whole = decide(workflow, frame, scores, level=at_level(), state=State(), mode="live", release="r1")

    state, going = State(), {}  # type: ignore[var-annotated]
    early = (frame["at"] < AT + 3 * HOUR).to_numpy()
    first = decide(workflow, frame.filter(early), scores[early], level=at_level(), state=state, mode="live", release="r1", going=going)
    second = decide(workflow, frame.filter(~early), scores[~early], level=at_level(), state=state, mode="live", release="r1", going=going)

    assert [*first.findings, *second.findings] == whole.findings
    assert first.counts + second.counts == whole.counts
    assert [f.entity for f in second.lasting] == ["a", "b"], "an episode that goes on is handed on, once"


def test_what_is_recorded_says_who_decided_and_when_it_was_known(workflow: Workflow) -> None:
    frame, scores = rows(a=[0.995])

    (finding,) = decide(workflow, frame, scores, level=at_level(), state=State(), mode="shadow", release="r1").findings

    one = finding.decision
    assert (one.workflow, one.release, one.mode, one.at, one.known_at) == ("strange", "r1", "shadow", AT, AT + HOUR)
    assert len(one.id) == 16


def test_the_id_of_a_decision_is_what_it_is_about_and_not_how_sure_it_is(workflow: Workflow) -> None:
    def id_of(score: float, **how: Any) -> str:
        frame, scores = rows(a=[score])
        return decide(workflow, frame, scores, level=at_level(), state=State(), **{"mode": "live", "release": "r1", **how}).findings[0].decision.id

    assert id_of(0.995) == id_of(0.999)
    assert len({id_of(0.995), id_of(0.995, mode="shadow"), id_of(0.995, release="r2")}) == 3


def test_reasons_come_in_the_order_the_workflow_gives_then_in_the_models(workflow: Workflow) -> None:
    def say(row: Row, score: float) -> Decision:
        return Decision("look", target=row["element"], confidence=score, because=("drops", "volume"))

    told = tuple(Reason(column=name, text=name, weight=w) for name, w in (("prb", 0.5), ("volume", 0.3), ("drops", 0.2)))
    frame, scores = rows(a=[0.995])

    (finding,) = decide(replace(workflow, decide=say), frame, scores, level=at_level(), state=State(), mode="live", explain=lambda *_: told).findings

    assert [r.column for r in finding.decision.reasons] == ["drops", "volume", "prb"]


def test_reasons_that_carry_little_are_left_out() -> None:
    told = tuple(Reason(column=f"kpi_{n}", text="", weight=w) for n, w in enumerate((0.5, 0.2, 0.09, 0.11)))

    assert [r.column for r in telling(told)] == ["kpi_0", "kpi_1", "kpi_3"]
    assert len(telling(tuple(Reason(column=str(n), text="", weight=0.1) for n in range(9)))) == 5
    assert telling(()) == ()


def test_only_what_goes_out_is_explained(workflow: Workflow) -> None:
    asked = []
    frame, scores = rows(a=[0.995, 0.995, 0.1], b=[0.1, 0.1, 0.1])

    decide(workflow, frame, scores, level=at_level(), state=State(), mode="live", explain=lambda entity, at: asked.append((entity, at)) or ())  # type: ignore[func-returns-value]

    assert asked == [("a", AT)]


def test_no_rows_are_no_findings(workflow: Workflow) -> None:
    frame, scores = rows(a=[0.5])

    done = decide(workflow, frame.clear(), scores[:0], level=at_level(), state=State(), mode="live")

    assert (done.findings, done.counts) == ([], {})


# --- the level over time --------------------------------------------------------------------------


@pytest.mark.parametrize(("entities", "level"), [(1, 1 - 1 / 168), (20, 1 - 1 / 168), (1000, 1 - 20 / 8000)])
def test_with_nothing_known_the_level_takes_scores_at_their_word(entities: int, level: float, workflow: Workflow) -> None:
    assert level_at_word(workflow, entities=entities, every=HOUR) == pytest.approx(level)


def test_the_level_at_any_time_knows_only_scores_from_before(workflow: Workflow) -> None:
    slots = 6 * 168
    scores = np.random.default_rng(3).random(slots)
    frame = pl.DataFrame({"entity": "a", "at": [AT + n * HOUR for n in range(slots)], "confidence": scores})
    end = AT + slots * HOUR
    later = AT + timedelta(weeks=3, hours=1)

    whole = level_over_time(workflow, frame, every=HOUR, begin=AT, end=end)
    changed = level_over_time(
        workflow, frame.with_columns(confidence=pl.when(pl.col("at") >= later).then(1.0).otherwise("confidence")), every=HOUR, begin=AT, end=end
    )

    times = [AT + n * timedelta(hours=7) for n in range(60)]
    assert [whole(at) for at in times] == [changed(at) for at in times]
    assert whole(end) != changed(end)


def test_until_there_is_something_to_learn_from_the_level_is_at_least_as_strict_as_its_word(workflow: Workflow) -> None:
    frame = pl.DataFrame({"entity": "a", "at": [AT + n * HOUR for n in range(500)], "confidence": [0.2] * 500})

    level = level_over_time(workflow, frame, every=HOUR, begin=AT, end=AT + 500 * HOUR)

    young = [level(AT + n * HOUR) for n in range(int(LEARN_LEVEL_FROM / HOUR))]
    assert set(young) == {level(AT)}
    assert level_at_word(workflow, entities=1, every=HOUR) <= level(AT) < 1
    assert level(AT + 500 * HOUR) == 0.5, "a past in which nothing was unusual lowers it"
