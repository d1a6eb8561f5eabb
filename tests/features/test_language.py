"""Expressions say what they are, and refuse what they cannot be."""

from __future__ import annotations

from datetime import timedelta

import pytest

from trunkline.core.canonical import content_hash
from trunkline.core.errors import BadInput, UnknownName
from trunkline.features import Features, alarms, each_kpi, hour, kpi, state


def test_words_tell_people_what_a_column_is() -> None:
    columns = {
        "a": kpi("dl_volume").hour_of_week(weeks=8),
        "b": kpi("dl_volume").over("1h", "sum").across("neighbours", "mean"),
        "c": (kpi("drops") / kpi("calls")).lag("1d"),
        "d": alarms("major", "self, parents").over("1h"),
        "e": state("locked", "pm_missing"),
    }

    words = Features(entity="cell", every="15m", columns=columns).words({"dl_volume": "downlink volume"})

    assert words == {
        "a": "usual downlink volume at this time of the week (8 weeks)",
        "b": "mean sum downlink volume over 1h across neighbours",
        "c": "(drops / calls) 1d before",
        "d": "major or worse alarms in the last 1h (self, parents)",
        "e": "locked or PM missing",
    }


def test_an_unknown_aggregation_lists_the_allowed_ones() -> None:
    with pytest.raises(UnknownName, match=r"no aggregation 'avg'.\n  Allowed: 'sum', 'mean', 'max'"):
        kpi("x").over("1h", "avg")  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="'median', 'mad', 'mean', 'count'"):
        kpi("x").hour_of_week(stat="sum")  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match=r"no severity 'mayor'.*\n.*\n.*Did you mean 'major'"):
        alarms("mayor")


@pytest.mark.parametrize(
    ("every", "columns", "said"),
    [
        ("7m", {"x": kpi("x")}, "every='7m' does not divide a day"),
        ("15m", {"x": kpi("x").over("20m", "sum")}, r"The window '20m' is no multiple of every='15m'.\n  Where: column 'x'"),
        ("1h", {"x": kpi("x").over("1h", "sum").lag("30m")}, "The lag '30m' is no multiple of every='1h'"),
        ("1h", {"x": alarms("major")}, r"alarms\(...\) alone is no value"),
        ("1h", {"cell": kpi("x")}, "A column cannot be called 'cell'"),
        ("1h", {"x": "dl_volume"}, "'dl_volume' is no feature"),
        ("1h", {"x": state("pm_missing")}, "it reads none"),
        ("1h", {}, "have no columns"),
    ],
)
def test_a_definition_that_cannot_work_is_refused_in_words(every: str, columns: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        Features(entity="cell", every=every, columns=columns)  # type: ignore[arg-type]


def test_equal_definitions_have_equal_hashes_and_other_ones_do_not() -> None:
    def define(every: str, window: str, least: float = 0.5) -> Features:
        return Features(entity="cell", every=every, columns={"x": kpi("x").over(window, "sum", least=least)})

    assert define("60m", "120m") == define("1h", "2h")
    assert hash(define("60m", "120m")) == hash(define("1h", "2h"))
    assert content_hash(define("1h", "2h")) == define("1h", "2h").hash
    assert define("1h", "2h") != define("1h", "3h")
    assert define("1h", "2h") != define("1h", "2h", least=1.0)


def test_the_hash_of_a_definition_stays_what_it_was() -> None:
    golden = Features(entity="cell", every="15m", columns={"x": kpi("a") / kpi("b").over("1h", "sum"), "y": state("locked"), "h": hour()})

    assert golden.hash == "a54d81120c3c1e3c6c2403377c46e3209abadb83d36652841164045b5be435cf"


def test_each_kpi_becomes_one_column_per_kpi_found() -> None:
    features = Features(entity="cell", every="1h", columns={"now": each_kpi(exclude=["raw_*"]), "usual": each_kpi(["calls"]).hour_of_week(weeks=2)})

    bound = features.bind(["drops", "calls", "raw_bytes"])

    assert not features.is_bound
    assert bound.is_bound
    assert list(bound.columns) == ["calls", "drops", "calls_usual"]
    assert bound.columns["calls_usual"] == kpi("calls").hour_of_week(weeks=2)
    assert bound.kpis == ("calls", "drops")


def test_binding_names_the_closest_kpi() -> None:
    with pytest.raises(UnknownName, match=r"no KPI 'dl_volum'.*\n(.*\n)*.*Did you mean 'dl_volume'"):
        Features(entity="cell", every="1h", columns={"x": kpi("dl_volum")}).bind(["dl_volume", "ul_volume"])
    with pytest.raises(UnknownName, match="each_kpi"):
        Features(entity="cell", every="1h", columns={"x": each_kpi(["nothing"])}).bind(["dl_volume"])


def test_two_columns_of_one_name_are_refused() -> None:
    features = Features(entity="cell", every="1h", columns={"all": each_kpi(), "calls": kpi("calls").lag("1h")})

    with pytest.raises(BadInput, match="Two columns are called 'calls'"):
        features.bind(["calls"])


def test_the_look_back_adds_up_along_an_expression() -> None:
    features = Features(entity="cell", every="1h", columns={"x": kpi("x").over("6h", "sum").lag("1d").hour_of_week(weeks=2)})

    assert features.lookback == timedelta(weeks=2, days=2, hours=6)
