from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from trunkline.core.errors import BadInput, TooLittleData
from trunkline.models.check import sample_rows
from trunkline.models.forest import FittedForest, IsolationForest, _filled, _flatten, _strangeness
from trunkline.models.portable import load, pack, unpack
from trunkline.models.protocol import Context

CONTEXT = Context(every=timedelta(hours=1), words={"dl_volume": "downlink volume"})


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return sample_rows(seed=2)[0]


@pytest.fixture(scope="module")
def fitted(rows: pl.DataFrame) -> FittedForest:
    return IsolationForest(trees=100).fit(rows, context=CONTEXT)


@pytest.mark.parametrize(("rows_", "sample"), [(3000, 256), (100, 256), (60, 2)])
def test_our_walk_gives_scikit_learns_scores(rows_: int, sample: int) -> None:
    from sklearn.ensemble import IsolationForest as Reference

    rng = np.random.default_rng(0)
    x, new = rng.normal(size=(rows_, 4)), rng.normal(size=(2000, 4)) * 3
    reference = Reference(n_estimators=50, max_samples=min(sample, rows_), random_state=1).fit(x)
    flat, per_tree = _flatten(reference)

    ours = _strangeness(flat, _filled(new, np.zeros(4)), per_tree)

    assert np.abs(ours + reference.score_samples(new)).max() <= 1e-9


def test_constant_rows_are_walked_too() -> None:
    from sklearn.ensemble import IsolationForest as Reference

    reference = Reference(n_estimators=5, random_state=1).fit(np.ones((50, 2)))
    flat, per_tree = _flatten(reference)

    assert np.abs(_strangeness(flat, np.ones((3, 2)), per_tree) + reference.score_samples(np.ones((3, 2)))).max() <= 1e-9


def test_past_scores_are_spread_evenly_and_outages_stand_out(rows: pl.DataFrame, fitted: FittedForest) -> None:
    labels = sample_rows(seed=2)[1]
    scores = fitted.score(rows)

    assert np.quantile(scores, [0.25, 0.5, 0.75]) == pytest.approx([0.25, 0.5, 0.75], abs=0.03)
    assert np.median(scores[labels > 0]) > 0.95


def test_the_strangest_rows_do_not_tie(rows: pl.DataFrame, fitted: FittedForest) -> None:
    top = np.sort(fitted.score(rows))[-20:]

    assert len(np.unique(top)) > 15
    assert top[-1] < 1.0


def test_the_reason_names_what_is_off_in_words(rows: pl.DataFrame, fitted: FittedForest) -> None:
    index = 900
    down = rows.with_columns(pl.when(pl.int_range(pl.len()) == index).then(0.0).otherwise("dl_volume").alias("dl_volume"))

    first = fitted.explain(down, index)[0]

    assert first.column == "dl_volume"
    assert first.text.startswith("downlink volume 100 % below its usual ")
    assert first.usual is not None
    assert first.usual > 1


def test_on_raw_values_a_row_stands_for_itself(rows: pl.DataFrame) -> None:
    fitted = IsolationForest(trees=50, on="raw").fit(rows, context=CONTEXT)

    assert fitted.lookback == timedelta(0)
    stranger = rows.head(10).with_columns(entity=pl.lit("stranger"))
    assert np.isfinite(fitted.score(stranger)).all()
    assert fitted.explain(rows, 0)[0].usual is not None


def test_on_residuals_a_stranger_cannot_be_judged(rows: pl.DataFrame, fitted: FittedForest) -> None:
    assert np.isnan(fitted.score(rows.head(10).with_columns(entity=pl.lit("stranger")))).all()


def test_a_saved_forest_scores_the_same_without_scikit_learn(fitted: FittedForest, rows: pl.DataFrame, tmp_path: Path) -> None:
    import subprocess

    (tmp_path / "model").write_bytes(pack(fitted.save()))
    rows.write_parquet(tmp_path / "rows.parquet")
    again = load(unpack(pack(fitted.save())))
    code = (
        "import sys, polars as pl; from trunkline.models.portable import load, read;"
        "scores = load(read(sys.argv[1])).score(pl.read_parquet(sys.argv[2]));"
        "print('sklearn' in sys.modules, 'lightgbm' in sys.modules, repr(float(scores.sum())))"
    )

    told = subprocess.run([sys.executable, "-c", code, str(tmp_path / "model"), str(tmp_path / "rows.parquet")], capture_output=True, text=True, check=True)

    assert (again.score(rows) == fitted.score(rows)).all()
    assert told.stdout.split() == ["False", "False", repr(float(fitted.score(rows).sum()))]


def test_what_cannot_be_a_forest_is_refused() -> None:
    with pytest.raises(BadInput, match="'residual' or 'raw'"):
        IsolationForest(on="levels")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="no forest"):
        IsolationForest(trees=0)


def test_too_few_rows_are_said(rows: pl.DataFrame) -> None:
    with pytest.raises(TooLittleData, match="needs 50"):
        IsolationForest().fit(rows.head(30), context=CONTEXT)


def test_a_forest_is_as_strange_by_the_compiled_walk_as_by_numpy() -> None:
    from sklearn.ensemble import IsolationForest as Reference

    x = np.random.default_rng(0).normal(size=(500, 3))
    reference = Reference(n_estimators=20, random_state=1).fit(x)
    flat, _ = _flatten(reference)

    assert flat.total(x).tolist() == flat.walked(x, np.zeros(len(x))).tolist()
