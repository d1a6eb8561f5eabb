from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NewType

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.core import errors
from trunkline.core.errors import BadFile, BadInput, TrunklineError, UnknownName
from trunkline.core.travel import pack, pack_error, unpack, unpack_error

CellId = NewType("CellId", str)
texts = st.text(max_size=8)
numbers = st.floats(allow_nan=False, allow_infinity=False)
instants = st.datetimes(timezones=st.just(UTC), min_value=datetime(1971, 1, 1))
lengths = st.timedeltas(min_value=timedelta(0), max_value=timedelta(weeks=500))


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    at: datetime
    lasts: timedelta | None = None
    cell: CellId = CellId("")


@dataclass(frozen=True, slots=True)
class Outer:
    name: str
    state: Literal["loaded", "refused"] = "loaded"
    inner: tuple[Inner, ...] = ()
    pairs: tuple[str, int] = ("", 0)
    files: Sequence[str | Path] = ()
    rename: Mapping[str, str] | None = None
    share: float = 0.0
    detail: Mapping[str, Any] = field(default_factory=dict)


inners = st.builds(Inner, at=instants, lasts=st.none() | lengths, cell=texts.map(CellId))
outers = st.builds(
    Outer,
    texts,
    st.sampled_from(["loaded", "refused"]),
    st.lists(inners, max_size=3).map(tuple),
    st.tuples(texts, st.integers()),
    st.lists(texts, max_size=3),
    st.none() | st.dictionaries(texts, texts, max_size=3),
    numbers,
    st.dictionaries(texts, st.none() | st.booleans() | st.integers() | numbers | texts, max_size=3),
)


@given(outers)
def test_a_value_comes_back_as_it_was(value: Outer) -> None:
    assert unpack(json.loads(json.dumps(pack(value))), Outer) == value


@given(st.lists(st.tuples(texts, numbers, instants), max_size=5))
def test_a_frame_comes_back_as_it_was(rows: list[Any]) -> None:
    frame = pl.DataFrame(rows, schema={"a": pl.String, "b": pl.Float64, "c": pl.Datetime("us", "UTC")}, orient="row")

    back = unpack(json.loads(json.dumps(pack(frame))), pl.DataFrame)

    assert back.schema == frame.schema
    assert back.equals(frame)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("seven", int),
        ("deleted", Literal["loaded", "refused"]),
        ("a", list[str]),
        (["a", 1, 2], tuple[str, int]),
        ({"name": "a", "more": 1}, Outer),
        ("a", Outer),
        (1, None),
        ("a", Mapping[str, str]),
        (1.5, int | None),
    ],
)
def test_what_is_not_of_its_kind_is_refused(value: object, kind: object) -> None:
    with pytest.raises((BadInput, ValueError)):
        unpack(value, kind)


def test_what_cannot_travel_is_named() -> None:
    with pytest.raises(BadInput, match="A function cannot be handed to another process"):
        pack(lambda: None)


@pytest.mark.parametrize(
    "error",
    [TrunklineError("a", where="b", allowed="c", next_step="d"), BadFile("it is broken", path="a.csv", line=3), UnknownName("cell", "cell-a", ["cell-b"])],
)
def test_an_error_is_raised_again_as_what_it_was(error: TrunklineError) -> None:
    back = unpack_error(json.loads(json.dumps(pack_error(error))))

    assert (type(back), str(back)) == (type(error), str(error))


def test_an_error_of_a_kind_that_is_not_known_is_still_an_error() -> None:
    told = pack_error(TrunklineError("it is broken"))

    assert type(unpack_error({**told, "error": "annotations"})) is errors.TrunklineError
