from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from trunkline.gates import F1, Auc, AveragePrecision, Evidence, PrecisionAt, RecallAt
from trunkline.gates.check import sample_evidence


def half_seen(evidence: Evidence) -> np.ndarray:
    """Scores that see every second event, in its last slot only."""
    assert evidence.labels is not None
    scores = np.zeros(evidence.rows.height)
    numbers = np.unique(evidence.labels[evidence.labels > 0])
    for number in numbers[::2]:
        scores[np.flatnonzero(evidence.labels == number)[-1]] = 0.99
    return scores


def test_recall_counts_events_not_slots() -> None:
    evidence = sample_evidence()
    scores = half_seen(evidence)

    verdict = RecallAt(items_per_shift=20, least=0.4).check(dataclasses.replace(evidence, scores=scores, decided=scores > 0.5))

    assert verdict.value == pytest.approx(0.5, abs=0.01)
    assert verdict.result == "pass"
    assert verdict.n == len(np.unique(evidence.labels)) - 1  # type: ignore[arg-type]


def test_the_budget_of_a_shift_binds() -> None:
    evidence = sample_evidence()

    plenty, scarce = (RecallAt(items_per_shift=items, least=0.6).check(evidence) for items in (20, 1))

    assert plenty.result == "pass"
    assert scarce.result == "fail"
    assert scarce.value is not None
    assert plenty.value is not None
    assert scarce.value < 0.2 < plenty.value


def test_a_budget_for_more_cells_than_are_held_out_is_shared() -> None:
    evidence = sample_evidence()

    whole = RecallAt(items_per_shift=20).check(evidence)
    shared = RecallAt(items_per_shift=20).check(dataclasses.replace(evidence, entities=150 * 20))

    assert whole.value is not None
    assert shared.value is not None
    assert shared.value < whole.value / 3


def test_a_budget_that_even_a_dummy_meets_proves_nothing() -> None:
    evidence = dataclasses.replace(sample_evidence(), decided=None)
    lifted = 0.6 + 0.4 * evidence.scores  # everything may be handed over

    verdict = RecallAt(items_per_shift=150, least=0.3).check(dataclasses.replace(evidence, scores=lifted))

    assert verdict.result == "cannot tell"
    assert "a dummy reaches the bar" in verdict.why


def test_precision_counts_items_that_were_right() -> None:
    evidence = sample_evidence()
    scores, quiet = evidence.scores.copy(), np.flatnonzero(evidence.labels == 0)
    scores[np.random.default_rng(0).choice(quiet, 400, replace=False)] = 0.99

    verdict = PrecisionAt(items_per_shift=20, least=0.3).check(dataclasses.replace(evidence, scores=scores, decided=scores > 0.5))

    assert verdict.result == "pass"
    assert verdict.value is not None
    assert 0.4 < verdict.value < 0.8
    assert verdict.baseline_value is not None
    assert verdict.baseline_value < 0.1


@pytest.mark.parametrize("gate", [RecallAt(), PrecisionAt(), AveragePrecision(), Auc(), F1()])
def test_faults_hidden_on_purpose_are_used_where_nobody_labelled(gate: RecallAt) -> None:
    evidence = sample_evidence()

    verdict = gate.check(dataclasses.replace(evidence, labels=None, injected=evidence))

    assert verdict.result == "pass"
    assert "injected faults" in verdict.why


@pytest.mark.parametrize("gate", [AveragePrecision(least=0.01), Auc(least=0.4), F1(least=0.01)])
def test_a_bar_below_chance_is_no_bar(gate: Auc) -> None:
    verdict = gate.check(sample_evidence("random"))

    assert verdict.result == "cannot tell"


def test_worse_than_chance_is_said_in_words() -> None:
    evidence = sample_evidence()

    verdict = Auc(least=0.8).check(dataclasses.replace(evidence, scores=1 - evidence.scores))

    assert verdict.result == "fail"
    assert "worse than chance" in verdict.why


def test_few_positives_are_not_judged() -> None:
    evidence = sample_evidence()
    labels = np.zeros(evidence.rows.height, dtype=np.int64)
    labels[:5] = 1

    verdict = Auc().check(dataclasses.replace(evidence, labels=labels))

    assert verdict.result == "cannot tell"
    assert "5 of 50400 rows are positive" in verdict.why


def test_rows_that_could_not_be_judged_are_counted_and_named() -> None:
    evidence = sample_evidence()
    scores = evidence.scores.copy()
    scores[::4] = np.nan

    verdict = AveragePrecision(least=0.5).check(dataclasses.replace(evidence, scores=scores))

    assert "25.0% of the rows could not be judged" in verdict.why
    assert verdict.value is not None
    assert verdict.value < 0.9
