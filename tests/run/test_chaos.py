"""A spoilt feed through the whole product: what the data allow is the same, and nothing is overwritten in silence."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from benchmarks import chaos as benchmark
from tests.run import at_work_case as cases
from tests.run.conftest import HOUR, MONDAY, Present

import trunkline
from trunkline import Workspace
from trunkline.core.errors import BadInput
from trunkline.core.frames import RECORDS
from trunkline.data import sniff
from trunkline.features import history
from trunkline.run import gather
from trunkline.run.at_work import AtWork
from trunkline.run.chaos import TOLD, chaos
from trunkline.run.load import Options, load
from trunkline.simulator import FileFaults, Network, write
from trunkline.simulator.chaos import PERIOD, Chaos, fates, spoil

ARRIVAL = Options(arrival="file time", assume_zone="UTC")
HOW = Chaos(seed=4)


def export(folder: Path, real: Path, *, weeks: int = 3) -> Path:
    """The first weeks of the real cells, as their owner exported them."""
    lines = (real / "lte_traffic_congestion" / "hourly.csv").read_text(encoding="utf-8").splitlines()
    cells = [[line for line in lines[1:] if line.startswith(cell)][: weeks * 168] for cell in sorted({line.partition(";")[0] for line in lines[1:]})]
    path = folder / "hourly.csv"
    path.write_text("\n".join([lines[0], *(line for cell in cells for line in cell)]) + "\n", encoding="utf-8")
    return path


def workspace_in(folder: Path) -> Workspace:
    return trunkline.create(folder, flags={"keys": str(folder.parent / "keys"), "operator": "ann"})


def loaded(workspace: Workspace) -> pl.DataFrame:
    return workspace.store.lake.read("measurements").collect()


# --- the kit --------------------------------------------------------------------------------------


def test_somebodys_own_export_is_spoilt_and_said_how(tmp_path: Path, real_data: Path) -> None:
    done = chaos([export(tmp_path, real_data)], tmp_path / "rough", HOW, options=ARRIVAL)

    told = json.loads((tmp_path / "rough" / TOLD).read_text(encoding="utf-8"))
    files = sorted(path for path in (tmp_path / "rough").rglob("*.parquet"))
    assert done.lost / done.periods == pytest.approx(0.1, abs=0.03)
    assert done.written == len(files) > 50
    assert done.out_of_order > done.written / 2
    assert told["what"]["lost"] == done.lost == sum(one["lost"] for one in told["periods"])
    assert told["how"] == {"$": "Chaos", "seed": 4}
    assert {sniff.kind(path) for path in files} == {"records"}
    assert str(done).endswith("(seed 4).")


def test_the_same_seed_writes_the_same_files_and_a_dry_run_none(tmp_path: Path, real_data: Path) -> None:
    file = export(tmp_path, real_data, weeks=1)

    planned = chaos([file], tmp_path / "one", HOW, options=ARRIVAL, dry_run=True)
    assert not (tmp_path / "one").exists()
    assert chaos([file], tmp_path / "one", HOW, options=ARRIVAL) == planned
    chaos([file], tmp_path / "two", HOW, options=ARRIVAL)

    contents = [{str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")} for folder in (tmp_path / "one", tmp_path / "two")]
    assert contents[0] == contents[1]
    with pytest.raises(BadInput, match="is there already"):
        chaos([file], tmp_path / "one", HOW, options=ARRIVAL)


def test_measurement_files_are_lost_doubled_and_late_as_wholes_and_other_files_are_copied(tmp_path: Path) -> None:
    start = datetime(2026, 11, 16, tzinfo=UTC)
    written = write(Network.make(3, sites=2), tmp_path / "network", start=start, history_weeks=0, days=0.25, incidents={}, file_faults=FileFaults(damaged=0))
    pm = sorted(path for path in written.paths["pm"].iterdir())

    done = chaos([written.paths["pm"], written.paths["elements"]], tmp_path / "rough", Chaos(loss=0.3, duplicates=0.3, late_share=0.5, seed=2))

    copies = [path for path in (tmp_path / "rough").rglob("*") if path.is_file() and path.name not in {TOLD, "elements.csv"}]
    assert (done.periods, done.files, done.as_they_were) == (len(pm), len(pm) + 1, ("elements.csv",))
    assert {path.name for path in copies} < {path.name for path in pm}
    assert {path.read_bytes() for path in copies} <= {path.read_bytes() for path in pm}
    assert len(copies) == len(pm) - done.lost + done.duplicated
    with workspace_in(tmp_path / "w") as opened:
        told = opened.data.load([tmp_path / "rough"], options=ARRIVAL)
        late = loaded(opened).select((pl.col("known_at") - pl.col("at") - pl.duration(seconds="period_s")).max()).item()
    assert sum(one.state == "seen before" for one in told.files) >= done.duplicated, "what comes twice counts once"
    assert timedelta(hours=1) < late <= timedelta(hours=6, minutes=10)


def test_what_holds_no_measurements_cannot_be_spoilt(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing\n", encoding="utf-8")

    with pytest.raises(BadInput, match="Nothing of this is measurements"):
        chaos([tmp_path / "readme.txt"], tmp_path / "rough", HOW)


# --- features -------------------------------------------------------------------------------------


def test_features_of_real_cells_are_the_clean_runs_wherever_their_data_exist(real_data: Path) -> None:
    clean = benchmark.records(real_data, weeks=8)
    whole, rough = benchmark.facts(clean), benchmark.facts(benchmark.spoilt(clean))

    emitted = benchmark.agreement(whole, rough)
    hindsight = benchmark.agreement(whole, rough, known_at=datetime(2030, 1, 1, tzinfo=UTC))

    assert (emitted.differing, hindsight.differing) == (0, 0), "to the last bit"
    assert emitted.with_all > 0.4 * (emitted.with_all + emitted.others), "or it would prove little"
    assert hindsight.with_all > emitted.with_all


def test_the_live_stream_gives_history_as_known_then_when_facts_come_as_they_come(real_data: Path) -> None:
    rough = benchmark.facts(benchmark.spoilt(benchmark.records(real_data, weeks=5)))

    values, wrong = benchmark.live_rows(rough, days=7)

    assert values > 1000
    assert wrong == 0


def test_through_files_and_workspace_the_kpis_are_the_clean_ones_but_for_what_was_lost(tmp_path: Path, real_data: Path) -> None:
    file = export(tmp_path, real_data)
    chaos([file], tmp_path / "rough", HOW, options=ARRIVAL)
    with workspace_in(tmp_path / "clean") as clean, workspace_in(tmp_path / "rough-workspace") as rough:
        clean.data.load([file], options=ARRIVAL)
        rough.data.load([tmp_path / "rough"], options=ARRIVAL)
        found, told = (gather.gather(one.store, one.workflows.get("kpi-anomaly")) for one in (rough, clean))

    key = ["element", "kpi", "at"]
    newest = found.facts.kpis.sort("known_at").unique(key, keep="last").sort(key)
    there = told.facts.kpis.join(newest, on=key, how="semi").sort(key)
    assert newest.select(*key, "value", "status").equals(there.select(*key, "value", "status")), "to the last bit"
    assert newest.height / told.facts.kpis.height == pytest.approx(0.9, abs=0.03)
    assert gather.parity(found, days=7).agrees


# --- late and restated ----------------------------------------------------------------------------


def csv(path: Path, hours: range, *, times: float = 1.0, came: datetime | None = None) -> Path:
    lines = [f"{MONDAY + n * HOUR:%Y-%m-%dT%H:%M:%SZ},a,{(100.0 + n) * times:.3f}" for n in hours]
    path.write_text("\n".join(["time,element,volume", *lines]) + "\n", encoding="utf-8")
    if came is not None:
        os.utime(path, (came.timestamp(), came.timestamp()))
    return path


def known(workspace: Workspace, at: datetime) -> dict[int, float]:
    """The value of each hour as known at an instant."""
    found = workspace.store.lake.read("measurements", as_known_at=at).collect()
    return {(one["at"] - MONDAY) // HOUR: one["value"] for one in found.to_dicts()}


def seen(workspace: Workspace, at: datetime) -> dict[int, float]:
    """The same, as a workflow is given it."""
    found = gather.gather(workspace.store, workspace.workflows.get("kpi-anomaly"), until=at).facts.kpis
    newest = found.sort("known_at").unique(["element", "kpi", "at"], keep="last")
    return {(one["at"] - MONDAY) // HOUR: one["value"] for one in newest.to_dicts()}


@pytest.mark.parametrize("read", [known, seen])
def test_a_late_file_is_known_from_when_it_came_and_not_before(read: object, tmp_path: Path) -> None:
    came = MONDAY + 30 * HOUR
    with workspace_in(tmp_path / "w") as workspace:
        workspace.data.load([csv(tmp_path / "in-time.csv", range(20), came=MONDAY + 20 * HOUR)], options=ARRIVAL)
        workspace.data.load([csv(tmp_path / "late.csv", range(20, 24), came=came)], options=ARRIVAL)

        before, after = (read(workspace, at) for at in (came - timedelta(seconds=1), came))  # type: ignore[operator]

    assert sorted(before) == list(range(20))
    assert sorted(after) == list(range(24))


@pytest.mark.parametrize("read", [known, seen])
@pytest.mark.parametrize("name", ["restated.csv", "a-name-before.csv"])
def test_a_restatement_is_a_version_whether_or_not_files_tell_when_they_came(read: object, name: str, tmp_path: Path) -> None:
    present = Present(MONDAY + 100 * HOUR)
    with trunkline.create(tmp_path / "w", clock=present, flags={"keys": str(tmp_path / "keys")}) as workspace:
        workspace.data.load([csv(tmp_path / "cells.csv", range(24))])
        present.at = MONDAY + 200 * HOUR
        workspace.data.load([csv(tmp_path / name, range(10, 30), times=2.0)])

        before, after = (read(workspace, at) for at in (MONDAY + 199 * HOUR, MONDAY + 200 * HOUR + timedelta(seconds=1)))  # type: ignore[operator]
        rows = loaded(workspace)

    assert before == {n: 100.0 + n for n in range(24)} | {n: 2 * (100.0 + n) for n in range(24, 30)}, "as it was decided upon"
    assert after == {n: 100.0 + n for n in range(10)} | {n: 2 * (100.0 + n) for n in range(10, 30)}
    assert rows.height == 24 + 20, "both stay"


def test_what_is_restated_in_one_load_and_back_again_ends_as_it_was_said_last(tmp_path: Path) -> None:
    files = [csv(tmp_path / f"{n}.csv", range(24), times=times) for n, times in enumerate((1.0, 2.0, 3.0, 1.0))]
    with workspace_in(tmp_path / "w") as workspace:
        workspace.data.load(files[:3])
        assert known(workspace, datetime.now(UTC)) == {n: 3 * (100.0 + n) for n in range(24)}
        workspace.data.load([csv(tmp_path / "longer.csv", range(48), times=1.0)])
        assert known(workspace, datetime.now(UTC)) == {n: 100.0 + n for n in range(48)}
        assert loaded(workspace).group_by("at").len()["len"].max() == 4


def test_a_longer_export_of_the_same_weeks_restates_nothing(tmp_path: Path) -> None:
    with workspace_in(tmp_path / "w") as workspace:
        workspace.data.load([csv(tmp_path / "short.csv", range(24))])
        workspace.data.load([csv(tmp_path / "long.csv", range(48))])

        assert (loaded(workspace)["known_at"] - loaded(workspace)["at"]).unique().to_list() == [HOUR]


# --- at work --------------------------------------------------------------------------------------


def test_at_work_each_value_emitted_is_what_history_says_was_known_then(tmp_path: Path) -> None:
    case = cases.make(tmp_path / "case")
    store = case.copy(tmp_path / "w")
    sent = _records(cases.days(case, 0.0, 3.0))
    came = spoil(sent, fates(sent.select(PERIOD), HOW)).with_columns(lot=pl.col("known_at").dt.truncate("8h"))
    emitted = []
    with AtWork.open(store, case.workflow) as at_work:
        for number, lot in enumerate(came.partition_by("lot", include_key=False, maintain_order=True)):
            path = tmp_path / f"{number}.parquet"
            lot.write_parquet(path)
            load(store, [path])
            at_work.step()
            emitted += [one.context for one in at_work._residents.values()]

    gone_out = pl.concat(emitted).unique(["entity", "at"], keep="first").filter(pl.col("at") >= sent["at"].min()).sort("entity", "at")
    found = gather.gather(store, case.workflow)
    then = history(gather.bound(found), found.facts, slots=gone_out.select("entity", "at", "known_at"))
    assert gone_out.height > 150
    assert gone_out["volume"].null_count() > 20, "what came late was not there yet"
    assert gone_out.equals(then.select(gone_out.columns)), "to the last bit"
    rows = {(one["target"], one["at"]): one["body"]["row"] for one in cases.decisions(store)}
    assert rows, "the outage was said"
    for (target, at), row in rows.items():
        (value,) = then.filter((pl.col("entity") == target) & (pl.col("at") == at))["volume"]
        assert row["volume"] == value


def _records(found: pl.DataFrame) -> pl.DataFrame:
    told = found.select(
        "element", object_class=pl.lit("series"), name="kpi", dimension=pl.lit(""), at="at", period_s=pl.lit(3600), value="value",
        suspect=pl.lit(value=False), known_at=pl.col("at") + HOUR, source=pl.lit("made"),
    )  # fmt: skip
    return told.cast(dict(RECORDS)).with_columns(aggregate=pl.lit("mean"))  # type: ignore[arg-type]
