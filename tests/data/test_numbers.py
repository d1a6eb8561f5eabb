"""Numbers as people and spreadsheets write them."""

from __future__ import annotations

from typing import Literal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.data import numbers


@given(
    value=st.floats(-1e12, 1e12),
    decimal=st.sampled_from([".", ","]),
    group=st.sampled_from(["", "other", " ", "'", "\u202f"]),
    percent=st.sampled_from(["", "%", " %"]),
)
def test_a_number_comes_back_however_it_was_grouped(value: float, decimal: Literal[".", ","], group: str, percent: str) -> None:
    sign = {"other": "." if decimal == "," else ","}.get(group, group)
    text = f"{value:,.3f}".replace(",", "\0").replace(".", decimal).replace("\0", sign) + percent

    values, wrong = numbers.parse(pl.Series([text]), decimal)

    assert wrong.to_list() == [False]
    assert values[0] == pytest.approx(round(value, 3))


@given(texts=st.lists(st.text(max_size=12)), decimal=st.sampled_from([".", ","]))
def test_no_text_becomes_a_number_that_is_not_finite(texts: list[str], decimal: Literal[".", ","]) -> None:
    values, wrong = numbers.parse(pl.Series(texts, dtype=pl.String), decimal)

    assert values.drop_nulls().is_finite().all()
    assert not (wrong & values.is_not_null()).any()
    assert len(values) == len(wrong) == len(texts)


@pytest.mark.parametrize("cell", ["3.5", "1.2345", "1,2,3", "12.34.567", "1_000", "0x1f", "inf", "1e999", "٣", "--5", "5 MB"])
def test_what_is_no_number_in_a_decimal_comma_file_is_wrong_and_not_guessed(cell: str) -> None:
    values, wrong = numbers.parse(pl.Series([cell]), ",")

    assert (values.to_list(), wrong.to_list()) == ([None], [True])


@pytest.mark.parametrize("cell", ["", " ", "N/A", "null", "#DIV/0!", "NaN", "-", "NIL", "\\N", "#WERT!"])
def test_no_value_is_null_and_not_wrong(cell: str) -> None:
    values, wrong = numbers.parse(pl.Series([cell]), ".")

    assert (values.to_list(), wrong.to_list()) == ([None], [False])


@pytest.mark.parametrize(
    ("cells", "separator", "sign", "sure"),
    [
        (["1.234,5", "2"], ";", ",", True),
        (["1,234.5", "2"], ";", ".", True),
        (["0.132", "1.732"], ",", ".", True),
        (["1,234", "5,678"], ";", ",", False),
        (["1,234", "5,678"], "\t", ".", False),
        (["1.234.567"], ",", ",", True),
        (["1", "2"], ",", ".", True),
    ],
)
def test_the_decimal_sign_is_guessed_and_doubt_is_shown(cells: list[str], separator: str, sign: str, sure: bool) -> None:
    found, confidence, why = numbers.guess_decimal(cells, separator=separator)

    assert found == sign
    assert (confidence >= 0.8) is sure
    assert why
