from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Engine, insert, update
from sqlalchemy.exc import StatementError

from trunkline.core.errors import WorkspaceError
from trunkline.core.frames import TIME
from trunkline.store import catalogue, transaction

AT = datetime(2026, 11, 20, 14, tzinfo=UTC)


@pytest.fixture
def opened(engine: Engine) -> Engine:
    catalogue.open_catalogue(engine)
    return engine


def release(**changed: Any) -> dict[str, Any]:
    return {
        "id": "r1",
        "workflow": "w",
        "state": "candidate",
        "made_at": AT,
        "changed_at": AT,
        "model": "b" * 64,
        "verdict": None,
        "waiver": None,
        "body": {"rows": 5},
        "card": {},
        **changed,
    }


def test_a_catalogue_opens_as_often_as_one_likes(opened: Engine) -> None:
    catalogue.open_catalogue(opened)

    assert catalogue.rows(opened, catalogue.meta) == [{"key": "format", "value": str(catalogue.FORMAT)}]


def test_a_workspace_of_another_format_is_refused(opened: Engine) -> None:
    with transaction(opened) as connection:
        connection.execute(update(catalogue.meta).values(value="99"))

    with pytest.raises(WorkspaceError, match="is of format 99") as refused:
        catalogue.open_catalogue(opened)

    assert refused.value.allowed == f"formats 1 to {catalogue.FORMAT}"
    assert refused.value.next_step


def test_a_row_is_added_once(opened: Engine) -> None:
    with transaction(opened) as connection:
        first = catalogue.add(connection, catalogue.releases, **release())
        again = catalogue.add(connection, catalogue.releases, **release(state="live"))

    assert (first, again) == (True, False)
    assert [row["state"] for row in catalogue.rows(opened, catalogue.releases)] == ["candidate"]


def test_what_has_no_key_of_its_own_is_added_every_time(opened: Engine) -> None:
    with transaction(opened) as connection:
        for _ in range(2):
            assert catalogue.add(connection, catalogue.outcomes, decision="d", verdict="wrong", at=AT, by="ann", note="")

    assert [row["n"] for row in catalogue.rows(opened, catalogue.outcomes, order_by=catalogue.outcomes.c.n)] == [1, 2]


def test_a_key_of_two_columns_is_told_apart_by_both(opened: Engine) -> None:
    with transaction(opened) as connection:
        added = [catalogue.add(connection, catalogue.states, release="r", mode=mode, body={}) for mode in ("live", "shadow", "live")]

    assert added == [True, True, False]


def test_a_change_is_of_one_row(opened: Engine) -> None:
    with transaction(opened) as connection:
        for name in ("r1", "r2"):
            catalogue.add(connection, catalogue.releases, **release(id=name))
        catalogue.change(connection, catalogue.releases, "r1", state="shadow")

    assert {row["id"]: row["state"] for row in catalogue.rows(opened, catalogue.releases)} == {"r1": "shadow", "r2": "candidate"}


def test_instants_come_back_aware_in_utc_and_sort_as_they_happened(opened: Engine) -> None:
    rome = AT.astimezone(timezone(timedelta(hours=2))) + timedelta(microseconds=1)
    with transaction(opened) as connection:
        catalogue.add(connection, catalogue.releases, **release(id="late", made_at=rome))
        catalogue.add(connection, catalogue.releases, **release(id="early"))

    found = catalogue.rows(opened, catalogue.releases, order_by=catalogue.releases.c.made_at)

    assert [row["id"] for row in found] == ["early", "late"]
    assert found[1]["made_at"] == rome
    assert found[1]["made_at"].utcoffset() == timedelta(0)


def test_a_time_without_zone_is_not_stored(opened: Engine) -> None:
    with pytest.raises(StatementError, match="names no zone"), transaction(opened) as connection:
        catalogue.add(connection, catalogue.releases, **release(made_at=datetime(2026, 1, 1)))

    assert catalogue.rows(opened, catalogue.releases) == []


def test_plain_values_come_back_as_they_were_written(opened: Engine) -> None:
    body = {"b": [1, 2.5, None, "Zürich"], "a": {"deep": True}}
    with transaction(opened) as connection:
        catalogue.add(connection, catalogue.releases, **release(body=body))

    assert catalogue.rows(opened, catalogue.releases)[0]["body"] == body


def test_what_is_no_number_is_not_stored(opened: Engine) -> None:
    with pytest.raises(StatementError, match="no canonical form"), transaction(opened) as connection:
        catalogue.add(connection, catalogue.releases, **release(body={"x": float("nan")}))


def test_an_error_half_way_leaves_nothing_behind(opened: Engine) -> None:
    with pytest.raises(RuntimeError), transaction(opened) as connection:
        catalogue.add(connection, catalogue.releases, **release())
        raise RuntimeError

    assert catalogue.rows(opened, catalogue.releases) == []


def test_rows_can_be_limited_and_chosen(opened: Engine) -> None:
    with transaction(opened) as connection:
        connection.execute(insert(catalogue.outcomes), [{"decision": f"d{n % 2}", "verdict": "wrong", "at": AT, "by": "ann", "note": ""} for n in range(6)])

    table = catalogue.outcomes
    assert [row["n"] for row in catalogue.rows(opened, table, table.c.decision == "d1", order_by=table.c.n.desc(), limit=2)] == [6, 4]


def test_a_frame_keeps_its_columns_and_times_even_when_it_is_empty() -> None:
    assert catalogue.frame([], ["id", "at"]).schema["at"] == TIME
    assert catalogue.frame([{"id": "a", "at": AT, "x": 1}], ["id", "at"]).rows() == [("a", AT)]
    assert catalogue.frame([], ["id", "at"]).columns == ["id", "at"]
    assert catalogue.frame([{"at": None}], ["at"]).schema == pl.Schema({"at": TIME})
