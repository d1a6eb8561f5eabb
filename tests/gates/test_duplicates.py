from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import pytest

from trunkline.gates import Duplicates, Part
from trunkline.gates.check import sample_evidence


def test_rows_copied_into_training_are_found() -> None:
    evidence = sample_evidence()
    assert evidence.train is not None
    copied = evidence.rows.sample(fraction=0.05, seed=1)
    train = Part(pl.concat([evidence.train.rows, copied]))

    verdict = Duplicates(across=0.01).check(dataclasses.replace(evidence, train=train))

    assert verdict.result == "fail"
    assert verdict.value == pytest.approx(0.05, abs=0.001)
    assert "5.0% of the held-out rows are in the training part" in verdict.why


def test_near_copies_are_found() -> None:
    evidence = sample_evidence()
    wide = {"a": np.random.default_rng(0).random(evidence.rows.height), "b": np.random.default_rng(1).random(evidence.rows.height)}
    rows = evidence.rows.with_columns(**{k: pl.Series(v) for k, v in wide.items()})
    near = rows.sample(fraction=0.3, seed=1).with_columns(pl.col("a", "b", "traffic", "drops") * (1 + 1e-9))

    verdict = Duplicates(near=0.1).check(dataclasses.replace(evidence, rows=rows, train=Part(near)))

    assert verdict.result == "fail"
    assert [finding.kind for finding in verdict.findings] == ["near-identical across the split"]


def test_repeats_within_the_held_out_part_are_found() -> None:
    evidence = sample_evidence()
    rows = pl.concat([evidence.rows[:42000], evidence.rows[:8400]])  # a sixth of it twice

    verdict = Duplicates(inside=0.05).check(dataclasses.replace(evidence, rows=rows))

    assert verdict.result == "fail"
    assert verdict.findings[0].figure == pytest.approx(1 / 6, abs=0.01)


def test_whole_numbers_and_quiet_nights_are_not_copies() -> None:
    evidence = sample_evidence()
    assert evidence.train is not None

    def coarse(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.select("entity", "at", "known_at", pl.col("traffic").round(0), drops=pl.lit(0.0))

    verdict = Duplicates().check(dataclasses.replace(evidence, rows=coarse(evidence.rows), train=Part(coarse(evidence.train.rows))))

    assert verdict.result == "pass"
    assert verdict.value == 0.0


def test_without_the_training_part_twins_across_the_split_stay_unknown() -> None:
    verdict = Duplicates().check(dataclasses.replace(sample_evidence(), train=None))

    assert verdict.result == "cannot tell"
    assert "training part was not handed in" in verdict.why
