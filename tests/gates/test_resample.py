from __future__ import annotations

import numpy as np

from trunkline.gates.check import sample_evidence
from trunkline.gates.resample import clusters, draws, interval


def test_rows_of_one_entity_and_week_stay_together() -> None:
    evidence = sample_evidence()
    cluster = clusters(evidence)

    weeks = evidence.rows["at"].dt.truncate("1w").n_unique()
    assert cluster.max() + 1 == 150 * weeks
    for weights in list(draws(cluster[:500], seed=1))[:5]:
        for one in np.unique(cluster[:500]):
            assert len(np.unique(weights[cluster[:500] == one])) == 1


def test_groups_count_where_they_are_given() -> None:
    evidence = sample_evidence()
    sites = np.array([name[:6] for name in evidence.rows["entity"]])

    import dataclasses

    assert clusters(dataclasses.replace(evidence, groups=sites)).max() + 1 == len(np.unique(sites))


def test_the_interval_covers_the_truth_in_about_19_of_20_worlds() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for world in range(200):
        group = np.repeat(np.arange(40), 5)
        values = rng.normal(0, 1, 40)[group] + rng.normal(0, 0.3, 200)  # rows of a group resemble each other
        around = interval(float(values.mean()), lambda w, v=values: float((v * w).sum() / w.sum()), group, seed=world)  # type: ignore[misc]
        assert around is not None
        covered += around[0] <= 0 <= around[1]

    assert 178 <= covered <= 198


def test_few_clusters_give_no_interval() -> None:
    assert interval(0.5, lambda w: float(w.mean()), np.repeat(np.arange(4), 100), seed=0) is None
    assert interval(0.5, lambda w: float(w.mean()), np.zeros(0, dtype=np.int64), seed=0) is None


def test_the_same_seed_draws_the_same() -> None:
    group = np.repeat(np.arange(30), 3)

    first, again, other = (np.stack(list(draws(group, seed=s))) for s in (1, 1, 2))

    assert (first == again).all()
    assert (first != other).any()
