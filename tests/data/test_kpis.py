"""KPIs: sums over sums, gaps left open, each version kept, the same numbers from every dialect and in any order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.core.errors import BadFile, BadInput
from trunkline.core.frames import KPIS, RECORDS, RELATIONS, check_frame
from trunkline.data.counters import load_maps, map_counters, write_values
from trunkline.data.kpis import compute, load_set, load_sets, rollup, words
from trunkline.data.pm_xml import read

T0 = datetime(2026, 11, 20, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


Row = tuple[Any, ...]


def record(
    name: str,
    value: float | None,
    *,
    at: datetime = T0,
    period: int = 900,
    element: str = "cell-1",
    kind: str = "NRCellCU",
    dimension: str = "",
    suspect: bool = False,
    known: datetime | None = None,
    source: str = "f",
) -> Row:
    return (element, kind, name, dimension, at, period, value, suspect, known or at + timedelta(seconds=period) + 10 * MINUTE, source)


def frame(*rows: Row) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=dict(RECORDS), orient="row")


def values(kpis: pl.DataFrame, kpi: str) -> list[Row]:
    return kpis.filter(pl.col("kpi") == kpi).select("at", "value", "status", "known_at").rows()


def one(kpis: pl.DataFrame, kpi: str, element: str = "cell-1") -> tuple[Any, str]:
    """The newest version of a KPI that has one slot."""
    found = kpis.filter((pl.col("kpi") == kpi) & (pl.col("element") == element))
    assert found["at"].n_unique() == 1, found
    value, status = found.select("value", "status").row(-1)
    return value, status


# Hand calculations, the same in every dialect

NR = {
    "RRC.ConnEstabAtt": 412.0, "RRC.ConnEstabSucc": 407.0, "DRB.EstabAtt": 390.0, "DRB.EstabSucc": 377.0, "DRB.RelActNbr": 7.0, "DRB.SessionTime": 23451.0,
    "MM.HoExeIntraReq": 51.0, "MM.HoExeIntraSucc": 49.0, "MM.HoExeInterReq": 13.0, "MM.HoExeInterSucc": 11.0, "RRC.ConnMean": 31.25, "ENDC.SgNBAddAtt": 77.0, "ENDC.SgNBAddSucc": 70.0,
    "DRB.PdcpSduVolumeDL": 8123.5, "DRB.PdcpSduVolumeUL": 901.25, "DRB.UEThpVolDl": 7.9e6, "DRB.UEThpTimeDl": 182000.0, "RRU.PrbUsedDl": 93.7, "RRU.PrbAvailDl": 273.0,
    "CA.ScellVolumeDL": 512.0, "RRU.CellUnavailableTime": 18.0,
}  # fmt: skip
NR_KPIS = {
    "rrc_attempts": 412, "rrc_setup_success": 100 * 407 / 412, "bearer_attempts": 390, "bearer_setup_success": 100 * 377 / 390, "drops": 7, "drop_rate": 100 * 7 / 377,
    "drops_per_session_second": 7 / 23451, "handover_attempts": 64, "handover_success": 100 * 60 / 64, "connected_users": 31.25, "endc_attempts": 77,
    "endc_addition_success": 100 * 70 / 77, "dl_volume": 8123.5 / 8, "ul_volume": 901.25 / 8, "dl_user_throughput": 7.9e6 / 182000, "prb_utilisation_dl": 100 * 93.7 / 273,
    "scell_volume": 64, "availability": 100 * 882 / 900,
}  # fmt: skip
LTE = {
    "RRC.ConnEstabAtt": 412.0, "RRC.ConnEstabSucc": 407.0, "ERAB.EstabInitAttNbr": 390.0, "ERAB.EstabInitSuccNbr": 377.0, "ERAB.RelActNbr": 7.0, "ERAB.SessionTimeUE": 23451.0,
    "HO.ExeAtt": 64.0, "HO.ExeSucc": 60.0, "RRC.ConnMean": 31.25, "ENDC.SgNBAddAtt": 77.0, "ENDC.SgNBAddSucc": 70.0, "DRB.PdcpSduVolumeDL": 8123.5, "DRB.PdcpSduVolumeUL": 901.25,
    "DRB.IPVolDl": 7.9e6, "DRB.IPTimeDl": 182000.0, "RRU.PrbUsedDl": 33.7, "RRU.PrbAvailDl": 100.0, "CA.ScellVolumeDL": 512.0, "RRU.CellUnavailableTime": 18.0,
}  # fmt: skip
LTE_KPIS = {**NR_KPIS, "prb_utilisation_dl": 33.7}


def dialect(name: str, measured: Mapping[str, float], at: datetime = T0, period: int = 900, cell: str = "cell-1") -> bytes:
    """A measurement file of one cell in a vendor's dialect."""
    header = {"ericsson": "Ericsson AB", "huawei": "Huawei Technologies", "3gpp": "Simulated"}[name.partition("-")[0]]
    written = write_values(load_maps()[name], measured, period_s=period)
    out = [f'<measCollecFile><fileHeader vendorName="{header}" dnPrefix="SubNetwork=1"/><measData><managedElement localDn="n1"/>']
    for kind in sorted({kind for kind, _ in written}):
        function = {"NRCellCU": "GNBCUCPFunction", "NRCellDU": "GNBDUFunction"}.get(kind, "ENodeBFunction")
        counters = [(c, v) for (k, c), v in written.items() if k == kind]
        end = (at + timedelta(seconds=period)).isoformat()
        out.append(
            f'<measInfo><granPeriod duration="PT{period}S" endTime="{end}"/>'
            + "".join(f'<measType p="{n}">{c}</measType>' for n, (c, _) in enumerate(counters, 1))
        )
        texts = [",".join(map(repr, v)) if isinstance(v, tuple) else repr(v) for _, v in counters]
        results = "".join(f'<r p="{n}">{t}</r>' for n, t in enumerate(texts, 1))
        out.append(f'<measValue measObjLdn="{function}=1,{kind}={cell}">{results}</measValue></measInfo>')
    return "".join([*out, "</measData></measCollecFile>"]).encode()


def records_of(text: bytes) -> pl.DataFrame:
    mapped = map_counters(read(text, source="f").counters, load_maps(), names={"cell-1": "cell-1", "cell-2": "cell-2"})
    assert mapped.unmapped.is_empty()
    return mapped.records


@pytest.mark.parametrize("name", ["ericsson-nr", "huawei-nr", "3gpp-nr", "ericsson-lte", "huawei-lte", "3gpp-lte"])
def test_hand_calculations_hold_in_every_dialect(name: str) -> None:
    measured, wanted = (NR, NR_KPIS) if name.endswith("nr") else (LTE, LTE_KPIS)

    kpis = compute(records_of(dialect(name, measured)), every="15m")

    check_frame(kpis, KPIS, name="KPIs")
    for kpi, value in wanted.items():
        found, status = one(kpis, kpi)
        assert status == "ok", kpi
        assert found == pytest.approx(value, rel=1e-9), kpi
    assert kpis["known_at"].unique().to_list() == [T0 + 25 * MINUTE]


@pytest.mark.parametrize("name", ["ericsson-nr", "huawei-nr", "3gpp-nr"])
@pytest.mark.parametrize(("period", "every"), [(300, "15m"), (300, "1h"), (900, "1h"), (900, "15m"), (3600, "1h"), (300, "5m")])
def test_finer_periods_add_up_to_the_slot_in_every_dialect(name: str, period: int, every: str) -> None:
    rng = np.random.default_rng(7)
    scaled = [{m: v * f for m, v in NR.items()} for f in rng.uniform(0.5, 1.5, 3600 // period)]

    records = pl.concat([records_of(dialect(name, m, T0 + timedelta(seconds=n * period), period)) for n, m in enumerate(scaled)])
    kpis = compute(records, every=every, known="latest")

    per_slot = {"5m": 300, "15m": 900, "1h": 3600}[every] // period
    first = scaled[:per_slot]
    slot = kpis.filter(pl.col("at") == T0)
    assert kpis["at"].n_unique() == len(scaled) // per_slot
    assert set(slot.filter(pl.col("kpi").is_in(list(NR_KPIS)))["status"]) == {"ok"}
    assert one(slot, "rrc_setup_success")[0] == pytest.approx(
        100 * sum(m["RRC.ConnEstabSucc"] for m in first) / sum(m["RRC.ConnEstabAtt"] for m in first), rel=1e-9
    )
    assert one(slot, "dl_volume")[0] == pytest.approx(sum(m["DRB.PdcpSduVolumeDL"] for m in first) / 8, rel=1e-9)
    assert one(slot, "connected_users")[0] == pytest.approx(sum(m["RRC.ConnMean"] for m in first) / per_slot, rel=1e-9)
    assert one(slot, "prb_utilisation_dl")[0] == pytest.approx(100 * sum(m["RRU.PrbUsedDl"] for m in first) / sum(m["RRU.PrbAvailDl"] for m in first), rel=1e-9)
    lost = sum(m["RRU.CellUnavailableTime"] for m in first)
    assert one(slot, "availability")[0] == pytest.approx(100 * (per_slot * period - lost) / (per_slot * period), rel=1e-9)


# What a slot is, and what it is not


def test_ratios_are_of_sums_and_never_averaged() -> None:
    rows = [record("RRC.ConnEstabAtt", 10, at=T0), record("RRC.ConnEstabSucc", 5, at=T0), record("RRC.ConnEstabAtt", 1000, at=T0 + 15 * MINUTE), record("RRC.ConnEstabSucc", 1000, at=T0 + 15 * MINUTE)]  # fmt: skip

    assert one(compute(frame(*rows), every="30m"), "rrc_setup_success") == (pytest.approx(100 * 1005 / 1010), "ok")


def test_too_few_attempts_are_neither_0_nor_100_per_cent() -> None:
    for attempts, successes, status in ((9, 0, "too_few"), (0, 0, "too_few"), (9, 9, "too_few"), (10, 10, "ok")):
        kpis = compute(frame(record("RRC.ConnEstabAtt", attempts), record("RRC.ConnEstabSucc", successes)), every="15m")
        value, found = one(kpis, "rrc_setup_success")
        assert found == status
        assert (value is None) == (status == "too_few")
        assert one(kpis, "rrc_attempts") == (attempts, "ok")


def test_a_slot_that_misses_a_part_is_missing_and_one_without_any_has_no_row() -> None:
    quarter = [T0 + n * 15 * MINUTE for n in range(4)]
    rows = [record("RRC.ConnEstabAtt", 20, at=at) for at in quarter] + [record("RRC.ConnEstabSucc", 20, at=at) for at in quarter[:3]]

    by_quarter = compute(frame(*rows), every="15m")
    by_hour = compute(frame(*rows), every="1h")

    assert [s for _, _, s, _ in values(by_quarter, "rrc_setup_success")] == ["ok", "ok", "ok", "missing"]
    assert one(by_hour, "rrc_setup_success") == (None, "missing")
    assert one(by_hour, "rrc_attempts") == (80, "ok")
    assert compute(frame(*rows[:4:2]), every="15m").filter(pl.col("kpi") == "rrc_attempts")["at"].to_list() == [quarter[0], quarter[2]]


def test_a_longer_period_is_not_split_and_one_across_the_edge_not_used() -> None:
    hour = frame(record("RRC.ConnEstabAtt", 80, period=3600))
    across = frame(record("RRC.ConnEstabAtt", 80, at=T0 + 7 * MINUTE))

    assert compute(hour, every="15m").is_empty()
    assert one(compute(hour, every="1h"), "rrc_attempts") == (80, "ok")
    assert compute(across, every="15m").is_empty()


def test_a_value_the_source_doubts_makes_the_kpi_suspect_and_none_makes_it_missing() -> None:
    doubted = compute(frame(record("RRC.ConnEstabAtt", 20, suspect=True), record("RRC.ConnEstabSucc", 20)), every="15m")
    nothing = compute(frame(record("RRC.ConnEstabAtt", None), record("RRC.ConnEstabSucc", 20)), every="15m")

    assert one(doubted, "rrc_setup_success") == (None, "suspect")
    assert one(nothing, "rrc_setup_success") == (None, "missing")


def test_a_total_is_used_where_it_is_given_and_sub_counters_of_one_kind_where_not() -> None:
    parts = [record("RRC.ConnEstabAtt", v, dimension=d) for d, v in (("plmn=226F04", 30), ("plmn=226F05", 12), ("snssai=01", 41))]
    with_total = compute(frame(*parts, record("RRC.ConnEstabAtt", 40)), every="15m")
    without = compute(frame(*parts), every="15m")

    assert one(with_total, "rrc_attempts") == (40, "ok")
    assert one(without, "rrc_attempts") == (42, "ok")


def test_a_measurement_of_two_objects_of_a_cell_counts_once() -> None:
    rows = [record("RRU.CellUnavailableTime", 90, kind=kind) for kind in ("NRCellCU", "NRCellDU")]

    assert one(compute(frame(*rows), every="15m"), "availability") == (pytest.approx(90.0), "ok")


def test_another_formula_serves_where_the_first_has_no_measurements() -> None:
    kpis = compute(frame(record("RRU.PrbTotDl", 37.5), record("DRB.UEThpDl", 25000)), every="15m")

    assert one(kpis, "prb_utilisation_dl") == (pytest.approx(37.5), "ok")
    assert one(kpis, "dl_user_throughput") == (pytest.approx(25.0), "ok")


# Versions


def test_a_late_or_restated_part_makes_a_new_version_and_keeps_the_old() -> None:
    late, later = T0 + timedelta(hours=6), T0 + timedelta(hours=9)
    rows = [record("RRC.ConnEstabAtt", 100), record("RRC.ConnEstabSucc", 90, known=late), record("RRC.ConnEstabAtt", 120, known=later)]

    kpis = compute(frame(*rows), every="15m")

    assert values(kpis, "rrc_setup_success") == [(T0, 90.0, "ok", late), (T0, 75.0, "ok", later)]
    assert values(kpis, "rrc_attempts") == [(T0, 100.0, "ok", T0 + 25 * MINUTE), (T0, 120.0, "ok", later)]
    assert values(compute(frame(*rows), every="15m", known="latest"), "rrc_setup_success") == [(T0, 75.0, "ok", later)]


def test_the_same_file_under_two_names_changes_nothing() -> None:
    once = [record("RRC.ConnEstabAtt", 100), record("RRC.ConnEstabSucc", 90)]
    again = [(*row[:8], row[8] + timedelta(hours=2), "g") for row in once]

    assert compute(frame(*once, *once, *again), every="15m").equals(compute(frame(*once), every="15m"))


def test_a_value_taken_back_and_said_again_is_three_versions() -> None:
    rows = [record("RRC.ConnEstabAtt", v, known=T0 + timedelta(hours=h)) for h, v in ((1, 50), (2, 60), (3, 50))]

    assert [v for _, v, _, _ in values(compute(frame(*rows), every="15m"), "rrc_attempts")] == [50, 60, 50]


def test_a_slot_is_not_known_before_it_is_over() -> None:
    early = frame(*(record("RRC.ConnEstabAtt", 5, at=T0 + n * 5 * MINUTE, period=300, known=T0 + (n + 1) * 5 * MINUTE) for n in range(3)))

    assert values(compute(early, every="15m"), "rrc_attempts") == [(T0, 15.0, "ok", T0 + 15 * MINUTE)]


# Meters


def test_a_meter_counts_its_steps_through_its_wrap_but_not_through_a_reset() -> None:
    meter = [(0, 4294967000.0), (1, 4294967200.0), (2, 104.0), (3, 204.0), (4, 3.0), (5, 10.0)]
    rows = frame(*(record("PEE.EnergyMeter", v, at=T0 + n * 15 * MINUTE, kind="EnergyMeter") for n, v in meter)).with_columns(wrap=pl.lit(4294967296.0))

    found = values(compute(rows, every="15m"), "energy")

    assert [(v, s) for _, v, s, _ in found] == [(200.0, "ok"), (200.0, "ok"), (100.0, "ok"), (None, "missing"), (7.0, "ok")]


# Rolling up


def test_a_site_weighs_its_cells_by_their_attempts_and_adds_users() -> None:
    rows = [
        record("RRC.ConnEstabAtt", 1000), record("RRC.ConnEstabSucc", 1000), record("RRC.ConnMean", 10),
        record("RRC.ConnEstabAtt", 10, element="cell-2"), record("RRC.ConnEstabSucc", 5, element="cell-2"), record("RRC.ConnMean", 2.5, element="cell-2"),
        record("RRC.ConnEstabAtt", 50, element="cell-3", kind="EUtranCellFDD"), record("RRC.ConnEstabSucc", 50, element="cell-3", kind="EUtranCellFDD"),
    ]  # fmt: skip
    later = record("RRC.ConnEstabSucc", 50, element="cell-3", kind="EUtranCellFDD", at=T0 + 15 * MINUTE)
    sites = pl.DataFrame([(f"cell-{n}", "site", "site-A") for n in (1, 2, 3)], schema=dict(RELATIONS), orient="row")

    site = rollup(frame(*rows), sites, to="site", every="15m")
    gap = rollup(frame(*rows[:-1], later), sites, to="site", every="15m").filter(pl.col("at") == T0)

    assert one(site, "rrc_setup_success", "site-A") == (pytest.approx(100 * 1055 / 1060), "ok")
    assert one(site, "connected_users", "site-A") == (pytest.approx(12.5), "ok")
    assert one(gap, "rrc_setup_success", "site-A") == (None, "missing")
    assert rollup(frame(*rows), sites, to="node", every="15m").is_empty()


def test_a_node_of_both_technologies_has_one_value_per_kpi() -> None:
    rows = [record("RRC.ConnEstabAtt", 30, element="n"), record("RRC.ConnEstabAtt", 12, element="n", kind="EUtranCellFDD")]

    assert one(compute(frame(*rows), every="15m"), "rrc_attempts", "n") == (42, "ok")


# Series


def test_plain_series_are_kpis_of_their_own_name_with_mean_or_sum() -> None:
    rows = [record(name, v, at=T0 + n * 15 * MINUTE, kind="series") for name in ("load", "calls") for n, v in enumerate((1.0, 2.0, 3.0, 6.0))]
    both = frame(*rows).with_columns(aggregate=pl.when(pl.col("name") == "calls").then(pl.lit("sum")))

    assert one(compute(frame(*rows), every="1h"), "load") == (3.0, "ok")
    assert one(compute(both, every="1h"), "calls") == (12.0, "ok")
    assert one(compute(both, every="1h"), "load") == (3.0, "ok")
    assert compute(both, every="15m").height == 8


# Against the definition, told in plain Python


def by_definition(rows: list[Row], every: timedelta) -> list[Row]:
    """Attempts, set-up success and connected users, as slowly and plainly as can be."""
    out: list[Row] = []
    slots = {(r[0], T0 + (r[4] - T0) // every * every) for r in rows if r[4] + timedelta(seconds=r[5]) <= T0 + (r[4] - T0) // every * every + every}
    for element, slot in sorted(slots):
        mine = [r for r in rows if r[0] == element and slot <= r[4] and r[4] + timedelta(seconds=r[5]) <= slot + every]
        for kpi, names in (
            ("connected_users", ["RRC.ConnMean"]),
            ("rrc_attempts", ["RRC.ConnEstabAtt"]),
            ("rrc_setup_success", ["RRC.ConnEstabSucc", "RRC.ConnEstabAtt"]),
        ):
            versions: list[Row] = []
            for at in sorted({max(r[8], slot + every) for r in mine if r[2] in names}):
                now = state([part([r for r in mine if r[2] == n], at, every, slot) for n in names])
                if not (versions and versions[-1][3:5] == now):
                    versions.append((element, kpi, slot, *now, at))
            while len(versions) > 1 and versions[0][4] == "missing":
                versions.pop(0)
            out += versions
    return sorted(out, key=lambda r: (r[0], r[1], r[2], r[5]))


def state(parts: list[tuple[Any, str]]) -> tuple[Any, str]:
    for bad in ("missing", "suspect"):
        if any(status == bad for _, status in parts):
            return None, bad
    if len(parts) == 1:
        return parts[0]
    return (100 * parts[0][0] / parts[1][0], "ok") if parts[1][0] >= 10 else (None, "too_few")


def part(rows: list[Row], at: datetime, every: timedelta, slot: datetime) -> tuple[Any, str]:
    newest: dict[Row, Row] = {}
    for row in sorted(rows, key=lambda r: (r[8], r[9], -math.inf if r[6] is None else r[6])):
        if max(row[8], slot + every) <= at:
            newest[(row[3], row[4], row[5])] = row
    by_period: dict[int, dict[datetime, list[Row]]] = {}
    for row in newest.values():
        by_period.setdefault(row[5], {}).setdefault(row[4], []).append(row)
    whole = [p for p, ats in by_period.items() if len(ats) * p == every.total_seconds()]
    if not whole:
        return None, "missing"
    totals = []
    for at_rows in by_period[max(whole)].values():
        total = [r for r in at_rows if r[3] == ""] or [r for r in at_rows if r[3].startswith("plmn")] or at_rows
        totals.append((sum(r[6] for r in total) if all(r[6] is not None for r in total) else None, any(r[7] for r in total)))
    if any(s for _, s in totals):
        return None, "suspect"
    if any(v is None for v, _ in totals):
        return None, "missing"
    total_value = sum(float(v or 0) for v, _ in totals)
    return (total_value / len(totals) if rows[0][2] == "RRC.ConnMean" else total_value), "ok"


rows_of_a_slot = st.lists(
    st.tuples(
        st.sampled_from(["RRC.ConnEstabAtt", "RRC.ConnEstabSucc", "RRC.ConnMean"]),
        st.sampled_from([None, 0.0, 4.0, 5.0, 12.0, 40.0]),
        st.sampled_from([(300, 0), (300, 1), (300, 2), (900, 0), (900, 1), (900, 2), (900, 3), (1800, 0), (3600, 0)]),
        st.sampled_from(["", "", "", "plmn=226F04", "plmn=226F05", "snssai=01"]),
        st.sampled_from([False, False, False, True]),
        st.sampled_from([0, 20, 90, 400]),
        st.sampled_from(["f", "g"]),
        st.sampled_from(["cell-1", "cell-2"]),
    ),
    min_size=1,
    max_size=40,
)


def rows_from(drawn: list[Row]) -> list[Row]:
    rows = []
    for name, value, (period, place), dimension, suspect, late, source, element in drawn:
        at, length = T0 + place * timedelta(seconds=period), timedelta(seconds=period)
        known = at + length + late * MINUTE
        rows.append(record(name, value, at=at, period=period, dimension=dimension, suspect=suspect, source=source, element=element, known=known))
    return rows


@settings(deadline=None, max_examples=150)
@given(drawn=rows_of_a_slot, every=st.sampled_from([15, 30, 60]), seed=st.integers(0, 99))
def test_any_mixture_of_versions_periods_and_sub_counters_gives_what_the_definition_says(drawn: list[Row], every: int, seed: int) -> None:
    rows = rows_from(drawn)
    order = np.random.default_rng(seed).permutation(len(rows))

    kpis = compute(frame(*(rows[n] for n in order)), every=timedelta(minutes=every))

    wanted = by_definition(rows, timedelta(minutes=every))
    found = kpis.select("element", "kpi", "at", "value", "status", "known_at").rows()
    assert [(r[:3], r[4], r[5]) for r in found] == [(r[:3], r[4], r[5]) for r in wanted]
    assert [r[3] is None for r in found] == [r[3] is None for r in wanted]
    assert [r[3] or 0 for r in found] == pytest.approx([r[3] or 0 for r in wanted], rel=1e-12)


# Chaos


def day(seed: int = 3, cells: int = 6) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for cell in range(cells):
        for slot in range(96):
            at, attempts = T0 + slot * 15 * MINUTE, int(rng.poisson(60))
            rows += [record(n, v, at=at, element=f"cell-{cell}", source=f"{cell}-{slot}") for n, v in (("RRC.ConnEstabAtt", attempts), ("RRC.ConnEstabSucc", rng.binomial(attempts, 0.98)), ("DRB.PdcpSduVolumeDL", rng.gamma(3, 50)), ("RRC.ConnMean", rng.uniform(0, 40)))]  # fmt: skip
    return frame(*rows)


def test_loss_duplicates_disorder_and_lateness_change_nothing_where_data_exist() -> None:
    clean = day()
    rng = np.random.default_rng(11)
    files = clean["source"].unique(maintain_order=True)
    kept = files.filter(pl.Series(rng.random(len(files)) >= 0.1))
    late = kept.filter(pl.Series(rng.random(len(kept)) < 0.2))
    twice = kept.filter(pl.Series(rng.random(len(kept)) < 0.3))
    chaos = clean.filter(pl.col("source").is_in(kept.implode()))
    chaos = chaos.with_columns(known_at=pl.when(pl.col("source").is_in(late.implode())).then(pl.col("known_at") + timedelta(hours=6)).otherwise("known_at"))
    copies = chaos.filter(pl.col("source").is_in(twice.implode())).with_columns(
        source=pl.col("source") + "-copy", known_at=pl.col("known_at") + timedelta(minutes=3)
    )
    chaos = pl.concat([chaos, copies]).sample(fraction=1, shuffle=True, seed=5)

    for every in ("15m", "1h"):
        want = compute(clean, every=every, known="latest").drop("known_at")
        got = compute(chaos, every=every, known="latest")
        compared = got.filter(pl.col("status") == "ok").join(want, on=["element", "kpi", "at"], suffix="_clean", how="left")
        assert compared.height > 0.5 * want.height
        assert (compared["value"] == compared["value_clean"]).all()
        assert got.filter(pl.col("status") == "missing").height == (0 if every == "15m" else got.height - compared.height)
    assert set(got["status"]) == {"ok", "missing"}


@settings(deadline=None, max_examples=60)
@given(drawn=rows_of_a_slot, hour=st.integers(0, 6))
def test_what_was_known_at_an_instant_is_what_the_records_known_by_then_give(drawn: list[Row], hour: int) -> None:
    records = frame(*rows_from(drawn))
    then = T0 + timedelta(hours=hour)
    # "missing" may turn into no row once the slot is whole: both say that there is no value.
    same = (pl.col("status") != "missing") & (pl.col("known_at") <= then)

    now = compute(records, every="15m").filter(same)

    assert now.equals(compute(records.filter(pl.col("known_at") <= then), every="15m").filter(same))


def test_running_again_in_any_order_gives_the_identical_frame() -> None:
    records = day(cells=3)
    first = compute(records, every="1h")

    assert first.equals(compute(records, every="1h"))
    assert first.equals(compute(records.sample(fraction=1, shuffle=True, seed=1), every="1h"))
    assert first.equals(compute(pl.concat([records, records]), every="1h"))


def test_no_records_give_no_kpis() -> None:
    check_frame(compute(frame(), every="15m"), KPIS, name="KPIs")
    assert compute(frame(), every="15m").is_empty()
    assert compute(frame(record("pmSomething", 3.0)), every="15m").is_empty()


def test_a_grid_that_cannot_be_is_refused() -> None:
    for every in ("0s", "0.5s", "soon"):
        with pytest.raises(BadInput):
            compute(frame(), every=every)


# Definitions


def test_both_technologies_have_the_groups_a_network_is_judged_by() -> None:
    for kpi_set in load_sets().values():
        groups = {kpi.group for kpi in kpi_set.kpis.values()}
        assert {"accessibility", "retainability", "mobility", "integrity", "availability", "utilisation"} <= groups
        for kpi in kpi_set.kpis.values():
            assert kpi.clause
            assert kpi.words == kpi.words.strip()
            ratio_of_counts = kpi.formulas[0].over and kpi.unit == "%" and kpi.group in {"accessibility", "mobility", "retainability"}
            assert not ratio_of_counts or kpi.least >= 10
    assert words()["rrc_setup_success"] == "RRC set-up success [%]"


def test_kpis_of_one_name_mean_the_same_in_both_technologies() -> None:
    nr, lte = load_sets()["nr"].kpis, load_sets()["lte"].kpis

    for name in nr.keys() & lte.keys():
        assert (nr[name].words, nr[name].unit, nr[name].better, nr[name].scale, nr[name].least) == (
            lte[name].words,
            lte[name].unit,
            lte[name].better,
            lte[name].scale,
            lte[name].least,
        )


def test_a_kpi_set_with_mistakes_is_refused_with_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'format = 1\ntechnology = "NR"\n[kpis.x]\nwords = "x"\ngroup = "speed"\nunit = "%"\nbetter = "higher"\nparts = [{ name = "RRC.ConnEstabAt" }]\nclause = "own"\nleest = 3\n'
    )

    with pytest.raises(BadFile) as refused:
        load_set(path)

    assert "closest is 'RRC.ConnEstabAtt'" in str(refused.value)
    assert "group = 'speed'" in str(refused.value)
    assert "'leest'" in str(refused.value)


def test_a_set_of_ones_own_adds_kpis_and_may_not_redefine_one(tmp_path: Path) -> None:
    text = 'format = 1\ntechnology = "NR"\n[kpis.NAME]\nwords = "re-establishments"\ngroup = "retainability"\nunit = "count"\nbetter = "lower"\nparts = [{ name = "RRC.ReEstabAtt" }]\nclause = "own"\n'
    (tmp_path / "mine.toml").write_text(text.replace("NAME", "reestablishments"))

    kpis = compute(frame(record("RRC.ReEstabAtt", 4)), every="15m", sets=load_sets(tmp_path))

    assert one(kpis, "reestablishments") == (4, "ok")
    (tmp_path / "mine.toml").write_text(text.replace("NAME", "drop_rate"))
    with pytest.raises(BadInput, match="drop_rate"):
        load_sets(tmp_path)


def test_many_records_are_computed_by_elements_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    records = day(cells=5)
    whole = compute(records, every="1h")

    monkeypatch.setattr("trunkline.data.kpis._AT_A_TIME", 500)

    assert compute(records.sample(fraction=1, shuffle=True, seed=2), every="1h").equals(whole)
