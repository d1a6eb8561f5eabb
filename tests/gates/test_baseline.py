from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from trunkline.core.errors import UnknownName
from trunkline.gates import BeatsBaseline, Evidence
from trunkline.gates.check import sample_evidence


def blurred(evidence: Evidence, share: float, seed: int = 3) -> np.ndarray:
    """The perfect scores with a share of the rows replaced by chance."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(evidence.rows.height) < share, rng.random(evidence.rows.height), evidence.scores)


def test_the_hardest_baseline_is_the_one_reported() -> None:
    evidence = sample_evidence()
    baselines = {"last week": blurred(evidence, 0.5), "seasonal": blurred(evidence, 0.2), "dummy": np.zeros(evidence.rows.height)}

    verdict = BeatsBaseline().check(dataclasses.replace(evidence, baselines=baselines))

    assert verdict.result == "pass"
    assert "'seasonal'" in verdict.why
    assert verdict.interval is not None
    assert verdict.interval[0] > 0


def test_a_baseline_that_is_better_is_named() -> None:
    evidence = sample_evidence()
    worse = dataclasses.replace(evidence, scores=blurred(evidence, 0.4), baselines={"last week": blurred(evidence, 0.1)})

    verdict = BeatsBaseline().check(worse)

    assert verdict.result == "fail"
    assert "'last week'" in verdict.why
    assert verdict.value is not None
    assert verdict.value < 0


def test_an_advantage_that_may_be_chance_is_not_a_pass() -> None:
    evidence = sample_evidence()
    alike = dataclasses.replace(evidence, scores=blurred(evidence, 0.3, seed=1), baselines={"last week": blurred(evidence, 0.3, seed=2)})

    assert BeatsBaseline().check(alike).result != "pass"
    assert BeatsBaseline().check(dataclasses.replace(alike, scores=alike.baselines["last week"], baselines={"last week": alike.scores})).result != "pass"


def test_a_margin_is_added_to_the_bar() -> None:
    evidence = sample_evidence()
    good = dataclasses.replace(evidence, scores=blurred(evidence, 0.1), baselines={"seasonal": blurred(evidence, 0.3)})

    close, far = BeatsBaseline(margin=0.05).check(good), BeatsBaseline(margin=0.9).check(good)

    assert (close.result, far.result) == ("pass", "fail")


def test_a_candidate_worse_than_the_live_version_is_refused() -> None:
    evidence = sample_evidence()
    live = dataclasses.replace(evidence, scores=blurred(evidence, 0.1))

    worse = BeatsBaseline().check(dataclasses.replace(evidence, scores=blurred(evidence, 0.4), champion=live))
    better = BeatsBaseline().check(dataclasses.replace(evidence, scores=evidence.scores, champion=live))

    assert worse.result == "fail"
    assert "worse than what is live" in worse.why
    assert better.result == "pass"


def test_the_live_version_is_compared_on_the_injected_faults_too() -> None:
    evidence = sample_evidence()
    worse = dataclasses.replace(evidence, scores=blurred(evidence, 0.4))
    unlabelled = dataclasses.replace(evidence, labels=None, injected=worse, champion=dataclasses.replace(evidence, labels=None, injected=evidence))

    refused = BeatsBaseline().check(unlabelled)
    unknown = BeatsBaseline().check(dataclasses.replace(unlabelled, champion=dataclasses.replace(evidence, labels=None)))

    assert refused.result == "fail"
    assert unknown.result == "cannot tell"
    assert "live version was not scored" in unknown.why


def test_an_unknown_metric_is_refused_with_the_closest() -> None:
    with pytest.raises(UnknownName, match="average_precision"):
        BeatsBaseline("average_precison")
