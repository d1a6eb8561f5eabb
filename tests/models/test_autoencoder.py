from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from trunkline.core.errors import BadInput, TooLittleData
from trunkline.models.autoencoder import Autoencoder, FittedAutoencoder, _windows
from trunkline.models.check import sample_rows
from trunkline.models.portable import load, pack, unpack
from trunkline.models.protocol import Context

CONTEXT = Context(every=timedelta(hours=1), words={"dl_volume": "downlink volume"})


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return sample_rows(seed=3)[0]


@pytest.fixture(scope="module")
def fitted(rows: pl.DataFrame) -> FittedAutoencoder:
    return Autoencoder(epochs=15).fit(rows, context=CONTEXT)


def test_our_layers_give_scikit_learns_answer() -> None:
    from sklearn.neural_network import MLPRegressor

    x = np.random.default_rng(0).normal(size=(300, 8))
    net = MLPRegressor(hidden_layer_sizes=(5, 3, 5), activation="tanh", max_iter=400, random_state=0, tol=1e-2).fit(x, x)
    from trunkline.models.autoencoder import _errors

    layers = tuple(zip(net.coefs_, net.intercepts_, strict=True))

    assert np.abs(_errors(layers, x, x[:, -2:]) - (x - net.predict(x))[:, -2:] ** 2).max() <= 1e-9


def test_outages_stand_out(rows: pl.DataFrame, fitted: FittedAutoencoder) -> None:
    labels, scores = sample_rows(seed=3)[1], fitted.score(rows)

    assert np.nanmedian(scores[labels > 0]) > 0.9
    assert np.nanmedian(scores[labels == 0]) < 0.6


def test_a_window_holds_the_slots_before_and_gaps_as_usual() -> None:
    rows = sample_rows(seed=0, entities=2, days=2)[0].filter(pl.int_range(pl.len()) != 5)
    residuals = np.arange(1.0, rows.height + 1)[:, None]

    x, judged = _windows(rows, residuals, slots=4, every=timedelta(hours=1))

    assert x[3].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert x[5].tolist() == [4.0, 5.0, 0.0, 6.0]  # the slot that is not there counts as usual
    assert not judged[0]
    assert judged[3]
    second = int(rows["entity"].search_sorted("cell-1"))
    assert x[second, :3].tolist() == [0.0, 0.0, 0.0]


def test_the_reason_names_the_column_that_was_not_rebuilt(rows: pl.DataFrame, fitted: FittedAutoencoder) -> None:
    index = 900
    down = rows.with_columns(pl.when(pl.int_range(pl.len()) == index).then(0.0).otherwise("dl_volume").alias("dl_volume"))

    first = fitted.explain(down, index)[0]

    assert first.column == "dl_volume"
    assert first.text.startswith("downlink volume 100 % below its usual ")


def test_saved_and_loaded_it_scores_the_same(rows: pl.DataFrame, fitted: FittedAutoencoder) -> None:
    again = load(unpack(pack(fitted.save())))

    assert np.array_equal(again.score(rows), fitted.score(rows), equal_nan=True)
    assert again.lookback == timedelta(days=8)


def test_nets_that_cannot_be_built_are_refused(rows: pl.DataFrame) -> None:
    with pytest.raises(BadInput, match="cannot be built"):
        Autoencoder(hidden=())
    with pytest.raises(TooLittleData, match="at least half known"):
        Autoencoder().fit(rows.head(60), context=CONTEXT)
