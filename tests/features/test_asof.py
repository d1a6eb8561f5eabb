"""The point-in-time join against twenty lines that try every fact for every wanted row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import SOAK

from trunkline.core.errors import BadInput, UnknownName
from trunkline.core.frames import TIME
from trunkline.features import Timeline, asof

START = datetime(2026, 3, 29, tzinfo=UTC)
Schema = dict[str, pl.DataType | type[pl.DataType]]

FACTS: Schema = {"entity": pl.String, "at": TIME, "known_at": TIME, "value": pl.Float64, "row": pl.Int64}


def hour(number: int) -> datetime:
    return START + timedelta(hours=number)


def by_hand(wanted: list[dict[str, Any]], facts: list[dict[str, Any]], *, bitemporal: bool, within: timedelta | None) -> list[int | None]:
    """The oracle: of the facts of the entity that had happened and were known, the newest; of those the newest known; of those the last."""
    answers = []
    for row in wanted:
        best, rank = None, None
        if None not in row.values():
            for number, fact in enumerate(facts):
                known = row.get("known_at", row["at"])
                if fact["entity"] != row["entity"] or fact["at"] > row["at"] or (bitemporal and fact["known_at"] > known):
                    continue
                mine = (fact["at"], fact["known_at"], number) if bitemporal else (fact["at"], number)
                if rank is None or mine > rank:
                    best, rank = number, mine
        if best is not None and within is not None and facts[best]["at"] < row["at"] - within:
            best = None
        answers.append(best)
    return answers


hours = st.integers(0, 12)
names = st.sampled_from(["A", "B", "C"])


@pytest.mark.parametrize("fast", ["0", "1"])
@settings(max_examples=150 * SOAK, deadline=None)
@given(
    facts=st.lists(st.tuples(names, hours, hours, st.none() | st.floats(allow_nan=False)), max_size=200),
    wanted=st.lists(st.tuples(st.none() | st.sampled_from(["A", "B", "new"]), st.none() | hours, st.none() | hours), max_size=12),
    bitemporal=st.booleans(),
    says_known=st.booleans(),
    numbers=st.sampled_from([0, 1, 10_000]),
    within=st.none() | hours,
)
def test_each_wanted_row_sees_what_was_known_of_it(
    fast: str, facts: list[Any], wanted: list[Any], bitemporal: bool, says_known: bool, numbers: int, within: int | None
) -> None:
    known = [{"entity": e, "at": hour(at), "known_at": hour(at + late - 4), "value": value, "row": n} for n, (e, at, late, value) in enumerate(facts)]
    asked = [
        {"entity": e, "at": None if at is None else hour(at)} | ({"known_at": None if k is None else hour(k)} if says_known else {}) for e, at, k in wanted
    ]
    frame = pl.DataFrame(known, schema=FACTS)
    frame = frame if bitemporal else frame.drop("known_at")
    columns: Schema = {"entity": pl.String, "at": TIME}
    if says_known:
        columns["known_at"] = TIME
    question = pl.DataFrame(asked, schema=columns)
    if numbers:  # the same entities as numbers, near together or far apart
        code = pl.col("entity").replace_strict({"A": 1, "B": 1 + numbers, "C": 1 + 3 * numbers, "new": 2 + numbers}, return_dtype=pl.Int32)
        frame, question = frame.with_columns(code), question.with_columns(code)
    oldest = None if within is None else timedelta(hours=within)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRUNKLINE_FAST", fast)
        answer = asof(question, frame, within=oldest)

    assert answer.height == len(wanted)
    expected = by_hand(asked, known, bitemporal=bitemporal, within=oldest)
    assert answer["row"].to_list() == expected
    assert answer["value"].to_list() == [None if n is None else known[n]["value"] for n in expected]


def test_a_long_wait_for_knowledge_skips_whole_blocks() -> None:
    many = 1000
    facts = pl.DataFrame({"entity": "A", "at": [hour(n) for n in range(many)], "known_at": [hour(0), *[hour(5000)] * (many - 1)], "n": range(many)})

    assert asof(pl.DataFrame({"entity": ["A"], "at": [hour(900)]}), facts)["n"].to_list() == [0]


def test_columns_of_any_type_come_through_and_the_order_of_the_wanted_rows_stays() -> None:
    facts = pl.DataFrame({"entity": ["A", "B"], "at": [hour(0), hour(1)], "vendor": ["x", "y"], "locked": [True, None], "names": [["p"], ["q"]]})

    answer = asof(pl.DataFrame({"entity": ["B", "A", "B"], "at": [hour(2), hour(2), hour(0)], "mine": [1, 2, 3]}), facts)

    assert answer.rows() == [("B", hour(2), 1, "y", None, ["q"]), ("A", hour(2), 2, "x", True, ["p"]), ("B", hour(0), 3, None, None, None)]


def test_instants_of_different_zones_are_compared_as_instants() -> None:
    in_rome = pl.DataFrame({"entity": "A", "at": [hour(0), hour(1), hour(2)], "n": [0, 1, 2]}).with_columns(pl.col("at").dt.convert_time_zone("Europe/Rome"))
    in_tokyo = pl.DataFrame({"entity": ["A"], "at": [hour(1)]}).with_columns(pl.col("at").dt.convert_time_zone("Asia/Tokyo"))

    assert asof(in_tokyo, in_rome)["n"].to_list() == [1]  # over the night the clocks change in Rome


def test_one_timeline_answers_many_questions() -> None:
    timeline = Timeline(pl.DataFrame({"entity": ["A"], "at": [hour(0)], "n": [1]}))

    assert [asof(pl.DataFrame({"entity": ["A"], "at": [hour(n)]}), timeline)["n"][0] for n in (0, 1)] == [1, 1]


def test_several_frames_are_joined_at_once_and_none_gives_the_wanted_rows_back() -> None:
    wanted = pl.DataFrame({"entity": ["A"], "at": [hour(1)]})
    one, two = (pl.DataFrame({"entity": ["A"], "at": [hour(0)], name: [1]}) for name in ("one", "two"))

    assert asof(wanted, one, two).row(0, named=True) == {"entity": "A", "at": hour(1), "one": 1, "two": 1}
    assert asof(wanted).equals(wanted)
    assert asof(wanted, one.clear())["one"].to_list() == [None]
    assert asof(wanted.clear(), one).height == 0


def test_a_mistake_is_told_before_anything_is_joined() -> None:
    good = pl.DataFrame({"entity": ["A"], "at": [hour(0)], "n": [1]})
    cases: list[tuple[pl.DataFrame, pl.DataFrame, str]] = [
        (good, good, "Two columns are called 'n'"),
        (good.drop("n"), good.with_columns(pl.col("at").dt.replace_time_zone(None)), "no instant"),
        (good.drop("n"), good.with_columns(entity=pl.lit(None, pl.String)), "1 rows of a frame of facts have no 'entity'"),
        (good.drop("n"), good.with_columns(entity=pl.lit(7)), "text in one frame and numbers in another"),
        (good.drop("n"), good.with_columns(entity=pl.lit(7.5)), "cannot be told apart"),
    ]

    for wanted, facts, text in cases:
        with pytest.raises(BadInput, match=text):
            asof(wanted, facts)
    with pytest.raises(UnknownName, match="column 'cell'"):
        asof(good, good, entity="cell")
