from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Engine, text

from trunkline.core.errors import AccessDenied, BadInput
from trunkline.core.values import Owner
from trunkline.govern import Product, View
from trunkline.store import Journal, Lake, Layout, open_database, open_key, transaction

CALLS = Product(
    "calls",
    table="calls",
    owner=Owner(team="charging", oncall="it", runbook="r.md"),
    purposes=("billing", "fraud-prevention"),
    region="region",
    columns=("subscriber", "region", "seconds", "tariff"),
    personal_columns=("subscriber",),
    column_purposes={"tariff": ("billing",)},
)
SITES = Product("sites", table="sites", owner="field", purposes=("fraud-prevention",))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_database(tmp_path / "data" / "trunkline.db")
    yield opened
    opened.dispose()


@pytest.fixture
def journal(engine: Engine, tmp_path: Path) -> Journal:
    return Journal(engine, open_key(tmp_path / "keys"), lambda: datetime(2026, 11, 20, 14, tzinfo=UTC))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    columns = {"subscriber": pl.String, "region": pl.String, "seconds": pl.Int64, "tariff": pl.String, "note": pl.String}
    lake = Lake(
        tmp_path / "lake", {"calls": Layout(columns, people=("subscriber",)), "sites": Layout({"site": pl.String}), "secret": Layout({"site": pl.String})}
    )
    regions = ["north", "south", None, "north"]
    data = {"subscriber": ["s1", "s2", "s3", "s4"], "region": regions, "seconds": [10, 20, 30, 40], "tariff": list("abcd"), "note": list("wxyz")}
    lake.append("calls", pl.DataFrame(data))
    lake.append("sites", pl.DataFrame({"site": ["A", "B"]}))
    lake.append("secret", pl.DataFrame({"site": ["C"]}))
    return lake


@pytest.fixture
def view(lake: Lake, journal: Journal) -> Callable[..., View]:
    def make(**given: Any) -> View:
        return View(lake, **{"workflow": "sim-box", "purpose": "fraud-prevention", "products": [CALLS, SITES], "journal": journal, **given})

    return make


def test_a_view_hands_out_what_its_purpose_and_products_allow(view: Callable[..., View]) -> None:
    seen = view().read("calls")

    assert seen.columns == ["region", "seconds"]  # neither personal, nor for billing only, nor outside the product
    assert seen.height == 4
    assert view(purpose="billing").read("calls").columns == ["region", "seconds", "tariff"]
    assert view().read("sites", ["site"], where=pl.col("site") == "B").rows() == [("B",)]
    assert view().products == ("calls", "sites")


def test_personal_columns_are_handed_out_only_where_named(view: Callable[..., View]) -> None:
    named = view(columns={"calls": ["subscriber", "seconds"]})

    assert named.read("calls").columns == ["subscriber", "seconds"]
    with pytest.raises(AccessDenied, match="region"):
        named.read("calls", ["region"])


def test_a_view_of_regions_sees_their_rows_and_none_without_a_region(view: Callable[..., View]) -> None:
    north = view(regions={"north"})

    assert north.read("calls", ["seconds"]).rows() == [(10,), (40,)]
    assert north.read("calls", ["seconds"], where=pl.col("seconds") > 0).rows() == [(10,), (40,)]
    assert view(regions={"north", "south"}).read("calls", ["seconds"], regions=["south"]).rows() == [(20,)]
    assert view(regions=()).read("calls").height == 0


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "a product that was not declared": ({}, {"product": "secret"}, "none of this view's"),
    "a table by its name": ({"products": [SITES]}, {"product": "calls"}, "none of this view's"),
    "another purpose": ({"purpose": "marketing"}, {"product": "calls"}, "purpose 'marketing'"),
    "a mistyped purpose": ({"purpose": "fraud-preventoin"}, {"product": "calls"}, "fraud-preventoin"),
    "a personal column": ({}, {"product": "calls", "columns": ["seconds", "subscriber"]}, "subscriber"),
    "a column for another purpose": ({}, {"product": "calls", "columns": ["tariff"]}, "tariff"),
    "a column for another purpose, declared": ({"columns": {"calls": ["tariff"]}}, {"product": "calls", "columns": ["tariff"]}, "tariff"),
    "a column that the product does not offer": ({}, {"product": "calls", "columns": ["note"]}, "note"),
    "a column that the view did not declare": ({"columns": {"calls": ["region"]}}, {"product": "calls", "columns": ["seconds"]}, "seconds"),
    "a column that is not there": ({}, {"product": "calls", "columns": ["nothing"]}, "nothing"),
    "a condition on a personal column": ({}, {"product": "calls", "where": pl.col("subscriber") == "s1"}, "tests columns"),
    "a condition hiding a column in a computation": ({}, {"product": "calls", "where": (pl.col("seconds") + pl.col("note").str.len_chars()) > 3}, "note"),
    "a condition in Python": ({}, {"product": "calls", "where": pl.col("seconds").map_batches(lambda s: s > 3, return_dtype=pl.Boolean)}, "Python function"),
    "another region": ({"regions": {"north"}}, {"product": "calls", "regions": ["north", "south"]}, "south"),
    "a product that names no region, in a view of regions": ({"regions": {"north"}}, {"product": "sites"}, "which region"),
    "a region of a product that names none": ({}, {"product": "sites", "regions": ["north"]}, "which region"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_lies_outside_is_refused_and_journaled(case: str, view: Callable[..., View], journal: Journal) -> None:
    made, asked, why = REFUSED[case]
    door = view(**made)

    with pytest.raises(AccessDenied, match=why):
        door.read(**asked)

    (entry,) = journal.entries()
    assert entry.kind == "view.denied"
    assert (entry.body["workflow"], entry.body["purpose"], entry.body["product"]) == ("sim-box", door.purpose, asked["product"])
    assert why in entry.body["why"]
    assert door.reads == {}


def test_a_refusal_says_who_to_ask(view: Callable[..., View]) -> None:
    with pytest.raises(AccessDenied) as refused:
        view(purpose="marketing").read("calls")

    assert str(refused.value) == (
        "Refused: the purpose 'marketing' is none that product 'calls' may serve.\n"
        "  Where: workflow 'sim-box', purpose 'marketing'\n"
        "  Allowed: billing, fraud-prevention\n"
        "  Next: Ask charging, who own 'calls'."
    )


def test_a_condition_over_all_columns_sees_only_those_of_the_view(view: Callable[..., View]) -> None:
    assert view().read("sites", where=pl.all() == "A").rows() == [("A",)]
    assert view(columns={"calls": ["seconds"]}).read("calls", where=pl.col("^se.*|sub.*$") == 10).rows() == [(10,)]


def test_the_first_read_of_each_product_is_journaled_and_all_are_counted(view: Callable[..., View], journal: Journal) -> None:
    door = view(regions={"north"}, products=[CALLS])

    for _ in range(3):
        door.read("calls", ["seconds"])

    assert door.reads == {"calls": 3}
    (entry,) = journal.entries()
    assert (entry.kind, entry.body) == (
        "view.read",
        {"workflow": "sim-box", "purpose": "fraud-prevention", "product": "calls", "columns": ["seconds"], "regions": ["north"]},
    )


def test_without_a_journal_nothing_is_read_and_refusals_stay_refusals(view: Callable[..., View], engine: Engine) -> None:
    door = view()
    with transaction(engine) as connection:
        connection.execute(text("DROP TABLE journal_checkpoints"))

    with pytest.raises(AccessDenied, match="journal cannot be written"):
        door.read("calls")
    with pytest.raises(AccessDenied, match="none of this view's") as refused:
        door.read("secret")

    assert refused.value.__notes__ == ["The journal could not be written, so this refusal is not in it."]
    assert door.reads == {}


def test_a_view_cannot_be_widened(view: Callable[..., View], journal: Journal) -> None:
    door = view(regions={"north"}, products=[CALLS])

    changes: list[Callable[[], None]] = [
        lambda: setattr(door, "purpose", "billing"),
        lambda: setattr(door, "regions", None),
        lambda: delattr(door, "regions"),
        lambda: setattr(door, "new", 1),
    ]
    for change in changes:
        with pytest.raises(AttributeError, match="cannot be changed"):
            change()
    for more in ({"regions": {"south"}}, {"products": ["sites"]}, {"columns": {"calls": ["subscriber"]}}):
        with pytest.raises(AccessDenied):
            door.narrow(**more)

    assert [entry.kind for entry in journal.entries()] == ["view.denied"] * 3


def test_a_narrowed_view_sees_less(view: Callable[..., View]) -> None:
    less = view(regions={"north", "south"}, products=[CALLS]).narrow(regions={"south"}, columns={"calls": ["seconds"]})

    assert less.read("calls").rows() == [(20,)]
    assert less.regions == frozenset({"south"})
    with pytest.raises(AccessDenied):
        less.read("calls", ["region"])
    assert view().narrow(products=["sites"]).products == ("sites",)


def test_a_view_that_makes_no_sense_is_refused(view: Callable[..., View]) -> None:
    with pytest.raises(BadInput, match="products that this view has not: stock"):
        view(columns={"stock": ["n"]})
    with pytest.raises(BadInput, match=r"\['north'\]"):
        view(regions="north")
    with pytest.raises(BadInput, match=r"\['seconds'\]"):
        view().read("calls", "seconds")


def test_versions_and_times_pass_through(view: Callable[..., View], lake: Lake) -> None:
    lake.append("sites", pl.DataFrame({"site": ["D"]}))

    assert view().read("sites", version=0).height == 2
    assert view().read("sites").height == 3
