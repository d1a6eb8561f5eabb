"""One value, one text: property tests, and golden texts that must not change without a new format number."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.core.canonical import canonical, content_hash, in_python, is_written_alike, plain, sha256
from trunkline.core.errors import BadInput

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=20)


@dataclass(frozen=True, slots=True)
class Rule:
    level: float
    action: str = "look"
    also: tuple[str, ...] = field(default_factory=tuple)


class Colour(Enum):
    RED = "red"


def _turned(value: Any) -> Any:
    """The same value with every mapping written the other way round."""
    if isinstance(value, dict):
        return {key: _turned(value[key]) for key in reversed(list(value))}
    return [_turned(one) for one in value] if isinstance(value, list) else value


@given(VALUES)
@settings(max_examples=300)
def test_the_order_of_keys_does_not_matter(value: Any) -> None:
    assert canonical(value) == canonical(_turned(value))


@given(VALUES)
def test_what_is_written_reads_back_as_the_same_value(value: Any) -> None:
    assert json.loads(canonical(value)) == value


@given(VALUES)
def test_a_value_read_back_has_the_same_hash(value: Any) -> None:
    assert content_hash(json.loads(canonical(value))) == content_hash(value)


ANYTHING = st.recursive(
    SCALARS
    | st.floats(-1e17, 1e17, allow_nan=False)
    | st.floats(-1e-3, 1e-3)
    | st.integers(-(2**70), 2**70)
    | st.datetimes(timezones=st.just(UTC))
    | st.sampled_from(list(Colour))
    | st.sets(st.integers() | TEXT, max_size=3)
    | st.timedeltas(),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(TEXT | st.integers(), inner, max_size=4) | st.builds(Rule, SCALARS),
    max_leaves=20,
)


@given(ANYTHING)
@settings(max_examples=200)
def test_the_compiled_encoder_and_the_one_in_python_write_the_same_bytes(value: Any) -> None:
    assert canonical(value) == in_python(value)


@given(ANYTHING)
def test_what_goes_to_the_compiled_encoder_is_plain_already(value: Any) -> None:
    if is_written_alike(value):
        assert plain(value) == json.loads(json.dumps(value))


@pytest.mark.parametrize("value", [1e16, -1e16, 1e-5, 5e-324, {1: 2}, {"a": {True: 1}}, {1, 2}, b"x", float("nan"), [float("inf")], Colour.RED, UTC])
def test_what_the_two_encoders_would_write_differently_goes_the_long_way(value: Any) -> None:
    assert not is_written_alike(value)


def test_text_is_written_alike_whatever_stands_in_it() -> None:
    odd = "".join(map(chr, [*range(256), 0x2028, 0xFFFF, 0x1F600])) + '"\\/'

    assert canonical({odd: odd}) == in_python({odd: odd})


@given(VALUES, VALUES)
def test_different_values_have_different_texts(one: Any, other: Any) -> None:
    if canonical(one) == canonical(other):
        assert one == other


@given(st.lists(st.integers() | TEXT, max_size=8), st.randoms())
def test_a_set_is_written_the_same_whatever_order_it_was_filled_in(members: list[Any], random: Any) -> None:
    mixed = list(members)
    random.shuffle(mixed)

    assert canonical(set(members)) == canonical(frozenset(mixed))


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "wrap", [lambda x: x, lambda x: [x], lambda x: {"deep": {"er": (x,)}}, lambda x: Rule(x)], ids=["alone", "list", "mapping", "dataclass"]
)
def test_what_is_no_finite_number_is_refused_however_deep_it_lies(number: float, wrap: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        canonical(wrap(number))


@pytest.mark.parametrize("value", [object(), b"bytes", {"x": object()}, [lambda: None], Rule])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        canonical(value)


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(BadInput, match="names no zone"):
        canonical(datetime(2026, 1, 1))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": (True, None)}, '{"a":[true,null],"b":1}'),
        ("Zürich ☎ \n", '"Zürich ☎ \\n"'),
        (datetime(2026, 11, 20, 14, tzinfo=UTC), '"2026-11-20T14:00:00.000000Z"'),
        (datetime(2026, 11, 20, 15, tzinfo=timezone(timedelta(hours=1))), '"2026-11-20T14:00:00.000000Z"'),
        (date(2026, 11, 20), '"2026-11-20"'),
        (timedelta(minutes=15), '{"$":"duration","us":900000000}'),
        (Rule(0.5), '{"$":"Rule","level":0.5}'),
        (Rule(0.5, action="reset"), '{"$":"Rule","action":"reset","level":0.5}'),
        (Colour.RED, '"red"'),
        (Path("runbooks/a.md"), '"runbooks/a.md"'),
        (MappingProxyType({"a": 1}), '{"a":1}'),
        ({3, 1, 2}, "[1,2,3]"),
        (1e-7, "1e-07"),
    ],
)
def test_the_texts_that_every_stored_hash_rests_on_do_not_change(value: object, text: str) -> None:
    assert canonical(value).decode() == text


def test_a_field_at_its_default_is_left_out_so_that_a_new_field_changes_no_old_hash() -> None:
    assert canonical(Rule(0.5, action="look", also=())) == canonical(Rule(0.5))
    assert canonical(Rule(0.5, also=("x",))) != canonical(Rule(0.5))


def test_the_kind_of_a_number_is_part_of_it() -> None:
    assert len({canonical(value) for value in (1, 1.0, True, "1")}) == 4


def test_plain_values_are_what_json_has() -> None:
    assert plain({"rule": Rule(0.5), "at": (date(2026, 1, 2),)}) == {"rule": {"$": "Rule", "level": 0.5}, "at": ["2026-01-02"]}


def test_a_content_hash_is_the_sha256_of_the_text() -> None:
    assert content_hash({"a": 1}) == sha256(b'{"a":1}') == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
