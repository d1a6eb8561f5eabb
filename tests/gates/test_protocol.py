from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.core.errors import BadInput
from trunkline.gates import AveragePrecision, Evidence, Parity, Part, Verdict, joint, run_gates
from trunkline.gates.check import sample_evidence
from trunkline.gates.protocol import features

RESULTS = st.sampled_from(["pass", "fail", "cannot tell"])
ROWS = pl.DataFrame(
    {"entity": ["a", "b"], "at": [datetime(2026, 1, 1, tzinfo=UTC)] * 2, "known_at": [datetime(2026, 1, 1, 1, tzinfo=UTC)] * 2, "traffic": [1.0, 2.0]}
)


@pytest.mark.parametrize("split", ["random", "", "group:", "5-fold"])
def test_a_split_that_lets_neighbours_stand_on_both_sides_is_refused(split: str) -> None:
    with pytest.raises(BadInput, match="were seen in training") as refused:
        Evidence(ROWS, scores=np.zeros(2), split=split, every=timedelta(hours=1))

    assert "'time' or 'group:<column>'" in str(refused.value)


@pytest.mark.parametrize("name", ["scores", "labels", "groups", "decided"])
def test_one_value_per_row_is_asked_for(name: str) -> None:
    given_: dict[str, object] = {"scores": np.zeros(2), name: np.zeros(3)}

    with pytest.raises(BadInput, match=f"2 rows but 3 {name}"):
        Evidence(ROWS, split="time", every=timedelta(hours=1), **given_)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="dummy"):
        Evidence(ROWS, split="time", every=timedelta(hours=1), scores=np.zeros(2), baselines={"dummy": np.zeros(1)})
    with pytest.raises(BadInput, match="labels"):
        Part(ROWS, labels=np.zeros(1))


@given(st.lists(RESULTS, max_size=6))
def test_only_passes_give_a_pass_and_any_fail_a_fail(results: list[str]) -> None:
    together = joint(Verdict(gate=str(i), result=result) for i, result in enumerate(results))  # type: ignore[arg-type]

    if "fail" in results:
        assert together == "fail"
    elif not results or "cannot tell" in results:
        assert together == "cannot tell"
    else:
        assert together == "pass"


def test_every_gate_is_asked_even_after_one_failed() -> None:
    evidence = sample_evidence("random")

    verdicts = run_gates([AveragePrecision(least=0.9), Parity()], evidence)

    assert [(v.gate, v.result) for v in verdicts] == [("AveragePrecision", "fail"), ("Parity", "pass")]


def test_keys_and_times_are_no_features() -> None:
    assert features(ROWS.with_columns(closed_at=pl.col("at"))) == ("traffic",)
