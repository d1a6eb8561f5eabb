from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from trunkline.core.errors import BadInput, TooLittleData
from trunkline.models.check import sample_rows
from trunkline.models.portable import load, pack, unpack
from trunkline.models.protocol import Context
from trunkline.models.trees import Trees

CONTEXT = Context(every=timedelta(hours=1), words={"dl_volume": "downlink volume"})


def test_probabilities_learned_from_labels_find_the_outages() -> None:
    rows, labels = sample_rows(seed=1)
    past = (rows["at"] < datetime(2026, 3, 28, tzinfo=UTC)).to_numpy()
    fitted = Trees().fit(rows.filter(past), labels=labels[past], context=CONTEXT)

    scores = fitted.score(rows.filter(~past))

    assert scores[labels[~past] > 0].min() > scores[labels[~past] == 0].max()
    assert fitted.lookback == timedelta(0)


def test_the_reason_says_what_speaks_for_it_first() -> None:
    rows, labels = sample_rows(seed=1)
    fitted = Trees().fit(rows, labels=labels, context=CONTEXT)

    reasons = fitted.explain(rows, int(np.flatnonzero(labels)[0]))

    assert reasons[0].weight > 0
    assert "speaks for it" in reasons[0].text
    assert ", usually " in reasons[0].text
    assert sum(r.weight for r in reasons if r.weight > 0) == pytest.approx(1.0)


def test_without_labels_it_says_what_to_do() -> None:
    rows, _ = sample_rows()

    with pytest.raises(BadInput, match="learn from labels, and none were given") as refused:
        Trees().fit(rows, context=CONTEXT)

    assert "IsolationForest" in str(refused.value)


def test_few_labels_and_wrong_lengths_are_said() -> None:
    rows, labels = sample_rows()

    with pytest.raises(TooLittleData, match="10 of each"):
        Trees().fit(rows, labels=np.arange(rows.height) < 3, context=CONTEXT)
    with pytest.raises(BadInput, match="one label per row"):
        Trees().fit(rows, labels=labels[:-1], context=CONTEXT)


def test_rows_nobody_labelled_are_left_out() -> None:
    rows, labels = sample_rows(seed=1)
    partly = labels.astype(float)
    partly[::2] = np.nan

    some = Trees().fit(rows, labels=partly, context=CONTEXT)

    assert some.score(rows)[labels > 0].mean() > 0.5


def test_seeds_repeat_and_saving_changes_nothing() -> None:
    rows, labels = sample_rows(seed=1)
    first, again = (Trees(rounds=40).fit(rows, labels=labels, context=CONTEXT, seed=4) for _ in range(2))

    loaded = load(unpack(pack(first.save())))

    assert (first.score(rows) == again.score(rows)).all()
    assert (loaded.score(rows) == first.score(rows)).all()


def test_a_row_of_gaps_is_not_judged_and_one_gap_is() -> None:
    rows, labels = sample_rows(seed=1)
    fitted = Trees(rounds=40).fit(rows, labels=labels, context=CONTEXT)
    features = [c for c in rows.columns if c not in ("entity", "at", "known_at")]

    blank = fitted.score(rows.head(1).with_columns(pl.lit(None).alias(c) for c in features))
    partly = fitted.score(rows.head(1).with_columns(dl_volume=pl.lit(None, dtype=pl.Float64)))

    assert np.isnan(blank).all()
    assert np.isfinite(partly).all()
