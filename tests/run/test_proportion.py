from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.run.proportion import Proportion


@pytest.mark.parametrize(
    ("hits", "n", "text"),
    [(29, 40, ".72 [.57, .84] (29 of 40)"), (0, 10, "0.00 [0.00, .28] (0 of 10)"), (10, 10, "1.00 [.72, 1.00] (10 of 10)"), (0, 0, "none to find")],
)
def test_a_share_is_never_told_without_how_sure_it_is(hits: int, n: int, text: str) -> None:
    assert str(Proportion(hits, n)) == text


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share_and_lies_between_nothing_and_all(pair: tuple[int, int]) -> None:
    one = Proportion(*pair)
    low, high = one.interval

    assert 0.0 <= low <= one.share + 1e-12
    assert one.share - 1e-12 <= high <= 1.0


@given(st.integers(1, 200), st.integers(2, 50))
def test_more_cases_make_it_surer(n: int, times: int) -> None:
    few, many = Proportion(n // 2, n), Proportion(times * (n // 2), times * n)

    assert many.interval[1] - many.interval[0] < few.interval[1] - few.interval[0]


def test_the_interval_is_wilsons() -> None:
    low, high = Proportion(15, 50).interval  # Newcombe 1998, table I: .1910 to .4375

    assert (round(low, 4), round(high, 4)) == (0.191, 0.4375)


def test_of_none_there_is_no_share() -> None:
    assert math.isnan(Proportion(0, 0).share)
    assert all(math.isnan(edge) for edge in Proportion(0, 0).interval)
