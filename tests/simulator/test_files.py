"""A folder holds what a real operator would hand over, and the truth about it."""

from __future__ import annotations

import gzip
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from trunkline.core.errors import BadInput
from trunkline.core.frames import RECORDS, check_frame
from trunkline.data import events, inventory
from trunkline.simulator.files import FileFaults, Written, write
from trunkline.simulator.network import Network

NETWORK = Network.make(11, sites=4)
START = datetime(2026, 11, 20, 6, tzinfo=UTC)
FLAWED = FileFaults(late=0.1, duplicate=0.1, missing=0.1, damaged=0.1)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write(NETWORK, tmp_path_factory.mktemp("simulated"), start=START, history_weeks=1, days=0.25, incidents={"sleeping_cell": 1}, file_faults=FLAWED)


def _truth(written: Written) -> pl.DataFrame:
    return pl.read_csv(written.paths["truth"], try_parse_dates=True)


def _digest(folder: Path) -> dict[str, str]:
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(folder.rglob("*")) if f.is_file()}


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write(NETWORK, tmp_path / name, start=START, history_weeks=1, days=0.1, incidents={}, history_incidents={"locked": 1, "planned_work": 1}, seed=seed)

    one, again, other = (_digest(tmp_path / name) for name in "abc")
    assert one == again
    assert {f for f in one if f in other and one[f] == other[f]} == {"elements.csv", "relations.csv"}


def test_history_holds_whole_weeks_of_records_before_the_files_begin(written: Written) -> None:
    files = sorted(written.paths["history"].iterdir())
    frame = pl.read_parquet(files[0])

    assert [f.name for f in files] == ["week-01.parquet"]
    check_frame(frame, RECORDS, name="history")
    assert frame["at"].min() == START - timedelta(weeks=1)
    assert frame["at"].max() == START - timedelta(minutes=15)
    assert frame["source"].str.starts_with("simulated").all()


def test_every_node_and_period_has_its_file_unless_the_truth_says_otherwise(written: Written) -> None:
    for kind in ("file_late", "file_duplicate", "file_missing", "file_damaged"):
        assert _truth(written).filter(pl.col("kind") == kind).height in (9, 10)  # a tenth of at most 96 files, rounded up
    missing = _truth(written).filter(pl.col("kind") == "file_missing").height
    duplicate = _truth(written).filter(pl.col("kind") == "file_duplicate").height
    names = [f.name for f in written.paths["pm"].iterdir()]

    assert len(names) == 24 * len(NETWORK.sites) - missing + duplicate
    assert sum("_-_2" in n for n in names) == duplicate


def test_late_files_carry_their_arrival_and_damaged_ones_break_off(written: Written) -> None:
    known = _truth(written)
    for row in known.filter(pl.col("kind").is_in(["file_late", "file_damaged"])).iter_rows(named=True):
        path = written.paths["pm"] / row["note"].rsplit(": ", 1)[1]
        arrived = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        end = datetime.fromisoformat(str(row["end"])).replace(tzinfo=UTC) if isinstance(row["end"], str) else row["end"].replace(tzinfo=UTC)
        if row["kind"] == "file_late":
            assert arrived - end > timedelta(hours=1)
        else:
            assert arrived - end < timedelta(minutes=5)
            with pytest.raises((EOFError, OSError)):
                gzip.decompress(path.read_bytes())


def test_everything_says_that_it_is_simulated(written: Written) -> None:
    assert written.paths["readme"].read_text(encoding="utf-8").startswith("SIMULATED")
    assert "seed 11" in written.paths["readme"].read_text(encoding="utf-8")
    assert "simulated" in str(written)
    assert written.paths["alarms"].read_text(encoding="utf-8").count("simulated") == written.counts["alarms"]


def test_the_tables_have_plain_headers(written: Written) -> None:
    headers = {name: written.paths[name].read_text(encoding="utf-8").splitlines()[0] for name in ("alarms", "works", "states", "elements", "relations")}

    assert headers == {
        "alarms": "alarm_id,element,severity,text,raised_at,cleared_at",
        "works": "work_id,elements,start,end,announced_at,text",
        "states": "element,state,start,end,known_at",
        "elements": "element,kind,zone,region,technology,role,vendor,dn,site,sector,carrier,latitude,longitude,azimuth",
        "relations": "element,relation,other",
    }


def test_the_readers_of_real_files_read_every_table_without_setting_anything_aside(tmp_path: Path) -> None:
    start = datetime(2026, 11, 20, tzinfo=UTC)
    happenings = {"locked": 1, "energy_saving": 1, "planned_work": 1, "pm_missing": 1, "cell_outage": 1}
    written = write(Network.make(11), tmp_path / "s", start=start, history_weeks=0, days=1, incidents=happenings)
    known = _truth(written)

    alarms, states, works = (
        read(written.paths[name]) for name, read in (("alarms", events.read_alarms), ("states", events.read_states), ("works", events.read_works))
    )
    elements, relations = inventory.read_elements(written.paths["elements"]), inventory.read_relations(written.paths["relations"])

    assert not any(f.quarantine for f in (alarms, states, works, elements, relations))
    assert alarms.events["event_id"].n_unique() == written.counts["alarms"]
    for kind in ("locked", "energy_saving", "pm_missing"):
        row = known.filter(pl.col("kind") == kind).row(0, named=True)
        told = states.events.filter(pl.col("kind") == kind, pl.col("element") == row["element"]).sort("known_at")
        assert told["event_id"].n_unique() == 1
        assert told["end"][0] is None
        assert told["start"][0].replace(tzinfo=None) == row["start"].replace(tzinfo=None)
    assert works.events.height == len(known.filter(pl.col("kind") == "planned_work")["affected"][0].split()) + 1
    assert elements.elements.height == written.counts["elements"]
    assert elements.elements["zone"].null_count() == 0
    assert set(elements.elements.filter(pl.col("kind") == "cell")["technology"]) == {"LTE", "NR-SA", "NR-NSA"}
    assert relations.relations.sort("element", "relation", "other").equals(Network.make(11).relations().sort("element", "relation", "other"))


def test_a_folder_with_anything_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real.xml").write_text("")

    with pytest.raises(BadInput, match="is not empty"):
        write(NETWORK, tmp_path, start=START)
    with pytest.raises(BadInput, match="nothing to write"):
        write(NETWORK, tmp_path / "new", start=START, history_weeks=0, days=0)
