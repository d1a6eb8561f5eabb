from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from trunkline.models.check import check_model, sample_rows
from trunkline.models.dummies import Constant, LastWeek, RandomAlarm, RangeNovelty
from trunkline.models.protocol import Context

ROWS, LABELS = sample_rows()
CONTEXT = Context(every=timedelta(hours=1))
SKILL = "an outage scores higher than calm"


@pytest.mark.parametrize("dummy", [RandomAlarm(seed=4), LastWeek(), RangeNovelty(), Constant()])
def test_a_dummy_keeps_every_promise_of_a_model_but_skill(dummy: Any) -> None:
    assert [f for f in check_model(dummy) if not f.passed and f.name != SKILL] == []


def test_chance_is_uniform_and_follows_the_seed() -> None:
    one, two = (RandomAlarm(seed=s).fit(ROWS, context=CONTEXT).score(ROWS) for s in (1, 2))

    assert abs(one.mean() - 0.5) < 0.02
    assert abs((one > 0.98).mean() - 0.02) < 0.01
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.05


def test_chance_knows_nothing_of_faults() -> None:
    scores = RandomAlarm().fit(ROWS, context=CONTEXT).score(ROWS)

    assert abs(scores[LABELS == 1].mean() - 0.5) < 0.12


def test_a_range_never_left_is_no_novelty() -> None:
    fitted = RangeNovelty(columns=("users",)).fit(ROWS, context=CONTEXT)

    assert (fitted.score(ROWS) == 0).all()
    assert (fitted.score(ROWS.with_columns(users=ROWS["users"] * 10))[-24:] > 0.9).all()


def test_last_week_needs_a_week_of_past() -> None:
    fitted = LastWeek().fit(ROWS, context=CONTEXT)

    assert fitted.lookback == timedelta(days=7)
    assert np.isnan(fitted.score(ROWS)[: 7 * 24]).all()
