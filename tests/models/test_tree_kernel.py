from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import ROOT
from tests.models.made_trees import WIDTH, made_trees, odd_rows

from trunkline.core.extras import is_fast
from trunkline.models.flat_trees import FlatTrees

pytestmark = pytest.mark.skipif(not is_fast(), reason="numba is not installed, or TRUNKLINE_FAST is 0")


@given(st.integers(0, 100_000), st.integers(1, 20), st.integers(0, 90))
@settings(deadline=None, max_examples=60)
def test_the_compiled_walk_gives_numpys_sums_to_the_last_bit(seed: int, trees: int, rows: int) -> None:
    flat, x = made_trees(seed, trees=trees), odd_rows(seed, rows)

    assert flat.total(x).tolist() == flat.walked(x, np.zeros(rows)).tolist()


@given(st.integers(0, 100_000), st.integers(1, 20))
@settings(deadline=None, max_examples=40)
def test_the_compiled_reasons_are_numpys(seed: int, trees: int) -> None:
    flat, row = made_trees(seed, trees=trees), odd_rows(seed, 1)[0]
    total, shares = flat.explained(row)

    with pytest.MonkeyPatch.context() as plain:
        plain.setenv("TRUNKLINE_FAST", "0")
        again = FlatTrees.from_arrays(flat.arrays())
        by_numpy, shares_by_numpy = again.explained(row)
        base_by_python, exact_by_python = again.contributions(row)
    base, exact = flat.contributions(row)

    assert total == pytest.approx(by_numpy, abs=1e-12)
    assert shares == pytest.approx(shares_by_numpy, abs=1e-12)
    assert exact == pytest.approx(exact_by_python, abs=1e-12)
    assert base == base_by_python


def test_one_tree_and_rows_of_another_kind_are_walked() -> None:
    flat = made_trees(1, trees=1)
    x: Any = np.asfortranarray(odd_rows(1, 20).astype(np.float32))
    x.flags.writeable = False

    assert flat.total(x).tolist() == flat.walked(x.astype(np.float64), np.zeros(20)).tolist()
    assert flat.explained(x[0])[1].shape == (WIDTH,)


def test_once_warm_nothing_is_compiled_again() -> None:
    from trunkline.models import tree_kernel

    made_trees(1).warm()
    kernels: list[Any] = [tree_kernel.totals, tree_kernel.shares, tree_kernel.contributions]
    before = [len(kernel.signatures) for kernel in kernels]
    flat = made_trees(2)
    flat.total(odd_rows(2, 40))
    flat.explained(odd_rows(2, 1)[0])
    flat.contributions(odd_rows(2, 1)[0])

    assert [len(kernel.signatures) for kernel in kernels] == before
    assert all(kernel.nopython_signatures for kernel in kernels)


def test_without_numba_trees_are_walked_all_the_same() -> None:
    code = """
import sys
sys.modules["numba"] = None
import os; os.environ["TRUNKLINE_FAST"] = "0"
import numpy as np
from tests.conftest import ROOT
from tests.models.made_trees import made_trees, odd_rows
flat = made_trees(5)
flat.warm()
print(flat.total(odd_rows(5, 3)).tolist(), flat.contributions(odd_rows(5, 1)[0])[0])
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    flat = made_trees(5)
    assert said.stdout == f"{flat.total(odd_rows(5, 3)).tolist()} {flat.contributions(odd_rows(5, 1)[0])[0]}\n"
