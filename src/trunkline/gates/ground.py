"""Is there anything to judge accuracy on? Labels first, seeded faults where there are none."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from trunkline.gates.protocol import Array, Evidence, Verdict
from trunkline.gates.resample import FEWEST_CLUSTERS, clusters

FEWEST_POSITIVES = 20
"""Fewer positives than this and a share among them moves by more than 5 points with each."""


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """Evidence that can be judged, with the truth of each row."""

    evidence: Evidence
    champion: Evidence | None = field(kw_only=True)  # the live version, on the same rows
    truth: Array = field(kw_only=True)  # bool
    cluster: Array = field(kw_only=True)
    on: str = field(kw_only=True)  # words for the reader: what was judged on
    unjudged: float = field(kw_only=True)  # share of rows with a NaN score


def ground(gate: str, evidence: Evidence, *, bar: float | None, fewest: int = FEWEST_POSITIVES) -> Ground | Verdict:
    """What accuracy can be judged on, or the verdict that it cannot."""
    used, on = (evidence, "labelled rows") if evidence.labels is not None else (evidence.injected, "injected faults")
    if used is None or used.labels is None:
        return _cannot(gate, bar, 0, "There are no labels and no injected faults", "Label some rows (trunkline decision approve or reject), or inject faults.")
    truth = used.labels > 0
    positives, unjudged = int(truth.sum()), float(np.isnan(used.scores).mean()) if len(truth) else 1.0
    if unjudged == 1.0:
        return _cannot(gate, bar, len(truth), f"The candidate judged none of {len(truth)} rows", "Give it more history, or fewer columns with gaps.")
    if positives < fewest or len(truth) - positives < fewest:
        return _cannot(
            gate, bar, len(truth), f"{positives} of {len(truth)} rows are positive; at least {fewest} of each kind are needed", "Hold out a longer time."
        )
    cluster = clusters(used)
    number = int(cluster.max()) + 1
    if number < FEWEST_CLUSTERS:
        return _cannot(
            gate,
            bar,
            len(truth),
            f"All rows are of {number} groups; at least {FEWEST_CLUSTERS} are needed to say how sure a figure is",
            "Hold out more groups.",
        )
    live = evidence.champion if used is evidence or evidence.champion is None else evidence.champion.injected
    return Ground(used, champion=live, truth=truth, cluster=cluster, on=on, unjudged=unjudged)


def _cannot(gate: str, bar: float | None, n: int, why: str, next_step: str) -> Verdict:
    asked = f", so the bar of {bar:g} cannot be checked." if bar is not None else "."
    return Verdict(gate=gate, result="cannot tell", bar=bar, n=n, why=why + asked, next_step=next_step)


def figure(value: float) -> str:
    """A share or difference for people: three decimals, no leading zero.

    >>> figure(0.98765), figure(-0.5), figure(1.0)
    ('.988', '-.500', '1.000')
    """
    text = f"{value:.3f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def within(interval: tuple[float, float] | None) -> str:
    """An interval for people, or nothing."""
    return f" [{figure(interval[0])}, {figure(interval[1])}]" if interval else ""


def gaps(share: float) -> str:
    """A clause about rows the candidate could not judge, or nothing."""
    return f" {share:.1%} of the rows could not be judged and count as least suspicious." if share else ""
