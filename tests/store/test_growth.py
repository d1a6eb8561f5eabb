"""What a table has gained since a version: the new rows and nothing else, or None where that cannot be told."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from trunkline.store.lake import Lake, Layout

LAYOUT = Layout({"n": pl.Int64, "text": pl.String})


def rows(*numbers: int) -> pl.DataFrame:
    return pl.DataFrame({"n": numbers, "text": [str(n) for n in numbers]})


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(tmp_path, {"plain": LAYOUT})
    for n in range(4):
        made.append("plain", rows(n, 10 + n))
    return made


def test_only_new_rows_are_given(lake: Lake) -> None:
    found = lake.since("plain", 1)

    assert found is not None
    assert sorted(found["n"]) == [2, 3, 12, 13]


def test_up_to_a_version_and_no_further(lake: Lake) -> None:
    found = lake.since("plain", 0, 2)

    assert found is not None
    assert sorted(found["n"]) == [1, 2, 11, 12]


def test_from_before_the_first_version_all_are_new(lake: Lake) -> None:
    found = lake.since("plain", -1)

    assert found is not None
    assert found.height == 8


def test_nothing_new_is_an_empty_frame_of_the_layout(lake: Lake) -> None:
    found = lake.since("plain", 3)

    assert found is not None
    assert dict(found.schema) == {"n": pl.Int64(), "text": pl.String()}
    assert found.is_empty()


def test_compaction_adds_nothing_and_hides_nothing(lake: Lake) -> None:
    from deltalake import DeltaTable

    DeltaTable(lake.folder / "plain").optimize.compact()
    lake.append("plain", rows(4))

    found = lake.since("plain", 2)

    assert found is not None
    assert sorted(found["n"]) == [3, 4, 13]


def test_files_that_were_compacted_and_removed_cannot_be_told(lake: Lake) -> None:
    from deltalake import DeltaTable

    table = DeltaTable(lake.folder / "plain")
    table.optimize.compact()
    table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)

    assert lake.since("plain", 0) is None


def test_rows_taken_away_or_replaced_cannot_be_told(lake: Lake) -> None:
    lake.replace("plain", rows(7))

    assert lake.since("plain", 2) is None


def test_a_log_that_is_gone_cannot_tell(lake: Lake) -> None:
    (lake.folder / "plain" / "_delta_log" / f"{2:020}.json").unlink()

    assert lake.since("plain", 0, 3) is None
