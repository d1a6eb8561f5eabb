from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.gates import Evidence, Leakage, Part
from trunkline.gates.check import sample_evidence

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def table(features: pl.DataFrame, labels: np.ndarray, entity: np.ndarray, *, groups: np.ndarray | None = None, at: pl.Series | None = None) -> Evidence:
    """Evidence of rows split by group: every fifth group is held out. Without *at* the rows carry no time."""
    moments = at if at is not None else pl.Series([NEW_YEAR] * features.height)
    keys = pl.DataFrame({"entity": entity.astype(str), "at": moments.cast(pl.Datetime("us", "UTC"))})
    rows = pl.concat([keys.with_columns(known_at=pl.col("at") + timedelta(minutes=25)), features], how="horizontal")
    group = entity.astype(str) if groups is None else groups.astype(str)
    held = np.unique(group, return_inverse=True)[1] % 5 == 0
    train = Part(rows.filter(~held), labels=labels[~held], groups=group[~held])
    return Evidence(
        rows.filter(held), scores=np.zeros(held.sum()), labels=labels[held], groups=group[held], split="group:id", every=timedelta(minutes=15), train=train
    )


def customers(seed: int = 0, n: int = 3000) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """Customers with a label that two columns tell something about."""
    rng = np.random.default_rng(seed)
    labels = rng.random(n) < 0.2
    features = pl.DataFrame({"usage": rng.normal(labels * 0.8, 1), "calls": rng.poisson(3 + labels).astype(float), "tenure": rng.random(n) * 70})
    return features, labels, np.array([f"customer-{i}" for i in rng.permutation(n)])


def kinds(evidence: Evidence, gate: Leakage | None = None) -> dict[str, str]:
    return {finding.kind: finding.column for finding in (gate or Leakage()).check(evidence).findings}


@given(st.integers(0, 200))
@settings(deadline=None, max_examples=15)
def test_an_honest_table_passes(seed: int) -> None:
    verdict = Leakage().check(table(*customers(seed)))

    assert verdict.result == "pass", verdict.why


@given(st.integers(0, 50), st.floats(0.05, 0.25))
@settings(deadline=None, max_examples=15)
def test_a_noisy_copy_of_the_label_is_found(seed: int, noise: float) -> None:
    features, labels, entity = customers(seed)
    copy = labels + np.random.default_rng(seed + 1).normal(0, noise, len(labels))

    assert "closing_code" in kinds(table(features.with_columns(closing_code=pl.Series(copy)), labels, entity)).values()


@pytest.mark.parametrize("copy", ["number", "text", "flag", "turned"])
def test_a_function_of_the_label_is_found_whatever_its_type(copy: str) -> None:
    features, labels, entity = customers()
    made = {"number": labels * 7.0, "text": np.where(labels, "cancelled", "ok"), "flag": labels, "turned": 1.0 - labels}[copy]

    found = kinds(table(features.with_columns(status=pl.Series(made)), labels, entity))

    assert found == {"function of the label": "status"}


def test_a_gap_that_only_positive_rows_have_is_found() -> None:
    features, labels, entity = customers()
    gone = labels & (np.random.default_rng(1).random(len(labels)) < 0.2)
    leaking = features.with_columns(revenue=pl.when(pl.Series(gone)).then(None).otherwise(pl.lit(5.0) + pl.col("tenure")))

    verdict = Leakage().check(table(leaking, labels, entity))

    assert verdict.result == "fail"
    assert verdict.findings[0].kind == "missingness"
    assert verdict.findings[0].column == "revenue"
    assert f"{gone.sum()} of {gone.sum()} rows are positive (100.0%" in verdict.why


def test_gaps_by_chance_are_no_finding() -> None:
    features, labels, entity = customers()
    gone = np.random.default_rng(1).random(len(labels)) < 0.1

    assert Leakage().check(table(features.with_columns(pl.when(pl.Series(gone)).then(None).otherwise("usage").alias("usage")), labels, entity)).result == "pass"


def test_sorted_rows_without_a_time_are_found_and_the_column_that_holds_the_order_is_named() -> None:
    features, labels, entity = customers()
    order = np.argsort(labels, kind="stable")
    numbered = features[order].with_columns(ticket=pl.int_range(pl.len()).cast(pl.Float64))

    found = kinds(table(numbered, labels[order], entity[order]))

    assert found["order"] == "ticket"


def test_labels_that_come_in_runs_within_a_place_are_found() -> None:
    rng = np.random.default_rng(0)
    place = np.repeat(np.arange(200), 15)
    runs = np.concatenate([np.repeat(rng.random(5) < 0.3, 3) for _ in range(200)])

    found = kinds(table(pl.DataFrame({"volume": rng.random(3000)}), runs, place))

    assert set(found) == {"order"}


def test_runs_of_labels_in_real_time_are_how_faults_are() -> None:
    evidence = sample_evidence()

    assert Leakage().check(evidence).result == "pass"


def test_groups_on_both_sides_are_found() -> None:
    evidence = table(*customers())
    assert evidence.train is not None
    assert evidence.groups is not None
    both = dataclasses.replace(
        evidence, train=Part(evidence.train.rows, labels=evidence.train.labels, groups=np.resize(evidence.groups, evidence.train.rows.height))
    )

    assert kinds(both)["split"] == "id"


def test_training_rows_later_than_the_held_out_part_are_found() -> None:
    evidence = sample_evidence()
    assert evidence.train is not None
    late = evidence.train.rows.with_columns(pl.col("at") + timedelta(days=1))

    verdict = Leakage().check(dataclasses.replace(evidence, train=Part(late, labels=evidence.train.labels)))

    assert [finding.kind for finding in verdict.findings] == ["split"]
    assert "3600 training rows are as late as the held-out part" in verdict.why


def test_rows_copied_into_training_are_found() -> None:
    evidence = table(*customers())
    assert evidence.train is not None
    rows = pl.concat([evidence.train.rows, evidence.rows[:100]])

    found = kinds(dataclasses.replace(evidence, train=Part(rows)))

    assert "repeated rows" in found


def test_a_label_that_is_one_whole_group_is_found() -> None:
    rng = np.random.default_rng(0)
    file = np.repeat(np.array(["walk-1", "walk-2", "walk-3", "walk-4", "walk-5", "walk-6"]), 200)
    at = pl.Series([NEW_YEAR + timedelta(seconds=i // 1) for i in range(1200)])

    found = kinds(table(pl.DataFrame({"rsrp": rng.normal(-100, 5, 1200)}), file == "walk-4", file, at=at))

    assert found["one group"] == "(group)"


def test_a_time_after_the_row_was_known_is_found() -> None:
    features, labels, entity = customers()
    repaired = pl.Series([NEW_YEAR + timedelta(hours=h % 3) for h in range(len(labels))]).cast(pl.Datetime("us", "UTC"))

    verdict = Leakage().check(table(features.with_columns(repaired_at=repaired), labels, entity))

    assert [(finding.kind, finding.column) for finding in verdict.findings] == [("time travel", "repaired_at")]
    assert "the live service will not have it" in verdict.why


def test_a_column_somebody_vouches_for_is_left_alone() -> None:
    features, labels, entity = customers()
    evidence = table(features.with_columns(rsrp=pl.Series(labels + np.random.default_rng(1).normal(0, 0.2, len(labels)))), labels, entity)

    assert Leakage().check(evidence).result == "fail"
    assert Leakage(honest=("rsrp",)).check(evidence).result == "pass"


def test_without_labels_or_training_part_it_cannot_tell() -> None:
    evidence = table(*customers())

    unlabelled, alone = Leakage().check(dataclasses.replace(evidence, labels=None)), Leakage().check(dataclasses.replace(evidence, train=None))

    assert (unlabelled.result, alone.result) == ("cannot tell", "cannot tell")
    assert "there are no labels" in unlabelled.why
    assert "training part was not handed in" in alone.why


@pytest.mark.real
def test_real_fraud_rows_leak_through_missing_revenue(real_data: Path) -> None:
    people = pl.read_csv(real_data / "fraud_sichuan" / "subscribers.csv")

    verdict = Leakage().check(table(people.drop("label", "phone_no_m"), people["label"].to_numpy(), people["phone_no_m"].to_numpy()))

    assert verdict.result == "fail"
    assert {finding.kind for finding in verdict.findings} == {"missingness"}
    assert verdict.findings[0].column == "arpu_mean"
    assert verdict.findings[0].figure == 1.0


@pytest.mark.real
def test_real_churn_rows_do_not_make_it_cry_wolf(real_data: Path) -> None:
    people = pl.read_csv(real_data / "churn_ibm" / "Telco-Customer-Churn.csv", infer_schema_length=None)
    features = people.drop("Churn", "customerID").with_columns(pl.col("TotalCharges").cast(pl.Float64, strict=False))

    verdict = Leakage().check(table(features, (people["Churn"] == "Yes").to_numpy(), people["customerID"].to_numpy()))

    assert verdict.result == "pass", verdict.why


@pytest.mark.real
def test_real_telstra_rows_leak_through_their_order(real_data: Path) -> None:
    folder = real_data / "telstra"
    order = pl.read_csv(folder / "severity_type.csv").join(pl.read_csv(folder / "train.csv"), on="id", maintain_order="left")
    volume = pl.read_csv(folder / "log_feature.csv").group_by("id").agg(volume=pl.col("volume").sum().log1p(), logs=pl.len().cast(pl.Float64))
    events = order.join(volume, on="id", how="left", maintain_order="left")
    place = events.select(place=pl.int_range(pl.len()).over("location") / pl.len().over("location"))["place"]

    verdict = Leakage().check(
        table(events.select("volume", "logs").with_columns(place=place), events["fault_severity"].to_numpy(), events["location"].to_numpy())
    )

    assert verdict.result == "fail"
    assert {(finding.kind, finding.column) for finding in verdict.findings} == {("order", "place")}


@pytest.mark.real
def test_real_walk_tests_leak_the_switched_off_radio_unit_by_file(real_data: Path) -> None:
    files = sorted((real_data / "sutd_5g").glob("*.csv"))
    walks = pl.concat([pl.read_csv(f, infer_schema_length=None).with_columns(file=pl.lit(f.stem)) for f in files], how="vertical_relaxed")
    at = walks["Time"].str.to_datetime(time_unit="us").dt.replace_time_zone("UTC")
    measured = walks.select("RSRP", "RSRQ", "SINR", "PDSCH_MCS", "PUSCH_MCS", "PDSCH PRBs", "PUSCH PRBs", "throughput_DL", "C-RNTI")
    file = walks["file"].to_numpy()

    off = kinds(table(measured, walks["lab_1rr"].to_numpy(), file, at=at))
    anomaly = Leakage().check(table(measured, walks["lab_anom"].to_numpy(), file, at=at))

    assert off == {"one group": "(group)", "function of the label": "C-RNTI"}
    assert anomaly.result == "pass", anomaly.why
