from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.models.calibration import Tail
from trunkline.models.onnx_export import Exported
from trunkline.models.onnx_graph import Graph
from trunkline.models.onnx_tail import p, turned
from trunkline.models.protocol import Floats
from trunkline.models.strangeness import _surprise


def asked(tail: Tail, values: Floats, of: npt.NDArray[np.int64]) -> Floats:
    """The tail probabilities a graph gives."""
    graph = Graph()
    u = graph.input("u", "float64", ["rows"])
    series = graph.input("of", "int64", ["rows"])
    content = graph.model(p(graph, tail, u, u, series, rises=None)).SerializeToString()
    return Exported(content).score({"u": values, "of": of})


@given(
    seed=st.integers(0, 2**31),
    lengths=st.lists(st.sampled_from([0, 1, 2, 7, 60, 500, 700, 3000]), min_size=1, max_size=4),
    steps=st.sampled_from([0.0, 0.5, 1e-6]),
)
@settings(max_examples=12, deadline=None)
def test_tail_probabilities_are_those_of_the_tail_itself(seed: int, lengths: list[int], steps: float) -> None:
    rng = np.random.default_rng(seed)
    past = np.full((len(lengths), max(1, *lengths)), np.nan)
    for series, length in enumerate(lengths):
        values = rng.exponential(10.0 ** rng.uniform(-3, 6), length)
        past[series, :length] = np.round(values / steps) * steps if steps else values
    tail = Tail.fit(past)
    own = past[np.isfinite(past)]
    values = np.concatenate([own[:300], own[:300] * 1.01, [0.0, -1.0, 1e300, np.nan, 5e-324], rng.exponential(1.0, 100)])
    of = rng.integers(-1, len(lengths), len(values))

    found = asked(tail, values, of)

    np.testing.assert_allclose(found, tail.p(values[:, None], of)[:, 0], rtol=1e-12, atol=1e-300, equal_nan=True)


@given(st.lists(st.floats(0.0, 300.0), min_size=1, max_size=50))
@settings(max_examples=50)
def test_a_level_is_turned_into_the_very_number_before_the_logarithm_where_the_answer_changes(raw: list[float]) -> None:
    levels = np.round(np.array(raw), 9)

    cuts = turned(lambda u: _surprise(-u), levels, -(10.0 ** -(levels + 0.5e-9)))

    assert (_surprise(-cuts) <= levels).all()
    assert (_surprise(-np.nextafter(cuts, np.inf)) > levels).all()


@given(st.lists(st.floats(0.0, 1e8), min_size=1, max_size=50), st.integers(0, 9))
@settings(max_examples=50)
def test_a_bad_guess_only_costs_time(raw: list[float], digits: int) -> None:
    levels = np.round(np.array(raw), digits)

    cuts = turned(lambda u: np.round(u, digits), levels, np.full(len(levels), 3.0))

    assert (np.round(cuts, digits) <= levels).all()
    assert (np.round(np.nextafter(cuts, np.inf), digits) > levels).all()
