from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from trunkline.gates import Parity
from trunkline.gates.check import sample_evidence


def test_a_copy_that_differs_is_found_and_the_row_is_named() -> None:
    evidence = sample_evidence()
    other = evidence.scores.copy()
    other[336] += 1e-6

    verdict = Parity().check(dataclasses.replace(evidence, reload=lambda: other))

    assert verdict.result == "fail"
    assert verdict.value == pytest.approx(1e-6)
    assert "row 336 (entity 'cell-001')" in verdict.why


def test_differences_of_rounding_are_allowed() -> None:
    evidence = sample_evidence()

    verdict = Parity(at_most=1e-9).check(dataclasses.replace(evidence, reload=lambda: evidence.scores + 1e-12))

    assert verdict.result == "pass"


def test_judging_a_row_that_the_original_did_not_judge_is_a_difference() -> None:
    evidence = sample_evidence()
    holed = evidence.scores.copy()
    holed[3] = np.nan

    one_sided = Parity().check(dataclasses.replace(evidence, scores=holed))
    both = Parity().check(dataclasses.replace(evidence, scores=holed, reload=holed.copy))

    assert (one_sided.result, one_sided.value) == ("fail", 1.0)
    assert both.result == "pass"


def test_another_number_of_scores_is_a_fail() -> None:
    evidence = sample_evidence()

    verdict = Parity().check(dataclasses.replace(evidence, reload=lambda: evidence.scores[:-1]))

    assert verdict.result == "fail"
    assert "50399 scores for 50400 rows" in verdict.why
