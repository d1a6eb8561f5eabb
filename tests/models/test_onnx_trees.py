from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.made_trees import WIDTH, made_trees, odd_rows

from trunkline.models.flat_trees import FlatTrees
from trunkline.models.onnx_export import Exported
from trunkline.models.onnx_graph import Graph
from trunkline.models.onnx_trees import total
from trunkline.models.protocol import Floats


def exported(trees: FlatTrees, *, width: int = WIDTH, threads: int = 1) -> Exported:
    graph = Graph()
    x = graph.input("x", "float64", ["rows", width])
    return Exported(graph.model(total(graph, trees, x)).SerializeToString(), threads=threads)


def walked(trees: FlatTrees, x: Floats) -> Floats:
    return trees.walked(x, np.zeros(len(x)))


@given(seed=st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_any_trees_give_the_same_sums_to_the_last_bit(seed: int) -> None:
    trees, x = made_trees(seed), odd_rows(seed, 200)

    assert exported(trees).score({"x": x}).tolist() == walked(trees, x).tolist()


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=30),
    st.floats(-1e308, 1e308),
    st.integers(0, 2),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_a_threshold_parts_neighbouring_doubles(values: list[float], threshold: float, missing: int, to_left: bool) -> None:
    """Single precision would send the neighbours of a threshold to the same side."""
    trees = FlatTrees.make(
        root=[0],
        feature=[0, 0, 0],
        threshold=[threshold, np.inf, np.inf],
        left=[1, 1, 2],
        right=[2, 1, 2],
        value=[0.0, 1.0, 2.0],
        missing=[missing, 0, 0],
        to_left=[to_left, False, False],
    )
    near = np.array([*values, threshold, np.nextafter(threshold, np.inf), np.nextafter(threshold, -np.inf), 0.0, -0.0])

    assert exported(trees, width=1).score({"x": near[:, None]}).tolist() == walked(trees, near[:, None]).tolist()


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_sums_do_not_depend_on_how_many_threads_add_them(threads: int) -> None:
    """The operator's own sum does: by a last bit, which is a rank of an isolation forest."""
    rng = np.random.default_rng(4)
    trees, x = made_trees(4, trees=200), rng.normal(size=(3_000, WIDTH))
    values = np.where(trees.left == np.arange(len(trees.left)), rng.normal(size=len(trees.left)), 0.0)
    trees = FlatTrees.make(**{name: getattr(trees, name) for name in trees.__dataclass_fields__ if name not in {"depth", "value"}}, value=values)

    found = exported(trees, threads=threads).score({"x": x}, at_once=3_000)

    assert found.tolist() == walked(trees, x).tolist()


def test_a_tree_of_one_leaf_gives_that_leaf() -> None:
    lone = FlatTrees.make(root=[0, 1], feature=[0, 0], threshold=[np.inf, np.inf], left=[0, 1], right=[0, 1], value=[0.25, 0.5])

    assert exported(lone, width=1).score({"x": np.array([[1.0], [np.nan]])}).tolist() == [0.75, 0.75]
