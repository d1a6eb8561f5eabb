"""Sleeping cell: a cell is up and nobody gets on, while the neighbours are busy and no alarm was raised."""

from __future__ import annotations

from trunkline import Decision, Guardrail, Outcome, Owner, Shadow, Workflow, actions, feedback, gates, models
from trunkline.core.values import Row
from trunkline.features import Features, alarms, attribute, kpi, state, when

# What shows that a cell works differs: carriers that only add capacity carry secondary-cell volume, NSA cells are
# added as secondary nodes, all others set up connections of their own.
activity = when(
    attribute("role", "capacity"),
    kpi("scell_volume"),
    when(attribute("technology", "NR-NSA"), kpi("endc_attempts"), kpi("rrc_attempts")),
)

cells = Features(
    entity="cell",
    every="15m",
    columns={
        "activity": activity,
        "last_hour": activity.over("1h", "mean"),
        "usual": activity.hour_of_week(weeks=8, stat="median"),
        "neighbours": activity.over("1h", "mean").across("neighbours", "mean"),
        "neighbours_usual": activity.hour_of_week(weeks=8, stat="median").across("neighbours", "mean"),
        "alarms": alarms(severity="major", scope="self, parents, transport").over("1h", "count"),
        "excused": state("locked", "energy_saving", "planned_work"),
        "unknown": state("pm_missing", "suspect"),
    },
)


def decide(row: Row, score: float) -> Decision | None:
    """Silent for a cell that is excused, unknown or has an alarm, and where the whole area is quiet."""
    if row["excused"] or row["unknown"] or row["alarms"]:
        return None
    if row["usual"] is None or row["last_hour"] is None or row["usual"] < 4:
        return None  # too little usually happens to miss it
    if row["last_hour"] > 0.1 * row["usual"] or score < 0.98:
        return None
    around, around_usual = row["neighbours"], row["neighbours_usual"]
    if around is not None and around_usual and around < 0.5 * around_usual:
        return None  # the neighbours are quiet too: an area, not a cell
    return Decision("reset_cell", target=row["cell"], confidence=score, because=("activity", "usual", "neighbours"))


workflow = Workflow(
    name="sleeping-cell",
    owner=Owner(team="ran-assurance", oncall="ran-oncall", runbook="runbooks/sleeping-cell.md"),
    purpose="network-assurance",
    outcome=Outcome.target("hours_of_lost_traffic", baseline="last 8 weeks", at_least="-50 %"),
    control="approve",
    safe_default="no decision",
    data=("measurements", "events", "relations", "elements"),
    features=cells,
    model=models.Harmonic(columns=("activity",)),
    gates=(gates.BeatsBaseline(), gates.FalseAlarmsPer(element_week=1), gates.Latency(p99_ms=50), gates.Parity()),
    rollout=Shadow(of="7d"),
    decide=decide,
    guardrail=Guardrail(items_per_shift=20, per_element_week=0.5, hold_off="12h", allowed=("reset_cell",)),
    act=actions.Propose(to="noc", expires="30m"),
    feedback=feedback.TicketOutcome(within="3d", confirmed=("fixed",), wrong=("not a fault",), unknown=("no fault found", "self-cleared")),
)
